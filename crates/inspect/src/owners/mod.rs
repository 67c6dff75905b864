//! Who holds which socket now: inode -> every owner. Knows no address.
//!
//! Kept flat, because a machine may hold hundreds of thousands of descriptors: one small entry a
//! descriptor, sorted by inode, and what belongs to a process once a process.

mod gather;
mod proc_text;
mod source;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use crate::model::{
    Fd, ForeignText, Gap, Inode, Owner, OwnerRef, OwnerStatus, Pid, Timestamp, Uid,
};
pub use source::{Finder, KernelList, ProcWalk};

/// A process that holds sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The process.
    pub pid: Pid,
    /// Its name.
    pub command: ForeignText,
    /// When it started, where that could be read.
    pub started: Option<Timestamp>,
    /// Its parent, from which it may have its descriptors, where that could be read.
    pub parent: Option<Pid>,
}

/// One descriptor on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The socket.
    pub inode: Inode,
    /// The place of its process in [`Seen::processes`].
    pub process: u32,
    /// The thread whose table it is in.
    pub tid: Pid,
    /// The descriptor.
    pub fd: Fd,
}

/// A process that exists and whose descriptors are hidden from us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The process.
    pub pid: Pid,
    /// Its user, where that could be read.
    pub uid: Option<Uid>,
    /// Its name, where that could be read.
    pub command: Option<ForeignText>,
    /// Its parent, where that could be read.
    pub parent: Option<Pid>,
}

/// What one look at the processes saw, in the order in which it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Processes that hold sockets, by ascending pid.
    pub processes: Vec<Process>,
    /// Their descriptors on sockets.
    pub held: Vec<Held>,
    /// Processes whose descriptors could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Set when there may be processes that could not even be listed: /proc is mounted with
    /// hidepid, or shows one pid namespace of several.
    pub unlisted: Option<String>,
    /// Threads of which the kernel does not say whether they have descriptors of their own, and
    /// which were too many to compare.
    pub untold_threads: u64,
    /// What else went wrong.
    pub gaps: Vec<Gap>,
}

/// Everything one look at the processes found, ready for questions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Sorted by inode, then process, thread and descriptor.
    seen: Seen,
    /// Of each process, whether one that it may share its descriptors with could not be read.
    shares_hidden: Vec<bool>,
    not_asked: bool,
}

impl From<Seen> for Holdings {
    fn from(mut seen: Seen) -> Self {
        seen.held.sort_unstable();
        seen.held.dedup();
        // Process 1 does not count as a parent here, though it may hold what it activates: it is
        // everybody's, and often unreadable.
        let is_told = |pid: &Pid| *pid != Pid(1);
        let hidden: HashSet<Pid> = seen.unreadable.iter().map(|it| it.pid).collect();
        let parents_of_hidden: HashSet<Pid> =
            seen.unreadable.iter().filter_map(|it| it.parent).collect();
        let shares_hidden = seen
            .processes
            .iter()
            .map(|process| {
                let parent = process.parent.filter(is_told);
                parent.is_some_and(|pid| hidden.contains(&pid))
                    || parents_of_hidden.contains(&process.pid)
            })
            .collect();
        Self {
            seen,
            shares_hidden,
            not_asked: false,
        }
    }
}

impl Holdings {
    /// Nobody looked: no owner is known, and none is said to be missing.
    pub fn not_asked() -> Self {
        Self {
            not_asked: true,
            ..Self::default()
        }
    }

    /// The owners of a socket, and how well they are known.
    pub fn of(&self, inode: Inode) -> (Vec<Owner>, OwnerStatus) {
        let place = self.place(inode);
        (self.at(place.clone()).collect(), self.status(place))
    }

    /// With the owners that a later look found.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        let not_asked = self.not_asked;
        let mut later = later.seen;
        // Of what the first look saw, its word stands.
        later.held.retain(|held| self.place(held.inode).is_empty());
        let later = Seen {
            unreadable: Vec::new(),
            gaps: Vec::new(),
            unlisted: None,
            ..later
        };
        let mut seen = self.seen;
        seen.extend(later);
        Self {
            not_asked,
            ..seen.in_order().into()
        }
    }

    /// Where the descriptors on a socket are; empty when there is none.
    pub fn place(&self, inode: Inode) -> Range<usize> {
        let held = &self.seen.held;
        let start = held.partition_point(|entry| entry.inode < inode);
        let length = held[start..]
            .iter()
            .take_while(|entry| entry.inode == inode)
            .count();
        start..start + length
    }

    /// The owners at a place.
    pub fn at(&self, place: Range<usize>) -> Owners<'_> {
        Owners {
            held: self.seen.held.get(place).unwrap_or_default(),
            processes: &self.seen.processes,
        }
    }

    /// How well the owners at a place are known.
    ///
    /// Sockets are shared by inheritance: owners are `Partial` when the parent or a child of one
    /// could not be read. `None` is said only when every process could be read.
    pub fn status(&self, place: Range<usize>) -> OwnerStatus {
        if place.is_empty() {
            return if self.not_asked {
                OwnerStatus::NotAsked
            } else if self.seen.unreadable.is_empty() && self.seen.unlisted.is_none() {
                OwnerStatus::None
            } else {
                OwnerStatus::Hidden
            };
        }
        let held = self.seen.held.get(place).unwrap_or_default();
        let partial = held.iter().any(|entry| {
            usize::try_from(entry.process)
                .ok()
                .and_then(|index| self.shares_hidden.get(index))
                .is_some_and(|hidden| *hidden)
        });
        if partial {
            OwnerStatus::Partial
        } else {
            OwnerStatus::Known
        }
    }

    /// Processes that hold sockets, by ascending pid.
    pub fn processes(&self) -> &[Process] {
        &self.seen.processes
    }

    /// Every descriptor on a socket.
    pub fn held(&self) -> &[Held] {
        &self.seen.held
    }

    /// Processes whose descriptors could not be read.
    pub fn unreadable(&self) -> &[Unreadable] {
        &self.seen.unreadable
    }

    /// Why processes may exist that could not even be listed.
    pub fn unlisted(&self) -> Option<&str> {
        self.seen.unlisted.as_deref()
    }

    /// Threads of which it is not known whether they have descriptors of their own: next to none
    /// has.
    pub fn untold_threads(&self) -> u64 {
        self.seen.untold_threads
    }

    /// What else went wrong.
    pub fn gaps(&self) -> &[Gap] {
        &self.seen.gaps
    }
}

/// The owners of one socket, by pid, thread and descriptor.
#[derive(Debug, Clone, Copy)]
pub struct Owners<'a> {
    held: &'a [Held],
    processes: &'a [Process],
}

impl Owners<'_> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many descriptors there are.
    pub fn len(&self) -> usize {
        self.held.len()
    }
}

impl Owners<'static> {
    /// No owner.
    pub fn none() -> Self {
        Self {
            held: &[],
            processes: &[],
        }
    }
}

impl<'a> Owners<'a> {
    /// Each, borrowed.
    pub fn refs(mut self) -> impl Iterator<Item = OwnerRef<'a>> {
        std::iter::from_fn(move || self.next_ref())
    }

    fn next_ref(&mut self) -> Option<OwnerRef<'a>> {
        loop {
            let (entry, rest) = self.held.split_first()?;
            self.held = rest;
            let index = usize::try_from(entry.process).ok();
            let Some(process) = index.and_then(|index| self.processes.get(index)) else {
                continue;
            };
            return Some(OwnerRef {
                pid: process.pid,
                tid: entry.tid,
                fd: entry.fd,
                command: &process.command,
                started: process.started,
            });
        }
    }
}

impl Iterator for Owners<'_> {
    type Item = Owner;

    fn next(&mut self) -> Option<Owner> {
        self.next_ref().map(OwnerRef::to_owner)
    }
}

/// Which way owners are to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The way that suits the rights of this process and the number of descriptors.
    #[default]
    Auto,
    /// By a kernel program; elsewhere as [`Self::Proc`], with a word why.
    Bpf,
    /// By a walk over /proc.
    Proc,
    /// Not at all.
    None,
}

/// Why a look went the way it did; shown after the name of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It was asked for.
    Asked,
    /// A recorded tree has no kernel to ask.
    Recorded,
    /// A walk over so few descriptors takes no time.
    Few(u64),
    /// A walk over so many descriptors, or more, takes longer.
    Many(u64),
    /// The number of descriptors is not told by this kernel.
    Uncounted,
    /// Rights that a walk needs are lacking, and those for a kernel program are there.
    Rights,
    /// A walk was refused the descriptors of so many processes.
    Hidden(usize),
    /// A kernel program cannot be used, for this reason.
    Refused(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => write!(f, "as asked for"),
            Self::Recorded => write!(f, "the tree is a recorded one"),
            Self::Few(count) => write!(f, "{count} descriptors are soon read"),
            Self::Many(count) => write!(f, "there are {count} descriptors or more"),
            Self::Uncounted => write!(f, "the number of descriptors is not known"),
            Self::Rights => write!(
                f,
                "a walk would need cap_sys_ptrace and cap_dac_read_search"
            ),
            Self::Hidden(1) => write!(f, "a walk was refused 1 process"),
            Self::Hidden(count) => write!(f, "a walk was refused {count} processes"),
            Self::Refused(reason) => write!(f, "a kernel program cannot do it: {reason}"),
        }
    }
}

/// Something that can list who holds sockets: the running system, or a recorded tree.
pub trait Source {
    /// The name that `begin` records and `-v` show.
    fn name(&self) -> &'static str;

    /// Looks once at every process. A process that vanishes meanwhile held nothing.
    fn look(&mut self) -> Holdings;
}

/// Made-up holdings, for tests of the rooms above.
#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;

    /// Inode, pid, descriptor, name, parent.
    pub(crate) type Line<'a> = (u64, u32, u32, &'a str, Option<u32>);

    pub(crate) fn seen(lines: &[Line<'_>]) -> Seen {
        let mut seen = Seen::default();
        for (inode, pid, fd, name, parent) in lines {
            let process = Process {
                pid: Pid(*pid),
                command: ForeignText::from(*name),
                started: None,
                parent: parent.map(Pid),
            };
            let place = seen.processes.iter().position(|known| *known == process);
            let index = place.unwrap_or(seen.processes.len());
            if place.is_none() {
                seen.processes.push(process);
            }
            seen.held.push(Held {
                inode: Inode(*inode),
                process: u32::try_from(index).unwrap(),
                tid: Pid(*pid),
                fd: Fd(*fd),
            });
        }
        seen
    }

    pub(crate) fn unreadable(pid: u32) -> Unreadable {
        Unreadable {
            pid: Pid(pid),
            uid: Some(Uid(0)),
            command: None,
            parent: Some(Pid(2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tests_support::{seen, unreadable};
    use super::*;

    fn holdings(parent: u32, hidden: Option<u32>) -> Holdings {
        let mut seen = seen(&[(7, 10, 3, "nginx", Some(parent))]);
        seen.unreadable.extend(hidden.map(unreadable));
        seen.into()
    }

    #[test]
    fn an_unreadable_parent_makes_owners_partial_unless_it_is_process_1() {
        for (parent, hidden, status) in [
            (9, Some(9), OwnerStatus::Partial),
            (9, Some(8), OwnerStatus::Known),
            (1, Some(1), OwnerStatus::Known),
            (9, None, OwnerStatus::Known),
        ] {
            assert_eq!(holdings(parent, hidden).of(Inode(7)).1, status);
        }
    }

    #[test]
    fn an_unreadable_child_makes_owners_partial() {
        for (parent, status) in [
            (Some(10), OwnerStatus::Partial),
            (Some(9), OwnerStatus::Known),
            (None, OwnerStatus::Known),
        ] {
            let mut seen = seen(&[(7, 10, 3, "bash", Some(9))]);
            seen.unreadable.push(Unreadable {
                parent: parent.map(Pid),
                ..unreadable(11)
            });
            assert_eq!(Holdings::from(seen).of(Inode(7)).1, status);
        }
    }

    #[test]
    fn no_owner_is_said_only_when_every_process_was_read() {
        assert_eq!(holdings(5, None).of(Inode(8)).1, OwnerStatus::None);
        assert_eq!(holdings(5, Some(1)).of(Inode(8)).1, OwnerStatus::Hidden);
        let mut hidepid = seen(&[]);
        hidepid.unlisted = Some("hidepid".to_owned());
        assert_eq!(Holdings::from(hidepid).of(Inode(8)).1, OwnerStatus::Hidden);
    }

    #[test]
    fn a_later_look_adds_what_the_first_came_too_early_for() {
        let mut first = seen(&[(7, 10, 3, "nginx", Some(9))]);
        first.unreadable.push(unreadable(9));
        let later = seen(&[(8, 5, 4, "new", None), (7, 10, 3, "nginx", Some(9))]);
        let both = Holdings::from(first).and(later.into());
        assert_eq!(both.of(Inode(8)).0[0].pid, Pid(5));
        assert_eq!(both.of(Inode(7)).0.len(), 1);
        assert_eq!(both.of(Inode(7)).1, OwnerStatus::Partial);
        assert!(both.processes().is_sorted_by_key(|process| process.pid));
    }

    #[test]
    fn every_holder_of_a_shared_socket_is_found_in_order_and_once() {
        let holdings = Holdings::from(seen(&[
            (9, 20, 4, "b", None),
            (7, 20, 3, "b", None),
            (9, 10, 5, "a", None),
            (9, 10, 3, "a", None),
            (9, 10, 3, "a", None),
        ]));
        let owners = holdings.of(Inode(9)).0;
        let found: Vec<(u32, u32)> = owners.iter().map(|o| (o.pid.0, o.fd.0)).collect();
        assert_eq!(found.len(), 3);
        assert!(found.contains(&(20, 4)) && found.contains(&(10, 3)) && found.contains(&(10, 5)));
        assert_eq!(holdings.of(Inode(8)).0, []);
    }
}
