//! What is asked for, as a syntax tree, and the language it is written in.
//!
//! A source may use the tree to leave out what cannot match, as far as it can tell; the listing
//! (or the decoded packet) then decides exactly. Both use [`Selection::holds`], which works in
//! three values: a test that cannot be answered yet is neither true nor false.
//! [`Selection::decidable_by`] gives a source the part that it can decide.
//!
//! The language is that of ss (man 8 ss, EXPRESSION), extended: [`parse`] reads it, and the tree
//! writes itself in it (`Display`).
//!
//! ```
//! use inspect::selection::{Numbers, parse};
//!
//! let parsed = parse("state established ( sport = :2345 or dport = :2345 )", &Numbers)?;
//! assert_eq!(
//!     parsed.selection.to_string(),
//!     "state established and ( sport = :2345 or dport = :2345 )",
//! );
//! # Ok::<(), inspect::selection::ParseError>(())
//! ```

mod error;
mod network;
mod parse;
mod pattern;
mod token;
mod weaken;
mod words;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::model::{Family, ForeignText, NetworkNamespace, Pid, Protocol, State, Uid};

pub use error::{Expected, Kind, Limit, ParseError, Problem};
pub use network::{BadPrefix, Network};
pub use parse::{Names, Numbers, Parsed, parse, parse_for_unix};
pub use pattern::Pattern;

/// A condition on a socket or a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// One test.
    Test(Test),
    /// Every part must hold; with no part, everything is selected.
    All(Vec<Selection>),
    /// One part must hold; with no part, nothing is selected.
    Any(Vec<Selection>),
    /// The part must not hold.
    Not(Box<Selection>),
}

/// One end of a socket, as ss calls them: its `src` is the local end, its `dst` the remote one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// This side.
    Local,
    /// The other side; of an unconnected socket the unspecified address and port 0.
    Remote,
}

impl End {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Local => Self::Remote,
            Self::Remote => Self::Local,
        }
    }
}

/// How a number is compared with the one that was written. There is no "unequal": that is
/// [`Selection::Not`] of equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `=`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    More,
}

impl Comparison {
    /// All, from the smallest numbers to the greatest.
    pub const ALL: [Self; 5] = [
        Self::Less,
        Self::AtMost,
        Self::Equal,
        Self::AtLeast,
        Self::More,
    ];

    /// Whether `number` stands so to `bound`.
    pub fn holds<N: Ord>(self, number: N, bound: N) -> bool {
        match self {
            Self::Less => number < bound,
            Self::AtMost => number <= bound,
            Self::Equal => number == bound,
            Self::AtLeast => number >= bound,
            Self::More => number > bound,
        }
    }
}

/// One question about a socket or a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It is of this address family.
    Family(Family),
    /// It is of this protocol.
    Protocol(Protocol),
    /// It is in this state.
    State(State),
    /// One of its ends has this port.
    Port(u16),
    /// One of its ends has this address.
    Host(IpAddr),
    /// The port of this end stands so to the given one.
    EndPort {
        /// The end.
        end: End,
        /// How its port compares.
        is: Comparison,
        /// With which; 0 is the port of an end that is not there.
        port: u16,
    },
    /// The address of this end is in this network.
    EndAddress {
        /// The end.
        end: End,
        /// The network.
        network: Network,
    },
    /// This end is a unix socket whose name matches, in either case; an abstract name begins
    /// with `@`, and no name is the empty text.
    EndUnix {
        /// The end.
        end: End,
        /// What the name looks like.
        name: Pattern,
    },
    /// It is bound to the interface with this index (`SO_BINDTODEVICE`); 0 is none.
    Interface(u32),
    /// Its mark (`SO_MARK`), of which only the bits of the mask count, is this.
    Mark {
        /// What the bits must be.
        value: u32,
        /// The bits that count.
        mask: u32,
    },
    /// It was made in the control group (version 2) with this id: the inode of its folder.
    Cgroup(u64),
    /// The kernel chose its port or unix name; nobody asked for it. As in ss, a port counts only
    /// in the range from which the kernel chooses: nobody asks by bind() for the port of an
    /// accepted connection either.
    Autobound {
        /// That range.
        first: u16,
        /// To this port.
        last: u16,
    },
    /// It lives in this network namespace.
    NetworkNamespace(NetworkNamespace),
    /// One of its owners is this process.
    Pid(Pid),
    /// One of its owners has this name.
    Process(ForeignText),
    /// One of its owners has a name like this.
    ProcessLike(Pattern),
    /// It belongs to this user.
    User(Uid),
    /// One of its owners runs in this container: its name, or how its id begins.
    Container(ForeignText),
    /// One of its owners runs in a systemd unit of such a name.
    Unit(Pattern),
    /// An owner of the other end, on this machine, is this process.
    PeerPid(Pid),
    /// An owner of the other end, on this machine, has a name like this.
    PeerProcess(Pattern),
    /// Its receive queue stands so to a number: bytes, or connections for a listener.
    ReceiveQueue(Comparison, u64),
    /// Its send queue stands so to a number: bytes, or the backlog of a listener.
    SendQueue(Comparison, u64),
    /// Its smoothed round-trip time stands so to a number of microseconds.
    RoundTrip(Comparison, u64),
    /// The segments it has sent again, over its life, stand so to a number.
    Retransmits(Comparison, u64),
}

impl Selection {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// Selects what one of the tests selects; with no test, everything: the meaning of a flag
    /// that may be repeated and was not given.
    pub fn one_of(tests: impl IntoIterator<Item = Test>) -> Self {
        let parts: Vec<_> = tests.into_iter().map(Self::Test).collect();
        if parts.is_empty() {
            Self::everything()
        } else {
            Self::Any(parts)
        }
    }

    /// Whether the selection holds, where `answer` says whether a test does. `None` when the
    /// tests that could be answered do not decide it.
    pub fn holds<'s>(&'s self, answer: &mut dyn FnMut(&'s Test) -> Option<bool>) -> Option<bool> {
        match self {
            Self::Test(test) => answer(test),
            Self::Not(part) => part.holds(answer).map(|holds| !holds),
            Self::All(parts) => decide(parts, false, answer),
            Self::Any(parts) => decide(parts, true, answer),
        }
    }
}

/// One part with the value `decisive` decides; else an unanswered part leaves it open.
fn decide<'s>(
    parts: &'s [Selection],
    decisive: bool,
    answer: &mut dyn FnMut(&'s Test) -> Option<bool>,
) -> Option<bool> {
    let mut open = false;
    for part in parts {
        match part.holds(answer) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => open = true,
        }
    }
    (!open).then_some(!decisive)
}
