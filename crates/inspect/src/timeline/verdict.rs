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
    /// Bytes of payload that no call of the other side took, though it closed: by the side that
    /// sent them.
    pub unread: [u64; 2],
}

impl Verdict {
    /// Of this conversation.
    pub fn of(conversation: &Conversation) -> Self {
        let mut verdict = Self::default();
        let mut question: Option<&Event> = None;
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
            if segment.length == 0 || event.is_again {
                continue;
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
