//! The course of a conversation: what each segment means after those before it, and what went
//! wrong in all.
//!
//! A capture sees what passed, not what the programs saw: each mark says no more than the
//! segments show. Where two explanations fit, the one that Wireshark's analysis of sequence
//! numbers gives is taken ("TCP Analysis" in its User's Guide, 7.5).

use super::mark::{Mark, Troubles};
use crate::capture::{Direction, Flags, Opening, Segment, Tcp};
use crate::model::Timestamp;

/// How a conversation ended, as far as it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It goes on, or its end has not passed here.
    Open,
    /// Nobody has answered, so many tries.
    Unanswered(u32),
    /// Nothing listens there.
    Refused,
    /// One side closed, the other has not.
    HalfClosed(Direction),
    /// Both have closed; this one first.
    Closed(Direction),
    /// This side broke off.
    Reset(Direction),
}

/// What passed of a conversation so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    sides: [Side; 2],
    /// When the first and the last packet passed.
    times: [Timestamp; 2],
    tries: u32,
    /// When the first SYN passed that was answered.
    syn: Option<Timestamp>,
    handshake: Option<u64>,
    first_close: Option<Direction>,
    reset: Option<Direction>,
    is_refused: bool,
    rare: Option<Box<Rare>>,
}

/// What most conversations never have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Rare {
    troubles: Troubles,
    /// The latest of each direction, the oldest first.
    holes: [Vec<Hole>; 2],
}

/// What has not passed here: sequence numbers, and when that was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hole {
    from: u32,
    to: u32,
    noticed: Timestamp,
}

/// Holes remembered of one direction.
const HOLES: usize = 16;

impl Rare {
    /// Takes down that these numbers have passed, and what was left out before them.
    fn passed(&mut self, direction: Direction, from: u32, to: u32, hole: Option<Hole>) {
        let holes = &mut self.holes[place(direction)];
        for index in (0..holes.len()).rev() {
            let there = holes[index];
            if !(is_before(from, there.to) && is_before(there.from, to)) {
                continue;
            }
            holes.remove(index);
            let before = Hole { to: from, ..there };
            let behind = Hole { from: to, ..there };
            for left in [behind, before] {
                if is_before(left.from, left.to) {
                    holes.insert(index, left);
                }
            }
        }
        holes.extend(hole);
        while holes.len() > HOLES {
            holes.remove(0);
            self.troubles.holes_forgotten += 1;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Side {
    packets: u64,
    bytes: u64,
    is_seen: bool,
    /// What it sends next.
    next: u32,
    /// What it has acknowledged, and its window.
    ack: Option<u32>,
    window: Option<u16>,
    duplicates: u32,
    closed: bool,
    /// Bytes of the other side since it last spoke.
    unheard: u64,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            sides: [Side::default(); 2],
            times: [Timestamp::from_nanos(0); 2],
            tries: 0,
            syn: None,
            handshake: None,
            first_close: None,
            reset: None,
            is_refused: false,
            rare: None,
        }
    }
}

/// Whether a sequence number is before another, around the wrap (RFC 9293, 3.4).
fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

/// What fills a hole so soon has only taken another way; later it was sent again (Wireshark takes
/// the same, where it does not know the round trip).
const REORDERED: i64 = 3_000_000;

fn place(direction: Direction) -> usize {
    usize::from(direction == Direction::Back)
}

impl Side {
    /// Whether a sequence number may be one of this side's now.
    fn is_near(&self, seq: u32) -> bool {
        const NEAR: u32 = 1 << 20;
        let distance = seq.wrapping_sub(self.next).cast_signed();
        !self.is_seen || distance.unsigned_abs() <= NEAR
    }
}

impl Course {
    /// How soon what fills a hole has only taken another way: within a round trip, where that is
    /// known, as Wireshark has it.
    fn reordered(&self) -> i64 {
        let trip = self.handshake.and_then(|nanos| i64::try_from(nanos).ok());
        trip.unwrap_or(0).max(REORDERED)
    }

    /// Packets of the side that opened, and of the other.
    pub fn packets(&self) -> [u64; 2] {
        self.sides.map(|side| side.packets)
    }

    /// Payload bytes of both sides, those sent again included.
    pub fn bytes(&self) -> [u64; 2] {
        self.sides.map(|side| side.bytes)
    }

    /// When the first packet passed.
    pub fn began(&self) -> Timestamp {
        self.times[0]
    }

    /// From the first packet to the last, nanoseconds.
    pub fn duration(&self) -> u64 {
        let [first, last] = self.times.map(Timestamp::as_nanos);
        u64::try_from(last.saturating_sub(first)).unwrap_or(0)
    }

    /// From the SYN to the acknowledgement of its answer, nanoseconds: one round trip, wherever
    /// between the two ends this was captured. `None` where it did not pass whole.
    pub fn handshake(&self) -> Option<u64> {
        self.handshake
    }

    /// What went wrong.
    pub fn troubles(&self) -> Troubles {
        // An answer to the first SYN may only be late.
        let unanswered = matches!(self.ending(), Ending::Unanswered(2..));
        Troubles {
            unanswered: unanswered.into(),
            ..self
                .rare
                .as_ref()
                .map_or(Troubles::default(), |rare| rare.troubles)
        }
    }

    /// How it ended, as far as it has.
    pub fn ending(&self) -> Ending {
        let [client, server] = &self.sides;
        if self.is_refused {
            return Ending::Refused;
        }
        match (self.first_close, self.reset) {
            // What comes after a close on both sides changes nothing of it.
            (Some(first), _) if client.closed && server.closed => return Ending::Closed(first),
            (_, Some(direction)) => return Ending::Reset(direction),
            _ => {}
        }
        // Who acknowledges was answered, though that did not pass here.
        if self.tries > 0 && server.packets == 0 && client.ack.is_none() {
            return Ending::Unanswered(self.tries);
        }
        match self.first_close {
            Some(first) => Ending::HalfClosed(first),
            None => Ending::Open,
        }
    }

    /// A packet of it that is no segment, or a datagram.
    pub fn packet(&mut self, direction: Direction, time: Timestamp, length: u32) {
        if self.sides.iter().all(|side| side.packets == 0) {
            self.times[0] = time;
        }
        self.times[1] = self.times[1].max(time);
        let side = &mut self.sides[place(direction)];
        side.packets += 1;
        side.bytes += u64::from(length);
    }

    /// A segment of it passes. What it means, if it is more than the next.
    pub fn segment(
        &mut self,
        direction: Direction,
        time: Timestamp,
        segment: &Segment<'_>,
    ) -> Option<Mark> {
        let length = segment.length.unwrap_or(0);
        let is_first = self.sides[place(direction)].packets == 0;
        self.packet(direction, time, length);
        let tcp = segment.tcp?;
        let mark = self.meaning(direction, time, &tcp, length, is_first);
        self.note(direction, time, &tcp, length);
        if let Some(mark) = mark {
            self.is_refused |= mark == Mark::Refused;
            self.rare.get_or_insert_default().troubles.count(mark);
        }
        mark
    }

    /// The SYN that opened passed already, as one amid the conversation before.
    pub fn opened(&mut self, opening: Opening) {
        self.tries = 1;
        self.syn = Some(opening.time);
        let [client, _] = &mut self.sides;
        client.next = opening.seq.wrapping_add(1);
        client.is_seen = true;
    }

    /// A SYN passes amid it that is no part of it.
    pub fn syn_amid(&mut self, direction: Direction, time: Timestamp) -> Mark {
        self.packet(direction, time, 0);
        let mark = Mark::SynAmid;
        self.rare.get_or_insert_default().troubles.count(mark);
        mark
    }

    fn meaning(
        &self,
        direction: Direction,
        time: Timestamp,
        tcp: &Tcp,
        length: u32,
        is_first: bool,
    ) -> Option<Mark> {
        let [this, other] = self.both(direction);
        let flags = tcp.flags;
        if flags.has(Flags::RST) {
            let has_acknowledged = other.ack.is_some();
            if direction == Direction::Back && is_first && self.tries > 0 && !has_acknowledged {
                return Some(Mark::Refused);
            }
            // Whoever does not know the numbers breaks nothing off (RFC 5961, 3.2).
            if !this.is_near(tcp.seq) {
                return None;
            }
            // Said once: a side that has broken off answers each later segment so.
            if self.reset.is_some() {
                return None;
            }
            return match (this.closed, flags.has(Flags::ACK)) {
                (true, _) => Some(Mark::ResetAfterClose),
                (false, true) if this.unheard > 0 => Some(Mark::ResetUnread(this.unheard)),
                _ => None,
            };
        }
        if flags.has(Flags::SYN) {
            let again = !flags.has(Flags::ACK) && self.tries > 0;
            let answered_again = flags.has(Flags::ACK) && !is_first;
            return match (again, answered_again) {
                (true, _) => Some(Mark::Retried(self.tries + 1)),
                (_, true) => Some(Mark::Retransmission),
                _ => None,
            };
        }
        let takes = length + u32::from(flags.has(Flags::FIN));
        // RFC 9293, 3.8.4 and 3.8.6.1: Linux sends no byte, others send the last once more.
        let is_probe = takes == length
            && length <= 1
            && this.is_seen
            && tcp.seq.wrapping_add(1) == this.next
            && other.ack == Some(this.next);
        if is_probe {
            return Some(match other.window {
                Some(0) => Mark::WindowProbe,
                _ => Mark::KeepAlive,
            });
        }
        if this.is_seen && takes > 0 {
            if is_before(tcp.seq, this.next) {
                let end = tcp.seq.wrapping_add(takes);
                let fills = |hole: &Hole| {
                    let age = time.as_nanos().saturating_sub(hole.noticed.as_nanos());
                    is_before(tcp.seq, hole.to)
                        && is_before(hole.from, end)
                        && age < self.reordered()
                };
                let rare = self.rare.as_ref();
                if rare.is_some_and(|rare| rare.holes[place(direction)].iter().any(fills)) {
                    return Some(Mark::OutOfOrder);
                }
                return Some(Mark::Retransmission);
            } else if tcp.seq != this.next {
                return Some(Mark::AfterGap(tcp.seq.wrapping_sub(this.next)));
            } else if length == 1 && other.window == Some(0) {
                return Some(Mark::WindowProbe);
            }
        }
        if tcp.window == 0 && this.window != Some(0) {
            return Some(Mark::ZeroWindow);
        }
        if tcp.window > 0 && this.window == Some(0) {
            return Some(Mark::WindowOpen);
        }
        // RFC 5681, 2.
        let is_duplicate = takes == 0
            && flags.has(Flags::ACK)
            && this.ack == Some(tcp.ack)
            && this.window == Some(tcp.window)
            && other.is_seen
            && is_before(tcp.ack, other.next);
        is_duplicate.then(|| Mark::DuplicateAck(this.duplicates + 1))
    }

    /// Takes it down.
    fn note(&mut self, direction: Direction, time: Timestamp, tcp: &Tcp, length: u32) {
        let flags = tcp.flags;
        let opens = flags.has(Flags::SYN);
        if flags.has(Flags::RST) {
            let [this, _] = self.both(direction);
            if this.is_near(tcp.seq) || self.is_refused {
                self.reset.get_or_insert(direction);
            }
            return;
        }
        // Who speaks on has not broken off.
        if length > 0 && self.reset == Some(direction) {
            self.reset = None;
        }
        match (opens, flags.has(Flags::ACK), direction) {
            (true, false, _) => {
                self.tries += 1;
                self.syn = Some(time);
            }
            (false, true, Direction::Forth) if self.handshake.is_none() => {
                // The first acknowledgement behind the answer ends the handshake.
                if let Some(syn) = self.syn.take().filter(|_| self.sides[1].is_seen) {
                    let took = time.as_nanos().saturating_sub(syn.as_nanos());
                    self.handshake = u64::try_from(took).ok();
                }
            }
            _ => {}
        }
        let closes = flags.has(Flags::FIN);
        if closes {
            self.first_close.get_or_insert(direction);
        }
        let [this, other] = self.both_mut(direction);
        let end = tcp
            .seq
            .wrapping_add(length)
            .wrapping_add(u32::from(opens) + u32::from(closes));
        let mut hole = None;
        let new = match this.is_seen {
            true => end.wrapping_sub(this.next).cast_signed().clamp(0, i32::MAX),
            false => i32::try_from(length).unwrap_or(0),
        };
        if !this.is_seen || is_before(this.next, end) {
            if this.is_seen && is_before(this.next, tcp.seq) {
                hole = Some(Hole {
                    from: this.next,
                    to: tcp.seq,
                    noticed: time,
                });
            }
            this.next = end;
            this.is_seen = true;
        }
        this.closed |= closes;
        if length > 0 {
            this.unheard = 0;
            // What is sent again is nothing new.
            other.unheard += u64::from(new.unsigned_abs().min(length));
        }
        if flags.has(Flags::ACK) {
            let same = this.ack == Some(tcp.ack) && length == 0 && !closes;
            this.duplicates = match (same, is_before(tcp.ack, other.next)) {
                (true, true) => this.duplicates + 1,
                _ => 0,
            };
            if this.ack.is_none_or(|ack| is_before(ack, tcp.ack)) {
                this.ack = Some(tcp.ack);
            }
        }
        this.window = Some(tcp.window);
        if hole.is_some() {
            self.rare.get_or_insert_default();
        }
        if end != tcp.seq
            && let Some(rare) = &mut self.rare
        {
            rare.passed(direction, tcp.seq, end, hole);
        }
    }

    fn both(&self, direction: Direction) -> [&Side; 2] {
        let [client, server] = &self.sides;
        match direction {
            Direction::Forth => [client, server],
            Direction::Back => [server, client],
        }
    }

    fn both_mut(&mut self, direction: Direction) -> [&mut Side; 2] {
        let [client, server] = &mut self.sides;
        match direction {
            Direction::Forth => [client, server],
            Direction::Back => [server, client],
        }
    }
}

#[cfg(test)]
mod tests;
