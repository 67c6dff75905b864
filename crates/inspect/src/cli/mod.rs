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
pub mod timeline;
pub mod trace;

use std::ffi::OsString;
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
    /// Whole conversations: from a call to the packet to the other program's call.
    Timeline(timeline::Flags),
    /// Completions for a shell, or a man page.
    Generate(generate::Flags),
}

impl View {
    /// What is wrong where `--` announces a command and none follows: clap cannot tell that from
    /// no `--`, and without a command these views show what everybody does.
    pub fn lacks_command(&self, arguments: &[OsString]) -> Option<String> {
        let (name, shows) = match self {
            Self::Capture(_) => ("capture", "captures what every process says"),
            Self::Trace(_) => ("trace", "needs a process or a port"),
            Self::Timeline(_) => ("timeline", "needs a port or another end"),
            _ => return None,
        };
        let mut words = arguments.iter().skip_while(|word| *word != "--");
        let is_alone = words.next().is_some() && words.next().is_none();
        is_alone.then(|| {
            format!(
                "no command behind --: inspect {name} -- COMMAND starts one; without -- {name} \
                 {shows}"
            )
        })
    }
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

/// `10s`, `0.5`, `500ms`, `2m`, `1.5h`; a bare number is seconds. What is finer than a
/// millisecond is left away: nothing here is done more often.
///
/// # Errors
/// What is wrong, in words.
pub fn duration(text: &str) -> Result<Duration, String> {
    milliseconds(text)
        .filter(|count| (1..=LONGEST).contains(count))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is no duration (10s, 0.5s, 500ms, 2m, 1h)"))
}

/// A thousand years, in milliseconds: what is longer is a mistake, and would not fit the clock.
const LONGEST: u64 = 31_557_600_000_000;

fn milliseconds(text: &str) -> Option<u64> {
    let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let (number, unit) = text.split_at(text.bytes().take_while(is_number).count());
    let unit = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    // `.5` and `5.` are numbers elsewhere too; a dot alone is none.
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() || part.contains('.') {
        return None;
    }
    let value = |digits: &str| match digits {
        "" => Some(0),
        digits => digits.parse::<u64>().ok(),
    };
    // A millisecond of an hour is its 7th place.
    let part = part.get(..part.len().min(9)).unwrap_or_default();
    let scale = 10u64.pow(u32::try_from(part.len()).unwrap_or(0));
    let rest = value(part)?.checked_mul(unit)? / scale;
    value(whole)?.checked_mul(unit)?.checked_add(rest)
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
    fn durations_have_units_and_fractions() {
        for (text, milliseconds) in [
            ("10", 10_000),
            ("10s", 10_000),
            ("0.5", 500),
            (".5s", 500),
            ("2.", 2_000),
            ("500ms", 500),
            ("1.5m", 90_000),
            ("1h", 3_600_000),
            ("0.0019", 1),
            ("1.00000000000000000000000000000000000001", 1_000),
        ] {
            let meant = Duration::from_millis(milliseconds);
            assert_eq!(duration(text), Ok(meant), "{text}");
        }
        for bad in [
            "",
            ".",
            "s",
            ".s",
            "0",
            "0.0",
            "-1",
            "1.2.3",
            "1,5",
            "1e3",
            "5x",
            "1 s",
            "+1",
            "0.0009",
            "0.5ms",
            "99999999999999999999",
            "99999999999h",
            "1.5.ms",
            "١s",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_word_is_a_duration_or_refused_in_words(word: String) {
            if let Err(reason) = duration(&word) {
                proptest::prop_assert!(reason.contains("no duration"));
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
