//! The `conversation` record.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{EndpointRecord, OwnerRecord, Time};
use crate::attribution::Attribution;
use crate::capture::Direction;
use crate::model::{Endpoint, Protocol};
use crate::streams::{Course, Ending};

/// What passed between two ends, in all.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "conversation")]
pub struct ConversationRecord<'a> {
    conversation: u64,
    /// `null` for what is neither TCP nor UDP.
    protocol: Option<&'static str>,
    client: EndpointRecord,
    server: EndpointRecord,
    client_owners: Vec<OwnerRecord<'a>>,
    client_attribution: &'static str,
    server_owners: Vec<OwnerRecord<'a>>,
    server_attribution: &'static str,
    began: Time,
    duration_ns: String,
    packets_from_client: u64,
    packets_from_server: u64,
    bytes_from_client: u64,
    bytes_from_server: u64,
    handshake_ns: Option<String>,
    /// For TCP: `open`, `unanswered`, `refused`, `half-closed`, `closed`, `reset`.
    ending: Option<&'static str>,
    /// Which side closed first, or reset: `client`, `server`.
    ended_by: Option<&'static str>,
    troubles: BTreeMap<&'static str, u64>,
}

impl<'a> ConversationRecord<'a> {
    /// A conversation: its number, protocol and ends, who holds them, and what passed.
    pub fn new(
        number: u64,
        protocol: Option<Protocol>,
        [client, server]: [Endpoint; 2],
        sides: [&'a Attribution; 2],
        course: &Course,
    ) -> Self {
        let owners = |side: &'a Attribution| {
            let owners = side.owners.iter();
            owners.map(|owner| owner.by_ref().into()).collect()
        };
        let [packets_from_client, packets_from_server] = course.packets();
        let [bytes_from_client, bytes_from_server] = course.bytes();
        let (ending, by) = match course.ending() {
            Ending::Open => ("open", None),
            Ending::Unanswered(_) => ("unanswered", None),
            Ending::Refused => ("refused", None),
            Ending::HalfClosed(by) => ("half-closed", Some(by)),
            Ending::Closed(by) => ("closed", Some(by)),
            Ending::Reset(by) => ("reset", Some(by)),
        };
        let troubles = course.troubles().counts().into_iter();
        Self {
            conversation: number,
            protocol: protocol.map(Protocol::word),
            client: client.into(),
            server: server.into(),
            client_owners: owners(sides[0]),
            client_attribution: sides[0].grounds.word(),
            server_owners: owners(sides[1]),
            server_attribution: sides[1].grounds.word(),
            began: Time(course.began()),
            duration_ns: course.duration().to_string(),
            packets_from_client,
            packets_from_server,
            bytes_from_client,
            bytes_from_server,
            handshake_ns: course.handshake().map(|nanos| nanos.to_string()),
            ending: (protocol == Some(Protocol::Tcp)).then_some(ending),
            ended_by: by.map(|by| match by {
                Direction::Forth => "client",
                Direction::Back => "server",
            }),
            troubles: troubles.filter(|(_, count)| *count > 0).collect(),
        }
    }
}
