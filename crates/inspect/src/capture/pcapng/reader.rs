//! Blocks -> frames.

use std::ops::Range;

use super::fields::{Options, Order};
use super::lost::{Lost, heard};
use super::{BYTE_ORDER, block, option};
use crate::capture::{Flow, Link, RecordedInterface};
use crate::model::{ForeignText, Gap, Origin, Timestamp};

/// Bytes of a block at most, as in libpcap and Wireshark.
const LONGEST: usize = 16 << 20;
/// Interfaces of a section at most.
const MOST_INTERFACES: usize = 1 << 16;
/// Bytes kept of an interface's name: on Linux they have up to 15 (IFNAMSIZ), elsewhere more.
const LONGEST_NAME: usize = 255;
/// Comments of one block that are looked at.
const MOST_COMMENTS: usize = 4;
/// Bytes of a comment that is looked at: ours have up to 9 KiB, with dozens of owners at either
/// end.
const LONGEST_COMMENT: usize = 16 << 10;

/// Why a file cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("a section of it has no byte order")]
    ByteOrder,
    #[error("version {0} of the format is not known")]
    Version(u16),
    #[error("a block of it says that it is {0} bytes long")]
    Length(u32),
    #[error("a block of it has two lengths, {0} and {1}")]
    Lengths(u32, u32),
    #[error("a block of type {0} is too short for its fields")]
    Short(u32),
    #[error("a packet is of interface {0}, which is not described")]
    NoInterface(u32),
    #[error("a section describes more than {MOST_INTERFACES} interfaces")]
    Interfaces,
}

/// An interface of a section.
#[derive(Debug, Clone)]
struct Interface {
    link: Link,
    snaplen: u32,
    clock: Clock,
    recorded: RecordedInterface,
    /// What its statistics say.
    lost: Option<Lost>,
    /// What its packets say was lost before each of them.
    before_packets: u64,
}

/// How an interface counts time: if_tsresol and if_tsoffset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    resolution: u8,
    offset: i64,
}

impl Default for Clock {
    /// Microseconds.
    fn default() -> Self {
        Self {
            resolution: 6,
            offset: 0,
        }
    }
}

impl Clock {
    /// Units of 10^-n seconds, or of 2^-n with the highest bit set. What does not fit is clamped.
    fn time(self, units: u64) -> Timestamp {
        const NANOS: u128 = 1_000_000_000;
        let exponent = u32::from(self.resolution & 0x7f);
        // Less than 2^94.
        let nanos = u128::from(units) * NANOS;
        let nanos = if self.resolution & 0x80 != 0 {
            nanos >> exponent
        } else {
            // With a power that does not fit, 2^64 units are less than a nanosecond.
            10u128
                .checked_pow(exponent)
                .map_or(0, |units| nanos / units)
        };
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX);
        let offset = i128::from(self.offset) * i128::from(1_000_000_000);
        let nanos = nanos.saturating_add(offset);
        let most = if nanos < 0 { i64::MIN } else { i64::MAX };
        Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(most))
    }
}

/// A frame within its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its interface; see [`Reader::interface`].
    pub(crate) interface: usize,
    pub(crate) time: Timestamp,
    /// Where its bytes are in the block.
    pub(crate) bytes: Range<usize>,
    pub(crate) original_length: u32,
    pub(crate) direction: Option<Flow>,
}

/// Reads a file block by block.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    order: Order,
    interfaces: Vec<Interface>,
    /// Interfaces of the sections before.
    before: u32,
    lost: Lost,
    timeless: u64,
    comments_passed_over: u64,
}

impl Reader {
    /// How long the block at the front is, header and all; `None`: more bytes are needed to
    /// tell.
    pub(crate) fn length(&self, front: &[u8]) -> Result<Option<usize>, Damage> {
        let (Some(kind), Some(_)) = (self.order.u32(front, 0), self.order.u32(front, 4)) else {
            return Ok(None);
        };
        let order = if kind == block::SECTION {
            match front.get(8..12) {
                Some(magic) => section_order(magic)?,
                None => return Ok(None),
            }
        } else {
            self.order
        };
        let length = order.u32(front, 4).unwrap_or(0);
        let least = if kind == block::SECTION { 28 } else { 12 };
        match usize::try_from(length) {
            Ok(whole) if whole >= least && whole <= LONGEST && whole % 4 == 0 => Ok(Some(whole)),
            _ => Err(Damage::Length(length)),
        }
    }

    /// Reads one whole block, of the length told by [`Self::length`]. Comments of a packet, or of
    /// statistics, are handed to `comment`.
    pub(crate) fn block(
        &mut self,
        block: &[u8],
        comment: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<Held>, Damage> {
        let kind = self.order.u32(block, 0).unwrap_or(0);
        if kind == block::SECTION {
            self.section(block)?;
        }
        let end = block.len().saturating_sub(4);
        let lengths = (self.order.u32(block, 4), self.order.u32(block, end));
        if let (Some(first), Some(last)) = lengths
            && first != last
        {
            return Err(Damage::Lengths(first, last));
        }
        let body = block.get(8..end).unwrap_or_default();
        let short = Damage::Short(kind);
        match kind {
            block::INTERFACE => self.describe(body).map(|()| None),
            block::STATISTICS => self.statistics(body, comment).map(|()| None),
            block::PACKET | block::OLD_PACKET => self.packet(body, comment, kind).map(Some),
            block::SIMPLE_PACKET => self.simple_packet(body, short).map(Some),
            // Names, keys, logs, and what will be invented.
            _ => Ok(None),
        }
    }

    /// How many interfaces the section describes so far.
    pub(crate) fn interfaces(&self) -> usize {
        self.interfaces.len()
    }

    /// The link type of an interface.
    pub(crate) fn link(&self, interface: usize) -> Option<Link> {
        self.interfaces.get(interface).map(|it| it.link)
    }

    /// What the file says of an interface.
    pub(crate) fn interface(&self, interface: usize) -> Option<&RecordedInterface> {
        self.interfaces.get(interface).map(|it| &it.recorded)
    }

    /// What the file says was lost, and what could not be read of it.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let mut lost = self.lost.clone();
        for interface in &self.interfaces {
            lost.add(&interface.loss());
        }
        let mut gaps = lost.gaps();
        for (count, reason) in [
            (
                self.timeless,
                "packets without a time in the file, shown as of 1970",
            ),
            (
                self.comments_passed_over,
                "comments passed over: too long, or too many at one place",
            ),
        ] {
            if count > 0 {
                gaps.push(Gap::counted(Origin::Capture, reason, count));
            }
        }
        gaps
    }

    fn section(&mut self, block: &[u8]) -> Result<(), Damage> {
        self.order = section_order(block.get(8..12).unwrap_or_default())?;
        let major = self.order.u16(block, 12).unwrap_or(0);
        if major != 1 {
            return Err(Damage::Version(major));
        }
        let interfaces = std::mem::take(&mut self.interfaces);
        for interface in &interfaces {
            self.lost.add(&interface.loss());
        }
        let count = u32::try_from(interfaces.len()).unwrap_or(u32::MAX);
        self.before = self.before.saturating_add(count);
        Ok(())
    }

    fn options<'b>(&self, bytes: Option<&'b [u8]>) -> Options<'b> {
        Options {
            order: self.order,
            bytes: bytes.unwrap_or_default(),
        }
    }

    /// An Interface Description Block (4.2).
    fn describe(&mut self, body: &[u8]) -> Result<(), Damage> {
        let short = Damage::Short(block::INTERFACE);
        let linktype = self.order.u16(body, 0).ok_or(short)?;
        let snaplen = self.order.u32(body, 4).ok_or(short)?;
        let mut clock = Clock::default();
        let mut name = None;
        for (code, value) in self.options(body.get(8..)) {
            match (code, value) {
                (option::INTERFACE_NAME, value) if !value.is_empty() => {
                    let kept = &value[..value.len().min(LONGEST_NAME)];
                    name = Some(ForeignText::new(kept));
                }
                (option::INTERFACE_RESOLUTION, [resolution, ..]) => clock.resolution = *resolution,
                (option::INTERFACE_OFFSET, value) => {
                    let offset = self.order.u64(value, 0).unwrap_or(0);
                    clock.offset = offset.cast_signed();
                }
                _ => {}
            }
        }
        if self.interfaces.len() >= MOST_INTERFACES {
            return Err(Damage::Interfaces);
        }
        let place = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.interfaces.push(Interface {
            link: Link::from_dlt(linktype.into()),
            snaplen,
            clock,
            recorded: RecordedInterface {
                id: self.before.saturating_add(place),
                name,
            },
            lost: None,
            before_packets: 0,
        });
        Ok(())
    }

    /// An Interface Statistics Block (4.6): the last of an interface holds.
    fn statistics(&mut self, body: &[u8], comment: &mut dyn FnMut(&[u8])) -> Result<(), Damage> {
        let short = Damage::Short(block::STATISTICS);
        let id = self.order.u32(body, 0).ok_or(short)?;
        let mut lost = Lost::default();
        let mut says_it = false;
        let mut remarks = 0;
        for (code, value) in self.options(body.get(12..)) {
            let number = || self.order.u64(value, 0).unwrap_or(0);
            match code {
                option::STATISTICS_INTERFACE_DROPPED => lost.interface = number(),
                option::STATISTICS_SYSTEM_DROPPED => lost.system = number(),
                option::COMMENT => match heard(value) {
                    Some(gap) => lost.tell(gap),
                    None if remarks < MOST_COMMENTS && value.len() <= LONGEST_COMMENT => {
                        remarks += 1;
                        comment(value);
                        continue;
                    }
                    None => {
                        self.comments_passed_over += 1;
                        continue;
                    }
                },
                _ => continue,
            }
            says_it = true;
        }
        // Of an interface that is not described it is no matter.
        let interface = usize::try_from(id).map_err(|_| short)?;
        if let Some(interface) = self.interfaces.get_mut(interface).filter(|_| says_it) {
            interface.lost = Some(lost);
        }
        Ok(())
    }

    /// An Enhanced Packet Block (4.3), or the Packet Block of before (appendix A), which has two
    /// short numbers in place of the interface's; what follows them is the same.
    fn packet(
        &mut self,
        body: &[u8],
        comment: &mut dyn FnMut(&[u8]),
        kind: u32,
    ) -> Result<Held, Damage> {
        /// Bytes before those of the frame.
        const HEADER: usize = 20;
        let order = self.order;
        let short = Damage::Short(kind);
        let is_old = kind == block::OLD_PACKET;
        let id = if is_old {
            order.u16(body, 0).map(u32::from)
        } else {
            order.u32(body, 0)
        };
        let id = id.ok_or(short)?;
        let units = order.time(body, 4).ok_or(short)?;
        let captured = order.u32(body, 12).ok_or(short)?;
        let original = order.u32(body, 16).ok_or(short)?;
        let length = usize::try_from(captured).map_err(|_| short)?;
        body.get(HEADER..)
            .and_then(|rest| rest.get(..length))
            .ok_or(short)?;
        let mut direction = None;
        // 0xffff is a number that nobody knows.
        let mut dropped = match order.u16(body, 2) {
            Some(count) if is_old && count != u16::MAX => u64::from(count),
            _ => 0,
        };
        let mut comments = 0;
        let after = HEADER + super::fields::padded(length);
        for (code, value) in self.options(body.get(after..)) {
            match code {
                option::COMMENT if comments < MOST_COMMENTS && value.len() <= LONGEST_COMMENT => {
                    comments += 1;
                    comment(value);
                }
                option::COMMENT => self.comments_passed_over += 1,
                option::PACKET_FLAGS => {
                    direction = match order.u32(value, 0).unwrap_or(0) & 0b11 {
                        1 => Some(Flow::In),
                        2 => Some(Flow::Out),
                        _ => None,
                    }
                }
                option::PACKET_DROPPED => dropped = order.u64(value, 0).unwrap_or(0),
                _ => {}
            }
        }
        let interface = usize::try_from(id).map_err(|_| Damage::NoInterface(id))?;
        let described = self
            .interfaces
            .get_mut(interface)
            .ok_or(Damage::NoInterface(id))?;
        described.before_packets = described.before_packets.saturating_add(dropped);
        Ok(Held {
            interface,
            time: described.clock.time(units),
            // Behind the block's type and length.
            bytes: 8 + HEADER..8 + HEADER + length,
            original_length: original.max(captured),
            direction,
        })
    }

    /// A Simple Packet Block (4.4): of the first interface, and without a time.
    fn simple_packet(&mut self, body: &[u8], short: Damage) -> Result<Held, Damage> {
        let original = self.order.u32(body, 0).ok_or(short)?;
        let first = self.interfaces.first().ok_or(Damage::NoInterface(0))?;
        let snaplen = match first.snaplen {
            0 => u32::MAX,
            length => length,
        };
        let captured = usize::try_from(original.min(snaplen)).map_err(|_| short)?;
        body.get(4..)
            .and_then(|rest| rest.get(..captured))
            .ok_or(short)?;
        self.timeless += 1;
        Ok(Held {
            interface: 0,
            time: Timestamp::from_nanos(0),
            bytes: 12..12 + captured,
            original_length: original,
            direction: None,
        })
    }
}

impl Interface {
    /// What it lost: by its statistics, or by its packets where there are none.
    fn loss(&self) -> Lost {
        self.lost.clone().unwrap_or_else(|| Lost {
            system: self.before_packets,
            ..Lost::default()
        })
    }
}

fn section_order(magic: &[u8]) -> Result<Order, Damage> {
    [Order::Little, Order::Big]
        .into_iter()
        .find(|order| order.u32(magic, 0) == Some(BYTE_ORDER))
        .ok_or(Damage::ByteOrder)
}
