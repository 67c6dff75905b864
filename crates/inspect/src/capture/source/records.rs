//! Frames of a pcap file, read in large pieces.
//!
//! libpcap reads a file through stdio, 4 KiB at a time: of a million packets that is a tenth of
//! the time it takes to show them. So the usual files are read here (version 2.4, microseconds or
//! nanoseconds, either byte order, a link that is decoded;
//! <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/>). Everything else, and what comes
//! through a pipe, is libpcap's.

use std::fs;
use std::io::{self, Read};

use super::program::Program;
use super::{live, plain};
use crate::capture::{Event, Frame, Link, Recorded, SourceError};
use crate::model::Timestamp;

/// Bytes read at once.
const BATCH: usize = 1 << 18;
/// The header of a file, and that of a record.
pub(super) const HEADER: usize = 24;
const RECORD: usize = 16;

/// How the numbers of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    is_swapped: bool,
    is_nanos: bool,
    snaplen: u32,
    /// What its frames begin with.
    pub(super) link: Link,
}

impl Style {
    /// From the header of a file; `None` where it is not one of the usual files.
    pub(super) fn of(header: &[u8; HEADER]) -> Option<Self> {
        let word = |at: usize| {
            let bytes = header.get(at..at + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let (is_swapped, is_nanos) = match word(0)? {
            0xa1b2_c3d4 => (false, false),
            0xa1b2_3c4d => (false, true),
            0xd4c3_b2a1 => (true, false),
            0x4d3c_b2a1 => (true, true),
            _ => return None,
        };
        let right = |number: u32| {
            if is_swapped {
                number.swap_bytes()
            } else {
                number
            }
        };
        let version = match (is_swapped, cfg!(target_endian = "little")) {
            (false, true) | (true, false) => [2, 0, 4, 0],
            _ => [0, 2, 0, 4],
        };
        if header.get(4..8)? != version {
            return None;
        }
        // The upper bits tell of a checksum behind each frame, which decoding takes for padding.
        let number = i32::try_from(right(word(20)?) & 0x0fff_ffff).ok()?;
        let link = Link::from_dlt(number);
        let snaplen = match right(word(16)?) {
            0 => live::SNAPLEN,
            snaplen => snaplen.min(live::SNAPLEN),
        };
        (!matches!(link, Link::Other(_))).then_some(Self {
            is_swapped,
            is_nanos,
            snaplen,
            link,
        })
    }

    fn word(self, bytes: &[u8], at: usize) -> u32 {
        let bytes = bytes.get(at..at + 4).and_then(|it| it.try_into().ok());
        let number = bytes.map_or(0, u32::from_ne_bytes);
        if self.is_swapped {
            number.swap_bytes()
        } else {
            number
        }
    }
}

/// A pcap file being read.
pub(super) struct Records {
    input: fs::File,
    style: Style,
    filter: Option<Program>,
    /// What was read and not given yet stands from `start` to `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Records {
    /// Reads on behind the header of a file; only what passes the filter.
    pub(super) fn new(input: fs::File, style: Style, filter: Option<Program>) -> Self {
        Self {
            input,
            style,
            filter,
            buffer: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// The next frame that passes, or the end.
    pub(super) fn next(&mut self) -> Result<Event<'_>, SourceError> {
        loop {
            if !self.has(RECORD)? {
                let rest = self.end - self.start;
                return match rest {
                    0 => Ok(Event::End),
                    _ => Err(SourceError::Broken(format!(
                        "it is truncated: {rest} bytes of the header of a packet are there"
                    ))),
                };
            }
            let style = self.style;
            let header = self.buffer.get(self.start..).unwrap_or_default();
            let [seconds, fraction, captured, length] =
                [0, 4, 8, 12].map(|at| style.word(header, at));
            if captured > live::SNAPLEN {
                return Err(SourceError::Broken(format!(
                    "a packet of it says that {captured} bytes of it were captured, more than {}",
                    live::SNAPLEN
                )));
            }
            let whole = RECORD + captured as usize;
            if !self.has(whole)? {
                return Err(SourceError::Broken(format!(
                    "it is truncated: of the last packet {} of {captured} bytes are there",
                    (self.end - self.start).saturating_sub(RECORD)
                )));
            }
            let begin = self.start + RECORD;
            self.start += whole;
            let kept = captured.min(style.snaplen) as usize;
            let passes = match &self.filter {
                None => true,
                Some(filter) => {
                    let bytes = self.buffer.get(begin..begin + kept).unwrap_or_default();
                    filter.passes_cut(bytes, length.max(captured))
                }
            };
            if !passes {
                continue;
            }
            let nanos = if style.is_nanos { 1 } else { 1_000 };
            return Ok(Event::Frame(Frame {
                time: Timestamp::from_parts(seconds.into(), i64::from(fraction) * nanos),
                bytes: self.buffer.get(begin..begin + kept).unwrap_or_default(),
                // A damaged file may say that less was on the wire than was captured.
                original_length: length.max(captured),
                recorded: Recorded::default(),
            }));
        }
    }

    /// Whether so many bytes are there, after reading on where they are not.
    fn has(&mut self, wanted: usize) -> Result<bool, SourceError> {
        while self.end - self.start < wanted {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.buffer.len() < BATCH.max(wanted) {
                self.buffer.resize(BATCH.max(wanted), 0);
            }
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.input.read(room) {
                Ok(0) => return Ok(false),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SourceError::Broken(plain(&error))),
            }
        }
        Ok(true)
    }
}
