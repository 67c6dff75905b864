//! Which packets are wanted: of which ports, hosts, processes and users.
//!
//! What is repeated is one or the other; flags of different kinds hold together.

use std::fmt;
use std::net::IpAddr;

use clap::Args;

use super::super::port;
use super::super::sockets::process_name;
use crate::model::Pid;
use crate::selection::{Comparison, End, Names, Network, Selection, Test};

/// The flags as typed.
#[derive(Debug, Clone, Default, Args)]
pub struct WantedFlags {
    /// Only packets from or to this port: 2345, 8000-8010 or http. VLAN tags and IPv6 extension
    /// headers or not; may be repeated.
    #[arg(long, value_name = "PORT", help_heading = "Which packets")]
    pub(super) port: Vec<String>,

    /// Only packets from or to this host: an address, a network (10.0.0.0/8), or a name, which
    /// is looked up once, at the start; may be repeated.
    #[arg(long, value_name = "HOST", help_heading = "Which packets")]
    pub(super) host: Vec<String>,

    /// Only packets of conversations in which a process of this name (its first 15 bytes) holds
    /// an end, also out of a pcapng file that knows owners; may be repeated.
    #[arg(long, value_name = "NAME", help_heading = "Which packets")]
    pub(super) process: Vec<String>,

    /// The same, of this process; may be repeated.
    #[arg(long, value_name = "PID", help_heading = "Which packets")]
    pub(super) pid: Vec<u32>,

    /// The same, where the socket at an end is of this user (name or id); may be repeated.
    #[arg(long, value_name = "USER", help_heading = "Which packets")]
    pub(super) user: Vec<String>,
}

/// One port, or several next to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Ports {
    /// The port, where it is one.
    pub fn alone(self) -> Option<u16> {
        (self.first == self.last).then_some(self.first)
    }

    fn selection(self) -> Selection {
        if let Some(port) = self.alone() {
            return Selection::Test(Test::Port(port));
        }
        let of = |end| {
            let bound = |is, port| Selection::Test(Test::EndPort { end, is, port });
            Selection::All(vec![
                bound(Comparison::AtLeast, self.first),
                bound(Comparison::AtMost, self.last),
            ])
        };
        Selection::Any(vec![of(End::Local), of(End::Remote)])
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.alone() {
            Some(port) => write!(f, "{port}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// What `--port` takes.
pub(super) fn ports(word: &str, names: &dyn Names) -> Result<Vec<Ports>, String> {
    let one = |port| Ports {
        first: port,
        last: port,
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((first, last)) = word.split_once('-')
        && is_number(first)
        && is_number(last)
    {
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!("{word}: ports go from the lower to the higher"));
        }
        return Ok(vec![Ports { first, last }]);
    }
    if !word.starts_with(|c: char| c.is_alphabetic()) || word.contains([':', '/', ' ']) {
        return port(word).map(|port| vec![one(port)]);
    }
    let found = names.service(word);
    if found.is_empty() {
        return Err(format!(
            "no service {word:?} in /etc/services (a port is a number, 1 to 65535)"
        ));
    }
    Ok(found.into_iter().map(one).collect())
}

/// What `--host` takes.
fn host(word: &str, names: &dyn Names) -> Result<Vec<Selection>, String> {
    let inside = word
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(word);
    let whole = |address: IpAddr| Selection::Test(Test::Host(address));
    if let Ok(address) = inside.parse::<IpAddr>() {
        return Ok(vec![whole(address)]);
    }
    let understood = || {
        format!(
            "{word:?} is no host: an address, a network as 10.0.0.0/8, or a name (for a port: --port)"
        )
    };
    if let Some((address, prefix)) = inside.split_once('/') {
        let network = match (address.parse::<IpAddr>(), prefix.parse::<u8>()) {
            (Ok(address), Ok(prefix)) => Network::new(address, prefix)
                .map_err(|_| format!("{word}: an address has no {prefix} bits"))?,
            _ => return Err(understood()),
        };
        let of = |end| Selection::Test(Test::EndAddress { end, network });
        return Ok(vec![of(End::Local), of(End::Remote)]);
    }
    if inside.split_once('%').is_some() {
        return Err(format!("{word}: --host takes no interface (-i does)"));
    }
    if inside.is_empty() || inside.contains([':', ' ', '*']) {
        return Err(understood());
    }
    let found = names.host(inside);
    if found.is_empty() {
        return Err(format!(
            "no host {word:?}: no name server knows an address of it"
        ));
    }
    Ok(found.into_iter().map(whole).collect())
}

impl WantedFlags {
    /// What a packet alone tells, with the ports that were typed elsewhere too.
    pub(super) fn on_the_wire(
        &self,
        ports: &[Ports],
        names: &dyn Names,
    ) -> Result<Selection, String> {
        let mut hosts = Vec::new();
        for word in &self.host {
            hosts.extend(host(word, names)?);
        }
        let ports = ports.iter().map(|ports| ports.selection()).collect();
        Ok(together([one_of(ports), one_of(hosts)]))
    }

    /// What only the owner of a socket at an end tells, users apart.
    pub(super) fn of_owners(&self) -> Selection {
        let names = self.process.iter().map(|name| process_name(name));
        let names = names.map(|name| Selection::Test(Test::Process(name)));
        let pids = self.pid.iter().map(|pid| Test::Pid(Pid(*pid)));
        let pids = pids.map(Selection::Test);
        together([one_of(names.collect()), one_of(pids.collect())])
    }

    /// The flag that asks for owners, if one does.
    pub(super) fn asks_for_owners(&self) -> Option<&'static str> {
        match self {
            Self { process, .. } if !process.is_empty() => Some("--process"),
            Self { pid, .. } if !pid.is_empty() => Some("--pid"),
            Self { user, .. } if !user.is_empty() => Some("--user"),
            _ => None,
        }
    }

    /// The kinds beyond ports, for people: ` host 10.0.0.1, 10.0.0.2 process nginx`.
    pub(super) fn words(&self) -> String {
        let pids: Vec<String> = self.pid.iter().map(ToString::to_string).collect();
        let kinds = [
            ("host", &self.host),
            ("process", &self.process),
            ("pid", &pids),
            ("user", &self.user),
        ];
        let words = kinds.into_iter().filter(|(_, values)| !values.is_empty());
        words
            .map(|(kind, values)| format!(" {kind} {}", values.join(", ")))
            .collect()
    }
}

/// One of these; everything, where there is none.
fn one_of(mut parts: Vec<Selection>) -> Selection {
    match parts.len() {
        0 => Selection::everything(),
        1 => parts.remove(0),
        _ => Selection::Any(parts),
    }
}

/// All of these.
fn together(parts: [Selection; 2]) -> Selection {
    let narrow = |part: &Selection| *part != Selection::everything();
    let mut parts: Vec<Selection> = parts.into_iter().filter(narrow).collect();
    match parts.len() {
        1 => parts.remove(0),
        _ => Selection::All(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NetworkNamespace, Uid};

    /// A machine that knows some names.
    struct Known;

    impl Names for Known {
        fn service(&self, name: &str) -> Vec<u16> {
            match name {
                "http" => vec![80],
                "who" => vec![513, 550],
                _ => Vec::new(),
            }
        }
        fn host(&self, name: &str) -> Vec<IpAddr> {
            match name {
                "printer" => vec![IpAddr::from([10, 0, 0, 7])],
                _ => Vec::new(),
            }
        }
        fn user(&self, _: &str) -> Option<Uid> {
            None
        }
        fn interface(&self, _: &str) -> Option<u32> {
            None
        }
        fn network_namespace(&self, _: &str) -> Option<NetworkNamespace> {
            None
        }
        fn cgroup(&self, _: &[u8]) -> Option<u64> {
            None
        }
    }

    #[test]
    fn ports_are_numbers_ranges_and_names() {
        let shown = |word: &str| {
            let ports = ports(word, &Known).unwrap();
            ports.iter().map(Ports::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown("2345"), ["2345"]);
        assert_eq!(shown("8000-8010"), ["8000-8010"]);
        assert_eq!(shown("80-80"), ["80"]);
        assert_eq!(shown("http"), ["80"]);
        assert_eq!(shown("who"), ["513", "550"]);
        for word in [
            "", "0", "70000", "9-8", "1-70000", "gopher", "-5", "10.0.0.1", "a:b",
        ] {
            assert!(ports(word, &Known).is_err(), "{word}");
        }
    }

    #[test]
    fn hosts_are_addresses_networks_and_names() {
        let shown = |word: &str| {
            let parts = host(word, &Known).unwrap();
            parts.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown("10.0.0.1"), ["host 10.0.0.1"]);
        assert_eq!(shown("::1"), ["host [::1]"]);
        assert_eq!(shown("[::1]"), ["host [::1]"]);
        assert_eq!(shown("10.1.2.3/8"), ["src 10.0.0.0/8", "dst 10.0.0.0/8"]);
        assert_eq!(shown("printer"), ["host 10.0.0.7"]);
        for word in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10/x",
            "nobody",
            "fe80::1%eth0",
            "10.0.0.1:80",
        ] {
            assert!(host(word, &Known).is_err(), "{word}");
        }
    }

    #[test]
    fn kinds_hold_together_and_what_is_repeated_is_one_or_the_other() {
        let flags = WantedFlags {
            host: vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()],
            process: vec!["a".to_owned(), "a_name_of_more_bytes".to_owned()],
            pid: vec![7],
            ..WantedFlags::default()
        };
        let ports: Vec<Ports> = ["80", "443"]
            .into_iter()
            .flat_map(|word| ports(word, &Known).unwrap())
            .collect();
        assert_eq!(
            flags.on_the_wire(&ports, &Known).unwrap().to_string(),
            "( :80 or :443 ) and ( host 10.0.0.1 or host 10.0.0.2 )"
        );
        assert_eq!(
            flags.of_owners().to_string(),
            "( process = a or process = a_name_of_more_ ) and pid = 7"
        );
        assert_eq!(
            flags.words(),
            " host 10.0.0.1, 10.0.0.2 process a, a_name_of_more_bytes pid 7"
        );
        assert_eq!(
            WantedFlags::default().on_the_wire(&[], &Known).unwrap(),
            Selection::everything()
        );
    }
}
