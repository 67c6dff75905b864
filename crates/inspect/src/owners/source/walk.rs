//! The walk over /proc/PID/fd, of the running system or of a recorded tree.
//!
//! Two system calls a descriptor are all its cost: one names some hundreds of them, one reads
//! the link of each. The kernel takes 3 µs for that, so several threads walk. What a process is
//! called and when it started is read of those alone that hold a socket.

#![allow(unsafe_code)]

use std::cmp::Ordering as Order;
use std::mem::MaybeUninit;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, readlinkat_raw, statat};
use rustix::io::Errno;

use super::super::proc_text::{self, Stat};
use super::super::{Held, Holdings, Process, Seen, Source, Unreadable};
use super::read;
use crate::clock::Boot;
use crate::model::{Fd, ForeignText, Gap, Inode, Origin, Pid};
use crate::privilege::{self, Right};
use crate::stop::Stop;

/// More threads than this get into each other's way in the kernel.
const MOST_THREADS: usize = 4;
/// For so few processes a second thread is not worth its start.
const FEW_PROCESSES: usize = 32;
/// Bytes for the names of descriptors: some hundreds at a time.
const NAMES: usize = 16 * 1024;

/// Walks the processes below a proc root.
#[derive(Debug, Clone)]
pub struct ProcWalk {
    root: PathBuf,
    /// Whether the pids below `root` are those that system calls take.
    live: bool,
    stop: Stop,
}

impl ProcWalk {
    /// Processes below `root`: /proc, or a recorded tree. A look ends early, with a gap, when
    /// `stop` is raised.
    pub fn new(root: impl Into<PathBuf>, stop: Stop) -> Self {
        let root = root.into();
        Self {
            live: root == Path::new("/proc") && super::is_of_our_namespace(),
            root,
            stop,
        }
    }

    /// Why the listing itself may be incomplete.
    fn unlisted(&self, pids: &[u32]) -> Option<String> {
        // Every pid namespace has a process 1; who does not see it looks through hidepid.
        if !pids.contains(&1) {
            return Some("process 1 is not listed: /proc hides processes (hidepid)".to_owned());
        }
        super::beyond_this_namespace(&self.root)
    }

    /// Walks these processes on as many threads as are worth it.
    fn walk(&self, pids: &[u32]) -> Seen {
        let boot = super::boot(&self.root);
        let next = AtomicUsize::new(0);
        let stopped = AtomicBool::new(false);
        let work = || {
            let mut walker = Walker {
                walk: self,
                boot,
                names: vec![MaybeUninit::uninit(); NAMES],
                seen: Seen::default(),
            };
            while let Some(pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.stop.is_raised() {
                    stopped.store(true, Ordering::Relaxed);
                    break;
                }
                walker.visit(*pid);
            }
            walker.seen
        };
        let found = Mutex::new(Seen::default());
        let add = |seen| {
            // The lock is poisoned by a panic alone, and that goes on when the threads are over.
            if let Ok(mut found) = found.lock() {
                found.extend(seen);
            }
        };
        let helpers = if pids.len() < FEW_PROCESSES {
            0
        } else {
            let processors = thread::available_parallelism().map_or(1, NonZero::get);
            processors.min(MOST_THREADS) - 1
        };
        thread::scope(|scope| {
            for _ in 0..helpers {
                let helper = thread::Builder::new().name("inspect-owners".to_owned());
                // Without its help the walk takes longer and finds the same.
                let _ = helper.spawn_scoped(scope, || add(work()));
            }
            add(work());
        });
        let mut seen = found.into_inner().unwrap_or_default().in_order();
        seen.unreadable.sort_by_key(|process| process.pid);
        if stopped.into_inner() {
            let reason = "some processes were not looked at: stopped".to_owned();
            seen.unlisted = Some(reason.clone());
            seen.gaps.push(Gap::uncounted(Origin::Owners, reason));
        }
        seen
    }
}

impl ProcWalk {
    /// Process 1, where it is kept from those who have the right to read every process. A machine
    /// that guards it so may keep it from kernel programs as well (measured on a sandbox: the
    /// kernel's list of descriptors leaves it out), so whatever it holds would seem to be
    /// nobody's.
    pub(super) fn guarded_init(&self) -> Option<Unreadable> {
        if privilege::has(Right::ReadOwners) != Some(true) {
            return None;
        }
        self.walk(&[1]).unreadable.pop()
    }
}

impl Source for ProcWalk {
    fn name(&self) -> &'static str {
        "proc"
    }

    fn look(&mut self) -> Holdings {
        let pids = match super::pids(&self.root) {
            Ok(pids) => pids,
            Err(error) => {
                let reason = format!("{} cannot be listed: {error}", self.root.display());
                let seen = Seen {
                    unlisted: Some(reason.clone()),
                    gaps: vec![Gap::uncounted(Origin::Owners, reason)],
                    ..Seen::default()
                };
                return seen.into();
            }
        };
        let mut seen = self.walk(&pids);
        seen.unlisted = seen.unlisted.or_else(|| self.unlisted(&pids));
        if seen.unlisted.is_some() {
            note_hidden_parents(&mut seen, &pids);
        }
        seen.into()
    }
}

/// Mounted with hidepid=2, /proc does not list a process, and its children still name it. A
/// parent in another pid namespace has the number 0: who was put into a container by it took no
/// descriptors of the container's from it.
fn note_hidden_parents(seen: &mut Seen, pids: &[u32]) {
    let parents = seen.processes.iter().filter_map(|process| process.parent);
    let mut hidden: Vec<Pid> = parents
        .filter(|parent| parent.0 != 0 && pids.binary_search(&parent.0).is_err())
        .collect();
    hidden.sort_unstable();
    hidden.dedup();
    seen.unreadable
        .extend(hidden.into_iter().map(|pid| Unreadable {
            pid,
            uid: None,
            command: None,
            parent: None,
        }));
    seen.unreadable.sort_by_key(|process| process.pid);
}

/// One thread of a walk.
struct Walker<'a> {
    walk: &'a ProcWalk,
    boot: Boot,
    names: Vec<MaybeUninit<u8>>,
    seen: Seen,
}

/// The sockets in a descriptor table.
type Sockets = Vec<(Fd, Inode)>;

/// What came of reading a descriptor table.
enum Table {
    Read(Sockets),
    /// It is not for us to see.
    Denied,
    /// The process or thread is gone; or, in a recorded tree, its descriptors were not shown to
    /// the recorder.
    Gone,
}

impl Walker<'_> {
    fn visit(&mut self, pid: u32) {
        let directory = self.walk.root.join(pid.to_string());
        if let Err(error) = self.read(pid, &directory) {
            self.seen.gaps.push(Gap::uncounted(
                Origin::Owners,
                format!("descriptors of process {pid} cannot be read: {error}"),
            ));
            self.note_unreadable(pid, &directory);
        }
    }

    /// Reads the descriptor tables of one process: its first thread's, and those of threads that
    /// have one of their own.
    fn read(&mut self, pid: u32, directory: &Path) -> Result<(), Errno> {
        let mut tables: Vec<(u32, Sockets)> = Vec::new();
        let mut denied = false;
        match self.read_table(directory)? {
            Table::Read(sockets) => tables.push((pid, sockets)),
            Table::Denied => denied = true,
            Table::Gone => {}
        }
        // Where the process is not for us to see, neither is a thread of it.
        let (apart, untold) = if denied {
            (Vec::new(), 0)
        } else {
            self.walk.threads_apart(pid, directory)
        };
        self.seen.untold_threads += untold;
        for apart in apart {
            match self.read_table(&directory.join("task").join(apart.tid.to_string()))? {
                // Where it could not be told whether the table is shared, equal is the same.
                Table::Read(sockets)
                    if !apart.certain && tables.iter().any(|(_, known)| *known == sockets) => {}
                Table::Read(sockets) => tables.push((apart.tid, sockets)),
                Table::Denied => denied = true,
                Table::Gone => {}
            }
        }
        if denied || tables.is_empty() {
            self.note_unreadable(pid, directory);
        }
        tables.retain(|(_, sockets)| !sockets.is_empty());
        // Without a name it exited while we looked, and holds nothing any more.
        if !tables.is_empty()
            && let Some(command) = name(directory)
        {
            self.note_holder(pid, command, directory, tables);
        }
        Ok(())
    }

    fn note_holder(
        &mut self,
        pid: u32,
        command: ForeignText,
        directory: &Path,
        tables: Vec<(u32, Sockets)>,
    ) {
        let stat = stat(directory);
        let process = u32::try_from(self.seen.processes.len()).unwrap_or(u32::MAX);
        self.seen.processes.push(Process {
            pid: Pid(pid),
            command,
            started: stat
                .and_then(|stat| stat.started)
                .and_then(|ticks| self.boot.at_ticks(ticks)),
            parent: stat.and_then(|stat| stat.parent),
        });
        for (tid, sockets) in tables {
            let tid = Pid(tid);
            let held = sockets.into_iter().map(|(fd, inode)| Held {
                inode,
                process,
                tid,
                fd,
            });
            self.seen.held.extend(held);
        }
    }

    fn note_unreadable(&mut self, pid: u32, directory: &Path) {
        let parent = match read(&directory.join("stat")) {
            // It is gone meanwhile.
            Err(error)
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::NOENT | Errno::SRCH)
                ) =>
            {
                return;
            }
            // Mounted with hidepid=1, /proc lists a process and refuses every file of it
            // (fs/proc/base.c `proc_pid_permission`).
            Err(_) => None,
            Ok(text) => {
                let stat = Stat::parse(&text);
                if stat.is_some_and(|stat| stat.holds_nothing()) {
                    return;
                }
                stat.and_then(|stat| stat.parent)
            }
        };
        let status = read(&directory.join("status")).ok();
        self.seen.unreadable.push(Unreadable {
            pid: Pid(pid),
            uid: status.and_then(|status| proc_text::real_user(&status)),
            command: name(directory),
            parent,
        });
    }

    /// Reads the `fd` folder of a process or thread.
    fn read_table(&mut self, directory: &Path) -> Result<Table, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let read = openat(CWD, directory.join("fd"), flags, Mode::empty())
            .and_then(|fds| sockets_in(fds.as_fd(), &mut self.names));
        match read {
            Ok(sockets) => Ok(Table::Read(sockets)),
            Err(Errno::NOENT | Errno::SRCH) => Ok(Table::Gone),
            // The folder opens for any user on some kernels, and only its links refuse.
            Err(Errno::ACCESS | Errno::PERM) => Ok(Table::Denied),
            Err(error) => Err(error),
        }
    }
}

/// Every descriptor in an fd folder that is a socket.
fn sockets_in(fds: BorrowedFd<'_>, names: &mut [MaybeUninit<u8>]) -> Result<Sockets, Errno> {
    let mut sockets = Vec::new();
    let mut link = [MaybeUninit::<u8>::uninit(); 64];
    let mut entries = RawDir::new(fds, names);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(fd) = proc_text::number(name.to_bytes()) else {
            continue;
        };
        match readlinkat_raw(fds, name, &mut link[..]) {
            Ok((target, _)) => {
                let inode = proc_text::socket_inode(target);
                sockets.extend(inode.map(|inode| (Fd(fd), inode)));
            }
            // Closed while we looked.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

/// Of so many threads of a process the whole table is read where the kernel does not say whether
/// it is shared (kcmp(2) wants CAP_SYS_PTRACE in most containers): all of them could be thousands,
/// of which next to none has a table of its own.
const UNCERTAIN: usize = 8;

/// A thread that seems to have a descriptor table of its own.
struct Apart {
    tid: u32,
    /// The kernel says so; else it would not say.
    certain: bool,
}

impl ProcWalk {
    /// One thread for each further descriptor table of a process, that of lowest number: threads
    /// may give up sharing (unshare(CLONE_FILES)), and the first may have exited before others.
    ///
    /// Tells too of how many threads that was not found out.
    fn threads_apart(&self, pid: u32, directory: &Path) -> (Vec<Apart>, u64) {
        let tasks = directory.join("task");
        // There a folder has a link from each folder in it, and two more.
        let alone = || statat(CWD, &tasks, AtFlags::empty()).is_ok_and(|stat| stat.st_nlink <= 3);
        if self.live && alone() {
            return (Vec::new(), 0);
        }
        let mut apart: Vec<Apart> = Vec::new();
        // A thread of each table, in the order that the kernel has for them: a process may have
        // thousands of threads with a table each.
        let mut tables = vec![pid];
        let mut uncertain = 0;
        let mut untold = 0;
        for tid in super::pids(&tasks).unwrap_or_default() {
            if self.stop.is_raised() || uncertain >= UNCERTAIN {
                untold += 1;
                continue;
            }
            if tid == pid {
                continue;
            }
            let mut certain = self.live;
            let place = tables.binary_search_by(|other| {
                let order = self
                    .live
                    .then(|| compare_descriptors(*other, tid))
                    .flatten();
                certain &= order.is_some();
                order.unwrap_or(Order::Less)
            });
            if let Err(place) = place {
                if certain {
                    tables.insert(place, tid);
                } else if self.live {
                    uncertain += 1;
                }
                apart.push(Apart { tid, certain });
            }
        }
        (apart, untold)
    }
}

/// The name from `comm`, which gives the exact bytes; `stat` writes some of them otherwise.
fn name(directory: &Path) -> Option<ForeignText> {
    let mut name = read(&directory.join("comm")).ok()?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    Some(ForeignText::new(name))
}

fn stat(directory: &Path) -> Option<Stat> {
    Stat::parse(&read(&directory.join("stat")).ok()?)
}

/// The order of the descriptor tables of two threads, equal where they share one, by kcmp(2);
/// `None` where it does not tell.
fn compare_descriptors(one: u32, other: u32) -> Option<Order> {
    const KCMP_FILES: libc::c_int = 2; // include/uapi/linux/kcmp.h
    let [one, other] = [one, other].map(|pid| libc::pid_t::try_from(pid).ok());
    // SAFETY: kcmp takes five numbers and touches no memory of ours.
    match unsafe { libc::syscall(libc::SYS_kcmp, one?, other?, KCMP_FILES, 0, 0) } {
        0 => Some(Order::Equal),
        1 => Some(Order::Less),
        2 => Some(Order::Greater),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OwnerStatus;

    #[test]
    fn our_own_listener_is_held_by_this_process_under_its_descriptor() {
        use std::os::fd::AsRawFd;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = proc_text::socket_inode(link.as_os_str().as_encoded_bytes()).unwrap();
        let holdings = ProcWalk::new("/proc", Stop::new().unwrap()).look();
        let owner = holdings.of(inode).0.into_iter().next().unwrap();
        assert_eq!(owner.pid.0, std::process::id());
        assert_eq!(i64::from(owner.fd.0), i64::from(listener.as_raw_fd()));
        let age = crate::clock::now().as_nanos() - owner.started.unwrap().as_nanos();
        assert!((-2_000_000_000..3_600_000_000_000).contains(&age), "{age}");
        assert!(holdings.processes().is_sorted_by_key(|process| process.pid));
    }

    #[test]
    fn after_the_stop_signal_no_owner_is_said_to_be_missing() {
        let stop = Stop::new().unwrap();
        stop.raise();
        let holdings = ProcWalk::new("/proc", stop).look();
        assert_eq!(holdings.gaps().len(), 1);
        assert_eq!(holdings.of(Inode(1)).1, OwnerStatus::Hidden);
    }

    #[test]
    fn a_tree_that_cannot_be_listed_is_a_gap_and_hides_owners() {
        let holdings = ProcWalk::new("/nonexistent", Stop::new().unwrap()).look();
        assert_eq!(holdings.gaps().len(), 1);
        assert_eq!(holdings.of(Inode(1)).1, OwnerStatus::Hidden);
    }
}
