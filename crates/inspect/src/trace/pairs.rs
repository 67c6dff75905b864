//! Moments and pieces -> whole calls. Pure.

use std::collections::HashMap;

use super::raw::{Finish, Held, Memory, Place, RawCall};
use super::{Process, Socket};
use crate::bpf::{Moment, MomentKind, Piece, TracedSocket};
use crate::model::{Pid, State};

/// Threads that can be in a call, or of which pieces can wait for their moment, at once; more are
/// forgotten and counted.
const MOST: usize = 131_072;

/// ERESTARTSYS to ERESTART_RESTARTBLOCK (include/linux/errno.h).
const RESTARTED: std::ops::RangeInclusive<i64> = -516..=-512;

/// Calls that have begun.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// By thread. Numbers are used again, but only after an end was told.
    within: HashMap<Pid, RawCall>,
    /// Pieces that wait for their moment.
    pieces: HashMap<Pid, HashMap<Place, Memory>>,
    /// Calls that a signal broke off: the kernel makes them again, or the thread ends of it.
    broken_off: HashMap<Pid, RawCall>,
    /// Beginnings and ends that did not find each other.
    lost: u64,
}

/// What a moment completes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Completed {
    /// A call.
    Call(Box<RawCall>),
    /// A change of states, and when.
    State(Socket, State, State, u64),
    /// A process that has begun, and the number of its parent.
    Fork(Process, Pid),
    /// A process that runs another program.
    Exec(Process),
    /// A process that has ended.
    Exit(Process),
}

impl Pairs {
    /// Memory, of the next moment of its thread.
    pub(super) fn piece(&mut self, piece: &Piece<'_>) {
        if self.pieces.len() >= MOST {
            self.pieces.clear();
            self.lost += 1;
        }
        let place = Place {
            piece: piece.index,
            message: piece.message,
            role: piece.role,
            part: piece.part,
        };
        let memory = Memory {
            length: piece.length,
            bytes: piece.bytes.map(<[u8]>::to_vec),
        };
        self.pieces
            .entry(piece.tid)
            .or_default()
            .insert(place, memory);
    }

    /// A moment; what it completes is handed over.
    pub(super) fn moment(&mut self, moment: &Moment, complete: &mut dyn FnMut(Completed)) {
        let process = moment.pid.map(|pid| Process {
            pid,
            started_ns: moment.started_ns,
            command: moment.command(),
        });
        match (moment.kind, process) {
            (MomentKind::State, _) => {
                let Some(socket) = moment.socket else { return };
                let states = [socket.old_state, socket.state].map(State::from_tcp_number);
                if let [Some(from), Some(to)] = states {
                    complete(Completed::State(held(&socket), from, to, moment.time_ns));
                }
            }
            (MomentKind::Began, Some(process)) => self.began(moment, process, complete),
            (MomentKind::Ended, Some(process)) => self.ended(moment, process, complete),
            (MomentKind::Fork, Some(process)) => {
                let parent = u32::try_from(moment.result).unwrap_or(0);
                complete(Completed::Fork(process, Pid(parent)));
            }
            (MomentKind::Exec, Some(process)) => complete(Completed::Exec(process)),
            (MomentKind::ThreadExit, Some(_)) => self.thread_ended(moment, complete),
            (MomentKind::Exit, Some(process)) => {
                self.thread_ended(moment, complete);
                complete(Completed::Exit(process));
            }
            // Not to be seen from here.
            (_, None) => {}
        }
    }

    fn began(&mut self, moment: &Moment, process: Process, complete: &mut dyn FnMut(Completed)) {
        let memory = self.pieces.remove(&moment.tid).unwrap_or_default();
        if let Some(call) = self.broken_off.remove(&moment.tid) {
            complete(Completed::Call(Box::new(call)));
        }
        if self.within.len() >= MOST {
            self.lost += u64::try_from(self.within.len()).unwrap_or(u64::MAX);
            self.within.clear();
        }
        let call = RawCall {
            process,
            tid: moment.tid,
            number: moment.number,
            arguments: moment.arguments,
            began_ns: Some(moment.time_ns),
            ended_ns: None,
            finish: Finish::Lost,
            before: socket(moment),
            after: None,
            memory,
        };
        if let Some(unended) = self.within.insert(moment.tid, call) {
            complete(Completed::Call(Box::new(unended)));
        }
    }

    fn ended(&mut self, moment: &Moment, process: Process, complete: &mut dyn FnMut(Completed)) {
        let memory = self.pieces.remove(&moment.tid).unwrap_or_default();
        let begun = self.within.remove(&moment.tid);
        let mut call = match begun {
            Some(call) if call.number == moment.number => call,
            other => {
                if let Some(unended) = other {
                    complete(Completed::Call(Box::new(unended)));
                }
                RawCall {
                    process,
                    tid: moment.tid,
                    number: moment.number,
                    arguments: moment.arguments,
                    began_ns: None,
                    ended_ns: None,
                    finish: Finish::Lost,
                    before: None,
                    after: None,
                    memory: HashMap::new(),
                }
            }
        };
        // What could not be read at first is there now.
        call.memory.extend(memory);
        call.ended_ns = Some(moment.time_ns);
        call.finish = Finish::Returned(moment.result);
        call.after = socket(moment);
        if RESTARTED.contains(&moment.result) && self.broken_off.len() < MOST {
            self.broken_off.insert(moment.tid, call);
            return;
        }
        complete(Completed::Call(Box::new(call)));
    }

    fn thread_ended(&mut self, moment: &Moment, complete: &mut dyn FnMut(Completed)) {
        self.pieces.remove(&moment.tid);
        let within = self.within.remove(&moment.tid);
        if let Some(mut call) = within.or_else(|| self.broken_off.remove(&moment.tid)) {
            call.finish = Finish::ThreadEnded;
            call.ended_ns = Some(moment.time_ns);
            complete(Completed::Call(Box::new(call)));
        }
    }

    /// The calls that have not returned, in the order in which they began.
    pub(super) fn finish(&mut self, complete: &mut dyn FnMut(Completed)) {
        for (_, call) in self.broken_off.drain() {
            complete(Completed::Call(Box::new(call)));
        }
        let mut left: Vec<RawCall> = self.within.drain().map(|(_, call)| call).collect();
        left.sort_by_key(|call| call.began_ns);
        for mut call in left {
            call.finish = Finish::StillWaits;
            complete(Completed::Call(Box::new(call)));
        }
    }

    /// How many calls were forgotten because there were too many.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

fn socket(moment: &Moment) -> Option<Held> {
    Some(Held {
        fd: moment.fd?,
        socket: held(moment.socket.as_ref()?),
    })
}

/// SOCK_STREAM, IPPROTO_TCP and IPPROTO_MPTCP.
const STREAM: u8 = 1;
const TCP: u16 = 6;

fn held(socket: &TracedSocket) -> Socket {
    let is_tcp = socket.ends.is_some() && socket.protocol == TCP && socket.kind == STREAM;
    Socket {
        inode: socket.inode,
        cookie: socket.cookie,
        family: socket.family,
        kind: socket.kind,
        protocol: socket.protocol,
        state: is_tcp
            .then(|| State::from_tcp_number(socket.state))
            .flatten(),
        namespace: Some(socket.namespace),
        ends: socket.ends,
        sequences: is_tcp.then_some(socket.sequences),
    }
}
