use super::*;
use crate::model::{ForeignText, Pid};
use crate::trace::Process;

/// A raw call with such arguments and memory.
fn raw(number: u16, arguments: &[u64], result: i64, memory: &[(Place, &[u8])]) -> RawCall {
    let mut registers = [0; 6];
    registers[..arguments.len()].copy_from_slice(arguments);
    RawCall {
        process: Process {
            pid: Pid(7),
            started_ns: 1,
            command: ForeignText::from("who"),
        },
        tid: Pid(7),
        number,
        arguments: registers,
        began_ns: Some(1_000),
        ended_ns: Some(3_000),
        finish: Finish::Returned(result),
        before: None,
        after: None,
        memory: memory
            .iter()
            .map(|(place, bytes)| {
                let length = u64::try_from(bytes.len()).unwrap();
                let bytes = Some(bytes.to_vec());
                (*place, Memory { length, bytes })
            })
            .collect(),
    }
}

fn decoded(raw: RawCall) -> Call {
    let bracket = Bracket::from_readings(0, crate::model::Timestamp::from_nanos(0), 0);
    call(raw, &bracket).unwrap()
}

#[test]
fn what_is_sent_is_told_with_names() {
    let sent = decoded(raw(
        44,
        &[3, 0x1000, 5, 0x4000, 0, 0],
        5,
        &[(Place::whole(0), b"hello")],
    ));
    assert_eq!((sent.name, sent.duration_ns), ("sendto", Some(2_000)));
    assert_eq!(sent.outcome, Outcome::Returned(5));
    let hello = Value::Bytes(Bytes {
        bytes: b"hello".to_vec(),
        length: 5,
    });
    assert_eq!(
        sent.arguments,
        [
            ("fd", Value::Fd(3)),
            ("buffer", hello),
            ("length", Value::Number(5)),
            ("flags", Value::Flags(vec!["MSG_NOSIGNAL"], 0)),
            ("address", Value::Null),
            ("address_length", Value::Number(0)),
        ]
    );
}

#[test]
fn an_error_is_the_number_that_errno_gets() {
    let refused = raw(42, &[3, 0x1000, 16], -111, &[]);
    assert_eq!(decoded(refused).outcome, Outcome::Failed(111));
}

#[test]
fn addresses_of_every_family_are_read() {
    let end = |text: &str, port| {
        Address::Internet(crate::model::Endpoint::new(text.parse().unwrap(), port))
    };
    let mut v6 = vec![10, 0, 0x09, 0x29, 0, 0, 0, 0];
    v6.extend([0; 15]);
    v6.push(1);
    v6.extend([0; 4]);
    let unix = |name: &[u8]| [&[1, 0], name].concat();
    let text = |text: &str| ForeignText::from(text);
    for (bytes, expected) in [
        (
            vec![2, 0, 0x09, 0x29, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            end("127.0.0.1", 2345),
        ),
        (v6, end("::1", 2345)),
        (
            unix(b"/run/a\0\0"),
            Address::Unix(crate::model::UnixAddress::Path(text("/run/a"))),
        ),
        (
            unix(b"\0name"),
            Address::Unix(crate::model::UnixAddress::Abstract(text("name"))),
        ),
        (unix(b""), Address::Unix(crate::model::UnixAddress::Unnamed)),
        (
            vec![16, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0],
            Address::Netlink(7, 1),
        ),
        (vec![0, 0, 1, 2], Address::Unspecified),
        (vec![2, 0, 9], Address::Other(2, vec![9])),
        (vec![2], Address::Other(0, vec![2])),
    ] {
        assert_eq!(address::of(&bytes), expected, "{bytes:?}");
    }
}

#[test]
fn a_message_has_its_buffers_and_the_descriptors_that_go_with_it() {
    let mut header = vec![0u8; 56];
    header[16..24].copy_from_slice(&0x2000u64.to_ne_bytes());
    header[24..32].copy_from_slice(&3u64.to_ne_bytes());
    let mut control = Vec::new();
    control.extend(20u64.to_ne_bytes());
    control.extend(1i32.to_ne_bytes());
    control.extend(1i32.to_ne_bytes());
    control.extend(9i32.to_ne_bytes());
    let at = |role, part| place(0, 0, role, part);
    let sent = decoded(raw(
        46,
        &[3, 0x1000, 0],
        4,
        &[
            (at(Role::Header, 0), &header),
            (at(Role::Part, 0), b"ab"),
            (at(Role::Part, 1), b"cd"),
            (at(Role::Control, 0), &control),
        ],
    ));
    let text = |text: &str| {
        Value::Bytes(Bytes {
            bytes: text.as_bytes().to_vec(),
            length: text.len() as u64,
        })
    };
    let expected = Value::Fields(vec![
        ("name", Value::Null),
        ("buffers", Value::List(vec![text("ab"), text("cd")], 1)),
        (
            "control",
            Value::List(
                vec![Value::Fields(vec![
                    ("level", Value::Constant("SOL_SOCKET")),
                    ("type", Value::Constant("SCM_RIGHTS")),
                    ("content", Value::List(vec![Value::Fd(9)], 0)),
                ])],
                0,
            ),
        ),
        ("flags", Value::Flags(vec![], 0)),
    ]);
    assert_eq!(sent.arguments[1], ("message", expected));
}

proptest::proptest! {
    #[test]
    fn any_memory_is_read_without_harm(
        number in 0u16..450,
        arguments: [u64; 6],
        result: i64,
        pieces in proptest::collection::vec(
            (0u8..4, 0u8..3, 0u16..3, proptest::collection::vec(0u8.., 0..80)), 0..6),
    ) {
        let roles = [Role::Whole, Role::Header, Role::Name, Role::Part, Role::Control];
        let memory: Vec<_> = pieces
            .iter()
            .enumerate()
            .map(|(index, (piece, message, part, bytes))| {
                (place(*piece, *message, roles[index % roles.len()], *part), bytes.as_slice())
            })
            .collect();
        let bracket = Bracket::from_readings(0, crate::model::Timestamp::from_nanos(0), 0);
        let read = call(raw(number, &arguments, result, &memory), &bracket);
        proptest::prop_assert_eq!(read.is_some(), calls::by_number(number).is_some());
    }
}
