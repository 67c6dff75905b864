//! Records on their way into a file: handed on in batches, and what of them has arrived whole.

use std::io::{self, Write};

/// Bytes that are written at once.
const BATCH: usize = 1 << 16;

/// Records being written. They are handed on in batches and with [`Batch::flush`]; one that is
/// dropped hands on no more.
#[derive(Debug)]
pub(super) struct Batch<W> {
    out: W,
    bytes: Vec<u8>,
    /// Where each record in `bytes` ends, and whether it is a frame.
    ends: Vec<(usize, bool)>,
    frames: u64,
    whole: u64,
    handed_on: u64,
}

impl<W: Write> Batch<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            bytes: Vec::with_capacity(2 * BATCH),
            ends: Vec::new(),
            frames: 0,
            whole: 0,
            handed_on: 0,
        }
    }

    /// Where the next record is to be appended.
    pub(super) fn record(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What was appended since is a record. Nothing is handed on.
    pub(super) fn mark(&mut self, is_frame: bool) {
        self.ends.push((self.bytes.len(), is_frame));
    }

    /// What was appended since is a frame. Hands on what waits, when it is much.
    pub(super) fn mark_frame(&mut self) -> io::Result<()> {
        self.mark(true);
        if self.bytes.len() >= BATCH {
            self.hand_on()?;
        }
        Ok(())
    }

    /// Frames that the writer has taken whole.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Bytes up to the end of the last record that the writer has taken whole.
    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// Bytes handed on and waiting.
    pub(super) fn length(&self) -> u64 {
        self.handed_on + self.bytes.len() as u64
    }

    /// Hands on what waits. What the writer did not take is not tried again.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.out.flush()
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let mut taken = 0;
        let mut result = Ok(());
        while taken < self.bytes.len() && result.is_ok() {
            match self.out.write(&self.bytes[taken..]) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        for (end, is_frame) in self.ends.drain(..) {
            if end <= taken {
                self.whole = self.handed_on + end as u64;
                self.frames += u64::from(is_frame);
            }
        }
        self.handed_on += taken as u64;
        self.bytes.clear();
        result
    }

    pub(super) fn end(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.out)
    }
}
