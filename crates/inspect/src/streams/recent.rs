//! What was handed on last, of all streams, to compare with what is sent again.
//!
//! One ring for all: nothing is allocated for a stream that is in order. Each record names the
//! one before it of the same stream, so that a stream finds its own by walking back.

/// Bytes kept.
const SIZE: usize = 4 << 20;
/// Records that are looked at before the search ends without an answer: whoever sends a million
/// pieces of one byte shall not make each later one a walk over all.
const STEPS: usize = 64;
/// Previous record, offset, length.
const HEADER: usize = 20;

/// A place in the ring, counted from the beginning of all; [`NONE`] where there is none.
pub(super) type Place = u64;
pub(super) const NONE: Place = u64::MAX;

#[derive(Debug, Default)]
pub(super) struct Recent {
    ring: Vec<u8>,
    head: u64,
}

/// One record.
#[derive(Debug, Clone, Copy)]
struct Record<'a> {
    before: Place,
    offset: u64,
    bytes: &'a [u8],
}

impl Recent {
    /// Keeps bytes of a stream whose last record is `before`; gives their place. Those of a
    /// segment too large for the ring are not kept.
    pub(super) fn keep(&mut self, before: Place, offset: u64, bytes: &[u8]) -> Place {
        let whole = HEADER + bytes.len();
        if whole > SIZE / 8 {
            return NONE;
        }
        if self.ring.is_empty() {
            self.ring.resize(SIZE, 0);
        }
        let mut at = index(self.head);
        if at + whole > SIZE {
            self.head += (SIZE - at) as u64;
            at = 0;
        }
        let place = self.head;
        let Some(room) = self.ring.get_mut(at..at + whole) else {
            return NONE;
        };
        let length = u32::try_from(bytes.len()).unwrap_or(0);
        room[..8].copy_from_slice(&before.to_ne_bytes());
        room[8..16].copy_from_slice(&offset.to_ne_bytes());
        room[16..HEADER].copy_from_slice(&length.to_ne_bytes());
        room[HEADER..].copy_from_slice(bytes);
        self.head += whole as u64;
        place
    }

    fn read(&self, place: Place) -> Option<Record<'_>> {
        // Overwritten as soon as the ring has gone round to its first byte.
        if place >= self.head || self.head - place > SIZE as u64 {
            return None;
        }
        let at = index(place);
        let header = self.ring.get(at..at + HEADER)?;
        let number = |at: usize| {
            let bytes = header.get(at..at + 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let length = u32::from_ne_bytes(header.get(16..HEADER)?.try_into().ok()?);
        Some(Record {
            before: number(0)?,
            offset: number(8)?,
            bytes: self.ring.get(at + HEADER..at + HEADER + length as usize)?,
        })
    }

    /// Compares bytes that were sent again with what was handed on; `last` is the stream's last
    /// record. Gives how many could not be compared, and the range of those that differ.
    pub(super) fn compare(&self, last: Place, offset: u64, bytes: &[u8]) -> Compared {
        let end = offset + bytes.len() as u64;
        let mut compared = 0;
        let mut differ: Option<(usize, usize)> = None;
        let mut place = last;
        for _ in 0..STEPS {
            let Some(record) = self.read(place) else {
                break;
            };
            let record_end = record.offset + record.bytes.len() as u64;
            let (from, to) = (record.offset.max(offset), record_end.min(end));
            if from < to {
                let ours = part(bytes, from - offset, to - offset);
                let theirs = part(record.bytes, from - record.offset, to - record.offset);
                compared += ours.len();
                if ours != theirs {
                    let begin = part_index(from - offset);
                    let first = ours.iter().zip(theirs).position(|(a, b)| a != b);
                    let last = ours.iter().zip(theirs).rposition(|(a, b)| a != b);
                    let first = begin + first.unwrap_or(0);
                    let after = begin + last.unwrap_or(0) + 1;
                    differ = Some(match differ {
                        Some((low, high)) => (low.min(first), high.max(after)),
                        None => (first, after),
                    });
                }
            }
            if record.offset <= offset {
                break;
            }
            place = record.before;
        }
        Compared {
            unknown: bytes.len().saturating_sub(compared),
            differ,
        }
    }
}

/// What a comparison told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compared {
    /// Bytes of which the first version is not known any more.
    pub(super) unknown: usize,
    /// From the first byte that differs to behind the last.
    pub(super) differ: Option<(usize, usize)>,
}

fn index(place: Place) -> usize {
    usize::try_from(place % SIZE as u64).unwrap_or(0)
}

fn part_index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn part(bytes: &[u8], from: u64, to: u64) -> &[u8] {
    bytes
        .get(part_index(from)..part_index(to))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_compared_until_the_ring_goes_round() {
        let mut recent = Recent::default();
        let first = recent.keep(NONE, 0, b"hello ");
        let second = recent.keep(first, 6, b"world");
        let same = |bytes: &[u8], offset| recent.compare(second, offset, bytes);
        let equal = Compared {
            unknown: 0,
            differ: None,
        };
        assert_eq!(same(b"hello world", 0), equal);
        assert_eq!(same(b"lo wor", 3), equal);
        assert_eq!(same(b"lo_wor", 3).differ, Some((2, 3)));
        assert_eq!(same(b"HellO", 0).differ, Some((0, 5)));
        // Behind the end nothing is known.
        assert_eq!(same(b"world!!", 6).unknown, 2);

        let mut last = NONE;
        for round in 0..80u64 {
            last = recent.keep(last, round * 60_000, &vec![7; 60_000]);
        }
        assert_eq!(recent.compare(last, 79 * 60_000, &[7; 10]), equal);
        assert_eq!(recent.compare(last, 0, &[7; 10]).unknown, 10, "gone");
        assert_eq!(recent.compare(second, 6, b"world").unknown, 5, "gone");
        assert_eq!(recent.keep(NONE, 0, &vec![0; SIZE]), NONE);
        assert_eq!(recent.compare(NONE, 0, b"x").unknown, 1);
    }
}
