//! A listing as comma-separated values (RFC 4180).

use std::io::{self, Write};

use super::words::Text;
use super::{Look, Names, columns};
use crate::listing::Rows;
use crate::render::Charset;

/// Writes the rows as CSV. A row is a line: what other programs chose is escaped as on a screen,
/// and can be read back; JSON has the exact bytes.
///
/// # Errors
/// What the writer answers.
pub fn write_csv(
    out: &mut dyn Write,
    rows: &Rows<'_>,
    names: &dyn Names,
    look: &Look,
) -> io::Result<()> {
    let text = Text::new(names, Charset::Utf8, false);
    let chosen = if look.columns.is_empty() {
        look.whole()
    } else {
        look.columns.clone()
    };
    let mut csv = csv::Writer::from_writer(out);
    if look.header {
        let titles = chosen.iter().map(|column| column.title().to_lowercase());
        csv.write_record(titles).map_err(io_error)?;
    }
    let mut cell = String::new();
    for row in rows.iter() {
        for column in &chosen {
            cell.clear();
            columns::write(*column, &mut cell, &row, &text);
            csv.write_field(&cell).map_err(io_error)?;
        }
        csv.write_record(None::<&[u8]>).map_err(io_error)?;
    }
    csv.flush()
}

/// The kind of error matters: a closed pipe is a success.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
