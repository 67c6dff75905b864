//! Copies: one packet that passes several interfaces of the machine that captures.
//!
//! A bridge, a router or a pair of veth shows the same packet once on each interface. What is
//! sent again is another packet: IPv4 gives it another identification (RFC 6864, 4.3, where it
//! is not 0), TCP another timestamp (RFC 7323, 3), and it passes each interface once more. So a
//! copy is: the same bytes, on an interface that has not had them yet, soon after.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::Frame;
use super::packet::Packet;
use crate::model::Timestamp;

/// So soon the same bytes pass the next interface, nanoseconds: before anybody sends them again
/// (TCP_RTO_MIN, include/net/tcp.h, is 200 ms).
const SOON: i64 = 100_000_000;
/// Packets remembered, at the place that their hash tells: a later one takes the place.
const REMEMBERED: usize = 4096;
/// Packets of one interface after which no other is awaited.
const ALONE: u32 = 1024;
/// Interfaces remembered of one packet.
const INTERFACES: usize = 6;
/// Bytes of a packet behind its IP header that are looked at.
const LOOKED_AT: usize = 128;

/// What passed of late, where more than one interface is captured.
#[derive(Debug, Default)]
pub struct Copies {
    first_interface: Option<u32>,
    are_several: bool,
    /// Packets of the first interface before one of another.
    alone: u32,
    passed: Vec<Passed>,
    seed: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Passed {
    hash: u64,
    time: Timestamp,
    interfaces: [Option<u32>; INTERFACES],
}

impl Copies {
    /// Whether the same packet has passed another interface just before. Always `false` where
    /// packets have no interface, or all have the same.
    #[must_use]
    pub fn is_copy(&mut self, frame: &Frame<'_>, packet: &Packet<'_>) -> bool {
        let Some(interface) = packet.interface else {
            return false;
        };
        let first = *self.first_interface.get_or_insert(interface);
        self.are_several |= first != interface;
        if !self.are_several {
            // Where many come from one interface alone, there is no other.
            if self.alone >= ALONE {
                return false;
            }
            self.alone += 1;
        }
        if self.passed.is_empty() {
            let nothing = Passed {
                hash: 0,
                time: Timestamp::from_nanos(i64::MIN),
                interfaces: [None; INTERFACES],
            };
            self.passed = vec![nothing; REMEMBERED];
        }
        let network = usize::try_from(packet.network).unwrap_or(usize::MAX);
        let Some(hash) = frame
            .bytes
            .get(network..)
            .and_then(|bytes| self.hash(bytes))
        else {
            return false;
        };
        let place = usize::try_from(hash % REMEMBERED as u64).unwrap_or(0);
        let Some(passed) = self.passed.get_mut(place) else {
            return false;
        };
        let age = frame.time.as_nanos().saturating_sub(passed.time.as_nanos());
        if passed.hash == hash
            && (-SOON..SOON).contains(&age)
            && !passed.interfaces.contains(&Some(interface))
        {
            if let Some(free) = passed.interfaces.iter_mut().find(|it| it.is_none()) {
                *free = Some(interface);
            }
            return true;
        }
        let mut interfaces = [None; INTERFACES];
        interfaces[0] = Some(interface);
        *passed = Passed {
            hash,
            time: frame.time,
            interfaces,
        };
        false
    }

    /// Of the bytes of an IP packet that do not change on the way: not of those that routers
    /// write, nor of the checksum, which a network card may be left to fill in.
    fn hash(&self, bytes: &[u8]) -> Option<u64> {
        let (header, length, protocol) = match bytes.first()? >> 4 {
            4 => {
                let header = usize::from(bytes[0] & 15) * 4;
                (header, be16(bytes, 2)?, *bytes.get(9)?)
            }
            6 => (40, be16(bytes, 4)?, *bytes.get(6)?),
            _ => return None,
        };
        let (fixed, behind) = bytes.split_at_checked(header)?;
        let mut hasher = self.seed.build_hasher();
        match header {
            40 if fixed[0] >> 4 == 6 => {
                hasher.write(&fixed[4..7]);
                hasher.write(&fixed[8..]);
            }
            20.. => {
                // Length, identification, fragment; addresses and options.
                hasher.write(&fixed[2..8]);
                hasher.write(&fixed[9..10]);
                hasher.write(&fixed[12..]);
            }
            _ => return None,
        }
        // Behind it may be what fills an Ethernet frame up. 0 is what TSO leaves of the length.
        let end = match (usize::from(length), fixed[0] >> 4) {
            (0, _) => usize::MAX,
            (length, 4) => length.saturating_sub(header),
            (length, _) => length,
        };
        let behind = &behind[..behind.len().min(end).min(LOOKED_AT)];
        let checksum = match protocol {
            6 => 16,
            17 => 6,
            _ => usize::MAX,
        };
        let (before, rest) = behind.split_at(behind.len().min(checksum));
        hasher.write(before);
        hasher.write(rest.get(2..).unwrap_or_default());
        Some(hasher.finish())
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes(two.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::crafted::*;
    use super::super::{Link, Recorded, decode};
    use super::*;

    /// Whether these are copies: interface, milliseconds, what follows the link header.
    fn copies(all: &[(u32, i64, Vec<u8>)]) -> Vec<bool> {
        let mut copies = Copies::default();
        let is_copy = |(interface, millis, bytes): &(u32, i64, Vec<u8>)| {
            let kind = if bytes[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
            let bytes = sll2(kind, *interface, 0, bytes);
            let frame = Frame {
                time: Timestamp::from_nanos(millis * 1_000_000),
                bytes: &bytes,
                original_length: u32::try_from(bytes.len()).unwrap(),
                recorded: Recorded::default(),
            };
            copies.is_copy(&frame, &decode(Link::Sll2, &frame))
        };
        all.iter().map(is_copy).collect()
    }

    fn said(text: &[u8]) -> Vec<u8> {
        ipv4(6, &tcp((9, 80), 1, 1, PSH_ACK, text))
    }

    #[test]
    fn the_same_bytes_on_another_interface_are_a_copy_and_on_the_same_are_not() {
        let mut routed = said(b"hello");
        // Another TTL, other checksums of IP and TCP.
        routed[8] -= 1;
        routed[10..12].copy_from_slice(&[7, 8]);
        routed[36..38].copy_from_slice(&[9, 9]);
        let mut again = said(b"hello");
        again[4..6].copy_from_slice(&[1, 1]);
        let other = said(b"other");
        let hello = said(b"hello");
        let udp = ipv6(17, &udp((9, 80), b"hello"));
        assert_eq!(
            copies(&[
                (1, 0, other.clone()),
                (2, 0, hello.clone()),
                (3, 0, routed),
                (4, 1, hello.clone()),
                (3, 1, other),
                // What is sent again: of another number, or late, or where it has been.
                (3, 1, again),
                (5, 200, hello.clone()),
                (6, 201, hello.clone()),
                (5, 202, hello.clone()),
                (6, 202, hello),
                (1, 300, udp.clone()),
                (2, 300, udp.clone()),
                (2, 301, udp),
            ]),
            [
                false, false, true, true, true, false, false, true, false, true, false, true,
                false,
            ]
        );
    }

    #[test]
    fn on_one_interface_nothing_is_a_copy_and_no_bytes_are_a_danger() {
        let hello = said(b"hello");
        assert_eq!(
            copies(&[(1, 0, hello.clone()), (1, 0, hello.clone())]),
            [false; 2]
        );
        let mut all = vec![(1, 0, hello.clone())];
        for first in [0x40, 0x41, 0x45, 0x4f, 0x60, 0x6f, 0xff] {
            for length in 1..hello.len() {
                let mut cut = hello[..length].to_vec();
                cut[0] = first;
                all.push((2, 0, cut));
            }
        }
        assert_eq!(copies(&all).len(), all.len());
    }
}
