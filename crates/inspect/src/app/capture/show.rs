//! What is known of a conversation while its packets are shown.

use super::looker::{Look, Looker};
use crate::attribution::{Attribution, Grounds};
use crate::capture::{Content, Conversation, Packet};
use crate::model::{Endpoint, Protocol, Timestamp};
use crate::names::Users;
use crate::render::Charset;
use crate::render::packet::end_label;

/// Remembered with each conversation.
#[derive(Debug)]
pub(super) struct Known {
    /// The side that opened, and the other.
    pub(super) sides: [Attribution; 2],
    /// Their labels, written once rather than for each packet.
    pub(super) labels: [String; 2],
    /// The interface of the first packet.
    pub(super) interface: Option<u32>,
    /// When its first packet passed.
    began: Timestamp,
    /// The look that was asked last.
    look: u64,
    /// Looks that were asked for.
    looks: u8,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            sides: Default::default(),
            labels: Default::default(),
            interface: None,
            began: Timestamp::from_nanos(0),
            look: 0,
            looks: 0,
        }
    }
}

/// Who is not found after so many looks will not be found.
const LOOKS: u8 = 8;

/// Finds out who holds the two ends, as far as that can be told now.
pub(super) fn attribute(
    conversation: &mut Conversation<Known>,
    is_new: bool,
    packet: &Packet<'_>,
    looker: Option<&mut Looker>,
    users: &mut Users,
    charset: Charset,
) {
    let protocol = packet.segment().map(|segment| segment.protocol);
    let mut changed = is_new;
    if is_new {
        conversation.note.interface = packet.interface;
        conversation.note.began = packet.time;
    }
    if let (Some(looker), Some(protocol)) = (looker, protocol) {
        changed |= ask(conversation, is_new, protocol, looker);
    }
    if changed {
        let has_port = matches!(packet.content, Content::Segment(_));
        let (client, server) = conversation.ends();
        let note = &mut conversation.note;
        for (index, end) in [client, server].into_iter().enumerate() {
            let side = &note.sides[index];
            let user = match side.grounds {
                Grounds::Hidden(Some(uid)) => users.name(uid).map(str::to_owned),
                _ => None,
            };
            note.labels[index] = end_label(side, end, has_port, user.as_deref(), charset);
        }
    }
}

/// Asks the newest look, and for a newer one while it may tell more; tells whether it told.
fn ask(
    conversation: &mut Conversation<Known>,
    is_new: bool,
    protocol: Protocol,
    looker: &mut Looker,
) -> bool {
    let mut changed = false;
    if is_new {
        // What was seen before it began: a listener that has closed since, and which addresses
        // are ours at all.
        changed |= consult(conversation, true, protocol, looker);
        if may_improve(conversation) {
            looker.ask_and_wait();
        }
    } else if may_improve(conversation) {
        looker.ask();
    } else {
        return false;
    }
    changed | consult(conversation, is_new, protocol, looker)
}

fn may_improve(conversation: &Conversation<Known>) -> bool {
    let note = &conversation.note;
    note.looks < LOOKS && note.sides.iter().any(|side| side.grounds.may_improve())
}

/// Asks the newest look, if it was not asked already.
fn consult(
    conversation: &mut Conversation<Known>,
    is_new: bool,
    protocol: Protocol,
    looker: &mut Looker,
) -> bool {
    let Look {
        table,
        number,
        began,
    } = looker.newest();
    if number == conversation.note.look {
        return false;
    }
    if is_new && !conversation.opening_seen() {
        let (client, server) = conversation.ends();
        let waits = |end: Endpoint| table.waits_at(protocol, end);
        if waits(client) && !waits(server) {
            conversation.set_client(server);
            conversation.note.sides.reverse();
        }
    }
    let (client, server) = conversation.ends();
    let is_older = began.is_none_or(|began| began < conversation.note.began);
    let opening_seen = conversation.opening_seen();
    let note = &mut conversation.note;
    note.look = number;
    note.looks += 1;
    let mut changed = false;
    for (side, (here, there)) in note
        .sides
        .iter_mut()
        .zip([(client, server), (server, client)])
    {
        let mut found = table.attribute(protocol, here, there);
        if is_older {
            found.grounds = match found.grounds {
                // Another conversation of the same two ends, before this one's SYN.
                Grounds::Exact if opening_seen => Grounds::LocalPort,
                known @ (Grounds::Exact | Grounds::LocalPort | Grounds::Elsewhere) => known,
                // It may have come since.
                _ => Grounds::NotYet,
            };
        }
        changed |= side.improve(found);
    }
    changed
}
