//! Which packets belong together, who opened, and numbers relative to the beginning.
//!
//! The table is bounded: behind [`Conversations::LIMIT`] the one that was quiet for long makes
//! room (second chance, which needs no order to be kept for each packet), and behind
//! [`Conversations::ROOMY`] one that is over, if there is one at hand. Should it speak again it
//! gets a new number, as a conversation that began earlier.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use super::fragments::{Firsts, joining_protocol};
use super::packet::{Content, Flags, Packet, Quoted};
use super::standing::{Place, Standing};
use crate::model::{Endpoint, Protocol, Timestamp};

/// Which way a packet goes within its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the side that opened: `→`.
    Forth,
    /// From the other side: `←`.
    Back,
}

/// All packets between two ends; `T` is what the caller remembers of it.
#[derive(Debug, Clone)]
pub struct Conversation<T> {
    /// Counts from 1, in order of appearance.
    pub number: u64,
    /// What the caller remembers.
    pub note: T,
    key: Key,
    client: u8,
    opening_seen: bool,
    standing: Standing,
}

impl<T> Conversation<T> {
    /// The side that opened, and the other.
    pub fn ends(&self) -> (Endpoint, Endpoint) {
        let client = usize::from(self.client);
        (self.key.end(client), self.key.end(1 - client))
    }

    /// Whether the opening was seen; without it, who opened is a guess until
    /// [`Self::set_client`].
    pub fn opening_seen(&self) -> bool {
        self.opening_seen
    }

    /// Says who opened, for a conversation that began earlier.
    pub fn set_client(&mut self, client: Endpoint) {
        self.client = u8::from(!self.key.is_end(0, client));
    }

    /// The direction of a packet from this end.
    pub fn direction(&self, source: Endpoint) -> Direction {
        if self.key.is_end(usize::from(self.client), source) {
            Direction::Forth
        } else {
            Direction::Back
        }
    }
}

/// Numbers counted from the beginning of the conversation, as Wireshark does: the SYN is 0, the
/// first payload byte 1. Where the SYN was not seen, the first segment that was begins at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relative {
    /// Sequence number.
    pub seq: Option<u32>,
    /// Acknowledgement, from 1 where the other side was not seen; `None` without the flag, or
    /// on a SYN ACK without its SYN.
    pub ack: Option<u32>,
}

/// A packet's place.
#[derive(Debug)]
pub struct Seen<'t, T> {
    /// Its conversation.
    pub conversation: &'t mut Conversation<T>,
    /// Whether this packet is the first of it.
    pub is_new: bool,
    /// For TCP, its numbers.
    pub relative: Relative,
    /// Which of the conversation's ends sent it. A later piece of a datagram has no ports of its
    /// own, and those of the first.
    pub source: Endpoint,
    /// What was remembered of the conversation that made room for this one.
    pub displaced: Option<T>,
    /// That one may go on: there was no room for all. It will count as another.
    pub is_crowded: bool,
    /// A SYN, with or without ACK, of another number than the conversation's, while that goes on:
    /// whoever does not know the numbers may have sent it, and the receiver takes nothing of it
    /// (RFC 9293, 3.10.7.4).
    pub is_amid: bool,
    /// The SYN that began this new conversation, where it passed as one amid the conversation
    /// before, and only this packet shows what it was.
    pub opening: Option<Opening>,
}

/// A SYN that passed before it was known what it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// When it passed.
    pub time: Timestamp,
    /// Its sequence number.
    pub seq: u32,
}

/// The conversations of a capture.
#[derive(Debug)]
pub struct Conversations<T> {
    places: HashMap<Key, usize, Seeded>,
    slots: Vec<Slot<T>>,
    hand: usize,
    last: usize,
    count: u64,
    /// The ends of datagrams of which pieces may still pass.
    pieces: Firsts<Ends>,
}

/// Source and destination of a packet, and its IP protocol.
type Ends = (Endpoint, Endpoint, u8);

#[derive(Debug)]
struct Slot<T> {
    spoke: bool,
    conversation: Conversation<T>,
}

/// Both ends in a fixed order, and the IP protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    /// Each as its upper half and its lower.
    addresses: [[u64; 2]; 2],
    ports_and_protocol: u64,
}

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for half in self.addresses.as_flattened() {
            state.write_u64(*half);
        }
        state.write_u64(self.ports_and_protocol);
    }
}

fn number(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(address) => [0, u64::from(u32::from(address))],
        IpAddr::V6(address) => {
            let [low, high] = halves(u128::from(address));
            [high, low]
        }
    }
}

impl Key {
    /// The key, and at which of its places the source stands.
    fn of(source: Endpoint, destination: Endpoint, protocol: u8) -> (Self, usize) {
        let from = (number(source.address), source.port);
        let to = (number(destination.address), destination.port);
        let (first, second, place) = if from <= to {
            (from, to, 0)
        } else {
            (to, from, 1)
        };
        let family = u64::from(source.address.is_ipv6());
        let key = Self {
            addresses: [first.0, second.0],
            ports_and_protocol: u64::from(first.1)
                | u64::from(second.1) << 16
                | u64::from(protocol) << 32
                | family << 40,
        };
        (key, place)
    }

    fn port(&self, place: usize) -> u16 {
        let [.., a, b, c, d] = self.ports_and_protocol.to_be_bytes();
        match place {
            0 => u16::from_be_bytes([c, d]),
            _ => u16::from_be_bytes([a, b]),
        }
    }

    fn is_v6(&self) -> bool {
        self.ports_and_protocol >> 40 != 0
    }

    fn is_end(&self, place: usize, end: Endpoint) -> bool {
        self.port(place) == end.port
            && self.addresses[place] == number(end.address)
            && self.is_v6() == end.address.is_ipv6()
    }

    fn end(&self, place: usize) -> Endpoint {
        let [high, low] = self.addresses[place];
        let address = match u32::try_from(low) {
            Ok(number) if !self.is_v6() => IpAddr::V4(number.into()),
            _ => IpAddr::V6((u128::from(high) << 64 | u128::from(low)).into()),
        };
        Endpoint::new(address, self.port(place))
    }
}

pub(super) fn ip_protocol(packet: &Packet<'_>) -> u8 {
    match &packet.content {
        Content::Segment(segment) if segment.protocol == Protocol::Tcp => 6,
        Content::Segment(_) => 17,
        Content::Datagram(datagram) => datagram.protocol,
        Content::Arp(_) | Content::Llc(_) | Content::Other(_) => 0,
    }
}

impl<T: Default> Default for Conversations<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Default> Conversations<T> {
    /// Conversations remembered at once.
    pub const LIMIT: usize = 65_536;
    /// So many are remembered though they are over.
    pub const ROOMY: usize = 16_384;
    /// How many are looked at for one that is over, for each that begins.
    const AT_HAND: usize = 4;

    /// None yet.
    pub fn new() -> Self {
        Self {
            places: HashMap::with_hasher(Seeded::new()),
            slots: Vec::new(),
            hand: 0,
            last: 0,
            count: 0,
            pieces: Firsts::default(),
        }
    }

    /// Conversations seen so far, forgotten ones included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The conversation between two ends, by the protocol of IP, where it is remembered.
    pub fn between(
        &mut self,
        one: Endpoint,
        other: Endpoint,
        protocol: u8,
    ) -> Option<&mut Conversation<T>> {
        let (key, _) = Key::of(one, other, protocol);
        let index = *self.places.get(&key)?;
        self.slots.get_mut(index).map(|slot| &mut slot.conversation)
    }

    /// Finds the conversation of a packet, or begins one. `None` for what is not IP, and for an
    /// ICMP error, which is about a conversation and no part of it.
    pub fn see(&mut self, packet: &Packet<'_>) -> Option<Seen<'_, T>> {
        if packet.icmp_error().is_some() {
            return None;
        }
        let (source, destination, protocol) = self.ends(packet)?;
        let (key, place) = Key::of(source, destination, protocol);
        let tcp = packet.segment().and_then(|segment| segment.tcp);
        let flags = tcp.map_or(Flags::default(), |tcp| tcp.flags);

        let found = match self.slots.get(self.last) {
            Some(slot) if slot.conversation.key == key => Some(self.last),
            _ => self.places.get(&key).copied(),
        };
        let weighed = match (found, tcp) {
            (Some(index), Some(tcp)) => {
                let conversation = &self.slots[index].conversation;
                let opening_seen = conversation.opening_seen;
                let standing = &conversation.standing;
                standing.weigh(place, &tcp, packet.time, opening_seen)
            }
            (Some(_), None) => Place::Within,
            (None, _) => Place::Beginning(None),
        };
        let (index, displaced, is_crowded) = match (found, weighed) {
            (Some(index), Place::Within | Place::Amid) => (index, None, false),
            (found, _) => {
                self.count += 1;
                let mut conversation = begin(self.count, key, place, flags);
                if let Place::Beginning(Some(syn)) = weighed {
                    conversation.client = u8::from(syn.client() == 1);
                    conversation.opening_seen = true;
                    conversation.standing = Standing::after(syn);
                }
                let slot = Slot {
                    // Who speaks once is the first to make room, or a scan would clear the table.
                    spoke: false,
                    conversation,
                };
                self.place(slot, found, packet.time)
            }
        };
        let is_new = matches!(weighed, Place::Beginning(_));
        self.last = index;
        let slot = &mut self.slots[index];
        slot.spoke |= !is_new;
        let conversation = &mut slot.conversation;
        let is_amid = weighed == Place::Amid;
        let relative = tcp.map_or(Relative::default(), |tcp| {
            let length = packet.segment().and_then(|segment| segment.length);
            let standing = &mut conversation.standing;
            if is_amid {
                standing.keep_apart(place, &tcp, packet.time);
            } else {
                standing.note(place, &tcp, length.unwrap_or(0), packet.time);
            }
            standing.relative(place, &tcp)
        });
        let opening = match weighed {
            Place::Beginning(Some(syn)) => syn.opening(),
            _ => None,
        };
        Some(Seen {
            conversation,
            is_new,
            relative,
            source,
            displaced,
            is_crowded,
            is_amid,
            opening,
        })
    }

    /// What is remembered of each.
    pub fn notes(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|slot| &slot.conversation.note)
    }

    /// The conversation of the packet that an ICMP error quotes, where it is remembered.
    pub fn of_quoted(&self, quoted: &Quoted) -> Option<&Conversation<T>> {
        let (from, to) = quoted.ports.unwrap_or_default();
        let source = Endpoint::new(quoted.source, from);
        let destination = Endpoint::new(quoted.destination, to);
        let (key, _) = Key::of(source, destination, quoted.protocol);
        let index = self.places.get(&key)?;
        self.slots.get(*index).map(|slot| &slot.conversation)
    }

    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Between whom a packet is. The later pieces of a datagram are between those of the first.
    fn ends(&mut self, packet: &Packet<'_>) -> Option<Ends> {
        let (source, destination) = packet.ends()?;
        let ends = (source, destination, ip_protocol(packet));
        let Some(fragment) = packet.fragment() else {
            return Some(ends);
        };
        let joining = joining_protocol(packet);
        let pieces = (source.address, destination.address, joining, fragment.id);
        if fragment.offset == 0 {
            self.pieces.keep(pieces, ends);
            return Some(ends);
        }
        let first = self.pieces.of_later(&pieces, fragment.more, packet.time);
        Some(first.unwrap_or(ends))
    }

    /// Stores a new conversation, over the old one of the same ends, or over a quiet one, of
    /// which it gives what was remembered, and whether it may go on.
    fn place(
        &mut self,
        slot: Slot<T>,
        same: Option<usize>,
        now: Timestamp,
    ) -> (usize, Option<T>, bool) {
        let over = match same {
            None if self.slots.len() >= Self::ROOMY => self.one_that_is_over(now),
            _ => None,
        };
        let index = match same {
            Some(index) => index,
            None if over.is_none() && self.slots.len() < Self::LIMIT => {
                self.places.insert(slot.conversation.key, self.slots.len());
                self.slots.push(slot);
                return (self.slots.len() - 1, None, false);
            }
            None => {
                let index = over.unwrap_or_else(|| self.quiet_one());
                self.places.remove(&self.slots[index].conversation.key);
                self.places.insert(slot.conversation.key, index);
                index
            }
        };
        let old = std::mem::replace(&mut self.slots[index], slot);
        let is_crowded =
            same.is_none() && over.is_none() && !old.conversation.standing.is_done(now);
        (index, Some(old.conversation.note), is_crowded)
    }

    /// Of the next few one that is over, and of which nothing is to come any more.
    fn one_that_is_over(&mut self, now: Timestamp) -> Option<usize> {
        for _ in 0..Self::AT_HAND {
            self.hand = (self.hand + 1) % self.slots.len();
            let conversation = &self.slots[self.hand].conversation;
            if conversation.standing.is_done(now) {
                return Some(self.hand);
            }
        }
        None
    }

    /// Goes round until one has not spoken since it was last passed.
    fn quiet_one(&mut self) -> usize {
        loop {
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[self.hand];
            if !std::mem::take(&mut slot.spoke) {
                return self.hand;
            }
        }
    }
}

/// A conversation of which this is the first packet. Who opened: who sends the SYN, or gets the
/// SYN ACK; else the higher port is taken for the client, and of equals who speaks first.
fn begin<T: Default>(number: u64, key: Key, place: usize, flags: Flags) -> Conversation<T> {
    let opening_seen = flags.has(Flags::SYN);
    let client = match (opening_seen, key.port(0).cmp(&key.port(1))) {
        (true, _) if flags.has(Flags::ACK) => 1 - place,
        (true, _) | (false, std::cmp::Ordering::Equal) => place,
        (false, std::cmp::Ordering::Greater) => 0,
        (false, std::cmp::Ordering::Less) => 1,
    };
    Conversation {
        number,
        note: T::default(),
        key,
        client: u8::from(client == 1),
        opening_seen,
        standing: Standing::default(),
    }
}

/// Folded multiplication: a few nanoseconds a packet, where the standard hash takes tens. The
/// seed is random, so that nobody can send ends that fall together.
#[derive(Debug, Clone)]
struct Seeded(u64);

impl Seeded {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0u8) | 1)
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded {
            state: self.0,
            seed: self.0,
        }
    }
}

#[derive(Debug)]
struct Folded {
    state: u64,
    seed: u64,
}

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, value: u64) {
        let product =
            u128::from(self.state ^ value) * u128::from(self.seed ^ 0x9e37_79b9_7f4a_7c15);
        let [low, high] = halves(product);
        self.state = low ^ high;
    }
}

fn halves(value: u128) -> [u64; 2] {
    let bytes = value.to_le_bytes();
    let part = |at: usize| {
        bytes
            .get(at..at + 8)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_le_bytes)
    };
    [part(0), part(8)]
}
