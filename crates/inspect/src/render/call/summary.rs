//! Sums of calls as two tables: by name, as strace -c has it, and by descriptor.

use std::io::{self, Write};

use super::{label, time_taken};
use crate::render::table::{self, Cell, Column, Narrow, TextRow};
use crate::render::{Escaped, Screen};
use crate::trace::Tally;

fn column(title: &'static str, right: bool, narrow: Narrow) -> Column {
    Column {
        title,
        right,
        narrow,
    }
}

/// Writes both tables.
///
/// # Errors
/// What the writer answers.
pub fn write(out: &mut dyn Write, tally: &Tally, screen: Screen) -> io::Result<()> {
    let names = tally.names();
    let columns = [
        column("CALL", false, Narrow::Elastic(8)),
        column("CALLS", true, Narrow::Below),
        column("ERRORS", true, Narrow::Below),
        column("TIME", true, Narrow::Below),
        column("EACH", true, Narrow::Below),
        column("BYTES OUT", true, Narrow::Below),
        column("BYTES IN", true, Narrow::Below),
    ];
    let row = |index: usize| {
        let Some((name, sum)) = names.get(index) else {
            return TextRow::default();
        };
        let each = sum.time_ns / sum.calls.max(1);
        TextRow {
            cells: vec![
                Cell::new(*name),
                Cell::new(sum.calls.to_string()),
                Cell::new(unless_zero(sum.errors)),
                Cell::new(time_taken(sum.time_ns, &screen)),
                Cell::new(time_taken(each, &screen)),
                Cell::new(unless_zero(sum.bytes.0)),
                Cell::new(unless_zero(sum.bytes.1)),
            ],
            notes: Vec::new(),
        }
    };
    table::write(out, &columns, names.len(), &row, true, screen)?;
    let descriptors = tally.descriptors();
    if descriptors.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let columns = [
        column("PROCESS", false, Narrow::Elastic(12)),
        column("FD", true, Narrow::Below),
        column("SOCKET", false, Narrow::Elastic(20)),
        column("CALLS", true, Narrow::Below),
        column("TIME", true, Narrow::Below),
        column("BYTES OUT", true, Narrow::Below),
        column("BYTES IN", true, Narrow::Below),
    ];
    let row = |index: usize| {
        let Some(on) = descriptors.get(index) else {
            return TextRow::default();
        };
        let name = Escaped::name(&on.process.command, screen.charset);
        TextRow {
            cells: vec![
                Cell::new(format!("{name}[{}]", on.process.pid)),
                Cell::new(on.fd.to_string()),
                Cell::new(label(&on.socket, &screen)),
                Cell::new(on.sum.calls.to_string()),
                Cell::new(time_taken(on.sum.time_ns, &screen)),
                Cell::new(unless_zero(on.sum.bytes.0)),
                Cell::new(unless_zero(on.sum.bytes.1)),
            ],
            notes: Vec::new(),
        }
    };
    table::write(out, &columns, descriptors.len(), &row, true, screen)?;
    match tally.others() {
        0 => Ok(()),
        others => writeln!(out, "and {others} calls on further descriptors"),
    }
}

/// Zero is quiet.
fn unless_zero(number: u64) -> String {
    match number {
        0 => String::new(),
        number => number.to_string(),
    }
}
