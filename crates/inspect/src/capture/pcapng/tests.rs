//! Blocks made by hand, in both byte orders; good files gone bad.

use proptest::prelude::*;

use super::fields::{Order, padded};
use super::*;
use crate::capture::{Flow, Frame, Link, Recorded};
use crate::model::{ForeignText, Gap, Origin, Timestamp};

/// A file being made in one byte order.
struct Made {
    order: Order,
    bytes: Vec<u8>,
}

impl Made {
    fn new(order: Order) -> Self {
        let mut made = Self {
            order,
            bytes: Vec::new(),
        };
        made.section();
        made
    }

    fn section(&mut self) {
        let mut body = self.u32(BYTE_ORDER).to_vec();
        body.extend(self.u16(1));
        body.extend(self.u16(0));
        body.extend([0xff; 8]);
        self.block(block::SECTION, &body);
    }

    fn u16(&self, value: u16) -> [u8; 2] {
        match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = self.u32(u32::try_from(body.len() + 12).unwrap());
        self.bytes.extend(self.u32(kind));
        self.bytes.extend(length);
        self.bytes.extend(body);
        self.bytes.extend(length);
    }

    fn options(&self, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in options {
            bytes.extend(self.u16(*code));
            bytes.extend(self.u16(u16::try_from(value.len()).unwrap()));
            bytes.extend(*value);
            bytes.resize(bytes.len() + padded(value.len()) - value.len(), 0);
        }
        bytes.extend([0; 4]);
        bytes
    }

    fn interface(&mut self, linktype: u16, snaplen: u32, options: &[(u16, &[u8])]) {
        let mut body = self.u16(linktype).to_vec();
        body.extend([0; 2]);
        body.extend(self.u32(snaplen));
        body.extend(self.options(options));
        self.block(block::INTERFACE, &body);
    }

    fn packet(&mut self, interface: u32, time: (u32, u32), frame: &[u8], options: &[(u16, &[u8])]) {
        let mut body = self.u32(interface).to_vec();
        self.rest_of_packet(&mut body, time, frame, options);
        self.block(block::PACKET, &body);
    }

    fn old_packet(&mut self, interface: u16, drops: u16, time: (u32, u32), frame: &[u8]) {
        let mut body = self.u16(interface).to_vec();
        body.extend(self.u16(drops));
        self.rest_of_packet(&mut body, time, frame, &[]);
        self.block(block::OLD_PACKET, &body);
    }

    fn rest_of_packet(
        &self,
        body: &mut Vec<u8>,
        (high, low): (u32, u32),
        frame: &[u8],
        options: &[(u16, &[u8])],
    ) {
        let length = u32::try_from(frame.len()).unwrap();
        for value in [high, low, length, length + 10] {
            body.extend(self.u32(value));
        }
        body.extend(frame);
        body.resize(body.len() + padded(frame.len()) - frame.len(), 0);
        body.extend(self.options(options));
    }

    fn simple_packet(&mut self, original: u32, frame: &[u8]) {
        let mut body = self.u32(original).to_vec();
        body.extend(frame);
        body.resize(padded(body.len()), 0);
        self.block(block::SIMPLE_PACKET, &body);
    }

    fn statistics(&mut self, interface: u32, options: &[(u16, &[u8])]) {
        let mut body = self.u32(interface).to_vec();
        body.extend([0; 8]);
        body.extend(self.options(options));
        self.block(block::STATISTICS, &body);
    }
}

/// A frame out of a file.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    link: Link,
    id: u32,
    name: Option<ForeignText>,
    nanos: i64,
    bytes: Vec<u8>,
    original_length: u32,
    direction: Option<Flow>,
}

#[derive(Debug, Default)]
struct Everything {
    frames: Vec<Got>,
    comments: Vec<Vec<u8>>,
    gaps: Vec<Gap>,
}

/// Reads a file to its end, or to what is wrong with it.
fn read(mut bytes: &[u8]) -> (Everything, Option<Damage>) {
    let mut reader = Reader::default();
    let mut all = Everything::default();
    let mut damage = None;
    while damage.is_none() {
        match reader.length(bytes) {
            Ok(Some(length)) if length <= bytes.len() => {
                let (block, rest) = bytes.split_at(length);
                bytes = rest;
                let comments = &mut all.comments;
                match reader.block(block, &mut |comment| comments.push(comment.to_vec())) {
                    Ok(Some(held)) => {
                        let recorded = reader.interface(held.interface).unwrap();
                        all.frames.push(Got {
                            link: reader.link(held.interface).unwrap(),
                            id: recorded.id,
                            name: recorded.name.clone(),
                            nanos: held.time.as_nanos(),
                            bytes: block[held.bytes.clone()].to_vec(),
                            original_length: held.original_length,
                            direction: held.direction,
                        });
                    }
                    Ok(None) => {}
                    Err(error) => damage = Some(error),
                }
            }
            Ok(_) => break,
            Err(error) => damage = Some(error),
        }
    }
    all.gaps = reader.gaps();
    (all, damage)
}

fn everything(order: Order) -> Made {
    let mut made = Made::new(order);
    // Names, before any interface; and what nobody knows.
    made.block(4, &[0; 4]);
    made.block(0x8000_0001, b"whatever");
    made.interface(1, 96, &[(option::INTERFACE_NAME, b"eth0")]);
    made.interface(
        101,
        0,
        &[
            (option::INTERFACE_NAME, b"tun0"),
            (option::INTERFACE_RESOLUTION, &[9]),
        ],
    );
    made.packet(0, (0, 1_500_000), b"one", &[(option::COMMENT, b"said")]);
    let outbound = made.u32(2);
    made.packet(1, (1, 7), b"three", &[(option::PACKET_FLAGS, &outbound)]);
    made.old_packet(0, 3, (0, 2_000_000), b"old");
    made.simple_packet(200, &[7; 96]);
    made.section();
    made.interface(276, 0, &[]);
    made.packet(0, (0, 5), b"later", &[]);
    made
}

#[test]
fn every_kind_of_packet_is_read_in_both_byte_orders() {
    for order in [Order::Little, Order::Big] {
        let (all, damage) = read(&everything(order).bytes);
        assert_eq!(damage, None);
        let got =
            |link, id, name: Option<&str>, nanos, bytes: &[u8], original_length, direction| Got {
                link,
                id,
                name: name.map(ForeignText::from),
                nanos,
                bytes: bytes.to_vec(),
                original_length,
                direction,
            };
        let (ethernet, raw) = (Link::Ethernet, Link::Raw);
        assert_eq!(
            all.frames,
            [
                got(ethernet, 0, Some("eth0"), 1_500_000_000, b"one", 13, None),
                got(
                    raw,
                    1,
                    Some("tun0"),
                    (1 << 32) + 7,
                    b"three",
                    15,
                    Some(Flow::Out)
                ),
                got(ethernet, 0, Some("eth0"), 2_000_000_000, b"old", 13, None),
                got(ethernet, 0, Some("eth0"), 0, &[7; 96], 200, None),
                got(Link::Sll2, 2, None, 5_000, b"later", 15, None),
            ]
        );
        assert_eq!(all.comments, [b"said"]);
        let counts: Vec<_> = all.gaps.iter().map(|gap| gap.count).collect();
        assert_eq!(
            counts,
            [Some(3), Some(1)],
            "dropped, and without a time: {:?}",
            all.gaps
        );
    }
}

#[test]
fn clocks_of_every_resolution_give_nanoseconds() {
    for (resolution, offset, units, nanos) in [
        (0, 0, 2, 2_000_000_000),
        (6, 0, 1_767_323_045_000_006, 1_767_323_045_000_006_000),
        (9, 0, 1_767_323_045_000_000_006, 1_767_323_045_000_000_006),
        (12, 0, 1_999, 1),
        (127, 0, u64::MAX, 0),
        (0x80, 0, 3, 3_000_000_000),
        (0x80 | 10, 0, 1536, 1_500_000_000),
        (0xff, 0, u64::MAX, 0),
        (6, -1, 500_000, -500_000_000),
        (3, 10, 5, 10_005_000_000),
        (0, 0, u64::MAX, i64::MAX),
        (0, i64::MIN, 0, i64::MIN),
        (0, i64::MAX, u64::MAX, i64::MAX),
    ] {
        let mut made = Made::new(Order::Little);
        let options: [(u16, &[u8]); 2] = [
            (option::INTERFACE_RESOLUTION, &[resolution]),
            (option::INTERFACE_OFFSET, &offset.to_le_bytes()),
        ];
        made.interface(1, 0, &options);
        let time = (
            u32::try_from(units >> 32).unwrap(),
            u32::try_from(units & 0xffff_ffff).unwrap(),
        );
        made.packet(0, time, b"x", &[]);
        let (all, damage) = read(&made.bytes);
        assert_eq!(damage, None);
        assert_eq!(all.frames[0].nanos, nanos, "{resolution} {offset} {units}");
    }
}

#[test]
fn statistics_say_what_was_lost_the_last_of_each_interface() {
    let mut made = Made::new(Order::Little);
    made.interface(1, 0, &[]);
    made.interface(1, 0, &[]);
    let number = |number: u64| number.to_le_bytes();
    let lost = |system: u64, interface: u64| [number(system), number(interface)];
    for (id, [system, interface]) in [(0, lost(5, 0)), (0, lost(7, 1)), (1, lost(10, 0))] {
        made.statistics(
            id,
            &[
                (option::STATISTICS_SYSTEM_DROPPED, &system),
                (option::STATISTICS_INTERFACE_DROPPED, &interface),
            ],
        );
    }
    // Its interface is not described, and nobody cares.
    made.statistics(9, &[(option::STATISTICS_SYSTEM_DROPPED, &number(1))]);
    made.section();
    made.interface(1, 0, &[]);
    made.packet(0, (0, 0), b"", &[(option::PACKET_DROPPED, &number(100))]);
    let (all, damage) = read(&made.bytes);
    assert_eq!(damage, None);
    assert_eq!(all.gaps.len(), 2, "{:?}", all.gaps);
    assert_eq!(all.gaps[0].count, Some(117));
    assert!(all.gaps[0].reason.contains("kernel, says the file"));
    assert_eq!(all.gaps[1].count, Some(1));
}

fn written(gaps: &[Gap]) -> Vec<u8> {
    let program = Program {
        system: "Linux 6".to_owned(),
        application: "inspect".to_owned(),
    };
    let mut file = Vec::new();
    let mut writer = PcapngWriter::begin(&mut file, &program);
    let mut describe = |link, name: Option<&str>| {
        writer.interface(&Described {
            link,
            snaplen: 262_144,
            name: name.map(ForeignText::from),
        })
    };
    let lo = describe(Link::Sll2, Some("lo"));
    let other = describe(Link::Raw, None);
    let frame = |nanos, bytes, direction| Frame {
        time: Timestamp::from_nanos(nanos),
        bytes,
        original_length: 1500,
        recorded: Recorded {
            direction,
            ..Recorded::default()
        },
    };
    let first = frame(1_767_323_045_000_000_006, b"abc".as_slice(), None);
    writer.write(lo, &first, Some("who, and why")).unwrap();
    let second = frame(-5, b"abcd", Some(Flow::In));
    writer.write(other, &second, None).unwrap();
    writer.statistics(lo, Timestamp::from_nanos(1), gaps);
    assert!(writer.length() > 0);
    writer.end().unwrap();
    file
}

#[test]
fn what_is_written_is_read_back() {
    let gaps = [
        Gap::counted(
            Origin::Capture,
            "packets dropped by the kernel: so (it) is",
            12,
        ),
        Gap::uncounted(Origin::Owners, "owners, from some point on"),
    ];
    let file = written(&gaps);
    // Other readers know the number alone: isb_osdrop, 8 bytes.
    let number = [
        &7u16.to_ne_bytes()[..],
        &8u16.to_ne_bytes(),
        &12u64.to_ne_bytes(),
    ]
    .concat();
    assert!(file.windows(number.len()).any(|bytes| bytes == number));
    let (all, damage) = read(&file);
    assert_eq!(damage, None);
    assert_eq!(all.gaps, gaps);
    assert_eq!(all.comments, [b"who, and why"]);
    let [first, second] = all.frames.as_slice() else {
        panic!("{all:?}")
    };
    assert_eq!(first.nanos, 1_767_323_045_000_000_006);
    assert_eq!(
        (first.link, first.bytes.as_slice()),
        (Link::Sll2, b"abc".as_slice())
    );
    assert_eq!(first.name, Some(ForeignText::from("lo")));
    // Times before 1970 do not fit.
    assert_eq!((second.nanos, second.direction), (0, Some(Flow::In)));
    assert_eq!((second.name.clone(), second.original_length), (None, 1500));
}

#[test]
fn what_is_wrong_is_said() {
    let good = everything(Order::Little).bytes;
    let changed = |at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        read(&bytes).1
    };
    assert_eq!(changed(8, &[0; 4]), Some(Damage::ByteOrder));
    assert_eq!(changed(12, &[2, 0]), Some(Damage::Version(2)));
    assert_eq!(changed(4, &[27, 0, 0, 0]), Some(Damage::Length(27)));
    assert_eq!(changed(4, &[0xff; 4]), Some(Damage::Length(u32::MAX)));
    assert_eq!(changed(24, &[0; 4]), Some(Damage::Lengths(28, 0)));
    let mut made = Made::new(Order::Big);
    made.packet(0, (0, 0), b"", &[]);
    assert_eq!(read(&made.bytes).1, Some(Damage::NoInterface(0)));
    let mut made = Made::new(Order::Big);
    made.simple_packet(0, b"");
    assert_eq!(read(&made.bytes).1, Some(Damage::NoInterface(0)));
    for kind in [
        block::INTERFACE,
        block::STATISTICS,
        block::PACKET,
        block::OLD_PACKET,
    ] {
        let mut made = Made::new(Order::Big);
        made.block(kind, &[]);
        assert_eq!(read(&made.bytes).1, Some(Damage::Short(kind)));
    }
    // A frame longer than its block.
    let mut made = Made::new(Order::Big);
    made.interface(1, 0, &[]);
    let mut body = vec![0; 12];
    body.extend([0, 0, 0, 5, 0, 0, 0, 5]);
    body.extend([0; 4]);
    made.block(block::PACKET, &body);
    assert_eq!(read(&made.bytes).1, Some(Damage::Short(block::PACKET)));
}

#[test]
fn interfaces_and_comments_are_bounded() {
    let mut made = Made::new(Order::Little);
    for _ in 0..=1 << 16 {
        made.interface(1, 0, &[]);
    }
    assert_eq!(read(&made.bytes).1, Some(Damage::Interfaces));
    let mut made = Made::new(Order::Little);
    made.interface(1, 0, &[(option::INTERFACE_NAME, &[b'n'; 60_000])]);
    let comment: (u16, &[u8]) = (option::COMMENT, b"c");
    made.packet(0, (0, 0), b"", &[comment; 20]);
    made.packet(0, (0, 0), b"", &[(option::COMMENT, &[b'c'; 60_000])]);
    let (all, damage) = read(&made.bytes);
    assert_eq!(damage, None);
    assert_eq!(all.frames[0].name.as_ref().unwrap().as_bytes().len(), 255);
    assert_eq!(all.comments.len(), 4);
    assert_eq!(all.gaps[0].count, Some(17), "{:?}", all.gaps);
}

proptest! {
    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }

    #[test]
    fn any_blocks_are_frames_or_an_error(
        blocks in proptest::collection::vec(
            (0u32..8, proptest::collection::vec(any::<u8>(), 0..80)), 0..12),
        big in any::<bool>(),
    ) {
        let mut made = Made::new(if big { Order::Big } else { Order::Little });
        made.interface(1, 0, &[]);
        for (kind, mut body) in blocks {
            body.resize(padded(body.len()), 0);
            made.block(kind, &body);
        }
        let _ = read(&made.bytes);
    }

    #[test]
    fn a_good_file_gone_bad_is_frames_or_an_error(
        big in any::<bool>(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..8),
        cut in any::<usize>(),
    ) {
        let order = if big { Order::Big } else { Order::Little };
        let mut bytes = everything(order).bytes;
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(cut % (bytes.len() + 1));
        let _ = read(&bytes);
    }

    #[test]
    fn a_cut_file_gives_all_that_is_whole(cut in any::<usize>()) {
        let bytes = everything(Order::Little).bytes;
        let cut = cut % (bytes.len() + 1);
        let (all, damage) = read(&bytes[..cut]);
        prop_assert_eq!(damage, None);
        let (whole, _) = read(&bytes);
        prop_assert_eq!(&all.frames[..], &whole.frames[..all.frames.len()]);
    }
}
