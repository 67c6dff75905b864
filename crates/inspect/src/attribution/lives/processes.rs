//! What became of the processes that use sockets.

use std::collections::{HashMap, VecDeque};

use super::User;
use crate::life::Process;
use crate::model::{ForeignText, Pid, Timestamp};

/// Processes remembered at once; the oldest make room.
const LIMIT: usize = 8_192;

/// Processes by number and start: a number is given again.
#[derive(Debug, Default)]
pub(super) struct Processes {
    known: HashMap<(Pid, u64), Known>,
    order: VecDeque<(Pid, u64)>,
}

#[derive(Debug)]
struct Known {
    command: ForeignText,
    /// Since when it has that name, if not always.
    renamed: Option<Timestamp>,
    ended: Option<Timestamp>,
}

fn key(process: &Process) -> (Pid, u64) {
    (process.pid, process.started_ns)
}

impl Processes {
    fn entry(&mut self, process: &Process) -> &mut Known {
        let key = key(process);
        if !self.known.contains_key(&key) {
            if self.order.len() >= LIMIT
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(key);
        }
        self.known.entry(key).or_insert_with(|| Known {
            command: process.command.clone(),
            renamed: None,
            ended: None,
        })
    }

    /// The process, with its name kept once; and whether it has given itself another since it was
    /// told of last (PR_SET_NAME of prctl(2)), which is seen at `time`.
    pub(super) fn named(&mut self, process: Process, time: Option<Timestamp>) -> (Process, bool) {
        let known = self.entry(&process);
        let is_renamed = known.command != process.command;
        if is_renamed {
            known.command = process.command.clone();
            known.renamed = time;
        }
        let command = known.command.clone();
        (Process { command, ..process }, is_renamed)
    }

    /// Another program runs in it.
    pub(super) fn rename(&mut self, process: Process, time: Timestamp) {
        let known = self.entry(&process);
        known.command = process.command;
        known.renamed = Some(time);
    }

    pub(super) fn end(&mut self, process: Process, time: Timestamp) {
        self.entry(&process).ended = Some(time);
    }

    /// The name that a user had at that time, as far as it is remembered: that of its latest
    /// program, if that had begun.
    pub(super) fn name_of(&self, user: &User, time: Timestamp) -> ForeignText {
        match self.known.get(&key(&user.process)) {
            Some(known) if known.renamed.is_some_and(|renamed| renamed <= time) => {
                known.command.clone()
            }
            _ => user.process.command.clone(),
        }
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self, user: &User) -> bool {
        self.ended(user).is_some()
    }

    /// When it ended.
    pub(super) fn ended(&self, user: &User) -> Option<Timestamp> {
        self.known.get(&key(&user.process))?.ended
    }
}
