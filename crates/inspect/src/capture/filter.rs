//! A selection -> a filter for the kernel, and the exact answer after decoding.
//!
//! libpcap's `port` looks for ports right behind an untagged link header and a plain IP header.
//! So the kernel is asked for more: everything that *may* match, which adds VLAN tags, IPv6
//! extension headers, authentication headers and ICMP errors. Which of it matches is decided on the decoded
//! packet. libpcap's own `vlan` is avoided: it moves the offsets of all that stands to its
//! right, and is refused on cooked links; the tag's ethertype tells as much everywhere.

use std::net::IpAddr;

use super::Link;
use super::ip::EXTENSIONS;
use super::packet::{Content, Packet};
use crate::model::{Family, Protocol};
use crate::selection::{Comparison, End, Selection, Test};

/// A filter in libpcap's language that lets through at least what the selection selects;
/// `None` when it cannot leave anything out.
pub fn kernel_filter(selection: &Selection, link: Link) -> Option<String> {
    // libpcap takes the number of AF_INET6 for that of this system, and a file from another has
    // another.
    if matches!(link, Link::Null | Link::Loop) {
        return None;
    }
    let wanted = part(selection)?;
    let mut filter = format!("({wanted})");
    let may_match = [MAY_MATCH_V4.to_owned(), may_match_v6()];
    for more in may_match.into_iter().chain(tagged(link)) {
        filter.push_str(" or ");
        filter.push_str(&more);
    }
    Some(filter)
}

/// Fragments, which have ports in the first piece only, authentication headers, and ICMP
/// errors, which quote the ports of another packet.
const MAY_MATCH_V4: &str = "(ip and (ip[6:2] & 0x1fff != 0 or ip[9] = 51)) or \
     (icmp and (icmp[0] = 3 or icmp[0] = 4 or icmp[0] = 5 or icmp[0] = 11 or icmp[0] = 12))";

fn may_match_v6() -> String {
    let headers: Vec<String> = EXTENSIONS
        .iter()
        .map(|number| format!("ip6[6] = {number}"))
        .collect();
    // Of ICMPv6 the errors have the numbers below 128 (RFC 4443, 2.1).
    format!(
        "(ip6 and ({} or (ip6[6] = 58 and ip6[40] < 128)))",
        headers.join(" or ")
    )
}

/// Frames with a VLAN tag, on links that can carry one. A cooked link may have a tag in the
/// place of the IP header (see `link`).
fn tagged(link: Link) -> Option<String> {
    const TAGS: &str = "ether proto 0x8100 or ether proto 0x88a8 or ether proto 0x9100";
    // What stands behind a tag is the ethertype of the packet, or that of another tag.
    const TAG_IN_PLACE: &str = "(ip and (ip[2:2] = 0x0800 or \
         ip[2:2] = 0x8100 or ip[2:2] = 0x88a8 or ip[2:2] = 0x9100)) or \
         (ip6 and (ip6[2:2] = 0x86dd or \
         ip6[2:2] = 0x8100 or ip6[2:2] = 0x88a8 or ip6[2:2] = 0x9100))";
    match link {
        Link::Ethernet => Some(TAGS.to_owned()),
        Link::Sll | Link::Sll2 => Some(format!("{TAGS} or {TAG_IN_PLACE}")),
        _ => None,
    }
}

/// The part of the selection that libpcap understands.
fn part(selection: &Selection) -> Option<String> {
    match selection {
        Selection::Test(Test::Port(port)) => Some(format!("tcp port {port} or udp port {port}")),
        Selection::Test(Test::Protocol(Protocol::Tcp)) => Some("tcp".to_owned()),
        Selection::Test(Test::Protocol(Protocol::Udp)) => Some("udp".to_owned()),
        Selection::Test(Test::Host(address)) => Some(format!("host {address}")),
        Selection::Test(Test::EndPort { end, is, port }) => {
            let end = word(*end);
            let (first, last) = range(*is, *port)?;
            Some(format!(
                "tcp {end} portrange {first}-{last} or udp {end} portrange {first}-{last}"
            ))
        }
        Selection::Test(Test::EndAddress { end, network }) => {
            let (end, address, prefix) = (word(*end), network.address(), network.prefix());
            Some(format!("{end} net {address}/{prefix}"))
        }
        // Who owns a socket is not on the wire; and what lets through more than is wanted
        // cannot be turned around.
        Selection::Test(_) | Selection::Not(_) => None,
        Selection::All(parts) => {
            let parts: Vec<String> = parts.iter().filter_map(part).collect();
            (!parts.is_empty()).then(|| format!("({})", parts.join(") and (")))
        }
        Selection::Any(parts) => {
            // One part that may be anything makes the whole anything.
            let parts: Option<Vec<String>> = parts.iter().map(part).collect();
            let parts = parts.filter(|parts| !parts.is_empty())?;
            Some(format!("({})", parts.join(") or (")))
        }
    }
}

/// The ends of a packet are where it comes from and where it goes, by ss's words for them.
fn word(end: End) -> &'static str {
    match end {
        End::Local => "src",
        End::Remote => "dst",
    }
}

/// The ports that compare so; `None` where there is none.
fn range(is: Comparison, port: u16) -> Option<(u16, u16)> {
    Some(match is {
        Comparison::Less => (0, port.checked_sub(1)?),
        Comparison::AtMost => (0, port),
        Comparison::Equal => (port, port),
        Comparison::AtLeast => (port, u16::MAX),
        Comparison::More => (port.checked_add(1)?, u16::MAX),
    })
}

/// Whether the packet is selected; `None` when that cannot be told, because its ports are in
/// another fragment, or were cut off.
pub fn selects(selection: &Selection, packet: &Packet<'_>) -> Option<bool> {
    selection.holds(&mut |test| answer(test, packet))
}

/// The answer of a packet alone to one test.
pub fn answer(test: &Test, packet: &Packet<'_>) -> Option<bool> {
    // Where decoding did not get far enough, what was not seen may be what is asked for.
    let read_whole = packet.fault.is_none();
    match test {
        Test::Port(port) => ports(packet, |source, destination| {
            source == *port || destination == *port
        }),
        Test::EndPort { end, is, port } => ports(packet, |source, destination| {
            is.holds(*pick(*end, &source, &destination), *port)
        }),
        Test::Host(address) => addresses(packet, |source, destination| {
            source == *address || destination == *address
        }),
        Test::EndAddress { end, network } => addresses(packet, |source, destination| {
            network.contains(*pick(*end, &source, &destination))
        }),
        Test::Protocol(protocol) => match &packet.content {
            Content::Segment(segment) => Some(segment.protocol == *protocol),
            Content::Datagram(datagram) => match protocol {
                Protocol::Tcp => Some(datagram.protocol == 6),
                Protocol::Udp => Some(datagram.protocol == 17),
                _ => Some(false),
            },
            _ => read_whole.then_some(false),
        },
        Test::Family(family) => match packet.ends() {
            Some((source, _)) => Some(match family {
                Family::Inet => source.address.is_ipv4(),
                Family::Inet6 => source.address.is_ipv6(),
                _ => false,
            }),
            None => read_whole.then_some(false),
        },
        // About sockets, which a packet does not show.
        _ => None,
    }
}

fn pick<'a, T>(end: End, source: &'a T, destination: &'a T) -> &'a T {
    match end {
        End::Local => source,
        End::Remote => destination,
    }
}

/// Asks of source and destination port. An ICMP error is asked of those of the packet that it is
/// about. `None` where there are ports that were not seen.
fn ports(packet: &Packet<'_>, ask: impl Fn(u16, u16) -> bool) -> Option<bool> {
    let read_whole = packet.fault.is_none();
    match &packet.content {
        Content::Segment(segment) => Some(ask(segment.source.port, segment.destination.port)),
        Content::Datagram(datagram) => {
            let about = datagram.icmp.and_then(|icmp| icmp.about);
            if let Some((source, destination)) = about.and_then(|about| about.ports) {
                return Some(ask(source, destination));
            }
            let may_have_ports = datagram.fragment.is_some() && matches!(datagram.protocol, 6 | 17)
                || about.is_some_and(|about| about.hides_ports());
            (read_whole && !may_have_ports).then_some(false)
        }
        Content::Arp(_) => Some(false),
        Content::Llc(_) | Content::Other(_) => read_whole.then_some(false),
    }
}

/// Asks of source and destination address; of an ICMP error also those of the packet that it is
/// about, and of ARP who speaks and whom it is about, as libpcap's `host` does.
fn addresses(packet: &Packet<'_>, ask: impl Fn(IpAddr, IpAddr) -> bool) -> Option<bool> {
    let about = packet.icmp_error().map(|icmp| icmp.about);
    match (&packet.content, packet.ends()) {
        (Content::Arp(arp), _) => Some(ask(arp.sender.into(), arp.target.into())),
        (_, Some((source, destination))) if ask(source.address, destination.address) => Some(true),
        (_, Some(_)) => match about {
            // The addresses may have been cut off.
            Some(None) => packet.fault.is_none().then_some(false),
            Some(Some(about)) => Some(ask(about.source, about.destination)),
            None => Some(false),
        },
        (_, None) => packet.fault.is_none().then_some(false),
    }
}
