//! The lives of sockets, as the kernel told of them: who had a socket when a packet passed.
//!
//! Keyed by the socket, never by its ends alone: two sockets that had the same ends one after the
//! other are told apart by when they lived, and equal ends in two network namespaces by those.

mod ask;
mod keep;
mod processes;

use std::collections::{HashMap, VecDeque};

use super::{Attribution, Grounds};
use crate::life::{Call, Change, Event, Process, Socket};
use crate::model::{
    Cookie, Endpoint, Fd, Inode, NetworkNamespace, Owner, Protocol, State, Timestamp,
};
use processes::Processes;

/// Lives remembered at once, some 800 bytes each with their names. Half of it is for those that
/// ended: at 10,000 new conversations a second on loopback those of 0.8 seconds, and a packet waits
/// for a tenth, unless the capture falls behind.
const LIMIT: usize = 32_768;
/// Processes that are remembered of one socket.
const USERS: usize = 32;
/// How far the kernel's two clocks are off each other at most after they were compared, and what
/// is cut off from a packet's time; nanoseconds.
const SLACK: i64 = 20_000;
/// A datagram is older than the return of the call that sent it, by so long at most where nothing
/// better is known; nanoseconds.
const SENDING: i64 = 5_000_000;

/// Sockets that were born, used or ended while we watched.
#[derive(Debug, Default)]
pub struct Lives {
    lives: HashMap<Serial, Life>,
    next: Serial,
    by_cookie: HashMap<Cookie, Serial>,
    by_inode: HashMap<Inode, Serial>,
    /// Both ends: the oldest first.
    by_ends: HashMap<(Place, Endpoint), VecDeque<Serial>>,
    /// The port alone, of those that wait for others or have no fixed peer.
    by_port: HashMap<(NetworkNamespace, Protocol, u16), VecDeque<Serial>>,
    /// In the order in which they ended, and in which they began. Some may be forgotten since.
    ended: VecDeque<Serial>,
    begun: VecDeque<Serial>,
    processes: Processes,
    changes: u64,
    /// How often a process got another name, or ended.
    renames: u64,
    latest: Option<Timestamp>,
}

/// Counts lives; never used twice.
type Serial = u64;

/// A protocol's own end in a network namespace.
type Place = (NetworkNamespace, Protocol, Endpoint);

/// One end of a conversation, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The network namespace the packet passed in.
    pub namespace: NetworkNamespace,
    /// Its protocol.
    pub protocol: Protocol,
    /// The end that is asked about, as the wire shows it.
    pub local: Endpoint,
    /// The other.
    pub remote: Endpoint,
    /// When the first packet of the conversation passed.
    pub time: Timestamp,
    /// When the packet passed: as what its process was known then.
    pub now: Timestamp,
    /// It was the SYN: the conversation began then, and not earlier.
    pub opening: bool,
    /// The address is one of this machine's, so that a socket of any address may have it.
    pub here: bool,
}

/// Which life an answer is from, and as of which change; another answer may be had when this
/// differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    serial: Serial,
    version: u32,
    renames: u64,
}

/// How a socket came to have its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nothing is known but that it is there.
    Unknown,
    /// It connects, or did.
    Active,
    /// It came out of a listener's queue, or waits in it.
    Passive,
    /// It waits for others.
    Listener,
    /// It has datagrams.
    Datagram,
}

#[derive(Debug)]
struct Life {
    socket: Socket,
    role: Role,
    /// When it began to have its ends; `None`: before we watched.
    since: Option<Timestamp>,
    /// When it was made; `None`: before we watched.
    born: Option<Timestamp>,
    ended: Option<Timestamp>,
    users: Vec<User>,
    /// It was seen to send.
    sent: bool,
    /// Where it stands in the indexes.
    in_ends: bool,
    in_port: bool,
    version: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    process: Process,
    fd: Option<Fd>,
}

impl Life {
    fn place(&self) -> Place {
        (
            self.socket.namespace,
            self.socket.protocol,
            self.socket.local,
        )
    }

    fn begins_before(&self, time: Timestamp) -> bool {
        self.since
            .is_none_or(|since| since.as_nanos() <= time.as_nanos().saturating_add(SLACK))
    }

    fn ends_before(&self, time: Timestamp) -> bool {
        self.ended
            .is_some_and(|ended| ended.as_nanos().saturating_add(SLACK) < time.as_nanos())
    }
}

impl Lives {
    /// How often something changed that an answer may depend on.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// When the latest of what was told happened. Who was asked for a time before it may get
    /// another answer for a later one.
    pub fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// Something was lost, and it cannot be told what: whose end was lost would have the ends of
    /// those that come after it. So nothing that was told holds any more.
    pub fn forget_all(&mut self) {
        *self = Self {
            next: self.next,
            changes: self.changes + 1,
            renames: self.renames,
            ..Self::default()
        };
    }

    /// Takes in what happened.
    pub fn tell(&mut self, event: Event) {
        let Event {
            time,
            change,
            process,
        } = event;
        self.latest = self.latest.max(Some(time));
        match change {
            Change::Exec => {
                if let Some(process) = process {
                    self.processes.rename(process, time);
                    self.changes += 1;
                    self.renames += 1;
                }
            }
            Change::Exit => {
                if let Some(process) = process {
                    self.processes.end(process, time);
                    self.changes += 1;
                    // Who has ended is named no more by what comes later.
                    self.renames += 1;
                }
            }
            // Who is whose child is no matter of sockets.
            Change::Fork(_) => {}
            Change::State(socket, from, to, fd) => {
                self.state(socket, (from, to), process.map(|it| (it, fd)), time);
            }
            Change::Call(socket, call, fd) => {
                self.call(socket, call, process.map(|it| (it, fd)), time);
            }
        }
    }

    fn state(
        &mut self,
        socket: Socket,
        change: (State, State),
        user: Option<(Process, Option<Fd>)>,
        time: Timestamp,
    ) {
        let found = self.find(&socket);
        match change {
            (_, State::SynSent) => {
                let serial = match found {
                    Some(serial) if self.has_had_ends(serial) => self.again(serial, time),
                    Some(serial) => serial,
                    None => self.begin(socket, Some(time)),
                };
                self.set(serial, |life| {
                    life.role = Role::Active;
                    life.since = Some(time);
                });
                self.identify(serial, &socket);
                self.used_by(serial, user);
            }
            (_, State::Listen) => {
                let serial = match found {
                    Some(serial) if self.has_had_ends(serial) => self.again(serial, time),
                    Some(serial) => serial,
                    None => self.begin(socket, None),
                };
                self.set(serial, |life| {
                    life.role = Role::Listener;
                    life.since = Some(time);
                });
                self.identify(serial, &socket);
                self.used_by(serial, user);
                self.index(serial, &socket);
            }
            (_, State::Closed) => {
                if let Some(serial) = found {
                    // A refused connection has its ends told here for the first time.
                    self.index(serial, &socket);
                    self.end(serial, time);
                }
            }
            (State::SynRecv, State::Established) => {
                let serial = found.unwrap_or_else(|| self.begin(socket, Some(time)));
                self.set(serial, |life| {
                    if life.role == Role::Unknown {
                        life.role = Role::Passive;
                        life.since = Some(time);
                    }
                });
                self.index(serial, &socket);
            }
            _ => {
                if let Some(serial) = found {
                    self.index(serial, &socket);
                }
            }
        }
    }

    fn call(
        &mut self,
        socket: Socket,
        call: Call,
        user: Option<(Process, Option<Fd>)>,
        time: Timestamp,
    ) {
        let found = self.find(&socket);
        if call == Call::Create {
            // What had its inode before is no more.
            if let Some(serial) = found {
                self.end(serial, time);
            }
            let serial = self.begin(socket, Some(time));
            self.used_by(serial, user);
            return;
        }
        let mut serial = found.unwrap_or_else(|| self.begin(socket, None));
        if socket.protocol == Protocol::Udp {
            // It turned to somebody else: who it was before it stays true of before.
            let elsewhere = self.lives.get(&serial).is_some_and(|life| {
                life.in_ends
                    && (life.socket.local, life.socket.remote) != (socket.local, socket.remote)
            });
            if elsewhere {
                serial = self.again(serial, time);
            }
            self.set(serial, |life| {
                life.role = Role::Datagram;
                life.sent |= call == Call::Send;
                if socket.local.port != 0 && life.socket.local.port == 0 || life.since.is_none() {
                    life.since = match (call, life.born) {
                        (Call::Bind, _) => Some(time),
                        // Where it was made before we watched, so was all else, perhaps.
                        (_, None) => None,
                        // The port was chosen during the call.
                        (_, Some(born)) => {
                            let sending = time.as_nanos().saturating_sub(SENDING);
                            Some(born.max(Timestamp::from_nanos(sending)))
                        }
                    };
                }
            });
        } else {
            self.set(serial, |life| {
                if call == Call::Accept && life.role == Role::Unknown {
                    life.role = Role::Passive;
                }
            });
        }
        self.identify(serial, &socket);
        self.used_by(serial, user);
        self.index(serial, &socket);
    }
}

#[cfg(test)]
mod tests;
