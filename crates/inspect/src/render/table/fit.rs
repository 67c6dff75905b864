//! Which columns stand side by side, and what goes below the row.

use unicode_width::UnicodeWidthStr;

use super::{Cell, Column, GUTTER, Narrow, Note, TextRow};

/// How wide the cells are.
pub(super) struct Widths<'a> {
    columns: &'a [Column],
    /// The widest cell of each column.
    full: Vec<usize>,
    /// The widest cell that an elastic column need not move below.
    shrunk: Vec<usize>,
}

impl<'a> Widths<'a> {
    pub(super) fn of(columns: &'a [Column], header: bool) -> Self {
        let titles: Vec<usize> = columns
            .iter()
            .map(|column| if header { column.title.width() } else { 0 })
            .collect();
        Self {
            columns,
            full: titles.clone(),
            shrunk: titles,
        }
    }

    pub(super) fn widen(&mut self, row: &TextRow) {
        for (index, cell) in row.cells.iter().enumerate() {
            let width = cell.width();
            self.full[index] = self.full[index].max(width);
            match self.columns[index].narrow {
                Narrow::Elastic(least) if width > least => {}
                _ => self.shrunk[index] = self.shrunk[index].max(width),
            }
        }
    }
}

/// How the columns fit into the screen.
pub(super) struct Fit<'a> {
    columns: &'a [Column],
    /// So many columns, from the left, stand side by side.
    pub(super) kept: usize,
    /// Their widths.
    pub(super) widths: Vec<usize>,
}

impl<'a> Fit<'a> {
    pub(super) fn of(widths: &Widths<'a>, screen: Option<usize>) -> Self {
        let columns = widths.columns;
        let mut fit = Self {
            columns,
            kept: columns.len(),
            widths: widths.full.clone(),
        };
        let Some(screen) = screen else {
            return fit;
        };
        if end(&fit.widths) <= screen {
            return fit;
        }
        while fit.kept > 0 && columns[fit.kept - 1].narrow == Narrow::Dropped {
            fit.kept -= 1;
            fit.widths.truncate(fit.kept);
        }
        if end(&fit.widths) <= screen {
            return fit;
        }
        fit.widths = widths.shrunk[..fit.kept].to_vec();
        // Two columns stay in any case: what it is, and what state it is in.
        while fit.kept > 2 && end(&fit.widths) > screen {
            fit.kept -= 1;
            fit.widths.truncate(fit.kept);
        }
        // What is left over goes to the last column.
        if let Some(last) = fit.widths.len().checked_sub(1) {
            let spare = screen.saturating_sub(end(&fit.widths));
            fit.widths[last] = (fit.widths[last] + spare).min(widths.full[last]);
            // Too little room for any but the shortest cells: better all of them below.
            if let Narrow::Elastic(least) = columns[last].narrow
                && fit.widths[last] < least.min(widths.full[last])
                && last >= 2
            {
                fit.kept = last;
                fit.widths.truncate(last);
            }
        }
        fit
    }

    /// Moves what does not fit below the row.
    pub(super) fn fold(&self, mut row: TextRow) -> TextRow {
        let mut notes = Vec::new();
        let mut below = |cell: Cell| {
            let style = cell.style;
            let lines = cell.lines.into_iter().filter(|text| !text.is_empty());
            notes.extend(lines.map(|text| Note { text, style }));
        };
        let side_by_side = row
            .cells
            .iter()
            .zip(&self.widths)
            .take_while(|(cell, width)| cell.width() <= **width)
            .count();
        let folded = row.cells.split_off(side_by_side);
        for (cell, column) in folded.into_iter().zip(&self.columns[side_by_side..]) {
            if column.narrow != Narrow::Dropped {
                below(cell);
            }
        }
        notes.append(&mut row.notes);
        row.notes = notes;
        row
    }
}

/// Where the last column ends.
fn end(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GUTTER * widths.len().saturating_sub(1)
}
