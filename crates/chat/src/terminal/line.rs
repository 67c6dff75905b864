//! The line being typed, and the lines typed before. Pure.

use unicode_segmentation::UnicodeSegmentation as _;

use super::keys::Key;

/// Lines kept to be called back.
const HISTORY: usize = 500;

/// Where a line stops growing, in bytes: no message may be longer.
const LONGEST: usize = crate::cli::LONGEST_MESSAGE + 1;

/// What a key did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// The line or the cursor changed.
    Changed,
    /// The line is finished.
    Submitted(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
    /// Ctrl-L.
    Clear,
    /// Ctrl-Z.
    Suspend,
}

/// A line editor with the usual keys.
#[derive(Debug, Default)]
pub(crate) struct Line {
    text: String,
    /// A byte position on a character's border.
    cursor: usize,
    history: Vec<String>,
    /// Which line of history is shown; `history.len()` for the one being typed.
    recalled: usize,
    /// What was being typed when history was called.
    unsent: String,
    /// What Ctrl-K, Ctrl-U and Ctrl-W took, for Ctrl-Y.
    cut: String,
}

impl Line {
    /// What is typed so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where the cursor stands, in bytes.
    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Lets a key do its work.
    pub(crate) fn press(&mut self, key: Key) -> Effect {
        match key {
            Key::Enter => return self.submit(),
            Key::Control('c') => return Effect::Interrupt,
            Key::Control('d') if self.text.is_empty() => return Effect::End,
            Key::Control('l') => return Effect::Clear,
            Key::Control('z') => return Effect::Suspend,
            Key::Char(_) if self.text.len() >= LONGEST => return Effect::None,
            Key::Char(character) => {
                self.text.insert(self.cursor, character);
                self.cursor += character.len_utf8();
            }
            Key::Left | Key::Control('b') => self.cursor = self.left(),
            Key::Right | Key::Control('f') => self.cursor = self.right(),
            Key::Home | Key::Control('a') => self.cursor = 0,
            Key::End | Key::Control('e') => self.cursor = self.text.len(),
            Key::WordLeft | Key::Alt('b') => self.cursor = self.word_left(),
            Key::WordRight | Key::Alt('f') => self.cursor = self.word_right(),
            Key::Backspace => self.remove(self.left(), self.cursor),
            Key::Delete | Key::Control('d') => self.remove(self.cursor, self.right()),
            Key::Control('k') => self.cut(self.cursor, self.text.len()),
            Key::Control('u') => self.cut(0, self.cursor),
            Key::Control('w') | Key::Alt('\u{8}') => self.cut(self.word_left(), self.cursor),
            Key::Alt('d') => self.cut(self.cursor, self.word_right()),
            Key::Control('y') if self.text.len() < LONGEST => {
                self.text.insert_str(self.cursor, &self.cut);
                self.cursor += self.cut.len();
            }
            Key::Up | Key::Control('p') => return self.recall(self.recalled.checked_sub(1)),
            Key::Down | Key::Control('n') => return self.recall(self.recalled.checked_add(1)),
            Key::Control(_) | Key::Alt(_) => return Effect::None,
        }
        Effect::Changed
    }

    fn submit(&mut self) -> Effect {
        let text = std::mem::take(&mut self.text);
        self.cursor = 0;
        if !text.is_empty() && self.history.last() != Some(&text) {
            self.history.push(text.clone());
            if self.history.len() > HISTORY {
                self.history.remove(0);
            }
        }
        self.recalled = self.history.len();
        self.unsent.clear();
        Effect::Submitted(text)
    }

    fn recall(&mut self, index: Option<usize>) -> Effect {
        let Some(index) = index.filter(|&index| index <= self.history.len()) else {
            return Effect::None;
        };
        if self.recalled == self.history.len() {
            self.unsent = std::mem::take(&mut self.text);
        }
        self.text = self.history.get(index).unwrap_or(&self.unsent).clone();
        self.recalled = index;
        self.cursor = self.text.len();
        Effect::Changed
    }

    fn before(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    fn after(&self) -> &str {
        self.text.get(self.cursor..).unwrap_or_default()
    }

    fn left(&self) -> usize {
        let last = self.before().graphemes(true).next_back();
        self.cursor - last.map_or(0, str::len)
    }

    fn right(&self) -> usize {
        self.cursor + self.after().graphemes(true).next().map_or(0, str::len)
    }

    fn word_left(&self) -> usize {
        let trimmed = self.before().trim_end();
        let space = trimmed
            .char_indices()
            .rev()
            .find(|(_, c)| c.is_whitespace());
        space.map_or(0, |(index, c)| index + c.len_utf8())
    }

    fn word_right(&self) -> usize {
        let after = self.after();
        let blanks = after.len() - after.trim_start().len();
        let word = after.trim_start().find(char::is_whitespace);
        self.cursor + word.map_or(after.len(), |length| blanks + length)
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = from;
    }

    fn cut(&mut self, from: usize, to: usize) {
        if from < to {
            self.cut = self.text.get(from..to).unwrap_or_default().to_owned();
            self.remove(from, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(line: &mut Line, keys: &str) -> Vec<Effect> {
        let mut decoder = super::super::keys::Keys::default();
        let keys: Vec<_> = keys.bytes().filter_map(|byte| decoder.push(byte)).collect();
        keys.into_iter().map(|key| line.press(key)).collect()
    }

    fn after(keys: &str) -> (String, usize) {
        let mut line = Line::default();
        typed(&mut line, keys);
        (line.text, line.cursor)
    }

    #[test]
    fn the_usual_keys() {
        assert_eq!(after("helo\x1b[Dl"), ("hello".into(), 4));
        assert_eq!(after("one two three\x17\x17X"), ("one X".into(), 5));
        assert_eq!(
            after("one two\x01\x0b\x19\x19"),
            ("one twoone two".into(), 14)
        );
        assert_eq!(after("one two\x1bb\x15"), ("two".into(), 0));
        assert_eq!(after("one two\x01\x1bf!"), ("one! two".into(), 4));
        assert_eq!(after("ab\x01\x04\x1b[3~\x1b[3~"), (String::new(), 0));
    }

    #[test]
    fn one_backspace_takes_one_visible_character() {
        assert_eq!(after("a你\x7f"), ("a".into(), 1));
        assert_eq!(after("e\u{301}\x7f"), (String::new(), 0));
    }

    #[test]
    fn history_gives_back_lines_and_what_was_being_typed() {
        let mut line = Line::default();
        typed(&mut line, "one\rtwo\rtwo\r\rhal");
        typed(&mut line, "\x1b[A");
        assert_eq!(line.text(), "two");
        typed(&mut line, "\x1b[A\x1b[A\x1b[A");
        assert_eq!(line.text(), "one");
        typed(&mut line, "\x1b[B\x1b[B\x1b[B");
        assert_eq!(line.text(), "hal");
    }

    #[test]
    fn control_d_ends_only_an_empty_line() {
        let mut line = Line::default();
        let end = |line: &mut Line, keys| typed(line, keys).pop().unwrap();
        assert_eq!(end(&mut line, "x\x04"), Effect::Changed);
        assert_eq!(end(&mut line, "\x7f\x04"), Effect::End);
        assert_eq!(end(&mut line, "half\x03"), Effect::Interrupt);
        assert_eq!(end(&mut line, "\r"), Effect::Submitted("half".into()));
    }

    proptest! {
        #[test]
        fn any_keys_leave_the_cursor_on_a_characters_border(bytes: Vec<u8>) {
            let mut keys = super::super::keys::Keys::default();
            let mut line = Line::default();
            for byte in bytes {
                if let Some(key) = keys.push(byte) {
                    line.press(key);
                    prop_assert!(line.text().is_char_boundary(line.cursor()));
                }
            }
        }
    }
}
