//! Filters, compiled by libpcap.

use pcap::{BpfProgram, Capture, Linktype};

use crate::capture::Link;

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
}
