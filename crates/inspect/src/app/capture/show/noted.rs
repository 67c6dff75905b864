//! What files say of owners: taken over from one that is read, and said to one that is written.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::{Ends, Known};
use crate::attribution::{Note, Side};
use crate::capture::Conversation;
use crate::names::Users;
use crate::render::Charset;

/// Conversations of which something became known without a packet. If one comes, it is noted with
/// that; else behind the last.
#[derive(Debug, Default)]
pub(in crate::app::capture) struct Late {
    waiting: Vec<Weak<RefCell<Ends>>>,
}

impl Late {
    pub(in crate::app::capture) fn add(&mut self, known: &Known, ends: &mut Ends) {
        if ends.is_late {
            return;
        }
        ends.is_late = true;
        // Forgotten conversations must not pile up.
        if self.waiting.len() == self.waiting.capacity() {
            self.waiting.retain(|waiting| waiting.strong_count() > 0);
            self.waiting.reserve(self.waiting.len().max(64));
        }
        self.waiting.push(Rc::downgrade(known));
    }

    /// What the file that ends, of this number, has not said of them.
    pub(in crate::app::capture) fn comments(&mut self, file: u64) -> impl Iterator<Item = String> {
        self.waiting.drain(..).filter_map(move |waiting| {
            let known = waiting.upgrade()?;
            let mut ends = known.borrow_mut();
            ends.is_late = false;
            ends.comment(file)
        })
    }
}

/// Takes over what a file says of a conversation behind its packets, and hands it to `tell` where
/// the reader should know.
pub(in crate::app::capture) fn remember(
    conversation: &mut Conversation<Known>,
    note: Note,
    users: &mut Users,
    charset: Charset,
    mut tell: impl FnMut(&Known, &mut Ends),
) {
    let known = Rc::clone(&conversation.note);
    let mut ends = known.borrow_mut();
    ends.recall(conversation, note);
    ends.label(users, charset);
    if ends.has_news() {
        tell(&known, &mut ends);
        ends.is_told();
    }
}

impl Ends {
    /// Takes over what is known where the conversation was chosen: at first, and whenever a file
    /// told more there. Tells whether it did.
    pub(super) fn take_over(&mut self, conversation: &mut Conversation<Known>) -> bool {
        let Some(earlier) = self.earlier.clone() else {
            return false;
        };
        let earlier = earlier.borrow();
        let is_first = self.taken_over == 0;
        let has_more = earlier.is_recalled && earlier.version > self.taken_over;
        if !(is_first || has_more) {
            return false;
        }
        self.taken_over = earlier.version;
        let [first, _] = earlier.places;
        if earlier.is_recalled && !self.opening_seen && self.places[0] != first {
            conversation.set_client(first);
            self.places.reverse();
        }
        self.sides.clone_from(&earlier.sides);
        self.users.clone_from(&earlier.users);
        self.witnesses.clone_from(&earlier.witnesses);
        if self.places[0] != first {
            self.sides.reverse();
            if let Some(users) = &mut self.users {
                users.reverse();
            }
            self.swap_witnesses();
        }
        self.is_recalled = earlier.is_recalled;
        true
    }

    /// Takes over what a file says. Who opened is seen, or else what its writer found.
    pub(super) fn recall(&mut self, conversation: &mut Conversation<Known>, note: Note) {
        let [client, server] = note.sides;
        if !self.opening_seen && self.places[0] != client.end {
            conversation.set_client(client.end);
            self.places.reverse();
        }
        let is_in_order = self.places[0] == client.end;
        let sides = if is_in_order {
            [client, server]
        } else {
            [server, client]
        };
        for (index, side) in sides.into_iter().enumerate() {
            self.sides[index] = side.attribution;
            self.set_user(index, side.user);
        }
        self.is_recalled = true;
    }

    /// What a file is to say of the ends with the next packet, if it has not said it yet; `file`
    /// is another number for each.
    pub(in crate::app::capture) fn comment(&mut self, file: u64) -> Option<String> {
        let noted = self.noted.filter(|(_, noted)| *noted == file);
        if noted.is_some_and(|(version, _)| version == self.version) {
            return None;
        }
        let side = |index: usize| Side {
            end: self.places[index],
            attribution: self.sides[index].clone(),
            user: self.user(index).cloned(),
            more: 0,
        };
        let note = Note {
            protocol: self.protocol?,
            sides: [side(0), side(1)],
        };
        // Nothing is worth a word only until something was said.
        if noted.is_none() && !note.says_something() {
            return None;
        }
        self.noted = Some((self.version, file));
        Some(note.text())
    }
}
