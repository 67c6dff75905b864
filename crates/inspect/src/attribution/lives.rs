//! The lives of sockets, as the kernel told of them: who had a socket when a packet passed.
//!
//! Keyed by the socket, never by its ends alone: two sockets that had the same ends one after the
//! other are told apart by when they lived, and equal ends in two network namespaces by those.

mod processes;

use std::collections::{HashMap, VecDeque};

use super::{Attribution, Grounds};
use crate::life::{Call, Change, Event, Process, Socket};
use crate::model::{
    Cookie, Endpoint, Fd, Inode, NetworkNamespace, Owner, Protocol, State, Timestamp,
};
use processes::Processes;

/// Lives remembered at once, some 300 bytes each. Those that ended first make room first.
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
    renames: u64,
    latest: Option<Timestamp>,
    forgotten: u64,
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

    /// Sockets that were alive, as far as known, and had to make room for others.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Something was lost, and it cannot be told what: whose end was lost would have the ends of
    /// those that come after it. So nothing that was told holds any more.
    pub fn forget_all(&mut self) {
        *self = Self {
            next: self.next,
            changes: self.changes + 1,
            renames: self.renames,
            forgotten: self.forgotten,
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

    /// The life of this socket, if one is known.
    fn find(&self, socket: &Socket) -> Option<Serial> {
        if let Some(serial) = socket.cookie.and_then(|it| self.by_cookie.get(&it)) {
            return Some(*serial);
        }
        let serial = *self.by_inode.get(&socket.inode?)?;
        let life = self.lives.get(&serial)?;
        // A cookie is given later, and never changed.
        let same = life.socket.cookie.is_none() || socket.cookie.is_none();
        same.then_some(serial)
    }

    fn begin(&mut self, socket: Socket, born: Option<Timestamp>) -> Serial {
        self.make_room();
        let serial = self.next;
        self.next += 1;
        let unbound = Endpoint::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0);
        self.lives.insert(
            serial,
            Life {
                socket: Socket {
                    local: unbound,
                    remote: unbound,
                    ..socket
                },
                role: Role::Unknown,
                since: born,
                born,
                ended: None,
                users: Vec::new(),
                sent: false,
                in_ends: false,
                in_port: false,
                version: 0,
            },
        );
        self.begun.push_back(serial);
        self.identify(serial, &socket);
        serial
    }

    /// The same socket begins a life with other ends.
    fn again(&mut self, serial: Serial, time: Timestamp) -> Serial {
        self.end(serial, time);
        let Some(life) = self.lives.get(&serial) else {
            return serial;
        };
        let (socket, users, born) = (life.socket, life.users.clone(), life.born);
        let next = self.begin(socket, Some(time));
        self.set(next, |life| {
            life.users = users;
            life.born = born;
        });
        next
    }

    fn has_had_ends(&self, serial: Serial) -> bool {
        self.lives
            .get(&serial)
            .is_some_and(|life| life.in_ends || life.in_port || life.ended.is_some())
    }

    fn set(&mut self, serial: Serial, change: impl FnOnce(&mut Life)) {
        if let Some(life) = self.lives.get_mut(&serial) {
            change(life);
        }
    }

    /// Remembers the names that a socket has now.
    fn identify(&mut self, serial: Serial, socket: &Socket) {
        let Some(life) = self.lives.get_mut(&serial) else {
            return;
        };
        life.socket.user = socket.user.or(life.socket.user);
        if let Some(cookie) = socket.cookie {
            life.socket.cookie = Some(cookie);
            self.by_cookie.insert(cookie, serial);
        }
        if let Some(inode) = socket.inode {
            life.socket.inode = Some(inode);
            self.by_inode.insert(inode, serial);
        }
    }

    fn used_by(&mut self, serial: Serial, user: Option<(Process, Option<Fd>)>) {
        let (Some((process, fd)), Some(life)) = (user, self.lives.get_mut(&serial)) else {
            return;
        };
        let process = self.processes.named(process);
        let known = life.users.iter().position(|user| {
            (user.process.pid, user.process.started_ns) == (process.pid, process.started_ns)
        });
        match known {
            Some(index) => {
                let user = &mut life.users[index];
                if fd.is_none() || user.fd == fd {
                    return;
                }
                user.fd = fd;
            }
            None if life.users.len() < USERS => life.users.push(User { process, fd }),
            None => return,
        }
        life.version = life.version.wrapping_add(1);
        self.changes += 1;
    }

    /// Makes a life known by its ends, as far as they are set now.
    fn index(&mut self, serial: Serial, socket: &Socket) {
        let Some(life) = self.lives.get_mut(&serial) else {
            return;
        };
        if life.ended.is_some() || socket.local.port == 0 {
            return;
        }
        let waits = matches!(life.role, Role::Listener) || socket.remote.port == 0;
        if waits {
            let may_wait = matches!(life.role, Role::Listener | Role::Datagram);
            if life.in_port || life.in_ends || !may_wait {
                return;
            }
            life.in_port = true;
            life.socket.local = socket.local;
            life.socket.reuse = socket.reuse;
            let key = (socket.namespace, socket.protocol, socket.local.port);
            self.by_port.entry(key).or_default().push_back(serial);
        } else {
            if life.in_ends {
                return;
            }
            life.in_ends = true;
            life.socket.local = socket.local;
            life.socket.remote = socket.remote;
            let key = (life.place(), socket.remote);
            self.by_ends.entry(key).or_default().push_back(serial);
        }
        life.version = life.version.wrapping_add(1);
        self.changes += 1;
    }

    fn end(&mut self, serial: Serial, time: Timestamp) {
        if let Some(life) = self.lives.get_mut(&serial)
            && life.ended.is_none()
        {
            life.ended = Some(time);
            self.ended.push_back(serial);
        }
    }

    fn make_room(&mut self) {
        while self.lives.len() >= LIMIT {
            let oldest = self.ended.pop_front().or_else(|| self.begun.pop_front());
            let Some(serial) = oldest else { return };
            self.forget(serial);
        }
        if self.begun.len() > 2 * LIMIT {
            self.begun.retain(|serial| self.lives.contains_key(serial));
        }
    }

    fn forget(&mut self, serial: Serial) {
        let Some(life) = self.lives.remove(&serial) else {
            return;
        };
        if life.ended.is_none() && !life.users.iter().all(|it| self.processes.is_over(it)) {
            self.forgotten += 1;
        }
        // Another life may have the name by now.
        if let Some(cookie) = life.socket.cookie
            && self.by_cookie.get(&cookie) == Some(&serial)
        {
            self.by_cookie.remove(&cookie);
        }
        if let Some(inode) = life.socket.inode
            && self.by_inode.get(&inode) == Some(&serial)
        {
            self.by_inode.remove(&inode);
        }
        if life.in_ends {
            take_out(
                &mut self.by_ends,
                (life.place(), life.socket.remote),
                serial,
            );
        }
        if life.in_port {
            let (namespace, protocol, local) = life.place();
            take_out(&mut self.by_port, (namespace, protocol, local.port), serial);
        }
    }
}

fn take_out<K: Eq + std::hash::Hash>(
    index: &mut HashMap<K, VecDeque<Serial>>,
    key: K,
    serial: Serial,
) {
    use std::collections::hash_map::Entry;
    let Entry::Occupied(mut entry) = index.entry(key) else {
        return;
    };
    // The oldest goes first, but for a few.
    if let Some(at) = entry.get().iter().position(|it| *it == serial) {
        entry.get_mut().remove(at);
    }
    if entry.get().is_empty() {
        entry.remove();
    }
}

mod ask;
#[cfg(test)]
mod tests;
