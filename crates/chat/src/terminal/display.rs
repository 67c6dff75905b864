//! Where the half-typed line stands on the screen, and how messages get above it. Pure: gives the
//! text to write, and believes that it is written.

use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::escape::{Surface, escape};

/// The editing block at the bottom of what is written: a prompt and a line over one or more rows.
#[derive(Debug)]
pub(crate) struct Display {
    columns: usize,
    rows: usize,
    surface: Surface,
    /// The row of the block the cursor stands in; `None` when no block is on the screen.
    cursor_row: Option<usize>,
    /// What was drawn up to and with the cursor's row, and the cursor's column there.
    drawn: (Vec<String>, usize),
}

/// What is typed, with everything needed to show it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Typing<'a> {
    /// In front of the line; plain ASCII.
    pub prompt: &'a str,
    /// The line.
    pub text: &'a str,
    /// The cursor, in bytes of `text`.
    pub cursor: usize,
}

struct Layout {
    rows: Vec<String>,
    cursor: (usize, usize),
}

impl Display {
    /// A display of that size, in characters.
    pub(crate) fn new(columns: u16, rows: u16, surface: Surface) -> Self {
        let mut display = Self {
            columns: 0,
            rows: 0,
            surface,
            cursor_row: None,
            drawn: (Vec::new(), 0),
        };
        display.resize(columns, rows);
        display
    }

    /// Notes a new size. A size of 0, which some pseudo-terminals have, is taken for 80 by 24.
    ///
    /// Terminals wrap a row that no longer fits, so the block is now taller and its cursor further
    /// down. The few that cut rows off lose what stood above the block, which is the lesser harm:
    /// the other way round every change of size would leave a copy of the line behind.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        let or = |size: u16, usual| if size == 0 { usual } else { usize::from(size) };
        self.columns = or(columns, 80).max(8);
        self.rows = or(rows, 24).max(2);
        if self.cursor_row.is_some() {
            self.cursor_row = Some(self.wrapped_cursor_row().min(self.rows - 1));
        }
    }

    /// The cursor's row, counted in rows of the present width.
    fn wrapped_cursor_row(&self) -> usize {
        let (rows, column) = &self.drawn;
        let Some((last, above)) = rows.split_last() else {
            return 0;
        };
        let above: usize = above
            .iter()
            .map(|row| self.wrap(row, usize::MAX).0 + 1)
            .sum();
        above + self.wrap(last, *column).0
    }

    /// Where a row that was drawn at another width has its column now, as row and column.
    fn wrap(&self, row: &str, until: usize) -> (usize, usize) {
        let (mut seen, mut at) = (0, (0, 0));
        for grapheme in row.graphemes(true) {
            let width = grapheme.width();
            if at.1 + width > self.columns {
                at = (at.0 + 1, 0);
            }
            if seen >= until {
                break;
            }
            at.1 += width;
            seen += width;
        }
        at
    }

    /// Removes the block; what is written next starts where it stood.
    pub(crate) fn erase(&mut self) -> String {
        match self.cursor_row.take() {
            None => String::new(),
            Some(0) => "\r\x1b[J".to_owned(),
            Some(row) => format!("\x1b[{row}A\r\x1b[J"),
        }
    }

    /// Draws the block anew.
    pub(crate) fn paint(&mut self, typing: &Typing<'_>) -> String {
        let mut out = self.erase();
        let layout = self.layout(typing);
        // A line taller than the screen shows the rows around the cursor.
        let (row, column) = layout.cursor;
        let first = (row + 1).saturating_sub(self.rows);
        let shown = layout.rows.get(first..).unwrap_or_default();
        let shown = shown.get(..shown.len().min(self.rows)).unwrap_or_default();
        out.push_str(&shown.join("\r\n"));
        let up = shown.len() - 1 - (row - first);
        if up > 0 {
            let _ = write!(out, "\x1b[{up}A");
        }
        out.push('\r');
        if column > 0 {
            let _ = write!(out, "\x1b[{column}C");
        }
        self.cursor_row = Some(row - first);
        let above = shown.get(..=row - first).unwrap_or_default();
        self.drawn = (above.to_vec(), column);
        out
    }

    /// Takes the cursor's row for the block's only one: somebody else wrote meanwhile.
    pub(crate) fn start_over(&mut self) {
        self.cursor_row = Some(0);
        self.drawn = (Vec::new(), 0);
    }

    /// Puts one finished line above the block.
    pub(crate) fn above(&mut self, line: &str, typing: &Typing<'_>) -> String {
        let mut out = self.erase();
        out.push_str(line);
        out.push_str("\r\n");
        out.push_str(&self.paint(typing));
        out
    }

    /// Leaves the block standing as part of the conversation and goes below it.
    pub(crate) fn commit(&mut self, typing: &Typing<'_>) -> String {
        let mut out = self.paint(&Typing {
            cursor: typing.text.len(),
            ..*typing
        });
        out.push_str("\r\n");
        self.cursor_row = None;
        out
    }

    /// Forgets the block, as after the screen was cleared.
    pub(crate) fn forget(&mut self) {
        self.cursor_row = None;
    }

    fn layout(&self, typing: &Typing<'_>) -> Layout {
        let prompt = typing
            .prompt
            .get(..typing.prompt.len().min(self.columns - 4));
        let prompt = prompt.unwrap_or_default();
        let mut rows = vec![prompt.to_owned()];
        let mut column = prompt.width();
        let mut cursor = (0, column);
        let (before, after) = typing.text.split_at(typing.cursor.min(typing.text.len()));
        for (text, is_before) in [(before, true), (after, false)] {
            for grapheme in text.graphemes(true) {
                let shown = escape(grapheme.as_bytes(), self.surface);
                // What is spelled out may break over two rows anywhere, a character nowhere.
                let step = if shown == grapheme { shown.len() } else { 1 };
                for piece in pieces(&shown, step) {
                    let width = piece.width();
                    if column + width > self.columns {
                        rows.push(String::new());
                        column = 0;
                    }
                    if let Some(row) = rows.last_mut() {
                        row.push_str(piece);
                    }
                    column += width;
                }
            }
            if column >= self.columns {
                rows.push(String::new());
                column = 0;
            }
            if is_before {
                cursor = (rows.len() - 1, column);
            }
        }
        Layout { rows, cursor }
    }
}

/// `text` in steps of so many bytes, or of one character where that is longer.
fn pieces(text: &str, step: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?.len_utf8();
        let (piece, others) = rest.split_at(first.max(step));
        rest = others;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typing(text: &str) -> Typing<'_> {
        Typing {
            prompt: "to 1> ",
            text,
            cursor: text.len(),
        }
    }

    /// What a terminal of 20 by 5 shows after `writes`, and where its cursor is.
    fn screen(writes: &[String]) -> (String, (u16, u16)) {
        let mut terminal = vt100::Parser::new(5, 20, 100);
        for text in writes {
            terminal.process(text.as_bytes());
        }
        (
            terminal.screen().contents(),
            terminal.screen().cursor_position(),
        )
    }

    fn display() -> Display {
        Display::new(20, 5, Surface::Terminal)
    }

    #[test]
    fn a_message_goes_above_a_half_typed_line_and_the_cursor_stays() {
        let mut display = display();
        let half = Typing {
            cursor: 2,
            ..typing("half")
        };
        let writes = [display.paint(&half), display.above("2  anyone?", &half)];
        let (contents, cursor) = screen(&writes);
        assert_eq!(contents, "2  anyone?\nto 1> half");
        assert_eq!(cursor, (1, 8));
    }

    #[test]
    fn a_line_over_several_rows_is_replaced_whole() {
        let mut display = display();
        let long = "a line that needs more than two rows";
        let writes = [
            display.paint(&typing(long)),
            display.above("1  hi", &typing(long)),
            display.paint(&typing("short")),
        ];
        assert_eq!(screen(&writes), ("1  hi\nto 1> short".into(), (1, 11)));
    }

    #[test]
    fn a_narrower_terminal_keeps_one_copy_of_the_line() {
        // What a terminal that wraps what no longer fits makes of the rows before.
        for (text, cursor) in [
            ("a line of 20 ch", 15),
            ("a line of 20 ch", 2),
            ("0123456789abcd", 14),
            ("0123456789abcd", 6),
            ("longer than both of the widths are", 34),
            ("你好你好你好你", 21),
        ] {
            let line = Typing {
                cursor,
                ..typing(text)
            };
            let mut display = display();
            display.paint(&line);
            let rows = display.layout(&line).rows;
            let (row, column) = display.layout(&line).cursor;
            let mut terminal = vt100::Parser::new(9, 12, 100);
            terminal.process(b"above\r\n");
            terminal.process(rows.join("\r\n").as_bytes());
            // There the cursor goes along with the character it stands on.
            let (drawn, _) = rows.split_at(row);
            let start: String = rows[row]
                .graphemes(true)
                .scan(0, |width, grapheme| {
                    *width += grapheme.width();
                    (*width <= column).then_some(grapheme)
                })
                .collect();
            let mut at = vt100::Parser::new(9, 12, 100);
            at.process(b"above\r\n");
            for row in drawn {
                at.process(row.as_bytes());
                at.process(b"\r\n");
            }
            at.process(start.as_bytes());
            let next = rows[row].get(start.len()..).unwrap_or_default();
            if let Some(next) = next.graphemes(true).next() {
                at.process(next.as_bytes());
                at.process("\x08".repeat(next.width()).as_bytes());
            }
            let (row, column) = at.screen().cursor_position();
            terminal.process(format!("\x1b[{};{}H", row + 1, column + 1).as_bytes());

            display.resize(12, 9);
            terminal.process(display.paint(&line).as_bytes());
            let shown = terminal.screen().contents().replace('\n', "");
            assert_eq!(shown, format!("aboveto 1> {text}"));
        }
    }

    #[test]
    fn wide_characters_and_exactly_full_rows() {
        let mut display = display();
        let writes = [display.paint(&typing("0123456789你你"))];
        assert_eq!(screen(&writes), ("to 1> 0123456789你你".into(), (1, 0)));
        let writes = [display.paint(&typing("0123456789abc你"))];
        assert_eq!(screen(&writes).1, (1, 2));
        let writes = [
            display.commit(&typing("x")),
            display.above("y", &typing("")),
        ];
        assert_eq!(screen(&writes).0, "to 1> x\ny\nto 1> ");
    }

    #[test]
    fn what_is_typed_is_made_inert_too() {
        let mut display = Display::new(20, 5, Surface::AsciiTerminal);
        let (contents, cursor) = screen(&[display.paint(&typing("你"))]);
        assert_eq!((contents.as_str(), cursor), ("to 1> \\u{4f60}", (0, 14)));
    }

    #[test]
    fn a_joined_emoji_is_spelled_out_where_its_joiner_is_invisible() {
        let mut display = display();
        let (contents, cursor) = screen(&[display.paint(&typing("👨\u{200d}👩"))]);
        assert_eq!(contents, "to 1> 👨\\u{200d}👩");
        assert_eq!(cursor, (0, 18));
    }

    proptest! {
        #[test]
        fn the_screen_shows_the_line_whatever_came_before(
            lines in prop::collection::vec("[a-z你 ]{0,60}", 1..6),
            last in "[a-z你]{0,30}", back in 0usize..31,
        ) {
            let mut display = display();
            let mut writes = Vec::new();
            for line in &lines {
                writes.push(display.paint(&typing(line)));
                writes.push(display.above("m", &typing(line)));
            }
            let cursor = last.char_indices().rev().nth(back).map_or(last.len(), |(at, _)| at);
            writes.push(display.paint(&Typing { cursor, ..typing(&last) }));
            let (contents, _) = screen(&writes);
            let joined = contents.replace('\n', "");
            prop_assert!(joined.ends_with(&format!("to 1> {last}")), "{}", contents);
        }
    }
}
