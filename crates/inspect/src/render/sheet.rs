//! A sheet about one thing: the answer in a sentence, then labelled facts.
//!
//! On a terminal text is wrapped and values stand below each other; in a pipe each fact is a
//! whole line.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Screen, Style};

/// Where values begin: two spaces, a label, and two spaces at least.
pub const VALUES_AT: usize = 15;

/// Writes a sentence or several.
///
/// # Errors
/// What the writer answers.
pub fn paragraph(out: &mut dyn Write, text: &str, screen: Screen) -> io::Result<()> {
    for line in wrap(text, screen.width.unwrap_or(usize::MAX)) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Writes a label and its value.
///
/// # Errors
/// What the writer answers.
pub fn fact(out: &mut dyn Write, label: &str, value: &str, screen: Screen) -> io::Result<()> {
    painted(out, label, value, None, screen)
}

/// Writes a label and its value, painted.
///
/// # Errors
/// What the writer answers.
pub fn painted(
    out: &mut dyn Write,
    label: &str,
    value: &str,
    style: Option<Style>,
    screen: Screen,
) -> io::Result<()> {
    let room = room(screen);
    let mut label = format!("  {label}");
    for line in wrap(value, room) {
        let gap = VALUES_AT.saturating_sub(label.width()).max(1);
        let label = std::mem::take(&mut label);
        let line = match style {
            Some(style) => screen.paint(style, &line),
            None => line,
        };
        writeln!(out, "{}{:gap$}{line}", screen.paint(Style::Dim, &label), "")?;
    }
    Ok(())
}

/// Writes a label and a value that is cut, on a terminal, where the line ends.
///
/// # Errors
/// What the writer answers.
pub fn line(out: &mut dyn Write, label: &str, value: &str, screen: Screen) -> io::Result<()> {
    fact(out, label, &cut(value, room(screen), screen), screen)
}

/// Columns beside the labels; without end in a pipe.
pub fn room(screen: Screen) -> usize {
    screen
        .width
        .map_or(usize::MAX, |width| width.saturating_sub(VALUES_AT).max(20))
}

/// The text, with an ellipsis in place of what has no room.
pub fn cut(text: &str, room: usize, screen: Screen) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let room = room.saturating_sub(screen.ellipsis().width());
    let mut width = 0;
    let kept = text.chars().take_while(|c| {
        width += c.width().unwrap_or(0);
        width <= room
    });
    kept.collect::<String>() + screen.ellipsis()
}

/// Lines of so many columns. A word that is longer is broken.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let mut word = word;
        let gap = usize::from(!line.is_empty());
        if width + gap + word.width() > columns && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
            width = 0;
        }
        while word.width() > columns {
            let end = end_of(word, columns);
            let (now, later) = word.split_at(end);
            lines.push(now.to_owned());
            word = later;
        }
        if !line.is_empty() {
            line.push(' ');
            width += 1;
        }
        line.push_str(word);
        width += word.width();
    }
    lines.push(line);
    lines
}

/// Where the part of a word that fits ends; at least one character.
fn end_of(word: &str, columns: usize) -> usize {
    let mut width = 0;
    let mut end = 0;
    for (at, c) in word.char_indices() {
        width += c.width().unwrap_or(0);
        if width > columns && end > 0 {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Charset;

    fn screen(width: Option<usize>) -> Screen {
        Screen {
            width,
            colour: false,
            charset: Charset::Utf8,
        }
    }

    fn shown(width: Option<usize>) -> String {
        let mut out = Vec::new();
        paragraph(&mut out, "one two three four", screen(width)).unwrap();
        fact(
            &mut out,
            "label",
            "one two three four five six",
            screen(width),
        )
        .unwrap();
        line(
            &mut out,
            "command",
            "one two three four five six",
            screen(width),
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_terminal_wraps_and_cuts_and_a_pipe_does_not() {
        assert_eq!(
            shown(Some(36)),
            "one two three four\n  \
             label        one two three four\n               five six\n  \
             command      one two three four f…\n"
        );
        assert_eq!(
            shown(None),
            "one two three four\n  label        one two three four five six\n  \
             command      one two three four five six\n"
        );
    }

    #[test]
    fn the_ellipsis_has_room_in_ascii_too() {
        let ascii = Screen {
            charset: Charset::Ascii,
            ..screen(None)
        };
        assert_eq!(cut("abcdefgh", 6, ascii), "abc...");
        assert_eq!(cut("你好你好", 5, screen(None)), "你好…");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_too_long(text in "[a-z你 ]{0,60}", columns in 2usize..30) {
            let lines = wrap(&text, columns);
            for line in &lines {
                proptest::prop_assert!(line.width() <= columns, "{line:?}");
            }
            let letters = |text: &str| text.replace(' ', "");
            proptest::prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
