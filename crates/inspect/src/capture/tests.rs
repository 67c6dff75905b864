//! Decoding and filtering, over frames of every kind, made by hand or at random.

use proptest::prelude::*;

use super::crafted::*;
use super::*;
use crate::model::{Endpoint, Protocol};
use crate::selection::{Selection, Test};

fn framed(bytes: &[u8]) -> Frame<'_> {
    Frame {
        time: Timestamp::from_nanos(0),
        bytes,
        original_length: u32::try_from(bytes.len()).unwrap(),
    }
}

fn decoded(link: Link, bytes: &[u8]) -> Packet<'_> {
    decode(link, &framed(bytes))
}

fn port(number: u16) -> Selection {
    Selection::Test(Test::Port(number))
}

#[test]
fn the_words_are_found_behind_every_header() {
    for (name, frame) in hello_in_every_wrapping() {
        let packet = decoded(Link::Ethernet, &frame);
        let segment = packet
            .segment()
            .unwrap_or_else(|| panic!("{name}: {packet:?}"));
        assert_eq!(segment.payload, b"hello", "{name}");
        assert_eq!(segment.length, 5, "{name}");
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
    assert_eq!(ids("plain"), [0u16; 0]);
    assert_eq!(ids("VLAN"), [5]);
    assert_eq!(ids("two VLANs"), [7, 5]);
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
    assert_eq!(packet.payload(), (&b"question"[..], 8));
    assert_eq!(packet.segment().unwrap().protocol, Protocol::Udp);
    let frame = sll(0x8100, 0, &vlan(9, 0x0800, &ip));
    let packet = decoded(Link::Sll, &frame);
    assert_eq!((packet.interface, packet.direction), (None, Some(Flow::In)));
    assert_eq!(packet.vlans.ids(), [9]);
    assert_eq!(packet.payload().0, b"question");
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
        assert_eq!(decoded(link, &frame).payload().0, b"x", "{link:?}");
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
            assert_eq!(packet.payload(), (&b"hello"[..captured - 54], 5));
        }
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
    assert_eq!(packet.payload(), (&b"pi"[..], 2));
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
    let packet = decoded(Link::Other(147), b"anything");
    assert_eq!(packet.fault, Some(Fault::UnknownLink));
}

#[test]
fn the_kernel_filter_lets_through_all_that_matches() {
    let filter = kernel_filter(&port(2345), Link::Ethernet).unwrap();
    let program = Program::compile(Link::Ethernet, &filter).unwrap();
    for (name, frame) in hello_in_every_wrapping() {
        assert!(program.passes(&frame), "{name}");
    }
    let other = ethernet(0x0800, &ipv4(6, &tcp((1, 80), 0, 0, ACK, b"")));
    assert!(!program.passes(&other));
    // What libpcap's own `port` lets through is why more is asked of it.
    let plain = Program::compile(Link::Ethernet, "port 2345").unwrap();
    let missed = hello_in_every_wrapping()
        .iter()
        .filter(|(_, frame)| !plain.passes(frame))
        .count();
    assert!(missed >= 9, "{missed}");
}

#[test]
fn the_kernel_filter_compiles_for_every_link_and_keeps_what_is_wrapped() {
    let hello = tcp((52316, 2345), 1, 1, PSH_ACK, b"hello");
    let v6 = ipv6(60, &extension(6, 1, &hello));
    for (link, frame) in [
        (Link::Sll, sll(0x86dd, 0, &v6)),
        (Link::Sll, sll(0x8100, 0, &vlan(5, 0x86dd, &v6))),
        (Link::Sll2, sll2(0x86dd, 1, 0, &v6)),
        (
            Link::Sll2,
            sll2(0x8100, 1, 0, &vlan(5, 0x0800, &ipv4(6, &hello))),
        ),
        // What Linux 6.18 makes of two tags.
        (
            Link::Sll2,
            sll2(0x0800, 1, 0, &vlan(5, 0x0800, &ipv4(6, &hello))),
        ),
        (Link::Sll2, sll2(0x86dd, 1, 0, &vlan(5, 0x86dd, &v6))),
        (Link::Raw, v6.clone()),
    ] {
        let filter = kernel_filter(&port(2345), link).unwrap();
        let program = Program::compile(link, &filter).unwrap();
        assert!(program.passes(&frame), "{link:?} {filter}");
        assert_eq!(
            selects(&port(2345), &decoded(link, &frame)),
            Some(true),
            "{link:?}"
        );
    }
}

#[test]
fn what_is_not_on_the_wire_is_not_asked_of_the_kernel() {
    let pid = || Selection::Test(Test::Pid(crate::model::Pid(1)));
    assert_eq!(
        kernel_filter(&Selection::everything(), Link::Ethernet),
        None
    );
    assert_eq!(kernel_filter(&pid(), Link::Ethernet), None);
    assert_eq!(
        kernel_filter(&Selection::Any(vec![port(1), pid()]), Link::Ethernet),
        None
    );
    assert_eq!(
        kernel_filter(&Selection::Not(Box::new(port(1))), Link::Ethernet),
        None
    );
    assert_eq!(kernel_filter(&port(1), Link::Null), None);
    let both = Selection::All(vec![port(1), pid()]);
    assert!(
        kernel_filter(&both, Link::Ethernet)
            .unwrap()
            .contains("tcp port 1")
    );
    let any = Selection::one_of([Test::Port(1), Test::Port(2)]);
    let filter = kernel_filter(&any, Link::Ethernet).unwrap();
    Program::compile(Link::Ethernet, &filter).unwrap();
}

#[test]
fn what_is_written_is_read_back() {
    let mut file = Vec::new();
    let mut writer = Writer::begin(&mut file, Link::Raw, 100).unwrap();
    let frame = Frame {
        time: Timestamp::from_parts(1_767_323_045, 6),
        bytes: b"abc",
        original_length: 1500,
    };
    writer.write(&frame).unwrap();
    writer.end().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.pcap");
    std::fs::write(&path, &file).unwrap();
    let stop = crate::stop::Stop::new().unwrap();
    let mut read = File::open(&path, &Selection::everything(), "", stop).unwrap();
    assert_eq!(read.link(), Link::Raw);
    assert_eq!(read.next().unwrap(), Event::Frame(frame));
    assert_eq!(read.next().unwrap(), Event::End);
}

#[test]
fn a_file_that_is_no_capture_or_a_filter_that_is_none_is_an_error() {
    let stop = || crate::stop::Stop::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, "not a capture, though long enough to look at").unwrap();
    let everything = Selection::everything();
    let error = File::open(&path, &everything, "", stop())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no capture file"), "{error}");
    let error = File::open(folder.path(), &everything, "", stop())
        .unwrap_err()
        .to_string();
    assert!(error.contains("directory"), "{error}");
    let error = File::open(&folder.path().join("none"), &everything, "", stop()).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    std::fs::write(&path, pcap(1, &pair())).unwrap();
    let error = File::open(&path, &everything, "porrt 5", stop()).unwrap_err();
    assert!(matches!(&error, FileError::Filter(_)), "{error}");
    // A filter of the user cannot close our parentheses.
    assert!(File::open(&path, &port(2345), "tcp) or (udp", stop()).is_err());
}

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
fn without_the_opening_the_lower_port_is_the_server() {
    let mut conversations = Conversations::new();
    let (_, direction, relative) = see(&mut conversations, (80, 50_000), 44, PSH_ACK);
    assert_eq!(direction, Direction::Back);
    assert_eq!(
        relative,
        Relative {
            seq: Some(1),
            ack: None
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

const LINKS: [Link; 7] = [
    Link::Ethernet,
    Link::Sll,
    Link::Sll2,
    Link::Raw,
    Link::Null,
    Link::Loop,
    Link::Other(147),
];

/// Decodes, and checks what holds of every packet.
fn check(link: Link, bytes: &[u8], original_length: u32) {
    let frame = Frame {
        original_length,
        ..framed(bytes)
    };
    let packet = decode(link, &frame);
    let (payload, length) = packet.payload();
    assert!(
        u32::try_from(payload.len()).unwrap() <= length,
        "{packet:?}"
    );
    assert!(payload.len() <= bytes.len());
    let _ = selects(&port(2345), &packet);
    let mut conversations = Conversations::<()>::new();
    let seen = conversations.see(&packet).map(|seen| seen.relative);
    assert_eq!(seen.is_some(), packet.ends().is_some());
}

proptest! {
    #[test]
    fn any_bytes_are_a_packet(bytes in proptest::collection::vec(any::<u8>(), 0..200), more in 0u32..2000) {
        let length = u32::try_from(bytes.len()).unwrap();
        for link in LINKS {
            check(link, &bytes, length + more);
        }
    }

    #[test]
    fn a_good_frame_gone_bad_is_a_packet(
        which in 0usize..18,
        changes in proptest::collection::vec((0usize..120, any::<u8>()), 0..6),
        cut in 0usize..120,
        more in 0u32..100,
    ) {
        let (_, mut frame) = hello_in_every_wrapping().swap_remove(which);
        for (at, value) in changes {
            let at = at % frame.len();
            frame[at] = value;
        }
        frame.truncate(frame.len().saturating_sub(cut).max(1));
        let length = u32::try_from(frame.len()).unwrap();
        check(Link::Ethernet, &frame, length + more);
        check(Link::Raw, &frame[14.min(frame.len())..], length + more);
    }

    /// The kernel is asked for at least what is shown.
    #[test]
    fn what_is_selected_passes_the_kernel_filter(
        which in 0usize..18,
        changes in proptest::collection::vec((0usize..80, any::<u8>()), 0..3),
    ) {
        thread_local! {
            static PROGRAM: Program = Program::compile(
                Link::Ethernet,
                &kernel_filter(&port(2345), Link::Ethernet).unwrap(),
            ).unwrap();
        }
        let (_, mut frame) = hello_in_every_wrapping().swap_remove(which);
        for (at, value) in changes {
            let at = at % frame.len();
            frame[at] = value;
        }
        let packet = decoded(Link::Ethernet, &frame);
        if packet.fault.is_none() && selects(&port(2345), &packet) == Some(true) {
            prop_assert!(PROGRAM.with(|program| program.passes(&frame)), "{:?}", packet);
        }
    }
}
