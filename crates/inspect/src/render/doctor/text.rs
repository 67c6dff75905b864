//! Where and whose a finding is, and numbers, in words.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use crate::diagnosis::{Holders, Path, Sharer};
use crate::model::{Endpoint, ForeignText, NetworkNamespace, OwnerStatus, Uid};
use crate::processes::Usage;
use crate::render::sockets::{Names, ends_words, grouped, owner_words};
use crate::render::{Charset, Escaped};
use crate::sockets::Socket;

/// So many holders are named; the others are counted.
const NAMED: usize = 3;

/// Turns values into words for one output.
pub(super) struct Text<'a> {
    pub(super) names: &'a dyn Names,
    pub(super) charset: Charset,
    pub(super) arrow: &'static str,
    pub(super) several_netns: bool,
}

impl Text<'_> {
    /// `name[pid] fd N from 10.0.0.2:80`, or how many there are and the worst: the `most`.
    pub(super) fn one_or_worst(
        &self,
        holders: &Holders,
        (sockets, worst): (u64, &Socket),
        towards: &str,
        most: &str,
    ) -> String {
        let (local, remote) = ends_words(worst, self.charset);
        let end = if remote == "any" {
            format!("at {local}")
        } else {
            format!("{towards} {remote}")
        };
        if sockets == 1 {
            return self.placed(worst.netns, format!("{} {end}", self.descriptors(holders)));
        }
        let fd = match holders.owners.first() {
            Some(owner) => format!("fd {} ", owner.fd),
            None => String::new(),
        };
        let processes = self.processes(holders);
        let sockets = grouped(sockets);
        self.placed(
            worst.netns,
            format!("{processes}  {sockets} sockets, the {most} {fd}{end}"),
        )
    }

    /// `name[pid] fd N to 10.0.0.2:80`, or how many there are to where all of them go: one
    /// endpoint, or one host.
    pub(super) fn one_or_many_to(
        &self,
        holders: &Holders,
        sockets: u64,
        worst: &Socket,
        same_port: bool,
    ) -> String {
        let (_, remote) = ends_words(worst, self.charset);
        let subject = if sockets == 1 {
            format!("{} to {remote}", self.descriptors(holders))
        } else {
            let host = worst.endpoints().map(|(_, remote)| remote.address);
            let to = match host {
                Some(host) if !same_port => host.to_canonical().to_string(),
                _ => remote,
            };
            format!(
                "{}  {} sockets to {to}",
                self.processes(holders),
                grouped(sockets)
            )
        };
        self.placed(worst.netns, subject)
    }

    /// With the network namespace, where there are several.
    pub(super) fn placed(&self, netns: Option<NetworkNamespace>, mut subject: String) -> String {
        if self.several_netns
            && let Some(netns) = netns
        {
            let name = match self.names.netns(netns) {
                Some(name) => Escaped::name(&ForeignText::new(name), self.charset).to_string(),
                None => netns.to_string(),
            };
            let _ = write!(subject, "  netns {name}");
        }
        subject
    }

    pub(super) fn local(&self, socket: &Socket) -> String {
        self.placed(socket.netns, ends_words(socket, self.charset).0)
    }

    pub(super) fn path(&self, path: &Path) -> String {
        let words = format!(
            "{} {} {}",
            path.source,
            self.arrow,
            endpoint(path.destination)
        );
        self.placed(path.netns, words)
    }

    /// `name[pid] fd N`, of each process.
    pub(super) fn descriptors(&self, holders: &Holders) -> String {
        let owners = holders.owners.iter();
        self.holders(
            holders,
            owners.map(|owner| owner_words(owner, self.charset)),
        )
    }

    /// `name[pid]`, of each process.
    pub(super) fn processes(&self, holders: &Holders) -> String {
        let owners = holders.owners.iter();
        let name = |text| Escaped::process(text, self.charset);
        self.holders(
            holders,
            owners.map(|owner| format!("{}[{}]", name(&owner.command), owner.pid)),
        )
    }

    fn holders(&self, holders: &Holders, words: impl Iterator<Item = String>) -> String {
        let mut text = words.take(NAMED).collect::<Vec<_>>().join(", ");
        if text.is_empty() {
            return match (holders.status, holders.uid) {
                (OwnerStatus::Hidden, Some(uid)) => format!("hidden (user {})", self.user(uid)),
                (OwnerStatus::Hidden, None) => "hidden".to_owned(),
                (OwnerStatus::NotAsked, _) => "owner not asked for".to_owned(),
                (OwnerStatus::Pending, _) => "waiting for accept()".to_owned(),
                (OwnerStatus::Kernel, _) => "kernel".to_owned(),
                _ => "no owner".to_owned(),
            };
        }
        let named = u64::try_from(holders.owners.len().min(NAMED)).unwrap_or(u64::MAX);
        let more = holders.processes.saturating_sub(named);
        if more > 0 {
            let _ = write!(text, ", {} more", grouped(more));
        }
        if holders.status == OwnerStatus::Partial {
            text.push_str(", perhaps others, hidden");
        }
        text
    }

    /// The programs, with their files and users where these tell them apart.
    pub(super) fn sharers(&self, sharers: &[Sharer]) -> String {
        let first = sharers.first().and_then(|sharer| sharer.uid);
        let users = sharers.iter().any(|sharer| sharer.uid != first);
        let name = |text| Escaped::name(text, self.charset);
        let mut words: Vec<String> = sharers
            .iter()
            .take(NAMED)
            .map(|sharer| {
                let mut text = format!(
                    "{}[{}]",
                    Escaped::process(&sharer.command, self.charset),
                    sharer.pid
                );
                if let Some(path) = &sharer.executable {
                    let _ = write!(text, " {}", name(path));
                }
                if users && let Some(uid) = sharer.uid {
                    let _ = write!(text, " (user {})", self.user(uid));
                }
                text
            })
            .collect();
        if sharers.len() > NAMED {
            words.push(format!("{} more", sharers.len() - NAMED));
        }
        words.join(", ")
    }

    fn user(&self, uid: Uid) -> String {
        match self.names.user(uid) {
            Some(name) => Escaped::name(&ForeignText::new(name), self.charset).to_string(),
            None => uid.to_string(),
        }
    }
}

fn endpoint(end: Endpoint) -> String {
    match end.address {
        IpAddr::V4(address) => format!("{address}:{}", end.port),
        IpAddr::V6(address) => format!("[{address}]:{}", end.port),
    }
}

pub(super) fn used_of(usage: Usage) -> String {
    format!("{} of {}", grouped(usage.used), grouped(usage.limit))
}

pub(super) fn number(number: u32) -> String {
    grouped(number.into())
}

pub(super) fn bytes(number: u64) -> String {
    match number {
        1 => "1 byte".to_owned(),
        more => format!("{} bytes", grouped(more)),
    }
}

pub(super) fn count(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        more => format!("{} {thing}s", grouped(more)),
    }
}

/// `12 s`, `3 min`, `2 h`: rounded down, but never to nothing.
pub(super) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", grouped(seconds / 3_600)),
    }
}
