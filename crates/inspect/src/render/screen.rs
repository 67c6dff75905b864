//! What the output can show.

use anstyle::{AnsiColor, Effects};

use super::Charset;

/// Where output goes, as far as its looks depend on it. Filled in by `app`, which alone looks
/// at the terminal and the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns to fit into; `None` in a pipe, where nothing is cut.
    pub width: Option<usize>,
    /// Whether colour is wanted.
    pub colour: bool,
    /// What characters it shows.
    pub charset: Charset,
}

impl Screen {
    /// A pipe or file: whole lines, no colour.
    pub fn pipe(charset: Charset) -> Self {
        Self {
            width: None,
            colour: false,
            charset,
        }
    }

    /// A terminal gets headings and fits to its width.
    pub fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// `→`, or `->` in plain ASCII.
    pub fn arrow(&self) -> &'static str {
        match self.charset {
            Charset::Utf8 => "→",
            Charset::Ascii => "->",
        }
    }

    /// `←`, or `<-` in plain ASCII.
    pub fn back_arrow(&self) -> &'static str {
        match self.charset {
            Charset::Utf8 => "←",
            Charset::Ascii => "<-",
        }
    }

    /// `…`, or `...` in plain ASCII: something was cut here.
    pub fn ellipsis(&self) -> &'static str {
        match self.charset {
            Charset::Utf8 => "…",
            Charset::Ascii => "...",
        }
    }

    /// The text in a style, where colour is wanted; as it is elsewhere. Escape hostile text
    /// first.
    pub fn paint(&self, style: Style, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let style = style.ansi();
        format!("{style}{text}{style:#}")
    }
}

/// What a piece of text is, for its colour. Colour never carries meaning alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A table's head, a heading.
    Heading,
    /// A state in which things go on: LISTEN, ESTABLISHED.
    Calm,
    /// A state on the way to another, a queue that is not empty.
    Notable,
    /// What was said.
    Payload,
    /// What is rarely needed: acknowledgements without payload, hints.
    Dim,
    /// What went wrong.
    Error,
}

impl Style {
    fn ansi(self) -> anstyle::Style {
        let style = anstyle::Style::new();
        match self {
            Self::Heading => style.effects(Effects::BOLD),
            Self::Calm => style.fg_color(Some(AnsiColor::Green.into())),
            Self::Notable => style.fg_color(Some(AnsiColor::Yellow.into())),
            Self::Payload => style.fg_color(Some(AnsiColor::BrightWhite.into())),
            Self::Dim => style.effects(Effects::DIMMED),
            Self::Error => style.fg_color(Some(AnsiColor::Red.into())),
        }
    }
}
