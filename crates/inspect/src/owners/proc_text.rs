//! The few lines of /proc that a walk needs. A process's name stands in some of them and may be
//! any bytes, so they are not text.

use crate::model::{Inode, Pid, Uid};

/// What is wanted of /proc/PID/stat (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// One letter: `Z` and `X` have exited.
    pub(super) state: u8,
    pub(super) parent: Option<Pid>,
    /// `PF_` flags (include/linux/sched.h).
    pub(super) flags: Option<u32>,
    pub(super) threads: Option<u32>,
    /// Clock ticks after boot.
    pub(super) started: Option<u64>,
}

/// `PF_KTHREAD`: a kernel thread has no descriptors of its own.
const PF_KTHREAD: u32 = 0x0020_0000;

impl Stat {
    /// The name ends at the last parenthesis: no field after it has one.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let after_name = line.iter().rposition(|byte| *byte == b')')? + 1;
        let fields: Vec<&[u8]> = words(&line[after_name..]).take(20).collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        Some(Self {
            state: *fields.first()?.first()?,
            parent: number(field(1)).map(Pid),
            flags: number(field(6)),
            threads: number(field(17)),
            started: number(field(19)),
        })
    }

    /// Whether it is a kernel thread, or a process that has exited whole and given its
    /// descriptors back; one whose first thread alone has exited lives on in the others.
    pub(super) fn holds_nothing(&self) -> bool {
        let exited = matches!(self.state, b'Z' | b'X');
        let thread_of_kernel = self.flags.is_some_and(|flags| flags & PF_KTHREAD != 0);
        thread_of_kernel || exited && self.threads.is_some_and(|threads| threads <= 1)
    }
}

/// The real user from /proc/PID/status: `Uid:` and four ids (proc_pid_status(5)).
pub(super) fn real_user(status: &[u8]) -> Option<Uid> {
    let line = value(status, b"Uid:")?;
    words(line).next().and_then(number).map(Uid)
}

/// `socket:[123]` -> 123 (net/socket.c `sockfs_dname`).
pub(super) fn socket_inode(target: &[u8]) -> Option<Inode> {
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    number(digits).map(Inode)
}

/// A number as the kernel writes it: digits alone.
pub(super) fn number<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// The rest of the first line that starts so.
fn value<'a>(text: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(start))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As 6.18 writes it, with a name full of what may confuse a reader.
    const STAT: &[u8] =
        b"4845 (a) S (b\\n\xff) R 4800 4845 4845 0 -1 4194560 100 0 0 0 1 2 0 0 20 \
        0 3 0 72555 8192000 512 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0\n";

    #[test]
    fn the_name_does_not_confuse_the_fields_after_it() {
        assert_eq!(
            Stat::parse(STAT),
            Some(Stat {
                state: b'R',
                parent: Some(Pid(4800)),
                flags: Some(4_194_560),
                threads: Some(3),
                started: Some(72_555),
            })
        );
    }

    #[test]
    fn what_has_exited_whole_and_kernel_threads_hold_nothing() {
        let stat = Stat::parse(STAT).unwrap();
        assert!(!stat.holds_nothing());
        let first_exited = Stat {
            state: b'Z',
            ..stat
        };
        assert!(!first_exited.holds_nothing());
        let exited = Stat {
            threads: Some(1),
            ..first_exited
        };
        assert!(exited.holds_nothing());
        let of_kernel = Stat {
            flags: Some(PF_KTHREAD | 0x40),
            ..stat
        };
        assert!(of_kernel.holds_nothing());
    }

    #[test]
    fn a_line_that_is_cut_off_has_what_it_has() {
        let stat = Stat::parse(b"1 (x) S 0").unwrap();
        assert_eq!((stat.state, stat.parent), (b'S', Some(Pid(0))));
        assert_eq!((stat.flags, stat.threads, stat.started), (None, None, None));
        assert_eq!(Stat::parse(b"1 (x"), None);
        assert_eq!(Stat::parse(b"1 (x)"), None);
    }

    #[test]
    fn the_user_is_the_real_one() {
        let status = b"Name:\t\xff\\nUid:\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t1\t1\t1\t1\n";
        assert_eq!(real_user(status), Some(Uid(1000)));
        assert_eq!(real_user(b"Name:\tx\n"), None);
    }

    #[test]
    fn only_a_socket_link_has_an_inode() {
        assert_eq!(socket_inode(b"socket:[8916]"), Some(Inode(8916)));
        for other in [
            &b"pipe:[1]"[..],
            b"/tmp/socket:[1]",
            b"socket:[]",
            b"socket:[1",
            b"socket:[-1]",
            b"socket:[+1]",
        ] {
            assert_eq!(socket_inode(other), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Stat::parse(&bytes), real_user(&bytes), socket_inode(&bytes));
        }

        #[test]
        fn any_name_leaves_the_fields_as_they_are(name in proptest::collection::vec(any::<u8>(), 0..16)) {
            let mut line = b"7 (".to_vec();
            line.extend(&name);
            line.extend(b") S 5 7 7 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 99 0\n");
            let stat = Stat::parse(&line).unwrap();
            prop_assert_eq!((stat.parent, stat.started), (Some(Pid(5)), Some(99)));
        }
    }
}
