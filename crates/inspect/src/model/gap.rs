//! What could not be seen.

/// Where a gap arose; the `source` of a gap record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The kernel's socket tables.
    Sockets,
    /// The walk over processes and their descriptors.
    Owners,
    /// Frames from an interface or a file.
    Capture,
    /// System calls.
    Trace,
}

impl Origin {
    /// The word used in records and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Owners => "owners",
            Self::Capture => "capture",
            Self::Trace => "trace",
        }
    }
}

/// Something that exists or happened and was not seen, and why. Every gap reaches the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Which source could not see.
    pub source: Origin,
    /// Why, in words that can follow a count: `rows of net/tcp did not parse`.
    pub reason: String,
    /// How many things were lost; `None` when that itself is unknown.
    pub count: Option<u64>,
}

impl Gap {
    /// A gap of known size.
    pub fn counted(source: Origin, reason: impl Into<String>, count: u64) -> Self {
        Self {
            source,
            reason: reason.into(),
            count: Some(count),
        }
    }

    /// A gap whose size cannot be told.
    pub fn uncounted(source: Origin, reason: impl Into<String>) -> Self {
        Self {
            source,
            reason: reason.into(),
            count: None,
        }
    }
}
