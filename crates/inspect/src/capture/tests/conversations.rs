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

#[test]
fn the_same_ends_begin_anew_though_no_close_was_seen() {
    let mut conversations = Conversations::new();
    let table = &mut conversations;
    for (number, client, server) in [(1, 1000, 5000), (2, 900_000, 777)] {
        assert_eq!(see(table, (9, 80), client, SYN).0, number);
        for (ports, seq, flags, relative) in [
            ((80, 9), server, SYN_ACK, 0),
            ((9, 80), client, SYN, 0),
            ((80, 9), server, SYN_ACK, 0),
            ((9, 80), client + 1, PSH_ACK, 1),
            ((80, 9), server + 1, PSH_ACK, 1),
        ] {
            let seen = see(table, ports, seq, flags);
            assert_eq!((seen.0, seen.2.seq), (number, Some(relative)));
        }
    }
    // The SYN was lost; the SYN ACK tells where its side begins.
    assert_eq!(see(table, (80, 9), 123_456, SYN_ACK).2.seq, Some(0));
    assert_eq!(see(table, (80, 9), 123_457, PSH_ACK).2.seq, Some(1));
}

#[test]
fn a_syn_after_the_middle_of_a_conversation_begins_another() {
    let mut conversations = Conversations::new();
    let table = &mut conversations;
    assert_eq!(see(table, (80, 9), 5000, PSH_ACK).0, 1);
    assert_eq!(see(table, (9, 80), 1000, SYN).0, 2);
    // One that comes late, behind the segment it made room for.
    assert_eq!(see(table, (7, 80), 1001, ACK).0, 3);
    assert_eq!(see(table, (7, 80), 1000, SYN).0, 3);
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
    let packet = decoded(Link::Ethernet, &middle);
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
