//! Reads, of many processes, the little that says where they stand.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use procfs::process::{LimitValue, Process};

use super::super::kin::{Attention, Standing, Usage, epoll_watches, may_wait, open_flags};
use super::{LONGEST_FILE, link, read, uid};
use crate::model::{Fd, Inode, Pid};

/// How many descriptors a process uses, of how many it may. `None` when it is gone or does not
/// tell; its limit is told to its user and to root.
pub fn usage(root: &Path, pid: Pid) -> Option<Usage> {
    let folder = root.join(pid.to_string());
    let process = Process::new_with_root(folder.clone()).ok()?;
    let LimitValue::Value(limit) = process.limits().ok()?.max_open_files.soft_limit else {
        return None;
    };
    // The size of the folder is the number of descriptors since Linux 6.2, and 0 before; in a
    // recorded tree it is something else.
    let metadata = std::fs::metadata(folder.join("fd")).ok()?;
    let used = if metadata.len() > 0 && root == Path::new("/proc") {
        metadata.len()
    } else {
        let entries = std::fs::read_dir(folder.join("fd")).ok()?;
        u64::try_from(entries.count()).ok()?
    };
    Some(Usage { used, limit })
}

/// Whose process it is and where it comes from; `None` when there is none.
pub fn standing(root: &Path, pid: Pid) -> Option<Standing> {
    let folder = root.join(pid.to_string());
    let family = |pid: Pid| {
        let process = Process::new_with_root(root.join(pid.to_string())).ok()?;
        let stat = process.stat().ok()?;
        let number = |number: i32| u32::try_from(number).ok().map(Pid);
        Some((number(stat.ppid), number(stat.session)))
    };
    let (parent, session) = family(pid)?;
    Some(Standing {
        uid: uid(&folder),
        executable: link(&folder.join("exe")),
        parent,
        session,
        parent_session: parent.and_then(family).and_then(|(_, session)| session),
    })
}

/// What a process does with a listening socket that it holds.
pub fn attention(root: &Path, pid: Pid, fd: Fd, inode: Inode) -> Attention {
    const O_ASYNC: u32 = 0o20_000; // include/uapi/asm-generic/fcntl.h FASYNC
    const O_CLOEXEC: u32 = 0o2_000_000;
    let folder = root.join(pid.to_string());
    let flags = read(&folder.join("fdinfo").join(fd.to_string()), LONGEST_FILE)
        .ok()
        .and_then(|text| open_flags(&text));
    let told_by_signal = flags.is_some_and(|flags| flags & O_ASYNC != 0);
    Attention {
        survives_exec: flags.map(|flags| flags & O_CLOEXEC == 0),
        awaited: if told_by_signal {
            Some(true)
        } else {
            awaited(&folder, inode)
        },
    }
}

fn awaited(folder: &Path, inode: Inode) -> Option<bool> {
    for thread in std::fs::read_dir(folder.join("task")).ok()? {
        let place = read(&thread.ok()?.path().join("wchan"), LONGEST_FILE).ok()?;
        if may_wait(&place) {
            return Some(true);
        }
    }
    for entry in std::fs::read_dir(folder.join("fd")).ok()? {
        let entry = entry.ok()?;
        // What was closed meanwhile waits for nothing.
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue;
        };
        if target.as_os_str().as_bytes() != b"anon_inode:[eventpoll]" {
            continue;
        }
        let mut text = Vec::new();
        let file = File::open(folder.join("fdinfo").join(entry.file_name())).ok()?;
        file.take(LONGEST_EPOLL).read_to_end(&mut text).ok()?;
        if epoll_watches(&text, inode.0) {
            return Some(true);
        }
        if u64::try_from(text.len()).is_ok_and(|length| length >= LONGEST_EPOLL) {
            return None;
        }
    }
    Some(false)
}

/// An epoll instance has a line for each descriptor that it watches: some hundred thousand.
const LONGEST_EPOLL: u64 = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::Uid;

    const PROC: &str = "/proc";

    /// A child with a session of its own, as the parent and the session of the test itself may be
    /// outside of its PID namespace: they are 0 then, which no process is.
    #[test]
    fn a_child_stands_where_it_was_put() {
        let mut child = Command::new("setsid")
            .args(["sleep", "60"])
            .spawn()
            .unwrap();
        let pid = Pid(child.id());
        let look = || standing(Path::new(PROC), pid).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while look().session != Some(pid) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let seen = look();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen.session, Some(pid));
        assert_eq!(seen.parent, Some(Pid(std::process::id())));
        assert_ne!(seen.parent_session, seen.session);
        assert_eq!(seen.uid, Some(Uid(rustix::process::getuid().as_raw())));
        assert_eq!(standing(Path::new(PROC), Pid(u32::MAX)), None);
    }

    #[test]
    fn descriptors_are_counted_against_their_limit() {
        let pid = Pid(std::process::id());
        let usage = usage(Path::new(PROC), pid).unwrap();
        let soft = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        assert_eq!(Some(usage.limit), soft);
        assert!((3..usage.limit).contains(&usage.used), "{usage:?}");
    }

    #[test]
    fn a_listener_of_a_test_that_runs_may_be_awaited() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = Fd(listener.as_raw_fd().cast_unsigned());
        let inode = std::fs::metadata(format!("/proc/self/fd/{fd}")).unwrap();
        let seen = attention(
            Path::new(PROC),
            Pid(std::process::id()),
            fd,
            Inode(inode.ino()),
        );
        assert_eq!(seen.survives_exec, Some(false));
        assert_eq!(seen.awaited, Some(true), "this thread runs");
    }
}
