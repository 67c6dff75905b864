//! Filters, compiled by libpcap.

// The crate lets libpcap filter only frames of which all was captured: `greater 1000` asks for
// the length on the wire.
#![allow(unsafe_code)]

use pcap::{BpfProgram, Capture, Linktype};

use crate::capture::Link;
use crate::selection::Selection;

unsafe extern "C" {
    /// Runs a filter on a packet (pcap/bpf.h); the crate links libpcap.
    fn bpf_filter(
        instructions: *const libc::c_void,
        packet: *const u8,
        wire_length: libc::c_uint,
        captured: libc::c_uint,
    ) -> libc::c_uint;
}

/// libpcap does not understand a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the filter {filter:?}: {reason}")]
pub struct FilterError {
    /// The filter.
    pub filter: String,
    /// libpcap's message.
    pub reason: String,
}

impl FilterError {
    pub(super) fn new(filter: &str, error: &pcap::Error) -> Self {
        Self {
            filter: filter.to_owned(),
            reason: reason(error),
        }
    }
}

/// The message alone: the crate puts `libpcap error: ` before it.
pub(super) fn reason(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message.lines().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// A compiled filter.
pub struct Program(BpfProgram);

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

impl Program {
    /// Compiles a filter for frames of a link type. A host name in it is looked up.
    ///
    /// # Errors
    /// When libpcap does not understand it.
    pub fn compile(link: Link, filter: &str) -> Result<Self, FilterError> {
        let failed = |error| FilterError::new(filter, &error);
        let dead = Capture::dead(Linktype(link.dlt())).map_err(failed)?;
        dead.compile(filter, true).map(Self).map_err(failed)
    }

    /// Whether a frame passes.
    pub fn passes(&self, bytes: &[u8]) -> bool {
        self.0.filter(bytes)
    }

    /// Whether a frame of which this much was captured passes.
    pub(super) fn passes_cut(&self, bytes: &[u8], original_length: u32) -> bool {
        let Ok(captured) = u32::try_from(bytes.len()) else {
            return self.passes(bytes);
        };
        let instructions = self.0.get_instructions().as_ptr();
        // SAFETY: the instructions are those of a program that libpcap has compiled, and so are
        // valid and end with a return; both are borrowed for the length of the call, and no more
        // than `captured` bytes are looked at. An instruction of the crate is libpcap's.
        let answer = unsafe {
            bpf_filter(
                instructions.cast(),
                bytes.as_ptr(),
                original_length,
                captured,
            )
        };
        answer != 0
    }
}

/// The filter for one link type; `None`: everything passes.
pub(super) fn whole_program(
    link: Link,
    selection: &Selection,
    user: &str,
) -> Result<Option<Program>, FilterError> {
    if !user.is_empty() {
        Program::compile(link, user)?;
    }
    let whole = super::whole_filter([super::selection_filter(selection, link), None], user);
    if whole.is_empty() {
        return Ok(None);
    }
    Program::compile(link, &whole).map(Some)
}
