//! What `inspect port` says of a port.

mod bind;
mod facts;
mod finding;
mod headline;
mod map;
mod number;
mod words;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use super::facts::{write_facts_beside, write_sentence};
use super::{Screen, When};
use crate::diagnosis::bind::{Asked, Bound, Cause, Obstacle};
use crate::diagnosis::reach::Reach;
use crate::limits::Limits;
use crate::listing::Row;
use crate::model::{ForeignText, NetworkNamespace, Protocol, State, Timestamp};
use crate::processes::About;

pub use finding::records;
pub use map::{Listening, Map, write_map};

/// All that is known of one port number.
#[derive(Debug)]
pub struct Port<'a> {
    /// The number.
    pub number: u16,
    /// Its names in services(5), by protocol.
    pub services: Vec<(Protocol, String)>,
    /// What the namespace does with port numbers.
    pub limits: &'a Limits,
    /// Who has it, for each protocol that was asked about.
    pub uses: Vec<Use<'a>>,
    /// The processes that have it.
    pub processes: Vec<Holder>,
    /// Sockets of other namespaces that wait on the same number.
    pub elsewhere: Vec<Elsewhere<'a>>,
}

/// Who has a port of one protocol.
#[derive(Debug)]
pub struct Use<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// The sockets that have it on their side, those that wait first.
    pub rows: Vec<Row<'a>>,
    /// The same as bind() sees them: equal ones once.
    pub bound: Vec<Bound>,
    /// Of each row, its place in `bound`.
    pub bound_of: Vec<usize>,
    /// From where those that wait can be reached.
    pub reach: Reach,
    /// How the usual binds would end.
    pub asked: Vec<Asked>,
    /// Why some fail. Their `sockets` are places in `bound`, their `asks` in `asked`.
    pub obstacles: Vec<Obstacle>,
}

/// A process that has the port.
#[derive(Debug, Clone)]
pub struct Holder {
    /// What it says of itself.
    pub about: Arc<About>,
    /// The name of its user.
    pub user: Option<String>,
}

/// A socket of another namespace.
#[derive(Debug, Clone)]
pub struct Elsewhere<'a> {
    /// The socket.
    pub row: Row<'a>,
    /// The name of its namespace.
    pub name: Option<ForeignText>,
    /// The namespace.
    pub inode: Option<NetworkNamespace>,
}

/// What belongs to the words and not to the port.
#[derive(Debug, Clone)]
pub struct Looks {
    /// Where it goes.
    pub screen: Screen,
    /// When the look was.
    pub at: Timestamp,
    /// How moments are told.
    pub when: When,
    /// Whether part of the tables could not be read.
    pub incomplete: bool,
    /// Names of users, for owners that are hidden.
    pub users: BTreeMap<u32, String>,
}

/// How a port of one protocol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A socket waits on it for somebody.
    Taken,
    /// None does, and yet sockets make a bind() fail, or may.
    InTheWay,
    /// No socket is in the way of a bind().
    Free,
}

impl Standing {
    /// The word used in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::InTheWay => "in-the-way",
            Self::Free => "free",
        }
    }
}

impl<'a> Use<'a> {
    /// The sockets that wait: listeners, and datagram sockets without a fixed peer.
    pub fn waiting(&self) -> impl Iterator<Item = Row<'a>> {
        self.rows.iter().copied().filter(waits)
    }

    /// How it is.
    pub fn standing(&self) -> Standing {
        if self.waiting().next().is_some() {
            Standing::Taken
        } else if self.obstacles.iter().any(|it| !it.sockets.is_empty()) {
            Standing::InTheWay
        } else {
            Standing::Free
        }
    }

    /// The sockets whose processes are told of: those that wait, that are bound and no more, and
    /// connections that this machine opened. Where none waits, every one that is in the way.
    pub fn holding(&self) -> impl Iterator<Item = Row<'a>> {
        let taken = self.standing() == Standing::Taken;
        self.sockets()
            .filter(move |(row, bound)| !taken || waits(row) || stands_alone(bound))
            .map(|(row, _)| row)
    }

    /// The sockets, and what bind() sees of each.
    fn sockets(&self) -> impl Iterator<Item = (Row<'a>, &Bound)> {
        let places = self.rows.iter().zip(&self.bound_of);
        places.filter_map(|(row, place)| Some((*row, self.bound.get(*place)?)))
    }

    /// The rows that an obstacle is made of.
    pub fn rows_of(&self, obstacle: &Obstacle) -> Vec<Row<'a>> {
        let rows = self.rows.iter().zip(&self.bound_of);
        rows.filter(|(_, place)| obstacle.sockets.contains(*place))
            .map(|(row, _)| *row)
            .collect()
    }

    /// The obstacles but for those that another one tells of already.
    fn told_obstacles(&self) -> impl Iterator<Item = &Obstacle> {
        self.obstacles
            .iter()
            .filter(|it| it.cause != Cause::ReusePortOfAnotherUser)
    }
}

/// Whether a socket waits for somebody.
pub fn waits(row: &Row<'_>) -> bool {
    waits_in(row.socket.state)
}

fn waits_in(state: State) -> bool {
    matches!(state, State::Listen | State::Unconnected)
}

/// Whether a socket is told of by itself: it is bound and no more, or is a connection that this
/// machine opened. One that a server accepted is counted instead.
fn stands_alone(bound: &Bound) -> bool {
    match bound.state {
        State::Bound | State::Closed => true,
        State::TimeWait | State::SynRecv => false,
        state => bound.outgoing == Some(true) && !waits_in(state),
    }
}

impl Port<'_> {
    /// Whether a socket has it.
    pub fn is_had(&self) -> bool {
        self.uses.iter().any(|it| !it.rows.is_empty())
    }

    /// Whether a socket of TCP that is bound and no more, if there is one, would change the
    /// answer. One of UDP waits for datagrams from then on.
    pub fn is_perhaps_bound(&self) -> bool {
        let mut uses = self.uses.iter();
        uses.any(|it| it.protocol == Protocol::Tcp && it.standing() != Standing::Taken)
    }
}

/// The longest key: values begin beside it on every page.
const KEYS: usize = "connections".len();

/// Writes all that is known of a port: the answer first.
///
/// # Errors
/// What the writer answers.
pub fn write(out: &mut dyn Write, port: &Port<'_>, looks: &Looks) -> io::Result<()> {
    let screen = looks.screen;
    write_sentence(out, &headline::sentences(port, looks), screen)?;
    let mut facts = facts::of(port, looks);
    if !facts.is_empty() {
        writeln!(out)?;
    }
    facts.push(number::fact(port, screen));
    write_facts_beside(out, &facts, KEYS, screen)?;
    let elsewhere = facts::elsewhere(port, screen);
    if elsewhere.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let heading = "Seen elsewhere, where it is in nobody's way here:";
    write_sentence(out, heading, screen)?;
    write_facts_beside(out, &elsewhere, KEYS, screen)
}
