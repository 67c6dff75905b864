//! Writes pcap files.
//!
//! libpcap's own writer goes through stdio and the crate hides its errors: a full disk would be
//! noticed by nobody. The format is a header of 24 bytes and one of 16 before each frame
//! (<https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/>), written here in nanoseconds.

use std::io::{self, Write};

use super::batch::Batch;
use super::{Frame, Link};

/// The magic number of files with nanoseconds; its byte order is that of the file.
const NANOSECONDS: u32 = 0xa1b2_3c4d;

/// A pcap file being written. Frames are handed on in batches, and with [`Writer::flush`]; a
/// writer that is dropped hands on no more.
#[derive(Debug)]
pub struct Writer<W> {
    batch: Batch<W>,
}

impl<W: Write> Writer<W> {
    /// Begins a file of frames of this link type. Nothing is written yet.
    pub fn begin(out: W, link: Link, snaplen: u32) -> Self {
        let mut header = [0u8; 24];
        header[0..4].copy_from_slice(&NANOSECONDS.to_ne_bytes());
        header[4..6].copy_from_slice(&2u16.to_ne_bytes());
        header[6..8].copy_from_slice(&4u16.to_ne_bytes());
        // Bytes 8 to 15, time zone and accuracy, are 0 by convention.
        header[16..20].copy_from_slice(&snaplen.to_ne_bytes());
        header[20..24].copy_from_slice(&link.linktype().to_ne_bytes());
        let mut batch = Batch::new(out);
        batch.record().extend_from_slice(&header);
        batch.mark(false);
        Self { batch }
    }

    /// Adds a frame. Times before 1970 and after 2106 do not fit the format, and are clamped.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let seconds = u32::try_from(frame.time.seconds().max(0)).unwrap_or(u32::MAX);
        let nanos = u32::try_from(frame.time.subsecond_nanos()).unwrap_or(0);
        let captured = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        let mut header = [0u8; 16];
        header[0..4].copy_from_slice(&seconds.to_ne_bytes());
        header[4..8].copy_from_slice(&nanos.to_ne_bytes());
        header[8..12].copy_from_slice(&captured.to_ne_bytes());
        header[12..16].copy_from_slice(&frame.original_length.max(captured).to_ne_bytes());
        let record = self.batch.record();
        record.extend_from_slice(&header);
        record.extend_from_slice(frame.bytes);
        self.batch.mark_frame()
    }

    /// Frames that the writer has taken whole.
    pub fn written(&self) -> u64 {
        self.batch.frames()
    }

    /// Bytes up to the end of the last frame that the writer has taken whole. After an error a
    /// file is cut to this length, and can be read.
    pub fn whole(&self) -> u64 {
        self.batch.whole()
    }

    /// How long the file is with all that waits, in bytes.
    pub fn length(&self) -> u64 {
        self.batch.length()
    }

    /// Hands on what waits, so that a reader sees whole records.
    ///
    /// # Errors
    /// What the writer answers. What it did not take is not tried again.
    pub fn flush(&mut self) -> io::Result<()> {
        self.batch.flush()
    }

    /// Ends the file and gives the writer back.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn end(self) -> io::Result<W> {
        self.batch.end()
    }
}
