//! Segments -> the bytes that each side said, in order, with gaps marked. Pure.
//!
//! A reader of the stream gets what the receiving program got: every byte once, in order,
//! whatever the network did to the segments. What is in order is handed on at once, out of the
//! packet itself. What is ahead waits for what is missing, until that comes; or until the other
//! side has acknowledged it, which proves that it arrived there and was missed here; or until
//! the memory for what waits is full, and the oldest hole is given up. A hole that is given up
//! is a gap of known size, never silence.
//!
//! Where two segments say different things about the same bytes, the first is kept, as Linux
//! does (`tcp_data_queue_ofo`, net/ipv4/tcp_input.c), and the second is a [`Part::Conflict`]: a
//! way to show one text to a reader of packets and another to the program.

mod course;
mod gaps;
mod half;
mod held;
mod mark;
mod recent;
#[cfg(test)]
mod tests;

pub use course::{Course, Ending};
pub use mark::{Mark, Troubles};

use std::collections::VecDeque;

use crate::capture::{Direction, Flags, Segment};
use crate::model::Timestamp;
use half::{Half, Shared};

/// A piece of what one side said, or of what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes in order.
    Bytes {
        /// Of the first, from the beginning of the stream; from the first that was seen where the
        /// beginning was not.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes that are not there.
    Gap {
        /// Of the first.
        offset: u64,
        /// How many.
        length: u64,
        /// Why they are not.
        why: Why,
    },
    /// Bytes that were sent again before they were acknowledged, and were not the same.
    Conflict {
        /// Of the first.
        offset: u64,
        /// What they were the second time.
        bytes: &'a [u8],
    },
    /// So many conflicts more that are not told one by one: of one direction only the first few
    /// are, as whoever sends them could send millions.
    MoreConflicts {
        /// How many.
        count: u64,
    },
    /// Bytes of a gap that came after all, after what follows them was handed on.
    Late {
        /// Of the first.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// It has said all it will (FIN), and all of it has been handed on.
    Closed,
    /// It broke off (RST).
    Reset,
}

/// Why bytes are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The other side has acknowledged them: they passed, and were not captured.
    NotCaptured,
    /// The snapshot length has cut them off.
    Cut,
    /// The memory for what waits was full.
    Evicted,
    /// They never came: the conversation or the capture has ended, or only one direction passes
    /// here, so that nothing tells whether they arrived.
    NeverCame,
}

impl Why {
    /// The word used in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotCaptured => "not captured",
            Self::Cut => "cut by the snapshot length",
            Self::Evicted => "given up: the memory for streams was full",
            Self::NeverCame => "never came",
        }
    }
}

/// A conversation's place in [`Streams`]. It is spent by [`Streams::finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    index: u32,
    generation: u32,
}

/// What was lost or odd, over all streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Gaps, and the bytes in them.
    pub gaps: u64,
    /// Bytes in gaps.
    pub missing: u64,
    /// Conflicts.
    pub conflicts: u64,
    /// Bytes that were sent again, and could not be compared with what was sent first.
    pub uncompared: u64,
    /// Bytes from before the first that was seen.
    pub before: u64,
    /// Bytes that belong before the first that was seen, and came so soon behind it that they had
    /// only taken another way.
    pub swapped: u64,
    /// Bytes that came late and may be of one of so many gaps that it was forgotten.
    pub late_untold: u64,
    /// Segments far outside of any window (RFC 7323, 2.3 bounds it to 1 GiB), not taken.
    pub strays: u64,
    /// Holes that were given up because the memory was full.
    pub evicted: u64,
}

/// Both directions of a conversation.
#[derive(Debug)]
struct Pair<T> {
    note: T,
    halves: [Half; 2],
    /// It stands in the queue of those that wait.
    queued: bool,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    pair: Option<Pair<T>>,
}

/// One that waits: for what is missing, or for a gap to be told.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    handle: Handle,
    since: Timestamp,
}

/// The streams of all conversations; `T` is what the caller remembers of one.
#[derive(Debug)]
pub struct Streams<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    waiting: VecDeque<Waiting>,
    shared: Shared,
}

/// Memory for what waits, unless asked otherwise, bytes.
pub const MEMORY: usize = 64 << 20;
/// A gap is told, and a hole is given up of which nobody can acknowledge the bytes, after so
/// long on the clock of the packets.
const PATIENCE: i64 = 2_000_000_000;

fn place(direction: Direction) -> usize {
    usize::from(direction == Direction::Back)
}

const DIRECTIONS: [Direction; 2] = [Direction::Forth, Direction::Back];

impl<T> Streams<T> {
    /// None yet; at most so many bytes may wait for others.
    pub fn new(memory: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            waiting: VecDeque::new(),
            shared: Shared::new(memory),
        }
    }

    /// What was lost or odd so far.
    pub fn counts(&self) -> Counts {
        self.shared.counts
    }

    /// Bytes that wait for others now, with what keeping them costs.
    pub fn waiting_bytes(&self) -> usize {
        self.shared.used
    }

    /// A conversation begins.
    pub fn open(&mut self, note: T) -> Handle {
        let pair = Pair {
            note,
            halves: [Half::default(), Half::default()],
            queued: false,
        };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot {
                    generation: 0,
                    pair: None,
                });
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.pair = Some(pair);
        Handle {
            index,
            generation: slot.generation,
        }
    }

    fn pair(&mut self, handle: Handle) -> Option<(&mut Pair<T>, &mut Shared)> {
        let slot = self.slots.get_mut(handle.index as usize)?;
        let pair = slot.pair.as_mut()?;
        (slot.generation == handle.generation).then_some((pair, &mut self.shared))
    }

    /// A segment passes. For UDP each datagram follows the one before.
    pub fn segment(
        &mut self,
        handle: Handle,
        direction: Direction,
        time: Timestamp,
        segment: &Segment<'_>,
        emit: &mut impl FnMut(&T, Direction, Timestamp, Part<'_>),
    ) {
        let Some((pair, shared)) = self.pair(handle) else {
            return;
        };
        let Pair { note, halves, .. } = pair;
        let [forth, back] = halves;
        let (this, other) = match direction {
            Direction::Forth => (forth, back),
            Direction::Back => (back, forth),
        };
        let opposite = DIRECTIONS[1 - place(direction)];
        let length = segment.length.unwrap_or(0);
        let Some(tcp) = segment.tcp else {
            this.datagram(time, segment.payload, length, shared, &mut |time, part| {
                emit(note, direction, time, part);
            });
            return;
        };
        if this.is_due(time) {
            this.keep_promise(shared, &mut |time, part| emit(note, direction, time, part));
        }
        if other.is_due(time) {
            other.keep_promise(shared, &mut |time, part| emit(note, opposite, time, part));
        }
        // What it acknowledges, it had before it said what it says.
        if tcp.flags.has(Flags::ACK) {
            let speaks = length > 0 || tcp.flags.has(Flags::FIN);
            other.acknowledged(time, tcp.ack, speaks, shared, &mut |time, part| {
                emit(note, opposite, time, part);
            });
        }
        if length > 0 || tcp.flags.0 & (Flags::FIN.0 | Flags::RST.0) != 0 {
            other.tell_gap(shared, &mut |time, part| emit(note, opposite, time, part));
        }
        let mut here = |time, part: Part<'_>| emit(note, direction, time, part);
        this.segment(time, &tcp, segment.payload, length, shared, &mut here);
        if tcp.flags.has(Flags::RST) && this.is_near(tcp.seq) {
            // Nothing more will fill the holes, of both sides.
            this.give_up(time, Why::NeverCame, shared, &mut here);
            let mut there = |time, part: Part<'_>| emit(note, opposite, time, part);
            other.give_up(time, Why::NeverCame, shared, &mut there);
            this.reset(time, &mut |time, part| emit(note, direction, time, part));
        }
        if !pair.queued && pair.halves.iter().any(Half::waits) {
            pair.queued = true;
            self.waiting.push_back(Waiting {
                handle,
                since: time,
            });
        }
        if self.shared.is_over() {
            self.evict(emit);
        }
    }

    /// The conversation is over, or not to be followed any more: what waits is handed on.
    pub fn finish(
        &mut self,
        handle: Handle,
        now: Timestamp,
        emit: &mut impl FnMut(&T, Direction, Timestamp, Part<'_>),
    ) {
        let Some((pair, shared)) = self.pair(handle) else {
            return;
        };
        for (half, direction) in pair.halves.iter_mut().zip(DIRECTIONS) {
            let note = &pair.note;
            let mut here = |time, part: Part<'_>| emit(note, direction, time, part);
            half.give_up(now, Why::NeverCame, shared, &mut here);
            half.tell_rest(now, &mut here);
        }
        let slot = &mut self.slots[handle.index as usize];
        slot.pair = None;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(handle.index);
    }

    /// Finishes all, in the order in which they stand.
    pub fn finish_all(
        &mut self,
        now: Timestamp,
        emit: &mut impl FnMut(&T, Direction, Timestamp, Part<'_>),
    ) {
        for index in 0..self.slots.len() {
            let handle = Handle {
                index: u32::try_from(index).unwrap_or(u32::MAX),
                generation: self.slots[index].generation,
            };
            self.finish(handle, now, emit);
        }
    }

    /// What time brings: gaps that nothing has come after are told, and holes given up that
    /// nobody can acknowledge.
    pub fn settle(
        &mut self,
        now: Timestamp,
        emit: &mut impl FnMut(&T, Direction, Timestamp, Part<'_>),
    ) {
        while let Some(first) = self.waiting.front().copied() {
            if now.as_nanos().saturating_sub(first.since.as_nanos()) < PATIENCE {
                return;
            }
            self.waiting.pop_front();
            let Some((pair, shared)) = self.pair(first.handle) else {
                continue;
            };
            let Pair { note, halves, .. } = pair;
            // A side that has been seen will acknowledge, or send again.
            let silent = [!halves[1].is_seen(), !halves[0].is_seen()];
            for ((half, direction), silent) in halves.iter_mut().zip(DIRECTIONS).zip(silent) {
                let mut here = |time, part: Part<'_>| emit(note, direction, time, part);
                if silent {
                    half.give_up(now, Why::NeverCame, shared, &mut here);
                } else {
                    half.keep_promise(shared, &mut here);
                    half.tell_gap(shared, &mut here);
                }
            }
            pair.queued = pair.halves.iter().any(Half::waits);
            if pair.queued {
                self.waiting.push_back(Waiting {
                    handle: first.handle,
                    since: now,
                });
            }
        }
    }

    /// Gives up the oldest holes until there is room again.
    fn evict(&mut self, emit: &mut impl FnMut(&T, Direction, Timestamp, Part<'_>)) {
        while self.shared.is_over() {
            let Some(first) = self.waiting.pop_front() else {
                return;
            };
            let Some((pair, shared)) = self.pair(first.handle) else {
                continue;
            };
            pair.queued = false;
            let Pair { note, halves, .. } = pair;
            for (half, direction) in halves.iter_mut().zip(DIRECTIONS) {
                half.give_up(first.since, Why::Evicted, shared, &mut |time, part| {
                    emit(note, direction, time, part);
                });
            }
        }
    }
}
