//! Every packet with words is linked to exactly the calls that wrote and read them.
//!
//! Each stream is made of numbers of 8 bytes that count up, so that any 16 bytes of it tell
//! where they are from. Only the checker here reads them; the program joins by what the kernel
//! says of its sockets.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::program::Running;
use crate::support::{have_root, inspect, own_network};

/// A timeline of one port that sees everything from now on.
pub(crate) fn timeline(port: u16, arguments: &[&str]) -> Running {
    let port = port.to_string();
    let mut command = inspect();
    command
        .args(["timeline", "--json", "--port", &port])
        .args(arguments);
    let running = Running::start(&mut command);
    assert_eq!(running.record()["type"], "begin");
    running
}

pub(crate) fn can_trace(test: &str) -> bool {
    have_root(test) && inspect::bpf::allowed().is_ok()
}

/// So many bytes of the stream, from this place on.
fn stream(from: usize, length: usize) -> Vec<u8> {
    let first = from / 8;
    let numbers = (first..).take(length / 8 + 2);
    let bytes: Vec<u8> = numbers
        .flat_map(|number| (number as u64).to_be_bytes())
        .collect();
    bytes[from % 8..from % 8 + length].to_vec()
}

/// Where 16 bytes or more of the stream are from.
fn place_of(bytes: &[u8]) -> usize {
    for phase in 0..8 {
        let Some(number) = bytes.get(phase..phase + 8) else {
            break;
        };
        let number = u64::from_be_bytes(number.try_into().unwrap());
        let place = usize::try_from(number).unwrap().checked_mul(8);
        let Some(place) = place.and_then(|it| it.checked_sub(phase)) else {
            continue;
        };
        if number < 1 << 32 && stream(place, bytes.len()) == bytes {
            return place;
        }
    }
    panic!("not of the stream: {bytes:?}");
}

/// Small numbers that look like chance and are not.
struct Sizes(u64);

impl Sizes {
    fn next(&mut self, least: usize, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        least + (self.0 >> 33) as usize % (most - least)
    }
}

/// Sends so many messages of mixed sizes, and takes them in pieces of other sizes.
fn talk(listener: &TcpListener, messages: usize, has_delay: bool) -> usize {
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_nodelay(!has_delay).unwrap();
            let mut sizes = Sizes(7);
            let mut at = 0;
            for _ in 0..messages {
                let length = match sizes.next(0, 10) {
                    0 => sizes.next(1_000, 60_000),
                    _ => sizes.next(16, 300),
                };
                client.write_all(&stream(at, length)).unwrap();
                at += length;
            }
            at
        });
        let (mut server, _) = listener.accept().unwrap();
        let mut sizes = Sizes(11);
        let mut buffer = vec![0; 70_000];
        loop {
            let room = match sizes.next(0, 20) {
                0 => 70_000,
                _ => sizes.next(16, 900),
            };
            if server.read(&mut buffer[..room]).unwrap() == 0 {
                break;
            }
        }
        sender.join().unwrap()
    })
}

fn bytes(of: &Value) -> Vec<u8> {
    STANDARD.decode(of["base64"].as_str().unwrap()).unwrap()
}

/// Which part of the stream a call moved: by its words, where there are enough, and in its order.
fn parts<'a>(events: &'a [&Value], side: &str, names: &[&str]) -> Vec<(u64, Range<usize>)> {
    let mut at = 0;
    let of_side = events.iter().filter(|event| event["side"] == side);
    let calls = of_side.filter(|event| {
        event["call"]["call"]
            .as_str()
            .is_some_and(|name| names.contains(&name))
    });
    let mut calls: Vec<&&'a Value> = calls.collect();
    calls.sort_by_key(|event| {
        event["call"]["monotonic_ns"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    });
    let mut parts = Vec::new();
    for event in calls {
        let call = &event["call"];
        let moved = usize::try_from(call["result"].as_i64().unwrap()).unwrap_or(0);
        if moved == 0 {
            continue;
        }
        let words = bytes(&call["arguments"]["buffer"]);
        if words.len() >= 16 {
            assert_eq!(place_of(&words), at, "{call}");
        }
        parts.push((event["id"].as_u64().unwrap(), at..at + moved));
        at += moved;
    }
    parts
}

fn meeting(parts: &[(u64, Range<usize>)], range: &Range<usize>) -> BTreeSet<u64> {
    let meets = |part: &Range<usize>| part.start < range.end && range.start < part.end;
    parts
        .iter()
        .filter(|(_, part)| meets(part))
        .map(|(id, _)| *id)
        .collect()
}

fn check(messages: usize, has_delay: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = timeline(listener.local_addr().unwrap().port(), &[]);
    let whole = talk(&listener, messages, has_delay);
    let ended = running.interrupt();
    assert!(ended.status.success(), "{:?}", ended.messages);
    let records = ended.records();
    assert_eq!(
        records.last().unwrap()["complete"],
        true,
        "{}",
        records.last().unwrap()
    );
    let events: Vec<&Value> = records.iter().filter(|it| it["type"] == "event").collect();
    let written = parts(&events, "client", &["write", "sendto"]);
    let read = parts(&events, "server", &["read", "recvfrom"]);
    assert_eq!(written.last().unwrap().1.end, whole);
    assert_eq!(read.last().unwrap().1.end, whole);
    let mut segments = 0;
    for event in &events {
        let segment = &event["segment"];
        let length = usize::try_from(segment["length"].as_u64().unwrap_or(0)).unwrap();
        if length == 0 {
            continue;
        }
        segments += 1;
        let words = bytes(segment);
        assert!(words.len() >= 16, "{segment}");
        let from = place_of(&words);
        let range = from..from + length;
        for (cause, parts) in [("sent_by", &written), ("received_by", &read)] {
            let links = event["links"].as_array().unwrap().iter();
            let links = links.filter(|link| link["cause"] == cause);
            let mut to = BTreeSet::new();
            for link in links {
                assert_eq!(link["certainty"], "exact", "{event}");
                to.insert(link["to"].as_u64().unwrap());
            }
            assert_eq!(to, meeting(parts, &range), "{cause} of {range:?}: {event}");
        }
    }
    assert!(segments > messages / 100, "{segments}");
    // Cause before effect.
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event["id"], place);
        for link in event["links"].as_array().unwrap() {
            let to = usize::try_from(link["to"].as_u64().unwrap()).unwrap();
            let is_after = link["cause"] == "received_by";
            assert_eq!(to > place, is_after, "{event}");
        }
    }
}

#[test]
fn packets_are_linked_to_their_calls_with_nagle() {
    if can_trace("packets_are_linked_to_their_calls_with_nagle") {
        own_network();
        check(5_000, true);
    }
}

#[test]
fn packets_are_linked_to_their_calls_without_nagle() {
    if can_trace("packets_are_linked_to_their_calls_without_nagle") {
        own_network();
        check(5_000, false);
    }
}
