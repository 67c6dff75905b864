//! What a look saw, put in order: by whichever way it was seen, the same comes out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Held, Process, Seen};
use crate::bpf::{DescriptorTable, Record};
use crate::clock::Boot;
use crate::model::Pid;

impl Seen {
    /// Puts processes in ascending order, as they are promised, and keeps each with its
    /// descriptors.
    pub(super) fn in_order(mut self) -> Self {
        let mut order: Vec<usize> = (0..self.processes.len()).collect();
        order.sort_by_key(|place| self.processes[*place].pid);
        if order.is_sorted() {
            return self;
        }
        let mut moved = vec![0; order.len()];
        for (to, from) in (0..).zip(&order) {
            moved[*from] = to;
        }
        let mut processes: Vec<Option<Process>> = self.processes.into_iter().map(Some).collect();
        self.processes = order
            .iter()
            .filter_map(|from| processes[*from].take())
            .collect();
        for held in &mut self.held {
            let place = usize::try_from(held.process).ok();
            if let Some(to) = place.and_then(|place| moved.get(place)) {
                held.process = *to;
            }
        }
        self
    }

    /// Adds what another look at other processes saw.
    pub(super) fn extend(&mut self, other: Self) {
        let first = u32::try_from(self.processes.len()).unwrap_or(u32::MAX);
        self.processes.extend(other.processes);
        self.held.extend(other.held.into_iter().map(|held| Held {
            process: held.process.saturating_add(first),
            ..held
        }));
        self.unreadable.extend(other.unreadable);
        self.untold_threads += other.untold_threads;
        self.gaps.extend(other.gaps);
        self.unlisted = self.unlisted.take().or(other.unlisted);
    }
}

/// Takes the kernel's records one by one.
pub(super) struct Gather {
    seen: Seen,
    boot: Boot,
    /// Place of each process. One that took a number over from another has another start.
    places: HashMap<(Pid, u64), u32>,
    /// The process and thread of the last record, and whether its table was told already.
    last: Option<Last>,
    /// The thread that each table of a process other than its first thread's was told of.
    tables: HashMap<(Pid, DescriptorTable), Pid>,
}

struct Last {
    pid: Pid,
    started_ns: u64,
    tid: Pid,
    place: u32,
    told: bool,
}

impl Gather {
    pub(super) fn new(boot: Boot) -> Self {
        Self {
            seen: Seen::default(),
            boot,
            places: HashMap::new(),
            last: None,
            tables: HashMap::new(),
        }
    }

    /// The kernel tells a table of a process once for each thread but the first that has it, and
    /// as often if the first has exited; here it counts once, for the thread of lowest number.
    pub(super) fn add(&mut self, record: &Record) {
        let (place, told) = match &self.last {
            Some(last)
                if (last.pid, last.started_ns, last.tid)
                    == (record.pid, record.started_ns, record.tid) =>
            {
                (last.place, last.told)
            }
            _ => self.begin(record),
        };
        if !told {
            self.seen.held.push(Held {
                inode: record.inode,
                process: place,
                tid: record.tid,
                fd: record.fd,
            });
        }
    }

    /// The first record of a thread.
    fn begin(&mut self, record: &Record) -> (u32, bool) {
        let told = match self.tables.entry((record.pid, record.table)) {
            Entry::Occupied(known) => *known.get() != record.tid,
            Entry::Vacant(new) => {
                if record.tid != record.pid {
                    new.insert(record.tid);
                }
                false
            }
        };
        let next = u32::try_from(self.seen.processes.len()).unwrap_or(u32::MAX);
        let place = *self
            .places
            .entry((record.pid, record.started_ns))
            .or_insert_with(|| {
                self.seen.processes.push(Process {
                    pid: record.pid,
                    command: record.command(),
                    started: self.boot.at_nanos(record.started_ns),
                    parent: Some(record.parent),
                });
                next
            });
        self.last = Some(Last {
            pid: record.pid,
            started_ns: record.started_ns,
            tid: record.tid,
            place,
            told,
        });
        (place, told)
    }

    pub(super) fn finish(self) -> Seen {
        self.seen.in_order()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::tests_support::record;
    use crate::model::{Fd, Inode};

    fn gathered(records: &[Record]) -> Seen {
        let mut gather = Gather::new(Boot {
            seconds: Some(0),
            ticks_per_second: 100,
        });
        for record in records {
            gather.add(record);
        }
        gather.finish()
    }

    /// Pid, thread, descriptor, inode.
    fn shown(seen: &Seen) -> Vec<(u32, u32, u32, u64)> {
        let held = seen.held.iter().map(|held| {
            let process = &seen.processes[usize::try_from(held.process).unwrap()];
            (process.pid.0, held.tid.0, held.fd.0, held.inode.0)
        });
        held.collect()
    }

    #[test]
    fn a_thread_between_other_processes_belongs_to_its_own() {
        let seen = gathered(&[
            record((10, 10, 5, 100), 3, 70),
            record((11, 11, 5, 101), 3, 71),
            record((10, 12, 5, 102), 4, 72),
        ]);
        assert_eq!(seen.processes.len(), 2);
        assert_eq!(
            shown(&seen),
            [(10, 10, 3, 70), (11, 11, 3, 71), (10, 12, 4, 72)]
        );
    }

    #[test]
    fn a_table_that_threads_share_is_told_once() {
        let seen = gathered(&[
            record((10, 10, 5, 100), 3, 70),
            record((10, 11, 5, 101), 3, 70),
            record((10, 11, 5, 101), 4, 71),
            record((10, 12, 5, 101), 3, 70),
            record((10, 12, 5, 101), 4, 71),
            record((10, 13, 5, 103), 3, 70),
        ]);
        assert_eq!(
            shown(&seen),
            [
                (10, 10, 3, 70),
                (10, 11, 3, 70),
                (10, 11, 4, 71),
                (10, 13, 3, 70)
            ]
        );
    }

    #[test]
    fn processes_that_share_a_table_hold_it_both() {
        let seen = gathered(&[
            record((10, 10, 5, 100), 3, 70),
            record((11, 11, 6, 100), 3, 70),
        ]);
        assert_eq!(shown(&seen), [(10, 10, 3, 70), (11, 11, 3, 70)]);
    }

    #[test]
    fn processes_are_in_order_though_their_threads_came_first() {
        let seen = gathered(&[
            record((20, 9, 5, 100), 3, 70),
            record((10, 10, 7, 101), 4, 71),
        ]);
        assert!(seen.processes.is_sorted_by_key(|process| process.pid));
        assert_eq!(shown(&seen), [(20, 9, 3, 70), (10, 10, 4, 71)]);
    }

    #[test]
    fn a_number_taken_over_is_another_process() {
        let seen = gathered(&[
            record((10, 10, 50_000_000, 100), 3, 70),
            record((10, 10, 70_000_000, 101), 3, 71),
        ]);
        let starts: Vec<_> = seen.processes.iter().map(|it| it.started).collect();
        assert_eq!(starts.len(), 2);
        assert_ne!(starts[0], starts[1]);
    }

    #[test]
    fn two_looks_are_one() {
        let mut all = gathered(&[record((10, 10, 5, 100), 3, 70)]);
        let mut other = gathered(&[record((5, 5, 5, 100), 3, 71)]);
        other.unlisted = Some("hidden".to_owned());
        all.extend(other);
        let all = all.in_order();
        assert_eq!(shown(&all), [(10, 10, 3, 70), (5, 5, 3, 71)]);
        assert_eq!(all.processes[0].pid, Pid(5));
        assert_eq!(all.unlisted.as_deref(), Some("hidden"));
    }

    proptest::proptest! {
        #[test]
        fn in_order_keeps_each_descriptor_with_its_process(
            pids in proptest::collection::vec(0u32..50, 0..20),
            held in proptest::collection::vec(proptest::prelude::any::<u32>(), 0..40),
        ) {
            let mut seen = Seen::default();
            for pid in &pids {
                seen.extend(gathered(&[record((*pid, *pid, u64::from(*pid), 1), 0, 0)]));
            }
            seen.held.clear();
            for (fd, process) in (0..).zip(held) {
                seen.held.push(Held {
                    inode: Inode(1),
                    process,
                    tid: Pid(1),
                    fd: Fd(fd),
                });
            }
            let of = |seen: &Seen| -> Vec<Option<Pid>> {
                let place = |held: &Held| usize::try_from(held.process).unwrap();
                let process = |held| seen.processes.get(place(held)).map(|it| it.pid);
                seen.held.iter().map(process).collect()
            };
            let before = of(&seen);
            let ordered = seen.in_order();
            proptest::prop_assert_eq!(of(&ordered), before);
            proptest::prop_assert!(ordered.processes.is_sorted_by_key(|it| it.pid));
        }
    }
}
