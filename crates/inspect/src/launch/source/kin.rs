//! The descendants of this process, as /proc tells their parents.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

    /// Takes in a child that this process has started, and every descendant of it that is seen
    /// while `lives` holds: one that connects, talks and ends is otherwise gone when it is asked
    /// about. Who lives for less than a millisecond may be missed; that is not known of it, then.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn watch(&self, child: Pid, lives: impl Fn() -> bool + Send + 'static) -> io::Result<()> {
        let kin = self.clone();
        kin.see(child);
        std::thread::Builder::new()
            .name("inspect-children".to_owned())
            .spawn(move || {
                while lives() {
                    let start = Instant::now();
                    let mut waiting = vec![child];
                    while let Some(pid) = waiting.pop() {
                        waiting.extend(children(pid));
                        kin.see(pid);
                    }
                    // A tenth of a processor at most.
                    std::thread::sleep(EVERY.max(start.elapsed().saturating_mul(9)));
                }
            })?;
        Ok(())
    }

    fn see(&self, descendant: Pid) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
        let mut family = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        family.take_in(descendant, Timestamp::from_nanos(now));
    }

    /// Whether a process, which started then, descends from this one; `None` when it has ended
    /// before anybody asked. Who looks at processes asks of each that it sees, while it lives.
    pub fn has(&self, pid: Pid, started: Option<Timestamp>) -> Option<bool> {
        let mut family = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        family.has(pid, started, &mut parent)
    }
}

/// How often children are listed.
const EVERY: Duration = Duration::from_millis(1);

/// The living children of a process, by each of its threads (proc_pid_children(5)). The kernel
/// may leave one out while others end; the next time lists it.
fn children(pid: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(thread.path().join("children"));
        let text = text.unwrap_or_default();
        found.extend(
            text.split_whitespace()
                .filter_map(|it| it.parse().ok())
                .map(Pid),
        );
    }
    found
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
