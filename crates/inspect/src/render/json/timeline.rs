//! The records of a timeline: conversations, and their events with links.

use serde::Serialize;

use super::{CallRecord, EndpointRecord, StateRecord, Time, base64};
use crate::timeline::{Conversation, Event, Held, Link, SegmentSeen, Side, Verdict, What};

/// One conversation, before its events.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "timeline")]
pub struct TimelineRecord {
    conversation: usize,
    protocol: &'static str,
    client: EndpointRecord,
    server: EndpointRecord,
    opening_seen: bool,
    client_owner: Option<HolderRecord>,
    server_owner: Option<HolderRecord>,
    closed_first: Option<&'static str>,
    reset_by: Option<&'static str>,
    retransmissions: usize,
    unread_from_client: u64,
    unread_from_server: u64,
    slowest_answer: Option<AnswerRecord>,
    latest_read: Option<LateRecord>,
    client_held_back: HeldRecord,
    server_held_back: HeldRecord,
}

#[derive(Debug, Clone, Serialize)]
struct LateRecord {
    by: &'static str,
    late_ns: u64,
    segment: usize,
}

/// Segments that Nagle's algorithm held back until a delayed acknowledgement came.
#[derive(Debug, Clone, Serialize)]
struct HeldRecord {
    segments: usize,
    whole_ns: u64,
}

impl From<Held> for HeldRecord {
    fn from(held: Held) -> Self {
        Self {
            segments: held.segments,
            whole_ns: held.whole_ns,
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct HolderRecord {
    pid: u32,
    fd: u32,
    command: String,
}

#[derive(Debug, Clone, Serialize)]
struct AnswerRecord {
    by: &'static str,
    whole_ns: u64,
    before_read_ns: Option<u64>,
    question: usize,
}

impl TimelineRecord {
    /// The `number`th conversation.
    pub fn new(number: usize, conversation: &Conversation) -> Self {
        let verdict = Verdict::of(conversation);
        let holder = |side: Side| {
            let (process, fd) = conversation.owner(side)?;
            Some(HolderRecord {
                pid: process.pid.0,
                fd: fd.0,
                command: String::from_utf8_lossy(process.command.as_bytes()).into_owned(),
            })
        };
        Self {
            conversation: number,
            protocol: "tcp",
            client: conversation.client.into(),
            server: conversation.server.into(),
            opening_seen: conversation.is_opening_seen,
            client_owner: holder(Side::Client),
            server_owner: holder(Side::Server),
            closed_first: verdict.closed_first.map(Side::word),
            reset_by: verdict.reset_by.map(Side::word),
            retransmissions: verdict.retransmissions,
            unread_from_client: verdict.unread[0],
            unread_from_server: verdict.unread[1],
            slowest_answer: verdict.slowest.map(|answer| AnswerRecord {
                by: answer.side.word(),
                whole_ns: answer.whole_ns,
                before_read_ns: answer.before_read_ns,
                question: answer.question,
            }),
            latest_read: verdict.latest_read.map(|late| LateRecord {
                by: late.side.word(),
                late_ns: late.late_ns,
                segment: late.segment,
            }),
            client_held_back: verdict.held_back[0].into(),
            server_held_back: verdict.held_back[1].into(),
        }
    }
}

/// One event of a conversation.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "event")]
pub struct EventRecord<'a> {
    conversation: usize,
    id: usize,
    time: Time,
    side: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<CallRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<StateRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<SegmentRecord<'a>>,
    links: Vec<LinkRecord>,
}

#[derive(Debug, Clone, Serialize)]
struct SegmentRecord<'a> {
    time: Time,
    flags: Vec<&'static str>,
    seq: u32,
    ack: u32,
    length: u32,
    text: Option<&'a str>,
    base64: String,
    retransmission: bool,
}

#[derive(Debug, Clone, Serialize)]
struct LinkRecord {
    cause: &'static str,
    to: usize,
    certainty: &'static str,
}

impl From<&Link> for LinkRecord {
    fn from(link: &Link) -> Self {
        Self {
            cause: link.cause.word(),
            to: link.to,
            certainty: if link.is_exact { "exact" } else { "inferred" },
        }
    }
}

impl<'a> EventRecord<'a> {
    /// An event of the `number`th conversation.
    pub fn new(number: usize, event: &'a Event) -> Self {
        let mut record = Self {
            conversation: number,
            id: event.id,
            time: Time(event.time),
            side: event.side.word(),
            call: None,
            state: None,
            segment: None,
            links: event.links.iter().map(LinkRecord::from).collect(),
        };
        match &event.what {
            What::Call(call) => record.call = Some(CallRecord::from(&**call)),
            What::State(change) => record.state = Some(StateRecord::from(&**change)),
            What::Segment(segment) => record.segment = Some(seen(segment, event.is_again)),
        }
        record
    }
}

fn seen(segment: &SegmentSeen, retransmission: bool) -> SegmentRecord<'_> {
    SegmentRecord {
        time: Time(segment.time),
        flags: segment.flags.words().collect(),
        seq: segment.seq,
        ack: segment.ack,
        length: segment.length,
        text: std::str::from_utf8(&segment.payload).ok(),
        base64: base64(&segment.payload),
        retransmission,
    }
}
