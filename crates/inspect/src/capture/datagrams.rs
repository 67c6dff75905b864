//! Puts the fragments of IP datagrams together.
//!
//! Bounded, because whoever sends first pieces alone would otherwise fill the memory: behind
//! [`Datagrams::LIMIT`] datagrams, or [`Datagrams::MEMORY`] bytes, the oldest are given up, as
//! the kernel does (net.ipv4.ipfrag_high_thresh). Pieces that overlap are no datagram: IPv6
//! forbids them (RFC 5722), and Linux throws away those of IPv4 too
//! (`inet_frag_queue_insert`, net/ipv4/inet_fragment.c).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::fields::Left;
use super::ip::{self, IpHeader};
use super::packet::Fragment;
use super::{Frame, Link, link};
use crate::model::Timestamp;

/// What joins pieces (RFC 791, 3.2; RFC 8200, 4.5). Of IPv6 the protocol is left out: later
/// pieces name what the first begins with, which may be another extension header.
type Key = (IpAddr, IpAddr, u8, u32);

/// Datagrams of which not all pieces have passed.
#[derive(Debug, Default)]
pub struct Datagrams {
    parts: HashMap<Key, Parts>,
    /// In the order in which they began.
    begun: VecDeque<(Key, Timestamp)>,
    bytes: usize,
    /// The latest whole one, as an IP packet.
    whole: Vec<u8>,
    lost: u64,
}

#[derive(Debug, Default)]
struct Parts {
    began: Option<Timestamp>,
    /// By their places.
    pieces: Vec<(usize, Vec<u8>)>,
    /// Where it ends, when the last piece has passed.
    end: Option<usize>,
    protocol: u8,
}

/// A datagram that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<'a> {
    /// An IP packet without fragments, of link [`Link::Raw`].
    pub bytes: &'a [u8],
    /// Of how many pieces.
    pub pieces: usize,
}

impl Datagrams {
    /// Datagrams waited for at once.
    pub const LIMIT: usize = 1024;
    /// Bytes of their pieces, with what keeping them costs.
    pub const MEMORY: usize = 4 << 20;
    /// How long the rest is waited for: net.ipv4.ipfrag_time.
    const PATIENCE: i64 = 30_000_000_000;
    /// What keeping one costs beside its pieces: its place in the table, which may be half empty,
    /// and in the order.
    const DATAGRAM: usize =
        2 * (size_of::<Key>() + size_of::<Parts>()) + 2 * size_of::<(Key, Timestamp)>();
    /// And each of its pieces: its place in a list that may be half empty, and the allocator's.
    const PIECE: usize = 2 * size_of::<(usize, Vec<u8>)>() + 16;

    /// Takes a frame that holds a piece; gives the datagram when it is the last that was
    /// missing.
    pub fn take(&mut self, link: Link, frame: &Frame<'_>) -> Option<Whole<'_>> {
        let (header, piece, is_complete) = payload(link, frame)?;
        let fragment = header.fragment?;
        self.forget_old(frame.time);
        let protocol = if header.source.is_ipv4() {
            header.protocol
        } else {
            0
        };
        let key = (header.source, header.destination, protocol, fragment.id);
        if !is_complete {
            // The rest of this piece was not captured, and will not come.
            self.give_up(&key);
            return None;
        }
        // One that waits must not keep the places of all that were whole since.
        if self.begun.len() >= 2 * Self::LIMIT {
            let parts = &self.parts;
            self.begun
                .retain(|(key, began)| parts.get(key).is_some_and(|it| it.began == Some(*began)));
        }
        if !self.parts.contains_key(&key) {
            self.bytes += Self::DATAGRAM;
            self.begun.push_back((key, frame.time));
        }
        let parts = self.parts.entry(key).or_default();
        parts.began.get_or_insert(frame.time);
        match parts.add(fragment, piece, header.protocol) {
            Added::Again => return None,
            Added::Wrong => {
                self.give_up(&key);
                return None;
            }
            Added::New => self.bytes += Self::PIECE + piece.len(),
        }
        if !parts.is_whole() {
            while self.bytes > Self::MEMORY || self.parts.len() > Self::LIMIT {
                let Some((oldest, _)) = self.begun.pop_front() else {
                    break;
                };
                self.give_up(&oldest);
            }
            return None;
        }
        let parts = self.remove(&key)?;
        let pieces = parts.pieces.len();
        self.whole.clear();
        parts.join(&header, &mut self.whole);
        Some(Whole {
            bytes: &self.whole,
            pieces,
        })
    }

    /// Datagrams of which pieces never came, or did not fit together.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Datagrams that wait.
    pub fn waiting(&self) -> usize {
        self.parts.len()
    }

    fn forget_old(&mut self, now: Timestamp) {
        while let Some((key, began)) = self.begun.front().copied() {
            let is_there = self
                .parts
                .get(&key)
                .is_some_and(|parts| parts.began == Some(began));
            if is_there && now.as_nanos().saturating_sub(began.as_nanos()) < Self::PATIENCE {
                return;
            }
            self.begun.pop_front();
            if is_there {
                self.give_up(&key);
            }
        }
    }

    fn give_up(&mut self, key: &Key) {
        if self.remove(key).is_some() {
            self.lost += 1;
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Parts> {
        let parts = self.parts.remove(key)?;
        self.bytes = self.bytes.saturating_sub(parts.cost());
        Some(parts)
    }
}

enum Added {
    New,
    /// The same piece once more.
    Again,
    /// It contradicts the others.
    Wrong,
}

impl Parts {
    fn add(&mut self, fragment: Fragment, piece: &[u8], protocol: u8) -> Added {
        let from = usize::from(fragment.offset);
        let to = from + piece.len();
        // RFC 791: all but the last are of whole eights; and no datagram is larger than this.
        if piece.is_empty() || to > 65_535 || fragment.more && !piece.len().is_multiple_of(8) {
            return Added::Wrong;
        }
        let at = self.pieces.partition_point(|(place, _)| *place < from);
        if let Some((place, there)) = self.pieces.get(at)
            && *place == from
            && there == piece
        {
            return Added::Again;
        }
        let before = at.checked_sub(1).and_then(|at| self.pieces.get(at));
        let overlaps = before.is_some_and(|(place, piece)| place + piece.len() > from)
            || self.pieces.get(at).is_some_and(|(place, _)| *place < to);
        let is_beyond = self.end.is_some_and(|end| to > end);
        let cuts = !fragment.more
            && (self.end.is_some_and(|end| end != to)
                || self
                    .pieces
                    .iter()
                    .any(|(place, piece)| place + piece.len() > to));
        if overlaps || is_beyond || cuts {
            return Added::Wrong;
        }
        if !fragment.more {
            self.end = Some(to);
        }
        if from == 0 {
            self.protocol = protocol;
        }
        self.pieces.insert(at, (from, piece.to_vec()));
        Added::New
    }

    fn cost(&self) -> usize {
        let pieces = self.pieces.iter();
        Datagrams::DATAGRAM
            + pieces
                .map(|(_, piece)| Datagrams::PIECE + piece.len())
                .sum::<usize>()
    }

    fn is_whole(&self) -> bool {
        let length: usize = self.pieces.iter().map(|(_, piece)| piece.len()).sum();
        self.end == Some(length)
    }

    /// Writes an IP packet that has never been in pieces.
    fn join(&self, header: &IpHeader, out: &mut Vec<u8>) {
        let length: usize = self.pieces.iter().map(|(_, piece)| piece.len()).sum();
        // What is more than the field holds was said to be 0 by TSO, and is read so.
        let field = |length: usize| u16::try_from(length).unwrap_or(0).to_be_bytes();
        match (header.source, header.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                out.extend([0x45, 0]);
                out.extend(field(length + 20));
                out.extend([0, 0, 0, 0, 64, self.protocol, 0, 0]);
                out.extend(source.octets());
                out.extend(destination.octets());
            }
            (source, destination) => {
                out.extend([0x60, 0, 0, 0]);
                out.extend(field(length));
                out.extend([self.protocol, 64]);
                for address in [source, destination] {
                    if let IpAddr::V6(address) = address {
                        out.extend(address.octets());
                    }
                }
            }
        }
        for (_, piece) in &self.pieces {
            out.extend(piece);
        }
    }
}

/// The IP header of a frame, what is behind it, and whether all of that was captured.
fn payload<'a>(link: Link, frame: &Frame<'a>) -> Option<(IpHeader, &'a [u8], bool)> {
    let mut left = Left::new(frame.bytes, frame.original_length);
    let (header, read) = link::read(link, &mut left);
    read.ok()?;
    let header = match header.ethertype? {
        link::IPV4 => ip::read_v4(&mut left).ok()?,
        link::IPV6 => ip::read_v6(&mut left).ok()?,
        _ => return None,
    };
    // Headers in the first piece that were walked over are part of the datagram: such stay in
    // pieces.
    if !header.read_whole || header.fault.is_some() || header.walked_into {
        return None;
    }
    Some((header, left.bytes, left.bytes.len() == left.wire))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::crafted::*;
    use super::super::{Recorded, decode};
    use super::*;

    fn frame(bytes: &[u8], seconds: i64) -> Frame<'_> {
        Frame {
            time: Timestamp::from_parts(seconds, 0),
            bytes,
            original_length: u32::try_from(bytes.len()).unwrap(),
            recorded: Recorded::default(),
        }
    }

    /// The payload of a datagram, in pieces of so many bytes.
    fn pieces(payload: &[u8], size: usize) -> Vec<Vec<u8>> {
        let count = payload.len().div_ceil(size);
        payload
            .chunks(size)
            .enumerate()
            .map(|(index, piece)| {
                let more = if index + 1 < count { 0x2000 } else { 0 };
                let place = u16::try_from(index * size / 8).unwrap();
                ethernet(0x0800, &ipv4_at(17, more | place, piece))
            })
            .collect()
    }

    #[test]
    fn pieces_in_any_order_become_the_datagram() {
        let text: Vec<u8> = (0..200u8).collect();
        let mut frames = pieces(&udp((5000, 2345), &text), 48);
        frames.reverse();
        frames.insert(1, frames[0].clone());
        let mut datagrams = Datagrams::default();
        let last = frames.pop().unwrap();
        for bytes in &frames {
            assert_eq!(datagrams.take(Link::Ethernet, &frame(bytes, 1)), None);
        }
        let whole = datagrams.take(Link::Ethernet, &frame(&last, 1)).unwrap();
        assert_eq!(whole.pieces, 5);
        let frame = frame(whole.bytes, 1);
        let packet = decode(Link::Raw, &frame);
        let segment = packet.segment().unwrap();
        assert_eq!(segment.payload, text);
        assert_eq!(
            (segment.source.port, segment.destination.port),
            (5000, 2345)
        );
        assert_eq!((packet.fault, segment.fragment), (None, None));
        assert_eq!((datagrams.waiting(), datagrams.lost()), (0, 0));
    }

    #[test]
    fn what_does_not_fit_together_is_given_up_and_counted() {
        let whole = udp((5000, 2345), &[7; 88]);
        let mut datagrams = Datagrams::default();
        let first = ethernet(0x0800, &ipv4_at(17, 0x2000, &whole[..48]));
        let overlapping = ethernet(0x0800, &ipv4_at(17, 5, &whole[40..]));
        datagrams.take(Link::Ethernet, &frame(&first, 1));
        assert_eq!(
            datagrams.take(Link::Ethernet, &frame(&overlapping, 1)),
            None
        );
        assert_eq!((datagrams.waiting(), datagrams.lost()), (0, 1));
        // Half a minute later nobody waits any more.
        datagrams.take(Link::Ethernet, &frame(&first, 1));
        let rest = ethernet(0x0800, &ipv4_at(17, 6, &whole[48..]));
        assert_eq!(datagrams.take(Link::Ethernet, &frame(&rest, 32)), None);
        assert_eq!(datagrams.lost(), 2);
    }

    #[test]
    fn many_beginnings_do_not_fill_the_memory() {
        let mut datagrams = Datagrams::default();
        for id in 0..3000u16 {
            let mut bytes = ipv4_at(17, 0x2000, &[0; 1400]);
            bytes[4..6].copy_from_slice(&id.to_be_bytes());
            let bytes = ethernet(0x0800, &bytes);
            datagrams.take(Link::Ethernet, &frame(&bytes, 1));
            assert!(datagrams.waiting() <= Datagrams::LIMIT);
            assert!(datagrams.bytes <= Datagrams::MEMORY);
        }
        assert!(datagrams.lost() > 1900);
    }

    #[test]
    fn one_that_waits_does_not_keep_the_places_of_those_that_were_whole() {
        let mut datagrams = Datagrams::default();
        let mut pass = |id: u16, place: u16, text: &[u8]| {
            let mut bytes = ipv4_at(17, place, text);
            bytes[4..6].copy_from_slice(&id.to_be_bytes());
            let bytes = ethernet(0x0800, &bytes);
            let is_whole = datagrams.take(Link::Ethernet, &frame(&bytes, 1)).is_some();
            (is_whole, datagrams.begun.len())
        };
        pass(0, 0x2000, &[0; 8]);
        for id in 1..10_000 {
            assert!(!pass(id, 0x2000, &[0; 8]).0);
            let (is_whole, places) = pass(id, 1, &[0; 8]);
            assert!(is_whole && places <= 2 * Datagrams::LIMIT);
        }
        assert!(pass(0, 1, &[0; 8]).0, "the first is still waited for");
    }

    proptest! {
        #[test]
        fn any_pieces_stay_bounded_and_add_up(
            all in proptest::collection::vec((0u16..40, 0usize..10, any::<bool>()), 0..60),
        ) {
            let mut datagrams = Datagrams::default();
            for (place, eights, more) in all {
                let flags = if more { 0x2000 } else { 0 };
                let bytes = ethernet(0x0800, &ipv4_at(17, flags | place, &vec![1; eights * 8]));
                if let Some(whole) = datagrams.take(Link::Ethernet, &frame(&bytes, 1)) {
                    prop_assert!(whole.bytes.len() <= 20 + 65_535);
                }
                let held: usize = datagrams.parts.values().map(Parts::cost).sum();
                prop_assert_eq!(datagrams.bytes, held);
            }
        }
    }
}
