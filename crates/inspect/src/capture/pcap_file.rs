//! Writes pcap files.
//!
//! libpcap's own writer goes through stdio and the crate hides its errors: a full disk would be
//! noticed by nobody. The format is a header of 24 bytes and one of 16 before each frame
//! (<https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/>), written here in nanoseconds.

use std::io::{self, Write};

use super::{Frame, Link};

/// The magic number of files with nanoseconds; its byte order is that of the file.
const NANOSECONDS: u32 = 0xa1b2_3c4d;

/// Bytes that are written at once.
const BATCH: usize = 1 << 16;
const FILE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;

/// A pcap file being written. Frames are handed on in batches, and with [`Writer::flush`]; a
/// writer that is dropped hands on no more.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    batch: Vec<u8>,
    waiting: u64,
    written: u64,
    whole: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file of frames of this link type. Nothing is written yet.
    pub fn begin(out: W, link: Link, snaplen: u32) -> Self {
        let mut header = [0u8; FILE_HEADER];
        header[0..4].copy_from_slice(&NANOSECONDS.to_ne_bytes());
        header[4..6].copy_from_slice(&2u16.to_ne_bytes());
        header[6..8].copy_from_slice(&4u16.to_ne_bytes());
        // Bytes 8 to 15, time zone and accuracy, are 0 by convention.
        header[16..20].copy_from_slice(&snaplen.to_ne_bytes());
        header[20..24].copy_from_slice(&link.linktype().to_ne_bytes());
        let mut batch = Vec::with_capacity(2 * BATCH);
        batch.extend_from_slice(&header);
        Self {
            out,
            batch,
            waiting: 0,
            written: 0,
            whole: 0,
        }
    }

    /// Adds a frame. Times before 1970 and after 2106 do not fit the format, and are clamped.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let seconds = u32::try_from(frame.time.seconds().max(0)).unwrap_or(u32::MAX);
        let nanos = u32::try_from(frame.time.subsecond_nanos()).unwrap_or(0);
        let captured = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        let mut header = [0u8; FRAME_HEADER];
        header[0..4].copy_from_slice(&seconds.to_ne_bytes());
        header[4..8].copy_from_slice(&nanos.to_ne_bytes());
        header[8..12].copy_from_slice(&captured.to_ne_bytes());
        header[12..16].copy_from_slice(&frame.original_length.max(captured).to_ne_bytes());
        self.batch.extend_from_slice(&header);
        self.batch.extend_from_slice(frame.bytes);
        self.waiting += 1;
        if self.batch.len() >= BATCH {
            self.hand_on()?;
        }
        Ok(())
    }

    /// Frames that the writer has taken whole.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Bytes up to the end of the last frame that the writer has taken whole. After an error a
    /// file is cut to this length, and can be read.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// Hands on what waits, so that a reader sees whole records.
    ///
    /// # Errors
    /// What the writer answers. What it did not take is not tried again.
    pub fn flush(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.out.flush()
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let mut taken = 0;
        let mut result = Ok(());
        while taken < self.batch.len() && result.is_ok() {
            match self.out.write(&self.batch[taken..]) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        if result.is_ok() {
            self.written += self.waiting;
            self.whole += taken as u64;
        } else {
            let begins = if self.whole == 0 { FILE_HEADER } else { 0 };
            let (bytes, frames) = whole_frames(&self.batch[..taken], begins);
            self.written += frames;
            self.whole += bytes as u64;
        }
        self.batch.clear();
        self.waiting = 0;
        result
    }

    /// Ends the file and gives the writer back.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn end(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.out)
    }
}

/// How many bytes, and how many frames, of a part of a file are whole; its first frame begins
/// after so many bytes.
fn whole_frames(part: &[u8], begins: usize) -> (usize, u64) {
    if part.len() < begins {
        return (0, 0);
    }
    let (mut end, mut frames) = (begins, 0);
    while let Some(header) = part[end..].first_chunk::<FRAME_HEADER>() {
        let captured = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        let next = end + FRAME_HEADER + captured as usize;
        if next > part.len() {
            break;
        }
        end = next;
        frames += 1;
    }
    (end, frames)
}
