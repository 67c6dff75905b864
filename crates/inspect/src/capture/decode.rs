//! A frame -> a packet. Pure, without allocation; any bytes give a packet.

use std::net::Ipv4Addr;

use super::fields::{Left, be16};
use super::packet::{Arp, Content, Fault, Llc, Packet};
use super::{Frame, Link, RecordedInterface, ip, link, transport};

/// Decodes a frame as far as it goes, and says where and why it stopped short. `link` is what its
/// source says; what is recorded with the frame itself comes before it.
pub fn decode<'a>(link: Link, frame: &Frame<'a>) -> Packet<'a> {
    let recorded = &frame.recorded;
    let link = recorded.link.unwrap_or(link);
    let mut left = Left::new(frame.bytes, frame.original_length);
    let (header, result) = link::read(link, &mut left);
    let network = match result {
        Ok(()) => frame.bytes.len().saturating_sub(left.bytes.len()),
        Err(_) => 0,
    };
    let (content, fault) = match (result, header.ethertype) {
        (Err(fault), kind) => (Content::Other(kind), Some(fault)),
        (Ok(()), Some(link::IPV4)) => over_ip(link::IPV4, ip::read_v4(&mut left), left),
        (Ok(()), Some(link::IPV6)) => over_ip(link::IPV6, ip::read_v6(&mut left), left),
        (Ok(()), Some(link::ARP)) => arp(left),
        (Ok(()), Some(link::LLC)) => llc(left),
        (Ok(()), kind) => {
            let unknown = matches!(link, Link::Other(_)).then_some(Fault::UnknownLink);
            (Content::Other(kind), unknown)
        }
    };
    Packet {
        time: frame.time,
        captured: u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX),
        original_length: frame.original_length,
        link,
        interface: header.interface.or_else(|| named(recorded.interface)),
        direction: header.direction.or(recorded.direction),
        vlans: header.vlans,
        network: u32::try_from(network).unwrap_or(u32::MAX),
        content,
        fragments: 0,
        fault,
    }
}

/// An interface without a name is no more than the one there is.
fn named(interface: Option<&RecordedInterface>) -> Option<u32> {
    interface.filter(|it| it.name.is_some()).map(|it| it.id)
}

fn over_ip(
    kind: u16,
    header: Result<ip::IpHeader, Fault>,
    left: Left<'_>,
) -> (Content<'_>, Option<Fault>) {
    match header {
        Ok(header) => transport::read(&header, left),
        Err(fault) => (Content::Other(Some(kind)), Some(fault)),
    }
}

/// IEEE 802.2: whom it is for, and who sent it.
fn llc(left: Left<'_>) -> (Content<'_>, Option<Fault>) {
    match left.peek(2, "LLC length") {
        Ok(points) => {
            let llc = Llc {
                destination: points[0],
                source: points[1],
            };
            (Content::Llc(llc), None)
        }
        Err(fault) => (Content::Other(Some(link::LLC)), Some(fault)),
    }
}

/// RFC 826, for IPv4 over Ethernet; other pairs have the name alone.
fn arp(left: Left<'_>) -> (Content<'_>, Option<Fault>) {
    match left.peek(28, "ARP length") {
        Ok(bytes) if bytes[4] == 6 && bytes[5] == 4 => {
            let address =
                |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
            let arp = Arp {
                operation: be16(bytes, 6),
                sender: address(14),
                target: address(24),
            };
            (Content::Arp(arp), None)
        }
        Ok(_) => (Content::Other(Some(link::ARP)), None),
        Err(fault) => (Content::Other(Some(link::ARP)), Some(fault)),
    }
}
