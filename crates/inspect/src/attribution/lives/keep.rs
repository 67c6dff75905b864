//! Which lives are remembered, and by what names.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;

use super::{LIMIT, Life, Lives, Role, Serial, USERS, User};
use crate::life::{Process, Socket};
use crate::model::{Endpoint, Fd, Timestamp};

/// How many living ones are passed over, each time, in the search for one that may be over.
const CHANCES: u32 = 16;

impl Lives {
    /// The life of this socket, if one is known.
    pub(super) fn find(&self, socket: &Socket) -> Option<Serial> {
        if let Some(serial) = socket.cookie.and_then(|it| self.by_cookie.get(&it)) {
            return Some(*serial);
        }
        let serial = *self.by_inode.get(&socket.inode?)?;
        let life = self.lives.get(&serial)?;
        // A cookie is given later, and never changed.
        let same = life.socket.cookie.is_none() || socket.cookie.is_none();
        same.then_some(serial)
    }

    pub(super) fn begin(&mut self, socket: Socket, born: Option<Timestamp>) -> Serial {
        self.make_room();
        let serial = self.next;
        self.next += 1;
        let unbound = Endpoint::new(Ipv4Addr::UNSPECIFIED.into(), 0);
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
    pub(super) fn again(&mut self, serial: Serial, time: Timestamp) -> Serial {
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

    pub(super) fn has_had_ends(&self, serial: Serial) -> bool {
        self.lives
            .get(&serial)
            .is_some_and(|life| life.in_ends || life.in_port || life.ended.is_some())
    }

    pub(super) fn set(&mut self, serial: Serial, change: impl FnOnce(&mut Life)) {
        if let Some(life) = self.lives.get_mut(&serial) {
            change(life);
        }
    }

    /// Remembers the names that a socket has now.
    pub(super) fn identify(&mut self, serial: Serial, socket: &Socket) {
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

    pub(super) fn used_by(&mut self, serial: Serial, user: Option<(Process, Option<Fd>)>) {
        let (Some((process, fd)), Some(life)) = (user, self.lives.get_mut(&serial)) else {
            return;
        };
        let (process, is_renamed) = self.processes.named(process, self.latest);
        if is_renamed {
            self.changes += 1;
            self.renames += 1;
        }
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
            None => {
                // A socket that is handed on for ever has few users at a time.
                if life.users.len() >= USERS {
                    let processes = &self.processes;
                    life.users.retain(|user| !processes.is_over(user));
                }
                if life.users.len() >= USERS {
                    return;
                }
                life.users.push(User { process, fd });
            }
        }
        life.version = life.version.wrapping_add(1);
        self.changes += 1;
    }

    /// Makes a life known by its ends, as far as they are set now.
    pub(super) fn index(&mut self, serial: Serial, socket: &Socket) {
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

    pub(super) fn end(&mut self, serial: Serial, time: Timestamp) {
        if let Some(life) = self.lives.get_mut(&serial)
            && life.ended.is_none()
        {
            life.ended = Some(time);
            self.ended.push_back(serial);
        }
    }

    /// Half of the room is for those that ended: a packet may come after the end of its socket.
    /// Of the others go first those that may be over, though the kernel does not tell. Whoever is
    /// forgotten alive is found by a look at the tables.
    fn make_room(&mut self) {
        while self.lives.len() >= LIMIT {
            let ended = (self.ended.len() > LIMIT / 2).then(|| self.ended.pop_front());
            let oldest = ended.flatten().or_else(|| self.dispensable());
            let Some(serial) = oldest.or_else(|| self.ended.pop_front()) else {
                return;
            };
            self.forget(serial);
        }
        if self.begun.len() > 2 * LIMIT {
            self.begun.retain(|serial| self.lives.contains_key(serial));
        }
    }

    /// One that has not ended, as far as it is told: of the oldest few one that may be over
    /// nevertheless, or just the oldest.
    fn dispensable(&mut self) -> Option<Serial> {
        let mut chances = CHANCES;
        while let Some(serial) = self.begun.pop_front() {
            let Some(life) = self.lives.get(&serial) else {
                continue;
            };
            // It has its place among those.
            if life.ended.is_some() {
                continue;
            }
            let may_be_over = matches!(life.role, Role::Datagram | Role::Unknown)
                || life.users.iter().all(|user| self.processes.is_over(user));
            if may_be_over || chances == 0 {
                return Some(serial);
            }
            chances -= 1;
            self.begun.push_back(serial);
        }
        None
    }

    fn forget(&mut self, serial: Serial) {
        let Some(life) = self.lives.remove(&serial) else {
            return;
        };
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
