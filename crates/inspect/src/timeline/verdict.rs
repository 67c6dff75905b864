//! What there is to say of a conversation at its end, with the numbers that say it.

use super::{Cause, Conversation, Doing, Event, Side, What, doing};
use crate::capture::Flags;

/// How long an answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Whose answer.
    pub side: Side,
    /// From the question on the wire to the answer on the wire, nanoseconds.
    pub whole_ns: u64,
    /// Of these, until it had read the question; `None` where the read was not seen.
    pub before_read_ns: Option<u64>,
    /// The event of the question.
    pub question: usize,
}

/// How late what had come was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateRead {
    /// Who read it.
    pub side: Side,
    /// From the segment on the wire to the end of the call, nanoseconds.
    pub late_ns: u64,
    /// The event of the segment.
    pub segment: usize,
}

/// Segments that were held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// How many.
    pub segments: usize,
    /// How long they waited all together, nanoseconds.
    pub whole_ns: u64,
}

/// Shorter than this no acknowledgement is put off (TCP_DELACK_MIN is 40 ms, include/net/tcp.h;
/// what is left of it when the second segment is written is less).
const PUT_OFF_NS: u64 = 15_000_000;
/// What waits for an acknowledgement goes as soon as that comes, within this.
const AT_ONCE_NS: u64 = 1_000_000;

/// What was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Who sent its FIN first.
    pub closed_first: Option<Side>,
    /// Who broke it off.
    pub reset_by: Option<Side>,
    /// The slowest answer, and how many there were.
    pub slowest: Option<Answer>,
    /// How many answers were seen.
    pub answers: usize,
    /// Segments whose bytes were all sent before.
    pub retransmissions: usize,
    /// The call that came last after what it took had come.
    pub latest_read: Option<LateRead>,
    /// Segments that waited, though they could have gone, until what was sent before them was
    /// acknowledged (Nagle's algorithm, RFC 896), while the other side put its acknowledgement
    /// off (RFC 1122, 4.2.3.2): by the side that waited.
    pub held_back: [Held; 2],
    /// Bytes of payload that no call of the other side took, though it closed: by the side that
    /// sent them.
    pub unread: [u64; 2],
}

impl Verdict {
    /// Of this conversation.
    pub fn of(conversation: &Conversation) -> Self {
        let mut verdict = Self::default();
        let mut question: Option<&Event> = None;
        // When each side was last acknowledged.
        let mut acknowledged: [Option<&Event>; 2] = [None; 2];
        for event in &conversation.events {
            let What::Segment(segment) = &event.what else {
                continue;
            };
            if segment.flags.has(Flags::FIN) && verdict.closed_first.is_none() {
                verdict.closed_first = Some(event.side);
            }
            if segment.flags.has(Flags::RST) && verdict.reset_by.is_none() {
                verdict.reset_by = Some(event.side);
            }
            verdict.retransmissions += usize::from(event.is_again);
            if segment.flags.has(Flags::ACK) {
                acknowledged[index(event.side.other())] = Some(event);
            }
            if segment.length == 0 || event.is_again {
                continue;
            }
            verdict.read(conversation, event);
            let by = acknowledged[index(event.side)];
            if let Some(waited) = by.and_then(|by| held_back(conversation, event, by)) {
                let held = &mut verdict.held_back[index(event.side)];
                held.segments += 1;
                held.whole_ns += waited;
            }
            match question {
                // What the client says next is no answer: it may have had nothing to say.
                Some(asked) if asked.side == Side::Client && event.side == Side::Server => {
                    verdict.answered(conversation, asked, event);
                    question = Some(event);
                }
                // The last part of a question is when it was asked.
                _ => question = Some(event),
            }
        }
        verdict.unread = [Side::Client, Side::Server].map(|side| unread(conversation, side));
        verdict
    }

    /// How late a segment was read.
    fn read(&mut self, conversation: &Conversation, segment: &Event) {
        let mut links = segment.links.iter();
        let Some(link) = links.find(|link| link.cause == Cause::ReceivedBy) else {
            return;
        };
        let late_ns = between(segment, &conversation.events[link.to]);
        if self
            .latest_read
            .is_none_or(|latest| late_ns > latest.late_ns)
        {
            self.latest_read = Some(LateRead {
                side: segment.side.other(),
                late_ns,
                segment: segment.id,
            });
        }
    }

    fn answered(&mut self, conversation: &Conversation, asked: &Event, answer: &Event) {
        self.answers += 1;
        let whole_ns = between(asked, answer);
        let read = asked
            .links
            .iter()
            .find(|link| link.cause == Cause::ReceivedBy);
        let before_read_ns = read.map(|link| between(asked, &conversation.events[link.to]));
        if self
            .slowest
            .is_none_or(|slowest| whole_ns > slowest.whole_ns)
        {
            self.slowest = Some(Answer {
                side: answer.side,
                whole_ns,
                before_read_ns,
                question: asked.id,
            });
        }
    }
}

fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

/// How long a segment waited for this acknowledgement, if it did: the call that wrote it returned
/// long before, and it went as soon as the acknowledgement had come.
fn held_back(conversation: &Conversation, segment: &Event, by: &Event) -> Option<u64> {
    let mut links = segment.links.iter();
    let link = links.find(|link| link.cause == Cause::SentBy)?;
    let writer = &conversation.events[link.to];
    let What::Call(call) = &writer.what else {
        return None;
    };
    let waited = between(writer, segment);
    // One that waits for room in the buffer returns late itself.
    let is_held = waited >= PUT_OFF_NS && call.duration_ns? < waited / 2;
    let goes_at_once = by.time >= writer.time && between(by, segment) <= AT_ONCE_NS;
    (is_held && goes_at_once).then_some(waited)
}

fn between(earlier: &Event, later: &Event) -> u64 {
    let nanoseconds = later.time.as_nanos() - earlier.time.as_nanos();
    u64::try_from(nanoseconds).unwrap_or(0)
}

/// Bytes that a side sent and the other, whose calls were seen, closed without reading.
fn unread(conversation: &Conversation, side: Side) -> u64 {
    let has_closed = conversation.events.iter().any(|event| match &event.what {
        What::Call(call) => {
            event.side != side && doing(call) == Doing::Closes && call.name == "close"
        }
        _ => false,
    });
    if !has_closed {
        return 0;
    }
    conversation
        .events
        .iter()
        .filter(|event| event.side == side && !event.is_again)
        .filter(|event| {
            !event
                .links
                .iter()
                .any(|link| link.cause == Cause::ReceivedBy)
        })
        .map(|event| match &event.what {
            What::Segment(segment) => u64::from(segment.length),
            _ => 0,
        })
        .sum()
}
