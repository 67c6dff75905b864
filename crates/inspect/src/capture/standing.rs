//! Whether a TCP segment is of a conversation, or begins the next one of the same ends.
//!
//! A SYN alone proves nothing: anybody can send one for two ends that talk, and the receiver
//! answers it with an acknowledgement of the old numbers (RFC 9293, 3.10.7.4; RFC 5961, 4). So
//! while a conversation lives, a SYN of another number is kept apart, until somebody who got it
//! acknowledges that number.

use super::conversations::{Opening, Relative};
use super::packet::{Flags, Tcp};
use crate::model::Timestamp;

/// No closer than this to the numbers of a conversation, and nobody takes a number for its own: a
/// reset from there resets nothing (RFC 5961, 3.2).
const NEAR: u32 = 1 << 20;
/// Of a conversation so long silent nothing is left: a keep-alive would have come
/// (net.ipv4.tcp_keepalive_time).
const SILENCE: i64 = 7_200_000_000_000;
/// A SYN that nobody answered is given up by who asked, if another comes so long after it.
const UNANSWERED: i64 = 3_000_000_000;

/// So long after the end a FIN may come again that was not acknowledged (TCP_RTO_MIN twice, and
/// some).
const LINGERS: i64 = 1_000_000_000;

/// Where a segment belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// To the conversation.
    Within,
    /// A SYN of another number while the conversation lives.
    Amid,
    /// It is the first of a new one, or the first after a SYN that had passed amid the old.
    Beginning(Option<Unproven>),
}

/// How far a TCP conversation has come.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    sides: [Side; 2],
    /// Who broke off.
    reset: Option<u8>,
    latest: Timestamp,
    unproven: Option<Box<Unproven>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Side {
    /// The number of its SYN, seen or concluded.
    base: Option<u32>,
    /// What it sends next, or what the other side waits for.
    next: u32,
    /// It has sent something.
    is_seen: bool,
    /// And that was more than a SYN.
    has_spoken: bool,
    is_finished: bool,
}

/// A SYN that passed amid a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unproven {
    place: u8,
    seq: u32,
    /// What a SYN ACK acknowledged.
    ack: Option<u32>,
    time: Timestamp,
}

impl Unproven {
    /// Which of the two ends opened.
    pub(super) fn client(self) -> usize {
        let sender = usize::from(self.place);
        match self.ack {
            Some(_) => 1 - sender,
            None => sender,
        }
    }

    /// The SYN without ACK, where that was it.
    pub(super) fn opening(self) -> Option<Opening> {
        let Self { seq, time, .. } = self;
        self.ack.is_none().then_some(Opening { time, seq })
    }
}

fn is_near(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed().unsigned_abs() <= NEAR
}

fn number(place: usize) -> u8 {
    u8::from(place == 1)
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            sides: [Side::default(); 2],
            reset: None,
            latest: Timestamp::from_nanos(i64::MAX),
            unproven: None,
        }
    }
}

impl Standing {
    /// That of a conversation that began with this SYN.
    pub(super) fn after(syn: Unproven) -> Self {
        let mut standing = Self::default();
        let place = usize::from(syn.place == 1);
        standing.sides[place].open(syn.seq);
        if let Some(ack) = syn.ack {
            standing.sides[1 - place].open(ack.wrapping_sub(1));
        }
        standing
    }

    /// Where a segment from this place belongs.
    pub(super) fn weigh(
        &self,
        place: usize,
        tcp: &Tcp,
        now: Timestamp,
        opening_seen: bool,
    ) -> Place {
        if !tcp.flags.has(Flags::SYN) {
            return match self.unproven.as_deref().copied() {
                Some(syn) if self.proves(place, tcp, syn) => Place::Beginning(Some(syn)),
                _ => Place::Within,
            };
        }
        match self.sides[place].base {
            // The same again, or late.
            Some(base) if base == tcp.seq => Place::Within,
            _ if self.is_over_at(now) => Place::Beginning(None),
            // The answer, or both open at once (RFC 9293, 3.5): the other's SYN was seen.
            None if opening_seen => Place::Within,
            _ => {
                let acked = |syn: &Unproven| {
                    let of_other = usize::from(syn.place) != place;
                    of_other && syn.ack.is_none() && tcp.ack == syn.seq.wrapping_add(1)
                };
                match self.unproven.as_deref().copied().filter(acked) {
                    Some(syn) if tcp.flags.has(Flags::ACK) => Place::Beginning(Some(syn)),
                    _ => Place::Amid,
                }
            }
        }
    }

    /// Whether a segment without SYN comes from who took this SYN for a beginning.
    fn proves(&self, place: usize, tcp: &Tcp, syn: Unproven) -> bool {
        let sender = usize::from(syn.place);
        if place == sender {
            // Only this side passes here, and goes on from there.
            let is_alone = !self.sides[1 - place].is_seen;
            return is_alone && syn.ack.is_none() && tcp.seq == syn.seq.wrapping_add(1);
        }
        if !tcp.flags.has(Flags::ACK) {
            return false;
        }
        match syn.ack {
            Some(ack) => tcp.ack == syn.seq.wrapping_add(1) && tcp.seq == ack,
            // The SYN ACK has not passed here, or the SYN was refused.
            None => {
                let taken = tcp.ack.wrapping_sub(syn.seq);
                (1..=NEAR).contains(&taken) && !is_near(tcp.ack, self.sides[sender].next)
            }
        }
    }

    fn is_over_at(&self, now: Timestamp) -> bool {
        let [one, other] = &self.sides;
        // Of a side that does not pass here no close does.
        let is_closed = [one, other]
            .iter()
            .all(|side| side.is_finished || !side.is_seen);
        if self.reset.is_some() || is_closed {
            return true;
        }
        let is_unanswered = one.is_seen != other.is_seen && !(one.has_spoken || other.has_spoken);
        let patience = if is_unanswered { UNANSWERED } else { SILENCE };
        self.silence(now) > patience
    }

    fn silence(&self, now: Timestamp) -> i64 {
        now.as_nanos().saturating_sub(self.latest.as_nanos())
    }

    /// Whether it has ended, and nothing of it is to be expected: no close sent again.
    pub(super) fn is_done(&self, now: Timestamp) -> bool {
        let has_closed = self.sides.iter().all(|side| side.is_finished);
        (has_closed || self.reset.is_some()) && self.silence(now) > LINGERS
    }

    /// Takes down a SYN that is no part of the conversation, as far as known.
    pub(super) fn keep_apart(&mut self, place: usize, tcp: &Tcp, now: Timestamp) {
        self.unproven = Some(Box::new(Unproven {
            place: number(place),
            seq: tcp.seq,
            ack: tcp.flags.has(Flags::ACK).then_some(tcp.ack),
            time: now,
        }));
    }

    /// Takes down a segment of the conversation.
    pub(super) fn note(&mut self, place: usize, tcp: &Tcp, length: u32, now: Timestamp) {
        let flags = tcp.flags;
        let opens = flags.has(Flags::SYN);
        self.latest = match self.latest {
            never if never.as_nanos() == i64::MAX => now,
            latest => latest.max(now),
        };
        let this = &mut self.sides[place];
        let is_known = this.base.is_some();
        let is_near = !is_known || is_near(tcp.seq, this.next);
        if flags.has(Flags::RST) && is_near {
            self.reset.get_or_insert(number(place));
        }
        match (opens, this.base) {
            (true, base) if base != Some(tcp.seq) => this.open(tcp.seq),
            (false, None) => this.open(tcp.seq.wrapping_sub(1)),
            _ => {}
        }
        this.is_seen = true;
        this.has_spoken |= !opens;
        this.is_finished |= flags.has(Flags::FIN) && is_near;
        let takes = length.wrapping_add(u32::from(opens) + u32::from(flags.has(Flags::FIN)));
        // Far ahead it is only what the other side acknowledges, where that passes here.
        if is_near || !self.sides[1 - place].is_seen {
            self.sides[place].reach(tcp.seq.wrapping_add(takes));
        }
        // Who speaks on has not broken off.
        if length > 0 && self.reset == Some(number(place)) {
            self.reset = None;
        }
        // What is acknowledged tells where the other side stands, though it has not spoken.
        let other = &mut self.sides[1 - place];
        if flags.has(Flags::ACK) {
            match other.base {
                Some(_) => other.reach(tcp.ack),
                None if !opens => other.open(tcp.ack.wrapping_sub(1)),
                None => {}
            }
        }
    }

    /// The numbers of a segment from this place, from the beginning.
    pub(super) fn relative(&self, place: usize, tcp: &Tcp) -> Relative {
        let from = |place: usize, number: u32| {
            let base = self.sides[place].base;
            base.map(|base| number.wrapping_sub(base))
        };
        let ack = from(1 - place, tcp.ack);
        Relative {
            seq: from(place, tcp.seq),
            ack: ack.filter(|_| tcp.flags.has(Flags::ACK)),
        }
    }
}

impl Side {
    fn open(&mut self, seq: u32) {
        self.base = Some(seq);
        self.next = seq.wrapping_add(1);
    }

    fn reach(&mut self, next: u32) {
        if next.wrapping_sub(self.next).cast_signed() > 0 {
            self.next = next;
        }
    }
}
