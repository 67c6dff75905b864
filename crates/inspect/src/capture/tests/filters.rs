//! What the kernel is asked for is never less than what is shown.

use super::super::crafted::*;
use super::super::*;
use super::*;

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
