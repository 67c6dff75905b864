//! The descendants of this process, as /proc tells their parents.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::launch::Family;
use crate::model::{Pid, Timestamp};

/// The descendants of this process; clones share what is known of them.
#[derive(Debug, Clone)]
pub struct Kin(Arc<Mutex<Family>>);

impl Kin {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let family = Family::of(Pid(std::process::id()));
        Self(Arc::new(Mutex::new(family)))
    }

    /// From now on every birth of a descendant is told by [`Self::born`], before anything else
    /// that it does.
    pub fn is_told(&self) {
        self.family().is_told();
    }

    /// A process was born, and started then.
    pub fn born(&self, pid: Pid, started: Option<Timestamp>, parent: Pid) {
        self.family().born(pid, started, parent);
    }

    /// Some births were lost.
    pub fn may_have_missed(&self) {
        self.family().may_have_missed();
    }

    /// Whether a process, which started then, descends from this one; `None` when it has ended
    /// before anybody asked. Who looks at processes asks of each that it sees, while it lives.
    pub fn has(&self, pid: Pid, started: Option<Timestamp>) -> Option<bool> {
        self.family().has(pid, started, &mut parent)
    }

    fn family(&self) -> MutexGuard<'_, Family> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fourth field of /proc/PID/stat (proc_pid_stat(5)), behind a name that may hold anything.
fn parent(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let behind = stat.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(stat.get(behind + 1..)?).ok()?;
    text.split_whitespace().nth(1)?.parse().ok().map(Pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_of_the_family_and_this_process_and_the_first_are_not() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let kin = Kin::of_this_process();
        let answers = [child.id(), std::process::id(), 1].map(|pid| kin.has(Pid(pid), None));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(answers, [Some(true), Some(false), Some(false)]);
        assert_eq!(kin.has(Pid(u32::MAX), None), None);
    }
}
