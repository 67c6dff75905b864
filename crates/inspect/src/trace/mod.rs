//! System calls about sockets: raw records -> calls with names, values and descriptors. Knows no
//! packet.
//!
//! The kernel's program (`bpf`) or ptrace(2) tells numbers and memory; which of them mean what is
//! known here alone.

mod calls;
mod constants;
mod decode;
mod pairs;
mod raw;
mod source;
mod tally;
mod touch;

use crate::model::{
    Cookie, Endpoint, Fd, ForeignText, Gap, Inode, NetworkNamespace, Pid, State, Timestamp,
    UnixAddress,
};

pub use constants::error_name;
pub use source::{Kernel, RING};
pub use tally::{OnDescriptor, Sum, Tally};
pub use touch::Touch;

/// A process as it was when it called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Nanoseconds since boot at which it started: tells it from another that has the number
    /// later. 0 where that is not known.
    pub started_ns: u64,
    /// Its name, up to 15 bytes that it chose itself.
    pub command: ForeignText,
}

/// A socket as it was at the beginning or at the end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// What it is known by while it lives.
    pub inode: Option<Inode>,
    /// What it is known by for ever; none until somebody asks for it.
    pub cookie: Option<Cookie>,
    /// AF_ (address_families(7)).
    pub family: u8,
    /// SOCK_ (socket(2)).
    pub kind: u8,
    /// IPPROTO_ or the family's own.
    pub protocol: u16,
    /// TCP's state, where it is TCP.
    pub state: Option<State>,
    /// The network namespace it was made in, where that is told.
    pub namespace: Option<NetworkNamespace>,
    /// Its own end and the other, as far as they are set; `None` where the family has no ports.
    pub ends: Option<(Endpoint, Endpoint)>,
    /// TCP: the sequence numbers of the next byte to be written and of the next to be read.
    pub sequences: Option<(u32, u32)>,
}

/// Bytes of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes {
    /// The first of them.
    pub bytes: Vec<u8>,
    /// How many there were.
    pub length: u64,
}

/// The address in an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// AF_INET or AF_INET6.
    Internet(Endpoint),
    /// AF_UNIX.
    Unix(UnixAddress),
    /// AF_NETLINK: port id and groups (netlink(7)).
    Netlink(u32, u32),
    /// AF_PACKET: protocol, interface, hardware address (packet(7)).
    Packet(u16, u32, Vec<u8>),
    /// AF_UNSPEC: takes a connection away (connect(2)).
    Unspecified,
    /// Another family, or one that is cut short.
    Other(u16, Vec<u8>),
}

/// What an argument says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A number that is no quantity: flags or constants that we do not know.
    Hex(u64),
    /// A constant by its name in C.
    Constant(&'static str),
    /// Several that are set, and the bits of which none is known.
    Flags(Vec<&'static str>, u64),
    /// A descriptor of the process.
    Fd(i32),
    /// Text.
    Bytes(Bytes),
    /// An address.
    Address(Address),
    /// NULL.
    Null,
    /// A place in the process's memory that we do not look at.
    Pointer(u64),
    /// Memory that could not be read.
    Unread(u64),
    /// Several, and how many more there were.
    List(Vec<Value>, u64),
    /// A structure.
    Fields(Vec<(&'static str, Value)>),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It returned a number.
    Returned(i64),
    /// It failed with this number of errno(3).
    Failed(i32),
    /// It never returns: its thread ended within it.
    ThreadEnded,
    /// It had not returned when we left.
    StillWaits,
    /// Its end was lost.
    Lost,
}

/// One system call about a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it began, on the wall clock; of a call whose beginning was lost, when it ended.
    pub time: Timestamp,
    /// The same on the monotonic clock, nanoseconds.
    pub monotonic_ns: u64,
    /// How long it took, nanoseconds; `None` when its beginning or its end was not told.
    pub duration_ns: Option<u64>,
    /// Whose it is.
    pub process: Process,
    /// Which thread's.
    pub tid: Pid,
    /// Its name.
    pub name: &'static str,
    /// What it is about, where that is one descriptor: before the call and after it. Of accept(2)
    /// it is the listener before and the new socket after.
    pub before: Option<(Fd, Socket)>,
    /// The same when it had ended.
    pub after: Option<(Fd, Socket)>,
    /// Names and values of the arguments, in their order.
    pub arguments: Vec<(&'static str, Value)>,
    /// How it ended.
    pub outcome: Outcome,
}

impl Call {
    /// The descriptor that it is about: its argument, or what it returned.
    pub fn fd(&self) -> Option<Fd> {
        self.before.or(self.after).map(|(fd, _)| fd)
    }

    /// The socket that it is about.
    pub fn socket(&self) -> Option<&Socket> {
        // What an accept returned is another.
        let (before, after) = (self.before.as_ref(), self.after.as_ref());
        match (before, after) {
            (Some((old, _)), Some((new, socket))) if old == new => Some(socket),
            (Some((_, socket)), _) | (None, Some((_, socket))) => Some(socket),
            (None, None) => None,
        }
    }

    /// When it ended, monotonic nanoseconds.
    pub fn ended_ns(&self) -> Option<u64> {
        Some(self.monotonic_ns + self.duration_ns?)
    }
}

/// TCP went from one state into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// When, on the wall clock.
    pub time: Timestamp,
    /// The same on the monotonic clock, nanoseconds.
    pub monotonic_ns: u64,
    /// The socket, in its new state.
    pub socket: Socket,
    /// Its state before.
    pub from: State,
    /// Its state since.
    pub to: State,
}

/// What a source tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A call, when it has ended.
    Call(Box<Call>),
    /// A change of states, where they were asked for.
    State(StateChange),
    /// A traced process has begun another; the number of the first.
    Fork(Process, Pid),
    /// Another program runs in the process.
    Exec(Process),
    /// A process has ended.
    Exit(Process),
}

/// Where events come from.
pub trait Source {
    /// Tells what happened since the last time.
    ///
    /// # Errors
    /// When the source cannot go on.
    fn drain(&mut self, tell: &mut dyn FnMut(Event)) -> std::io::Result<()>;

    /// Tells of the calls that have not returned, and ends.
    fn finish(&mut self, tell: &mut dyn FnMut(Event));

    /// What was lost so far.
    fn gaps(&mut self) -> Vec<Gap>;
}

/// The names of all calls that can be asked for, in the order of their numbers.
pub fn names() -> impl Iterator<Item = &'static str> {
    calls::CALLS.iter().map(|call| call.name)
}

/// Which calls are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Only these; `None`: all.
    pub only: Option<Vec<&'static str>>,
    /// But not these.
    pub except: Vec<&'static str>,
    /// Also those that wait for several descriptors (poll(2), select(2), epoll_wait(2)).
    pub waits: bool,
}

impl Choice {
    fn has(&self, call: &calls::Signature) -> bool {
        let is_named = match &self.only {
            Some(only) => only.contains(&call.name),
            None => call.purpose != calls::Purpose::Wait || self.waits,
        };
        is_named && !self.except.contains(&call.name)
    }
}

/// Whose calls are told, and which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Only these processes, and their children.
    pub processes: Option<Vec<Pid>>,
    /// Children of this process are among them.
    pub launcher: Option<Pid>,
    /// All processes are; the births of that one's children are told beside.
    pub everybody: bool,
    /// Only processes of this name.
    pub name: Option<Vec<u8>>,
    /// Only sockets that use this port, or that may yet come to use it.
    pub port: Option<u16>,
    /// Only sockets of this network namespace.
    pub network: Option<NetworkNamespace>,
    /// Which calls.
    pub choice: Choice,
    /// Bytes of each buffer.
    pub limit: u32,
    /// Changes of TCP's states too.
    pub states: bool,
    /// Bytes of the kernel's buffer for events: a power of two.
    pub room: u32,
}
