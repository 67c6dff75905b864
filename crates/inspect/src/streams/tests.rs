//! Streams against the truth: every byte once, in order, whatever was done to the segments.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::capture::Tcp;
use crate::model::{Endpoint, Protocol};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A segment that owns its bytes.
#[derive(Debug, Clone)]
struct Sent {
    direction: Direction,
    seq: u32,
    ack: u32,
    flags: u8,
    bytes: Vec<u8>,
    /// Bytes on the wire, where fewer were captured.
    length: Option<u32>,
}

fn sent(direction: Direction, seq: u32, ack: u32, flags: u8, bytes: &[u8]) -> Sent {
    Sent {
        direction,
        seq,
        ack,
        flags,
        bytes: bytes.to_vec(),
        length: None,
    }
}

fn forth(seq: u32, bytes: &[u8]) -> Sent {
    sent(Direction::Forth, seq, 0, 0, bytes)
}

fn ack(number: u32) -> Sent {
    sent(Direction::Back, 1, number, ACK, b"")
}

/// What came out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Bytes(u64, Vec<u8>),
    Gap(u64, u64, Why),
    Conflict(u64, Vec<u8>),
    MoreConflicts(u64),
    Late(u64, Vec<u8>),
    Closed,
    Reset,
}

type Heard = Vec<(Direction, Told)>;

fn told(part: Part<'_>) -> Told {
    match part {
        Part::Bytes { offset, bytes } => Told::Bytes(offset, bytes.to_vec()),
        Part::Gap {
            offset,
            length,
            why,
        } => Told::Gap(offset, length, why),
        Part::Conflict { offset, bytes } => Told::Conflict(offset, bytes.to_vec()),
        Part::Late { offset, bytes } => Told::Late(offset, bytes.to_vec()),
        Part::MoreConflicts { count } => Told::MoreConflicts(count),
        Part::Closed => Told::Closed,
        Part::Reset => Told::Reset,
    }
}

fn at(index: usize) -> Timestamp {
    Timestamp::from_nanos(i64::try_from(index).unwrap() * 1000)
}

fn pass(streams: &mut Streams<()>, handle: Handle, index: usize, sent: &Sent, heard: &mut Heard) {
    let nowhere = Endpoint::new(IpAddr::from([127, 0, 0, 1]), 1);
    let segment = Segment {
        protocol: Protocol::Tcp,
        source: nowhere,
        destination: nowhere,
        options: Default::default(),
        tcp: Some(Tcp {
            seq: sent.seq,
            ack: sent.ack,
            flags: Flags(sent.flags),
            window: 0,
        }),
        length: Some(
            sent.length
                .unwrap_or(u32::try_from(sent.bytes.len()).unwrap()),
        ),
        payload: &sent.bytes,
        fragment: None,
    };
    streams.segment(
        handle,
        sent.direction,
        at(index),
        &segment,
        &mut |(), direction, _, part| heard.push((direction, told(part))),
    );
}

/// Everything to the end, and what was counted.
fn follow_within(memory: usize, all: &[Sent]) -> (Heard, Counts) {
    let mut streams = Streams::new(memory);
    let handle = streams.open(());
    let mut heard = Vec::new();
    for (index, sent) in all.iter().enumerate() {
        pass(&mut streams, handle, index, sent, &mut heard);
        assert!(streams.waiting_bytes() <= memory);
    }
    streams.finish_all(at(all.len()), &mut |(), direction, _, part| {
        heard.push((direction, told(part)));
    });
    assert_eq!(streams.waiting_bytes(), 0);
    (heard, streams.counts())
}

fn follow(all: &[Sent]) -> Vec<Told> {
    let (heard, _) = follow_within(MEMORY, all);
    heard.into_iter().map(|(_, told)| told).collect()
}

fn bytes(offset: u64, bytes: &[u8]) -> Told {
    Told::Bytes(offset, bytes.to_vec())
}

#[test]
fn a_conversation_in_order_is_handed_on_as_it_comes() {
    let back = |seq, ack, flags, bytes: &[u8]| sent(Direction::Back, seq, ack, flags, bytes);
    let forth = |seq, ack, flags, bytes: &[u8]| sent(Direction::Forth, seq, ack, flags, bytes);
    let all = [
        forth(u32::MAX, 0, SYN, b""),
        back(500, 0, SYN | ACK, b""),
        forth(0, 501, ACK, b""),
        forth(0, 501, ACK, b"hello"),
        back(501, 5, ACK, b"hi"),
        forth(5, 503, ACK | FIN, b""),
        back(503, 6, ACK | FIN, b""),
        forth(6, 504, ACK, b""),
    ];
    let (heard, counts) = follow_within(MEMORY, &all);
    assert_eq!(
        heard,
        [
            (Direction::Forth, bytes(0, b"hello")),
            (Direction::Back, bytes(0, b"hi")),
            (Direction::Forth, Told::Closed),
            (Direction::Back, Told::Closed),
        ]
    );
    assert_eq!(counts, Counts::default());
}

#[test]
fn what_comes_out_of_order_waits_across_the_wrap_of_numbers() {
    let start = u32::MAX - 3;
    let all = [
        sent(Direction::Forth, start.wrapping_sub(1), 0, SYN, b""),
        forth(start.wrapping_add(6), b"world"),
        forth(start.wrapping_add(3), b"lo "),
        forth(start, b"hel"),
    ];
    assert_eq!(
        follow(&all),
        [bytes(0, b"hel"), bytes(3, b"lo "), bytes(6, b"world")]
    );
}

#[test]
fn what_is_acknowledged_and_was_never_seen_is_a_gap_of_known_size() {
    let all = [
        forth(100, b"one"),
        forth(1500, b"two"),
        // Three acknowledgements on the way tell of one gap.
        ack(500),
        ack(900),
        ack(1503),
        // An answer is heard behind it.
        sent(Direction::Back, 1, 1503, ACK, b"heard"),
        // And what was lost comes all the same, behind what follows it.
        forth(600, b"late"),
    ];
    assert_eq!(
        follow(&all),
        [
            bytes(0, b"one"),
            Told::Gap(3, 1397, Why::NotCaptured),
            bytes(1400, b"two"),
            bytes(0, b"heard"),
            Told::Late(500, b"late".to_vec()),
        ]
    );
}

#[test]
fn an_acknowledgement_that_is_captured_before_its_data_is_no_gap() {
    let all = [
        forth(1, b"one"),
        ack(7),
        forth(4, b"two"),
        ack(10),
        forth(7, b"six"),
    ];
    assert_eq!(
        follow(&all),
        [bytes(0, b"one"), bytes(3, b"two"), bytes(6, b"six")]
    );
}

#[test]
fn behind_a_hole_larger_than_any_window_the_stream_goes_on() {
    let far = 1_500_000_000;
    let mut all = vec![forth(1, b"before")];
    all.extend((0..5u32).map(|number| forth(far + number * 4, b"then")));
    let (heard, counts) = follow_within(MEMORY, &all);
    let heard: Vec<Told> = heard.into_iter().map(|(_, told)| told).collect();
    assert_eq!(heard[0], bytes(0, b"before"));
    assert!(matches!(heard[1], Told::Gap(6, length, Why::NotCaptured) if length > 1 << 30));
    assert_eq!(heard.len(), 5, "{heard:?}");
    assert_eq!(counts.strays, 2);
}

#[test]
fn who_does_not_know_the_numbers_ends_nothing() {
    // A reset, and a close, from nowhere near.
    let all = [
        forth(1, b"one"),
        forth(10, b"two"),
        sent(Direction::Forth, 500_000_000, 0, RST, b""),
        sent(Direction::Forth, 400_000_000, 0, FIN, b""),
        forth(4, b"middle"),
        forth(13, b"end"),
    ];
    assert_eq!(
        follow(&all)[..4],
        [
            bytes(0, b"one"),
            bytes(3, b"middle"),
            bytes(9, b"two"),
            bytes(12, b"end"),
        ]
    );
}

#[test]
fn the_reply_stands_behind_the_gap_it_acknowledges() {
    let all = [
        forth(100, b"one"),
        sent(Direction::Back, 1, 203, ACK, b"reply"),
    ];
    let (heard, _) = follow_within(MEMORY, &all);
    assert_eq!(
        heard,
        [
            (Direction::Forth, bytes(0, b"one")),
            (Direction::Forth, Told::Gap(3, 100, Why::NotCaptured)),
            (Direction::Back, bytes(0, b"reply")),
        ]
    );
}

#[test]
fn what_is_sent_again_and_differs_is_marked_and_the_first_is_kept() {
    // Not acknowledged yet: the receiver may have got either.
    let all = [forth(1, b"hello"), forth(1, b"heLLo world")];
    assert_eq!(
        follow(&all),
        [
            bytes(0, b"hello"),
            Told::Conflict(2, b"LL".to_vec()),
            bytes(5, b" world")
        ]
    );
    // Acknowledged: what is sent again is thrown away.
    let all = [forth(1, b"hello"), ack(6), forth(1, b"HELLO world")];
    assert_eq!(follow(&all), [bytes(0, b"hello"), bytes(5, b" world")]);
    // Among what waits.
    let all = [
        forth(1, b"a"),
        forth(4, b"def"),
        forth(3, b"cXefg"),
        forth(2, b"b"),
    ];
    assert_eq!(
        follow(&all),
        [
            bytes(0, b"a"),
            Told::Conflict(3, b"X".to_vec()),
            bytes(1, b"b"),
            bytes(2, b"c"),
            bytes(3, b"def"),
            bytes(6, b"g"),
        ]
    );
}

#[test]
fn a_probe_that_keeps_alive_says_nothing() {
    // RFC 1122, 4.2.3.6: one byte of garbage before what is next.
    let all = [forth(1, b"hello"), ack(6), forth(5, b"\0"), ack(6)];
    assert_eq!(follow(&all), [bytes(0, b"hello")]);
}

#[test]
fn what_the_snapshot_length_cut_off_is_a_gap() {
    let cut = Sent {
        length: Some(1000),
        ..forth(1, b"head")
    };
    let all = [cut, forth(1001, b"next")];
    assert_eq!(
        follow(&all),
        [
            bytes(0, b"head"),
            Told::Gap(4, 996, Why::Cut),
            bytes(1000, b"next")
        ]
    );
}

#[test]
fn a_conversation_that_began_earlier_begins_with_what_was_seen_first() {
    let all = [forth(7000, b"seen"), ack(7004), forth(6990, b"before it ")];
    let (heard, counts) = follow_within(MEMORY, &all);
    assert_eq!(heard, [(Direction::Forth, bytes(0, b"seen"))]);
    assert_eq!((counts.before, counts.swapped), (10, 0));
    // Nobody had it yet, so that it is not from before the capture.
    let all = [forth(7000, b"seen"), forth(6990, b"swapped!! "), ack(7004)];
    let (_, counts) = follow_within(MEMORY, &all);
    assert_eq!((counts.before, counts.swapped), (0, 10));
    // Of a side that does not pass here nothing is known, and nothing is said.
    assert_eq!(follow(&[ack(100), ack(200), ack(300)]), []);
}

#[test]
fn a_reset_ends_the_waiting() {
    let all = [
        forth(1, b"one"),
        forth(10, b"two"),
        sent(Direction::Back, 1, 4, RST | ACK, b""),
    ];
    let (heard, _) = follow_within(MEMORY, &all);
    assert_eq!(
        heard,
        [
            (Direction::Forth, bytes(0, b"one")),
            (Direction::Forth, Told::Gap(3, 6, Why::NeverCame)),
            (Direction::Forth, bytes(9, b"two")),
            (Direction::Back, Told::Reset),
        ]
    );
}

#[test]
fn a_close_behind_a_hole_waits_for_it() {
    let fin = sent(Direction::Forth, 11, 0, FIN, b"");
    let all = [forth(1, b"hello"), fin.clone(), forth(6, b"world")];
    assert_eq!(
        follow(&all),
        [bytes(0, b"hello"), bytes(5, b"world"), Told::Closed]
    );
    assert_eq!(
        follow(&[forth(1, b"hello"), fin]),
        [
            bytes(0, b"hello"),
            Told::Gap(5, 5, Why::NeverCame),
            Told::Closed
        ]
    );
}

#[test]
fn far_outside_of_any_window_is_no_part_of_it() {
    let all = [forth(1, b"hello"), forth(1 << 31, b"bogus"), ack(1 << 31)];
    let (heard, counts) = follow_within(MEMORY, &all);
    assert_eq!(heard, [(Direction::Forth, bytes(0, b"hello"))]);
    assert_eq!(counts.strays, 2);
}

#[test]
fn a_full_memory_gives_up_the_oldest_hole_and_says_so() {
    let mut streams = Streams::new(40_000);
    let mut heard: Vec<(usize, Told)> = Vec::new();
    let handles: Vec<Handle> = (0..3).map(|number| streams.open(number)).collect();
    let piece = vec![b'x'; 1000];
    for step in 0..16u32 {
        for (number, handle) in handles.iter().enumerate() {
            let seq = if step == 0 { 1 } else { 1 + 2000 * step };
            let nowhere = Endpoint::new(IpAddr::from([127, 0, 0, 1]), 1);
            let segment = Segment {
                protocol: Protocol::Tcp,
                source: nowhere,
                destination: nowhere,
                options: Default::default(),
                tcp: Some(Tcp {
                    seq,
                    ack: 0,
                    flags: Flags(0),
                    window: 0,
                }),
                length: Some(1000),
                payload: &piece,
                fragment: None,
            };
            let time = at(step as usize * 3 + number);
            let emit = &mut |number: &usize, _, _, part: Part<'_>| {
                heard.push((*number, told(part)));
            };
            streams.segment(*handle, Direction::Forth, time, &segment, emit);
            assert!(streams.waiting_bytes() <= 40_000);
        }
    }
    let evicted: Vec<usize> = heard
        .iter()
        .filter(|(_, told)| matches!(told, Told::Gap(.., Why::Evicted)))
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(evicted.first(), Some(&0), "the oldest hole goes first");
    assert_eq!(streams.counts().evicted, evicted.len() as u64);
    assert!(evicted.len() < 3 * 15, "and not more than needed");
}

#[test]
fn one_direction_alone_does_not_wait_for_ever() {
    let mut streams = Streams::new(MEMORY);
    let handle = streams.open(());
    let mut heard = Vec::new();
    for (index, sent) in [forth(1, b"one"), forth(10, b"two")].iter().enumerate() {
        pass(&mut streams, handle, index, sent, &mut heard);
    }
    let mut settle = |nanos, heard: &mut Heard| {
        streams.settle(Timestamp::from_nanos(nanos), &mut |(), way, _, part| {
            heard.push((way, told(part)));
        });
    };
    settle(PATIENCE, &mut heard);
    assert_eq!(heard.len(), 1);
    settle(PATIENCE + 1000, &mut heard);
    assert_eq!(
        heard[1..],
        [
            (Direction::Forth, Told::Gap(3, 6, Why::NeverCame)),
            (Direction::Forth, bytes(9, b"two")),
        ]
    );
}

#[test]
fn datagrams_follow_each_other() {
    let nowhere = Endpoint::new(IpAddr::from([127, 0, 0, 1]), 1);
    let datagram = |payload: &'static [u8], length| Segment {
        protocol: Protocol::Udp,
        source: nowhere,
        destination: nowhere,
        options: Default::default(),
        tcp: None,
        length: Some(length),
        payload,
        fragment: None,
    };
    let mut streams = Streams::new(MEMORY);
    let handle = streams.open(());
    let mut heard = Vec::new();
    for (payload, length) in [(b"one".as_slice(), 3), (b"tw", 5), (b"three", 5)] {
        streams.segment(
            handle,
            Direction::Back,
            at(0),
            &datagram(payload, length),
            &mut |(), _, _, part| heard.push(told(part)),
        );
    }
    assert_eq!(
        heard,
        [
            bytes(0, b"one"),
            bytes(3, b"tw"),
            Told::Gap(5, 3, Why::Cut),
            bytes(8, b"three")
        ]
    );
}

#[test]
fn what_fills_a_gap_in_part_is_compared_in_its_other_part() {
    let all = [
        forth(1, b"one"),
        forth(10, b"three"),
        sent(Direction::Back, 1, 10, ACK, b"heard"),
        // Six bytes of the gap, and two of what was handed on, of which one differs.
        forth(4, b"middleTh"),
    ];
    let (heard, counts) = follow_within(MEMORY, &all);
    let forth: Vec<Told> = heard
        .into_iter()
        .filter(|(way, _)| *way == Direction::Forth)
        .map(|(_, told)| told)
        .collect();
    assert_eq!(
        forth,
        [
            bytes(0, b"one"),
            Told::Gap(3, 6, Why::NotCaptured),
            bytes(9, b"three"),
            Told::Late(3, b"middle".to_vec()),
            Told::Conflict(9, b"T".to_vec()),
        ]
    );
    assert_eq!((counts.missing, counts.conflicts), (0, 1));
}

#[test]
fn what_fills_a_gap_that_was_forgotten_is_counted() {
    let mut all = vec![forth(1, b"x")];
    for number in 1..=80u32 {
        all.push(forth(1 + 10 * number, b"x"));
        all.push(sent(Direction::Back, number, 2 + 10 * number, ACK, b"y"));
    }
    all.push(forth(2, b"forgotten"));
    all.push(forth(2 + 10 * 79, b"in memory"));
    let (heard, counts) = follow_within(MEMORY, &all);
    assert_eq!((counts.gaps, counts.late_untold), (80, 9));
    let late = |(_, told): &&(Direction, Told)| matches!(told, Told::Late(..));
    assert_eq!(heard.iter().filter(late).count(), 1);
    assert_eq!(counts.missing, 79 * 9);
}

#[test]
fn of_many_conflicts_a_few_are_told_and_the_rest_is_counted() {
    // In what was handed on, and in what waits.
    for first in [1, 3] {
        let mut all = vec![forth(1, b"a"), forth(first, b"abcd")];
        all.extend((0..1000).map(|_| forth(first, b"aXcd")));
        let (heard, counts) = follow_within(MEMORY, &all);
        assert_eq!(counts.conflicts, 1000);
        let told = |(_, told): &&(Direction, Told)| matches!(told, Told::Conflict(..));
        assert_eq!(heard.iter().filter(told).count(), 32);
        assert_eq!(heard.last().unwrap().1, Told::MoreConflicts(968));
    }
}

/// How one text gets onto the wire: pieces that overlap, repeat and change places.
#[derive(Debug, Clone)]
struct Way {
    text: Vec<u8>,
    start: u32,
    /// Cuts of the text, and for each piece how often it is sent.
    pieces: Vec<(usize, usize)>,
    /// Places that are exchanged.
    swaps: Vec<(usize, usize)>,
    /// Pieces that pass and are not captured.
    lost: Vec<usize>,
}

fn way() -> impl Strategy<Value = Way> {
    (
        proptest::collection::vec(any::<u8>(), 1..600),
        prop_oneof![any::<u32>(), (u32::MAX - 300)..=u32::MAX],
        proptest::collection::vec((0usize..600, 1usize..90), 0..30),
        proptest::collection::vec((0usize..60, 0usize..60), 0..40),
        proptest::collection::vec(0usize..60, 0..6),
    )
        .prop_map(|(text, start, pieces, swaps, lost)| Way {
            text,
            start,
            pieces,
            swaps,
            lost,
        })
}

impl Way {
    /// The whole text in pieces of 37, and the odd pieces across them, shuffled.
    fn segments(&self) -> Vec<Sent> {
        let length = self.text.len();
        let regular = (0..length).step_by(37).map(|from| (from, 37));
        let odd = self
            .pieces
            .iter()
            .map(|(from, size)| (from % length, *size));
        let mut all: Vec<Sent> = regular
            .chain(odd)
            .map(|(from, size)| {
                let to = (from + size).min(length);
                let seq = self.start.wrapping_add(u32::try_from(from).unwrap());
                forth(seq, &self.text[from..to])
            })
            .collect();
        for (one, other) in &self.swaps {
            let count = all.len();
            all.swap(one % count, other % count);
        }
        all
    }

    fn syn(&self) -> Sent {
        sent(Direction::Forth, self.start.wrapping_sub(1), 0, SYN, b"")
    }

    fn last_ack(&self) -> Sent {
        let length = u32::try_from(self.text.len()).unwrap();
        ack(self.start.wrapping_add(length))
    }
}

proptest! {
    #[test]
    fn cut_shuffled_repeated_and_overlapping_segments_give_the_text(way in way()) {
        let mut all = vec![way.syn()];
        all.extend(way.segments());
        let mut text = Vec::new();
        for told in follow(&all) {
            let Told::Bytes(offset, bytes) = told else {
                return Err(TestCaseError::fail(format!("{told:?}")));
            };
            prop_assert_eq!(offset, text.len() as u64);
            text.extend(bytes);
        }
        prop_assert_eq!(text, way.text);
    }

    #[test]
    fn what_is_lost_is_a_gap_of_its_size_and_all_else_is_true(way in way()) {
        let segments = way.segments();
        let mut covered = vec![false; way.text.len()];
        let mut all = vec![way.syn()];
        for (index, sent) in segments.iter().enumerate() {
            if way.lost.iter().any(|lost| lost % segments.len() == index) {
                continue;
            }
            let from = sent.seq.wrapping_sub(way.start) as usize;
            covered[from..from + sent.bytes.len()].fill(true);
            all.push(sent.clone());
        }
        all.push(way.last_ack());
        let mut place = 0usize;
        let mut missing = 0;
        for told in follow(&all) {
            match told {
                Told::Bytes(offset, bytes) => {
                    prop_assert_eq!(offset, place as u64);
                    prop_assert_eq!(&way.text[place..place + bytes.len()], &bytes[..]);
                    place += bytes.len();
                }
                Told::Gap(offset, length, why) => {
                    prop_assert_eq!(offset, place as u64);
                    prop_assert_eq!(why, Why::NotCaptured);
                    let length = usize::try_from(length).unwrap();
                    prop_assert!(covered[place..place + length].iter().all(|seen| !seen));
                    missing += length;
                    place += length;
                }
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
        prop_assert_eq!(place, way.text.len());
        prop_assert_eq!(missing, covered.iter().filter(|seen| !*seen).count());
    }

    /// Acknowledgements anywhere, even before what they acknowledge passed here: what is told
    /// is true, no byte is told twice, and bytes and gaps stand side by side.
    #[test]
    fn early_acknowledgements_lose_nothing_of_what_passes(
        way in way(),
        acks in proptest::collection::vec((0usize..60, 0usize..600), 0..12),
    ) {
        let mut all = way.segments();
        for (place, upto) in acks {
            let upto = upto % (way.text.len() + 1);
            let number = way.start.wrapping_add(u32::try_from(upto).unwrap());
            all.insert(place % (all.len() + 1), ack(number));
        }
        all.insert(0, way.syn());
        let mut place = 0u64;
        let mut seen = vec![false; way.text.len()];
        for told in follow(&all) {
            match told {
                Told::Bytes(offset, bytes) | Told::Late(offset, bytes) if !bytes.is_empty() => {
                    let from = usize::try_from(offset).unwrap();
                    let range = from..from + bytes.len();
                    prop_assert_eq!(&way.text[range.clone()], &bytes[..]);
                    prop_assert!(seen[range.clone()].iter().all(|seen| !seen), "twice");
                    seen[range].fill(true);
                    if offset == place {
                        place += bytes.len() as u64;
                    }
                }
                Told::Gap(offset, length, _) => {
                    prop_assert_eq!(offset, place);
                    place += length;
                }
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
        prop_assert_eq!(place, way.text.len() as u64);
    }

    /// Any segments at all: no panic, memory within its bound, and all of it given back.
    #[test]
    fn any_segments_stay_within_the_memory(
        all in proptest::collection::vec(
            (any::<bool>(), 0u32..3000, any::<u32>(), any::<u8>(), 0usize..200, any::<bool>()),
            0..120,
        ),
    ) {
        let sent: Vec<Sent> = all
            .iter()
            .map(|(way, seq, ack, flags, length, near)| Sent {
                direction: if *way { Direction::Forth } else { Direction::Back },
                seq: if *near { *seq } else { seq.wrapping_mul(1_431_655) },
                ack: if *near { ack % 3000 } else { *ack },
                flags: *flags,
                bytes: vec![*flags; *length],
                length: Some(u32::try_from(*length * (1 + usize::from(*near))).unwrap()),
            })
            .collect();
        follow_within(2000, &sent);
    }
}
