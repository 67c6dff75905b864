//! A table that is longer than what is laid out as a whole, in a pipe: nothing has to fit, and no
//! cell is kept.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use unicode_width::UnicodeWidthStr;

use super::{Column, GUTTER, Geometry, width_of};
use crate::render::{Screen, Style, Workers};

/// The rows of a piece of a long table: so few that a piece is soon made, so many that it costs
/// nothing to hand one over.
const PIECE: usize = 2_048;

/// A long table whose cells are one line each, where nothing has to fit.
pub struct Stream<'a> {
    /// The columns.
    pub columns: &'a [Column],
    /// How many rows there are.
    pub count: usize,
    /// Writes the cell of a row and column, and says how to paint it. It is asked twice.
    pub cell: &'a (dyn Fn(usize, usize, &mut String) -> Option<Style> + Sync),
    /// Whether there is a line of headings.
    pub header: bool,
}

impl Stream<'_> {
    /// Writes it in two passes, the first for the widths, without keeping a cell.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn write(
        &self,
        out: &mut dyn Write,
        screen: Screen,
        workers: &dyn Workers,
    ) -> io::Result<()> {
        let pieces = self.count.div_ceil(PIECE);
        let titles = self.columns.iter().map(|column| {
            let shown = self.header;
            if shown { column.title.width() } else { 0 }
        });
        let widths = Mutex::new(titles.collect());
        let widen = |piece| {
            let found = self.widths(piece);
            let mut widths: MutexGuard<'_, Vec<usize>> =
                widths.lock().unwrap_or_else(PoisonError::into_inner);
            for (widest, width) in widths.iter_mut().zip(found) {
                *widest = width.max(*widest);
            }
            Ok(Vec::new())
        };
        workers.in_order(pieces, &widen, &mut |_| Ok(()))?;
        let widths = widths.into_inner().unwrap_or_else(PoisonError::into_inner);
        if self.header {
            let heading = Geometry::new(self.columns, &widths).heading();
            writeln!(out, "{}", screen.paint(Style::Heading, &heading))?;
        }
        let lines = |piece| Ok(self.lines(piece, &widths, screen));
        workers.in_order(pieces, &lines, &mut |lines| out.write_all(&lines))
    }

    fn rows(&self, piece: usize) -> Range<usize> {
        let first = piece * PIECE;
        first..self.count.min(first + PIECE)
    }

    /// The widths of the cells of a piece.
    fn widths(&self, piece: usize) -> Vec<usize> {
        let mut widths = vec![0; self.columns.len()];
        let mut text = String::new();
        for row in self.rows(piece) {
            for (column, widest) in widths.iter_mut().enumerate() {
                text.clear();
                (self.cell)(row, column, &mut text);
                *widest = width_of(&text).max(*widest);
            }
        }
        widths
    }

    fn lines(&self, piece: usize, widths: &[usize], screen: Screen) -> Vec<u8> {
        let mut lines = String::new();
        let mut text = String::new();
        for row in self.rows(piece) {
            // Spaces are owed until a cell follows: no line ends in them.
            let mut owed = 0;
            for (column, widest) in widths.iter().enumerate() {
                text.clear();
                let style = (self.cell)(row, column, &mut text);
                let width = width_of(&text);
                let missing = widest.saturating_sub(width);
                let right = self.columns[column].right;
                if width > 0 {
                    let before = if right { missing } else { 0 };
                    lines.extend(std::iter::repeat_n(' ', owed + before));
                    match style {
                        Some(style) if screen.colour => {
                            lines.push_str(&screen.paint(style, &text));
                        }
                        _ => lines.push_str(&text),
                    }
                    owed = 0;
                }
                owed += GUTTER + if right && width > 0 { 0 } else { missing };
            }
            lines.push('\n');
        }
        lines.into_bytes()
    }
}
