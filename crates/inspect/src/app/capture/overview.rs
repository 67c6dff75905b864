//! `--summary`: the conversations, at the end.

use std::io;

use super::show::Known;
use crate::capture::{Conversations, Seen};
use crate::model::{Gap, Origin};
use crate::render::Screen;
use crate::render::json::{self, ConversationRecord};
use crate::render::packet::{Talk, write_talks};

/// Every conversation that was seen, forgotten ones included, up to a bound.
pub(super) struct Overview {
    all: Vec<Known>,
    left_out: u64,
    /// `None`: as records.
    screen: Option<Screen>,
}

impl Overview {
    /// Conversations listed.
    const LIMIT: usize = Conversations::<Known>::LIMIT;

    pub(super) fn new(screen: Option<Screen>) -> Self {
        Self {
            all: Vec::new(),
            left_out: 0,
            screen,
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.screen.is_none()
    }

    pub(super) fn packet(&mut self, seen: &Seen<'_, Known>) {
        if !seen.is_new {
            return;
        }
        if self.all.len() < Self::LIMIT {
            self.all.push(Known::clone(&seen.conversation.note));
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn gaps(&self) -> Vec<Gap> {
        match self.left_out {
            0 => Vec::new(),
            count => vec![Gap::counted(
                Origin::Capture,
                "conversations not listed: there were too many",
                count,
            )],
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(screen) = self.screen else {
            for known in &self.all {
                let ends = known.borrow();
                let (protocol, places) = ends.between();
                let record = ConversationRecord::new(
                    ends.number,
                    protocol,
                    places,
                    [&ends.sides[0], &ends.sides[1]],
                    &ends.course,
                );
                json::append(out, &record)?;
            }
            return Ok(());
        };
        let talk = |index: usize| {
            let ends = self.all[index].borrow();
            Talk {
                number: ends.number,
                labels: ends.labels.clone(),
                is_tcp: ends.between().0 == Some(crate::model::Protocol::Tcp),
                course: ends.course.clone(),
            }
        };
        write_talks(out, self.all.len(), &talk, screen)
    }
}
