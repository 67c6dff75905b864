//! Bytes that no kernel sends.

use proptest::prelude::*;

use super::*;

fn table() -> impl Strategy<Value = Table> {
    proptest::sample::select(Table::ALL.to_vec())
}

fn details() -> impl Strategy<Value = Details> {
    any::<[bool; 4]>().prop_map(|[timers, memory, tcp, extended]| Details {
        timers,
        memory,
        tcp,
        extended,
    })
}

#[test]
fn a_message_is_of_its_family_and_of_a_known_state_and_type() {
    for (hex, table) in RECORDED {
        let changed = |at: usize, byte: u8| {
            let mut message = bytes(hex);
            message[at] = byte;
            decode(table, &message, NO_DETAILS).map(|socket| socket.state)
        };
        assert_eq!(changed(0, 99), Err(BadMessage::Family(99)), "{table:?}");
        match table {
            Table::Unix => {
                assert_eq!(changed(1, 99), Err(BadMessage::SocketType(99)));
                assert_eq!(changed(2, 99), Err(BadMessage::State(99)));
            }
            Table::Packet => assert_eq!(changed(1, 99), Err(BadMessage::SocketType(99))),
            Table::Netlink => {}
            _ => assert_eq!(changed(1, 99), Err(BadMessage::State(99)), "{table:?}"),
        }
    }
}

#[test]
fn a_message_that_ends_early_is_short_or_lacks_attributes() {
    for (hex, table) in RECORDED {
        let message = bytes(hex);
        let fixed = match table {
            Table::Unix | Table::Packet => 16,
            Table::Netlink => 28,
            _ => 72,
        };
        for length in 0..message.len() {
            let decoded = decode(table, &message[..length], ALL_DETAILS);
            if length < fixed {
                assert_eq!(decoded, Err(BadMessage::Short), "{table:?} {length}");
            } else if let Err(error) = decoded {
                let known = [BadMessage::Short, BadMessage::Attributes];
                assert!(known.contains(&error), "{table:?} {length}: {error}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_socket_or_bad(
        message in proptest::collection::vec(any::<u8>(), 0..200),
        table in table(),
        details in details(),
    ) {
        let _ = decode(table, &message, details);
        let _ = super::super::unix::waiting(&message, &asked(table, details));
    }

    #[test]
    fn one_changed_byte_harms_nothing_but_its_message(
        (hex, table) in proptest::sample::select(RECORDED.to_vec()),
        at in any::<proptest::sample::Index>(),
        byte: u8,
        details in details(),
    ) {
        let good = bytes(hex);
        let mut message = good.clone();
        let at = at.index(message.len());
        message[at] = byte;
        let decoded = decode(table, &message, details);
        if message == good {
            prop_assert!(decoded.is_ok());
        }
        let _ = super::super::unix::waiting(&message, &asked(table, details));
    }

    #[test]
    fn any_family_may_be_answered_with_any_other(
        (hex, _) in proptest::sample::select(RECORDED.to_vec()),
        table in table(),
        details in details(),
    ) {
        let _ = decode(table, &bytes(hex), details);
    }
}
