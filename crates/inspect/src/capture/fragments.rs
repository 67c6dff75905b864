//! What was decided of a datagram's first fragment holds for its later ones, which have no ports.

use std::collections::HashMap;
use std::net::IpAddr;

use super::conversations::ip_protocol;
use super::packet::Packet;

/// What joins the fragments of a datagram (RFC 791, 3.2; RFC 8200, 4.5).
type Key = (IpAddr, IpAddr, u8, u32);

/// The protocol by which fragments are told apart: of IPv4 alone. An IPv6 fragment header names
/// it in the first fragment only reliably.
pub(super) fn joining_protocol(packet: &Packet<'_>) -> u8 {
    match packet.ends() {
        Some((source, _)) if source.address.is_ipv4() => ip_protocol(packet),
        _ => 0,
    }
}

/// Decisions about datagrams whose last fragment has not passed. Bounded: when it is full, all
/// are forgotten, and fragments that are still to come stay undecided.
#[derive(Debug, Default)]
pub struct Fragments {
    selected: HashMap<Key, bool>,
}

impl Fragments {
    /// Datagrams remembered at once.
    pub const LIMIT: usize = 4096;

    /// Completes the answer of [`crate::capture::selects`] for a fragment that has no ports, if
    /// the first fragment was seen; any other answer is remembered, and given back.
    pub fn decide(&mut self, packet: &Packet<'_>, answer: Option<bool>) -> Option<bool> {
        let Some(fragment) = packet.fragment() else {
            return answer;
        };
        let (source, destination) = packet.ends()?;
        let protocol = joining_protocol(packet);
        let key = (source.address, destination.address, protocol, fragment.id);
        match answer {
            Some(selected) if fragment.offset == 0 => {
                if self.selected.len() >= Self::LIMIT {
                    self.selected.clear();
                }
                self.selected.insert(key, selected);
                answer
            }
            Some(_) => answer,
            None if fragment.more => self.selected.get(&key).copied(),
            None => self.selected.remove(&key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::crafted::*;
    use super::super::{Frame, Link, decode, selects};
    use super::*;
    use crate::model::Timestamp;
    use crate::selection::{Selection, Test};

    #[test]
    fn later_fragments_follow_the_first() {
        let whole = udp((5000, 2345), &[b'x'; 24]);
        let first = ethernet(0x0800, &ipv4_at(17, 0x2000, &whole[..16]));
        let middle = ethernet(0x0800, &ipv4_at(17, 0x2002, &whole[16..24]));
        let last = ethernet(0x0800, &ipv4_at(17, 0x0003, &whole[24..]));
        for (port, selected) in [(2345, true), (80, false)] {
            let selection = Selection::Test(Test::Port(port));
            let mut fragments = Fragments::default();
            let mut decide = |bytes: &[u8]| {
                let frame = Frame {
                    time: Timestamp::from_nanos(0),
                    bytes,
                    original_length: u32::try_from(bytes.len()).unwrap(),
                    recorded: crate::capture::Recorded::default(),
                };
                let packet = decode(Link::Ethernet, &frame);
                fragments.decide(&packet, selects(&selection, &packet))
            };
            assert_eq!(decide(&middle), None, "before the first");
            assert_eq!(decide(&first), Some(selected));
            assert_eq!(decide(&middle), Some(selected));
            assert_eq!(decide(&last), Some(selected));
            assert_eq!(decide(&middle), None, "after the last");
        }
    }
}
