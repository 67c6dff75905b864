//! Calls, states and segments folded into conversations: who called what, what that put on the
//! wire, and which call took it off again at the other end. Pure, and told the time.
//!
//! A segment is joined with calls by its place in the stream: a call that sends moves the
//! socket's next sequence number from one value to another, and one that reads moves how far was
//! read; what of the stream lies between is what the call wrote, or took. The clock cannot tell
//! that: a send may return after its words were read at the other end.

mod fold;
mod join;
mod order;
mod verdict;

use crate::capture::{Flags, Packet};
use crate::model::{Endpoint, Fd, Protocol, State, Timestamp};
use crate::trace::{Call, Process, StateChange, Value};

pub use fold::Timeline;
pub use verdict::{Answer, Held, LateRead, Verdict};

/// One side of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Who opened it.
    Client,
    /// Who was there.
    Server,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The word used in records and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// A segment of TCP as it passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSeen {
    /// When the kernel saw it, on the wall clock.
    pub time: Timestamp,
    /// Who sent it, and to whom.
    pub source: Endpoint,
    /// To whom.
    pub destination: Endpoint,
    /// Its flags, as on the wire (RFC 9293, 3.1).
    pub flags: Flags,
    /// Its sequence number.
    pub seq: u32,
    /// The number it acknowledges, where it does.
    pub ack: u32,
    /// Bytes of payload on the wire.
    pub length: u32,
    /// The first of them.
    pub payload: Vec<u8>,
    /// The interface's index, where it is told.
    pub interface: Option<u32>,
}

impl SegmentSeen {
    /// What a packet shows, with so many bytes of its payload; `None` where it is no segment of
    /// TCP, or was cut before its payload.
    pub fn of(packet: &Packet<'_>, most: usize) -> Option<Self> {
        let segment = packet.segment()?;
        let tcp = segment.tcp.filter(|_| segment.protocol == Protocol::Tcp)?;
        Some(Self {
            time: packet.time,
            source: segment.source,
            destination: segment.destination,
            flags: tcp.flags,
            seq: tcp.seq,
            ack: tcp.ack,
            length: segment.length?,
            payload: segment.payload[..segment.payload.len().min(most)].to_vec(),
            interface: packet.interface,
        })
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A call on the socket of the side.
    Call(Box<Call>),
    /// TCP of the side went from one state into another.
    State(Box<StateChange>),
    /// The side sent a segment.
    Segment(Box<SegmentSeen>),
}

/// Why one event is there because of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// This segment holds bytes that the call wrote.
    SentBy,
    /// This segment's bytes were taken by the call.
    ReceivedBy,
    /// The call, or the segment that came, brought it about.
    CausedBy,
}

impl Cause {
    /// The word used in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::SentBy => "sent_by",
            Self::ReceivedBy => "received_by",
            Self::CausedBy => "caused_by",
        }
    }
}

/// From one event to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// What kind.
    pub cause: Cause,
    /// The other event's number.
    pub to: usize,
    /// Whether it follows from sequence numbers that nobody else moved; else it is inferred.
    pub is_exact: bool,
}

/// One event of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number in the conversation: its place.
    pub id: usize,
    /// When it counts as having happened: a call that reads or accepts when it ended, others
    /// when they began.
    pub time: Timestamp,
    /// Whose it is.
    pub side: Side,
    /// What happened.
    pub what: What,
    /// Links to other events.
    pub links: Vec<Link>,
    /// A segment whose bytes were all on the wire before.
    pub is_again: bool,
}

/// One conversation, in the order of cause and effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// TCP.
    pub protocol: Protocol,
    /// Where the client is.
    pub client: Endpoint,
    /// Where the server is.
    pub server: Endpoint,
    /// Whether who opened it was seen, and not taken from the numbers of the ports.
    pub is_opening_seen: bool,
    /// What happened.
    pub events: Vec<Event>,
}

impl Conversation {
    /// The side that has this end.
    fn side_of(&self, end: Endpoint) -> Option<Side> {
        match end {
            end if end == self.client => Some(Side::Client),
            end if end == self.server => Some(Side::Server),
            _ => None,
        }
    }

    /// How long after the first segment of which it took bytes a call returned, nanoseconds.
    pub fn late_ns(&self, event: &Event) -> Option<u64> {
        let taken = self.events[..event.id].iter().find(|segment| {
            let mut links = segment.links.iter();
            links.any(|link| link.cause == Cause::ReceivedBy && link.to == event.id)
        })?;
        let nanoseconds = event.time.as_nanos() - taken.time.as_nanos();
        Some(u64::try_from(nanoseconds).unwrap_or(0))
    }

    /// The last process that called on the socket of a side, and the descriptor.
    pub fn owner(&self, side: Side) -> Option<(&Process, Fd)> {
        self.events
            .iter()
            .rev()
            .find_map(|event| match &event.what {
                What::Call(call) if event.side == side => {
                    let fd = call
                        .after
                        .filter(|_| is_accept(call.name))
                        .or(call.before)?
                        .0;
                    Some((&call.process, fd))
                }
                _ => None,
            })
    }
}

/// What calls do, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Sends,
    Reads,
    Accepts,
    Connects,
    Closes,
    Other,
}

fn doing(call: &Call) -> Doing {
    match call.name {
        "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg" | "sendfile" => Doing::Sends,
        "read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg" => Doing::Reads,
        // It may go either way; from a socket it reads.
        "splice" => match (call.before.as_ref(), call.arguments.first()) {
            (Some((fd, _)), Some((_, Value::Fd(from)))) if u32::try_from(*from) == Ok(fd.0) => {
                Doing::Reads
            }
            _ => Doing::Sends,
        },
        "accept" | "accept4" => Doing::Accepts,
        "connect" => Doing::Connects,
        "close" | "shutdown" => Doing::Closes,
        _ => Doing::Other,
    }
}

fn is_accept(name: &str) -> bool {
    matches!(name, "accept" | "accept4")
}

/// States after which a 4-tuple may be another conversation's.
fn is_last(state: State) -> bool {
    matches!(state, State::Closed | State::TimeWait)
}
