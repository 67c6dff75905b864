//! The line editor on a terminal in raw mode: keys in, text to write out.

use std::collections::VecDeque;
use std::io;

use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{self, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use super::console::{Input, is_background};
use super::display::{Display, Typing};
use super::escape::Surface;
use super::keys::{Key, Keys};
use super::line::{Effect, Line};

/// The line editor on a terminal in raw mode, which it gives back when dropped.
#[derive(Debug)]
pub(super) struct Editor {
    line: Line,
    keys: Keys,
    display: Display,
    prompt: String,
    cooked: Termios,
    /// Keys behind the end of a line: they wait until that line had its effect on the screen.
    typed_ahead: VecDeque<u8>,
}

impl Editor {
    /// Takes the terminal over.
    pub(super) fn start(surface: Surface) -> io::Result<Self> {
        let cooked = termios::tcgetattr(io::stdin())?;
        let (columns, rows) = size();
        let editor = Self {
            line: Line::default(),
            keys: Keys::default(),
            display: Display::new(columns, rows, surface),
            prompt: String::new(),
            cooked,
            typed_ahead: VecDeque::new(),
        };
        editor.make_raw()?;
        Ok(editor)
    }

    fn make_raw(&self) -> io::Result<()> {
        let mut raw = self.cooked.clone();
        raw.local_modes -=
            LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        raw.input_modes -= InputModes::ICRNL | InputModes::IXON;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        Ok(termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)?)
    }

    /// Whether nothing is typed.
    pub(super) fn is_empty(&self) -> bool {
        self.line.text().is_empty()
    }

    /// Whether keys wait that were typed behind the end of a line.
    pub(super) fn has_keys(&self) -> bool {
        !self.typed_ahead.is_empty()
    }

    /// Changes the prompt.
    pub(super) fn set_prompt(&mut self, prompt: &str) -> String {
        if self.prompt == prompt {
            return String::new();
        }
        prompt.clone_into(&mut self.prompt);
        self.paint()
    }

    /// Takes note of a new size of the terminal.
    pub(super) fn resized(&mut self) -> String {
        let (columns, rows) = size();
        self.display.resize(columns, rows);
        self.paint()
    }

    /// Leaves the screen as the next program expects it.
    pub(super) fn leave(&mut self) -> String {
        if self.is_empty() {
            self.display.erase()
        } else {
            self.commit()
        }
    }

    /// Takes the keys typed, up to the end of a line; the others wait for the next call.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (Option<Input>, String) {
        self.typed_ahead.extend(bytes);
        let mut shown = String::new();
        while let Some(byte) = self.typed_ahead.pop_front() {
            let Some(key) = self.keys.push(byte) else {
                continue;
            };
            if key == Key::Enter {
                shown.push_str(&self.commit());
            }
            let was_empty = self.is_empty();
            let input = match self.line.press(key) {
                Effect::Changed if self.is_empty() && !was_empty => Input::Emptied,
                Effect::None | Effect::Changed => continue,
                Effect::Submitted(text) => Input::Line(text.into_bytes()),
                Effect::Interrupt => Input::Interrupt,
                Effect::End => Input::End,
                Effect::Clear => {
                    self.display.forget();
                    shown.push_str("\x1b[H\x1b[2J");
                    continue;
                }
                Effect::Suspend => {
                    self.suspend();
                    continue;
                }
            };
            return (Some(input), shown + &self.paint());
        }
        let block = self.paint();
        (None, shown + &block)
    }

    /// Stops as Ctrl-Z asks, and goes on when told to.
    fn suspend(&mut self) {
        // Errors leave the terminal as it is, which is the best there is to do.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.cooked);
        let _ = kill_current_process_group(Signal::TSTP);
        let _ = self.make_raw();
        self.display.start_over();
    }

    /// Takes the terminal over again after a stop that gave no warning, unless somebody else has
    /// it, or it still is as it was left.
    pub(super) fn continued(&mut self) -> String {
        let cooked = termios::tcgetattr(io::stdin())
            .is_ok_and(|modes| modes.local_modes.contains(LocalModes::ICANON));
        if !cooked || is_background() {
            return String::new();
        }
        // Errors leave the terminal as it is, which is the best there is to do.
        let _ = self.make_raw();
        self.display.start_over();
        self.paint()
    }

    fn paint(&mut self) -> String {
        let typing = typing(&self.line, &self.prompt);
        self.display.paint(&typing)
    }

    /// Puts a line above the one being typed.
    pub(super) fn above(&mut self, line: &str) -> String {
        let typing = typing(&self.line, &self.prompt);
        self.display.above(line, &typing)
    }

    fn commit(&mut self) -> String {
        let typing = typing(&self.line, &self.prompt);
        self.display.commit(&typing)
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        // A terminal that cannot be set is one that is gone.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.cooked);
    }
}

fn typing<'a>(line: &'a Line, prompt: &'a str) -> Typing<'a> {
    Typing {
        prompt,
        text: line.text(),
        cursor: line.cursor(),
    }
}

/// The terminal's columns and rows; 0 for unknown.
fn size() -> (u16, u16) {
    termios::tcgetwinsize(io::stdout()).map_or((0, 0), |size| (size.ws_col, size.ws_row))
}
