//! Who holds a socket.

use super::{Fd, ForeignText, Pid, Timestamp};

/// One process, or thread with a descriptor table of its own, that holds a descriptor on a
/// socket. A socket has as many owners as there are descriptors on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The process.
    pub pid: Pid,
    /// The thread whose table holds the descriptor; the process's first thread has `tid == pid`.
    pub tid: Pid,
    /// The descriptor.
    pub fd: Fd,
    /// The process's name (`/proc/PID/comm`): up to 15 bytes that the process itself chose.
    pub command: ForeignText,
    /// When the process started, where it could be read.
    pub started: Option<Timestamp>,
}

/// The same, borrowed: a listing has hundreds of thousands, and some hundred names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerRef<'a> {
    /// The process.
    pub pid: Pid,
    /// The thread whose table holds the descriptor.
    pub tid: Pid,
    /// The descriptor.
    pub fd: Fd,
    /// The process's name.
    pub command: &'a ForeignText,
    /// When the process started, where it could be read.
    pub started: Option<Timestamp>,
}

impl Owner {
    /// It, borrowed.
    pub fn by_ref(&self) -> OwnerRef<'_> {
        OwnerRef {
            pid: self.pid,
            tid: self.tid,
            fd: self.fd,
            command: &self.command,
            started: self.started,
        }
    }
}

impl OwnerRef<'_> {
    /// A copy to keep.
    pub fn to_owner(self) -> Owner {
        Owner {
            pid: self.pid,
            tid: self.tid,
            fd: self.fd,
            command: self.command.clone(),
            started: self.started,
        }
    }
}

/// How well the owners of a socket are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerStatus {
    /// Owners were found.
    Known,
    /// Owners were found, and a parent or child of one could not be read: it may hold the socket
    /// too.
    Partial,
    /// Every process was read and none has a descriptor on it: it is the kernel's, on its way
    /// from one process to another (SCM_RIGHTS of unix(7)), or registered with io_uring.
    None,
    /// No owner was found, and there are processes that could not be read.
    Hidden,
    /// It waits in a listener's queue for accept(), and has no descriptor yet.
    Pending,
    /// The kernel alone holds it: TIME_WAIT, or an orphan whose descriptors are all closed.
    Kernel,
    /// Nobody asked for owners.
    NotAsked,
}

impl OwnerStatus {
    /// The word used in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Partial => "partial",
            Self::None => "none",
            Self::Hidden => "hidden",
            Self::Pending => "pending",
            Self::Kernel => "kernel",
            Self::NotAsked => "not_asked",
        }
    }
}
