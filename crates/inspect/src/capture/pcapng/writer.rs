//! Frames -> blocks.

use std::io::{self, Write};

use super::fields::padded;
use super::lost::{dropped, words};
use super::{BYTE_ORDER, block, option};
use crate::capture::batch::Batch;
use crate::capture::{Flow, Frame, Link};
use crate::model::{ForeignText, Gap, Timestamp};

/// Bytes of an option's value at most: its length has 16 bits.
const LONGEST_VALUE: usize = u16::MAX as usize;

/// Who writes a file.
#[derive(Debug, Clone)]
pub struct Program {
    /// The operating system, with its version: `Linux 6.18`.
    pub system: String,
    /// The program, with its version: `inspect 0.1.0`.
    pub application: String,
}

/// An interface, as a file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What its frames begin with.
    pub link: Link,
    /// Bytes kept of a frame.
    pub snaplen: u32,
    /// Its name, where it is known.
    pub name: Option<ForeignText>,
}

/// A pcapng file being written, of one section, in nanoseconds and the byte order of this
/// machine. Frames are handed on in batches, and with [`PcapngWriter::flush`]; a writer that is
/// dropped hands on no more.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    batch: Batch<W>,
    interfaces: u32,
}

impl<W: Write> PcapngWriter<W> {
    /// Begins a file. Nothing is written yet.
    pub fn begin(out: W, program: &Program) -> Self {
        let mut batch = Batch::new(out);
        write_block(batch.record(), block::SECTION, |body| {
            body.extend_from_slice(&BYTE_ORDER.to_ne_bytes());
            body.extend_from_slice(&1u16.to_ne_bytes());
            body.extend_from_slice(&0u16.to_ne_bytes());
            // How long the section will be is not known.
            body.extend_from_slice(&u64::MAX.to_ne_bytes());
            let system = program.system.as_bytes();
            write_option(body, option::SECTION_OS, system);
            let application = program.application.as_bytes();
            write_option(body, option::SECTION_APPLICATION, application);
            end_options(body);
        });
        batch.mark(false);
        Self {
            batch,
            interfaces: 0,
        }
    }

    /// Adds an interface, and gives the number by which frames name it.
    pub fn interface(&mut self, interface: &Described) -> u32 {
        write_block(self.batch.record(), block::INTERFACE, |body| {
            let linktype = u16::try_from(interface.link.linktype()).unwrap_or(0);
            body.extend_from_slice(&linktype.to_ne_bytes());
            body.extend_from_slice(&[0; 2]);
            body.extend_from_slice(&interface.snaplen.to_ne_bytes());
            if let Some(name) = &interface.name {
                write_option(body, option::INTERFACE_NAME, name.as_bytes());
            }
            write_option(body, option::INTERFACE_RESOLUTION, &[9]);
            end_options(body);
        });
        self.batch.mark(false);
        self.interfaces += 1;
        self.interfaces - 1
    }

    /// Adds a frame of an interface, with a comment or none. Times before 1970 are clamped.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn write(
        &mut self,
        interface: u32,
        frame: &Frame<'_>,
        comment: Option<&str>,
    ) -> io::Result<()> {
        let captured = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        write_block(self.batch.record(), block::PACKET, |body| {
            body.extend_from_slice(&interface.to_ne_bytes());
            write_time(body, frame.time);
            body.extend_from_slice(&captured.to_ne_bytes());
            body.extend_from_slice(&frame.original_length.max(captured).to_ne_bytes());
            body.extend_from_slice(frame.bytes);
            body.resize(
                body.len() + padded(frame.bytes.len()) - frame.bytes.len(),
                0,
            );
            let flags: u32 = match frame.recorded.direction {
                Some(Flow::In) => 1,
                Some(Flow::Out) => 2,
                _ => 0,
            };
            if comment.is_none() && flags == 0 {
                return;
            }
            if let Some(comment) = comment {
                write_option(body, option::COMMENT, comment.as_bytes());
            }
            if flags != 0 {
                write_option(body, option::PACKET_FLAGS, &flags.to_ne_bytes());
            }
            end_options(body);
        });
        self.batch.mark_frame()
    }

    /// Adds a comment on what was written before, where every reader may pass it over: statistics
    /// without a number.
    pub fn remark(&mut self, interface: u32, time: Timestamp, comment: &str) {
        write_block(self.batch.record(), block::STATISTICS, |body| {
            body.extend_from_slice(&interface.to_ne_bytes());
            write_time(body, time);
            write_option(body, option::COMMENT, comment.as_bytes());
            end_options(body);
        });
        self.batch.mark(false);
    }

    /// Adds what was lost on an interface, or on all through it: every gap in words, and packets
    /// dropped by the kernel and by the interface also in numbers.
    pub fn statistics(&mut self, interface: u32, time: Timestamp, gaps: &[Gap]) {
        let [kernel, device] = dropped(gaps);
        write_block(self.batch.record(), block::STATISTICS, |body| {
            body.extend_from_slice(&interface.to_ne_bytes());
            write_time(body, time);
            for gap in gaps {
                write_option(body, option::COMMENT, words(gap).as_bytes());
            }
            let device = device.to_ne_bytes();
            write_option(body, option::STATISTICS_INTERFACE_DROPPED, &device);
            let kernel = kernel.to_ne_bytes();
            write_option(body, option::STATISTICS_SYSTEM_DROPPED, &kernel);
            end_options(body);
        });
        self.batch.mark(false);
    }

    /// Frames that the writer has taken whole.
    pub fn written(&self) -> u64 {
        self.batch.frames()
    }

    /// Bytes up to the end of the last block that the writer has taken whole. After an error a
    /// file is cut to this length, and can be read.
    pub fn whole(&self) -> u64 {
        self.batch.whole()
    }

    /// How long the file is with all that waits, in bytes.
    pub fn length(&self) -> u64 {
        self.batch.length()
    }

    /// Hands on what waits, so that a reader sees whole blocks.
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

/// Appends a block: type, length, body, and the length again.
fn write_block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len() - start + 4).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_ne_bytes());
    out[start + 4..start + 8].copy_from_slice(&length.to_ne_bytes());
}

/// The high half comes first, in either byte order.
fn write_time(out: &mut Vec<u8>, time: Timestamp) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(0);
    let bytes = nanos.to_be_bytes();
    for half in bytes.chunks_exact(4) {
        let half = half
            .iter()
            .fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        out.extend_from_slice(&half.to_ne_bytes());
    }
}

fn write_option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(LONGEST_VALUE)];
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&code.to_ne_bytes());
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len() + padded(value.len()) - value.len(), 0);
}

fn end_options(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
}
