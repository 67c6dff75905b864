//! Frames made by hand, for tests: standard library only, because the integration tests use
//! this file too.

#![allow(dead_code, missing_docs, unreachable_pub)]

use std::net::{Ipv4Addr, Ipv6Addr};

pub const SYN: u8 = 2;
pub const SYN_ACK: u8 = 18;
pub const ACK: u8 = 16;
pub const PSH_ACK: u8 = 24;
pub const FIN_ACK: u8 = 17;
pub const RST: u8 = 4;

pub const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
pub const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

/// RFC 9293, 3.1; the checksum stays 0.
pub fn tcp(ports: (u16, u16), seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(ports.0.to_be_bytes());
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend(seq.to_be_bytes());
    bytes.extend(ack.to_be_bytes());
    bytes.extend([0x50, flags]);
    bytes.extend(512u16.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// The same with options, which are filled up to a whole word (RFC 9293, 3.2).
pub fn tcp_with(flags: u8, seq: u32, ack: u32, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = tcp((52_316, 2345), seq, ack, flags, b"");
    bytes.extend(options);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let words = u8::try_from(bytes.len() / 4).unwrap_or(u8::MAX);
    bytes[12] = words << 4;
    bytes.extend(payload);
    bytes
}

/// RFC 768.
pub fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(ports.0.to_be_bytes());
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend(length(payload.len() + 8));
    bytes.extend([0; 2]);
    bytes.extend(payload);
    bytes
}

fn length(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// RFC 791, 3.1. `place` is flags and fragment offset.
pub fn ipv4_at(protocol: u8, place: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0];
    bytes.extend(length(payload.len() + 20));
    bytes.extend(77u16.to_be_bytes());
    bytes.extend(place.to_be_bytes());
    bytes.extend([64, protocol, 0, 0]);
    bytes.extend(CLIENT.octets());
    bytes.extend(SERVER.octets());
    bytes.extend(payload);
    bytes
}

pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_at(protocol, 0x4000, payload)
}

/// RFC 8200, 3.
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(length(payload.len()));
    bytes.extend([next, 64]);
    bytes.extend(Ipv6Addr::LOCALHOST.octets());
    bytes.extend(Ipv6Addr::LOCALHOST.octets());
    bytes.extend(payload);
    bytes
}

/// An extension header of 8 bytes times `units` (RFC 8200, 4.3 to 4.6).
pub fn extension(next: u8, units: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next, units - 1];
    bytes.resize(usize::from(units) * 8, 0);
    bytes.extend(payload);
    bytes
}

/// RFC 8200, 4.5. `place` is the offset in bytes, and 1 for more.
pub fn fragment6(next: u8, place: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next, 0];
    bytes.extend(place.to_be_bytes());
    bytes.extend(99u32.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    bytes.extend(kind.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// What stands behind a VLAN ethertype (802.1Q).
pub fn vlan(id: u16, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(id.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Linux cooked, version 1.
pub fn sll(kind: u16, packet_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(packet_type.to_be_bytes());
    bytes.extend([0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
    bytes.extend(kind.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Linux cooked, version 2.
pub fn sll2(kind: u16, interface: u32, packet_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(kind.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(interface.to_be_bytes());
    bytes.extend([0, 1, packet_type, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
    bytes.extend(payload);
    bytes
}

/// A pcap file with microseconds, little-endian; each frame with its time in microseconds and
/// its length on the wire, if that differs.
pub fn pcap(linktype: u32, frames: &[(u64, Vec<u8>, Option<u32>)]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4u32.to_le_bytes());
    file.extend(2u16.to_le_bytes());
    file.extend(4u16.to_le_bytes());
    file.extend([0; 8]);
    file.extend(262_144u32.to_le_bytes());
    file.extend(linktype.to_le_bytes());
    for (micros, frame, wire) in frames {
        let size = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let [seconds, micros] = [micros / 1_000_000, micros % 1_000_000];
        file.extend(u32::try_from(seconds).unwrap_or(u32::MAX).to_le_bytes());
        file.extend(u32::try_from(micros).unwrap_or(0).to_le_bytes());
        file.extend(size.to_le_bytes());
        file.extend(wire.unwrap_or(size).to_le_bytes());
        file.extend(frame);
    }
    file
}

/// The same segment, `hello` to port 2345, as it arrives over Ethernet with all that may stand
/// before it. Each has a name.
pub fn hello_in_every_wrapping() -> Vec<(&'static str, Vec<u8>)> {
    let hello = tcp((52316, 2345), 1001, 2001, PSH_ACK, b"hello");
    let v4 = ipv4(6, &hello);
    let v6 = ipv6(6, &hello);
    let mut authentication = vec![6, 4];
    authentication.resize(24, 0);
    authentication.extend(&hello);
    let mut padded = ethernet(0x0800, &v4);
    padded.resize(padded.len() + 6, 0);
    let mut options = v4.clone();
    options[0] = 0x46;
    options[3] += 4;
    options.splice(20..20, [1, 1, 1, 0]);
    let mut tso = v4.clone();
    tso[2..4].copy_from_slice(&[0, 0]);
    vec![
        ("plain", ethernet(0x0800, &v4)),
        ("padded", padded),
        ("IPv4 options", ethernet(0x0800, &options)),
        ("total length 0", ethernet(0x0800, &tso)),
        ("VLAN", ethernet(0x8100, &vlan(5, 0x0800, &v4))),
        (
            "two VLANs",
            ethernet(0x88a8, &vlan(7, 0x8100, &vlan(5, 0x0800, &v4))),
        ),
        (
            "two VLANs of priority 2",
            ethernet(0x88a8, &vlan(0x4007, 0x8100, &vlan(0x4014, 0x0800, &v4))),
        ),
        (
            "three VLANs",
            ethernet(
                0x88a8,
                &vlan(7, 0x8100, &vlan(0x4514, 0x8100, &vlan(5, 0x0800, &v4))),
            ),
        ),
        (
            "old QinQ",
            ethernet(0x9100, &vlan(7, 0x8100, &vlan(5, 0x86dd, &v6))),
        ),
        (
            "first fragment",
            ethernet(0x0800, &ipv4_at(6, 0x2000, &hello)),
        ),
        ("IPv4 AH", ethernet(0x0800, &ipv4(51, &authentication))),
        ("IPv6", ethernet(0x86dd, &v6)),
        (
            "hop-by-hop",
            ethernet(0x86dd, &ipv6(0, &extension(6, 1, &hello))),
        ),
        (
            "routing",
            ethernet(0x86dd, &ipv6(43, &extension(6, 3, &hello))),
        ),
        (
            "destination",
            ethernet(0x86dd, &ipv6(60, &extension(6, 2, &hello))),
        ),
        (
            "mobility",
            ethernet(0x86dd, &ipv6(135, &extension(6, 1, &hello))),
        ),
        (
            "first fragment 6",
            ethernet(0x86dd, &ipv6(44, &fragment6(6, 1, &hello))),
        ),
        (
            "atomic fragment",
            ethernet(0x86dd, &ipv6(44, &fragment6(6, 0, &hello))),
        ),
        ("IPv6 AH", ethernet(0x86dd, &ipv6(51, &authentication))),
        (
            "VLAN, hop-by-hop, destination",
            ethernet(
                0x8100,
                &vlan(
                    5,
                    0x86dd,
                    &ipv6(0, &extension(60, 1, &extension(6, 2, &hello))),
                ),
            ),
        ),
    ]
}

/// One hello/hi conversation over Ethernet, 12:00:01 UTC.
pub fn pair() -> Vec<(u64, Vec<u8>, Option<u32>)> {
    let start = 1_767_355_201_000_000;
    let (forth, back) = ((52316, 2345), (2345, 52316));
    type Step<'a> = (u64, (u16, u16), u32, u32, u8, &'a [u8]);
    let steps: [Step<'_>; 9] = [
        (113, forth, 1000, 0, SYN, b""),
        (121, back, 2000, 1001, SYN_ACK, b""),
        (128, forth, 1001, 2001, ACK, b""),
        (207, forth, 1001, 2001, PSH_ACK, b"hello"),
        (301, back, 2001, 1006, PSH_ACK, b"hi"),
        (309, forth, 1006, 2003, ACK, b""),
        (1_000_418, forth, 1006, 2003, PSH_ACK, "你好".as_bytes()),
        (
            2_000_511,
            forth,
            1012,
            2003,
            PSH_ACK,
            b"\x1b[31mred \"and\" much more than a narrow screen can show at once",
        ),
        (2_000_600, back, 2003, 1012, RST, b""),
    ];
    steps
        .into_iter()
        .map(|(micros, ports, seq, ack, flags, payload)| {
            let frame = ethernet(0x0800, &ipv4(6, &tcp(ports, seq, ack, flags, payload)));
            (start + micros, frame, None)
        })
        .collect()
}
