//! Who sent it, and how that is known: ends of packets joined with sockets and owners. Pure.
//!
//! Only sockets that live while somebody looks can be seen in the kernel's tables. So an answer
//! always says how it came about, and two candidates give no answer, never a coin toss.

mod lives;
mod note;
mod table;

pub use lives::{Lives, Question, Witness};
pub use note::{Note, Side};
pub use table::{PortUse, Table};

use crate::model::{Inode, Owner, Protocol, Uid};

/// The owners of one end of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attribution {
    /// Everyone who holds the socket; empty when nobody is known.
    pub owners: Vec<Owner>,
    /// How the owners are known, or why not.
    pub grounds: Grounds,
    /// The socket they are known by, or that hides them.
    pub socket: Option<Inode>,
    /// The user who made that socket, where it is told.
    pub user: Option<Uid>,
}

/// How owners are known, or why not. Later is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Grounds {
    /// Nobody has looked yet, or nobody can: packets from a file.
    #[default]
    NotLooked,
    /// The address is ours, and nobody has looked since the conversation began.
    NotYet,
    /// The address is another machine's.
    Elsewhere,
    /// The address is ours and had no socket when we looked.
    Gone,
    /// No socket was ever seen there, and nothing listens.
    Closed,
    /// Several sockets of different owners could have sent it.
    Ambiguous,
    /// It waits in a listener's queue, whose owner is not known.
    Pending,
    /// There is a socket, and its owner is hidden from us; the user who made it.
    Hidden(Option<Uid>),
    /// By a socket that shares the local port: a listener, or a datagram socket without peer.
    LocalPort,
    /// By the socket of exactly these two ends, seen alive.
    Exact,
    /// By what the kernel told of that socket while it lived: its birth, and who used it.
    Witnessed,
}

impl Grounds {
    /// The word used in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact | Self::Witnessed => "exact",
            Self::LocalPort => "inferred",
            _ => "unknown",
        }
    }

    /// The reason, as a word used in records: how the owners are known, or why not.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotLooked => "not_looked",
            Self::NotYet => "not_yet",
            Self::Elsewhere => "elsewhere",
            Self::Gone => "no_socket",
            Self::Closed => "nothing_listens",
            Self::Ambiguous => "ambiguous",
            Self::Pending => "waiting_for_accept",
            Self::Hidden(_) => "hidden",
            Self::LocalPort => "local_port",
            Self::Exact => "socket_table",
            Self::Witnessed => "socket_events",
        }
    }

    /// Whether the owners are those of the socket of exactly these two ends.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Exact | Self::Witnessed)
    }

    /// Whether a later look may tell more.
    pub fn may_improve(self) -> bool {
        !self.is_exact() && self != Self::Elsewhere
    }

    /// Whether this speaks of something that was seen; else only of what was not.
    pub fn is_finding(self) -> bool {
        self > Self::Closed
    }
}

impl Attribution {
    /// Nobody, for this reason.
    pub fn nobody(grounds: Grounds) -> Self {
        Self {
            owners: Vec::new(),
            grounds,
            socket: None,
            user: None,
        }
    }

    /// Takes over a newer answer. What was seen alive stays true when nothing is there any
    /// more, but not when somebody else is: descriptors are handed on, and a server that was
    /// started again has the port of the one before. Tells whether anything changed.
    pub fn improve(&mut self, newer: Self, protocol: Protocol) -> bool {
        if self.grounds == Grounds::Witnessed {
            return self.join(newer);
        }
        let keep = if newer.grounds.is_finding() {
            // The accepted socket was seen itself; after its end its listener is still there,
            // and says nothing new. A datagram's socket of both ends may give way to one of the
            // port alone.
            self.grounds == Grounds::Exact
                && protocol == Protocol::Tcp
                && !newer.grounds.is_exact()
                && newer.socket != self.socket
        } else {
            newer.grounds < self.grounds
        };
        if keep || newer == *self {
            return false;
        }
        *self = newer;
        true
    }

    /// Takes over an answer from the lives of sockets; tells whether anything changed.
    pub fn hear(&mut self, told: Self, protocol: Protocol) -> bool {
        match (self.grounds, told.grounds) {
            (_, Grounds::Witnessed) => {
                let before = std::mem::replace(self, told);
                if before.grounds.is_exact() {
                    self.join(Self {
                        grounds: Grounds::Exact,
                        ..before.clone()
                    });
                }
                *self != before
            }
            (Grounds::Witnessed, _) => false,
            // Whom it waits for may be known by a look.
            (known, Grounds::Pending) if known.is_finding() => false,
            _ => self.improve(told, protocol),
        }
    }

    /// Of a socket whose life was told, a look can tell who else holds it, and no more: whoever
    /// has its ends now may have come later.
    fn join(&mut self, newer: Self) -> bool {
        if newer.grounds != Grounds::Exact || newer.socket != self.socket {
            return false;
        }
        let before = self.owners.len();
        for owner in newer.owners {
            let known = |it: &Owner| (it.pid, it.fd) == (owner.pid, owner.fd);
            if !self.owners.iter().any(known) {
                self.owners.push(owner);
            }
        }
        self.owners.len() > before
    }
}
