//! Tables without frames: columns two spaces apart, notes below a row.
//!
//! comfy-table lays a table out; beyond a couple of thousand rows it takes seconds and hundreds
//! of megabytes (measured: 50k rows 0.3-0.7 s, 150 MB), so larger ones are written in two passes,
//! the first for the widths. A test holds the two against each other.

mod fit;
mod stream;

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table as Layout};
use unicode_width::UnicodeWidthStr;

use super::{Screen, Style};
use fit::{Fit, Widths};
pub use stream::Stream;

/// The largest table that is laid out as a whole.
pub const LAID_OUT_ROWS: usize = 2_000;

/// The space between two columns.
pub(super) const GUTTER: usize = 2;

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Whether its cells are numbers, which end at the same place.
    pub right: bool,
    /// What becomes of it on a screen that is too narrow.
    pub narrow: Narrow,
}

/// What becomes of a column that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrow {
    /// Its cells stand below their rows, and so do those of all columns after it.
    Below,
    /// It shrinks to so much; only rows with a longer cell have that cell, and those after it,
    /// below.
    Elastic(usize),
    /// It is left out: another row, or another command, says the same.
    Dropped,
}

/// One row: a cell a column, and what stands below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextRow {
    /// The cells, each of one or more lines. Escaped: what is here is written as it is.
    pub cells: Vec<Cell>,
    /// Lines below the row, beginning under the second column.
    pub notes: Vec<Note>,
}

/// The text of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Its lines; at least one.
    pub lines: Vec<String>,
    /// How it is painted.
    pub style: Option<Style>,
}

/// A line below a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The text.
    pub text: String,
    /// How it is painted.
    pub style: Option<Style>,
}

impl Cell {
    /// A cell of one line.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            lines: vec![text.into()],
            style: None,
        }
    }

    /// The same cell, painted.
    pub fn painted(mut self, style: Option<Style>) -> Self {
        self.style = style;
        self
    }

    pub(super) fn width(&self) -> usize {
        self.lines
            .iter()
            .map(|line| line.width())
            .max()
            .unwrap_or(0)
    }
}

/// Writes `count` rows. `row` is asked for each row, twice for large tables. On a terminal,
/// columns that do not fit stand below their row instead: nothing falls off the edge.
///
/// # Errors
/// What the writer answers.
pub fn write(
    out: &mut dyn Write,
    columns: &[Column],
    count: usize,
    row: &dyn Fn(usize) -> TextRow,
    header: bool,
    screen: Screen,
) -> io::Result<()> {
    write_with(out, columns, count, row, header, screen, LAID_OUT_ROWS)
}

/// The columns a text takes. Nearly all text is ASCII, whose bytes are its columns: what is
/// escaped has no controls.
fn width_of(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

/// How many columns, from the left, would stand side by side.
pub fn side_by_side(
    columns: &[Column],
    count: usize,
    row: &dyn Fn(usize) -> TextRow,
    header: bool,
    screen: Screen,
) -> usize {
    let mut widths = Widths::of(columns, header);
    for index in 0..count {
        widths.widen(&row(index));
    }
    Fit::of(&widths, screen.width).kept
}

fn write_with(
    out: &mut dyn Write,
    columns: &[Column],
    count: usize,
    row: &dyn Fn(usize) -> TextRow,
    header: bool,
    screen: Screen,
    laid_out_rows: usize,
) -> io::Result<()> {
    if count <= laid_out_rows {
        let rows: Vec<TextRow> = (0..count).map(row).collect();
        let mut widths = Widths::of(columns, header);
        for row in &rows {
            widths.widen(row);
        }
        let fit = Fit::of(&widths, screen.width);
        let rows: Vec<TextRow> = rows.into_iter().map(|row| fit.fold(row)).collect();
        let table = Geometry::new(&columns[..fit.kept], &fit.widths);
        lay_out(out, &table, &rows, header, screen)
    } else {
        let mut widths = Widths::of(columns, header);
        for index in 0..count {
            widths.widen(&row(index));
        }
        let fit = Fit::of(&widths, screen.width);
        let table = Geometry::new(&columns[..fit.kept], &fit.widths);
        if header {
            let line = table.heading();
            writeln!(out, "{}", screen.paint(Style::Heading, &line))?;
        }
        for index in 0..count {
            let row = fit.fold(row(index));
            for line in 0..height(&row) {
                table.write_line(out, &table.pad(&row, line), &row, line, screen)?;
            }
            table.write_notes(out, &row, screen)?;
        }
        Ok(())
    }
}

fn height(row: &TextRow) -> usize {
    row.cells
        .iter()
        .map(|cell| cell.lines.len())
        .max()
        .unwrap_or(1)
}

/// The columns that stand side by side.
struct Geometry<'a> {
    columns: &'a [Column],
    widths: &'a [usize],
    /// Where each column begins.
    starts: Vec<usize>,
}

impl<'a> Geometry<'a> {
    fn new(columns: &'a [Column], widths: &'a [usize]) -> Self {
        let starts = widths
            .iter()
            .scan(0, |start, width| {
                let this = *start;
                *start += width + GUTTER;
                Some(this)
            })
            .collect();
        Self {
            columns,
            widths,
            starts,
        }
    }

    fn heading(&self) -> String {
        let titles = TextRow {
            cells: self
                .columns
                .iter()
                .map(|column| Cell::new(column.title))
                .collect(),
            notes: Vec::new(),
        };
        self.pad(&titles, 0)
    }

    /// One line of a row, padded, without trailing space.
    fn pad(&self, row: &TextRow, line: usize) -> String {
        let mut text = String::new();
        let mut at = 0;
        for (index, cell) in row.cells.iter().enumerate() {
            let Some(part) = cell.lines.get(line).filter(|part| !part.is_empty()) else {
                continue;
            };
            let right = self.columns[index].right;
            let indent = if right {
                self.widths[index].saturating_sub(part.width())
            } else {
                0
            };
            let start = self.starts[index] + indent;
            text.extend(std::iter::repeat_n(' ', start - at));
            text.push_str(part);
            at = start + part.width();
        }
        text
    }

    /// Writes a laid out line, painting its cells.
    fn write_line(
        &self,
        out: &mut dyn Write,
        text: &str,
        row: &TextRow,
        line: usize,
        screen: Screen,
    ) -> io::Result<()> {
        if !screen.colour {
            return writeln!(out, "{text}");
        }
        let mut done = 0;
        for (index, cell) in row.cells.iter().enumerate() {
            let (Some(style), Some(part)) = (cell.style, cell.lines.get(line)) else {
                continue;
            };
            let start = byte_at_column(text, self.starts[index]);
            let Some(offset) = text[start..].find(part.as_str()) else {
                continue;
            };
            let start = start + offset;
            out.write_all(&text.as_bytes()[done..start])?;
            out.write_all(screen.paint(style, part).as_bytes())?;
            done = start + part.len();
        }
        writeln!(out, "{}", &text[done..])
    }

    fn write_notes(&self, out: &mut dyn Write, row: &TextRow, screen: Screen) -> io::Result<()> {
        // Under the third column; further left rather than off the edge, by as much everywhere.
        // Numbers from the second column on have a ragged left, and nothing stands well below.
        let begins_with_numbers = self.columns.get(1).is_some_and(|column| column.right);
        let widest = row.notes.iter().map(|note| note.text.width()).max();
        let fits = |indent: &usize| match (screen.width, widest) {
            (Some(width), Some(widest)) => indent + widest <= width,
            _ => true,
        };
        let starts = match begins_with_numbers {
            true => &[1][..],
            false => &[2, 1],
        };
        let starts = starts
            .iter()
            .map(|column| self.starts.get(*column).copied());
        let mut places = starts.flatten().chain([FURTHER_LEFT]);
        let indent = places.find(fits).unwrap_or(0);
        for note in &row.notes {
            let text = match note.style {
                Some(style) => screen.paint(style, &note.text),
                None => note.text.clone(),
            };
            writeln!(out, "{:indent$}{text}", "")?;
        }
        Ok(())
    }
}

/// Columns before a note that is too long to stand under the second column.
const FURTHER_LEFT: usize = 2;

/// The byte at which a display column begins; the end when the text is shorter.
fn byte_at_column(text: &str, column: usize) -> usize {
    let mut width = 0;
    for (at, c) in text.char_indices() {
        if width >= column {
            return at;
        }
        width += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
    }
    text.len()
}

fn lay_out(
    out: &mut dyn Write,
    table: &Geometry<'_>,
    rows: &[TextRow],
    header: bool,
    screen: Screen,
) -> io::Result<()> {
    let mut layout = Layout::new();
    layout
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if header {
        layout.set_header(table.columns.iter().map(|column| column.title));
    }
    for row in rows {
        layout.add_row(row.cells.iter().map(|cell| cell.lines.join("\n")));
    }
    let last = table.columns.len().saturating_sub(1);
    for (index, column) in table.columns.iter().enumerate() {
        if let Some(layout) = layout.column_mut(index) {
            let gutter = if index == last { 0 } else { 2 };
            layout.set_padding((0, gutter));
            if column.right {
                layout.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let mut lines = layout.lines();
    if header && let Some(line) = lines.next() {
        writeln!(out, "{}", screen.paint(Style::Heading, line.trim_end()))?;
    }
    for row in rows {
        for number in 0..height(row) {
            if let Some(line) = lines.next() {
                table.write_line(out, line.trim_end(), row, number, screen)?;
            }
        }
        table.write_notes(out, row, screen)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::render::Charset;

    const COLUMNS: [Column; 4] = [
        column("PROTO", false, Narrow::Below),
        column("STATE", false, Narrow::Below),
        column("QUEUE", true, Narrow::Below),
        column("OWNER", false, Narrow::Elastic(10)),
    ];

    const fn column(title: &'static str, right: bool, narrow: Narrow) -> Column {
        Column {
            title,
            right,
            narrow,
        }
    }

    fn screen(width: Option<usize>) -> Screen {
        Screen {
            width,
            colour: false,
            charset: Charset::Utf8,
        }
    }

    fn text(rows: &[TextRow], screen: Screen, laid_out_rows: usize) -> String {
        let mut out = Vec::new();
        write_with(
            &mut out,
            &COLUMNS,
            rows.len(),
            &|index| rows[index].clone(),
            true,
            screen,
            laid_out_rows,
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    fn sample() -> Vec<TextRow> {
        let row = |cells: [&str; 4], note: Option<&str>| TextRow {
            cells: cells
                .iter()
                .map(|cell| Cell {
                    lines: cell.split('|').map(str::to_owned).collect(),
                    style: None,
                })
                .collect(),
            notes: note
                .map(|text| Note {
                    text: text.to_owned(),
                    style: None,
                })
                .into_iter()
                .collect(),
        };
        vec![
            row(["tcp", "LISTEN", "0", "a[1] fd 3|b[2] fd 3"], None),
            row(
                ["tcp", "ESTABLISHED", "212", "你好[3] fd 4"],
                Some("212 bytes unread"),
            ),
        ]
    }

    #[test]
    fn several_owners_stand_one_under_the_other_and_a_note_below_its_row() {
        insta::assert_snapshot!(text(&sample(), screen(None), 10), @r"
        PROTO  STATE        QUEUE  OWNER
        tcp    LISTEN           0  a[1] fd 3
                                   b[2] fd 3
        tcp    ESTABLISHED    212  你好[3] fd 4
                            212 bytes unread
        ");
    }

    #[test]
    fn what_does_not_fit_stands_below_its_row() {
        insta::assert_snapshot!(text(&sample(), screen(Some(30)), 10), @r"
        PROTO  STATE        QUEUE
        tcp    LISTEN           0
                            a[1] fd 3
                            b[2] fd 3
        tcp    ESTABLISHED    212
               你好[3] fd 4
               212 bytes unread
        ");
    }

    #[test]
    fn where_enough_of_a_column_fits_only_its_longer_cells_stand_below() {
        insta::assert_snapshot!(text(&sample(), screen(Some(37)), 10), @r"
        PROTO  STATE        QUEUE  OWNER
        tcp    LISTEN           0  a[1] fd 3
                                   b[2] fd 3
        tcp    ESTABLISHED    212
                            你好[3] fd 4
                            212 bytes unread
        ");
    }

    #[test]
    fn painting_does_not_move_anything() {
        let mut rows = sample();
        for row in &mut rows {
            row.cells[1].style = Some(Style::Calm);
        }
        let mut coloured = screen(None);
        coloured.colour = true;
        for limit in [0, 10] {
            let painted = text(&rows, coloured, limit);
            assert!(
                painted.contains("\u{1b}[32mESTABLISHED\u{1b}[0m    212"),
                "{painted}"
            );
            let plain = anstream::adapter::strip_str(&painted).to_string();
            assert_eq!(plain, text(&rows, screen(None), limit));
        }
    }

    proptest! {
        #[test]
        fn both_writers_write_the_same(
            cells in proptest::collection::vec(
                proptest::collection::vec("[a-z你好]{1,12}( [a-z]{1,5})?(\\|[a-z]{1,4})?", 4..=4), 0..12),
            width in proptest::option::of(20usize..100),
        ) {
            let rows: Vec<TextRow> = cells
                .iter()
                .map(|row| TextRow {
                    cells: row.iter().map(|cell| Cell {
                        lines: cell.split('|').map(str::to_owned).collect(),
                        style: None,
                    }).collect(),
                    notes: Vec::new(),
                })
                .collect();
            prop_assume!(!rows.is_empty());
            prop_assert_eq!(text(&rows, screen(width), 0), text(&rows, screen(width), 100));
        }
    }
}
