//! Standard input and output as a conversation needs them, with or without a terminal.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Read as _};

use anstyle::{AnsiColor, Effects, Style};
use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{self, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::display::{Display, Typing};
use super::escape::{Surface, escape};
use super::keys::Keys;
use super::line::{Effect, Line};
use super::printer::{Closed, Printer};
use crate::message::{Decoder, Framing, TooLong};

/// What the user did.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Input {
    /// A line, which is a message.
    Line(Vec<u8>),
    /// A line that is too long to be sent.
    TooLong(TooLong),
    /// Ctrl-C in the line editor.
    Interrupt,
    /// Nothing more will be typed.
    End,
}

/// Which decoration is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Colour, where the output is a terminal.
    pub colour: bool,
    /// No hints.
    pub quiet: bool,
}

/// What a line on the screen is, which decides its colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tone {
    /// Who speaks.
    Speaker,
    /// What happened.
    Notice,
    /// What went wrong.
    Trouble,
    /// What could be done.
    Hint,
}

/// Standard input, output and error of a conversation.
#[derive(Debug)]
pub(crate) struct Console {
    printer: Printer,
    look: Look,
    /// Where messages are shown.
    surface: Surface,
    /// Where notices are shown.
    notices: Surface,
    mode: Mode,
    bytes: mpsc::Receiver<Vec<u8>>,
    ready: VecDeque<Input>,
    resized: tokio::signal::unix::Signal,
}

#[derive(Debug)]
enum Mode {
    Editor(Box<Editor>),
    Lines(Decoder),
}

/// The line editor on a terminal in raw mode, which it gives back when dropped.
#[derive(Debug)]
struct Editor {
    line: Line,
    keys: Keys,
    display: Display,
    prompt: String,
    prompt_style: Style,
    cooked: Termios,
}

impl Console {
    /// Takes standard input and output: with the line editor when both are a terminal that can
    /// move its cursor, else line by line. Needs a runtime.
    ///
    /// # Errors
    /// When the terminal cannot be set up.
    pub(crate) fn open(look: Look, limit: usize) -> io::Result<Self> {
        let terminal = Surface::of_terminal(|name| std::env::var(name).ok());
        let on = |is_terminal| if is_terminal { terminal } else { Surface::Pipe };
        let surface = on(io::stdout().is_terminal());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let edited = io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb;
        let mode = if edited {
            Mode::Editor(Box::new(Editor::start(terminal)?))
        } else {
            Mode::Lines(Decoder::new(Framing::Line, limit))
        };
        Ok(Self {
            printer: Printer::start(),
            look,
            surface,
            notices: on(io::stderr().is_terminal()),
            mode,
            bytes: read_input(),
            ready: VecDeque::new(),
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// Whether a person sits here: lines are edited, and notices stand between the messages.
    pub(crate) fn is_interactive(&self) -> bool {
        matches!(self.mode, Mode::Editor(_))
    }

    /// The next thing the user does. Nothing is lost when the future is dropped before it is done.
    pub(crate) async fn input(&mut self) -> Input {
        loop {
            if let Some(input) = self.ready.pop_front() {
                return input;
            }
            tokio::select! {
                bytes = self.bytes.recv() => match bytes {
                    Some(bytes) => self.take(&bytes),
                    None => {
                        if let Mode::Lines(decoder) = &mut self.mode {
                            self.ready.extend(decoder.fragment().map(Input::Line));
                        }
                        self.ready.push_back(Input::End);
                    }
                },
                _ = self.resized.recv() => self.resize(),
            }
        }
    }

    /// Offers a prompt; taken, and true, unless a line is half typed.
    pub(crate) fn offer(&mut self, prompt: &str) -> bool {
        let Mode::Editor(editor) = &mut self.mode else {
            return true;
        };
        if !editor.line.text().is_empty() {
            return false;
        }
        if editor.prompt != prompt {
            prompt.clone_into(&mut editor.prompt);
            let shown = editor.paint();
            self.printer.output(shown);
        }
        true
    }

    /// Shows a message: `who` and the words.
    pub(crate) fn message(&mut self, who: &str, text: &[u8]) {
        let words = escape(text, self.surface);
        let who = self.painted(who, Tone::Speaker, self.surface);
        self.show(&format!("{who}{words}"));
    }

    /// Says what happened, on standard error unless a person sits here.
    pub(crate) fn notice(&mut self, text: &str) {
        self.tell(text, Tone::Notice);
    }

    /// Says what went wrong.
    pub(crate) fn trouble(&mut self, text: &str) {
        self.tell(text, Tone::Trouble);
    }

    /// Waits until what was shown is nearly all written.
    pub(crate) async fn room(&self) {
        self.printer.room().await;
    }

    /// Waits until standard output takes no more.
    pub(crate) fn closed(&self) -> impl Future<Output = Closed> + use<> {
        self.printer.closed()
    }

    /// Gives the terminal back and waits until everything is written.
    pub(crate) async fn finish(mut self) -> Option<Closed> {
        if let Mode::Editor(editor) = &mut self.mode {
            let shown = if editor.line.text().is_empty() {
                editor.display.erase()
            } else {
                editor.commit()
            };
            self.printer.output(shown);
        }
        self.printer.finish().await
    }

    fn take(&mut self, bytes: &[u8]) {
        match &mut self.mode {
            Mode::Lines(decoder) => {
                decoder.push(bytes);
                while let Some(line) = decoder.message() {
                    self.ready
                        .push_back(line.map_or_else(Input::TooLong, Input::Line));
                }
            }
            Mode::Editor(editor) => {
                let shown = editor.take(bytes, &mut self.ready);
                self.printer.output(shown);
            }
        }
    }

    fn resize(&mut self) {
        if let Mode::Editor(editor) = &mut self.mode {
            let (columns, rows) = size();
            editor.display.resize(columns, rows);
            let shown = editor.paint();
            self.printer.output(shown);
        }
    }

    fn show(&mut self, line: &str) {
        let shown = match &mut self.mode {
            Mode::Editor(editor) => editor.above(line),
            Mode::Lines(_) => format!("{line}\n"),
        };
        self.printer.output(shown);
    }

    fn tell(&mut self, text: &str, tone: Tone) {
        let text = escape(text.as_bytes(), self.notices);
        if self.is_interactive() {
            let line = self.painted(&text, tone, self.surface);
            self.show(&line);
        } else {
            let line = self.painted(&text, tone, self.notices);
            self.printer.error(format!("{line}\n"));
        }
    }

    fn painted(&self, text: &str, tone: Tone, surface: Surface) -> String {
        if !self.look.colour || surface == Surface::Pipe {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }
}

impl Tone {
    /// How it looks where there is colour.
    pub(crate) fn style(self) -> Style {
        match self {
            Self::Speaker => AnsiColor::Cyan.on_default(),
            Self::Notice => Style::new(),
            Self::Trouble => AnsiColor::Red.on_default(),
            Self::Hint => Style::new() | Effects::DIMMED,
        }
    }
}

impl Editor {
    fn start(surface: Surface) -> io::Result<Self> {
        let cooked = termios::tcgetattr(io::stdin())?;
        let (columns, rows) = size();
        let editor = Self {
            line: Line::default(),
            keys: Keys::default(),
            display: Display::new(columns, rows, surface),
            prompt: String::new(),
            prompt_style: Style::new(),
            cooked,
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
        Ok(termios::tcsetattr(
            io::stdin(),
            OptionalActions::Drain,
            &raw,
        )?)
    }

    fn take(&mut self, bytes: &[u8], inputs: &mut VecDeque<Input>) -> String {
        let mut shown = String::new();
        for &byte in bytes {
            let Some(key) = self.keys.push(byte) else {
                continue;
            };
            let before = (key == super::keys::Key::Enter).then(|| self.commit());
            match self.line.press(key) {
                Effect::None | Effect::Changed => {}
                Effect::Submitted(text) => {
                    shown.extend(before);
                    inputs.push_back(Input::Line(text.into_bytes()));
                }
                Effect::Interrupt => inputs.push_back(Input::Interrupt),
                Effect::End => inputs.push_back(Input::End),
                Effect::Clear => {
                    self.display.forget();
                    shown.push_str("\x1b[H\x1b[2J");
                }
                Effect::Suspend => self.suspend(),
            }
        }
        shown + &self.paint()
    }

    /// Stops as Ctrl-Z asks, and goes on when told to.
    fn suspend(&mut self) {
        // Errors leave the terminal as it is, which is the best there is to do.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.cooked);
        let _ = kill_current_process_group(Signal::TSTP);
        let _ = self.make_raw();
        self.display.forget();
    }

    fn paint(&mut self) -> String {
        let typing = typing(&self.line, &self.prompt, self.prompt_style);
        self.display.paint(&typing)
    }

    fn above(&mut self, line: &str) -> String {
        let typing = typing(&self.line, &self.prompt, self.prompt_style);
        self.display.above(line, &typing)
    }

    fn commit(&mut self) -> String {
        let typing = typing(&self.line, &self.prompt, self.prompt_style);
        self.display.commit(&typing)
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        // A terminal that cannot be set is one that is gone.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.cooked);
    }
}

fn typing<'a>(line: &'a Line, prompt: &'a str, style: Style) -> Typing<'a> {
    Typing {
        prompt,
        style,
        text: line.text(),
        cursor: line.cursor(),
    }
}

fn size() -> (u16, u16) {
    termios::tcgetwinsize(io::stdout()).map_or((0, 0), |size| (size.ws_col, size.ws_row))
}

/// Reads standard input in a thread of its own, which ends with the input or with the process:
/// only a blocking read leaves the descriptor's flags alone, and other programs share them.
fn read_input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        let mut input = io::stdin().lock();
        loop {
            match input.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => {
                    let bytes = chunk.get(..length).unwrap_or_default().to_vec();
                    if sender.blocking_send(bytes).is_err() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A terminal that hung up, or an input that cannot be read, says no more.
                Err(_) => break,
            }
        }
    });
    receiver
}
