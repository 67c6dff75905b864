//! Pieces of one direction that are ahead of what was handed on.

use std::collections::BTreeMap;

use super::half::{behind, upto};
use crate::model::Timestamp;

/// What keeping a piece costs beside its bytes: its place in the tree, and the allocator's.
const PIECE: usize = 96;

/// Pieces by their offsets; they do not overlap.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<u64, Piece>);

#[derive(Debug)]
pub(super) struct Piece {
    pub(super) time: Timestamp,
    pub(super) bytes: Box<[u8]>,
    /// How many there were on the wire.
    pub(super) length: u64,
}

impl Piece {
    /// What keeping it costs.
    pub(super) fn cost(&self) -> usize {
        PIECE + self.bytes.len()
    }
}

/// What became of a piece.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What keeping it costs.
    pub(super) cost: usize,
    /// Where it says something else than what is kept already, and what.
    pub(super) conflicts: Vec<(u64, Box<[u8]>)>,
    /// Such places for which there was no room.
    pub(super) more: u64,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the first begins.
    pub(super) fn begin(&self) -> Option<u64> {
        self.0.first_key_value().map(|(offset, _)| *offset)
    }

    /// Behind the last, and when the first passed.
    pub(super) fn end(&self) -> Option<(u64, Timestamp)> {
        let (_, first) = self.0.first_key_value()?;
        let (offset, last) = self.0.last_key_value()?;
        Some((offset + last.length, first.time))
    }

    /// Takes the first, if it begins at this place or before.
    pub(super) fn take(&mut self, upto: u64) -> Option<(u64, Piece)> {
        let first = self.0.first_entry()?;
        (*first.key() <= upto).then(|| first.remove_entry())
    }

    /// Keeps a piece; of what overlaps, what came first. Tells at most `room` conflicts.
    pub(super) fn keep(
        &mut self,
        time: Timestamp,
        offset: u64,
        payload: &[u8],
        length: u64,
        room: usize,
    ) -> Kept {
        let end = offset + length;
        let mut kept = Kept::default();
        let mut at = offset;
        while at < end {
            // The piece that reaches over this place, or the next behind it.
            let before = self.0.range(..=at).next_back();
            if let Some((from, piece)) = before
                && from + piece.length > at
            {
                let stop = (from + piece.length).min(end);
                let ours = upto(behind(payload, at - offset), stop - at);
                let theirs = upto(behind(&piece.bytes, at - from), stop - at);
                if let Some((first, last)) = differing(ours, theirs) {
                    if kept.conflicts.len() < room {
                        let bytes = ours[first..=last].into();
                        kept.conflicts.push((at + first as u64, bytes));
                    } else {
                        kept.more += 1;
                    }
                }
                at = stop;
                continue;
            }
            let next = self.0.range(at..).next().map(|(from, _)| *from);
            let stop = next.map_or(end, |next| next.min(end));
            let piece = Piece {
                time,
                bytes: upto(behind(payload, at - offset), stop - at).into(),
                length: stop - at,
            };
            kept.cost += piece.cost();
            self.0.insert(at, piece);
            at = stop;
        }
        kept
    }
}

/// The first and the last place where two texts differ, as far as both go.
fn differing(one: &[u8], other: &[u8]) -> Option<(usize, usize)> {
    let pairs = || one.iter().zip(other);
    let common = one.len().min(other.len());
    let first = pairs().position(|(a, b)| a != b)?;
    let last = one[..common]
        .iter()
        .zip(&other[..common])
        .rposition(|(a, b)| a != b)?;
    Some((first, last))
}
