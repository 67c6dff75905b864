//! IPv4 and IPv6, down to what they carry.
//!
//! pnet reads the fixed fields. Its views end at what was captured and cannot tell cut from
//! padded, give an empty payload for a total length of 0 (a packet the kernel will split
//! later, TSO), and do not walk IPv6 extension headers: lengths and the walk are done here.

use std::net::IpAddr;

use pnet::packet::ipv4::Ipv4Packet;
use pnet::packet::ipv6::Ipv6Packet;

use super::fields::{Left, be16, be32};
use super::packet::{Fault, Fragment};

/// What the IP headers said, and how far they were read. A length that is wrong does not hide
/// what is there: it is noted, and reading goes on to the end of the frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IpHeader {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// The protocol behind the last header that was read.
    pub(crate) protocol: u8,
    pub(crate) fragment: Option<Fragment>,
    /// Whether they were read to their end: what is left begins with what they carry.
    pub(crate) read_whole: bool,
    /// Headers were walked over that are part of what is in pieces.
    pub(crate) walked_into: bool,
    /// The first thing that was wrong.
    pub(crate) fault: Option<Fault>,
}

impl IpHeader {
    fn end(mut self, rest: Result<(), Fault>) -> Self {
        self.read_whole = rest.is_ok();
        self.fault = self.fault.or(rest.err());
        self
    }
}

/// Reads an IPv4 header (RFC 791, 3.1) and its options off the front, and padding off the end.
pub(crate) fn read_v4(left: &mut Left<'_>) -> Result<IpHeader, Fault> {
    let bytes = left.peek(Ipv4Packet::minimum_packet_size(), "IPv4 header length")?;
    let ip = Ipv4Packet::new(bytes).ok_or(Fault::Cut)?;
    if ip.get_version() != 4 {
        return Err(Fault::malformed("IP version", ip.get_version().into()));
    }
    let mut header = IpHeader {
        source: ip.get_source().into(),
        destination: ip.get_destination().into(),
        protocol: ip.get_next_level_protocol().0,
        fragment: v4_fragment(&ip),
        read_whole: false,
        walked_into: false,
        fault: None,
    };
    let header_length = usize::from(ip.get_header_length()) * 4;
    let total_length = usize::from(ip.get_total_length());
    let rest = (|| {
        if header_length < Ipv4Packet::minimum_packet_size() {
            return Err(Fault::malformed("IPv4 header length", header_length));
        }
        if total_length != 0 {
            if total_length < header_length || total_length > left.wire {
                header.fault = Some(Fault::malformed("IPv4 total length", total_length));
            } else {
                left.limit(total_length);
            }
        }
        left.take(header_length, "IPv4 header length")?;
        if header.fragment.is_none_or(|fragment| fragment.offset == 0) {
            header.walked_into = header.protocol == AUTHENTICATION;
            walk_authentication(&mut header.protocol, left)?;
        }
        Ok(())
    })();
    Ok(header.end(rest))
}

fn v4_fragment(ip: &Ipv4Packet<'_>) -> Option<Fragment> {
    const MORE: u8 = 1;
    let more = ip.get_flags() & MORE != 0;
    let offset = ip.get_fragment_offset().saturating_mul(8);
    (more || offset != 0).then(|| Fragment {
        id: ip.get_identification().into(),
        offset,
        more,
    })
}

/// The next-header numbers that are extension headers (IANA "IPv6 Extension Header Types").
/// ESP (50) is one too, but what is behind it is encrypted.
pub(crate) const EXTENSIONS: [u8; 8] = [
    HOP_BY_HOP,
    ROUTING,
    FRAGMENT,
    AUTHENTICATION,
    DESTINATION,
    MOBILITY,
    HIP,
    SHIM6,
];
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// Reads an IPv6 header (RFC 8200, 3) and its extension headers off the front, and padding off
/// the end. A payload length of 0 is a jumbogram or TSO: it goes as far as the frame.
pub(crate) fn read_v6(left: &mut Left<'_>) -> Result<IpHeader, Fault> {
    let bytes = left.peek(Ipv6Packet::minimum_packet_size(), "IPv6 header length")?;
    let ip = Ipv6Packet::new(bytes).ok_or(Fault::Cut)?;
    if ip.get_version() != 6 {
        return Err(Fault::malformed("IP version", ip.get_version().into()));
    }
    let mut header = IpHeader {
        source: ip.get_source().into(),
        destination: ip.get_destination().into(),
        protocol: ip.get_next_header().0,
        fragment: None,
        read_whole: false,
        walked_into: false,
        fault: None,
    };
    let payload_length = usize::from(ip.get_payload_length());
    left.skip(Ipv6Packet::minimum_packet_size());
    if payload_length > left.wire {
        header.fault = Some(Fault::malformed("IPv6 payload length", payload_length));
    } else if payload_length != 0 {
        left.limit(payload_length);
    }
    let rest = walk_extensions(&mut header, left);
    Ok(header.end(rest))
}

/// Every header is at least 8 bytes, so the walk ends with the frame.
fn walk_extensions(header: &mut IpHeader, left: &mut Left<'_>) -> Result<(), Fault> {
    loop {
        header.walked_into |= header.fragment.is_some() && EXTENSIONS.contains(&header.protocol);
        match header.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HIP | SHIM6 => {
                // RFC 6564: next header, length in 8-byte units without the first.
                let start = left.peek(8, "IPv6 extension header length")?;
                let length = (usize::from(start[1]) + 1) * 8;
                let next = start[0];
                left.take(length, "IPv6 extension header length")?;
                header.protocol = next;
            }
            FRAGMENT => {
                let bytes = left.take(8, "IPv6 fragment header length")?;
                let place = be16(bytes, 2);
                let fragment = Fragment {
                    id: be32(bytes, 4),
                    offset: place & 0xfff8,
                    more: place & 1 != 0,
                };
                header.protocol = bytes[0];
                // An atomic fragment (RFC 6946) is whole.
                if fragment.more || fragment.offset != 0 {
                    header.fragment = Some(fragment);
                }
                if fragment.offset != 0 {
                    return Ok(());
                }
            }
            AUTHENTICATION => walk_authentication(&mut header.protocol, left)?,
            _ => return Ok(()),
        }
    }
}

/// An authentication header (RFC 4302, 2) counts its length in 4-byte units, less two.
fn walk_authentication(protocol: &mut u8, left: &mut Left<'_>) -> Result<(), Fault> {
    while *protocol == AUTHENTICATION {
        let start = left.peek(8, "authentication header length")?;
        let length = (usize::from(start[1]) + 2) * 4;
        let next = start[0];
        left.take(length.max(8), "authentication header length")?;
        *protocol = next;
    }
    Ok(())
}
