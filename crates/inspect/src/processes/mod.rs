//! What a process says of itself: user, command line, directory, cgroup, descriptors. Knows no
//! socket.
//!
//! Apart from `owners`, which asks every process one small question: this asks a few processes
//! many.

mod cgroup;
mod effort;
mod kin;
mod source;

use std::collections::BTreeMap;

pub use cgroup::Placement;
pub use effort::Effort;
pub use kin::{Attention, Standing, Usage};
pub use source::{
    about, about_but_descriptors, attention, named, names, placement, process_of, socket_options,
    standing, usage,
};

use crate::model::{ForeignText, NetworkNamespace, Pid, Timestamp, Uid};

/// One process. What could not be read is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The process.
    pub pid: Pid,
    /// Its name (`comm`): up to 15 bytes that it chose itself.
    pub command: ForeignText,
    /// Its state as `stat` has it (proc_pid_stat(5)): `R`, `S`, `D`, `Z`...
    pub state: Option<char>,
    /// Whether it is a thread of the kernel, which has no command line and no descriptors.
    pub kernel_thread: Option<bool>,
    /// Its parent; 0 for none.
    pub parent: Option<Pid>,
    /// How many threads it has.
    pub threads: Option<u64>,
    /// When it started.
    pub started: Option<Timestamp>,
    /// The real user.
    pub uid: Option<Uid>,
    /// The words of its command line; none for a kernel thread, or when it erased them.
    pub command_line: Option<Vec<ForeignText>>,
    /// The directory it works in.
    pub directory: Option<ForeignText>,
    /// The file it runs.
    pub executable: Option<ForeignText>,
    /// Where it is placed: cgroup, unit, container.
    pub placement: Option<Placement>,
    /// The network namespace it is in. It may hold sockets of others as well.
    pub netns: Option<NetworkNamespace>,
    /// Its descriptors.
    pub descriptors: Option<Descriptors>,
    /// How many descriptors it may have: the soft limit (RLIMIT_NOFILE).
    pub descriptor_limit: Option<u64>,
}

/// Options of a socket that no table lists. What could not be read is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// SO_REUSEADDR (socket(7)).
    pub reuse_address: Option<bool>,
    /// SO_REUSEPORT.
    pub reuse_port: Option<bool>,
    /// IPV6_V6ONLY (ipv6(7)); `None` too for a socket that is not of IPv6.
    pub v6_only: Option<bool>,
}

impl About {
    /// Whether it has ended and waits for its parent to notice, a zombie (proc_pid_stat(5)): it
    /// has given back what it held. One whose first thread alone has ended lives on in the others.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, Some('Z' | 'X')) && self.threads.is_none_or(|threads| threads <= 1)
    }
}

/// The descriptors of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// All.
    pub total: u64,
    /// By kind.
    pub by_kind: BTreeMap<Kind, u64>,
}

/// What a descriptor is open on, by its link (proc_pid_fd(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A socket.
    Socket,
    /// A file, directory or device: it has a path.
    File,
    /// One end of a pipe.
    Pipe,
    /// An epoll instance.
    Epoll,
    /// An event counter.
    EventFd,
    /// A timer.
    Timer,
    /// Signals to be read.
    SignalFd,
    /// Watches on files.
    Inotify,
    /// A BPF program, map or link.
    Bpf,
    /// Something else.
    Other,
}

impl Kind {
    /// The word used in records and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::File => "file",
            Self::Pipe => "pipe",
            Self::Epoll => "epoll",
            Self::EventFd => "eventfd",
            Self::Timer => "timer",
            Self::SignalFd => "signalfd",
            Self::Inotify => "inotify",
            Self::Bpf => "bpf",
            Self::Other => "other",
        }
    }

    /// From the target of a link in /proc/PID/fd.
    pub fn of_link(target: &[u8]) -> Self {
        match target {
            [b'/', ..] => Self::File,
            _ if target.starts_with(b"socket:[") => Self::Socket,
            _ if target.starts_with(b"pipe:[") => Self::Pipe,
            b"anon_inode:[eventpoll]" => Self::Epoll,
            b"anon_inode:[eventfd]" => Self::EventFd,
            b"anon_inode:[timerfd]" => Self::Timer,
            b"anon_inode:[signalfd]" => Self::SignalFd,
            b"anon_inode:inotify" | b"anon_inode:[fanotify]" => Self::Inotify,
            _ if target.starts_with(b"anon_inode:bpf") => Self::Bpf,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_tells_the_kind() {
        for (target, kind) in [
            (&b"socket:[12]"[..], Kind::Socket),
            (b"/dev/null", Kind::File),
            (b"/memfd:x (deleted)", Kind::File),
            (b"pipe:[3]", Kind::Pipe),
            (b"anon_inode:[eventpoll]", Kind::Epoll),
            (b"anon_inode:bpf-prog", Kind::Bpf),
            (b"net:[4026531840]", Kind::Other),
            (b"", Kind::Other),
        ] {
            assert_eq!(Kind::of_link(target), kind);
        }
    }
}
