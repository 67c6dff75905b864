//! What the terminal and the environment allow.

use std::io::{IsTerminal, stderr, stdout};
use std::os::fd::AsFd;

use crate::cli::ColorWhen;
use crate::render::{Charset, Screen};

/// The screen behind stdout.
pub(crate) fn of_stdout(color: ColorWhen) -> Screen {
    of(stdout(), color)
}

/// The screen behind stderr.
pub(crate) fn of_stderr(color: ColorWhen) -> Screen {
    of(stderr(), color)
}

fn of(stream: impl IsTerminal + AsFd, color: ColorWhen) -> Screen {
    let terminal = stream.is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Screen {
        width: terminal.then(|| width(stream.as_fd())),
        colour: match color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && !no_color && !dumb,
        },
        charset: charset(|name| std::env::var(name).ok()),
    }
}

/// The terminal's columns; 80 where it does not know them itself.
fn width(stream: std::os::fd::BorrowedFd<'_>) -> usize {
    match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => 80,
    }
}

/// setlocale(3): the first of these that is set and not empty decides.
fn charset(variable: impl Fn(&str) -> Option<String>) -> Charset {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if locale.contains("utf-8") || locale.contains("utf8") {
        Charset::Utf8
    } else {
        Charset::Ascii
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides_the_characters() {
        let with = |pairs: &'static [(&str, &str)]| {
            charset(move |name| {
                pairs
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[("LANG", "de_DE.UTF-8")]), Charset::Utf8);
        assert_eq!(with(&[("LANG", "C.utf8")]), Charset::Utf8);
        assert_eq!(
            with(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]),
            Charset::Ascii
        );
        assert_eq!(with(&[("LC_ALL", ""), ("LANG", "C.UTF-8")]), Charset::Utf8);
        assert_eq!(with(&[]), Charset::Ascii);
    }
}
