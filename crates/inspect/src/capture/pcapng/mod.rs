//! pcapng: blocks <-> frames, interfaces and what was lost. Pure; any bytes give an error or
//! frames.
//!
//! Layouts: <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/>. libpcap reads such
//! files only where all interfaces have one link type, and tells neither their names nor comments
//! nor statistics; it writes none at all.

mod fields;
mod lost;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use reader::{Damage, Held, Reader};
pub use writer::{Described, PcapngWriter, Program};

/// Block types (11.1).
mod block {
    pub(super) const INTERFACE: u32 = 1;
    /// Obsolete (appendix A), and still found in files.
    pub(super) const OLD_PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const STATISTICS: u32 = 5;
    pub(super) const PACKET: u32 = 6;
    /// The same in both byte orders.
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
}

/// Option codes: those of every block (3.5), and those of one kind.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SECTION_OS: u16 = 3;
    pub(super) const SECTION_APPLICATION: u16 = 4;
    pub(super) const INTERFACE_NAME: u16 = 2;
    pub(super) const INTERFACE_RESOLUTION: u16 = 9;
    pub(super) const INTERFACE_OFFSET: u16 = 14;
    pub(super) const PACKET_FLAGS: u16 = 2;
    pub(super) const PACKET_DROPPED: u16 = 4;
    pub(super) const STATISTICS_INTERFACE_DROPPED: u16 = 5;
    pub(super) const STATISTICS_SYSTEM_DROPPED: u16 = 7;
}

/// Tells the byte order of a section (4.1).
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
