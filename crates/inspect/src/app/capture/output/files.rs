//! The file that is written beside what is shown, and the file that is read: what they say of
//! owners and of what was lost.

use std::io;

use super::Output;
use super::written::News;
use crate::app::Context;
use crate::app::capture::chooser::Chooser;
use crate::app::capture::recalled::Recalled;
use crate::app::capture::savefile::Savefile;
use crate::app::capture::show::{self, Known, Late};
use crate::capture::Conversations;
use crate::model::{Gap, Timestamp};

impl Output {
    /// Takes in a comment that a file has on its next packet.
    pub(in crate::app::capture) fn comment(&mut self, comment: &[u8]) {
        self.recalled.hear(comment);
    }

    /// Takes in a comment that a file has behind packets. Where those that are shown are chosen by
    /// it, the chooser has heard it before.
    pub(in crate::app::capture) fn remark(
        &mut self,
        remark: &[u8],
        conversations: &mut Conversations<Known>,
        chooser: Option<&mut Chooser>,
    ) {
        let told = match chooser {
            None => self.recalled.hear_late(remark, conversations),
            Some(chooser) => {
                chooser.remark(remark, &mut self.recalled);
                Recalled::find(remark, conversations)
            }
        };
        let Some((note, conversation)) = told else {
            return;
        };
        let notes = self.notes_owners();
        let mut news = News {
            shape: &self.shape,
            late: notes.then_some(&mut self.late),
            out: &mut self.out,
        };
        let (users, charset) = (&mut self.users, self.charset);
        show::remember(conversation, note, users, charset, |known, ends| {
            news.tell(known, ends);
        });
    }

    /// Whether a packet of this time comes after all the files that were asked for.
    pub(in crate::app::capture) fn is_over_at(&self, time: Timestamp) -> bool {
        let savefile = self.savefile.as_ref();
        savefile.is_some_and(|savefile| savefile.is_over_at(time))
    }

    /// Whether it should be told what was lost so far.
    pub(in crate::app::capture) fn asks_for_gaps(&mut self) -> bool {
        let savefile = self.savefile.as_mut();
        savefile.is_some_and(Savefile::asks_for_gaps)
    }

    /// What was lost so far.
    pub(in crate::app::capture) fn tell_gaps(&mut self, gaps: &[Gap]) {
        if let Some(savefile) = &mut self.savefile {
            savefile.tell_gaps(gaps);
        }
    }

    /// Says whose word it is where owners are from a file.
    pub(in crate::app::capture) fn say_whose_owners(&self, context: &Context) {
        match self.recalled.taken() {
            0 => {}
            1 => context.say("Owners are from the file, which says once who they were."),
            count => context.say(&format!(
                "Owners are from the file, which says {count} times who they were."
            )),
        }
    }

    /// What a file told and could not be kept.
    pub(in crate::app::capture) fn recalled_gaps(&self) -> impl Iterator<Item = Gap> {
        self.recalled.gaps()
    }

    /// Ends the file that is written beside what is shown; it is whole though nobody reads the
    /// rest.
    pub(in crate::app::capture) fn end_file(&mut self, gaps: &[Gap]) -> io::Result<()> {
        match &mut self.savefile {
            Some(savefile) => {
                note_late(savefile, &mut self.late);
                savefile.end(gaps)
            }
            None => Ok(()),
        }
    }

    /// Whether owners go into a file.
    pub(super) fn notes_owners(&self) -> bool {
        self.savefile.as_ref().is_some_and(Savefile::has_owners)
    }
}

/// Writes behind the packets of a file that ends what became known after the last of them.
pub(super) fn note_late(savefile: &mut Savefile, late: &mut Late) {
    for comment in late.comments(savefile.files()) {
        savefile.remark(&comment);
    }
}
