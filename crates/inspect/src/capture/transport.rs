//! TCP, UDP and the beginning of ICMP.

use pnet::packet::tcp::TcpPacket;
use pnet::packet::udp::UdpPacket;

use super::fields::{Left, be16};
use super::ip::{self, IpHeader};
use super::options::TcpOptions;
use super::packet::{Content, Datagram, Fault, Flags, Icmp, Quoted, Segment, Tcp};
use crate::model::{Endpoint, Protocol};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// What is behind the IP headers. `left` ends where the datagram ends.
pub(crate) fn read<'a>(header: &IpHeader, mut left: Left<'a>) -> (Content<'a>, Option<Fault>) {
    // A later piece begins in the middle of the payload.
    let begins_here = header.fragment.is_none_or(|fragment| fragment.offset == 0);
    if !header.read_whole {
        return (unread(header), header.fault);
    }
    if !begins_here {
        return (datagram(header, left, None), header.fault);
    }
    let (content, result) = match header.protocol {
        TCP => tcp(header, &mut left),
        UDP => udp(header, &mut left),
        ICMP | ICMPV6 => icmp(header, &mut left),
        _ => (datagram(header, left, None), Ok(())),
    };
    (content, header.fault.or(result.err()))
}

type Outcome<'a> = (Content<'a>, Result<(), Fault>);

fn datagram<'a>(header: &IpHeader, left: Left<'a>, icmp: Option<Icmp>) -> Content<'a> {
    Content::Datagram(Datagram {
        source: header.source,
        destination: header.destination,
        protocol: header.protocol,
        icmp,
        fragment: header.fragment,
        length: Some(length(left)),
        payload: left.bytes,
    })
}

/// Where the payload begins is not known.
fn unread<'a>(header: &IpHeader) -> Content<'a> {
    Content::Datagram(Datagram {
        source: header.source,
        destination: header.destination,
        protocol: header.protocol,
        icmp: None,
        fragment: header.fragment,
        length: None,
        payload: &[],
    })
}

fn length(left: Left<'_>) -> u32 {
    u32::try_from(left.wire).unwrap_or(u32::MAX)
}

/// A segment of which the ports alone are known so far.
fn segment<'a>(header: &IpHeader, protocol: Protocol, ports: &[u8]) -> Segment<'a> {
    Segment {
        protocol,
        source: Endpoint::new(header.source, be16(ports, 0)),
        destination: Endpoint::new(header.destination, be16(ports, 2)),
        tcp: None,
        options: TcpOptions::default(),
        length: None,
        payload: &[],
        fragment: header.fragment,
    }
}

/// RFC 9293, 3.1.
fn tcp<'a>(header: &IpHeader, left: &mut Left<'a>) -> Outcome<'a> {
    let ports = match left.peek(4, "TCP length") {
        Ok(ports) => ports,
        Err(fault) => return (unread(header), Err(fault)),
    };
    let mut segment = segment(header, Protocol::Tcp, ports);
    let result = (|| {
        let bytes = left.peek(TcpPacket::minimum_packet_size(), "TCP length")?;
        let tcp = TcpPacket::new(bytes).ok_or(Fault::Cut)?;
        segment.tcp = Some(Tcp {
            seq: tcp.get_sequence(),
            ack: tcp.get_acknowledgement(),
            flags: Flags(tcp.get_flags()),
            window: tcp.get_window(),
        });
        let words = tcp.get_data_offset();
        let header_length = usize::from(words) * 4;
        if header_length < TcpPacket::minimum_packet_size() || header_length > left.wire {
            return Err(Fault::malformed("TCP header length", words.into()));
        }
        let cut = header_length > left.bytes.len();
        let fixed = TcpPacket::minimum_packet_size();
        let behind = left.bytes.get(fixed..).unwrap_or_default();
        segment.options = TcpOptions::new(behind, header_length - fixed);
        left.skip(header_length);
        segment.length = Some(length(*left));
        segment.payload = left.bytes;
        if cut { Err(Fault::Cut) } else { Ok(()) }
    })();
    (Content::Segment(segment), result)
}

/// RFC 768. A length of 0 is a jumbogram (RFC 2675) or a packet still to be split.
fn udp<'a>(header: &IpHeader, left: &mut Left<'a>) -> Outcome<'a> {
    let ports = match left.peek(4, "UDP length") {
        Ok(ports) => ports,
        Err(fault) => return (unread(header), Err(fault)),
    };
    let mut segment = segment(header, Protocol::Udp, ports);
    let result = (|| {
        let header_size = UdpPacket::minimum_packet_size();
        let bytes = left.peek(header_size, "UDP length")?;
        let udp = UdpPacket::new(bytes).ok_or(Fault::Cut)?;
        let whole = usize::from(udp.get_length());
        // The first of several fragments has only its part of what the header announces.
        let fits = whole <= left.wire || header.fragment.is_some();
        if whole != 0 && whole < header_size {
            return Err(Fault::malformed("UDP length", whole));
        }
        if whole != 0 {
            left.limit(whole);
        }
        left.skip(header_size);
        segment.length = Some(length(*left));
        segment.payload = left.bytes;
        if fits {
            Ok(())
        } else {
            Err(Fault::malformed("UDP length", whole))
        }
    })();
    (Content::Segment(segment), result)
}

/// RFC 792, RFC 4443: type, code, checksum, then four bytes that depend on the type.
fn icmp<'a>(header: &IpHeader, left: &mut Left<'a>) -> Outcome<'a> {
    match left.take(8, "ICMP length") {
        Ok(bytes) => {
            let kind = bytes[0];
            let is_echo = matches!((header.protocol, kind), (ICMP, 0 | 8) | (ICMPV6, 128 | 129));
            let is_error = match header.protocol {
                ICMP => matches!(kind, 3 | 4 | 5 | 11 | 12),
                _ => kind < 128,
            };
            let (about, result) = if is_error {
                quoted(header.protocol, *left)
            } else {
                (None, Ok(()))
            };
            let icmp = Icmp {
                kind,
                code: bytes[1],
                echo: is_echo.then(|| (be16(bytes, 4), be16(bytes, 6))),
                is_error,
                about,
            };
            (datagram(header, *left, Some(icmp)), result)
        }
        Err(fault) => (unread(header), Err(fault)),
    }
}

/// The packet that an error is about. Its sender quotes as much as it likes, at least 8 bytes
/// behind the IP header (RFC 792), so that only what the snapshot length took is a fault.
fn quoted(icmp: u8, mut left: Left<'_>) -> (Option<Quoted>, Result<(), Fault>) {
    let cut = |fault: Option<Fault>| match fault {
        Some(Fault::Cut) => Err(Fault::Cut),
        _ => Ok(()),
    };
    let header = match icmp {
        ICMP => ip::read_v4(&mut left),
        _ => ip::read_v6(&mut left),
    };
    let header = match header {
        Ok(header) => header,
        Err(fault) => return (None, cut(Some(fault))),
    };
    let mut quoted = Quoted {
        protocol: header.protocol,
        source: header.source,
        destination: header.destination,
        ports: None,
    };
    if !header.read_whole {
        // Its length is that of what was quoted, and a fault only beside it.
        let is_cut = left.bytes.len() < left.wire;
        return (Some(quoted), cut(is_cut.then_some(Fault::Cut)));
    }
    let begins_here = header.fragment.is_none_or(|fragment| fragment.offset == 0);
    if !begins_here || !matches!(header.protocol, TCP | UDP) {
        return (Some(quoted), Ok(()));
    }
    match left.peek(4, "quoted length") {
        Ok(ports) => {
            quoted.ports = Some((be16(ports, 0), be16(ports, 2)));
            (Some(quoted), Ok(()))
        }
        Err(fault) => (Some(quoted), cut(Some(fault))),
    }
}
