//! Standard input and output as a conversation needs them, with or without a terminal.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Read as _};

use anstyle::{AnsiColor, Effects, Style};
use rustix::process::Signal;
use rustix::termios;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::editor::Editor;
use super::escape::{Surface, escape};
use super::printer::{Closed, Printer};
use crate::message::{Decoder, Framing, TooLong};

/// What the user did.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Input {
    /// A line, which is a message.
    Line(Vec<u8>),
    /// A line that is too long to be sent.
    TooLong(TooLong),
    /// The line editor's line is empty again, so a new prompt may be offered.
    Emptied,
    /// Ctrl-C in the line editor.
    Interrupt,
    /// The input cannot be read, for that reason; its end follows.
    Unreadable(String),
    /// Nothing more will be typed.
    End,
}

/// Which decoration is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Colour on a terminal.
    pub colour: bool,
    /// Colour even where the output is no terminal.
    pub colour_everywhere: bool,
    /// No hints.
    pub quiet: bool,
}

impl Look {
    /// `text` as it looks there.
    pub(crate) fn paint(self, text: &str, tone: Tone, surface: Surface) -> String {
        if !self.colour_everywhere && (!self.colour || surface == Surface::Pipe) {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }
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
    bytes: mpsc::Receiver<io::Result<Vec<u8>>>,
    ready: VecDeque<Input>,
    resized: tokio::signal::unix::Signal,
    continued: tokio::signal::unix::Signal,
}

#[derive(Debug)]
enum Mode {
    Editor(Box<Editor>),
    Lines(Decoder),
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
        let background = is_background();
        let terminals = io::stdin().is_terminal() && io::stdout().is_terminal();
        let edited = terminals && !dumb && !background;
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
            bytes: read_input(background),
            ready: VecDeque::new(),
            resized: signal(SignalKind::window_change())?,
            continued: signal(SignalKind::from_raw(Signal::CONT.as_raw()))?,
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
            if let Mode::Editor(editor) = &mut self.mode
                && editor.has_keys()
            {
                self.take(&[]);
                continue;
            }
            tokio::select! {
                bytes = self.bytes.recv() => match bytes {
                    Some(Ok(bytes)) => self.take(&bytes),
                    Some(Err(error)) => return Input::Unreadable(crate::endpoint::reason(&error)),
                    None => {
                        if let Mode::Lines(decoder) = &mut self.mode {
                            self.ready.extend(decoder.fragment().map(Input::Line));
                        }
                        self.ready.push_back(Input::End);
                    }
                },
                _ = self.resized.recv() => self.resize(),
                _ = self.continued.recv() => self.go_on(),
            }
        }
    }

    /// Offers a prompt; taken, and true, unless a line is half typed.
    pub(crate) fn offer(&mut self, prompt: &str) -> bool {
        let Mode::Editor(editor) = &mut self.mode else {
            return true;
        };
        if !editor.is_empty() {
            return false;
        }
        let shown = editor.set_prompt(prompt);
        self.printer.output(shown);
        true
    }

    /// Shows a message: `who` and the words.
    pub(crate) fn message(&mut self, who: &str, text: &[u8]) {
        let words = escape(text, self.surface);
        let who = self.look.paint(who, Tone::Speaker, self.surface);
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
            let shown = editor.leave();
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
                let (input, shown) = editor.take(bytes);
                self.ready.extend(input);
                self.printer.output(shown);
            }
        }
    }

    fn resize(&mut self) {
        if let Mode::Editor(editor) = &mut self.mode {
            let shown = editor.resized();
            self.printer.output(shown);
        }
    }

    fn go_on(&mut self) {
        if let Mode::Editor(editor) = &mut self.mode {
            let shown = editor.continued();
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
            let line = self.look.paint(&text, tone, self.surface);
            self.show(&line);
        } else {
            let line = self.look.paint(&text, tone, self.notices);
            self.printer.error(format!("{line}\n"));
        }
    }
}

impl Tone {
    /// How it looks where there is colour.
    fn style(self) -> Style {
        match self {
            Self::Speaker => AnsiColor::Cyan.on_default(),
            Self::Notice => Style::new(),
            Self::Trouble => AnsiColor::Red.on_default(),
            Self::Hint => Style::new() | Effects::DIMMED,
        }
    }
}

/// Whether standard input is a terminal that another process group has.
pub(super) fn is_background() -> bool {
    termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group != rustix::process::getpgrp())
}

/// Reads standard input in a thread of its own, which ends with the input or with the process:
/// only a blocking read leaves the descriptor's flags alone, and other programs share them.
///
/// In the background of a shell the terminal is somebody else's, and to read from it would stop
/// the process: then there is no input, and no end of it either.
fn read_input(background: bool) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(4);
    if background {
        // Never dropped, so that the receiver waits for ever.
        std::mem::forget(sender);
        return receiver;
    }
    let terminal = io::stdin().is_terminal();
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        let mut input = io::stdin().lock();
        loop {
            match input.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => {
                    let bytes = chunk.get(..length).unwrap_or_default().to_vec();
                    if sender.blocking_send(Ok(bytes)).is_err() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A terminal that hung up says no more.
                Err(_) if terminal => break,
                Err(error) => {
                    // Nobody may be listening any more.
                    let _ = sender.blocking_send(Err(error));
                    break;
                }
            }
        }
    });
    receiver
}
