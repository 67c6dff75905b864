//! Which event is of which conversation.

use std::collections::HashMap;

use super::{Conversation, Doing, Event, SegmentSeen, Side, What, doing, is_last, join, order};
use crate::capture::Flags;
use crate::model::{Cookie, Endpoint, Gap, Origin, Protocol, State, Timestamp};
use crate::trace::{Call, Outcome, StateChange};

/// Events kept at once, of all conversations that go on; more are counted and left out. One is
/// some 1.5 KiB.
const MOST: usize = 100_000;
/// Sockets that begin to connect and have not got a port, at once.
const MOST_CONNECTING: usize = 65_536;

/// Both ends of a conversation, the lower first.
type Key = (Endpoint, Endpoint);

/// What was told of the conversations that go on.
#[derive(Debug, Default)]
pub struct Timeline {
    groups: HashMap<Key, Group>,
    kept: usize,
    left_out: u64,
    /// A socket begins to connect before it has a port; by its cookie.
    without_port: HashMap<Cookie, StateChange>,
}

/// What was told between two ends, in the order in which it came.
#[derive(Debug)]
struct Group {
    told: Vec<Told>,
    last: Timestamp,
    /// By which end a FIN was sent; a RST ends both.
    closed: [bool; 2],
}

#[derive(Debug)]
struct Told {
    time: Timestamp,
    ends: (Endpoint, Endpoint),
    what: What,
}

/// A conversation that goes on while events are sorted into it.
#[derive(Debug)]
struct Growing {
    conversation: Conversation,
    opened: Opened,
    /// Ends whose last words were seen, by FIN; a RST ends both.
    closed: [bool; 2],
    is_over: bool,
    opening_seq: Option<u32>,
}

/// By what it is known who opened it; the later the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Opened {
    Ports,
    Call,
    Segment,
}

impl Timeline {
    /// Takes a call. One on a socket without a connection is of no conversation.
    pub fn call(&mut self, call: Call) {
        let time = match (doing(&call), call.duration_ns) {
            (Doing::Reads | Doing::Accepts, Some(duration)) => after(call.time, duration),
            _ => call.time,
        };
        let is_connected =
            |(local, remote): &(Endpoint, Endpoint)| local.port != 0 && remote.port != 0;
        let of = |held: Option<&(crate::model::Fd, crate::trace::Socket)>| {
            held.filter(|(_, socket)| socket.protocol == TCP)
                .and_then(|(_, socket)| socket.ends)
                .filter(is_connected)
        };
        let ends = match doing(&call) {
            Doing::Accepts => of(call.after.as_ref()),
            _ => of(call.before.as_ref()).or_else(|| of(call.after.as_ref())),
        };
        if let Some((local, remote)) = ends {
            let ends = (local.on_the_wire(), remote.on_the_wire());
            self.add(time, ends, What::Call(Box::new(call)));
        }
    }

    /// Takes a change of states. One of a socket without a port waits for the next of it.
    pub fn state(&mut self, change: StateChange) {
        let Some((local, remote)) = change.socket.ends else {
            return;
        };
        let cookie = change.socket.cookie;
        if local.port == 0 {
            if let Some(cookie) = cookie.filter(|_| self.without_port.len() < MOST_CONNECTING) {
                self.without_port.insert(cookie, change);
            }
            return;
        }
        if remote.port == 0 {
            return;
        }
        if let Some(mut first) = cookie.and_then(|cookie| self.without_port.remove(&cookie)) {
            first.socket.ends = change.socket.ends;
            self.state(first);
        }
        let ends = (local.on_the_wire(), remote.on_the_wire());
        self.add(change.time, ends, What::State(Box::new(change)));
    }

    /// Takes a segment.
    pub fn segment(&mut self, segment: SegmentSeen) {
        let ends = (
            segment.source.on_the_wire(),
            segment.destination.on_the_wire(),
        );
        self.add(segment.time, ends, What::Segment(Box::new(segment)));
    }

    fn add(&mut self, time: Timestamp, ends: (Endpoint, Endpoint), what: What) {
        if self.kept >= MOST {
            self.left_out += 1;
            return;
        }
        self.kept += 1;
        let (local, remote) = ends;
        let key = (local.min(remote), local.max(remote));
        let group = self.groups.entry(key).or_insert_with(|| Group {
            told: Vec::new(),
            last: time,
            closed: [false; 2],
        });
        group.last = group.last.max(time);
        if let What::Segment(segment) = &what {
            if segment.flags.has(Flags::RST) {
                group.closed = [true; 2];
            }
            if segment.flags.has(Flags::FIN) {
                group.closed[usize::from(local < remote)] = true;
            }
        }
        group.told.push(Told { time, ends, what });
    }

    /// What there was no room for.
    pub fn gaps(&self) -> Vec<Gap> {
        match self.left_out {
            0 => Vec::new(),
            count => vec![Gap::counted(
                Origin::Timeline,
                "events left out: there were too many for one timeline",
                count,
            )],
        }
    }

    /// Takes out those that were closed by both sides and of which nothing was told since this
    /// moment, in the order in which they began.
    pub fn take_closed(&mut self, since: Timestamp) -> Vec<Conversation> {
        let is_over = |group: &Group| group.closed == [true; 2] && group.last < since;
        let over = self.groups.extract_if(|_, group| is_over(group));
        let over: Vec<Group> = over.map(|(_, group)| group).collect();
        self.kept -= over.iter().map(|group| group.told.len()).sum::<usize>();
        conversations(over)
    }

    /// The conversations that are left, in the order in which they began.
    pub fn conversations(self) -> Vec<Conversation> {
        conversations(self.groups.into_values().collect())
    }
}

fn conversations(groups: Vec<Group>) -> Vec<Conversation> {
    let mut all = Vec::new();
    for mut group in groups {
        // Stable: what came first of one moment stays first.
        group.told.sort_by_key(|told| told.time);
        let mut current: Option<Growing> = None;
        for told in group.told {
            if let Some(over) = current.take_if(|it| it.begins_anew(&told.what)) {
                all.push(over.finish());
            }
            let ends = told.ends;
            current.get_or_insert_with(|| Growing::new(ends)).add(told);
        }
        all.extend(current.map(Growing::finish));
    }
    // Who closes its descriptor long after the last packet adds nothing to what was shown.
    all.retain(|conversation| {
        let is_rest = |event: &Event| match &event.what {
            What::Call(call) => !matches!(doing(call), Doing::Connects | Doing::Accepts),
            What::State(_) => true,
            What::Segment(_) => false,
        };
        !conversation.events.iter().all(is_rest)
    });
    all.sort_by_key(|conversation| conversation.events.first().map(|event| event.time));
    all
}

/// IPPROTO_TCP.
const TCP: u16 = 6;

fn after(time: Timestamp, nanoseconds: u64) -> Timestamp {
    let nanoseconds = i64::try_from(nanoseconds).unwrap_or(i64::MAX);
    Timestamp::from_nanos(time.as_nanos().saturating_add(nanoseconds))
}

impl Growing {
    fn new((local, remote): (Endpoint, Endpoint)) -> Self {
        // Until better is known, servers have the lower ports.
        let (client, server) = match local.port >= remote.port {
            true => (local, remote),
            false => (remote, local),
        };
        Self {
            conversation: Conversation {
                protocol: Protocol::Tcp,
                client,
                server,
                is_opening_seen: false,
                events: Vec::new(),
            },
            opened: Opened::Ports,
            closed: [false; 2],
            is_over: false,
            opening_seq: None,
        }
    }

    /// Whether an event belongs to a later conversation between the same ends.
    fn begins_anew(&self, what: &What) -> bool {
        match what {
            What::Segment(segment) => {
                let opens = segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::ACK);
                let is_again = self.opening_seq == Some(segment.seq);
                opens && !is_again && (self.is_over || self.closed == [true; 2])
            }
            What::State(change) => self.is_over && change.to == State::SynSent,
            What::Call(call) => self.is_over && doing(call) == Doing::Connects,
        }
    }

    fn opened_by(&mut self, how: Opened, (client, server): (Endpoint, Endpoint)) {
        if how > self.opened {
            self.opened = how;
            self.conversation.client = client;
            self.conversation.server = server;
            self.conversation.is_opening_seen = true;
        }
    }

    fn add(&mut self, told: Told) {
        let (local, remote) = told.ends;
        match &told.what {
            What::Call(call) => match doing(call) {
                Doing::Connects if !matches!(call.outcome, Outcome::Lost) => {
                    self.opened_by(Opened::Call, (local, remote));
                }
                Doing::Accepts => self.opened_by(Opened::Call, (remote, local)),
                _ => {}
            },
            What::State(change) => {
                if change.to == State::SynSent {
                    self.opened_by(Opened::Call, (local, remote));
                }
                // The first of both ends that is gone is enough: no more can come.
                self.is_over |= is_last(change.to);
            }
            What::Segment(segment) => {
                let flags = segment.flags;
                if flags.has(Flags::SYN) && !flags.has(Flags::ACK) {
                    self.opened_by(Opened::Segment, (local, remote));
                    self.opening_seq = Some(segment.seq);
                }
                if flags.has(Flags::RST) {
                    self.closed = [true; 2];
                }
                if flags.has(Flags::FIN) {
                    self.closed[usize::from(local < remote)] = true;
                }
            }
        }
        let id = self.conversation.events.len();
        self.conversation.events.push(Event {
            id,
            time: told.time,
            // Known at the end.
            side: match local == self.conversation.client {
                true => Side::Client,
                false => Side::Server,
            },
            what: told.what,
            links: Vec::new(),
            is_again: false,
        });
    }

    fn finish(mut self) -> Conversation {
        let conversation = &mut self.conversation;
        for index in 0..conversation.events.len() {
            let local = match &conversation.events[index].what {
                What::Segment(segment) => segment.source.on_the_wire(),
                What::State(change) => match change.socket.ends {
                    Some((local, _)) => local.on_the_wire(),
                    None => continue,
                },
                What::Call(call) => {
                    let held = match doing(call) {
                        Doing::Accepts => call.after,
                        _ => call
                            .before
                            .filter(|(_, it)| it.ends.is_some_and(|(local, _)| local.port != 0))
                            .or(call.after),
                    };
                    match held.and_then(|(_, socket)| socket.ends) {
                        Some((local, _)) => local.on_the_wire(),
                        None => continue,
                    }
                }
            };
            if let Some(side) = conversation.side_of(local) {
                conversation.events[index].side = side;
            }
        }
        join::join(conversation);
        order::order(conversation);
        self.conversation
    }
}
