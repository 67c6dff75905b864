//! Two columns for learners: the library's call that people write, beside the kernel's that
//! comes of it; and at the end what each descriptor is.

mod c;
mod descriptors;
mod python;

use unicode_width::UnicodeWidthStr;

use super::value::Text;
use super::{failure, time_taken, value};
use crate::render::{Screen, Style};
use crate::trace::{Address, Call, Outcome, Value};
use descriptors::Descriptors;

/// Whose library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// Python's module `socket`.
    Python,
    /// The C library.
    C,
}

impl Library {
    fn title(self) -> &'static str {
        match self {
            Self::Python => "PYTHON",
            Self::C => "C",
        }
    }

    /// What people write for this call; `None` where nobody writes it, or where it cannot be told
    /// whether they did.
    fn words(self, call: &Call) -> Option<String> {
        match self {
            Self::Python => python::words(call),
            Self::C => c::words(call),
        }
    }
}

/// Columns where there is no terminal.
const PIPE: usize = 100;
/// Columns of the descriptor, with what is between.
const FD: usize = 5;

/// The two columns.
#[derive(Debug)]
pub struct Explained {
    screen: Screen,
    library: Library,
    has_begun: bool,
    descriptors: Descriptors,
}

impl Explained {
    /// For this screen.
    pub fn new(screen: Screen, library: Library) -> Self {
        Self {
            screen,
            library,
            has_begun: false,
            descriptors: Descriptors::default(),
        }
    }

    fn widths(&self) -> (usize, usize) {
        let whole = self.screen.width.unwrap_or(PIPE).max(40);
        let left = (whole * 3 / 8).min(36);
        (left, whole - left - FD)
    }

    /// Writes a call.
    pub fn write(&mut self, out: &mut Vec<u8>, call: &Call) {
        let (left, right) = self.widths();
        if !self.has_begun {
            self.has_begun = true;
            let title = self.library.title();
            let heading = format!("{title:left$}{:right$}   FD", "LINUX");
            out.extend(self.screen.paint(Style::Heading, &heading).into_bytes());
            out.push(b'\n');
        }
        self.descriptors.take(call);
        let written = self.library.words(call).unwrap_or_default();
        let written = folded(&written, left.saturating_sub(2));
        let kernels = folded(&self.kernels(call), right);
        let fd = match (&call.outcome, call.fd()) {
            (Outcome::Returned(number), None) if call.name == "socket" => number.to_string(),
            (_, Some(fd)) => fd.to_string(),
            _ => String::new(),
        };
        for index in 0..written.len().max(kernels.len()) {
            let of = |lines: &[String]| lines.get(index).cloned().unwrap_or_default();
            let (mut line, kernels) = (of(&written), of(&kernels));
            pad(&mut line, left);
            line.push_str(&kernels);
            if index == 0 {
                pad(&mut line, left + right);
                line.push_str(&format!("{fd:>FD$}"));
            }
            out.extend(line.trim_end().as_bytes());
            out.push(b'\n');
        }
    }

    /// What each descriptor is.
    pub fn end(&self, out: &mut Vec<u8>) {
        for sentence in self.descriptors.sentences(&self.screen) {
            for line in crate::render::facts::wrapped(&sentence, self.screen.width) {
                out.extend(line.into_bytes());
                out.push(b'\n');
            }
        }
    }

    /// The kernel's call, without what says nothing: lengths of addresses, and addresses that are
    /// not there.
    fn kernels(&self, call: &Call) -> String {
        let text = Text {
            charset: self.screen.charset,
        };
        let mut arguments = Vec::new();
        for (name, argument) in &call.arguments {
            let is_empty_address = *name == "address" && *argument == Value::Null;
            if matches!(*name, "address_length" | "value_length") || is_empty_address {
                continue;
            }
            let mut words = String::new();
            text.write(&mut words, argument);
            arguments.push(words);
        }
        let result = match &call.outcome {
            Outcome::Returned(number) => number.to_string(),
            Outcome::Failed(number) => failure(*number),
            Outcome::ThreadEnded => "? ended within the call".to_owned(),
            Outcome::StillWaits => "? has not returned".to_owned(),
            Outcome::Lost => "? its end was lost".to_owned(),
        };
        let waited = match call.duration_ns {
            Some(duration) if value::can_wait(call.name) && duration >= WAITED_NS => {
                format!(" waited {}", time_taken(duration, &self.screen))
            }
            _ => String::new(),
        };
        format!("{}({}) = {result}{waited}", call.name, arguments.join(", "))
    }
}

/// What takes less is no wait, nanoseconds.
const WAITED_NS: u64 = 20_000;

fn pad(line: &mut String, columns: usize) {
    let gap = columns.saturating_sub(line.width());
    line.push_str(&" ".repeat(gap));
}

/// Broken at spaces, what follows is set in by two.
fn folded(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let gap = usize::from(!line.is_empty());
        if line.trim_start().is_empty() || line.width() + gap + word.width() <= room {
            if gap == 1 && !line.ends_with(' ') || word.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(line.trim_end().to_owned());
            line = format!("  {word}");
        }
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// An argument by its name.
fn argument<'a>(call: &'a Call, wanted: &str) -> Option<&'a Value> {
    let mut all = call.arguments.iter();
    all.find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

/// Where a call goes to.
fn address(call: &Call) -> Option<&Address> {
    match argument(call, "address")? {
        Value::Address(address) => Some(address),
        _ => None,
    }
}

/// A constant or flags, those left out that the libraries set by themselves.
fn constant(value: &Value) -> String {
    match value {
        Value::Constant(name) => (*name).to_owned(),
        Value::Flags(names, _) => {
            let kept = names.iter().filter(|name| **name != "SOCK_CLOEXEC");
            kept.copied().collect::<Vec<_>>().join(" | ")
        }
        Value::Number(number) => number.to_string(),
        Value::List(values, _) => values.first().map(constant).unwrap_or_default(),
        _ => "...".to_owned(),
    }
}

#[cfg(test)]
mod tests;
