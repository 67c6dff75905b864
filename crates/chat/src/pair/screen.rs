//! Where a pair is shown.

use std::io::{self, IsTerminal as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::half::Side;
use crate::terminal::console::{Look, Tone};
use crate::terminal::escape::{Surface, escape};
use crate::terminal::printer::{Closed, Printer};

/// The command to look with: by its name where the shell finds it, else by its path.
fn inspect() -> String {
    let beside = std::env::current_exe()
        .ok()
        .map(|path| path.with_file_name("inspect"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join("inspect").is_file());
    match beside {
        Some(beside) if !found && beside.is_file() => beside.display().to_string(),
        _ => "inspect".to_owned(),
    }
}

/// Where the pair is shown.
pub(super) struct Screen {
    printer: Printer,
    surface: Surface,
    look: Look,
}

impl Screen {
    /// Takes standard output and error.
    pub(super) fn open(look: Look) -> Self {
        let surface = if io::stdout().is_terminal() {
            Surface::of_terminal(|name| std::env::var(name).ok())
        } else {
            Surface::Pipe
        };
        Self {
            printer: Printer::start(),
            surface,
            look,
        }
    }

    /// A line as it is.
    pub(super) fn line(&self, text: &str) {
        self.printer.output(format!("{text}\n"));
    }

    /// Something said, with the time.
    pub(super) fn said(&self, side: Side, words: &str) {
        let words = escape(words.as_bytes(), self.surface);
        let name = self.look.paint(side.name(), Tone::Speaker, self.surface);
        self.happened(&format!("{name}  {words}"));
    }

    /// Our own words about what happened, with the time.
    pub(super) fn happened(&self, words: &str) {
        let time = jiff::Zoned::now().strftime("%H:%M:%S");
        self.line(&format!("{time}  {words}"));
    }

    /// Once, to a person: with which views to look at what goes on here.
    pub(super) fn hint_to_look(&self, views: &[String]) {
        if self.look.quiet || self.surface == Surface::Pipe || !io::stderr().is_terminal() {
            return;
        }
        let inspect = inspect();
        let mut before = "look from another terminal:";
        for view in views {
            let text = format!("{before:27} {inspect} {view}");
            let text = self.look.paint(&text, Tone::Hint, self.surface);
            self.printer.error(format!("{text}\n"));
            before = "";
        }
    }

    /// Ends the line on which the terminal has just written ^C.
    pub(super) fn after_interrupt(&self) {
        if io::stdout().is_terminal() && io::stdin().is_terminal() {
            self.line("");
        }
    }

    /// Whether the reader of a pipe has left, asked without writing.
    pub(super) fn reader_left(&self) -> bool {
        let stdout = io::stdout();
        let mut output = [PollFd::new(&stdout, PollFlags::empty())];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // One that cannot be asked has not left.
        poll(&mut output, Some(&at_once)).is_ok()
            && output[0]
                .revents()
                .intersects(PollFlags::ERR | PollFlags::HUP)
    }

    /// Something that belongs to the side of the conversation.
    pub(super) fn aside(&self, text: &str) {
        self.printer
            .error(format!("{}\n", escape(text.as_bytes(), Surface::Terminal)));
    }

    /// A half's own error, which gives a pair no free port to take.
    pub(super) fn complaint(&self, text: &str) {
        self.aside(&text.replace("--port 0 takes a free one", "--port N takes another"));
    }

    /// Waits until what was shown is nearly all written.
    pub(super) async fn room(&self) {
        self.printer.room().await;
    }

    /// Done when nobody reads the output any more.
    pub(super) fn closed(&self) -> impl Future<Output = Closed> + use<> {
        self.printer.closed()
    }

    /// Waits until everything is written; tells whether the output was refused.
    pub(super) async fn finish(self) -> Option<Closed> {
        self.printer.finish().await
    }
}
