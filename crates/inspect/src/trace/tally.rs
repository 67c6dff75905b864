//! Calls counted: by their names, and by the descriptors that they were about. Pure.

use std::collections::HashMap;

use super::{Call, Outcome, Process, Socket};
use crate::model::{Fd, Inode, Pid};

/// Descriptors that are counted apart; the calls on others are counted together.
const MOST: usize = 10_000;

/// What calls of one name came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// How many there were.
    pub calls: u64,
    /// How many failed.
    pub errors: u64,
    /// How long they took all together, nanoseconds.
    pub time_ns: u64,
    /// Bytes that were written, and read.
    pub bytes: (u64, u64),
}

/// What happened on one descriptor while it was one socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDescriptor {
    /// Whose it is.
    pub process: Process,
    /// Its number.
    pub fd: Fd,
    /// The socket, as it was last.
    pub socket: Socket,
    /// The calls on it.
    pub sum: Sum,
}

/// The sums.
#[derive(Debug, Default)]
pub struct Tally {
    names: HashMap<&'static str, Sum>,
    descriptors: HashMap<(Pid, Fd, Option<Inode>), OnDescriptor>,
    others: u64,
}

impl Tally {
    /// Counts a call.
    pub fn add(&mut self, call: &Call) {
        let mut one = Sum {
            calls: 1,
            time_ns: call.duration_ns.unwrap_or(0),
            ..Sum::default()
        };
        match call.outcome {
            Outcome::Returned(number) => {
                let moved = u64::try_from(number).unwrap_or(0);
                match call.name {
                    "write" | "writev" | "sendto" | "sendmsg" | "sendfile" => one.bytes.0 = moved,
                    "read" | "readv" | "recvfrom" | "recvmsg" => one.bytes.1 = moved,
                    _ => {}
                }
            }
            Outcome::Failed(_) => one.errors = 1,
            Outcome::ThreadEnded | Outcome::StillWaits | Outcome::Lost => {}
        }
        self.names.entry(call.name).or_default().add(one);
        let (Some(fd), Some(socket)) = (call.fd(), call.socket()) else {
            return;
        };
        let key = (call.process.pid, fd, socket.inode);
        if self.descriptors.len() >= MOST && !self.descriptors.contains_key(&key) {
            self.others += 1;
            return;
        }
        let known = self.descriptors.entry(key).or_insert_with(|| OnDescriptor {
            process: call.process.clone(),
            fd,
            socket: *socket,
            sum: Sum::default(),
        });
        // One that was refused has forgotten where to.
        if socket.ends.is_some_and(|(_, remote)| remote.port != 0) || known.socket.ends.is_none() {
            known.socket = *socket;
        }
        known.sum.add(one);
    }

    /// By name: what took longest first.
    pub fn names(&self) -> Vec<(&'static str, Sum)> {
        let mut names: Vec<_> = self.names.iter().map(|(name, sum)| (*name, *sum)).collect();
        names.sort_by(|(one, a), (other, b)| b.time_ns.cmp(&a.time_ns).then(one.cmp(other)));
        names
    }

    /// By descriptor, in the order of processes and numbers.
    pub fn descriptors(&self) -> Vec<&OnDescriptor> {
        let mut all: Vec<_> = self.descriptors.values().collect();
        all.sort_by_key(|it| (it.process.pid, it.fd, it.socket.inode));
        all
    }

    /// Calls on descriptors beyond those that are counted apart.
    pub fn others(&self) -> u64 {
        self.others
    }
}

impl Sum {
    fn add(&mut self, more: Self) {
        self.calls += more.calls;
        self.errors += more.errors;
        self.time_ns = self.time_ns.saturating_add(more.time_ns);
        self.bytes.0 = self.bytes.0.saturating_add(more.bytes.0);
        self.bytes.1 = self.bytes.1.saturating_add(more.bytes.1);
    }
}
