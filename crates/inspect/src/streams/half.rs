//! One direction of a conversation.

mod missing;

use super::gaps::Gaps;
use super::held::Held;
use super::recent::{NONE, Place, Recent};
use super::{Counts, Part, Why};
use crate::capture::{Flags, Tcp};
use crate::model::Timestamp;

/// Further ahead than this nothing can be: no window is larger (RFC 7323, 2.3).
const AHEAD: u64 = 1 << 30;
/// Conflicts that are told of one direction: whoever sends them would make a line of each.
const CONFLICTS: usize = 32;
/// So long what was acknowledged may still be captured, nanoseconds.
const QUEUES: i64 = 5_000_000;
/// Strays that follow each other so closely, and so many of them, are the stream itself after a
/// hole that is larger than any window.
const STRAY: u32 = 1 << 20;
const STRAYS: u8 = 3;

/// What all streams share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Bytes that wait, with what keeping them costs.
    pub(super) used: usize,
    limit: usize,
    pub(super) counts: Counts,
    recent: Recent,
}

impl Shared {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            used: 0,
            limit,
            counts: Counts::default(),
            recent: Recent::default(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.used > self.limit
    }
}

/// Where parts go.
type Out<'o> = &'o mut dyn FnMut(Timestamp, Part<'_>);

/// One direction. Offsets count from the first byte, so that they never wrap.
#[derive(Debug)]
pub(super) struct Half {
    /// The sequence number of offset 0.
    base: Option<u32>,
    /// What is handed on next.
    next: u64,
    /// What the other side has acknowledged.
    acked: u64,
    /// Where it ends.
    end: Option<u64>,
    is_closed: bool,
    is_reset: bool,
    /// Its SYN was seen.
    is_whole: bool,
    /// The other side has acknowledged what was seen first, or something behind it.
    is_heard: bool,
    /// When the first segment passed.
    began: Timestamp,
    /// Its last record in what was handed on.
    last: Place,
    trouble: Option<Box<Trouble>>,
}

/// What most streams never have.
#[derive(Debug, Default)]
struct Trouble {
    /// What a bare acknowledgement says it has, and when: what passes on two queues of a network
    /// card may be captured in another order than it passed.
    promised: Option<(u64, Timestamp)>,
    /// Behind the latest stray, and how many followed each other.
    stray: Option<(u32, u8)>,
    held: Held,
    /// A gap that is not told yet: the next may be part of the same.
    untold: Option<Untold>,
    gaps: Gaps,
    /// Conflicts that were told, and that were not.
    conflicts: usize,
    more_conflicts: u64,
}

#[derive(Debug, Clone, Copy)]
struct Untold {
    time: Timestamp,
    offset: u64,
    length: u64,
    why: Why,
}

impl Default for Half {
    fn default() -> Self {
        Self {
            base: None,
            next: 0,
            acked: 0,
            end: None,
            is_closed: false,
            is_reset: false,
            is_whole: false,
            is_heard: false,
            began: Timestamp::from_nanos(0),
            last: NONE,
            trouble: None,
        }
    }
}

/// The last 32 bits, of which sequence numbers have no more.
fn low(number: u64) -> u32 {
    let [.., a, b, c, d] = number.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

impl Half {
    /// Whether anything of it passed here.
    pub(super) fn is_seen(&self) -> bool {
        self.base.is_some()
    }

    /// Whether something is held, or not told.
    pub(super) fn waits(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| {
            trouble.promised.is_some() || !trouble.held.is_empty() || trouble.untold.is_some()
        })
    }

    /// How far a sequence number is from what is handed on next.
    fn distance(&self, base: u32, seq: u32) -> i64 {
        i64::from(
            seq.wrapping_sub(base.wrapping_add(low(self.next)))
                .cast_signed(),
        )
    }

    pub(super) fn datagram(
        &mut self,
        time: Timestamp,
        payload: &[u8],
        length: u32,
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        self.base.get_or_insert(0);
        self.hand_on(time, payload, length.into(), shared, out);
        self.tell_gap(shared, out);
    }

    pub(super) fn segment(
        &mut self,
        time: Timestamp,
        tcp: &Tcp,
        payload: &[u8],
        length: u32,
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        let opens = tcp.flags.has(Flags::SYN);
        // The SYN itself takes a number (RFC 9293, 3.4).
        let first = tcp.seq.wrapping_add(u32::from(opens));
        // Nothing but a reset answers what is not known here: its number says nothing of ours.
        if self.base.is_none() && tcp.flags.has(Flags::RST) {
            return;
        }
        let base = match self.base {
            Some(base) => base,
            None => {
                self.base = Some(first);
                self.is_whole = opens;
                self.began = time;
                first
            }
        };
        if length == 0 && !tcp.flags.has(Flags::FIN) {
            return;
        }
        let distance = self.distance(base, first);
        if distance.unsigned_abs() > AHEAD {
            let behind = first.wrapping_add(length);
            let trouble = self.trouble.get_or_insert_default();
            let follows = trouble
                .stray
                .filter(|(next, _)| first.wrapping_sub(*next) < STRAY);
            let count = follows.map_or(1, |(_, count)| count + 1);
            trouble.stray = Some((behind, count));
            if count < STRAYS {
                shared.counts.strays += 1;
                return;
            }
            trouble.stray = None;
            self.give_up(time, Why::NotCaptured, shared, out);
            let missing = first.wrapping_sub(base.wrapping_add(low(self.next)));
            self.gap(time, missing.into(), Why::NotCaptured, shared, out);
            self.end = None;
        }
        let distance = self.distance(base, first);
        let mut length = u64::from(length);
        let mut payload = payload;
        let offset = match self.next.checked_add_signed(distance) {
            Some(offset) => offset,
            None => {
                // Sent before the first that was seen.
                let skipped = (distance.unsigned_abs() - self.next).min(length);
                // What passed so soon behind the first, and is not known to have arrived before
                // it, has only taken another way.
                let age = time.as_nanos().saturating_sub(self.began.as_nanos());
                if self.is_whole || self.is_heard || age >= QUEUES {
                    shared.counts.before += skipped;
                } else {
                    shared.counts.swapped += skipped;
                }
                length -= skipped;
                payload = behind(payload, skipped);
                0
            }
        };
        let end = offset + length;
        if tcp.flags.has(Flags::FIN) && end >= self.next {
            self.end = Some(end);
        } else if !self.is_closed && self.end.is_some_and(|known| end > known) {
            // That was none: it goes on behind it.
            self.end = None;
        }
        if length > 0 {
            if offset > self.next {
                self.hold(time, offset, payload, length, shared, out);
            } else {
                let known = (self.next - offset).min(length);
                if known > 0 {
                    self.again(time, offset, payload, known, shared, out);
                }
                if length > known {
                    let new = behind(payload, known);
                    self.hand_on(time, new, length - known, shared, out);
                    self.release(shared, out);
                }
            }
        }
        if let Some(trouble) = &mut self.trouble
            && trouble.promised.is_some_and(|(to, _)| to <= self.next)
        {
            trouble.promised = None;
        }
        self.close(time, shared, out);
    }

    /// Bytes in order.
    fn hand_on(
        &mut self,
        time: Timestamp,
        payload: &[u8],
        length: u64,
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        let payload = upto(payload, length);
        if !payload.is_empty() {
            self.tell_gap(shared, out);
            let offset = self.next;
            out(
                time,
                Part::Bytes {
                    offset,
                    bytes: payload,
                },
            );
            self.last = shared.recent.keep(self.last, offset, payload);
            self.next += payload.len() as u64;
        }
        let missing = length.saturating_sub(payload.len() as u64);
        if missing > 0 {
            self.gap(time, missing, Why::Cut, shared, out);
        }
    }

    /// Bytes that were handed on before, or are part of a gap that was told.
    fn again(
        &mut self,
        time: Timestamp,
        offset: u64,
        payload: &[u8],
        known: u64,
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        let payload = upto(payload, known);
        let end = offset + payload.len() as u64;
        self.tell_gap_at(offset, end, shared, out);
        let gaps = self.trouble.as_mut().map(|trouble| &mut trouble.gaps);
        let Some(gaps) = gaps.filter(|gaps| !gaps.is_empty()) else {
            self.compare(time, offset, payload, shared, out);
            return;
        };
        let sorted = gaps.fill(offset, end);
        let part = |from, to| upto(behind(payload, from - offset), to - from);
        for (from, to) in sorted.late {
            shared.counts.missing -= to - from;
            let bytes = part(from, to);
            out(
                time,
                Part::Late {
                    offset: from,
                    bytes,
                },
            );
        }
        for (from, to) in sorted.rest {
            self.compare(time, from, part(from, to), shared, out);
        }
    }

    /// Bytes that were handed on before, or are part of a gap that was forgotten.
    fn compare(
        &mut self,
        time: Timestamp,
        offset: u64,
        payload: &[u8],
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        let end = offset + payload.len() as u64;
        let gaps = self.trouble.as_ref().map(|trouble| &trouble.gaps);
        if let Some((from, to)) = gaps.and_then(|gaps| gaps.forgotten(offset, end)) {
            let part = upto(behind(payload, from - offset), to - from);
            let compared = shared.recent.compare(self.last, from, part);
            shared.counts.late_untold += compared.unknown as u64;
        }
        // What is acknowledged has arrived, and what is sent again is thrown away.
        let known = payload.len() as u64;
        let skipped = self.acked.saturating_sub(offset).min(known);
        let (offset, payload) = (offset + skipped, behind(payload, skipped));
        if payload.is_empty() {
            return;
        }
        let compared = shared.recent.compare(self.last, offset, payload);
        shared.counts.uncompared += compared.unknown as u64;
        if let Some((from, to)) = compared.differ {
            self.conflict(time, offset + from as u64, &payload[from..to], shared, out);
        }
    }

    fn conflict(
        &mut self,
        time: Timestamp,
        offset: u64,
        bytes: &[u8],
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        shared.counts.conflicts += 1;
        let trouble = self.trouble.get_or_insert_default();
        if trouble.conflicts >= CONFLICTS {
            trouble.more_conflicts += 1;
            return;
        }
        trouble.conflicts += 1;
        self.tell_gap(shared, out);
        out(time, Part::Conflict { offset, bytes });
    }

    /// Keeps what is ahead.
    fn hold(
        &mut self,
        time: Timestamp,
        offset: u64,
        payload: &[u8],
        length: u64,
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        let trouble = self.trouble.get_or_insert_default();
        let room = CONFLICTS - trouble.conflicts;
        let kept = trouble.held.keep(time, offset, payload, length, room);
        shared.used += kept.cost;
        shared.counts.conflicts += kept.more;
        trouble.more_conflicts += kept.more;
        for (at, bytes) in kept.conflicts {
            self.conflict(time, at, &bytes, shared, out);
        }
    }

    /// Hands on what is held and now in order.
    fn release(&mut self, shared: &mut Shared, out: Out<'_>) {
        loop {
            let Some(trouble) = &mut self.trouble else {
                return;
            };
            let Some((offset, piece)) = trouble.held.take(self.next) else {
                return;
            };
            shared.used = shared.used.saturating_sub(piece.cost());
            let known = (self.next - offset).min(piece.length);
            if known > 0 {
                self.again(piece.time, offset, &piece.bytes, known, shared, out);
            }
            if piece.length > known {
                let new = behind(&piece.bytes, known);
                self.hand_on(piece.time, new, piece.length - known, shared, out);
            }
        }
    }

    fn close(&mut self, time: Timestamp, shared: &mut Shared, out: Out<'_>) {
        if !self.is_closed && self.end.is_some_and(|end| self.next >= end) {
            self.is_closed = true;
            self.tell_gap(shared, out);
            out(time, Part::Closed);
        }
    }

    /// Whether a sequence number may be one of this direction's now: whoever does not know them
    /// breaks nothing off (RFC 5961, 3.2).
    pub(super) fn is_near(&self, seq: u32) -> bool {
        const NEAR: u64 = 1 << 20;
        self.base
            .is_none_or(|base| self.distance(base, seq).unsigned_abs() <= NEAR)
    }

    pub(super) fn reset(&mut self, time: Timestamp, out: Out<'_>) {
        if !std::mem::replace(&mut self.is_reset, true) {
            out(time, Part::Reset);
        }
    }
}

pub(super) fn behind(bytes: &[u8], skipped: u64) -> &[u8] {
    let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
    bytes.get(skipped..).unwrap_or_default()
}

pub(super) fn upto(bytes: &[u8], length: u64) -> &[u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    bytes.get(..length).unwrap_or(bytes)
}
