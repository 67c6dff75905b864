//! The `stream` record.

use serde::Serialize;

use super::{EndpointRecord, OwnerRecord, Time, base64};
use crate::attribution::Attribution;
use crate::model::{Endpoint, Timestamp};
use crate::streams::Part;

/// A part of what one side of a conversation said.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "stream")]
pub struct StreamRecord<'a> {
    conversation: u64,
    time: Time,
    from: EndpointRecord,
    to: EndpointRecord,
    from_owners: Vec<OwnerRecord<'a>>,
    from_attribution: &'static str,
    to_owners: Vec<OwnerRecord<'a>>,
    to_attribution: &'static str,
    /// Set where the opening was not seen: offsets count from the first byte that was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    began_earlier: bool,
    /// Of the first byte, from the beginning of the stream.
    offset: Option<u64>,
    text: Option<&'a str>,
    base64: Option<String>,
    gap: Option<MissingRecord>,
    /// Set where the bytes are not the stream's next: `conflict`, `late`.
    #[serde(skip_serializing_if = "Option::is_none")]
    out_of_order: Option<&'static str>,
    /// Conflicts that have no record of their own, after very many that have.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_conflicts: Option<u64>,
    /// Set at the end: `closed`, `reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<&'static str>,
}

/// Bytes that are not there.
#[derive(Debug, Clone, Serialize)]
struct MissingRecord {
    length: u64,
    reason: &'static str,
}

impl<'a> StreamRecord<'a> {
    /// A part of the stream that goes from one end to the other, and who holds the ends.
    pub fn new(
        conversation: u64,
        time: Timestamp,
        (from, to): (Endpoint, Endpoint),
        (sender, receiver): (&'a Attribution, &'a Attribution),
        began_earlier: bool,
        part: Part<'a>,
    ) -> Self {
        let owners = |side: &'a Attribution| {
            let owners = side.owners.iter();
            owners.map(|owner| owner.by_ref().into()).collect()
        };
        let mut record = Self {
            conversation,
            time: Time(time),
            from: from.into(),
            to: to.into(),
            from_owners: owners(sender),
            from_attribution: sender.grounds.word(),
            to_owners: owners(receiver),
            to_attribution: receiver.grounds.word(),
            began_earlier,
            offset: None,
            text: None,
            base64: None,
            gap: None,
            out_of_order: None,
            more_conflicts: None,
            end: None,
        };
        let (offset, bytes) = match part {
            Part::Bytes { offset, bytes } => (Some(offset), Some(bytes)),
            Part::Conflict { offset, bytes } => {
                record.out_of_order = Some("conflict");
                (Some(offset), Some(bytes))
            }
            Part::Late { offset, bytes } => {
                record.out_of_order = Some("late");
                (Some(offset), Some(bytes))
            }
            Part::Gap {
                offset,
                length,
                why,
            } => {
                let reason = why.word();
                record.gap = Some(MissingRecord { length, reason });
                (Some(offset), None)
            }
            Part::MoreConflicts { count } => {
                record.more_conflicts = Some(count);
                (None, None)
            }
            Part::Closed => {
                record.end = Some("closed");
                (None, None)
            }
            Part::Reset => {
                record.end = Some("reset");
                (None, None)
            }
        };
        record.offset = offset;
        record.text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        record.base64 = bytes.map(base64);
        record
    }
}
