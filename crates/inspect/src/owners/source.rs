//! The walk over /proc/PID/fd, of the running system or of a recorded tree.
//!
//! procfs reads what a process says of itself (stat, status); its descriptor list opens each
//! descriptor, so the links are read here with readlinkat on the directory instead.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use procfs::process::{Process, Stat};
use procfs::{FromReadSI, KernelStats};
use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat_raw};
use rustix::io::Errno;

use super::{Held, Holdings, Process as Holder, Seen, Source, Unreadable};
use crate::model::{Fd, ForeignText, Gap, Inode, Origin, Pid, Timestamp, Uid};
use crate::stop::Stop;

/// Walks the processes below a proc root.
#[derive(Debug, Clone)]
pub struct ProcWalk {
    root: PathBuf,
    /// Whether the pids below `root` are those that system calls take.
    live: bool,
    stop: Stop,
}

/// `PF_KTHREAD` (include/linux/sched.h): a kernel thread has no descriptors of its own.
const PF_KTHREAD: u32 = 0x0020_0000;
/// The inode of the first pid namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

impl ProcWalk {
    /// Processes below `root`: /proc, or a recorded tree. A look ends early, with a gap, when
    /// `stop` is raised.
    pub fn new(root: impl Into<PathBuf>, stop: Stop) -> Self {
        let root = root.into();
        Self {
            live: root == Path::new("/proc"),
            root,
            stop,
        }
    }

    /// Seconds since the epoch at which the machine booted, as /proc/stat rounds them.
    fn boot_time(&self) -> Option<u64> {
        KernelStats::from_file(self.root.join("stat"), procfs::current_system_info())
            .ok()
            .map(|stats| stats.btime)
    }

    /// Why the listing itself may be incomplete.
    fn unlisted(&self, pids: &[u32]) -> Option<String> {
        // Every pid namespace has a process 1; who does not see it looks through hidepid.
        if !pids.contains(&1) {
            return Some("process 1 is not listed: /proc hides processes (hidepid)".to_owned());
        }
        let namespace = std::fs::read_link(self.root.join("self/ns/pid")).ok()?;
        let inode = crate::namespaces::inode_of_link(namespace.as_os_str())?;
        (inode != FIRST_PID_NAMESPACE).then(|| {
            "this pid namespace is not the machine's first: others are not seen".to_owned()
        })
    }

    /// Reads the descriptor tables of one process: its first thread's, and those of threads that
    /// have one of their own.
    fn read(&self, pid: u32, boot_time: Option<u64>, seen: &mut Seen) -> io::Result<()> {
        let directory = self.root.join(pid.to_string());
        let mut tables = Vec::new();
        let mut denied = false;
        match read_table(&directory)? {
            Table::Read(sockets) => tables.push((pid, sockets)),
            Table::Denied => denied = true,
            Table::Gone => {}
        }
        for tid in self.threads_apart(pid, &directory) {
            let first = tables.first().map(|(_, sockets)| sockets.clone());
            match read_table(&directory.join("task").join(tid.to_string()))? {
                // Where it could not be told whether the table is shared, equal is the same.
                Table::Read(sockets) if first.as_ref() == Some(&sockets) => {}
                Table::Read(sockets) => tables.push((tid, sockets)),
                Table::Denied => denied = true,
                Table::Gone => {}
            }
        }
        if denied || tables.is_empty() {
            self.note_unreadable(pid, seen);
        }
        tables.retain(|(_, sockets)| !sockets.is_empty());
        if tables.is_empty() {
            return Ok(());
        }
        let about = self.about(pid, boot_time);
        let Some(command) = about.command else {
            // It exited while we looked, and holds nothing any more.
            return Ok(());
        };
        let process = u32::try_from(seen.processes.len()).unwrap_or(u32::MAX);
        seen.processes.push(Holder {
            pid: Pid(pid),
            command,
            started: about.started,
            parent: about.parent,
        });
        for (tid, sockets) in tables {
            let tid = Pid(tid);
            seen.held
                .extend(sockets.into_iter().map(|(fd, inode)| Held {
                    inode,
                    process,
                    tid,
                    fd,
                }));
        }
        Ok(())
    }

    /// One thread for each further descriptor table of a process: threads may give up sharing
    /// (unshare(CLONE_FILES)), and the first thread may have exited before the others.
    fn threads_apart(&self, pid: u32, directory: &Path) -> Vec<u32> {
        let tasks = directory.join("task");
        // A folder has a link from each folder in it, and two more.
        let alone = std::fs::metadata(&tasks).is_ok_and(|metadata| metadata.nlink() <= 3);
        let Ok(entries) = std::fs::read_dir(&tasks) else {
            return Vec::new();
        };
        if alone {
            return Vec::new();
        }
        let mut representatives = vec![pid];
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(tid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let shared = self.live
                && representatives
                    .iter()
                    .any(|other| share_descriptors(*other, tid) == Some(true));
            if tid != pid && !shared {
                representatives.push(tid);
            }
        }
        representatives.split_off(1)
    }

    fn process(&self, pid: u32) -> Option<Process> {
        Process::new_with_root(self.root.join(pid.to_string())).ok()
    }

    fn about(&self, pid: u32, boot_time: Option<u64>) -> About {
        let Some(process) = self.process(pid) else {
            return About::default();
        };
        let stat = process.stat().ok();
        About {
            command: command_of(&process),
            started: stat
                .as_ref()
                .zip(boot_time)
                .map(|(stat, boot_time)| start(stat, boot_time)),
            parent: stat
                .as_ref()
                .and_then(|stat| u32::try_from(stat.ppid).ok().map(Pid)),
        }
    }

    fn note_unreadable(&self, pid: u32, seen: &mut Seen) {
        let Some(process) = self.process(pid) else {
            return;
        };
        let stat = process.stat().ok();
        if let Some(stat) = &stat {
            // A process that has exited whole has given its descriptors back; one whose first
            // thread has exited lives on in the others.
            let gone = matches!(stat.state, 'Z' | 'X') && stat.num_threads <= 1;
            if stat.flags & PF_KTHREAD != 0 || gone {
                return;
            }
        }
        seen.unreadable.push(Unreadable {
            pid: Pid(pid),
            uid: process.status().ok().map(|status| Uid(status.ruid)),
            command: command_of(&process),
        });
    }
}

impl Source for ProcWalk {
    fn name(&self) -> &'static str {
        "proc"
    }

    fn look(&mut self) -> Holdings {
        let mut seen = Seen::default();
        let pids = match pids(&self.root) {
            Ok(pids) => pids,
            Err(error) => {
                let reason = format!("{} cannot be listed: {error}", self.root.display());
                seen.unlisted = Some(reason.clone());
                seen.gaps.push(Gap::uncounted(Origin::Owners, reason));
                return seen.into();
            }
        };
        seen.unlisted = self.unlisted(&pids);
        let boot_time = self.boot_time();
        for pid in pids {
            if self.stop.is_raised() {
                let reason = format!("processes from {pid} on were not read: stopped");
                seen.unlisted = Some(reason.clone());
                seen.gaps.push(Gap::uncounted(Origin::Owners, reason));
                break;
            }
            if let Err(error) = self.read(pid, boot_time, &mut seen) {
                seen.gaps.push(Gap::uncounted(
                    Origin::Owners,
                    format!("descriptors of process {pid} cannot be read: {error}"),
                ));
                self.note_unreadable(pid, &mut seen);
            }
        }
        seen.into()
    }
}

#[derive(Default)]
struct About {
    command: Option<ForeignText>,
    started: Option<Timestamp>,
    parent: Option<Pid>,
}

/// Processes, in ascending order.
fn pids(root: &Path) -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    pids.sort_unstable();
    Ok(pids)
}

/// The name from `comm`, which gives the exact bytes; `stat` puts it in parentheses that it may
/// itself contain, and procfs takes it for UTF-8.
fn command_of(process: &Process) -> Option<ForeignText> {
    let mut file = process.open_relative("comm").ok()?;
    let mut name = Vec::new();
    // TASK_COMM_LEN is 16; kernel workers get up to 64.
    io::Read::read_to_end(&mut io::Read::take(&mut file, 128), &mut name).ok()?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    Some(ForeignText::new(name))
}

fn start(stat: &Stat, boot_time: u64) -> Timestamp {
    let ticks_per_second = procfs::ticks_per_second().max(1);
    let seconds = boot_time.saturating_add(stat.starttime / ticks_per_second);
    let nanos = stat.starttime % ticks_per_second * (1_000_000_000 / ticks_per_second);
    Timestamp::from_parts(
        i64::try_from(seconds).unwrap_or(i64::MAX),
        i64::try_from(nanos).unwrap_or(0),
    )
}

/// What came of reading a descriptor table.
enum Table {
    /// Its sockets.
    Read(Vec<(Fd, Inode)>),
    /// It is not for us to see.
    Denied,
    /// The process or thread is gone; or, in a recorded tree, its descriptors were not shown to
    /// the recorder.
    Gone,
}

/// Reads the `fd` folder of a process or thread.
fn read_table(directory: &Path) -> io::Result<Table> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let read = openat(CWD, directory.join("fd"), flags, Mode::empty())
        .and_then(|fds| sockets_in(fds.as_fd()));
    match read {
        Ok(sockets) => Ok(Table::Read(sockets)),
        Err(Errno::NOENT | Errno::SRCH) => Ok(Table::Gone),
        // The folder opens for any user on some kernels, and only its links refuse.
        Err(Errno::ACCESS | Errno::PERM) => Ok(Table::Denied),
        Err(error) => Err(error.into()),
    }
}

/// Every descriptor in an fd folder that is a socket.
fn sockets_in(fds: BorrowedFd<'_>) -> Result<Vec<(Fd, Inode)>, Errno> {
    let mut sockets = Vec::new();
    let mut link = [MaybeUninit::<u8>::uninit(); 64];
    for entry in Dir::read_from(fds)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(fd) = name.to_str().ok().and_then(|name| name.parse().ok()) else {
            continue;
        };
        match readlinkat_raw(fds, name, &mut link[..]) {
            Ok((target, _)) => sockets.extend(socket_inode(target).map(|inode| (Fd(fd), inode))),
            // Closed while we looked.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

/// Whether two threads have one descriptor table, by kcmp(2); `None` where it does not tell.
fn share_descriptors(one: u32, other: u32) -> Option<bool> {
    const KCMP_FILES: libc::c_int = 2; // include/uapi/linux/kcmp.h
    let [one, other] = [one, other].map(|pid| libc::pid_t::try_from(pid).ok());
    // SAFETY: kcmp takes five numbers and touches no memory of ours.
    let answer = unsafe { libc::syscall(libc::SYS_kcmp, one?, other?, KCMP_FILES, 0, 0) };
    (answer >= 0).then_some(answer == 0)
}

/// `socket:[123]` -> 123 (net/socket.c `sockfs_dname`).
fn socket_inode(target: &[u8]) -> Option<Inode> {
    let number = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok().map(Inode)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::OwnerStatus;

    #[test]
    fn only_a_socket_link_has_an_inode() {
        assert_eq!(socket_inode(b"socket:[8916]"), Some(Inode(8916)));
        for other in [
            &b"pipe:[1]"[..],
            b"/tmp/socket:[1]",
            b"socket:[]",
            b"socket:[1",
            b"socket:[-1]",
        ] {
            assert_eq!(socket_inode(other), None);
        }
    }

    #[test]
    fn our_own_listener_is_held_by_this_process_under_its_descriptor() {
        use std::os::fd::AsRawFd;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = socket_inode(link.as_os_str().as_encoded_bytes()).unwrap();
        let holdings = ProcWalk::new("/proc", Stop::new().unwrap()).look();
        let owner = holdings.of(inode).0.into_iter().next().unwrap();
        assert_eq!(owner.pid.0, std::process::id());
        assert_eq!(i64::from(owner.fd.0), i64::from(listener.as_raw_fd()));
        let age = crate::clock::now().as_nanos() - owner.started.unwrap().as_nanos();
        assert!((-2_000_000_000..3_600_000_000_000).contains(&age), "{age}");
    }

    #[test]
    fn after_the_stop_signal_no_owner_is_said_to_be_missing() {
        let stop = Stop::new().unwrap();
        stop.raise();
        let holdings = ProcWalk::new("/proc", stop).look();
        assert_eq!(holdings.gaps().len(), 1);
        assert_eq!(holdings.of(Inode(1)).1, OwnerStatus::Hidden);
    }

    proptest! {
        #[test]
        fn any_link_target_is_harmless(target in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = socket_inode(&target);
        }
    }
}
