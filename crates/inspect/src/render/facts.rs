//! An answer in words, and what there is to know below it: keys and values in two columns.
//!
//! On a terminal long values wrap at spaces, and go on below where they began. In a pipe nothing
//! wraps and nothing is cut.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Screen, Style};

/// Columns before a key.
const INDENT: usize = 2;
/// Columns between the longest key and the values.
const GUTTER: usize = 2;
/// With less room than this beside the keys, values are left to the terminal.
const LEAST: usize = 16;

/// One thing to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is about.
    pub key: &'static str,
    /// Its words, escaped: written as they are.
    pub value: String,
    /// How they are painted.
    pub style: Option<Style>,
    /// So many lines at most on a terminal; the rest is cut, and that is said.
    pub most_lines: usize,
}

impl Fact {
    /// A fact in plain words.
    pub fn new(key: &'static str, value: impl Into<String>) -> Self {
        Self {
            key,
            value: value.into(),
            style: None,
            most_lines: usize::MAX,
        }
    }

    /// The same, cut after so many lines of a terminal.
    pub fn cut_after(mut self, lines: usize) -> Self {
        self.most_lines = lines;
        self
    }

    /// The same, painted.
    pub fn painted(mut self, style: Option<Style>) -> Self {
        self.style = style;
        self
    }
}

/// Writes a sentence, wrapped to the screen.
///
/// # Errors
/// What the writer answers.
pub fn write_sentence(out: &mut dyn Write, sentence: &str, screen: Screen) -> io::Result<()> {
    for line in wrapped(sentence, screen.width) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Writes the facts, one below the other.
///
/// # Errors
/// What the writer answers.
pub fn write_facts(out: &mut dyn Write, facts: &[Fact], screen: Screen) -> io::Result<()> {
    write_facts_beside(out, facts, 0, screen)
}

/// The same, with values that begin no further left than beside a key of so many columns: pages
/// of one view look alike, whatever there is to say.
///
/// # Errors
/// What the writer answers.
pub fn write_facts_beside(
    out: &mut dyn Write,
    facts: &[Fact],
    keys: usize,
    screen: Screen,
) -> io::Result<()> {
    let longest = facts.iter().map(|fact| fact.key.width()).max();
    let keys = longest.unwrap_or(0).max(keys);
    let value_at = INDENT + keys + GUTTER;
    let room = screen
        .width
        .map(|width| width.saturating_sub(value_at))
        .filter(|room| *room >= LEAST);
    for fact in facts {
        let mut lines = wrapped(&fact.value, room);
        if let Some(room) = room
            && lines.len() > fact.most_lines
        {
            lines.truncate(fact.most_lines);
            let words = format!(
                "{} {} characters in all",
                screen.ellipsis(),
                fact.value.chars().count()
            );
            if let Some(last) = lines.last_mut() {
                *last = start_of(last, room.saturating_sub(words.width())).to_owned();
                last.push_str(&words);
            }
        }
        for (number, line) in lines.iter().enumerate() {
            let line = match fact.style {
                Some(style) => screen.paint(style, line),
                None => line.clone(),
            };
            let key = if number == 0 { fact.key } else { "" };
            writeln!(out, "{:INDENT$}{key:<keys$}{:GUTTER$}{line}", "", "")?;
        }
    }
    Ok(())
}

/// The text in lines of at most so many columns, parted at spaces, and within a word only where
/// it is longer than a line. At least one line.
pub fn wrapped(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room.filter(|room| *room > 0) else {
        return vec![text.to_owned()];
    };
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let gap = usize::from(!line.is_empty());
        if !line.is_empty() && line.width() + gap + word.width() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        let mut rest = word;
        while line.width() + rest.width() > room {
            let part = start_of(rest, room.saturating_sub(line.width()).max(2));
            line.push_str(part);
            rest = &rest[part.len()..];
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(rest);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// The text, with an ellipsis in place of what does not fit into so many columns.
pub fn cut(text: &str, room: usize, screen: Screen) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let room = room.saturating_sub(screen.ellipsis().width());
    start_of(text, room).to_owned() + screen.ellipsis()
}

/// The longest beginning of at most so many columns.
fn start_of(text: &str, room: usize) -> &str {
    let mut width = 0;
    for (at, c) in text.char_indices() {
        width += c.width().unwrap_or(0);
        if width > room {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::render::Charset;

    fn shown(facts: &[Fact], width: Option<usize>) -> String {
        let mut out = Vec::new();
        let screen = Screen {
            width,
            colour: false,
            charset: Charset::Utf8,
        };
        write_facts(&mut out, facts, screen).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_wrap_below_where_they_began() {
        let facts = [
            Fact::new("user", "student"),
            Fact::new("directory", "/home/student/lab and more"),
        ];
        assert_eq!(
            shown(&facts, Some(30)),
            "  user       student\n  directory  /home/student/lab\n             and more\n"
        );
        assert_eq!(
            shown(&facts, None),
            "  user       student\n  directory  /home/student/lab and more\n"
        );
    }

    #[test]
    fn what_is_cut_is_said() {
        let fact = Fact::new("command", "x ".repeat(500).trim_end()).cut_after(2);
        let text = shown(std::slice::from_ref(&fact), Some(40));
        assert_eq!(
            text.lines().nth(1),
            Some("           x x x … 999 characters in all")
        );
        assert_eq!(text.lines().count(), 2);
        assert_eq!(shown(&[fact], None).lines().count(), 1);
    }

    proptest! {
        #[test]
        fn wrapping_fits_and_loses_nothing(text in "([a-z你]{0,12} ?){0,12}", room in 4usize..30) {
            let lines = wrapped(&text, Some(room));
            for line in &lines {
                prop_assert!(line.width() <= room, "{line:?}");
            }
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
