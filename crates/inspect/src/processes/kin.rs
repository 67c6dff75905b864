//! Where a process stands among others, and what it does with a socket that it holds.

use crate::model::{ForeignText, Inode, Pid, Uid};

/// How many descriptors a process uses, of how many it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Open descriptors.
    pub used: u64,
    /// How many there may be: the soft limit (RLIMIT_NOFILE).
    pub limit: u64,
}

/// Whose process it is and where it comes from. What could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The real user.
    pub uid: Option<Uid>,
    /// The file it runs.
    pub executable: Option<ForeignText>,
    /// Its parent; 0 for none, or one outside of our pid namespace.
    pub parent: Option<Pid>,
    /// Its session (setsid(2)).
    pub session: Option<Pid>,
    /// The session of its parent.
    pub parent_session: Option<Pid>,
}

impl Standing {
    /// Whether the process that started this one has gone. `None` when that cannot be told.
    ///
    /// A child is in its parent's session, and the only way out (setsid) makes it the leader of
    /// its own. So a process that does not lead its session, with a parent in another one, was
    /// adopted: by process 1, or by a subreaper. Who leads its session may be either.
    pub fn is_orphan(&self, pid: Pid) -> Option<bool> {
        let session = self.session?;
        // Session 0 is one outside of our pid namespace.
        if session == pid || session == Pid(0) {
            return None;
        }
        // The first process of a pid namespace has its parent outside, and so has who entered it.
        if self.parent? == Pid(0) {
            return None;
        }
        Some(self.parent_session? != session)
    }
}

/// What a process does with a listening socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attention {
    /// Whether the descriptor outlives exec(): only such can have come from a program that
    /// started this one.
    pub survives_exec: Option<bool>,
    /// Whether a thread waits, or may be waiting, for connections. `Some(false)` is certain. It is
    /// asked only where the descriptor outlives exec().
    pub awaited: Option<bool>,
}

/// Whether a thread that sleeps in this function of the kernel (`wchan`, proc_pid_wchan(5)) may
/// be waiting for a connection, or be busy with one. A thread that runs sleeps nowhere (`0`), and
/// may be about to accept. What epoll waits for is told elsewhere.
pub(super) fn may_wait(place: &[u8]) -> bool {
    /// Places of sleep that have nothing to do with sockets: time, children, pipes, signals,
    /// locks; and epoll.
    const ELSEWHERE: [&str; 9] = [
        "nanosleep",
        "do_wait",
        "wait4",
        "pipe_read",
        "pipe_wait",
        "sigsuspend",
        "sigtimedwait",
        "futex",
        "epoll",
    ];
    let place = String::from_utf8_lossy(place);
    !ELSEWHERE.iter().any(|word| place.contains(word)) && !place.contains("ep_poll")
}

/// The inode of the file that a line in the fdinfo of an epoll instance (proc_pid_fdinfo(5)) names.
pub(super) fn epoll_watches(line: &[u8]) -> Option<Inode> {
    let text = std::str::from_utf8(line).ok()?;
    let (_, rest) = text.strip_prefix("tfd:")?.split_once("ino:")?;
    let word = rest.split_whitespace().next()?;
    u64::from_str_radix(word, 16).ok().map(Inode)
}

/// The flags of open(2) in the fdinfo of a descriptor: octal.
pub(super) fn open_flags(fdinfo: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(fdinfo).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(parent: u32, session: u32, parent_session: u32) -> Standing {
        Standing {
            parent: Some(Pid(parent)),
            session: Some(Pid(session)),
            parent_session: Some(Pid(parent_session)),
            ..Standing::default()
        }
    }

    #[test]
    fn an_orphan_is_in_a_session_that_its_parent_is_not_in() {
        let pid = Pid(77);
        for (standing, orphan) in [
            // A child of a shell, or of a server.
            (standing(50, 40, 40), Some(false)),
            // Adopted by process 1.
            (standing(1, 40, 1), Some(true)),
            // A service: it leads its session.
            (standing(1, 77, 1), None),
            // Its parent is outside of the namespace.
            (standing(0, 40, 0), None),
            (Standing::default(), None),
        ] {
            assert_eq!(standing.is_orphan(pid), orphan, "{standing:?}");
        }
    }

    #[test]
    fn who_may_wait_for_a_connection_is_told_by_the_place_of_sleep() {
        for (place, may) in [
            ("inet_csk_accept", true),
            ("poll_schedule_timeout.constprop.0", true),
            ("do_select", true),
            ("io_cqring_wait", true),
            ("0", true),
            ("", true),
            ("do_epoll_wait", false),
            ("ep_poll", false),
            // Reading from a connection, or from a disk for one.
            ("wait_woken", true),
            ("folio_wait_bit_common", true),
            ("hrtimer_nanosleep", false),
            ("do_wait", false),
            ("kernel_wait4", false),
            ("anon_pipe_read", false),
            ("sigsuspend.isra.0", false),
            ("futex_wait_queue", false),
        ] {
            assert_eq!(may_wait(place.as_bytes()), may, "{place}");
        }
    }

    #[test]
    fn an_epoll_instance_names_what_it_watches() {
        let text = b"pos:\t0\nflags:\t02000002\ntfd:        3 events:       1f data:                3  pos:0 ino:21d519 sdev:9\n";
        let watched: Vec<Inode> = text
            .split(|byte| *byte == b'\n')
            .filter_map(epoll_watches)
            .collect();
        assert_eq!(watched, [Inode(0x21_d519)]);
        assert_eq!(open_flags(text), Some(0o2_000_002));
        assert_eq!(open_flags(b"flags:\t9\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_understood_or_not(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = (may_wait(&text), epoll_watches(&text), open_flags(&text));
        }
    }
}
