//! The gaps of one direction that were told, so that what comes late is known as such.

/// Gaps that are remembered.
const REMEMBERED: usize = 64;

/// From the first byte to behind the last.
type Range = (u64, u64);

#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// The latest, as long as nothing came late.
    open: Vec<Range>,
    /// Around all that were forgotten: there were too many.
    forgotten: Option<Range>,
}

/// What bytes that were to be there already are.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// They fill gaps.
    pub(super) late: Vec<Range>,
    /// They were handed on before; or they are of a gap that was forgotten.
    pub(super) rest: Vec<Range>,
}

impl Gaps {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn remember(&mut self, from: u64, to: u64) {
        self.open.push((from, to));
        self.bound();
    }

    fn bound(&mut self) {
        while self.open.len() > REMEMBERED {
            let (from, to) = self.open.remove(0);
            let (first, last) = self.forgotten.unwrap_or((from, to));
            self.forgotten = Some((first.min(from), last.max(to)));
        }
    }

    /// What of this range may be of a gap that was forgotten.
    pub(super) fn forgotten(&self, from: u64, to: u64) -> Option<Range> {
        let (first, last) = self.forgotten?;
        let common = (from.max(first), to.min(last));
        (common.0 < common.1).then_some(common)
    }

    /// Sorts a range that came; gaps that it fills are none any more.
    pub(super) fn fill(&mut self, from: u64, to: u64) -> Sorted {
        let mut sorted = Sorted::default();
        let mut left = Vec::with_capacity(self.open.len() + 1);
        for (begin, end) in std::mem::take(&mut self.open) {
            let (first, last) = (begin.max(from), end.min(to));
            if first >= last {
                left.push((begin, end));
                continue;
            }
            sorted.late.push((first, last));
            let around = [(begin, first), (last, end)];
            left.extend(around.into_iter().filter(|(a, b)| a < b));
        }
        self.open = left;
        self.bound();
        sorted.late.sort_unstable();
        let mut at = from;
        for (first, last) in &sorted.late {
            if at < *first {
                sorted.rest.push((at, *first));
            }
            at = *last;
        }
        if at < to {
            sorted.rest.push((at, to));
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_sorted_and_what_is_forgotten_is_known_to_be() {
        let mut gaps = Gaps::default();
        gaps.remember(10, 20);
        gaps.remember(30, 40);
        let sorted = gaps.fill(5, 35);
        assert_eq!(sorted.late, [(10, 20), (30, 35)]);
        assert_eq!(sorted.rest, [(5, 10), (20, 30)]);
        assert_eq!(gaps.fill(30, 40).late, [(35, 40)]);
        assert!(gaps.is_empty());
        for number in 0..70 {
            gaps.remember(100 + 10 * number, 105 + 10 * number);
        }
        assert_eq!(gaps.open.len(), 64);
        assert_eq!(gaps.forgotten(0, 1000), Some((100, 155)));
        assert_eq!(gaps.forgotten(155, 1000), None);
        assert_eq!(gaps.fill(100, 105).rest, [(100, 105)]);
    }
}
