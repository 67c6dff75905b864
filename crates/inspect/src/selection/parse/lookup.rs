//! Words that name something: of a few known to us, or of those that the machine knows.

use super::{Parser, numbers, states};
use crate::model::{Family, NetworkNamespace, Protocol, Uid};
use crate::selection::Test;
use crate::selection::error::{Expected, Kind, Problem};
use crate::selection::token::{Fault, Word};

/// The words that begin a test.
const TESTS: [&str; 27] = [
    "sport",
    "dport",
    "port",
    "src",
    "dst",
    "host",
    "dev",
    "fwmark",
    "cgroup",
    "autobound",
    "state",
    "exclude",
    "family",
    "protocol",
    "pid",
    "process",
    "user",
    "container",
    "unit",
    "netns",
    "peer",
    "recvq",
    "sendq",
    "rtt",
    "retrans",
    "and",
    "not",
];

const PROTOCOLS: [Protocol; 16] = [
    Protocol::Tcp,
    Protocol::Udp,
    Protocol::UdpLite,
    Protocol::Raw,
    Protocol::Icmp,
    Protocol::UnixStream,
    Protocol::UnixDatagram,
    Protocol::UnixSeqpacket,
    Protocol::Netlink,
    Protocol::PacketRaw,
    Protocol::PacketDatagram,
    Protocol::Mptcp,
    Protocol::VsockStream,
    Protocol::VsockDatagram,
    Protocol::VsockSeqpacket,
    Protocol::Tipc,
];

/// The known word that differs least, where it differs little.
pub(super) fn nearest(
    word: &str,
    known: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    // Cost grows with the length, and no long word is near a short one.
    if word.chars().count() > 30 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let near = |known: &str| strsim::osa_distance(&word, known);
    let (distance, known) = known.into_iter().map(|known| (near(known), known)).min()?;
    (distance <= known.len().div_ceil(3).min(2)).then_some(known)
}

/// What to say of a word that begins no test.
pub(super) fn unknown_word(word: &Word, text: &str) -> Fault {
    let shown = text.get(word.at.clone()).unwrap_or_default().to_owned();
    let plain = String::from_utf8(word.plain()).unwrap_or_default();
    let address = plain.split(['/', '%']).next().unwrap_or_default();
    let problem = if word.is_quoted() {
        Problem::Expected {
            what: Expected::Test,
            found: Some(shown),
        }
    } else if let Ok(port) = plain.parse() {
        Problem::PortWithoutColon { port }
    } else if plain.starts_with(['/', '@', '['])
        || address.parse::<std::net::IpAddr>().is_ok()
        || address.parse::<std::net::SocketAddr>().is_ok()
    {
        Problem::AddressAlone
    } else if let Some(state) = states::WORDS
        .into_iter()
        .find(|state| states::of_word(&plain) == states::of_word(state))
        .filter(|_| states::of_word(&plain).is_some())
    {
        Problem::StateAlone { state }
    } else {
        let meant = nearest(&plain, TESTS);
        Problem::UnknownWord { word: shown, meant }
    };
    (word.at.clone(), problem)
}

impl Parser<'_> {
    pub(super) fn family(&self, word: &Word) -> Result<Test, Fault> {
        let text = numbers::text(word)?;
        let lower = text.to_ascii_lowercase();
        let lower = match lower.as_str() {
            "ipv4" => "inet",
            "ipv6" => "inet6",
            "link" => "packet",
            other => other,
        };
        match Family::ALL
            .into_iter()
            .find(|family| family.word() == lower)
        {
            Some(family) => Ok(Test::Family(family)),
            None => {
                let kind = Kind::Family;
                let meant = nearest(&text, Family::ALL.map(Family::word));
                let word_at = word.at.clone();
                let word = text;
                Err((word_at, Problem::Unknown { kind, word, meant }))
            }
        }
    }

    pub(super) fn protocol(&self, word: &Word) -> Result<Test, Fault> {
        let text = numbers::text(word)?;
        let lower = text.to_ascii_lowercase();
        match PROTOCOLS.into_iter().find(|known| known.word() == lower) {
            Some(protocol) => Ok(Test::Protocol(protocol)),
            None => {
                let kind = Kind::Protocol;
                let meant = nearest(&text, PROTOCOLS.map(Protocol::word));
                let word_at = word.at.clone();
                let word = text;
                Err((word_at, Problem::Unknown { kind, word, meant }))
            }
        }
    }

    pub(super) fn user(&self, word: &Word) -> Result<Test, Fault> {
        if numbers::is_number(word) {
            return numbers::u32(word, "user id").map(|uid| Test::User(Uid(uid)));
        }
        let name = numbers::text(word)?;
        match self.names.user(&name) {
            Some(uid) => Ok(Test::User(uid)),
            None => Err(no_such(Kind::User, name, word)),
        }
    }

    pub(super) fn interface(&self, word: &Word) -> Result<Test, Fault> {
        if numbers::is_number(word) {
            return numbers::u32(word, "interface number").map(Test::Interface);
        }
        let name = numbers::text(word)?;
        match self.names.interface(&name) {
            Some(index) => Ok(Test::Interface(index)),
            None => Err(no_such(Kind::Interface, name, word)),
        }
    }

    pub(super) fn network_namespace(&self, word: &Word) -> Result<Test, Fault> {
        if numbers::is_number(word) {
            let inode = numbers::u64(word, "inode")?;
            return Ok(Test::NetworkNamespace(NetworkNamespace(inode)));
        }
        let name = numbers::text(word)?;
        match self.names.network_namespace(&name) {
            Some(netns) => Ok(Test::NetworkNamespace(netns)),
            None => Err(no_such(Kind::NetworkNamespace, name, word)),
        }
    }

    /// A path, with or without the place where control groups are mounted, or an id.
    pub(super) fn cgroup(&self, word: &Word) -> Result<Test, Fault> {
        if numbers::is_number(word) {
            return numbers::u64(word, "inode").map(Test::Cgroup);
        }
        let path = word.plain();
        let inside = [&b"/sys/fs/cgroup/unified"[..], b"/sys/fs/cgroup"]
            .iter()
            .filter_map(|mount| path.strip_prefix(*mount))
            .find(|rest| rest.is_empty() || rest.starts_with(b"/"))
            .unwrap_or(&path);
        match self.names.cgroup(inside) {
            Some(id) => Ok(Test::Cgroup(id)),
            None => {
                let name = String::from_utf8_lossy(&path).into_owned();
                Err(no_such(Kind::Cgroup, name, word))
            }
        }
    }

    /// `0x1`, or `0x1/0x3` where only some bits count.
    pub(super) fn mark(&self, word: &Word) -> Result<Test, Fault> {
        let text = numbers::text(word)?;
        let (value, mask) = text.split_once('/').unwrap_or((&text, "0xffffffff"));
        let number = |text: &str| {
            let number = numbers::number(text, u32::MAX.into());
            number
                .map(|number| u32::try_from(number).unwrap_or(u32::MAX))
                .map_err(|no| {
                    let problem = match no {
                        numbers::NoNumber::Other => Problem::Expected {
                            what: Expected::Mark,
                            found: Some(text.to_owned()),
                        },
                        no => no.problem(text.to_owned(), "mark", u32::MAX.into()),
                    };
                    (word.at.clone(), problem)
                })
        };
        Ok(Test::Mark {
            value: number(value)?,
            mask: number(mask)?,
        })
    }
}

pub(super) fn no_such(kind: Kind, name: String, word: &Word) -> Fault {
    (word.at.clone(), Problem::NoSuch { kind, name })
}
