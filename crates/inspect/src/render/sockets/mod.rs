//! The listing of `inspect sockets` and its summary.

mod queues;
mod summary;
mod words;

use std::io::{self, Write};

use super::Screen;
use super::table::{self, Column, Narrow};
use crate::listing::Rows;

pub use queues::grouped;
pub use summary::{Count, write_summary};
use words::Text;
pub use words::{Names, ends_words, owner_words};

/// From this width on, and in a pipe, queues, user and peer have columns of their own.
const WIDE: usize = 100;

/// Writes the rows as a table.
///
/// # Errors
/// What the writer answers.
pub fn write_rows(
    out: &mut dyn Write,
    rows: &Rows<'_>,
    names: &dyn Names,
    header: bool,
    screen: Screen,
) -> io::Result<()> {
    let wide = screen.width.is_none_or(|width| width >= WIDE);
    let text = Text {
        names,
        charset: screen.charset,
        terminal: screen.is_terminal(),
    };
    let wide_columns = [
        left("PROTO"),
        left("STATE"),
        right("RECV-Q"),
        right("SEND-Q"),
        address("LOCAL"),
        address("REMOTE"),
        beside("USER"),
        owner(),
        beside("PEER"),
    ];
    let wide_row = |index: usize| text.wide_row(rows.get(index));
    // More columns are worth it only while the owner still stands beside them.
    let owner_column = 7;
    let wide = wide
        && table::side_by_side(&wide_columns, rows.len(), &wide_row, header, screen) > owner_column;
    if wide {
        table::write(out, &wide_columns, rows.len(), &wide_row, header, screen)
    } else {
        let columns = [
            left("PROTO"),
            left("STATE"),
            address("LOCAL"),
            address("REMOTE"),
            owner(),
        ];
        let row = |index: usize| text.narrow_row(rows.get(index));
        table::write(out, &columns, rows.len(), &row, header, screen)
    }
}

fn left(title: &'static str) -> Column {
    Column {
        title,
        right: false,
        narrow: Narrow::Below,
    }
}

fn right(title: &'static str) -> Column {
    Column {
        title,
        right: true,
        narrow: Narrow::Below,
    }
}

/// `255.255.255.255:65535` has 21 columns; a longer IPv6 address must not widen every row.
fn address(title: &'static str) -> Column {
    Column {
        narrow: Narrow::Elastic(21),
        ..left(title)
    }
}

/// `chat-server[4845] fd 3` has 22 columns: where so much fits, most owners do.
fn owner() -> Column {
    Column {
        narrow: Narrow::Elastic(22),
        ..left("OWNER")
    }
}

/// Wanted only beside the rest: alone on a line below, nobody could tell what it is.
fn beside(title: &'static str) -> Column {
    Column {
        narrow: Narrow::Dropped,
        ..left(title)
    }
}
