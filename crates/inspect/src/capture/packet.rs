//! A decoded frame: views into its bytes, never copies.

use std::net::IpAddr;

use super::{Frame, Link, Recorded, TcpOptions, Whole, decode};
use crate::model::{Endpoint, Protocol, Timestamp};

/// One frame, decoded as far as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When the kernel saw it, on the wall clock.
    pub time: Timestamp,
    /// Bytes captured, link header included.
    pub captured: u32,
    /// Bytes on the wire, link header included.
    pub original_length: u32,
    /// What the frame began with.
    pub link: Link,
    /// The index of its interface on the machine that captured, where the link header has it; else
    /// the number of one that a file has a name for.
    pub interface: Option<u32>,
    /// Which way it went, where the link header has it.
    pub direction: Option<Flow>,
    /// VLAN ids (802.1Q), the outermost first.
    pub vlans: Vlans,
    /// Where the link header ends, tags and all: bytes from the beginning of the frame. 0 where
    /// it was not read.
    pub network: u32,
    /// What it carried.
    pub content: Content<'a>,
    /// Of how many fragments the content was put together; 0 where it came in one.
    pub fragments: u32,
    /// Where decoding stopped short, and why.
    pub fault: Option<Fault>,
}

/// What a frame carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// TCP or UDP.
    Segment(Segment<'a>),
    /// Another protocol over IP, or a piece of a datagram that has no port numbers.
    Datagram(Datagram<'a>),
    /// ARP for IPv4 over Ethernet (RFC 826).
    Arp(Arp),
    /// An IEEE 802.3 frame, which has a length in place of an ethertype.
    Llc(Llc),
    /// Not IP: its ETH_P_* number (include/uapi/linux/if_ether.h), where the link has one.
    Other(Option<u16>),
}

/// One TCP or UDP unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// [`Protocol::Tcp`] or [`Protocol::Udp`].
    pub protocol: Protocol,
    /// Who sent it.
    pub source: Endpoint,
    /// Whom it was for.
    pub destination: Endpoint,
    /// TCP's own fields; `None` for UDP, and where they were cut off.
    pub tcp: Option<Tcp>,
    /// TCP's options, not read yet.
    pub options: TcpOptions<'a>,
    /// Payload bytes on the wire; `None` where the header before them was not read.
    pub length: Option<u32>,
    /// The payload, as far as it was captured.
    pub payload: &'a [u8],
    /// Set on the first of several IP fragments: the payload goes on in others.
    pub fragment: Option<Fragment>,
}

/// The fields of a TCP header (RFC 9293, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// Sequence number of the first payload byte, or of the SYN.
    pub seq: u32,
    /// The next byte expected; means something only with [`Flags::ACK`].
    pub ack: u32,
    /// The flags.
    pub flags: Flags,
    /// The window as on the wire, not scaled.
    pub window: u16,
}

/// TCP flags (RFC 9293, 3.1; RFC 3540 for NS is not kept).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender has sent all it will.
    pub const FIN: Self = Self(1);
    /// Opens: synchronises sequence numbers.
    pub const SYN: Self = Self(2);
    /// Breaks off.
    pub const RST: Self = Self(4);
    /// Hand it to the reader now.
    pub const PSH: Self = Self(8);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(16);
    /// The urgent pointer counts.
    pub const URG: Self = Self(32);

    /// In the order they are read aloud: what the segment does before what it acknowledges.
    const WORDS: [(u8, &'static str); 8] = [
        (2, "SYN"),
        (1, "FIN"),
        (4, "RST"),
        (8, "PSH"),
        (32, "URG"),
        (64, "ECE"),
        (128, "CWR"),
        (16, "ACK"),
    ];

    /// Whether all of these are set.
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The words of those that are set.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS
            .into_iter()
            .filter(move |(bit, _)| self.0 & bit != 0)
            .map(|(_, word)| word)
    }
}

/// A packet of IP that is not a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it was for.
    pub destination: IpAddr,
    /// The IP protocol number (IANA).
    pub protocol: u8,
    /// What it said, for ICMP and ICMPv6.
    pub icmp: Option<Icmp>,
    /// Set on a piece of a datagram.
    pub fragment: Option<Fragment>,
    /// Payload bytes on the wire; `None` where the headers before them were not read.
    pub length: Option<u32>,
    /// The payload, as far as it was captured.
    pub payload: &'a [u8],
}

/// The beginning of an ICMP message (RFC 792, RFC 4443).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Identifier and sequence number, for echo request and reply.
    pub echo: Option<(u16, u16)>,
    /// Whether it reports an error about another packet, which it quotes.
    pub is_error: bool,
    /// The packet it is about, as far as the quotation was read.
    pub about: Option<Quoted>,
}

/// The packet that an ICMP error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Its IP protocol number (IANA).
    pub protocol: u8,
    /// Who had sent it.
    pub source: IpAddr,
    /// Whom it was for.
    pub destination: IpAddr,
    /// Source and destination port, for TCP and UDP; `None` also where the quotation ends
    /// before them.
    pub ports: Option<(u16, u16)>,
}

impl Quoted {
    /// The word for its protocol.
    pub fn protocol_word(&self) -> &'static str {
        ip_protocol_word(self.protocol)
    }

    /// Whether its protocol has ports that were not seen.
    pub(crate) fn hides_ports(&self) -> bool {
        self.ports.is_none() && matches!(self.protocol, 6 | 17)
    }
}

/// Which piece of a datagram (RFC 791, 3.1; RFC 8200, 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// What joins the pieces.
    pub id: u32,
    /// Where the piece begins, bytes.
    pub offset: u16,
    /// Whether others follow.
    pub more: bool,
}

/// An ARP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// 1 asks, 2 answers.
    pub operation: u16,
    /// The address of who speaks.
    pub sender: std::net::Ipv4Addr,
    /// The address asked for, or answered to.
    pub target: std::net::Ipv4Addr,
}

/// The service access points of an LLC header (IEEE 802.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Llc {
    /// DSAP: whom it is for.
    pub destination: u8,
    /// SSAP: who sent it.
    pub source: u8,
}

/// Which way a packet went, seen from the machine that captured it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// To this machine, alone or with others.
    In,
    /// From this machine.
    Out,
    /// Between others.
    Passing,
}

impl Flow {
    /// The word used in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Passing => "passing",
        }
    }

    /// PACKET_HOST and so on (packet(7)), as cooked headers carry them.
    pub(crate) fn from_packet_type(number: u16) -> Option<Self> {
        match number {
            0..=2 => Some(Self::In),
            3 => Some(Self::Passing),
            4 => Some(Self::Out),
            _ => None,
        }
    }
}

/// VLAN ids, at most four: more tags are walked over, and not kept. An id is `None` where the
/// tag is known to have been there and its id is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vlans {
    ids: [Option<u16>; 4],
    count: u8,
}

impl Vlans {
    pub(crate) fn push(&mut self, id: Option<u16>) {
        if let Some(place) = self.ids.get_mut(usize::from(self.count)) {
            *place = id;
            self.count += 1;
        }
    }

    /// The ids, the outermost first.
    pub fn ids(&self) -> &[Option<u16>] {
        self.ids.get(..usize::from(self.count)).unwrap_or_default()
    }
}

/// Why a packet was not decoded to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Behind this point the snapshot length had cut it.
    Cut,
    /// A header contradicts itself or its surroundings.
    Malformed {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u32,
    },
    /// The link type is not one of ours.
    UnknownLink,
}

impl Fault {
    pub(crate) fn malformed(what: &'static str, value: usize) -> Self {
        Self::Malformed {
            what,
            value: u32::try_from(value).unwrap_or(u32::MAX),
        }
    }
}

impl<'a> Packet<'a> {
    /// The packet that completed a datagram, with the whole of it.
    pub fn put_together<'w>(&self, whole: &Whole<'w>) -> Packet<'w> {
        let frame = Frame {
            time: self.time,
            bytes: whole.bytes,
            original_length: u32::try_from(whole.bytes.len()).unwrap_or(u32::MAX),
            recorded: Recorded::default(),
        };
        Packet {
            captured: self.captured,
            original_length: self.original_length,
            link: self.link,
            interface: self.interface,
            direction: self.direction,
            vlans: self.vlans,
            network: self.network,
            fragments: u32::try_from(whole.pieces).unwrap_or(u32::MAX),
            ..decode(Link::Raw, &frame)
        }
    }

    /// The segment, where it carried one.
    pub fn segment(&self) -> Option<&Segment<'a>> {
        match &self.content {
            Content::Segment(segment) => Some(segment),
            _ => None,
        }
    }

    /// Who sent it to whom, for IP. Port 0 stands for none in a datagram.
    pub fn ends(&self) -> Option<(Endpoint, Endpoint)> {
        match &self.content {
            Content::Segment(segment) => Some((segment.source, segment.destination)),
            Content::Datagram(datagram) => Some((
                Endpoint::new(datagram.source, 0),
                Endpoint::new(datagram.destination, 0),
            )),
            Content::Arp(_) | Content::Llc(_) | Content::Other(_) => None,
        }
    }

    /// Which piece of a datagram it is, where it is one.
    pub fn fragment(&self) -> Option<Fragment> {
        match &self.content {
            Content::Segment(segment) => segment.fragment,
            Content::Datagram(datagram) => datagram.fragment,
            Content::Arp(_) | Content::Llc(_) | Content::Other(_) => None,
        }
    }

    /// The payload, as far as it was captured.
    pub fn payload(&self) -> &'a [u8] {
        match &self.content {
            Content::Segment(segment) => segment.payload,
            Content::Datagram(datagram) => datagram.payload,
            Content::Arp(_) | Content::Llc(_) | Content::Other(_) => &[],
        }
    }

    /// The length of its payload on the wire; `None` for what is not IP, and where the headers
    /// before it were not read to their end.
    pub fn payload_length(&self) -> Option<u32> {
        match &self.content {
            Content::Segment(segment) => segment.length,
            Content::Datagram(datagram) => datagram.length,
            Content::Arp(_) | Content::Llc(_) | Content::Other(_) => None,
        }
    }

    /// The ICMP message, where it reports an error: it belongs to the packet it quotes.
    pub fn icmp_error(&self) -> Option<&Icmp> {
        match &self.content {
            Content::Datagram(datagram) => datagram.icmp.as_ref().filter(|icmp| icmp.is_error),
            _ => None,
        }
    }

    /// The payload bytes that its ends have said to each other: none where that is not known,
    /// or where they are another packet's, quoted.
    pub fn said(&self) -> u32 {
        match self.icmp_error() {
            Some(_) => 0,
            None => self.payload_length().unwrap_or(0),
        }
    }

    /// The word for its protocol: `tcp`, `icmp6`, `arp`; `ip` or `ethernet` for what has none.
    pub fn protocol_word(&self) -> &'static str {
        match &self.content {
            Content::Segment(segment) => segment.protocol.word(),
            Content::Datagram(datagram) => ip_protocol_word(datagram.protocol),
            Content::Arp(_) => "arp",
            // IEEE 802.1D, table 7-8: bridges speak of their spanning tree.
            Content::Llc(Llc {
                destination: 0x42,
                source: 0x42,
            }) => "stp",
            Content::Llc(_) => "llc",
            Content::Other(Some(0x88cc)) => "lldp",
            Content::Other(Some(0x888e)) => "eapol",
            Content::Other(Some(0x0800)) => "ip",
            Content::Other(Some(0x86dd)) => "ip6",
            Content::Other(_) => "other",
        }
    }
}

/// IANA's protocol numbers that people meet.
fn ip_protocol_word(number: u8) -> &'static str {
    match number {
        1 => "icmp",
        2 => "igmp",
        4 => "ipip",
        6 => "tcp",
        17 => "udp",
        41 => "ip6-in-ip",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmp6",
        59 => "no-next-header",
        89 => "ospf",
        103 => "pim",
        112 => "vrrp",
        132 => "sctp",
        _ => "ip",
    }
}
