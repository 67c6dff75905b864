//! How many sockets of each family there are.

use std::io::{self, Write};

use super::{left, right};
use crate::listing::FamilySummary;
use crate::model::{Family, Owner, Protocol, State};
use crate::render::table::{self, Cell, Column, Narrow, TextRow};
use crate::render::{Charset, Escaped, Screen};

/// One line of the summary that no table of sockets tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Known(usize),
    /// The kernel has no such family.
    NoFamily,
    /// The kernel has the family, and how many there are could not be read.
    Untold,
}

/// Writes the summary: one line a family.
///
/// # Errors
/// What the writer answers.
pub fn write_summary(
    out: &mut dyn Write,
    summaries: &[(FamilySummary, Count)],
    packet_owners: &[Owner],
    screen: Screen,
) -> io::Result<()> {
    let carried = Column {
        narrow: Narrow::Elastic(40),
        ..left("CARRIES")
    };
    let columns = [left("FAMILY"), right("SOCKETS"), carried];
    let row = |index: usize| {
        let (summary, count) = &summaries[index];
        let (number, missing) = match (count, screen.charset) {
            (Count::Known(count), _) => (count.to_string(), ""),
            (Count::NoFamily, Charset::Utf8) => ("–".to_owned(), "; this kernel has none"),
            (Count::NoFamily, Charset::Ascii) => ("-".to_owned(), "; this kernel has none"),
            (Count::Untold, _) => ("?".to_owned(), "; how many could not be read"),
        };
        TextRow {
            cells: vec![
                Cell::new(summary.family.word()),
                Cell::new(number),
                Cell::new(format!(
                    "{}{missing}",
                    carries(summary, packet_owners, screen.charset)
                )),
            ],
            notes: Vec::new(),
        }
    };
    table::write(out, &columns, summaries.len(), &row, true, screen)
}

fn carries(summary: &FamilySummary, packet_owners: &[Owner], charset: Charset) -> String {
    match summary.family {
        Family::Inet => ip_words("IPv4", summary),
        Family::Inet6 => ip_words("IPv6", summary),
        Family::Unix => "local processes, by a path in the file system or a name".to_owned(),
        Family::Netlink => "programs and the kernel".to_owned(),
        Family::Packet => {
            let mut owners: Vec<String> = packet_owners
                .iter()
                .map(|owner| {
                    format!(
                        "{}[{}]",
                        Escaped::process(&owner.command, charset),
                        owner.pid
                    )
                })
                .collect();
            owners.dedup();
            match owners.len() {
                0 => "raw frames".to_owned(),
                1..=3 => format!("raw frames: {}", owners.join(", ")),
                more => format!(
                    "raw frames: {} and {} more",
                    owners[..3].join(", "),
                    more - 3
                ),
            }
        }
        Family::Vsock => "a virtual machine and its host".to_owned(),
        Family::Tipc => "cluster services, without addresses".to_owned(),
    }
}

fn ip_words(version: &str, summary: &FamilySummary) -> String {
    let mut parts = Vec::new();
    let tcp = summary.of(Protocol::Tcp);
    if tcp > 0 {
        let listening = summary.in_state(Protocol::Tcp, State::Listen);
        let waiting = summary.in_state(Protocol::Tcp, State::TimeWait);
        let connected = summary.in_state(Protocol::Tcp, State::Established);
        let in_states = |states: &[State]| -> usize {
            let counts = states.iter().map(|it| summary.in_state(Protocol::Tcp, *it));
            counts.sum()
        };
        let opening = in_states(&[State::SynSent, State::SynRecv]);
        let bound = in_states(&[State::Bound, State::Closed, State::Unconnected]);
        let closing = tcp - listening - waiting - connected - opening - bound;
        let states: Vec<String> = [
            (listening, "listening"),
            (connected, "connected"),
            (waiting, "TIME_WAIT"),
            (opening, "connecting"),
            (closing, "closing"),
            (bound, "bound"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        parts.push(format!("{tcp} tcp ({})", states.join(", ")));
    }
    for (protocol, word) in [
        (Protocol::Udp, "udp"),
        (Protocol::UdpLite, "udplite"),
        (Protocol::Raw, "raw"),
        (Protocol::Icmp, "ping"),
    ] {
        let count = summary.of(protocol);
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    if parts.is_empty() {
        version.to_owned()
    } else {
        format!("{version}: {}", parts.join(", "))
    }
}
