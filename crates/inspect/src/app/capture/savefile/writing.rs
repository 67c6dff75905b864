//! One file while it is written.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::capture::{Described, Frame, Link, Packet, PcapngWriter, Writer, WritingProgram};
use crate::model::{ForeignText, Gap, Timestamp};

/// Interfaces that are described at most; further ones pass for the first.
const MOST_INTERFACES: usize = 1 << 16;

/// One file.
pub(super) struct Writing {
    encoder: Encoder,
    /// `None` is stdout.
    pub(super) path: Option<PathBuf>,
    /// The same file, where it can be cut.
    pub(super) file: Option<fs::File>,
}

enum Encoder {
    Pcap {
        writer: Writer<Box<dyn Write>>,
        link: Link,
    },
    Pcapng(Box<Pcapng>),
}

struct Pcapng {
    writer: PcapngWriter<Box<dyn Write>>,
    /// For frames that name none.
    whole: Described,
    met: HashMap<Met, u32>,
    last: Option<(Met, u32)>,
}

/// An interface as frames name it.
type Met = (Link, Place);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// The one that is captured on, or all.
    Whole,
    /// By its index on this machine.
    Index(u32),
    /// By its number in a file.
    Recorded(u32),
}

/// A frame and what is known around it.
pub(super) struct Written<'a> {
    pub(super) frame: &'a Frame<'a>,
    pub(super) packet: &'a Packet<'a>,
    /// The name of its interface.
    pub(super) interface: Option<&'a ForeignText>,
    pub(super) comment: Option<&'a str>,
}

impl Writing {
    pub(super) fn pcap(out: Box<dyn Write>, link: Link, snaplen: u32) -> Self {
        Self {
            encoder: Encoder::Pcap {
                writer: Writer::begin(out, link, snaplen),
                link,
            },
            path: None,
            file: None,
        }
    }

    /// `whole` is the interface that is captured on; it is described at once where `is_met`, so
    /// that a file without frames has an interface and what was lost on all of them has a place.
    pub(super) fn pcapng(
        out: Box<dyn Write>,
        program: &WritingProgram,
        whole: Described,
        is_met: bool,
    ) -> Self {
        let mut pcapng = Pcapng {
            writer: PcapngWriter::begin(out, program),
            met: HashMap::new(),
            last: None,
            whole,
        };
        if is_met {
            pcapng.describe_whole();
        }
        Self {
            encoder: Encoder::Pcapng(Box::new(pcapng)),
            path: None,
            file: None,
        }
    }

    pub(super) fn write(&mut self, written: &Written<'_>) -> io::Result<()> {
        match &mut self.encoder {
            Encoder::Pcap { writer, link } => {
                if written.packet.link != *link {
                    return Err(io::Error::other(format!(
                        "a pcap file has one link type, {}, and here is a packet of another, {} \
                         (--file-format pcapng)",
                        link.word(),
                        written.packet.link.word()
                    )));
                }
                writer.write(written.frame)
            }
            Encoder::Pcapng(pcapng) => {
                let interface = pcapng.interface(written);
                pcapng
                    .writer
                    .write(interface, written.frame, written.comment)
            }
        }
    }

    /// Writes a comment on what was written before, where the format has a place for it.
    pub(super) fn remark(&mut self, time: Timestamp, comment: &str) {
        if let Encoder::Pcapng(pcapng) = &mut self.encoder
            && !pcapng.met.is_empty()
        {
            pcapng.writer.remark(0, time, comment);
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.encoder {
            Encoder::Pcap { writer, .. } => writer.flush(),
            Encoder::Pcapng(pcapng) => pcapng.writer.flush(),
        }
    }

    /// Writes what closes the file, and everything that waits.
    pub(super) fn finish(&mut self, time: Timestamp, gaps: &[Gap]) -> io::Result<()> {
        if let Encoder::Pcapng(pcapng) = &mut self.encoder {
            if pcapng.met.is_empty() {
                pcapng.describe_whole();
            }
            pcapng.writer.statistics(0, time, gaps);
        }
        self.flush()
    }

    pub(super) fn frames(&self) -> u64 {
        match &self.encoder {
            Encoder::Pcap { writer, .. } => writer.written(),
            Encoder::Pcapng(pcapng) => pcapng.writer.written(),
        }
    }

    pub(super) fn length(&self) -> u64 {
        match &self.encoder {
            Encoder::Pcap { writer, .. } => writer.length(),
            Encoder::Pcapng(pcapng) => pcapng.writer.length(),
        }
    }

    /// After a failed write: leaves a file that can be read.
    pub(super) fn cut(&self) {
        let whole = match &self.encoder {
            Encoder::Pcap { writer, .. } => writer.whole(),
            Encoder::Pcapng(pcapng) => pcapng.writer.whole(),
        };
        if let Some(file) = &self.file {
            // It is an error already; a file that cannot be cut is one that ends within a packet.
            let _ = file.set_len(whole);
        }
    }
}

impl Pcapng {
    fn describe_whole(&mut self) -> u32 {
        let number = self.writer.interface(&self.whole);
        self.met.insert((self.whole.link, Place::Whole), number);
        number
    }

    fn interface(&mut self, written: &Written<'_>) -> u32 {
        let link = written.packet.link;
        let place = match (written.frame.recorded.interface, written.packet.interface) {
            (Some(recorded), _) => Place::Recorded(recorded.id),
            (None, Some(index)) => Place::Index(index),
            (None, None) => Place::Whole,
        };
        let met = (link, place);
        if let Some((last, number)) = self.last
            && last == met
        {
            return number;
        }
        let known = self.met.get(&met).copied();
        let number = match known {
            Some(number) => number,
            // Their link types may differ, but then so few are not met.
            None if self.met.len() >= MOST_INTERFACES => 0,
            None => {
                let number = self.writer.interface(&Described {
                    link,
                    snaplen: self.whole.snaplen,
                    name: written.interface.cloned(),
                });
                self.met.insert(met, number);
                number
            }
        };
        self.last = Some((met, number));
        number
    }
}
