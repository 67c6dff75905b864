//! Who descends from whom, by lines of parents. Pure.

use std::collections::HashMap;

use crate::model::{Pid, Timestamp};

/// The descendants of one process. What was once told of a process holds for its life.
#[derive(Debug)]
pub struct Family {
    ancestor: Pid,
    seen: HashMap<Pid, Timestamp>,
    known: HashMap<(Pid, Option<Timestamp>), bool>,
}

/// Processes remembered at once; then all are asked anew.
const REMEMBERED: usize = 65_536;
/// Lines are not longer than this, unless they change while they are read.
const LONGEST: usize = 4_096;
/// The clock of starts is so coarse (USER_HZ), and counts from a boot that is known to the second.
const TICK: i64 = 1_010_000_000;
/// How often a line is begun again, because one in it ended meanwhile.
const TRIES: usize = 8;

impl Family {
    /// The family of this process.
    pub fn of(ancestor: Pid) -> Self {
        Self {
            ancestor,
            seen: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// Takes in a descendant that was seen to be one, first at this time: it may have ended when
    /// it is asked about.
    pub fn take_in(&mut self, descendant: Pid, time: Timestamp) {
        if self.seen.len() >= REMEMBERED {
            self.seen.clear();
        }
        self.seen.entry(descendant).or_insert(time);
    }

    /// Whether a process descends from the ancestor, who is not his own descendant. `parent`
    /// tells the parent of a process, or `None` when it has ended. `None`: the process itself
    /// has ended before it was asked about.
    pub fn has(
        &mut self,
        pid: Pid,
        started: Option<Timestamp>,
        parent: &mut dyn FnMut(Pid) -> Option<Pid>,
    ) -> Option<bool> {
        // Who started later has the number after it.
        let is_it = |seen: &Timestamp| {
            started.is_none_or(|started| started.as_nanos() <= seen.as_nanos() + TICK)
        };
        if self.seen.get(&pid).is_some_and(is_it) {
            return Some(true);
        }
        if let Some(known) = self.known.get(&(pid, started)) {
            return Some(*known);
        }
        let found = self.line(pid, parent)?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert((pid, started), found);
        Some(found)
    }

    fn line(&self, pid: Pid, parent: &mut dyn FnMut(Pid) -> Option<Pid>) -> Option<bool> {
        if pid == self.ancestor {
            return Some(false);
        }
        for _ in 0..TRIES {
            let mut at = pid;
            for _ in 0..LONGEST {
                match parent(at) {
                    Some(above) if above == self.ancestor => return Some(true),
                    // The first process of a pid namespace has none inside.
                    Some(Pid(0)) => return Some(false),
                    Some(above) => at = above,
                    None if at == pid => return None,
                    // Its children have another parent now.
                    None => break,
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [(u32, u32); 7] = [
        (1, 0),
        (10, 1),
        (20, 10),
        (30, 20),
        (40, 30),
        (50, 10),
        (60, 50),
    ];

    fn parent(pid: Pid) -> Option<Pid> {
        let line = LINES.iter().find(|(child, _)| *child == pid.0);
        line.map(|(_, parent)| Pid(*parent))
    }

    #[test]
    fn children_and_their_children_are_of_the_family_and_no_others() {
        let mut family = Family::of(Pid(20));
        for (pid, expected) in [
            (30, Some(true)),
            (40, Some(true)),
            (20, Some(false)),
            (10, Some(false)),
            (1, Some(false)),
            (60, Some(false)),
            (99, None),
        ] {
            assert_eq!(family.has(Pid(pid), None, &mut parent), expected, "{pid}");
        }
    }

    #[test]
    fn what_is_known_outlives_the_process_but_not_its_number() {
        let mut family = Family::of(Pid(20));
        let first = Some(Timestamp::from_nanos(1));
        assert_eq!(family.has(Pid(40), first, &mut parent), Some(true));
        let mut gone = |_| None;
        assert_eq!(family.has(Pid(40), first, &mut gone), Some(true));
        let second = Some(Timestamp::from_nanos(2));
        assert_eq!(family.has(Pid(40), second, &mut gone), None);
    }

    #[test]
    fn who_was_seen_once_is_known_after_its_end_and_no_later_one_of_its_number() {
        let mut family = Family::of(Pid(20));
        let at = |seconds: i64| Timestamp::from_nanos(seconds * 1_000_000_000);
        family.take_in(Pid(77), at(10));
        let mut gone = |_| None;
        for (started, expected) in [
            (None, Some(true)),
            (Some(at(9)), Some(true)),
            (Some(at(12)), None),
        ] {
            assert_eq!(
                family.has(Pid(77), started, &mut gone),
                expected,
                "{started:?}"
            );
        }
    }

    #[test]
    fn a_parent_that_ends_meanwhile_is_no_end_of_the_line() {
        let mut asked = 0;
        let mut parent = |pid: Pid| {
            asked += 1;
            match (pid.0, asked) {
                (40, 1) => Some(Pid(30)),
                (30, _) => None,
                // Adopted.
                (40, _) => Some(Pid(20)),
                _ => parent(pid),
            }
        };
        let mut family = Family::of(Pid(20));
        assert_eq!(family.has(Pid(40), None, &mut parent), Some(true));
    }

    #[test]
    fn a_ring_of_parents_ends_too() {
        let mut ring = |pid: Pid| Some(Pid(if pid.0 == 5 { 6 } else { 5 }));
        assert_eq!(Family::of(Pid(1)).has(Pid(5), None, &mut ring), None);
    }
}
