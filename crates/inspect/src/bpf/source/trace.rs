//! Runs `trace.bpf.c`.

use std::os::fd::{AsFd, OwnedFd};

use super::super::trace_record::TraceRecord;
use super::loader::{Attached, Loader};
use super::ring::Ring;
use super::task_file::Aligned;
use super::{Error, allowed, call, refused};
use crate::model::{NetworkNamespace, Pid};

/// Built from its source by `make bpf`.
static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../trace.bpf.o"));

/// What is attached where. The last is left out where nobody asks for states.
const PROGRAMS: [(&str, &str); 6] = [
    ("call_began", "btf_trace_sys_enter"),
    ("call_ended", "btf_trace_sys_exit"),
    ("process_begun", "btf_trace_sched_process_fork"),
    ("program_begun", "btf_trace_sched_process_exec"),
    ("task_ended", "btf_trace_sched_process_exit"),
    ("state_changed", "btf_trace_inet_sock_set_state"),
];

/// Bytes of the ring: what 300,000 calls a second write in some 100 ms.
pub const TRACE_RING: u32 = 16 * 1024 * 1024;
/// Processes that can be traced at once, and threads that can be in a call.
const PROCESSES: u32 = 65_536;
/// Calls are numbered below this; those of x86-64 end at 470 in Linux 6.18.
const NUMBERS: u32 = 512;

/// Bytes of `struct marks` in trace.bpf.c.
const MARKS: usize = 65_536;

/// Bytes that are told of a buffer at most (`LONGEST` in trace.bpf.c).
pub const LONGEST_PIECE: u32 = 4096;

/// How a piece lies in memory (`enum layout` in trace.bpf.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Layout {
    /// One behind the other.
    Bytes = 1,
    /// Where a `struct iovec` says.
    Vectors,
    /// A `struct msghdr` and what that points to.
    Message,
    /// Several `struct mmsghdr`.
    Messages,
}

/// What the length of a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// An argument of the call, times the number.
    Argument(u8, u8),
    /// The number.
    Fixed(u8),
    /// What the call returned, times the number.
    Result(u8),
    /// The int that an argument points to.
    Pointed(u8),
}

/// Memory that is to be told with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedPiece {
    /// Whether it is there when the call ends, and not when it begins.
    pub at_end: bool,
    /// The argument that points to it.
    pub argument: u8,
    /// How it lies.
    pub layout: Layout,
    /// How long it is.
    pub measure: Measure,
}

/// Pieces that can be told of one call.
pub const PIECES: usize = 4;

/// Which descriptor a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFd {
    /// An argument.
    Argument(u8),
    /// What the call returns.
    Returned,
    /// None, or several.
    None,
}

/// A call that is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedCall<'a> {
    /// Its number.
    pub number: u16,
    /// The descriptor that has to be a socket.
    pub fd: CallFd,
    /// Or else this argument.
    pub other_fd: Option<u8>,
    /// Whether it returns a new descriptor, of which its end is told.
    pub makes: bool,
    /// At most [`PIECES`].
    pub pieces: &'a [WantedPiece],
}

impl WantedCall<'_> {
    /// `struct wanted_call` in trace.bpf.c.
    fn to_bytes(self) -> [u8; 8 + 8 * PIECES] {
        let mut bytes = [0; 8 + 8 * PIECES];
        bytes[0] = 1;
        bytes[1] = match self.fd {
            CallFd::Argument(index) => index,
            CallFd::None => 6,
            CallFd::Returned => 7,
        };
        bytes[2] = self.other_fd.unwrap_or(6);
        bytes[3] = u8::from(self.makes);
        for (piece, into) in self.pieces.iter().zip(bytes[8..].chunks_exact_mut(8)) {
            let (measure, argument, number) = match piece.measure {
                Measure::Argument(argument, number) => (0, argument, number),
                Measure::Fixed(number) => (1, 0, number),
                Measure::Result(number) => (2, 0, number),
                Measure::Pointed(argument) => (3, argument, 0),
            };
            into[..6].copy_from_slice(&[
                1 + u8::from(piece.at_end),
                piece.layout as u8,
                piece.argument,
                measure,
                argument,
                number,
            ]);
        }
        bytes
    }
}

/// Whose calls are told.
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceRequest<'a> {
    /// The inode of the pid namespace whose numbers are wanted.
    pub pid_namespace: u64,
    /// Only these processes, and their children.
    pub processes: Option<&'a [Pid]>,
    /// Whose children are such as well.
    pub launcher: Option<Pid>,
    /// All processes are told; the births of that one's children beside.
    pub everybody: bool,
    /// Only processes of this name, of which the first 15 bytes count.
    pub name: Option<&'a [u8]>,
    /// Only sockets that use this port, or that may yet come to use it.
    pub port: Option<u16>,
    /// Only sockets of this network namespace.
    pub network: Option<NetworkNamespace>,
    /// Bytes of a buffer, at most [`LONGEST_PIECE`].
    pub limit: u32,
    /// Whether changes of TCP's states are told too.
    pub states: bool,
    /// The calls.
    pub calls: &'a [WantedCall<'a>],
    /// Bytes of the ring: a power of two, and of whole pages.
    pub room: u32,
}

impl TraceRequest<'_> {
    /// `struct settings` in trace.bpf.c.
    fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let namespace = u32::try_from(self.pid_namespace).unwrap_or(0);
        bytes[..4].copy_from_slice(&namespace.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.launcher.map_or(0, |pid| pid.0).to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.limit.to_ne_bytes());
        bytes[12..14].copy_from_slice(&self.port.unwrap_or(0).to_ne_bytes());
        let by_process = self.processes.is_some() || self.launcher.is_some();
        bytes[14] = u8::from(by_process && !self.everybody);
        let network = self.network.map_or(0, |network| network.0);
        let network = u32::try_from(network).unwrap_or(0);
        bytes[16..20].copy_from_slice(&network.to_ne_bytes());
        if let Some(name) = self.name {
            bytes[15] = 1;
            let length = name.len().min(15);
            bytes[24..24 + length].copy_from_slice(&name[..length]);
        }
        bytes
    }
}

/// Calls, from now on until it is dropped; then nothing of it is left in the kernel.
#[derive(Debug)]
pub struct Traced {
    ring: Ring,
    lost: OwnedFd,
    #[allow(dead_code, reason = "the programs run as long as it is there")]
    attached: Attached,
}

impl Traced {
    /// Has the kernel tell what happens from now on.
    ///
    /// # Errors
    /// When the rights, the kernel, or a limit do not allow it, and on a machine whose calls this
    /// program cannot read.
    pub fn open(request: &TraceRequest<'_>) -> Result<Self, Error> {
        if !cfg!(target_arch = "x86_64") {
            return Err(Error::Machine);
        }
        allowed()?;
        let count = PROGRAMS.len() - usize::from(!request.states);
        let (programs, tracepoints): (Vec<_>, Vec<_>) = PROGRAMS[..count].iter().copied().unzip();
        let mut loader = Loader::new(&OBJECT.0, &tracepoints)?;
        let set = "set what the kernel program tells";
        let settings = loader.make("settings", 1)?;
        call::set_first(settings, request.to_bytes()).map_err(refused(set))?;
        let calls = loader.make("calls", NUMBERS)?;
        for wanted in request.calls {
            let number = u32::from(wanted.number);
            call::put(calls, number, wanted.to_bytes()).map_err(refused(set))?;
        }
        let traced = loader.make("traced", PROCESSES)?;
        for pid in request.processes.unwrap_or_default() {
            call::put(traced, pid.0, [1u8]).map_err(refused(set))?;
        }
        let mut marks = Box::new([0u8; MARKS]);
        for pid in request.processes.unwrap_or_default() {
            marks[usize::try_from(pid.0).unwrap_or(0) % MARKS] = 1;
        }
        let table = loader.make("marks", 1)?;
        call::set_first(table, *marks).map_err(refused(set))?;
        loader.make("within", PROCESSES)?;
        loader.make("lost", 1)?;
        loader.make("events", request.room)?;
        let mut attached = loader.attach(&programs)?;
        let read = "read the ring of the kernel program";
        let [ring, lost] = ["events", "lost"].map(|name| attached.take(name));
        let (Some(ring), Some(lost)) = (ring, lost) else {
            return Err(Error::Refused {
                operation: read,
                reason: "it was not made".to_owned(),
            });
        };
        let room = usize::try_from(request.room).unwrap_or(usize::MAX);
        Ok(Self {
            ring: Ring::new(ring, room).map_err(refused(read))?,
            lost,
            attached,
        })
    }

    /// What has happened since, in the order in which the kernel began to write it; what is not
    /// understood is counted.
    pub fn drain(&mut self, mut tell: impl FnMut(TraceRecord<'_>)) -> u64 {
        let mut unknown = 0;
        self.ring.drain(|bytes| match TraceRecord::decode(bytes) {
            Some(record) => tell(record),
            None => unknown += 1,
        });
        unknown
    }

    /// How many records the ring had no room for, from the beginning.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn lost(&self) -> Result<u64, Error> {
        call::first(self.lost.as_fd())
            .map(u64::from_ne_bytes)
            .map_err(Error::Read)
    }
}
