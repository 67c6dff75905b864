//! Who descends from whom, by lines of parents. Pure.

use std::collections::{HashMap, HashSet};

use crate::model::{Pid, Timestamp};

/// The descendants of one process. What was once told of a process holds for its life.
#[derive(Debug)]
pub struct Family {
    ancestor: Pid,
    known: HashMap<(Pid, Option<Timestamp>), bool>,
    /// Descendants by what was told of their births: numbers that nobody else had since.
    told: HashSet<Pid>,
    /// Every birth is told, so that who is not of the family is of another.
    is_told: bool,
}

/// Processes remembered at once; then all are asked anew.
const REMEMBERED: usize = 65_536;
/// Lines are not longer than this, unless they change while they are read.
const LONGEST: usize = 4_096;
/// How often a line is begun again, because one in it ended meanwhile.
const TRIES: usize = 8;

impl Family {
    /// The family of this process.
    pub fn of(ancestor: Pid) -> Self {
        Self {
            ancestor,
            known: HashMap::new(),
            told: HashSet::new(),
            is_told: false,
        }
    }

    /// From now on every birth of a descendant is told, before anything else that it does.
    pub fn is_told(&mut self) {
        self.is_told = true;
    }

    /// Some births were lost: who is not known may be of the family again.
    pub fn may_have_missed(&mut self) {
        self.is_told = false;
        self.told.clear();
    }

    /// A process was born.
    pub fn born(&mut self, pid: Pid, started: Option<Timestamp>, parent: Pid) {
        if parent != self.ancestor && !self.told.contains(&parent) {
            // The number may have been a descendant's.
            self.told.remove(&pid);
            return;
        }
        if self.told.len() >= REMEMBERED {
            self.may_have_missed();
        }
        self.told.insert(pid);
        self.remember(pid, started, true);
    }

    fn remember(&mut self, pid: Pid, started: Option<Timestamp>, is_kin: bool) {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
            // What was told of those that have ended is gone.
            self.is_told = false;
        }
        self.known.insert((pid, started), is_kin);
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
        if let Some(known) = self.known.get(&(pid, started)) {
            return Some(*known);
        }
        let Some(found) = self.line(pid, parent) else {
            return self.is_told.then_some(false);
        };
        self.remember(pid, started, found);
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
    fn who_is_told_of_is_known_after_its_end_and_its_parents() {
        let mut family = Family::of(Pid(20));
        let mut gone = |_| None;
        let at = |time| Some(Timestamp::from_nanos(time));
        family.is_told();
        family.born(Pid(70), at(1), Pid(20));
        family.born(Pid(71), at(2), Pid(70));
        family.born(Pid(72), at(3), Pid(9));
        assert_eq!(family.has(Pid(70), at(1), &mut gone), Some(true));
        assert_eq!(family.has(Pid(71), at(2), &mut gone), Some(true));
        assert_eq!(family.has(Pid(72), at(3), &mut gone), Some(false));
        // Another has the number now, and children.
        family.born(Pid(70), at(4), Pid(9));
        family.born(Pid(73), at(5), Pid(70));
        assert_eq!(family.has(Pid(70), at(4), &mut gone), Some(false));
        assert_eq!(family.has(Pid(73), at(5), &mut gone), Some(false));
        assert_eq!(family.has(Pid(70), at(1), &mut gone), Some(true));
        family.may_have_missed();
        assert_eq!(family.has(Pid(72), at(3), &mut gone), None);
        assert_eq!(family.has(Pid(71), at(2), &mut gone), Some(true));
    }

    #[test]
    fn a_ring_of_parents_ends_too() {
        let mut ring = |pid: Pid| Some(Pid(if pid.0 == 5 { 6 } else { 5 }));
        assert_eq!(Family::of(Pid(1)).has(Pid(5), None, &mut ring), None);
    }
}
