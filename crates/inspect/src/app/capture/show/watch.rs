//! The conversations that wait for the next look, and how many have their owners.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::{Ends, Known};
use crate::app::capture::looker::Looker;
use crate::names::Users;
use crate::render::Charset;

/// The conversations of which the next look may tell more. It comes by the clock, not only with
/// their packets.
#[derive(Debug, Default)]
pub(in crate::app::capture) struct Watch {
    waiting: Vec<Weak<RefCell<Ends>>>,
    look: u64,
    /// How many conversations have their owners.
    pub(in crate::app::capture) tally: Tally,
}

impl Watch {
    /// Whether the next look may tell anything.
    pub(in crate::app::capture) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn add(&mut self, known: &Known, ends: &mut Ends) {
        if !ends.watched {
            ends.watched = true;
            // Forgotten conversations must not pile up while a look takes its time.
            if self.waiting.len() == self.waiting.capacity() {
                self.waiting.retain(|waiting| waiting.strong_count() > 0);
                self.waiting.reserve(self.waiting.len().max(64));
            }
            self.waiting.push(Rc::downgrade(known));
        }
    }

    /// Asks for the next look when it is due, and hands those conversations to `tell` of which
    /// the newest one tells what the reader should know.
    pub(in crate::app::capture) fn tend(
        &mut self,
        looker: &mut Looker,
        users: &mut Users,
        charset: Charset,
        mut tell: impl FnMut(&Known, &mut Ends),
    ) {
        if self.waiting.is_empty() {
            return;
        }
        looker.ask();
        let look = looker.newest();
        if look.number == self.look {
            return;
        }
        self.look = look.number;
        let (lives, tally) = (looker.lives.as_ref(), &mut self.tally);
        self.waiting.retain(|waiting| {
            let Some(known) = waiting.upgrade() else {
                return false;
            };
            let mut ends = known.borrow_mut();
            if ends.consult(&look) | lives.is_some_and(|lives| ends.hear(lives)) {
                ends.label(users, charset);
            }
            tally.count(&mut ends);
            if ends.has_news() {
                tell(&known, &mut ends);
                ends.is_told();
            }
            ends.watched = ends.wants_more(&look);
            ends.watched
        });
    }
}

/// Conversations with an end on this machine, and those of which every such end has its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::app::capture) struct Tally {
    pub(in crate::app::capture) here: u64,
    pub(in crate::app::capture) known: u64,
}

/// What of a conversation is in the tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tallied {
    here: bool,
    known: bool,
}

impl Tally {
    pub(super) fn count(&mut self, ends: &mut Ends) {
        let known = ends.is_known();
        let now = Tallied {
            here: known.is_some(),
            known: known == Some(true),
        };
        let before = std::mem::replace(&mut ends.tallied, now);
        self.here = self.here + u64::from(now.here) - u64::from(before.here);
        self.known = self.known + u64::from(now.known) - u64::from(before.known);
    }
}
