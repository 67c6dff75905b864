//! A call as it was made: numbers in registers, and the memory that they point to.

use std::collections::HashMap;

use super::{Process, Socket};
use crate::bpf::Role;
use crate::model::{Fd, Pid};

/// Which memory it is: the call's piece, which of several messages, what of it, which buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) piece: u8,
    pub(super) message: u8,
    pub(super) role: Role,
    pub(super) part: u16,
}

impl Place {
    pub(super) fn whole(piece: u8) -> Self {
        Self {
            piece,
            message: 0,
            role: Role::Whole,
            part: 0,
        }
    }
}

/// Memory of the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Memory {
    /// Bytes that there were.
    pub(super) length: u64,
    /// The first of them; `None` when they could not be read.
    pub(super) bytes: Option<Vec<u8>>,
}

/// The descriptor that a call is about, and its socket at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) fd: Fd,
    pub(super) socket: Socket,
}

/// How a call came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// It returned this.
    Returned(i64),
    /// The thread ended within it.
    ThreadEnded,
    /// It was still within it when we left.
    StillWaits,
    /// Its end was not told.
    Lost,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawCall {
    pub(super) process: Process,
    pub(super) tid: Pid,
    pub(super) number: u16,
    pub(super) arguments: [u64; 6],
    /// Nanoseconds of CLOCK_MONOTONIC; `None` when its beginning was not told.
    pub(super) began_ns: Option<u64>,
    pub(super) ended_ns: Option<u64>,
    pub(super) finish: Finish,
    /// Before, and after: of accept(2) that is the new one.
    pub(super) before: Option<Held>,
    pub(super) after: Option<Held>,
    pub(super) memory: HashMap<Place, Memory>,
}
