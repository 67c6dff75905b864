//! The listing of `inspect sockets` and its summary.

mod change;
pub(super) mod columns;
mod csv;
mod details;
mod extended;
mod queues;
mod summary;
mod words;

use std::io::{self, Write};

use super::table::{self, Cell, Column, Narrow, TextRow};
use super::{Screen, Workers};
use crate::listing::{Row, Rows, SocketColumn};

pub use change::write_change;
pub use csv::write_csv;
pub use queues::grouped;
pub(super) use queues::queue_notes;
pub use summary::{Count, write_summary};
pub(super) use words::Text;
pub use words::{Names, Numbers, ends_words, owner_words};

/// From this width on, and in a pipe, queues, user and peer have columns of their own.
const WIDE: usize = 100;

/// How a listing is to look.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The columns; empty for those that fit.
    pub columns: Vec<SocketColumn>,
    /// Whether there is a line of headings.
    pub header: bool,
    /// Whether rows of several network namespaces stand together.
    pub several_netns: bool,
    /// Whether owners were looked for.
    pub owners: bool,
    /// Whether details were asked for.
    pub details: bool,
    /// Whether everything was asked for that is known of sockets and owners.
    pub extended: bool,
}

impl Look {
    /// The columns of a kind, with those that the situation adds and takes away.
    fn adapt(&self, columns: &[SocketColumn]) -> Vec<SocketColumn> {
        let netns = self.several_netns.then_some(SocketColumn::Netns);
        netns
            .into_iter()
            .chain(columns.iter().copied().filter(|column| {
                self.owners || !matches!(column, SocketColumn::Owner | SocketColumn::Peer)
            }))
            .collect()
    }

    /// The columns where there is room for all.
    fn whole(&self) -> Vec<SocketColumn> {
        let mut columns = self.adapt(&SocketColumn::WIDE);
        if self.extended {
            let further = SocketColumn::EXTENDED.into_iter();
            let further = further.filter(|column| !columns.contains(column));
            columns.extend(further.collect::<Vec<_>>());
        }
        columns.extend(self.details.then_some(SocketColumn::Details));
        columns
    }
}

/// Writes the rows as a table.
///
/// # Errors
/// What the writer answers.
pub fn write_rows(
    out: &mut dyn Write,
    rows: &Rows<'_>,
    names: &dyn Names,
    look: &Look,
    screen: Screen,
    workers: &dyn Workers,
) -> io::Result<()> {
    let text = Text::new(names, screen.charset, screen.is_terminal());
    let (columns, notes) = chosen(rows, &text, look, screen);
    let layout: Vec<Column> = columns
        .iter()
        .map(|column| columns::layout(*column))
        .collect();
    // In a pipe a row is a line, and nothing is folded: cells need not be kept.
    if screen.width.is_none() && rows.len() > table::LAID_OUT_ROWS {
        let users = text.users_of(rows);
        let text = text.with_users(&users);
        let cell = |index: usize, column: usize, cell: &mut String| {
            let (Some(row), Some(column)) = (rows.get(index), columns.get(column)) else {
                return None;
            };
            columns::write(*column, cell, &row, &text)
        };
        let stream = table::Stream {
            columns: &layout,
            count: rows.len(),
            cell: &cell,
            header: look.header,
        };
        return stream.write(out, screen, workers);
    }
    let row = |index: usize| text_row(rows.get(index), &columns, &text, notes);
    table::write(out, &layout, rows.len(), &row, look.header, screen)
}

/// What stands below a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Notes {
    queues: bool,
    details: bool,
    /// The width of the screen on which everything is told.
    extended: Option<usize>,
    /// Columns for a line of details; `None` in a pipe.
    room: Option<usize>,
}

/// The columns that suit the screen, and what has none and stands below the rows.
fn chosen(
    rows: &Rows<'_>,
    text: &Text<'_>,
    look: &Look,
    screen: Screen,
) -> (Vec<SocketColumn>, Notes) {
    let notes = |queues| Notes {
        queues,
        details: look.details && screen.is_terminal(),
        extended: screen.width.filter(|_| look.extended),
        room: screen.width.map(extended::room),
    };
    if !look.columns.is_empty() {
        return (look.columns.clone(), notes(false));
    }
    let Some(width) = screen.width else {
        return (look.whole(), notes(false));
    };
    let wide = look.adapt(&SocketColumn::WIDE);
    // More columns are worth it only while the owner still stands beside them.
    let needed = wide
        .iter()
        .position(|column| *column == SocketColumn::Owner)
        .map_or(wide.len(), |place| place + 1);
    let layout: Vec<Column> = wide.iter().map(|column| columns::layout(*column)).collect();
    let row = |index: usize| text_row(rows.get(index), &wide, text, notes(false));
    if width >= WIDE
        && table::side_by_side(&layout, rows.len(), &row, look.header, screen) >= needed
    {
        (wide, notes(false))
    } else {
        (look.adapt(&SocketColumn::NARROW), notes(true))
    }
}

fn text_row(
    row: Option<Row<'_>>,
    columns: &[SocketColumn],
    text: &Text<'_>,
    notes: Notes,
) -> TextRow {
    let Some(row) = row else {
        return TextRow::default();
    };
    let cell = |column: &SocketColumn| {
        let mut cell = String::new();
        let style = columns::write(*column, &mut cell, &row, text);
        Cell {
            lines: cell.split('\n').map(str::to_owned).collect(),
            style,
        }
    };
    let mut below = Vec::new();
    if notes.queues {
        below.extend(queues::queue_notes(row.socket));
    }
    if notes.details {
        below.extend(details::notes(row.socket, text.charset, notes.room));
    }
    if let Some(width) = notes.extended {
        below.extend(extended::notes(&row, text, width));
    }
    TextRow {
        cells: columns.iter().map(cell).collect(),
        notes: below,
    }
}

pub(super) fn left(title: &'static str) -> Column {
    Column {
        title,
        right: false,
        narrow: Narrow::Below,
    }
}

fn right(title: &'static str) -> Column {
    Column {
        right: true,
        ..left(title)
    }
}
