//! Output that is made in pieces, by several at the same time.

use std::io;

/// Who makes the pieces of a long output.
pub trait Workers {
    /// Makes pieces 0 to `pieces`, and hands them over in this order; `work` may be called for
    /// several at the same time. Ends early with the first error of either.
    ///
    /// # Errors
    /// What `work` or `take` answers.
    fn in_order(
        &self,
        pieces: usize,
        work: &(dyn Fn(usize) -> io::Result<Vec<u8>> + Sync),
        take: &mut dyn FnMut(Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()>;
}

/// One piece after the other, by whoever wants them.
#[derive(Debug, Clone, Copy)]
pub struct OneByOne;

impl Workers for OneByOne {
    fn in_order(
        &self,
        pieces: usize,
        work: &(dyn Fn(usize) -> io::Result<Vec<u8>> + Sync),
        take: &mut dyn FnMut(Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        (0..pieces).try_for_each(|piece| take(work(piece)?))
    }
}
