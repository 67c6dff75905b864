//! Numbers and options out of blocks, in the byte order of their section.

use super::option;

/// The byte order of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }

    pub(super) fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        })
    }

    /// A time in two halves, the high one first in either order (4.3).
    pub(super) fn time(self, bytes: &[u8], at: usize) -> Option<u64> {
        let high = self.u32(bytes, at)?;
        let low = self.u32(bytes, at + 4)?;
        Some(u64::from(high) << 32 | u64::from(low))
    }
}

/// The options of a block (3.5): code, length and value, padded to 32 bits, until the end or the
/// first that does not fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options<'b> {
    pub(super) order: Order,
    pub(super) bytes: &'b [u8],
}

impl<'b> Iterator for Options<'b> {
    type Item = (u16, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let code = self.order.u16(self.bytes, 0)?;
        let length = usize::from(self.order.u16(self.bytes, 2)?);
        let value = self.bytes.get(4..4 + length)?;
        if code == option::END {
            self.bytes = &[];
            return None;
        }
        self.bytes = self.bytes.get(4 + padded(length)..).unwrap_or_default();
        Some((code, value))
    }
}

/// A length with what fills it up to 32 bits.
pub(super) fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}
