//! What a packet is called, and what is to be noted about it.

use std::net::SocketAddr;

use super::digits::{grouped, number};
use crate::capture::{Arp, Content, Datagram, Fault, Fragment, Packet, Quoted, Segment};
use crate::streams::Mark;

/// Appends what a packet does: `PSH ACK`, `UDP`, `ICMP echo request`. `between` stands between
/// flags, `arrow` between the ends of a packet that is spoken about.
pub(super) fn deed(out: &mut Vec<u8>, packet: &Packet<'_>, between: u8, arrow: &str) {
    match &packet.content {
        Content::Segment(segment) => segment_deed(out, segment, between),
        Content::Datagram(datagram) => datagram_deed(out, packet, datagram, arrow),
        Content::Arp(arp) => arp_deed(out, arp),
        Content::Llc(_) => {
            out.extend_from_slice(packet.protocol_word().to_ascii_uppercase().as_bytes());
        }
        Content::Other(kind) => {
            let word = packet.protocol_word();
            if word != "other" {
                out.extend_from_slice(word.to_ascii_uppercase().as_bytes());
            } else if let Some(kind) = kind {
                out.extend_from_slice(format!("ethertype 0x{kind:04x}").as_bytes());
            } else {
                out.extend_from_slice(b"frame");
            }
        }
    }
}

fn segment_deed(out: &mut Vec<u8>, segment: &Segment<'_>, between: u8) {
    let Some(tcp) = segment.tcp else {
        let word: &[u8] = match segment.protocol {
            crate::model::Protocol::Tcp => b"TCP",
            _ => b"UDP",
        };
        out.extend_from_slice(word);
        return;
    };
    if tcp.flags.0 == 0 {
        out.extend_from_slice(b"no flags");
        return;
    }
    for (index, word) in tcp.flags.words().enumerate() {
        if index > 0 {
            out.push(between);
        }
        out.extend_from_slice(word.as_bytes());
    }
}

fn datagram_deed(out: &mut Vec<u8>, packet: &Packet<'_>, datagram: &Datagram<'_>, arrow: &str) {
    match packet.protocol_word() {
        "ip" => {
            out.extend_from_slice(b"IP protocol ");
            number(out, datagram.protocol.into());
        }
        "icmp6" => out.extend_from_slice(b"ICMPv6"),
        word => out.extend_from_slice(word.to_ascii_uppercase().as_bytes()),
    }
    let Some(icmp) = datagram.icmp else { return };
    out.push(b' ');
    match icmp_name(datagram.protocol, icmp.kind, icmp.code) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => out.extend_from_slice(format!("type {} code {}", icmp.kind, icmp.code).as_bytes()),
    }
    if icmp.is_error {
        out.extend_from_slice(about(datagram, icmp.about, arrow).as_bytes());
    }
    if let Some((id, seq)) = icmp.echo {
        out.extend_from_slice(format!(" id {id} seq {seq}").as_bytes());
    }
}

/// What an error answers: ` for udp 10.0.0.1:40000 → 10.0.0.2:2345`, and who says so where that
/// is somebody between.
fn about(datagram: &Datagram<'_>, about: Option<Quoted>, arrow: &str) -> String {
    let Datagram {
        source,
        destination,
        ..
    } = datagram;
    let Some(quoted) = about else {
        return format!(" from {source} to {destination}");
    };
    let mut words = String::new();
    if *source != quoted.destination {
        words = format!(" from {source}");
    }
    let (from, to) = (quoted.source, quoted.destination);
    let word = match quoted.protocol_word() {
        "ip" => format!("IP protocol {}", quoted.protocol),
        word => word.to_owned(),
    };
    words
        + &match quoted.ports {
            Some(ports) => {
                let (from, to) = (SocketAddr::new(from, ports.0), SocketAddr::new(to, ports.1));
                format!(" for {word} {from} {arrow} {to}")
            }
            None => format!(" for {word} {from} {arrow} {to}"),
        }
}

/// RFC 792, RFC 1812; RFC 4443, RFC 4861.
fn icmp_name(protocol: u8, kind: u8, code: u8) -> Option<&'static str> {
    Some(match (protocol, kind, code) {
        (1, 0, _) => "echo reply",
        (1, 3, 0) => "network unreachable",
        (1, 3, 1) => "host unreachable",
        (1, 3, 2) => "protocol unreachable",
        (1, 3, 3) => "port unreachable",
        (1, 3, 4) => "fragmentation needed",
        (1, 3, 9 | 10 | 13) => "prohibited",
        (1, 3, _) => "unreachable",
        (1, 4, _) => "source quench",
        (1, 5, _) => "redirect",
        (1, 8, _) => "echo request",
        (1, 11, _) => "time exceeded",
        (1, 12, _) | (58, 4, _) => "parameter problem",
        (58, 1, 4) => "port unreachable",
        (58, 1, _) => "unreachable",
        (58, 2, _) => "packet too big",
        (58, 3, _) => "time exceeded",
        (58, 128, _) => "echo request",
        (58, 129, _) => "echo reply",
        (58, 133, _) => "router solicitation",
        (58, 134, _) => "router advertisement",
        (58, 135, _) => "neighbour solicitation",
        (58, 136, _) => "neighbour advertisement",
        (58, 143, _) => "multicast listener report",
        _ => return None,
    })
}

fn arp_deed(out: &mut Vec<u8>, arp: &Arp) {
    let (sender, target) = (arp.sender, arp.target);
    let words = match arp.operation {
        1 => format!("ARP who has {target}, asks {sender}"),
        2 => format!("ARP {sender} is here, answers {target}"),
        other => format!("ARP operation {other} from {sender} to {target}"),
    };
    out.extend_from_slice(words.as_bytes());
}

/// Appends what is unusual, each note after `before`: VLAN tags, fragments, what was cut off or
/// contradicts itself.
pub(super) fn notes(out: &mut Vec<u8>, packet: &Packet<'_>, mark: Option<Mark>, before: &[u8]) {
    if let Some(mark) = mark {
        out.extend_from_slice(before);
        out.extend_from_slice(meaning(mark).as_bytes());
    }
    for id in packet.vlans.ids() {
        out.extend_from_slice(before);
        out.extend_from_slice(b"vlan ");
        match id {
            Some(id) => number(out, (*id).into()),
            None => out.extend_from_slice(b"unknown"),
        }
    }
    if packet.fragments > 0 {
        out.extend_from_slice(before);
        out.extend_from_slice(b"[put together from ");
        number(out, packet.fragments.into());
        out.extend_from_slice(b" fragments]");
    }
    if let Some(fragment) = packet.fragment() {
        out.extend_from_slice(before);
        fragment_note(out, fragment);
    }
    match packet.fault {
        Some(Fault::Malformed { what, value }) => {
            out.extend_from_slice(before);
            out.extend_from_slice(b"[malformed: ");
            out.extend_from_slice(what.as_bytes());
            out.push(b' ');
            number(out, value.into());
            out.push(b']');
        }
        Some(Fault::UnknownLink) => {
            out.extend_from_slice(before);
            out.extend_from_slice(b"[not decoded: link type ");
            number(out, packet.link.linktype().into());
            out.push(b']');
        }
        _ if packet.captured < packet.original_length => {
            out.extend_from_slice(before);
            out.extend_from_slice(b"[cut: ");
            grouped(out, packet.captured.into());
            out.extend_from_slice(b" of ");
            grouped(out, packet.original_length.into());
            out.extend_from_slice(b" bytes captured]");
        }
        _ => {}
    }
}

/// What a segment means, in brackets as all that is not in the packet itself.
fn meaning(mark: Mark) -> String {
    let bytes = |count: u64| {
        let mut text = Vec::new();
        grouped(&mut text, count);
        text.extend_from_slice(if count == 1 { b" byte" } else { b" bytes" });
        String::from_utf8_lossy(&text).into_owned()
    };
    match mark {
        Mark::Retried(tries) => format!("[try {tries}]"),
        Mark::Refused => "[refused]".to_owned(),
        Mark::Retransmission => "[retransmission]".to_owned(),
        Mark::OutOfOrder => "[out of order]".to_owned(),
        Mark::AfterGap(count) => format!("[{} before it missing]", bytes(count.into())),
        Mark::DuplicateAck(count) => format!("[duplicate ACK {count}]"),
        Mark::ZeroWindow => "[zero window]".to_owned(),
        Mark::WindowOpen => "[window open]".to_owned(),
        Mark::KeepAlive => "[keep-alive]".to_owned(),
        Mark::WindowProbe => "[zero window probe]".to_owned(),
        Mark::ResetUnread(count) => format!("[reset, {} perhaps unread]", bytes(count)),
        Mark::ResetAfterClose => "[reset, it had closed]".to_owned(),
        Mark::Copy => "[copy]".to_owned(),
        Mark::SynAmid => "[SYN amid the conversation]".to_owned(),
    }
}

fn fragment_note(out: &mut Vec<u8>, fragment: Fragment) {
    let Fragment { id, offset, more } = fragment;
    let last = if more { "" } else { ", the last" };
    out.extend_from_slice(format!("[fragment {id:#x} at {offset}{last}]").as_bytes());
}
