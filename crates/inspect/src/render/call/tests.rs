use super::*;
use crate::model::ForeignText;
use crate::render::Charset;
use crate::trace::{Address, Bytes, Value};

fn process(pid: u32) -> Process {
    Process {
        pid: Pid(pid),
        started_ns: 1,
        command: ForeignText::new(b"py\x1b[31m"),
    }
}

fn tcp(local: u16, remote: u16) -> Socket {
    let end = |port| Endpoint::new([127, 0, 0, 1].into(), port);
    let none = Endpoint::new([0, 0, 0, 0].into(), 0);
    Socket {
        inode: None,
        cookie: None,
        family: 2,
        kind: 1,
        protocol: 6,
        state: None,
        namespace: None,
        ends: Some((
            if local == 0 { none } else { end(local) },
            if remote == 0 { none } else { end(remote) },
        )),
        sequences: None,
    }
}

fn call(pid: u32, name: &'static str, arguments: Vec<(&'static str, Value)>) -> Call {
    Call {
        time: Timestamp::from_nanos(1_000_207_000),
        monotonic_ns: 5,
        duration_ns: Some(21_400),
        process: process(pid),
        tid: Pid(pid),
        name,
        before: Some((Fd(3), tcp(52_316, 2345))),
        after: None,
        arguments,
        outcome: Outcome::Returned(5),
    }
}

fn lines(charset: Charset, headings: bool, calls: &[Call]) -> String {
    let mut out = Vec::new();
    let mut lines = Calls::new(Screen::pipe(charset), TimeZone::UTC, headings);
    for call in calls {
        lines.write(&mut out, call);
    }
    String::from_utf8(out).unwrap()
}

fn hello() -> Vec<(&'static str, Value)> {
    let bytes = b"hello\x1b".to_vec();
    vec![
        ("fd", Value::Fd(3)),
        ("buffer", Value::Bytes(Bytes { bytes, length: 9 })),
        ("length", Value::Number(9)),
        (
            "flags",
            Value::Flags(vec!["MSG_DONTWAIT", "MSG_NOSIGNAL"], 0x100_0000),
        ),
        ("address", Value::Null),
    ]
}

#[test]
fn a_call_is_one_line_with_its_socket_and_hostile_text_is_escaped() {
    assert_eq!(
        lines(Charset::Utf8, false, &[call(7, "sendto", hello())]),
        "00:00:01.000207  py\\u{1b}\\[31m[7]  sendto(3<127.0.0.1:52316→127.0.0.1:2345>, \
         \"hello\\u{1b}\"…, 9, MSG_DONTWAIT|MSG_NOSIGNAL|0x1000000, NULL) = 5  21 µs\n"
    );
    let plain = lines(Charset::Ascii, false, &[call(7, "recvfrom", hello())]);
    assert!(plain.is_ascii(), "{plain}");
    assert!(plain.ends_with("= 5  waited 21 us\n"), "{plain}");
}

#[test]
fn a_process_that_is_alone_is_named_once() {
    let one = || call(7, "close", vec![("fd", Value::Fd(3))]);
    let other = call(8, "close", vec![("fd", Value::Fd(3))]);
    let text = lines(Charset::Utf8, true, &[one(), one(), other, one()]);
    let owners: Vec<_> = text
        .lines()
        .map(|line| line.contains("[7]") || line.contains("[8]"))
        .collect();
    assert_eq!(owners, [true, false, false, true, true], "{text}");
}

#[test]
fn what_accept_returns_and_what_failed_are_told() {
    let end = Endpoint::new([127, 0, 0, 1].into(), 52_316);
    let mut accept = call(
        7,
        "accept4",
        vec![
            ("fd", Value::Fd(3)),
            ("address", Value::Address(Address::Internet(end))),
        ],
    );
    accept.before = Some((Fd(3), tcp(2345, 0)));
    accept.after = Some((Fd(12), tcp(2345, 52_316)));
    accept.outcome = Outcome::Returned(12);
    assert_eq!(
        lines(Charset::Utf8, false, &[accept])
            .split_once("  accept4")
            .unwrap()
            .1,
        "(3<127.0.0.1:2345>, {AF_INET, 127.0.0.1:52316}) = \
         12<127.0.0.1:2345→127.0.0.1:52316>  waited 21 µs\n"
    );
    let mut refused = call(7, "connect", vec![("fd", Value::Fd(3))]);
    refused.before = Some((Fd(3), tcp(0, 0)));
    refused.outcome = Outcome::Failed(111);
    assert_eq!(
        lines(Charset::Utf8, false, &[refused])
            .split_once("  connect")
            .unwrap()
            .1,
        "(3<tcp>) = -1 ECONNREFUSED (Connection refused)  21 µs\n"
    );
    assert_eq!(failure(512), "? ERESTARTSYS (to be restarted)");
}

#[test]
fn times_have_few_digits() {
    let screen = Screen::pipe(Charset::Utf8);
    for (nanoseconds, words) in [
        (999, "999 ns"),
        (1_250, "1.2 µs"),
        (93_999, "93 µs"),
        (2_140_000_000, "2.1 s"),
    ] {
        assert_eq!(time_taken(nanoseconds, &screen), words);
    }
}
