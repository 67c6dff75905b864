//! Owners that a file tells of, in comments on packets.

use std::collections::HashMap;

use crate::attribution::Note;
use crate::capture::{Conversation, Conversations};
use crate::model::{Endpoint, Gap, Origin, Protocol};

/// Bytes of text whose notes wait for their packet at most.
const MOST_BYTES: usize = 16 << 20;

/// What comments said and no packet has taken yet. Mostly that is one note at most, as its
/// packet comes next; where that is filtered out, it waits for another of the conversation.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    notes: HashMap<Ends, Note>,
    bytes: usize,
    taken: u64,
    lost: u64,
    owners_left_out: u64,
}

/// The two ends, the lower first.
type Ends = (Protocol, Endpoint, Endpoint);

fn ends(protocol: Protocol, one: Endpoint, other: Endpoint) -> Ends {
    (protocol, one.min(other), one.max(other))
}

impl Recalled {
    /// Takes in a comment on the next packet; those of others are no matter.
    pub(super) fn hear(&mut self, comment: &[u8]) {
        if let Some(note) = Note::parse(comment) {
            self.keep(note, comment.len());
        }
    }

    /// Takes in a comment on packets that came before; gives it back with its conversation, where
    /// that is known.
    pub(super) fn hear_late<'c, T: Default>(
        &mut self,
        comment: &[u8],
        conversations: &'c mut Conversations<T>,
    ) -> Option<(Note, &'c mut Conversation<T>)> {
        match Self::find(comment, conversations) {
            Some((note, conversation)) => {
                self.taken += 1;
                self.count_left_out(&note);
                Some((note, conversation))
            }
            None => {
                self.hear(comment);
                None
            }
        }
    }

    /// What a comment says, with the conversation that it is about, where that is known.
    pub(super) fn find<'c, T: Default>(
        comment: &[u8],
        conversations: &'c mut Conversations<T>,
    ) -> Option<(Note, &'c mut Conversation<T>)> {
        let note = Note::parse(comment)?;
        let protocol = match note.protocol {
            Protocol::Udp => 17,
            _ => 6,
        };
        let [client, server] = &note.sides;
        let conversation = conversations.between(client.end, server.end, protocol)?;
        Some((note, conversation))
    }

    fn count_left_out(&mut self, note: &Note) {
        let left_out: usize = note.sides.iter().map(|side| side.more).sum();
        self.owners_left_out += left_out as u64;
    }

    fn keep(&mut self, note: Note, length: usize) {
        let has_room =
            self.notes.len() < Conversations::<()>::LIMIT && self.bytes + length <= MOST_BYTES;
        if !has_room {
            self.lost += self.notes.len() as u64;
            self.notes.clear();
            self.bytes = 0;
        }
        self.bytes += length;
        self.count_left_out(&note);
        let [client, server] = &note.sides;
        self.notes
            .insert(ends(note.protocol, client.end, server.end), note);
    }

    /// What was said of a conversation since this was asked last.
    pub(super) fn take(
        &mut self,
        protocol: Protocol,
        one: Endpoint,
        other: Endpoint,
    ) -> Option<Note> {
        if self.notes.is_empty() {
            return None;
        }
        let note = self.notes.remove(&ends(protocol, one, other))?;
        self.taken += 1;
        if self.notes.is_empty() {
            self.bytes = 0;
        }
        Some(note)
    }

    /// Whether the file knows any owners.
    pub(super) fn knows_owners(&self) -> bool {
        self.taken > 0 || self.lost > 0 || !self.notes.is_empty()
    }

    /// How many notes were of use.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// What was said and could not be kept.
    pub(super) fn gaps(&self) -> impl Iterator<Item = Gap> {
        [
            (self.lost, "notes on owners in the file passed over"),
            (self.owners_left_out, "owners left out by the file"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| Gap::counted(Origin::Owners, reason, count))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn end(port: u16) -> Endpoint {
        Endpoint::new(Ipv4Addr::LOCALHOST.into(), port)
    }

    fn comment(port: u16, host: u16) -> Vec<u8> {
        format!(
            "tcp client 127.0.{}.{}:{port} a[1] fd 3 (exact), server 127.0.0.1:80 b[2] fd 4 and 2 \
             more (exact)",
            host >> 8,
            host & 0xff
        )
        .into_bytes()
    }

    #[test]
    fn a_note_is_taken_once_by_either_end() {
        let mut recalled = Recalled::default();
        recalled.hear(b"bookmark");
        recalled.hear(&comment(5000, 1));
        assert_eq!(recalled.take(Protocol::Udp, end(5000), end(80)), None);
        let note = recalled.take(Protocol::Tcp, end(80), end(5000)).unwrap();
        assert_eq!(note.sides[0].end, end(5000));
        assert_eq!(recalled.take(Protocol::Tcp, end(80), end(5000)), None);
        assert_eq!(recalled.taken(), 1);
        let gaps: Vec<Gap> = recalled.gaps().collect();
        assert_eq!(gaps[0].count, Some(2), "{gaps:?}");
    }

    #[test]
    fn notes_that_no_packet_takes_do_not_pile_up() {
        let mut recalled = Recalled::default();
        for host in 0..3 {
            for port in 1..=u16::MAX {
                recalled.hear(&comment(port, host));
            }
        }
        assert!(recalled.notes.len() <= Conversations::<()>::LIMIT);
        let kept = recalled.notes.len() as u64;
        let gap = recalled.gaps().next().unwrap();
        assert_eq!(gap.count, Some(3 * u64::from(u16::MAX) - kept));
    }
}
