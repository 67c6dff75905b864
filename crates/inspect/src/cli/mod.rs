//! Flags -> validated requests; help and completions. Opens nothing.

pub mod capture;
pub mod doctor;
pub mod generate;
pub mod page;
pub mod port;
pub mod process;
pub mod savefile;
pub mod sockets;
pub mod sources;
pub mod trace;

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::selection::ParseError;

/// Shows sockets and who holds them, packets and who sent them.
#[derive(Debug, Parser)]
#[command(
    name = "inspect",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Examples:
  inspect sockets                what listens and who talks, and who holds it
  inspect sockets :2345          what uses port 2345
  inspect process nginx          what nginx listens on, and whom it talks to
  inspect doctor                 what is wrong, the most urgent first
  inspect port 2345              who has it, or why it cannot be had
  inspect capture --port 2345    its packets, with their words (needs a right)

Exit status: 0 done, 1 failed, or something was found wrong, 2 wrong usage."
)]
pub struct Cli {
    /// The view.
    #[command(subcommand)]
    pub view: View,

    /// Colour: auto (on a terminal, unless NO_COLOR is set), always or never.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = "Everywhere"
    )]
    pub color: ColorWhen,

    /// Print no hints and no progress.
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub quiet: bool,

    /// Say which sources were used, and what could not be read.
    #[arg(
        short,
        long,
        global = true,
        action = clap::ArgAction::Count,
        help_heading = "Everywhere"
    )]
    pub verbose: u8,
}

/// The views.
#[derive(Debug, Subcommand)]
pub enum View {
    /// Sockets, their states, and every process that holds them.
    Sockets(sockets::Flags),
    /// One process, or those of a name: what it listens on, whom it talks to, who it is.
    Process(process::Flags),
    /// What is wrong with the sockets of this machine, the most urgent first.
    Doctor(doctor::Flags),
    /// Who has a port, from where it can be reached, and why bind() would fail.
    Port(port::Flags),
    /// Packets with readable words, and the processes at both ends.
    Capture(capture::Flags),
    /// Calls on sockets, with what they say and how long they wait.
    Trace(trace::Flags),
    /// Completions for a shell, or a man page.
    Generate(generate::Flags),
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// JSON Lines, for programs.
    Json,
    /// Comma-separated values, for spreadsheets.
    Csv,
}

/// Why a command line was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// This is wrong.
    Words(String),
    /// The expression of which sockets are wanted is.
    Expression(Box<ParseError>),
}

impl From<String> for Refused {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

impl From<ParseError> for Refused {
    fn from(error: ParseError) -> Self {
        Self::Expression(Box::new(error))
    }
}

/// A port number, 1 to 65535.
///
/// # Errors
/// What is wrong, in words.
pub fn port(text: &str) -> Result<u16, String> {
    match text.parse::<u32>() {
        Ok(0) => Err("port 0 means \"any free port\" and is never used itself".to_owned()),
        Ok(number) => u16::try_from(number)
            .map_err(|_| format!("{number} is no port: ports go from 1 to 65535")),
        Err(_) => Err(format!("{text:?} is no port number (1 to 65535)")),
    }
}

/// `:2345`, short for `--port 2345`.
///
/// # Errors
/// When it begins with a colon and goes on with something that is no port.
pub fn short_port(text: &str) -> Option<Result<u16, String>> {
    text.strip_prefix(':').map(port)
}

/// `10s`, `500ms`, `2m`, `1h`; a bare number is seconds.
///
/// # Errors
/// What is wrong, in words.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(not_a_duration(text)),
    };
    match number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
    {
        Some(0) | None => Err(not_a_duration(text)),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
    }
}

fn not_a_duration(text: &str) -> String {
    format!("{text:?} is no duration (10s, 500ms, 2m, 1h)")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    proptest::proptest! {
        #[test]
        fn any_word_is_a_port_or_refused_in_words(word: String) {
            match port(&word) {
                Ok(number) => proptest::prop_assert_eq!(word.parse(), Ok(number)),
                Err(reason) => proptest::prop_assert!(reason.contains("port")),
            }
        }
    }

    #[test]
    fn ports_are_bounded() {
        assert_eq!(port("2345"), Ok(2345));
        for bad in ["0", "70000", "-1", "", "http", "99999999999"] {
            assert!(port(bad).is_err(), "{bad}");
        }
        assert_eq!(short_port(":80"), Some(Ok(80)));
        assert_eq!(short_port("80"), None);
    }
}
