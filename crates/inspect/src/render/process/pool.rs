//! Several processes, one a row; on a terminal those that do the same share one.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::doings::Doings;
use super::facts::{command_words, nearly_full};
use super::{Look, Portrait, Sight, process_words};
use crate::render::Style;
use crate::render::facts::wrapped;
use crate::render::sockets::{grouped, left};
use crate::render::table::{self, Cell, Column, Narrow, Note, TextRow};

/// With less room than this a command line says nothing.
const LEAST_COMMAND: usize = 16;

/// Writes one row for each group.
pub(super) fn write(
    out: &mut dyn Write,
    portraits: &[Portrait<'_>],
    look: &Look<'_>,
) -> io::Result<()> {
    let groups = grouped_by_what_they_do(portraits, look);
    let elastic = |title, least| Column {
        narrow: Narrow::Elastic(least),
        ..left(title)
    };
    // Wanted only beside the rest: alone on a line below, nobody could tell what they are.
    let beside = |title| Column {
        narrow: Narrow::Dropped,
        ..left(title)
    };
    let columns = [
        left("PROCESS"),
        elastic("LISTENS ON", 16),
        elastic("TALKS TO", 20),
        beside("DESCRIPTORS"),
        beside("USER"),
        beside("SINCE"),
        beside("COMMAND"),
    ];
    let mut rows: Vec<TextRow> = groups.iter().map(|group| group.row(look)).collect();
    let columns = match look.screen.width {
        None => &columns[..],
        Some(width) => {
            // Below a row there is a line for what is too long for a column.
            let indent = columns[..2].iter().enumerate().map(|(index, column)| {
                let cells = rows.iter().filter_map(|row| row.cells.get(index));
                let widest = cells.map(Cell::width).max().unwrap_or(0);
                widest.max(column.title.len()) + table::GUTTER
            });
            let room = width.saturating_sub(indent.sum());
            for row in &mut rows {
                let command = row.cells.pop();
                row.notes
                    .extend(command.and_then(|cell| below(&cell, room, look)));
            }
            &columns[..columns.len() - 1]
        }
    };
    let row = |index: usize| rows.get(index).cloned().unwrap_or_default();
    table::write(out, columns, rows.len(), &row, true, look.screen)
}

/// Processes that share a row.
struct Group<'a, 'p> {
    first: &'a Portrait<'p>,
    all: Vec<&'a Portrait<'p>>,
    doings: Doings,
}

/// In a pipe each is a group of its own.
fn grouped_by_what_they_do<'a, 'p>(
    portraits: &'a [Portrait<'p>],
    look: &Look<'_>,
) -> Vec<Group<'a, 'p>> {
    let words = look.words();
    let mut groups: Vec<Group<'a, 'p>> = Vec::new();
    for portrait in portraits {
        let mut own = Doings::default();
        own.add(&portrait.standing, words);
        let same = groups.iter_mut().find(|group| {
            look.screen.is_terminal()
                && !look.all
                && alike(group.first, portrait)
                && group.doings.listens() == own.listens()
        });
        match same {
            Some(group) => {
                group.doings.add(&portrait.standing, words);
                group.all.push(portrait);
            }
            None => groups.push(Group {
                first: portrait,
                all: vec![portrait],
                doings: own,
            }),
        }
    }
    groups
}

/// Whether two processes are of one kind, whoever they talk to at the moment.
fn alike(one: &Portrait<'_>, other: &Portrait<'_>) -> bool {
    let (a, b) = (one.about, other.about);
    a.command == b.command
        && a.uid == b.uid
        && a.command_line == b.command_line
        && a.directory == b.directory
        && a.placement == b.placement
        && a.netns == b.netns
        && one.sight == other.sight
        && a.has_ended() == b.has_ended()
}

impl Group<'_, '_> {
    fn row(&self, look: &Look<'_>) -> TextRow {
        let words = look.words();
        let terminal = look.screen.is_terminal();
        let about = self.first.about;
        let mut names = vec![process_words(&about.command, about.pid, words.0.charset)];
        if self.all.len() > 1 {
            names.push(format!("and {} more", self.all.len() - 1));
        }
        let user = match about.uid {
            Some(uid) => words.user(uid),
            None => "?".to_owned(),
        };
        let since = match about.started {
            Some(began) if terminal => look.when.short(began),
            Some(began) => look.when.whole(began),
            None => "?".to_owned(),
        };
        let cell = |lines: Vec<String>, none: &str| match lines.len() {
            0 => Cell::new(none),
            _ if terminal => Cell { lines, style: None },
            _ => Cell::new(lines.join(", ")),
        };
        let (listens, talks) = if about.has_ended() {
            (Cell::new("has ended"), Cell::new("has ended"))
        } else if self.first.sight == Sight::Hidden {
            (Cell::new("hidden"), Cell::new("hidden"))
        } else {
            (
                cell(self.doings.listens_on(), "nothing"),
                cell(self.doings.talks(words), "nobody"),
            )
        };
        let command = match about.command_line.as_deref() {
            Some(line) if !line.is_empty() => command_words(line, words.0.charset),
            _ => "?".to_owned(),
        };
        TextRow {
            cells: vec![
                cell(names, ""),
                listens,
                talks,
                Cell::new(self.descriptors()),
                Cell::new(user),
                Cell::new(since),
                Cell::new(command),
            ],
            notes: self.running_out().into_iter().collect(),
        }
    }

    /// Those whose descriptors are nearly all used.
    fn running_out(&self) -> Option<Note> {
        let full = self.all.iter().find(|portrait| {
            let used = portrait.about.descriptors.as_ref().map(|it| it.total);
            used.is_some_and(|used| nearly_full(used, portrait.about.descriptor_limit))
        })?;
        let used = full.about.descriptors.as_ref()?.total;
        let limit = full.about.descriptor_limit?;
        Some(Note {
            text: format!(
                "process {} has {} of {} descriptors: nearly all",
                full.about.pid,
                grouped(used),
                grouped(limit)
            ),
            style: Some(Style::Notable),
        })
    }

    /// `14 of 1,024`, `12-16 of 1,024`.
    fn descriptors(&self) -> String {
        let used: Vec<u64> = self
            .all
            .iter()
            .filter_map(|portrait| Some(portrait.about.descriptors.as_ref()?.total))
            .collect();
        let limit = match self.first.about.descriptor_limit {
            Some(limit) => format!(" of {}", grouped(limit)),
            None => String::new(),
        };
        match (used.iter().min(), used.iter().max()) {
            (Some(least), Some(most)) if least == most => format!("{}{limit}", grouped(*least)),
            (Some(least), Some(most)) => {
                format!("{}-{}{limit}", grouped(*least), grouped(*most))
            }
            _ => format!("?{limit}"),
        }
    }
}

/// The beginning of a command line, where there is room for one.
fn below(command: &Cell, room: usize, look: &Look<'_>) -> Option<Note> {
    let words = command.lines.first().filter(|words| *words != "?")?;
    if room < LEAST_COMMAND {
        return None;
    }
    let mut lines = wrapped(words, Some(room)).into_iter();
    let mut text = lines.next()?;
    if lines.next().is_some() {
        let ellipsis = format!(" {}", look.screen.ellipsis());
        text = wrapped(words, Some(room - ellipsis.width()))
            .into_iter()
            .next()?;
        text += &ellipsis;
    }
    Some(Note {
        text,
        style: Some(Style::Dim),
    })
}
