//! `--summary`: the conversations, at the end.

use std::io::{self, Write};
use std::rc::Rc;

use super::show::{Ends, Known};
use crate::attribution::{Attribution, Grounds};
use crate::capture::{Conversations, Seen};
use crate::model::{Endpoint, Gap, Origin, Protocol};
use crate::render::json::{self, ConversationRecord};
use crate::render::packet::{Talk, end_label, write_talks};
use crate::render::{Charset, Screen};
use crate::streams::Course;

/// Every conversation that was seen, forgotten ones included, up to a bound.
pub(super) struct Overview {
    /// In the order of their numbers, which count from 1.
    all: Vec<Row>,
    left_out: u64,
    packets_left_out: u64,
    charset: Charset,
    /// `None`: as records.
    screen: Option<Screen>,
}

enum Row {
    /// It is remembered, and shared with who remembers it.
    Remembered(Known),
    /// It has made room for another: what its row needs.
    Over(Box<Over>),
}

impl Row {
    fn with<R>(&self, act: impl FnOnce(&Over) -> R) -> R {
        match self {
            Self::Remembered(known) => act(&Over::of(&known.borrow())),
            Self::Over(over) => act(over),
        }
    }
}

struct Over {
    number: u64,
    protocol: Option<Protocol>,
    places: [Endpoint; 2],
    course: Course,
    grounds: [Grounds; 2],
    /// Who was there, and how that is written; where anybody was.
    whose: Option<Box<Whose>>,
}

struct Whose {
    sides: [Attribution; 2],
    labels: [String; 2],
}

impl Over {
    fn of(ends: &Ends) -> Self {
        let (protocol, places) = ends.between();
        let is_plain =
            |side: &Attribution| side.owners.is_empty() && side.grounds <= Grounds::Elsewhere;
        let whose = (!ends.sides.iter().all(is_plain)).then(|| {
            Box::new(Whose {
                sides: ends.sides.clone(),
                labels: ends.labels.clone(),
            })
        });
        Self {
            number: ends.number,
            protocol,
            places,
            course: ends.course.clone(),
            grounds: [0, 1].map(|index: usize| ends.sides[index].grounds),
            whose,
        }
    }

    fn sides(&self) -> [Attribution; 2] {
        match &self.whose {
            Some(whose) => whose.sides.clone(),
            None => self.grounds.map(Attribution::nobody),
        }
    }

    fn labels(&self, charset: Charset) -> [String; 2] {
        if let Some(whose) = &self.whose {
            return whose.labels.clone();
        }
        [0, 1].map(|index: usize| {
            let side = Attribution::nobody(self.grounds[index]);
            let has_port = self.protocol.is_some();
            end_label(&side, self.places[index], has_port, None, charset)
        })
    }
}

impl Overview {
    /// Conversations listed.
    const LIMIT: usize = Conversations::<Known>::LIMIT;

    /// As a table on this screen; without one, as records.
    pub(super) fn new(screen: Option<Screen>, charset: Charset) -> Self {
        Self {
            all: Vec::new(),
            left_out: 0,
            packets_left_out: 0,
            charset,
            screen,
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.screen.is_none()
    }

    pub(super) fn packet(&mut self, seen: &Seen<'_, Known>) {
        if let Some(old) = &seen.displaced {
            self.forget(old);
        }
        let is_listed = index(seen.conversation.number) < Self::LIMIT;
        if !is_listed {
            self.packets_left_out += 1;
        }
        match (seen.is_new, is_listed) {
            (false, _) => {}
            (true, true) => {
                let known = Known::clone(&seen.conversation.note);
                self.all.push(Row::Remembered(known));
            }
            (true, false) => self.left_out += 1,
        }
    }

    /// One makes room: only its row is kept.
    fn forget(&mut self, old: &Known) {
        let ends = old.borrow();
        if let Some(row) = self.all.get_mut(index(ends.number))
            && matches!(row, Row::Remembered(known) if Rc::ptr_eq(known, old))
        {
            *row = Row::Over(Box::new(Over::of(&ends)));
        }
    }

    pub(super) fn gaps(&self) -> Vec<Gap> {
        [
            (
                self.left_out,
                "conversations not listed: there were too many",
            ),
            (
                self.packets_left_out,
                "packets in conversations that are not listed",
            ),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| Gap::counted(Origin::Capture, reason, count))
        .collect()
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(screen) = self.screen else {
            let mut line = Vec::new();
            for row in &self.all {
                line.clear();
                row.with(|over| {
                    let [client, server] = over.sides();
                    let sides = [&client, &server];
                    let Over {
                        number,
                        protocol,
                        places,
                        course,
                        ..
                    } = over;
                    let record =
                        ConversationRecord::new(*number, *protocol, *places, sides, course);
                    json::append(&mut line, &record)
                })?;
                out.write_all(&line)?;
            }
            return Ok(());
        };
        let talk = |index: usize| {
            self.all[index].with(|over| Talk {
                number: over.number,
                labels: over.labels(self.charset),
                is_tcp: over.protocol == Some(Protocol::Tcp),
                course: over.course.clone(),
            })
        };
        write_talks(out, self.all.len(), &talk, screen)
    }
}

/// The place of the conversation of this number.
fn index(number: u64) -> usize {
    usize::try_from(number)
        .unwrap_or(usize::MAX)
        .saturating_sub(1)
}
