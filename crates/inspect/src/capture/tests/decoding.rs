//! Every header, whole, cut off and wrong.

use super::super::crafted::*;
use super::super::fields::be16;
use super::super::*;
use super::*;
use crate::model::Protocol;

#[test]
fn the_words_are_found_behind_every_header() {
    for (name, frame) in hello_in_every_wrapping() {
        let packet = decoded(Link::Ethernet, &frame);
        let segment = packet
            .segment()
            .unwrap_or_else(|| panic!("{name}: {packet:?}"));
        assert_eq!(segment.payload, b"hello", "{name}");
        assert_eq!(segment.length, Some(5), "{name}");
        assert_eq!(
            (segment.source.port, segment.destination.port),
            (52316, 2345),
            "{name}"
        );
        assert_eq!(packet.fault, None, "{name}");
        let tcp = segment.tcp.unwrap();
        assert_eq!((tcp.seq, tcp.ack, tcp.window), (1001, 2001, 512), "{name}");
        assert!(
            tcp.flags.has(Flags::PSH) && tcp.flags.has(Flags::ACK),
            "{name}"
        );
        assert_eq!(selects(&port(2345), &packet), Some(true), "{name}");
        assert_eq!(selects(&port(80), &packet), Some(false), "{name}");
    }
}

#[test]
fn vlan_ids_are_kept_outermost_first() {
    let frames = hello_in_every_wrapping();
    let ids = |wanted: &str| {
        let (_, frame) = frames.iter().find(|(name, _)| *name == wanted).unwrap();
        decoded(Link::Ethernet, frame).vlans.ids().to_vec()
    };
    assert_eq!(ids("plain"), [None; 0]);
    assert_eq!(ids("VLAN"), [Some(5)]);
    assert_eq!(ids("two VLANs"), [Some(7), Some(5)]);
}

#[test]
fn inner_tags_in_the_place_of_the_ip_header_are_told_from_one() {
    let hello = tcp((52316, 2345), 1001, 2001, PSH_ACK, b"hello");
    let (v4, v6) = (ipv4(6, &hello), ipv6(6, &hello));
    // Every priority; ids that make a header of four, of five and of fifteen words.
    let tags = [5, 0x2014, 0x4014, 0x4514, 0x4f14, 0x6014, 0x6514, 0xe005];
    for tag in tags {
        for (kind, ip) in [(0x0800, &v4), (0x86dd, &v6)] {
            let one = vlan(tag, kind, ip);
            let two = vlan(tag, 0x8100, &vlan(9, kind, ip));
            let three = vlan(tag, 0x88a8, &vlan(8, 0x8100, &vlan(9, kind, ip)));
            let id = Some(tag & 0x0fff);
            for (inner, ids) in [
                (one, &[None, id][..]),
                (two, &[None, id, Some(9)]),
                (three, &[None, id, Some(8), Some(9)]),
            ] {
                let frame = sll2(kind, 1, 0, &inner);
                let packet = decoded(Link::Sll2, &frame);
                assert_eq!(packet.vlans.ids(), ids, "{tag:#x} {kind:#x}");
                assert_eq!(packet.payload(), b"hello", "{tag:#x} {kind:#x}");
                assert_eq!(packet.fault, None);
                let filter = kernel_filter(&port(2345), Link::Sll2).unwrap();
                let program = Program::compile(Link::Sll2, &filter).unwrap();
                assert!(program.passes(&frame), "{tag:#x} {kind:#x}");
            }
        }
    }
    // Of 2048 bytes, which is the ethertype, and with what looks like a header behind a tag.
    let mut long = ipv4(17, &udp((0x4500, 2345), &[b'x'; 2020]));
    assert_eq!(be16(&long, 2), 0x0800);
    long[4] = 0x45;
    let frame = sll2(0x0800, 1, 0, &long);
    let packet = decoded(Link::Sll2, &frame);
    assert_eq!(
        (packet.vlans.ids(), packet.payload().len()),
        (&[][..], 2020)
    );
}

#[test]
fn cooked_headers_tell_interface_and_direction() {
    let ip = ipv4(17, &udp((5353, 53), b"question"));
    let frame = sll2(0x0800, 3, 4, &ip);
    let packet = decoded(Link::Sll2, &frame);
    assert_eq!(
        (packet.interface, packet.direction),
        (Some(3), Some(Flow::Out))
    );
    assert_eq!(packet.payload(), b"question");
    assert_eq!(packet.segment().unwrap().protocol, Protocol::Udp);
    let frame = sll(0x8100, 0, &vlan(9, 0x0800, &ip));
    let packet = decoded(Link::Sll, &frame);
    assert_eq!((packet.interface, packet.direction), (None, Some(Flow::In)));
    assert_eq!(packet.vlans.ids(), [Some(9)]);
    assert_eq!(packet.payload(), b"question");
}

#[test]
fn links_without_a_header_go_by_version_or_family() {
    let v4 = ipv4(17, &udp((1, 2), b"x"));
    let v6 = ipv6(17, &udp((1, 2), b"x"));
    for (link, before, packet) in [
        (Link::Raw, &[][..], &v4),
        (Link::Raw, &[][..], &v6),
        (Link::Null, &[2, 0, 0, 0][..], &v4),
        (Link::Null, &[0, 0, 0, 30][..], &v6),
        (Link::Loop, &[0, 0, 0, 24][..], &v6),
    ] {
        let frame = [before, packet].concat();
        assert_eq!(decoded(link, &frame).payload(), b"x", "{link:?}");
    }
}

#[test]
fn what_was_cut_off_is_told_from_what_is_wrong() {
    let whole = ethernet(0x0800, &ipv4(6, &tcp((1, 2345), 7, 0, PSH_ACK, b"hello")));
    for captured in 0..whole.len() {
        let frame = Frame {
            bytes: &whole[..captured],
            ..framed(&whole)
        };
        let packet = decode(Link::Ethernet, &frame);
        let expected = (captured < 54).then_some(Fault::Cut);
        assert_eq!(packet.fault, expected, "{captured} bytes");
        // From here on the ports are there, and the answer is certain.
        let known = (captured >= 38).then_some(true);
        assert_eq!(selects(&port(2345), &packet), known, "{captured} bytes");
        if captured >= 54 {
            assert_eq!(packet.payload(), &b"hello"[..captured - 54]);
        }
        // What is behind a header that was not read is not counted as payload.
        let length = (captured >= 54).then_some(5);
        assert_eq!(packet.payload_length(), length, "{captured} bytes");
        // The same bytes as a whole frame contradict themselves, until the IP header fits.
        let packet = decoded(Link::Ethernet, &whole[..captured]);
        assert!(
            matches!(packet.fault, Some(Fault::Malformed { .. })),
            "{captured} bytes"
        );
    }
}

#[test]
fn malformed_headers_are_named() {
    let with = |at: usize, value: u8| {
        let mut frame = ethernet(0x0800, &ipv4(6, &tcp((1, 2345), 7, 0, ACK, b"hello")));
        frame[at] = value;
        decoded(Link::Ethernet, &frame).fault
    };
    let malformed = |what, value| Some(Fault::Malformed { what, value });
    assert_eq!(with(46, 0x30), malformed("TCP header length", 3));
    assert_eq!(with(46, 0xf0), malformed("TCP header length", 15));
    assert_eq!(with(14, 0x43), malformed("IPv4 header length", 12));
    assert_eq!(with(14, 0x65), malformed("IP version", 6));
    assert_eq!(with(16, 9), malformed("IPv4 total length", 9 * 256 + 45));
    assert_eq!(with(17, 8), malformed("IPv4 total length", 8));
    let mut frame = ethernet(0x0800, &ipv4(17, &udp((1, 2), b"abc")));
    frame[39] = 4;
    let packet = decoded(Link::Ethernet, &frame);
    assert_eq!(packet.fault, malformed("UDP length", 4));
    assert_eq!(packet.segment().unwrap().destination.port, 2);
}

#[test]
fn a_wrong_length_hides_nothing_that_is_there() {
    let frame = ethernet(0x0800, &ipv4(6, &tcp((1, 2345), 7, 0, PSH_ACK, b"hello")));
    for (length, named) in [(900, "IPv4 total length"), (8, "IPv4 total length")] {
        let mut frame = frame.clone();
        frame[16..18].copy_from_slice(&u16::to_be_bytes(length));
        let packet = decoded(Link::Ethernet, &frame);
        let fault = Fault::Malformed {
            what: named,
            value: length.into(),
        };
        assert_eq!(packet.fault, Some(fault));
        assert_eq!(packet.payload(), b"hello");
        assert_eq!(packet.payload_length(), Some(5));
        assert_eq!(selects(&port(2345), &packet), Some(true));
    }
    let udp = ethernet(0x86dd, &ipv6(17, &udp((1, 2345), b"hello")));
    for at in [18, 58] {
        let mut frame = udp.clone();
        frame[at] = 3;
        let packet = decoded(Link::Ethernet, &frame);
        assert!(matches!(packet.fault, Some(Fault::Malformed { .. })));
        assert_eq!(packet.payload(), b"hello", "{at}");
        assert_eq!(selects(&port(2345), &packet), Some(true));
    }
}

#[test]
fn an_icmp_error_says_what_it_answers() {
    let asked = udp((40_000, 2345), b"are you there?");
    let v4 = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &ipv4(17, &asked)].concat();
    let v6 = [&[1, 4, 0, 0, 0, 0, 0, 0][..], &ipv6(17, &asked)].concat();
    for whole in [
        ethernet(0x0800, &ipv4(1, &v4)),
        ethernet(0x86dd, &ipv6(58, &v6)),
    ] {
        // Eight bytes behind the quoted IP header are enough.
        let least = whole.len() - 14;
        for length in [whole.len(), least] {
            let frame = Frame {
                bytes: &whole[..length],
                ..framed(&whole)
            };
            let packet = decode(Link::Ethernet, &frame);
            let about = packet.icmp_error().unwrap().about.unwrap();
            assert_eq!((about.protocol, about.ports), (17, Some((40_000, 2345))));
            assert_eq!(packet.fault, None);
            assert_eq!(packet.said(), 0);
            assert_eq!(selects(&port(2345), &packet), Some(true));
            assert_eq!(selects(&port(40_000), &packet), Some(true));
            assert_eq!(selects(&port(80), &packet), Some(false));
            assert!(Conversations::<()>::new().see(&packet).is_none());
        }
        let frame = Frame {
            bytes: &whole[..least - 8],
            ..framed(&whole)
        };
        let packet = decode(Link::Ethernet, &frame);
        assert_eq!(packet.icmp_error().unwrap().about.unwrap().ports, None);
        assert_eq!(selects(&port(2345), &packet), None, "cut before the ports");
        assert_eq!(packet.fault, Some(Fault::Cut));
        let filter = kernel_filter(&port(2345), Link::Ethernet).unwrap();
        let program = Program::compile(Link::Ethernet, &filter).unwrap();
        assert!(program.passes(&whole));
    }
    let echo = [128, 0, 0, 0, 0, 9, 0, 1, b'p', b'i'];
    let frame = ethernet(0x86dd, &ipv6(58, &echo));
    assert!(decoded(Link::Ethernet, &frame).icmp_error().is_none());
}

#[test]
fn later_fragments_have_no_ports_and_no_answer() {
    for frame in [
        ethernet(0x0800, &ipv4_at(6, 0x2001, b"in the middle")),
        ethernet(0x0800, &ipv4_at(17, 0x0002, b"the end")),
        ethernet(0x86dd, &ipv6(44, &fragment6(6, 8, b"the end"))),
    ] {
        let packet = decoded(Link::Ethernet, &frame);
        let Content::Datagram(datagram) = packet.content else {
            panic!("{packet:?}")
        };
        assert!(datagram.fragment.unwrap().offset > 0);
        assert_eq!(selects(&port(2345), &packet), None);
    }
    let icmp = ethernet(0x0800, &ipv4_at(1, 0x0002, b"the end"));
    assert_eq!(
        selects(&port(2345), &decoded(Link::Ethernet, &icmp)),
        Some(false)
    );
}

#[test]
fn what_is_not_tcp_or_udp_has_a_name() {
    let echo = [8, 0, 0, 0, 0, 9, 0, 1, b'p', b'i'];
    let frame = ethernet(0x0800, &ipv4(1, &echo));
    let packet = decoded(Link::Ethernet, &frame);
    assert_eq!(packet.protocol_word(), "icmp");
    assert_eq!(packet.payload(), b"pi");
    let Content::Datagram(datagram) = packet.content else {
        panic!("{packet:?}")
    };
    assert_eq!(datagram.icmp.unwrap().echo, Some((9, 1)));
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
    let frame = ethernet(0x0806, &arp);
    let packet = decoded(Link::Ethernet, &frame);
    assert!(matches!(packet.content, Content::Arp(arp) if arp.target.octets() == [10, 0, 0, 1]));
    let frame = ethernet(0x86dd, &ipv6(50, b"encrypted"));
    assert_eq!(decoded(Link::Ethernet, &frame).protocol_word(), "esp");
    // IEEE 802.3: a length where others have an ethertype.
    for (points, word) in [([0x42, 0x42], "stp"), ([0xaa, 0xaa], "llc")] {
        let frame = ethernet(0x0026, &[&points[..], &[3; 44]].concat());
        let packet = decoded(Link::Ethernet, &frame);
        assert_eq!(packet.protocol_word(), word);
        assert_eq!(packet.fault, None);
        assert_eq!(selects(&port(2345), &packet), Some(false));
        let tagged = ethernet(0x8100, &vlan(5, 0x0026, &[&points[..], &[3; 44]].concat()));
        assert_eq!(decoded(Link::Ethernet, &tagged).protocol_word(), word);
        let cooked = sll2(0x0004, 1, 0, &points);
        assert_eq!(decoded(Link::Sll2, &cooked).protocol_word(), word);
    }
    let packet = decoded(Link::Other(147), b"anything");
    assert_eq!(packet.fault, Some(Fault::UnknownLink));
}
