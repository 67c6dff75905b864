//! Any segments, in any order: the memory stays within its bound, and is given back.

#![no_main]

use std::cell::RefCell;
use std::net::IpAddr;

use inspect::capture::{Direction, Flags, Segment, Tcp};
use inspect::model::{Endpoint, Protocol, Timestamp};
use inspect::streams::{Part, Streams};
use libfuzzer_sys::fuzz_target;

const MEMORY: usize = 4096;
const PAYLOAD: [u8; 256] = {
    let mut payload = [0; 256];
    let mut at = 0;
    while at < 256 {
        payload[at] = (at % 251) as u8;
        at += 1;
    }
    payload
};

thread_local! {
    // One for all runs: what one leaves behind the next would find.
    static STREAMS: RefCell<Streams<u8>> = RefCell::new(Streams::new(MEMORY));
}

fuzz_target!(|bytes: &[u8]| {
    STREAMS.with_borrow_mut(|streams| follow(streams, bytes));
});

fn follow(streams: &mut Streams<u8>, bytes: &[u8]) {
    let mut handles = [streams.open(0u8), streams.open(1)];
    let mut told = 0u64;
    let mut emit = |_: &u8, _: Direction, _: Timestamp, part: Part<'_>| {
        if let Part::Bytes { bytes, .. } | Part::Late { bytes, .. } = part {
            told += bytes.len() as u64;
        }
    };
    let mut passed = 0u64;
    let end = Endpoint::new(IpAddr::from([127, 0, 0, 1]), 1);
    for (index, chunk) in bytes.chunks_exact(8).enumerate() {
        let time = Timestamp::from_nanos(i64::try_from(index).unwrap_or(0) * 50_000_000);
        let [what, flags, a, b, c, d, length, from] = *chunk else {
            return;
        };
        let which = usize::from(what & 1);
        if what & 0xf0 == 0xf0 {
            streams.finish(handles[which], time, &mut emit);
            handles[which] = streams.open(what);
            continue;
        }
        // Near each other mostly, and sometimes anywhere.
        let seq = match what & 8 {
            0 => u32::from_be_bytes([0xff, 0xff, a | 0xf0, b]).wrapping_add(u32::from(c)),
            _ => u32::from_be_bytes([a, b, c, d]),
        };
        let payload = &PAYLOAD[usize::from(from)..];
        let payload = &payload[..usize::from(length).min(payload.len())];
        let more = u32::from(what & 4 != 0) * 10;
        let segment = Segment {
            protocol: Protocol::Tcp,
            source: end,
            destination: end,
            options: inspect::capture::TcpOptions::default(),
            tcp: Some(Tcp {
                seq,
                ack: seq.wrapping_sub(u32::from(d)),
                flags: Flags(flags),
                window: 0,
            }),
            length: u32::try_from(payload.len())
                .ok()
                .map(|length| length + more),
            payload,
            fragment: None,
        };
        passed += payload.len() as u64;
        let direction = match what & 2 {
            0 => Direction::Forth,
            _ => Direction::Back,
        };
        streams.segment(handles[which], direction, time, &segment, &mut emit);
        streams.settle(time, &mut emit);
        assert!(streams.waiting_bytes() <= MEMORY);
    }
    streams.finish_all(Timestamp::from_nanos(i64::MAX), &mut emit);
    assert_eq!(streams.waiting_bytes(), 0);
    assert!(told <= passed, "no byte is told twice");
}
