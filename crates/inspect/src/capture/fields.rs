//! What is left of a frame while its headers are read off, and numbers in network byte order.

use super::packet::Fault;

/// The rest of a frame. Bytes that the snapshot length cut off are told apart from bytes that
/// never were there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left<'a> {
    /// What was captured.
    pub(crate) bytes: &'a [u8],
    /// How long it was on the wire; never less than `bytes`.
    pub(crate) wire: usize,
}

impl<'a> Left<'a> {
    pub(crate) fn new(bytes: &'a [u8], original_length: u32) -> Self {
        let wire = usize::try_from(original_length).unwrap_or(usize::MAX);
        Self {
            bytes,
            wire: wire.max(bytes.len()),
        }
    }

    /// Reads `count` bytes off the front. `what` names the length that would be malformed.
    pub(crate) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Fault> {
        let taken = self.peek(count, what)?;
        self.skip(count);
        Ok(taken)
    }

    /// The first `count` bytes, which stay.
    pub(crate) fn peek(&self, count: usize, what: &'static str) -> Result<&'a [u8], Fault> {
        match self.bytes.get(..count) {
            Some(bytes) => Ok(bytes),
            None if self.wire >= count => Err(Fault::Cut),
            None => Err(Fault::malformed(what, self.wire)),
        }
    }

    /// Goes on behind `count` bytes, captured or not.
    pub(crate) fn skip(&mut self, count: usize) {
        self.bytes = self.bytes.get(count..).unwrap_or_default();
        self.wire = self.wire.saturating_sub(count);
    }

    /// Forgets what is behind `count` bytes: padding.
    pub(crate) fn limit(&mut self, count: usize) {
        self.wire = self.wire.min(count);
        self.bytes = self.bytes.get(..count).unwrap_or(self.bytes);
    }
}

/// Two bytes at `at`; 0 where they are missing, which the callers have ruled out.
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u16::from_be_bytes)
}

/// Four bytes at `at`, likewise.
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}
