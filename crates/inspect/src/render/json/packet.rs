//! The `packet` record.

use std::borrow::Cow;

use serde::Serialize;

use super::options::OptionRecord;
use super::{OwnerRecord, Time, base64, exact};
use crate::attribution::{Attribution, Grounds};
use crate::capture::{Content, Fault, Flags, Packet, Quoted, Relative};
use crate::model::ForeignText;
use crate::streams::Mark;

/// One packet with the owners of its ends.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "packet")]
pub struct PacketRecord<'a> {
    number: u64,
    time: Time,
    interface: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface_base64: Option<String>,
    direction: Option<&'static str>,
    link: &'static str,
    captured: u32,
    original_length: u32,
    /// The outermost first; `null` for a tag that was there and whose id is not known.
    #[serde(skip_serializing_if = "<[Option<u16>]>::is_empty")]
    vlans: &'a [Option<u16>],
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_protocol: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<u64>,
    #[serde(flatten)]
    ends: Option<EndsRecord<'a>>,
    #[serde(flatten)]
    tcp: Option<TcpRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp: Option<IcmpRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fragment: Option<FragmentRecord>,
    /// Of how many fragments the payload was put together.
    #[serde(skip_serializing_if = "Option::is_none")]
    fragments: Option<u32>,
    length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<PayloadRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultRecord>,
    /// What it means after those before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<MarkRecord>,
}

/// What a segment means: a word, and how many tries, bytes or repetitions where it has them.
#[derive(Debug, Clone, Serialize)]
struct MarkRecord {
    name: &'static str,
    count: Option<u64>,
}

impl From<Mark> for MarkRecord {
    fn from(mark: Mark) -> Self {
        let count = match mark {
            Mark::Retried(count) | Mark::DuplicateAck(count) | Mark::AfterGap(count) => {
                Some(count.into())
            }
            Mark::ResetUnread(count) => Some(count),
            _ => None,
        };
        let name = mark.word();
        Self { name, count }
    }
}

#[derive(Debug, Clone, Serialize)]
struct EndsRecord<'a> {
    source: EndRecord,
    destination: EndRecord,
    source_owners: Vec<OwnerRecord<'a>>,
    source_attribution: &'static str,
    source_reason: &'static str,
    destination_owners: Vec<OwnerRecord<'a>>,
    destination_attribution: &'static str,
    destination_reason: &'static str,
}

/// An address, and the port where the protocol has them.
#[derive(Debug, Clone, Serialize)]
struct EndRecord {
    address: String,
    port: Option<u16>,
}

#[derive(Debug, Clone, Serialize)]
struct TcpRecord {
    flags: Vec<&'static str>,
    seq: u32,
    ack: Option<u32>,
    relative_seq: Option<u32>,
    relative_ack: Option<u32>,
    window: u16,
    /// In their order; padding is left out.
    options: Vec<OptionRecord>,
}

#[derive(Debug, Clone, Serialize)]
struct IcmpRecord {
    #[serde(rename = "type")]
    kind: u8,
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<QuotedRecord>,
}

/// The packet that an error is about.
#[derive(Debug, Clone, Serialize)]
struct QuotedRecord {
    protocol: &'static str,
    ip_protocol: u8,
    source: EndRecord,
    destination: EndRecord,
}

impl From<Quoted> for QuotedRecord {
    fn from(quoted: Quoted) -> Self {
        let end = |address: std::net::IpAddr, port| EndRecord {
            address: address.to_string(),
            port,
        };
        let (from, to) = quoted.ports.unzip();
        Self {
            protocol: quoted.protocol_word(),
            ip_protocol: quoted.protocol,
            source: end(quoted.source, from),
            destination: end(quoted.destination, to),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct FragmentRecord {
    id: u32,
    offset: u16,
    more: bool,
}

#[derive(Debug, Clone, Serialize)]
struct PayloadRecord<'a> {
    text: Option<&'a str>,
    base64: String,
}

#[derive(Debug, Clone, Serialize)]
struct FaultRecord {
    reason: &'static str,
    field: Option<&'static str>,
    value: Option<u32>,
}

impl<'a> PacketRecord<'a> {
    /// A packet, where it stands in the capture and in its conversation, what it means there, and who holds its ends:
    /// source, then destination.
    pub fn new(
        number: u64,
        packet: &'a Packet<'a>,
        interface: Option<&'a ForeignText>,
        conversation: Option<u64>,
        relative: Relative,
        mark: Option<Mark>,
        owners: Option<(&'a Attribution, &'a Attribution)>,
    ) -> Self {
        let length = packet.payload_length();
        let payload = packet.ends().map(|_| packet.payload().into());
        let (ip_protocol, icmp, fragment) = match &packet.content {
            Content::Datagram(datagram) => {
                (Some(datagram.protocol), datagram.icmp, datagram.fragment)
            }
            Content::Segment(segment) => (None, None, segment.fragment),
            _ => (None, None, None),
        };
        Self {
            number,
            time: Time(packet.time),
            interface: interface.map(ForeignText::to_lossy),
            interface_base64: interface.and_then(exact),
            direction: packet.direction.map(|direction| direction.word()),
            link: packet.link.word(),
            captured: packet.captured,
            original_length: packet.original_length,
            vlans: packet.vlans.ids(),
            protocol: packet.protocol_word(),
            ip_protocol,
            conversation,
            ends: EndsRecord::new(packet, owners),
            tcp: TcpRecord::new(packet, relative),
            icmp: icmp.map(|icmp| IcmpRecord {
                kind: icmp.kind,
                code: icmp.code,
                about: icmp.about.map(Into::into),
            }),
            fragment: fragment.map(|fragment| FragmentRecord {
                id: fragment.id,
                offset: fragment.offset,
                more: fragment.more,
            }),
            fragments: (packet.fragments > 0).then_some(packet.fragments),
            length,
            payload,
            fault: packet.fault.map(Into::into),
            mark: mark.map(Into::into),
        }
    }
}

impl<'a> EndsRecord<'a> {
    fn new(
        packet: &Packet<'_>,
        owners: Option<(&'a Attribution, &'a Attribution)>,
    ) -> Option<Self> {
        let (source, destination) = packet.ends()?;
        let has_port = packet.segment().is_some();
        let end = |end: crate::model::Endpoint| EndRecord {
            address: end.address.to_string(),
            port: has_port.then_some(end.port),
        };
        let named = |attribution: Option<&'a Attribution>| {
            let owners = attribution.into_iter().flat_map(|it| &it.owners);
            owners.map(|owner| owner.by_ref().into()).collect()
        };
        let grounds =
            |it: Option<&Attribution>| it.map_or(Grounds::default(), |known| known.grounds);
        let (from, to) = owners.unzip();
        Some(Self {
            source: end(source),
            destination: end(destination),
            source_owners: named(from),
            source_attribution: grounds(from).word(),
            source_reason: grounds(from).reason(),
            destination_owners: named(to),
            destination_attribution: grounds(to).word(),
            destination_reason: grounds(to).reason(),
        })
    }
}

impl TcpRecord {
    fn new(packet: &Packet<'_>, relative: Relative) -> Option<Self> {
        let segment = packet.segment()?;
        let tcp = segment.tcp?;
        let acknowledges = tcp.flags.has(Flags::ACK);
        Some(Self {
            flags: tcp.flags.words().collect(),
            seq: tcp.seq,
            ack: acknowledges.then_some(tcp.ack),
            relative_seq: relative.seq,
            relative_ack: relative.ack,
            window: tcp.window,
            options: segment.options.iter().map(Into::into).collect(),
        })
    }
}

impl<'a> From<&'a [u8]> for PayloadRecord<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self {
            text: std::str::from_utf8(bytes).ok(),
            base64: base64(bytes),
        }
    }
}

impl From<Fault> for FaultRecord {
    fn from(fault: Fault) -> Self {
        let (reason, field, value) = match fault {
            Fault::Cut => ("cut", None, None),
            Fault::Malformed { what, value } => ("malformed", Some(what), Some(value)),
            Fault::UnknownLink => ("unknown link type", None, None),
        };
        Self {
            reason,
            field,
            value,
        }
    }
}
