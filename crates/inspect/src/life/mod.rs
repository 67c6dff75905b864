//! Births, changes and deaths of sockets, and the processes that use them, as they happen. Knows
//! no packet.
//!
//! A client that connects, talks and exits lives some thirty microseconds: who looks at tables
//! never sees it. Here the kernel tells of it.

mod decode;
mod source;

use crate::model::{
    Cookie, Endpoint, Fd, ForeignText, Gap, Inode, NetworkNamespace, Pid, Protocol, State,
    Timestamp, Uid,
};

pub use source::{Kernel, RING};

/// One moment of a life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, on the wall clock. Of a call, when it returned: what it sent is older.
    pub time: Timestamp,
    /// What happened.
    pub change: Change,
    /// Who did it; `None` where that is not told: TCP goes on in whichever process the processor
    /// was interrupted in, and a process of another pid namespace has no number here.
    pub process: Option<Process>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// TCP went from one state into another; with the descriptor of the call that made it, where
    /// there is one and it is told.
    State(Socket, State, State, Option<Fd>),
    /// A call about a socket returned.
    Call(Socket, Call, Option<Fd>),
    /// Another program runs in the process, and has given it its name.
    Exec,
    /// The process has ended.
    Exit,
    /// The process has begun, as a child of this one; `None` where that has no number here.
    Fork(Option<Pid>),
}

/// A call that makes a process one that uses a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// socket(2).
    Create,
    /// bind(2).
    Bind,
    /// connect(2), whether or not it came about.
    Connect,
    /// accept(2); the socket is the new one.
    Accept,
    /// One that sends, the first of this process on this socket.
    Send,
}

/// A socket as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// What it is known by for ever; datagram sockets have none until somebody asks for it.
    pub cookie: Option<Cookie>,
    /// What it is known by while it lives; none before accept().
    pub inode: Option<Inode>,
    /// The network namespace it was made in.
    pub namespace: NetworkNamespace,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Its own end, unspecified as far as it is not bound.
    pub local: Endpoint,
    /// The other end, unspecified where it is not connected.
    pub remote: Endpoint,
    /// Its user, where that is told: who made it, but for fchown(2).
    pub user: Option<Uid>,
    /// Others may share its port (SO_REUSEADDR, SO_REUSEPORT).
    pub reuse: bool,
}

/// A process, or a thread of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The process.
    pub pid: Pid,
    /// The thread.
    pub tid: Pid,
    /// Nanoseconds since boot at which the process started: tells it from another that has the
    /// number later.
    pub started_ns: u64,
    /// The same on the wall clock, as /proc would tell it.
    pub started: Option<Timestamp>,
    /// Its name, up to 15 bytes that it chose itself.
    pub command: ForeignText,
}

/// Where events come from.
pub trait Source {
    /// Whether there is nothing new. Cheap enough to be asked for each packet.
    fn is_empty(&self) -> bool;

    /// Tells what happened since, and only now, in the order in which it happened.
    fn drain(&mut self, tell: &mut dyn FnMut(Event));

    /// Whether anything was lost until the last drain and since this was asked last.
    fn has_lost(&mut self) -> bool;

    /// What was lost so far.
    fn gaps(&mut self) -> Vec<Gap>;
}

/// What was told once, told again: the kernel's double in tests.
impl Source for Vec<Event> {
    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }

    fn drain(&mut self, tell: &mut dyn FnMut(Event)) {
        Self::drain(self, ..).for_each(tell);
    }

    fn has_lost(&mut self) -> bool {
        false
    }

    fn gaps(&mut self) -> Vec<Gap> {
        Vec::new()
    }
}
