//! Which packets belong together.

use super::super::crafted::*;
use super::super::*;
use super::*;
use crate::model::Endpoint;

fn see(
    conversations: &mut Conversations<()>,
    ports: (u16, u16),
    seq: u32,
    flags: u8,
) -> (u64, Direction, Relative) {
    let frame = ethernet(0x0800, &ipv4(6, &tcp(ports, seq, 1, flags, b"")));
    let packet = decoded(Link::Ethernet, &frame);
    let (source, _) = packet.ends().unwrap();
    let seen = conversations.see(&packet).unwrap();
    (
        seen.conversation.number,
        seen.conversation.direction(source),
        seen.relative,
    )
}

#[test]
fn a_conversation_has_a_direction_and_numbers_from_its_beginning() {
    let mut conversations = Conversations::new();
    let table = &mut conversations;
    let (number, direction, relative) = see(table, (9, 80), 1000, SYN);
    assert_eq!((number, direction), (1, Direction::Forth));
    assert_eq!(
        relative,
        Relative {
            seq: Some(0),
            ack: None
        }
    );
    let (number, direction, relative) = see(table, (80, 9), 5000, SYN_ACK);
    assert_eq!((number, direction), (1, Direction::Back));
    assert_eq!(relative.seq, Some(0));
    assert_eq!(see(table, (9, 80), 1000, SYN).0, 1, "the SYN again");
    assert_eq!(see(table, (9, 80), 1001, ACK).2.seq, Some(1));
    // Wraps around.
    assert_eq!(see(table, (9, 80), 999, ACK).2.seq, Some(u32::MAX));
}

#[test]
fn the_same_ends_begin_anew_after_the_close() {
    for close in [&[(9, FIN_ACK), (80, FIN_ACK)][..], &[(80, RST)]] {
        let mut conversations = Conversations::new();
        let table = &mut conversations;
        see(table, (9, 80), 1000, SYN);
        for (from, flags) in close {
            see(
                table,
                if *from == 9 { (9, 80) } else { (80, 9) },
                1001,
                *flags,
            );
        }
        assert_eq!(
            see(table, (9, 80), 1000, SYN).0,
            1,
            "a late copy of the first SYN"
        );
        assert_eq!(see(table, (9, 80), 7000, SYN).0, 2);
        assert_eq!(see(table, (9, 80), 7001, ACK).2.seq, Some(1));
        assert_eq!(conversations.count(), 2);
    }
}

/// A segment of these ports at a second, with what it acknowledges: its conversation, its
/// relative number, whether it is a SYN amid, and whether the SYN before it has begun this.
fn pass(
    conversations: &mut Conversations<()>,
    second: i64,
    ports: (u16, u16),
    numbers: (u32, u32),
    flags: u8,
) -> (u64, Option<u32>, bool, bool) {
    let segment = tcp(ports, numbers.0, numbers.1, flags, b"");
    let frame = ethernet(0x0800, &ipv4(6, &segment));
    let frame = Frame {
        time: Timestamp::from_parts(second, 0),
        ..framed(&frame)
    };
    let seen = conversations.see(&decode(Link::Ethernet, &frame)).unwrap();
    (
        seen.conversation.number,
        seen.relative.seq,
        seen.is_amid,
        seen.opening.is_some(),
    )
}

/// A conversation that lives: its client is at 1001, its server at 5001.
fn living() -> Conversations<()> {
    let mut conversations = Conversations::new();
    let table = &mut conversations;
    for (ports, numbers, flags) in [
        ((9, 80), (1000, 0), SYN),
        ((80, 9), (5000, 1001), SYN_ACK),
        ((9, 80), (1001, 5001), PSH_ACK),
        ((80, 9), (5001, 1001), PSH_ACK),
    ] {
        assert_eq!(pass(table, 1, ports, numbers, flags).0, 1);
    }
    conversations
}

#[test]
fn a_syn_alone_begins_nothing_while_a_conversation_lives() {
    for forged in [900_000, 1500, 5001, u32::MAX] {
        let mut conversations = living();
        let table = &mut conversations;
        for second in 2..5 {
            let (number, _, amid, _) = pass(table, second, (9, 80), (forged, 0), SYN);
            assert_eq!((number, amid), (1, true));
            // The answer is an acknowledgement of the old numbers (RFC 5961, 4).
            for (ports, numbers, relative) in
                [((80, 9), (5001, 1001), 1), ((9, 80), (1001, 5001), 1)]
            {
                let found = pass(table, second, ports, numbers, PSH_ACK);
                assert_eq!(found, (1, Some(relative), false, false));
            }
        }
        // Neither does one from the server's side, nor a SYN ACK, nor a reset of other numbers.
        assert!(pass(table, 6, (80, 9), (77, 0), SYN).2);
        assert!(pass(table, 6, (80, 9), (78, 79), SYN_ACK).2);
        assert_eq!(pass(table, 6, (80, 9), (900_000_000, 0), RST).0, 1);
        assert!(pass(table, 7, (9, 80), (forged, 0), SYN).2);
        assert_eq!(
            pass(table, 8, (9, 80), (1001, 5001), ACK),
            (1, Some(1), false, false)
        );
        assert_eq!(conversations.count(), 1);
    }
}

#[test]
fn the_same_ends_begin_anew_where_the_new_number_is_acknowledged() {
    // The close was not seen, or one side was reset: the SYN ACK tells.
    let mut conversations = living();
    let table = &mut conversations;
    assert_eq!(pass(table, 2, (9, 80), (900_000, 0), SYN).0, 1);
    assert_eq!(
        pass(table, 2, (80, 9), (777, 900_001), SYN_ACK),
        (2, Some(0), false, true)
    );
    assert_eq!(
        pass(table, 2, (9, 80), (900_001, 778), PSH_ACK),
        (2, Some(1), false, false)
    );
    assert_eq!(
        pass(table, 2, (80, 9), (778, 900_001), PSH_ACK),
        (2, Some(1), false, false)
    );
    assert_eq!(
        pass(table, 2, (9, 80), (900_000, 0), SYN),
        (2, Some(0), false, false)
    );

    // The SYN ACK was not seen, and the numbers are far from the old ones.
    let mut conversations = living();
    let table = &mut conversations;
    assert!(pass(table, 2, (9, 80), (90_000_000, 0), SYN).2);
    let data = pass(table, 2, (9, 80), (90_000_001, 778), PSH_ACK);
    assert_eq!(data.0, 1, "the client alone tells nothing");
    assert_eq!(
        pass(table, 2, (80, 9), (778, 90_000_001), ACK),
        (2, Some(1), false, true)
    );

    // The SYN was not seen, and the SYN ACK is acknowledged.
    let mut conversations = living();
    let table = &mut conversations;
    assert!(pass(table, 2, (80, 9), (777, 900_001), SYN_ACK).2);
    assert_eq!(
        pass(table, 2, (9, 80), (900_001, 778), ACK),
        (2, Some(1), false, false)
    );
    let frame = ethernet(0x0800, &ipv4(6, &tcp((80, 9), 778, 900_001, ACK, b"")));
    let packet = decoded(Link::Ethernet, &frame);
    let seen = conversations.see(&packet).unwrap();
    assert!(seen.conversation.opening_seen());
    assert_eq!(seen.conversation.direction(seen.source), Direction::Back);

    // Refused: the server knows nothing of the old one any more.
    let mut conversations = living();
    let table = &mut conversations;
    assert!(pass(table, 2, (9, 80), (90_000_000, 0), SYN).2);
    let refused = pass(table, 2, (80, 9), (0, 90_000_001), RST | ACK);
    assert_eq!((refused.0, refused.3), (2, true));

    // The client was reset, and breaks off what it knows nothing of.
    let mut conversations = living();
    let table = &mut conversations;
    assert!(pass(table, 2, (9, 80), (900_000, 0), SYN).2);
    assert_eq!(pass(table, 2, (80, 9), (5001, 1001), ACK).0, 1);
    assert_eq!(pass(table, 2, (9, 80), (1001, 0), RST).0, 1);
    assert_eq!(
        pass(table, 3, (9, 80), (900_000, 0), SYN),
        (2, Some(0), false, false)
    );
}

#[test]
fn of_one_side_alone_the_next_segment_tells_that_it_begins_anew() {
    let mut conversations = Conversations::new();
    let table = &mut conversations;
    assert_eq!(pass(table, 1, (9, 80), (1000, 0), SYN).0, 1);
    assert_eq!(pass(table, 1, (9, 80), (1001, 5001), PSH_ACK).0, 1);
    assert!(pass(table, 2, (9, 80), (900_000, 0), SYN).2);
    assert_eq!(pass(table, 2, (9, 80), (1001, 5001), ACK).0, 1);
    assert_eq!(
        pass(table, 2, (9, 80), (900_001, 778), ACK),
        (2, Some(1), false, true)
    );
    // Its own close is enough, as the other's does not pass.
    assert_eq!(pass(table, 3, (9, 80), (900_001, 778), FIN_ACK).0, 2);
    assert_eq!(
        pass(table, 3, (9, 80), (7, 0), SYN),
        (3, Some(0), false, false)
    );
    // Nobody answers: another try, with another number.
    assert_eq!(pass(table, 4, (9, 80), (7, 0), SYN).0, 3);
    assert_eq!(
        pass(table, 8, (9, 80), (8, 0), SYN),
        (4, Some(0), false, false)
    );
    // And who is long silent is gone.
    let mut conversations = living();
    assert_eq!(
        pass(&mut conversations, 7000, (9, 80), (900_000, 0), SYN).0,
        1
    );
    assert_eq!(
        pass(&mut conversations, 7300, (9, 80), (900_001, 0), SYN).0,
        2
    );
}

#[test]
fn a_syn_after_the_middle_of_a_conversation_begins_another_when_it_is_answered() {
    let mut conversations = Conversations::new();
    let table = &mut conversations;
    assert_eq!(pass(table, 1, (80, 9), (5000, 1), PSH_ACK).0, 1);
    assert_eq!(pass(table, 1, (9, 80), (1000, 0), SYN).0, 1);
    assert_eq!(pass(table, 1, (80, 9), (9000, 1001), SYN_ACK).0, 2);
    // One that comes late, behind the segment it made room for.
    assert_eq!(pass(table, 1, (7, 80), (1001, 1), ACK).0, 3);
    assert_eq!(pass(table, 1, (7, 80), (1000, 0), SYN).0, 3);
}

#[test]
fn both_sides_may_open_at_once() {
    let mut conversations = Conversations::new();
    let table = &mut conversations;
    assert_eq!(see(table, (9, 80), 1000, SYN).0, 1);
    assert_eq!(see(table, (80, 9), 5000, SYN).0, 1);
    assert_eq!(see(table, (9, 80), 1000, SYN_ACK).0, 1);
    assert_eq!(see(table, (80, 9), 5000, SYN_ACK).0, 1);
    assert_eq!(see(table, (80, 9), 5001, PSH_ACK).2.seq, Some(1));
}

#[test]
fn the_pieces_of_a_datagram_are_one_conversation() {
    let whole = udp((5000, 2345), &[b'x'; 24]);
    let first = ethernet(0x0800, &ipv4_at(17, 0x2000, &whole[..16]));
    let middle = ethernet(0x0800, &ipv4_at(17, 0x2002, &whole[16..24]));
    let last = ethernet(0x0800, &ipv4_at(17, 0x0003, &whole[24..]));
    let mut conversations = Conversations::<()>::new();
    for frame in [&first, &middle, &middle, &last] {
        let packet = decoded(Link::Ethernet, frame);
        let seen = conversations.see(&packet).unwrap();
        assert_eq!(seen.conversation.number, 1);
        assert_eq!(seen.source.port, 5000);
        assert_eq!(seen.conversation.direction(seen.source), Direction::Forth);
    }
    // A piece of another, whose first was not seen.
    let later = Frame {
        time: Timestamp::from_parts(1, 0),
        ..framed(&middle)
    };
    let packet = decode(Link::Ethernet, &later);
    assert_eq!(conversations.see(&packet).unwrap().conversation.number, 2);
}

#[test]
fn the_memory_of_pieces_is_bounded() {
    let mut conversations = Conversations::<()>::new();
    let first = ethernet(
        0x0800,
        &ipv4_at(17, 0x2000, &udp((5000, 2345), b"12345678")),
    );
    for id in 0..20_000u16 {
        let mut frame = first.clone();
        frame[18..20].copy_from_slice(&id.to_be_bytes());
        conversations.see(&decoded(Link::Ethernet, &frame)).unwrap();
    }
    assert!(conversations.pieces() <= Fragments::LIMIT);
    assert_eq!(conversations.count(), 1);
}

#[test]
fn without_the_opening_the_lower_port_is_the_server() {
    let mut conversations = Conversations::new();
    let (_, direction, relative) = see(&mut conversations, (80, 50_000), 44, PSH_ACK);
    assert_eq!(direction, Direction::Back);
    assert_eq!(
        relative,
        Relative {
            seq: Some(1),
            ack: Some(1)
        }
    );
    // Unless somebody knows better.
    let frame = ethernet(0x0800, &ipv4(6, &tcp((80, 50_000), 44, 1, ACK, b"")));
    let packet = decoded(Link::Ethernet, &frame);
    let seen = conversations.see(&packet).unwrap();
    assert!(!seen.conversation.opening_seen());
    let client = Endpoint::new(CLIENT.into(), 80);
    seen.conversation.set_client(client);
    assert_eq!(seen.conversation.direction(client), Direction::Forth);
}

#[test]
fn the_table_is_bounded_and_keeps_what_speaks() {
    let mut conversations = Conversations::<()>::new();
    let busy = ethernet(0x86dd, &ipv6(6, &tcp((1, 2), 0, 0, ACK, b"")));
    for index in 0..150_000u32 {
        let [_, a, b, c] = index.to_be_bytes();
        let mut frame = ethernet(0x0800, &ipv4(6, &tcp((1, 2), 0, 0, ACK, b"")));
        frame[26..30].copy_from_slice(&[10, a, b, c]);
        conversations.see(&decoded(Link::Ethernet, &frame)).unwrap();
        let seen = conversations.see(&decoded(Link::Ethernet, &busy)).unwrap();
        assert_eq!(seen.is_new, index == 0, "{index}");
    }
    assert_eq!(conversations.count(), 150_001);
}

#[test]
fn what_is_over_makes_room_before_what_lives() {
    let mut conversations = Conversations::<()>::new();
    let limit = u32::try_from(Conversations::<()>::LIMIT).unwrap();
    let mut forgotten = 0;
    for index in 0..2 * limit {
        let [_, a, b, c] = index.to_be_bytes();
        // Every other one is closed at once.
        let flags: &[u8] = match index % 2 {
            0 => &[SYN, RST],
            _ => &[SYN],
        };
        for flags in flags {
            let mut frame = ethernet(0x0800, &ipv4(6, &tcp((9, 80), 0, 0, *flags, b"")));
            frame[26..30].copy_from_slice(&[10, a, b, c]);
            let frame = Frame {
                time: Timestamp::from_parts((index / 1000).into(), 0),
                ..framed(&frame)
            };
            let packet = decode(Link::Ethernet, &frame);
            let seen = conversations.see(&packet).unwrap();
            forgotten += u32::from(seen.is_crowded);
        }
    }
    assert_eq!(conversations.count(), u64::from(2 * limit));
    // As many live as there is room for.
    assert!(forgotten < limit / 8, "{forgotten}");
    assert!(conversations.notes().count() <= Conversations::<()>::LIMIT);
}
