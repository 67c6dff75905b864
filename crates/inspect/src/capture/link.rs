//! Link headers: what kind of packet follows, on which interface, in which direction.
//!
//! Layouts: <https://www.tcpdump.org/linktypes.html>; Ethernet IEEE 802.3, VLAN tags 802.1Q.

use pnet::packet::ethernet::EthernetPacket;

use super::fields::{Left, be16, be32};
use super::packet::{Fault, Flow, Vlans};

/// What a frame begins with, by its DLT number (pcap-linktype(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// Linux "cooked": 16 bytes.
    Sll,
    /// Linux "cooked", version 2: 20 bytes, with the interface's index.
    Sll2,
    /// An IPv4 or IPv6 packet at once.
    Raw,
    /// BSD loopback: the address family in the byte order of whoever captured.
    Null,
    /// OpenBSD loopback: the address family in network byte order.
    Loop,
    /// Anything else, which is not decoded.
    Other(i32),
}

impl Link {
    /// From the DLT number of libpcap. LINKTYPE_RAW of files is 101, DLT_RAW 12 (14 on OpenBSD).
    pub fn from_dlt(number: i32) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            108 => Self::Loop,
            113 => Self::Sll,
            276 => Self::Sll2,
            other => Self::Other(other),
        }
    }

    /// The number in libpcap's calls.
    pub fn dlt(self) -> i32 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::Raw => 12,
            Self::Loop => 108,
            Self::Sll => 113,
            Self::Sll2 => 276,
            Self::Other(number) => number,
        }
    }

    /// The number in the header of a file.
    pub fn linktype(self) -> u32 {
        match self {
            Self::Raw => 101,
            other => u32::try_from(other.dlt()).unwrap_or(0),
        }
    }

    /// The word used in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ethernet => "ethernet",
            Self::Sll => "linux-sll",
            Self::Sll2 => "linux-sll2",
            Self::Raw => "raw",
            Self::Null => "null",
            Self::Loop => "loop",
            Self::Other(_) => "other",
        }
    }
}

/// ETH_P_IP and friends (include/uapi/linux/if_ether.h).
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const ARP: u16 = 0x0806;
/// ETH_P_802_2, which cooked links have for what on Ethernet is a length.
pub(crate) const LLC: u16 = 0x0004;
/// What is less is no ethertype but the length of what follows (IEEE 802.3, 3.2.6).
const LEAST_ETHERTYPE: u16 = 0x0600;
/// 802.1Q, 802.1ad, and what came before 802.1ad.
const VLAN_TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// What a link header said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LinkHeader {
    /// ETH_P_* of what follows; `None` when the link does not say.
    pub(crate) ethertype: Option<u16>,
    pub(crate) interface: Option<u32>,
    pub(crate) direction: Option<Flow>,
    pub(crate) vlans: Vlans,
}

/// Reads the link header off the front.
pub(crate) fn read(link: Link, left: &mut Left<'_>) -> (LinkHeader, Result<(), Fault>) {
    let mut header = LinkHeader::default();
    let result = read_into(link, left, &mut header);
    (header, result)
}

fn read_into(link: Link, left: &mut Left<'_>, header: &mut LinkHeader) -> Result<(), Fault> {
    match link {
        Link::Ethernet => {
            let bytes = left.take(
                EthernetPacket::minimum_packet_size(),
                "Ethernet header length",
            )?;
            let ethernet = EthernetPacket::new(bytes).ok_or(Fault::Cut)?;
            header.ethertype = Some(ethernet.get_ethertype().0);
        }
        Link::Sll => {
            let bytes = left.take(16, "cooked header length")?;
            header.direction = Flow::from_packet_type(be16(bytes, 0));
            header.ethertype = Some(be16(bytes, 14));
        }
        Link::Sll2 => {
            let bytes = left.take(20, "cooked header length")?;
            header.ethertype = Some(be16(bytes, 0));
            header.interface = Some(be32(bytes, 4));
            header.direction = Flow::from_packet_type(bytes.get(10).copied().unwrap_or(0).into());
        }
        Link::Raw => header.ethertype = by_version(left),
        Link::Null | Link::Loop => {
            let bytes = left.take(4, "loopback header length")?;
            let family = be32(bytes, 0);
            header.ethertype = match (family, family.swap_bytes()) {
                (2, _) | (_, 2) => Some(IPV4),
                // AF_INET6 is 10 on Linux, 24, 28 and 30 on the BSDs and macOS.
                (10 | 24 | 28 | 30, _) | (_, 10 | 24 | 28 | 30) => Some(IPV6),
                _ => None,
            };
        }
        Link::Other(_) => {}
    }
    if matches!(link, Link::Sll | Link::Sll2)
        && let Some(tags) = tags_in_place(header.ethertype, left)
    {
        // Of the outer one, which the kernel kept, there is no more than that it was there.
        header.vlans.push(None);
        for _ in 0..tags {
            header.vlans.push(Some(be16(left.bytes, 0) & 0x0fff));
            left.skip(4);
        }
    }
    while header
        .ethertype
        .is_some_and(|kind| VLAN_TAGS.contains(&kind))
    {
        let bytes = left.take(4, "VLAN tag length")?;
        header.vlans.push(Some(be16(bytes, 0) & 0x0fff));
        header.ethertype = Some(be16(bytes, 2));
    }
    if link == Link::Ethernet
        && let Some(length) = header.ethertype.filter(|kind| *kind < LEAST_ETHERTYPE)
    {
        left.limit(length.into());
        header.ethertype = Some(LLC);
    }
    Ok(())
}

/// How many tags stand in the place of the IP header. Of a frame with several tags the kernel
/// keeps the outer one to itself, and gives the inner ones to a cooked capture as payload, under
/// the ethertype of what is inside them (seen on Linux 6.18; net/packet/af_packet.c
/// `vlan_get_protocol_dgram`). A tag of priority 2 or 3 begins as an IP header does, so the
/// reading that fits its surroundings better is taken.
fn tags_in_place(ethertype: Option<u16>, left: &Left<'_>) -> Option<usize> {
    let ethertype = ethertype.filter(|kind| matches!(*kind, IPV4 | IPV6))?;
    let mut behind = *left;
    let mut tags = 0;
    loop {
        let tag = behind.take(4, "VLAN tag length").ok()?;
        tags += 1;
        match be16(tag, 2) {
            kind if kind == ethertype => break,
            kind if VLAN_TAGS.contains(&kind) => {}
            _ => return None,
        }
    }
    (fit(ethertype, &behind) > fit(ethertype, left)).then_some(tags)
}

/// How well bytes fit as an IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// They are none.
    No,
    /// They announce more than there is.
    TooLong,
    /// They announce less than there is, or nothing.
    Shorter,
    /// They announce what is there.
    Exact,
}

fn fit(ethertype: u16, left: &Left<'_>) -> Fit {
    let first = left.bytes.first().copied().unwrap_or(0);
    let announced = match (ethertype, first >> 4) {
        (IPV4, 4) if first & 0x0f >= 5 => usize::from(be16(left.bytes, 2)),
        (IPV6, 6) => match usize::from(be16(left.bytes, 4)) {
            0 => 0,
            payload => payload + 40,
        },
        _ => return Fit::No,
    };
    match announced.cmp(&left.wire) {
        std::cmp::Ordering::Less => Fit::Shorter,
        std::cmp::Ordering::Equal => Fit::Exact,
        std::cmp::Ordering::Greater => Fit::TooLong,
    }
}

fn by_version(left: &Left<'_>) -> Option<u16> {
    match left.bytes.first()? >> 4 {
        4 => Some(IPV4),
        6 => Some(IPV6),
        _ => None,
    }
}
