//! What is missing: gaps, why they are given up, and when they are told.

use super::{AHEAD, Half, Out, QUEUES, Shared, Untold};
use crate::model::Timestamp;
use crate::streams::{Part, Why};

impl Half {
    /// Whether what was acknowledged is not to be waited for any longer.
    pub(in crate::streams) fn is_due(&self, now: Timestamp) -> bool {
        self.promised()
            .is_some_and(|(_, since)| now.as_nanos().saturating_sub(since.as_nanos()) >= QUEUES)
    }

    pub(super) fn promised(&self) -> Option<(u64, Timestamp)> {
        self.trouble.as_ref()?.promised
    }

    /// What was acknowledged and has not passed here, was not captured.
    pub(in crate::streams) fn keep_promise(&mut self, shared: &mut Shared, out: Out<'_>) {
        let promised = self.trouble.as_mut().and_then(|it| it.promised.take());
        if let Some((to, since)) = promised {
            self.skip_to(since, to, Why::NotCaptured, shared, out);
            self.release(shared, out);
            self.close(since, shared, out);
        }
    }

    /// The other side has everything before this number. Where it says something with it, it has
    /// heard that before; else what is missing here may be just behind.
    pub(in crate::streams) fn acknowledged(
        &mut self,
        time: Timestamp,
        ack: u32,
        speaks: bool,
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        let Some(base) = self.base else {
            // Of a side that does not pass here every byte would be a gap.
            return;
        };
        let distance = self.distance(base, ack);
        let Some(mut to) = self.next.checked_add_signed(distance) else {
            return;
        };
        self.is_heard = true;
        if distance > 0 {
            if distance.unsigned_abs() > AHEAD {
                shared.counts.strays += 1;
                return;
            }
            // The FIN takes a number too.
            if self.end.is_some_and(|end| to == end + 1) {
                to -= 1;
            }
            if to > self.next {
                let promised = &mut self.trouble.get_or_insert_default().promised;
                let since = promised.map_or(time, |(_, since)| since);
                let to = promised.map_or(to, |(before, _)| before.max(to));
                *promised = Some((to, since));
            }
            if speaks {
                self.keep_promise(shared, out);
            }
        }
        self.acked = self.acked.max(to);
    }

    /// Hands on everything before a place, with gaps for what is not there.
    pub(super) fn skip_to(
        &mut self,
        time: Timestamp,
        to: u64,
        why: Why,
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        while self.next < to {
            let first = self.trouble.as_ref().and_then(|it| it.held.begin());
            let stop = first.map_or(to, |offset| offset.min(to));
            if stop > self.next {
                self.gap(time, stop - self.next, why, shared, out);
            } else {
                self.release(shared, out);
            }
        }
    }

    /// Nothing will fill the holes any more.
    pub(in crate::streams) fn give_up(
        &mut self,
        now: Timestamp,
        why: Why,
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        self.keep_promise(shared, out);
        let last = self.trouble.as_ref().and_then(|it| it.held.end());
        if let Some((end, time)) = last {
            self.skip_to(time, end, why, shared, out);
            self.release(shared, out);
        }
        // A FIN behind a hole tells how much is missing.
        if why == Why::NeverCame
            && let Some(end) = self.end
        {
            self.skip_to(now, end, why, shared, out);
        }
        self.tell_gap(shared, out);
        self.close(now, shared, out);
    }

    /// Bytes that are not there. They are told with what comes next, so that neighbours are one.
    pub(super) fn gap(
        &mut self,
        time: Timestamp,
        length: u64,
        why: Why,
        shared: &mut Shared,
        out: Out<'_>,
    ) {
        let offset = self.next;
        self.next += length;
        let trouble = self.trouble.get_or_insert_default();
        match &mut trouble.untold {
            Some(untold) if untold.why == why && untold.offset + untold.length == offset => {
                untold.length += length;
            }
            _ => {
                self.tell_gap(shared, out);
                let untold = Untold {
                    time,
                    offset,
                    length,
                    why,
                };
                self.trouble.get_or_insert_default().untold = Some(untold);
            }
        }
    }

    /// Tells the gap that is not told yet, if there is one.
    pub(in crate::streams) fn tell_gap(&mut self, shared: &mut Shared, out: Out<'_>) {
        let Some(trouble) = &mut self.trouble else {
            return;
        };
        let Some(untold) = trouble.untold.take() else {
            return;
        };
        let Untold {
            time,
            offset,
            length,
            why,
        } = untold;
        shared.counts.gaps += 1;
        shared.counts.missing += length;
        if why == Why::Evicted {
            shared.counts.evicted += 1;
        }
        // What the snapshot length cut off comes no second time.
        if why != Why::Cut {
            trouble.gaps.remember(offset, offset + length);
        }
        out(
            time,
            Part::Gap {
                offset,
                length,
                why,
            },
        );
    }

    /// The same, if bytes of this range have come.
    pub(super) fn tell_gap_at(&mut self, from: u64, to: u64, shared: &mut Shared, out: Out<'_>) {
        let touches = self
            .trouble
            .as_ref()
            .and_then(|trouble| trouble.untold)
            .is_some_and(|untold| untold.offset < to && from < untold.offset + untold.length);
        if touches {
            self.tell_gap(shared, out);
        }
    }

    /// Tells how many conflicts were not told.
    pub(in crate::streams) fn tell_rest(&mut self, now: Timestamp, out: Out<'_>) {
        let trouble = self.trouble.as_mut();
        let count = trouble.map_or(0, |it| std::mem::take(&mut it.more_conflicts));
        if count > 0 {
            out(now, Part::MoreConflicts { count });
        }
    }
}
