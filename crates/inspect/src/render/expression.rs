//! An expression that was refused, with a mark under the place.

use unicode_width::UnicodeWidthChar;

use super::text::is_hidden;
use super::{Charset, Screen};
use crate::selection::ParseError;

/// Before the expression and the mark.
const INDENT: usize = 2;

/// In a pipe lines may be long, but an expression may be 64 kB.
const WIDEST: usize = 200;

/// The message; below it the line of the expression that it is about, and below that `^` under
/// the place. Where the line is too long, the part around the place.
pub fn refused(error: &ParseError, screen: Screen) -> String {
    let text = &error.text;
    let before = text.get(..error.at.start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(line_start..).unwrap_or_default();
    let line = line.split('\n').next().unwrap_or_default();
    let cells: Vec<Cell> = line
        .char_indices()
        .map(|(at, c)| Cell::new(line_start + at, c, screen.charset))
        .collect();

    let first = cells
        .iter()
        .position(|cell| cell.at >= error.at.start)
        .unwrap_or(cells.len());
    // Of a place that goes on in the next line, what is in this one; of an empty one, one mark.
    let behind = cells.iter().filter(|cell| cell.at < error.at.end).count();
    let last = behind.max(first + 1);

    let room = screen.width.unwrap_or(WIDEST).min(WIDEST);
    let shown = window(&cells, first, room.saturating_sub(INDENT + 1), screen);
    let width = |from: usize, to: usize| -> usize {
        let part = cells.get(from..to.min(cells.len())).unwrap_or_default();
        part.iter().map(|cell| cell.width).sum()
    };
    let (from, to) = (shown.from, shown.to);
    let left = INDENT + width_of(shown.cut_left) + width(from, first);
    let marks = width(first, last.min(to)).max(1);
    let middle: String = cells
        .get(from..to)
        .unwrap_or_default()
        .iter()
        .map(|cell| cell.shown.as_str())
        .collect();
    let (cut_left, cut_right) = (shown.cut_left, shown.cut_right);
    format!(
        "{error}\n{:INDENT$}{cut_left}{middle}{cut_right}\n{:left$}{}",
        "",
        "",
        "^".repeat(marks)
    )
}

/// A character as it is shown.
struct Cell {
    /// Where it stands in the expression, in bytes.
    at: usize,
    shown: String,
    /// In columns.
    width: usize,
}

impl Cell {
    fn new(at: usize, c: char, charset: Charset) -> Self {
        let shown = match c {
            '\t' => " ".to_owned(),
            c if is_hidden(c) || charset == Charset::Ascii && !c.is_ascii() => {
                format!("\\u{{{:x}}}", u32::from(c))
            }
            c => c.to_string(),
        };
        Self {
            at,
            width: width_of(&shown),
            shown,
        }
    }
}

fn width_of(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

/// Which cells are shown, and what stands for those that are not.
struct Window {
    from: usize,
    to: usize,
    cut_left: &'static str,
    cut_right: &'static str,
}

/// As many cells as there is room for, the one at `place` among them: with a third of the room
/// before it, and what follows it.
fn window(cells: &[Cell], place: usize, room: usize, screen: Screen) -> Window {
    let whole: usize = cells.iter().map(|cell| cell.width).sum();
    if whole <= room {
        return Window {
            from: 0,
            to: cells.len(),
            cut_left: "",
            cut_right: "",
        };
    }
    let dots = screen.ellipsis();
    let room = room.saturating_sub(2 * width_of(dots));
    let mut from = place.min(cells.len());
    let mut used = 0;
    let fits = |used: usize, cell: &Cell, room: usize| used + cell.width <= room;
    while let Some(cell) = from.checked_sub(1).and_then(|at| cells.get(at))
        && fits(used, cell, room / 3)
    {
        used += cell.width;
        from -= 1;
    }
    let mut to = place.min(cells.len());
    while let Some(cell) = cells.get(to)
        && fits(used, cell, room)
    {
        used += cell.width;
        to += 1;
    }
    // At the end of the line there may be more room before.
    while let Some(cell) = from.checked_sub(1).and_then(|at| cells.get(at))
        && fits(used, cell, room)
    {
        used += cell.width;
        from -= 1;
    }
    Window {
        from,
        to,
        cut_left: if from > 0 { dots } else { "" },
        cut_right: if to < cells.len() { dots } else { "" },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::selection::{Numbers, parse};

    fn screen(width: Option<usize>, charset: Charset) -> Screen {
        Screen {
            width,
            ..Screen::pipe(charset)
        }
    }

    fn shown(text: &str, width: Option<usize>, charset: Charset) -> String {
        let error = parse(text, &Numbers).unwrap_err();
        let shown = refused(&error, screen(width, charset));
        // What the message says is tested where it is made.
        shown.split_once('\n').unwrap().1.to_owned()
    }

    #[test]
    fn the_mark_stands_under_the_place() {
        for (text, expected) in [
            ("sprot = :2345", "  sprot = :2345\n  ^^^^^"),
            (
                "pid 1 and sprot = :1",
                "  pid 1 and sprot = :1\n            ^^^^^",
            ),
            ("( pid 1", "  ( pid 1\n  ^"),
            ("pid 1 and", "  pid 1 and\n           ^"),
            ("pid 1 and ", "  pid 1 and \n            ^"),
            ("sport =", "  sport =\n         ^"),
            // Wide characters, and characters that are not shown as they are.
            (
                "process 你好 sprot",
                "  process 你好 sprot\n               ^^^^^",
            ),
            (
                "process \u{1b}[31m sprot",
                "  process \\u{1b}[31m sprot\n                     ^^^^^",
            ),
            (
                "process \u{202e}x sprot",
                "  process \\u{202e}x sprot\n                    ^^^^^",
            ),
            ("你好 = 1", "  你好 = 1\n  ^^^^"),
            ("pid\t1 sprot", "  pid 1 sprot\n        ^^^^^"),
            // Of several lines the one that matters.
            ("pid 1\nand sprot\nor pid 2", "  and sprot\n      ^^^^^"),
            ("pid 1 or\n", "  \n  ^"),
        ] {
            assert_eq!(shown(text, Some(80), Charset::Utf8), expected, "{text:?}");
        }
        assert_eq!(
            shown("process 你 sprot", None, Charset::Ascii),
            "  process \\u{4f60} sprot\n                   ^^^^^"
        );
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let text = format!("{} sprot {}", "pid 1 ".repeat(50), "pid 2 ".repeat(50));
        let narrow = shown(&text, Some(40), Charset::Utf8);
        assert_eq!(
            narrow,
            "  …d 1 pid 1  sprot pid 2 pid 2 pid 2 …\n              ^^^^^"
        );
        let ascii = shown(&text, Some(40), Charset::Ascii);
        assert!(ascii.is_ascii() && ascii.contains("..."), "{ascii}");
        let end = shown(
            &format!("{}and", "pid 1 ".repeat(50)),
            Some(40),
            Charset::Utf8,
        );
        assert!(end.contains("pid 1 and\n"), "{end}");
        let piped = shown(&text, None, Charset::Utf8);
        assert!(
            piped.lines().all(|line| width_of(line) <= WIDEST),
            "{piped}"
        );
    }

    proptest! {
        #[test]
        fn any_place_of_any_text_is_shown_within_the_width(
            text in "(\\PC|[ \n\ta-z\u{202e}\u{1b}]){0,60}",
            from in 0usize..70,
            length in 0usize..20,
            width in 20usize..100,
        ) {
            let boundary = |mut at: usize| {
                at = at.min(text.len());
                while !text.is_char_boundary(at) { at -= 1 }
                at
            };
            let at = boundary(from)..boundary(from + length);
            let problem = crate::selection::Problem::Unclosed;
            let error = ParseError { text: text.clone(), at: at.clone(), problem };
            let shown = refused(&error, screen(Some(width), Charset::Utf8));
            let lines: Vec<&str> = shown.split('\n').collect();
            prop_assert_eq!(lines.len(), 3);
            for line in &lines[1..] {
                prop_assert!(width_of(line) <= width, "{:?}", line);
                prop_assert!(!line.chars().any(is_hidden));
            }
            prop_assert!(lines[2].ends_with('^'));
        }
    }
}
