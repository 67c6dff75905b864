//! What was decided of a datagram's first fragment holds for its later ones, which have no ports.

use std::collections::HashMap;
use std::net::IpAddr;

use super::conversations::ip_protocol;
use super::packet::Packet;
use crate::model::Timestamp;

/// So long after the last fragment copies of it may pass other interfaces, nanoseconds.
const COPIES: i64 = 100_000_000;

/// What joins the fragments of a datagram (RFC 791, 3.2; RFC 8200, 4.5).
pub(super) type Key = (IpAddr, IpAddr, u8, u32);

/// The protocol by which fragments are told apart: of IPv4 alone. An IPv6 fragment header names
/// it in the first fragment only reliably.
pub(super) fn joining_protocol(packet: &Packet<'_>) -> u8 {
    match packet.ends() {
        Some((source, _)) if source.address.is_ipv4() => ip_protocol(packet),
        _ => 0,
    }
}

/// What the first fragment of a datagram tells of the later ones, until a little after the last:
/// copies of them may pass other interfaces. Bounded: when it is full, the older half is
/// forgotten.
#[derive(Debug)]
pub(super) struct Firsts<T> {
    newer: HashMap<Key, First<T>>,
    older: HashMap<Key, First<T>>,
}

#[derive(Debug, Clone, Copy)]
struct First<T> {
    told: T,
    /// When the last has passed.
    over: Option<Timestamp>,
}

impl<T> Default for Firsts<T> {
    fn default() -> Self {
        Self {
            newer: HashMap::new(),
            older: HashMap::new(),
        }
    }
}

impl<T: Copy> Firsts<T> {
    /// What a first fragment tells.
    pub(super) fn keep(&mut self, key: Key, told: T) {
        if self.newer.len() >= Fragments::LIMIT / 2 {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, First { told, over: None });
    }

    /// What the first told of this later one.
    pub(super) fn of_later(&mut self, key: &Key, more: bool, now: Timestamp) -> Option<T> {
        let first = match self.newer.get_mut(key) {
            Some(first) => first,
            None => self.older.get_mut(key)?,
        };
        let age = |over: Timestamp| now.as_nanos().saturating_sub(over.as_nanos());
        if first.over.is_some_and(|over| age(over) > COPIES) {
            return None;
        }
        if !more {
            first.over.get_or_insert(now);
        }
        Some(first.told)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

/// Decisions about datagrams of which fragments may still pass. Those that come after it has
/// forgotten stay undecided.
#[derive(Debug, Default)]
pub struct Fragments {
    selected: Firsts<bool>,
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
                self.selected.keep(key, selected);
                answer
            }
            Some(_) => answer,
            None => self.selected.of_later(&key, fragment.more, packet.time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::crafted::*;
    use super::super::{Frame, Link, decode, selects};
    use super::*;
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
            let mut decide = |bytes: &[u8], seconds| {
                let frame = Frame {
                    time: Timestamp::from_parts(seconds, 0),
                    bytes,
                    original_length: u32::try_from(bytes.len()).unwrap(),
                    recorded: crate::capture::Recorded::default(),
                };
                let packet = decode(Link::Ethernet, &frame);
                fragments.decide(&packet, selects(&selection, &packet))
            };
            assert_eq!(decide(&middle, 0), None, "before the first");
            assert_eq!(decide(&first, 0), Some(selected));
            assert_eq!(decide(&middle, 0), Some(selected));
            assert_eq!(decide(&last, 0), Some(selected));
            assert_eq!(decide(&last, 0), Some(selected), "a copy of it");
            assert_eq!(decide(&middle, 1), None, "after the last");
        }
    }
}
