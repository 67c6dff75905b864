//! What the kernel is asked for is never less than what is shown.

use super::super::crafted::*;
use super::super::*;
use super::*;
use crate::selection::{Comparison, End};

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

fn host(text: &str) -> Selection {
    Selection::Test(Test::Host(text.parse().unwrap()))
}

fn network(text: &str, prefix: u8) -> Selection {
    let network = crate::selection::Network::new(text.parse().unwrap(), prefix).unwrap();
    let of = |end| Selection::Test(Test::EndAddress { end, network });
    Selection::Any(vec![of(End::Local), of(End::Remote)])
}

fn port_range(first: u16, last: u16) -> Selection {
    let of = |end| {
        let bound = |is, port| Selection::Test(Test::EndPort { end, is, port });
        Selection::All(vec![
            bound(Comparison::AtLeast, first),
            bound(Comparison::AtMost, last),
        ])
    };
    Selection::Any(vec![of(End::Local), of(End::Remote)])
}

/// The kernel lets pass what the decoded packet then decides: in every wrapping, also where it
/// is quoted by an ICMP error.
#[test]
fn hosts_networks_and_ranges_are_found_in_every_wrapping() {
    let mut frames = hello_in_every_wrapping();
    let plain = ipv4(6, &tcp((52_316, 2345), 1, 1, PSH_ACK, b"hello"));
    let mut error = ipv4(1, &[&[3, 3, 0, 0, 0, 0, 0, 0][..], &plain].concat());
    // From a router between the two.
    error[12..16].copy_from_slice(&[192, 0, 2, 1]);
    error[16..20].copy_from_slice(&[192, 0, 2, 2]);
    frames.push(("ICMP error", ethernet(0x0800, &error)));
    for (name, frame) in &frames {
        let packet = decoded(Link::Ethernet, frame);
        let (source, _) = packet.ends().unwrap();
        let address = match packet.icmp_error().and_then(|icmp| icmp.about) {
            Some(about) => about.source,
            None => source.address,
        };
        let (near, far) = if address.is_ipv4() { (24, 8) } else { (64, 16) };
        for selection in [
            Selection::Test(Test::Host(address)),
            network(&address.to_string(), near),
            network(&address.to_string(), far),
            port_range(2340, 2350),
            port_range(2345, 2345),
            Selection::All(vec![
                port_range(2000, 3000),
                Selection::Test(Test::Host(address)),
            ]),
        ] {
            let filter = kernel_filter(&selection, Link::Ethernet).unwrap();
            let program = Program::compile(Link::Ethernet, &filter).unwrap();
            assert!(program.passes(frame), "{name}: {filter}");
            assert_eq!(
                selects(&selection, &packet),
                Some(true),
                "{name}: {selection}"
            );
        }
        for selection in [
            host("203.0.113.9"),
            host("2001:db8:9::9"),
            network("203.0.113.0", 24),
            port_range(2346, 2350),
            Selection::All(vec![port_range(2345, 2345), host("203.0.113.9")]),
        ] {
            assert_eq!(
                selects(&selection, &packet),
                Some(false),
                "{name}: {selection}"
            );
        }
    }
    // What is plain and another's is left out by the kernel already.
    for selection in [
        host("203.0.113.9"),
        port_range(2346, 2350),
        network("203.0.113.0", 24),
    ] {
        let filter = kernel_filter(&selection, Link::Ethernet).unwrap();
        let program = Program::compile(Link::Ethernet, &filter).unwrap();
        assert!(!program.passes(&ethernet(0x0800, &plain)), "{selection}");
    }
}

#[test]
fn arp_is_of_the_host_that_it_asks_for() {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
    let frame = ethernet(0x0806, &arp);
    let packet = decoded(Link::Ethernet, &frame);
    for (selection, answer) in [
        (host("10.0.0.1"), true),
        (host("10.0.0.2"), true),
        (network("10.0.0.0", 30), true),
        (host("10.0.0.3"), false),
        (port_range(1, 65_535), false),
    ] {
        assert_eq!(selects(&selection, &packet), Some(answer), "{selection}");
        let filter = kernel_filter(&selection, Link::Ethernet).unwrap();
        let program = Program::compile(Link::Ethernet, &filter).unwrap();
        assert_eq!(program.passes(&frame), answer, "{filter}");
    }
}
