//! Reads, of many processes, the little that says where they stand.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use procfs::process::{LimitValue, Process};

use super::super::Effort;
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

/// What a process does with listening sockets that it holds. All are asked about at once, as what
/// its threads wait for is read once.
pub fn attention(
    root: &Path,
    pid: Pid,
    listeners: &[(Fd, Inode)],
    effort: &mut Effort<'_>,
) -> Vec<(Fd, Attention)> {
    let folder = root.join(pid.to_string());
    effort.next_process();
    let mut seen = Vec::new();
    for (fd, _) in listeners {
        if effort.take_entry().is_none() {
            effort.give_up();
            return seen;
        }
        seen.push((*fd, descriptor(&folder, *fd)));
    }
    // Where it does not outlive exec(), nobody asks who waits for it.
    let is_asked = |it: &Attention| it.survives_exec == Some(true) && it.awaited.is_none();
    let asked: HashSet<Inode> = listeners
        .iter()
        .zip(&seen)
        .filter(|(_, (_, it))| is_asked(it))
        .map(|((_, inode), _)| *inode)
        .collect();
    if asked.is_empty() {
        return seen;
    }
    match awaited(&folder, &asked, effort) {
        Ok(awaited) => {
            for ((_, inode), (_, it)) in listeners.iter().zip(&mut seen) {
                if is_asked(it) {
                    it.awaited = awaited.as_ref().map(|awaited| awaited.contains(inode));
                }
            }
        }
        Err(TooMuch) => effort.give_up(),
    }
    seen
}

/// What a descriptor itself tells.
fn descriptor(folder: &Path, fd: Fd) -> Attention {
    const O_ASYNC: u32 = 0o20_000; // include/uapi/asm-generic/fcntl.h FASYNC
    const O_CLOEXEC: u32 = 0o2_000_000;
    let flags = read(&folder.join("fdinfo").join(fd.to_string()), LONGEST_FILE)
        .ok()
        .and_then(|text| open_flags(&text));
    let told_by_signal = flags.is_some_and(|flags| flags & O_ASYNC != 0);
    Attention {
        survives_exec: flags.map(|flags| flags & O_CLOEXEC == 0),
        awaited: told_by_signal.then_some(true),
    }
}

/// More than there may be read.
struct TooMuch;

/// Those of the sockets that a thread waits for, or may be waiting for: all, when it sleeps where
/// one may wait for any. `None` where that cannot be read.
fn awaited(
    folder: &Path,
    asked: &HashSet<Inode>,
    effort: &mut Effort<'_>,
) -> Result<Option<HashSet<Inode>>, TooMuch> {
    let Ok(threads) = std::fs::read_dir(folder.join("task")) else {
        return Ok(None);
    };
    for thread in threads {
        effort.take_entry().ok_or(TooMuch)?;
        let place = thread.and_then(|thread| read(&thread.path().join("wchan"), LONGEST_FILE));
        match place {
            Ok(place) if may_wait(&place) => return Ok(Some(asked.clone())),
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
    }
    let Ok(descriptors) = std::fs::read_dir(folder.join("fd")) else {
        return Ok(None);
    };
    let mut watched = HashSet::new();
    for entry in descriptors {
        effort.take_entry().ok_or(TooMuch)?;
        let Ok(entry) = entry else { return Ok(None) };
        // What was closed meanwhile waits for nothing.
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue;
        };
        if target.as_os_str().as_bytes() != b"anon_inode:[eventpoll]" {
            continue;
        }
        // The kernel writes all of it down when the first byte is read.
        if effort.bytes() == 0 {
            return Err(TooMuch);
        }
        let Ok(file) = File::open(folder.join("fdinfo").join(entry.file_name())) else {
            return Ok(None);
        };
        // One byte more than may be read tells that there was more.
        let mut lines = BufReader::new(file.take(effort.bytes().saturating_add(1)));
        let mut line = Vec::new();
        loop {
            line.clear();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(length) => effort.take_bytes(length).ok_or(TooMuch)?,
                Err(_) => return Ok(None),
            }
            watched.extend(epoll_watches(&line).filter(|inode| asked.contains(inode)));
        }
        if watched.len() == asked.len() {
            break;
        }
    }
    Ok(Some(watched))
}

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
        let pid = Pid(std::process::id());
        let inode = Inode(inode.ino());
        let look = || {
            attention(
                Path::new(PROC),
                pid,
                &[(fd, inode)],
                &mut Effort::new(&|| true),
            )
        };
        let ours = Attention {
            survives_exec: Some(false),
            awaited: None,
        };
        assert_eq!(look(), [(fd, ours)], "nobody asks who waits for it");
        rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
        let left = Attention {
            survives_exec: Some(true),
            awaited: Some(true),
        };
        assert_eq!(look(), [(fd, left)], "this thread runs");
    }

    /// A process of one thread that sleeps in epoll_wait(): listeners on 3 and 4, which outlive
    /// exec(), and on 5, which does not; an epoll instance on 6 that watches the first.
    fn sleeper() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("77");
        for name in ["task/77", "fd", "fdinfo"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        std::fs::write(folder.join("task/77/wchan"), "ep_poll").unwrap();
        for (fd, target, told) in [
            (3, "socket:[103]", "flags:\t02\n"),
            (4, "socket:[104]", "flags:\t02\n"),
            (5, "socket:[105]", "flags:\t02000002\n"),
            (
                6,
                "anon_inode:[eventpoll]",
                "flags:\t02\ntfd: 3 events: 1 data: 3  pos:0 ino:67 sdev:9\n",
            ),
        ] {
            std::os::unix::fs::symlink(target, folder.join(format!("fd/{fd}"))).unwrap();
            std::fs::write(folder.join(format!("fdinfo/{fd}")), told).unwrap();
        }
        root
    }

    fn asked(root: &Path, effort: &mut Effort<'_>) -> Vec<(Option<bool>, Option<bool>)> {
        let listeners = [3, 4, 5].map(|fd| (Fd(fd), Inode(u64::from(fd) + 100)));
        let seen = attention(root, Pid(77), &listeners, effort);
        let told = seen
            .into_iter()
            .map(|(_, it)| (it.survives_exec, it.awaited));
        told.collect()
    }

    #[test]
    fn the_listeners_of_a_process_are_asked_about_together() {
        let root = sleeper();
        let known = [
            (Some(true), Some(true)),
            (Some(true), Some(false)),
            (Some(false), None),
        ];
        let mut effort = Effort::new(&|| true);
        assert_eq!(asked(root.path(), &mut effort), known);
        // Three listeners, a thread, four descriptors: none of them is read twice.
        let mut enough = Effort::of(&|| true, 8, 100);
        assert_eq!(asked(root.path(), &mut enough), known);
        assert_eq!((effort.given_up(), enough.given_up()), (0, 0));
    }

    #[test]
    fn what_is_too_much_to_read_is_not_known() {
        let root = sleeper();
        let unknown = [(Some(true), None), (Some(true), None), (Some(false), None)];
        for (entries, bytes) in [(7, 100), (3, 100), (8, 20)] {
            let mut effort = Effort::of(&|| true, entries, bytes);
            assert_eq!(
                asked(root.path(), &mut effort),
                unknown,
                "{entries} {bytes}"
            );
            assert_eq!(effort.given_up(), 1);
        }
        let mut stopped = Effort::new(&|| false);
        assert_eq!(asked(root.path(), &mut stopped), []);
        assert_eq!(stopped.given_up(), 1);
    }
}
