//! Segments joined with the calls that wrote and read them, by their place in the stream.

use super::{Cause, Conversation, Doing, Link, Side, What, doing};
use crate::capture::Flags;
use crate::model::State;
use crate::trace::{Call, Outcome, Value};

/// A part of one direction's stream, from one place to before another, that a call moved.
#[derive(Debug, Clone, Copy)]
struct Range {
    from: i64,
    to: i64,
    event: usize,
    /// Nobody else moved the same bytes.
    is_exact: bool,
}

/// Sequence numbers as places that do not wrap: each is the nearest to the last one.
#[derive(Debug, Default)]
struct Places {
    last: Option<(u32, i64)>,
}

impl Places {
    fn of(&mut self, seq: u32) -> i64 {
        let place = match self.last {
            // So that what came before the first has a place, too.
            None => 1 << 40,
            Some((known, place)) => place + i64::from(seq.wrapping_sub(known).cast_signed()),
        };
        self.last = Some((seq, place));
        place
    }
}

pub(super) fn join(conversation: &mut Conversation) {
    for side in [Side::Client, Side::Server] {
        join_direction(conversation, side);
    }
    link_openings_and_ends(conversation);
}

/// What one side sent.
fn join_direction(conversation: &mut Conversation, side: Side) {
    let mut places = Places::default();
    let mut written = Vec::new();
    let mut read = Vec::new();
    let mut segments = Vec::new();
    // In the order of time, so that places follow each other closely.
    for event in &conversation.events {
        match &event.what {
            What::Segment(segment) if event.side == side => {
                let is_syn = segment.flags.has(Flags::SYN);
                let from = places.of(segment.seq) + i64::from(is_syn);
                segments.push((event.id, from, from + i64::from(segment.length)));
            }
            What::Call(call) if event.side == side && doing(call) == Doing::Sends => {
                written.extend(range(call, event.id, &mut places, |sequences| sequences.0));
            }
            What::Call(call) if event.side != side && doing(call) == Doing::Reads => {
                read.extend(range(call, event.id, &mut places, |sequences| sequences.1));
            }
            _ => {}
        }
    }
    let (written, read) = (Ranges::new(written), Ranges::new(read));
    let mut seen = Vec::new();
    for (id, from, to) in segments {
        if from == to {
            continue;
        }
        let mut links = Vec::new();
        for (ranges, cause) in [(&written, Cause::SentBy), (&read, Cause::ReceivedBy)] {
            links.extend(ranges.meeting(from, to).map(|range| Link {
                cause,
                to: range.event,
                is_exact: range.is_exact,
            }));
        }
        let event = &mut conversation.events[id];
        event.is_again = is_covered(&seen, from, to);
        event.links.extend(links);
        cover(&mut seen, from, to);
    }
}

/// What a call moved of the stream.
fn range(
    call: &Call,
    event: usize,
    places: &mut Places,
    which: impl Fn((u32, u32)) -> u32,
) -> Option<Range> {
    let Outcome::Returned(moved @ 1..) = call.outcome else {
        return None;
    };
    // It leaves the bytes where they are.
    if is_peek(call) {
        return None;
    }
    let before = which(call.before?.1.sequences?);
    let after = call
        .after
        .filter(|(fd, _)| Some(*fd) == call.before.map(|(fd, _)| fd));
    let from = places.of(before);
    // Another may have closed it meanwhile, or taken the descriptor.
    let has_ended = after.is_some_and(|(_, socket)| socket.state.is_some_and(has_peer_closed));
    let Some(after) = after.and_then(|(_, socket)| socket.sequences) else {
        return Some(Range {
            from,
            to: from + moved,
            event,
            is_exact: false,
        });
    };
    let to = places.of(which(after));
    // sendmmsg(2) and recvmmsg(2) return how many messages.
    let is_counted = matches!(call.name, "sendmmsg" | "recvmmsg");
    // Who reads to the end has taken the FIN as well, which has a number of its own.
    let to = match to - from - moved {
        1 if has_ended && doing(call) == Doing::Reads => from + moved,
        _ => to,
    };
    Some(Range {
        from,
        to,
        event,
        is_exact: is_counted || to - from == moved,
    })
}

fn has_peer_closed(state: State) -> bool {
    !matches!(
        state,
        State::Established | State::FinWait1 | State::FinWait2 | State::SynSent | State::SynRecv
    )
}

fn is_peek(call: &Call) -> bool {
    call.arguments
        .iter()
        .any(|(_, value)| matches!(value, Value::Flags(names, _) if names.contains(&"MSG_PEEK")))
}

/// Two threads in calls at once move one number: which of them moved what is not told.
fn doubt_what_two_moved(ranges: &mut [Range]) {
    let mut furthest: Option<(i64, usize)> = None;
    for index in 0..ranges.len() {
        if let Some((to, holder)) = furthest
            && ranges[index].from < to
        {
            ranges[index].is_exact = false;
            ranges[holder].is_exact = false;
        }
        if furthest.is_none_or(|(to, _)| ranges[index].to > to) {
            furthest = Some((ranges[index].to, index));
        }
    }
}

/// Ranges by where they begin, and how far those up to each one reach.
#[derive(Debug, Default)]
struct Ranges {
    sorted: Vec<Range>,
    furthest: Vec<i64>,
}

impl Ranges {
    fn new(mut ranges: Vec<Range>) -> Self {
        ranges.sort_by_key(|range| range.from);
        doubt_what_two_moved(&mut ranges);
        let mut reached = i64::MIN;
        let furthest = ranges.iter().map(|range| {
            reached = reached.max(range.to);
            reached
        });
        Self {
            furthest: furthest.collect(),
            sorted: ranges,
        }
    }

    /// Those that have bytes in common with this one.
    fn meeting(&self, from: i64, to: i64) -> impl Iterator<Item = &Range> {
        let first = self.furthest.partition_point(|reached| *reached <= from);
        self.sorted[first..]
            .iter()
            .take_while(move |range| range.from < to)
            .filter(move |range| range.to > from)
    }
}

fn is_covered(seen: &[(i64, i64)], from: i64, to: i64) -> bool {
    let index = seen.partition_point(|(start, _)| *start <= from);
    index > 0 && seen[index - 1].1 >= to
}

/// Adds a part to sorted parts that do not touch.
fn cover(seen: &mut Vec<(i64, i64)>, from: i64, to: i64) {
    let first = seen.partition_point(|(_, end)| *end < from);
    let last = seen.partition_point(|(start, _)| *start <= to);
    let mut whole = (from, to);
    for (start, end) in &seen[first..last.max(first)] {
        whole = (whole.0.min(*start), whole.1.max(*end));
    }
    seen.splice(first..last.max(first), [whole]);
}

/// SYN, FIN, RST and the states, with what brought them about.
fn link_openings_and_ends(conversation: &mut Conversation) {
    let mut found = Vec::new();
    for event in &conversation.events {
        let before = &conversation.events[..event.id];
        let called = |wanted: Doing| {
            before.iter().rev().find_map(|cause| match &cause.what {
                What::Call(call) if cause.side == event.side && doing(call) == wanted => {
                    Some(cause.id)
                }
                _ => None,
            })
        };
        let cause = match &event.what {
            What::Segment(segment) if segment.flags.has(Flags::SYN) => {
                if segment.flags.has(Flags::ACK) {
                    came(conversation, event.id, |flags| flags.has(Flags::SYN))
                } else {
                    called(Doing::Connects)
                }
            }
            What::Segment(segment) if segment.flags.has(Flags::FIN) => called(Doing::Closes),
            What::State(change) => caller_of(conversation, event.id, change.monotonic_ns)
                .or_else(|| came(conversation, event.id, |_| true)),
            _ => None,
        };
        if let Some(cause) = cause {
            found.push((event.id, cause));
        }
    }
    for (id, to) in found {
        conversation.events[id].links.push(Link {
            cause: Cause::CausedBy,
            to,
            is_exact: false,
        });
    }
}

/// The last segment that came to a side before an event of it.
fn came(conversation: &Conversation, id: usize, is_one: impl Fn(Flags) -> bool) -> Option<usize> {
    let event = &conversation.events[id];
    let before = conversation.events[..id].iter().rev();
    let mut before = before.filter(|cause| cause.side != event.side);
    before.find_map(|cause| match &cause.what {
        What::Segment(segment) if is_one(segment.flags) => Some(cause.id),
        _ => None,
    })
}

/// The connect or close that a change of states happened within.
fn caller_of(conversation: &Conversation, id: usize, monotonic_ns: u64) -> Option<usize> {
    let side = conversation.events[id].side;
    conversation
        .events
        .iter()
        .find_map(|cause| match &cause.what {
            What::Call(call)
                if cause.side == side
                    && matches!(doing(call), Doing::Connects | Doing::Closes)
                    && call.monotonic_ns <= monotonic_ns
                    && call.ended_ns().is_none_or(|end| monotonic_ns <= end) =>
            {
                Some(cause.id)
            }
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_on_where_numbers_wrap() {
        let mut places = Places::default();
        let first = places.of(u32::MAX - 1);
        assert_eq!(places.of(3), first + 5);
        assert_eq!(places.of(u32::MAX), first + 1);
    }

    #[test]
    fn what_was_seen_is_covered_and_what_is_new_is_not() {
        let mut seen = Vec::new();
        for (from, to, expected) in [
            (10, 20, false),
            (12, 18, true),
            (15, 25, false),
            (30, 40, false),
            (10, 25, true),
            (24, 31, false),
            (10, 40, true),
            (5, 12, false),
            (5, 40, true),
        ] {
            assert_eq!(is_covered(&seen, from, to), expected, "{from} {to}");
            cover(&mut seen, from, to);
        }
        assert_eq!(seen, [(5, 40)]);
    }

    proptest::proptest! {
        #[test]
        fn the_quick_search_finds_what_the_slow_one_does(
            mut parts in proptest::collection::vec((0i64..50, 1i64..20), 0..12),
            from in 0i64..60,
            length in 1i64..20,
        ) {
            parts.reverse();
            let ranges: Vec<Range> = parts.iter().enumerate().map(|(event, (from, length))| Range {
                from: *from,
                to: from + length,
                event,
                is_exact: true,
            }).collect();
            let sorted = Ranges::new(ranges.clone());
            let quick: std::collections::BTreeSet<usize> =
                sorted.meeting(from, from + length).map(|range| range.event).collect();
            let slow: std::collections::BTreeSet<usize> = ranges.iter()
                .filter(|range| range.from < from + length && range.to > from)
                .map(|range| range.event).collect();
            proptest::prop_assert_eq!(quick, slow);
        }
    }
}
