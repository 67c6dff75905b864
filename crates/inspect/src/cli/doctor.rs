//! `inspect doctor`.

use std::time::Duration;

use clap::Args;

use super::page::PageFlags;
use super::sources::Sources;
use super::{Format, duration};

/// The flags as typed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  inspect doctor             what is wrong with the sockets of this machine
  inspect doctor --for 10s   the same, after watching for ten seconds
  inspect doctor -v          with what could not be looked at, and why
  inspect doctor --json | jq -r 'select(.type == \"finding\") | .text'

What stands still is told from what moves by looking twice, a second apart. A
machine that is busy and well has no findings. A reason to look longer:
traffic that comes in bursts.

Exit status: 0 nothing wrong, 1 findings (or failed), 2 wrong usage.")]
pub struct Flags {
    /// Watch for so long: 10s, 2m. A bare number is seconds.
    #[arg(
        long = "for",
        value_name = "DURATION",
        value_parser = duration,
        help_heading = "How to look"
    )]
    watch: Option<Duration>,

    /// Look so often.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration,
        default_value = "1s",
        help_heading = "How to look"
    )]
    interval: Duration,

    #[command(flatten)]
    page: PageFlags,

    #[command(flatten)]
    sources: super::sources::SourceFlags,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The time between two looks.
    pub interval: Duration,
    /// How many looks follow the first: at least one.
    pub looks: u32,
    /// How to write: a table or JSON.
    pub format: Format,
    /// No hints: `-q`, short for --quiet.
    pub quiet: bool,
    /// Where the looks come from.
    pub sources: Sources,
}

impl Flags {
    /// Checks what clap could not.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(self) -> Result<Request, String> {
        let format = self.page.format();
        let watch = self.watch.unwrap_or(self.interval);
        if watch < self.interval {
            return Err(format!(
                "--for {} is over before the second look: --interval is {}",
                words(watch),
                words(self.interval)
            ));
        }
        let looks = watch.as_nanos().div_ceil(self.interval.as_nanos().max(1));
        Ok(Request {
            interval: self.interval,
            looks: u32::try_from(looks).unwrap_or(u32::MAX).max(1),
            format,
            quiet: self.page.quiet,
            sources: self.sources.into(),
        })
    }
}

/// As it can be typed.
fn words(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, View};

    fn request(words: &str) -> Result<Request, String> {
        let words = format!("inspect doctor {words}");
        let cli = Cli::try_parse_from(words.split_whitespace()).map_err(|e| e.to_string())?;
        match cli.view {
            View::Doctor(flags) => flags.validate(),
            _ => Err("another view".to_owned()),
        }
    }

    #[test]
    fn two_looks_a_second_apart_unless_told_otherwise() {
        for (words, looks, interval) in [
            ("", 1, 1_000),
            ("--for 12", 12, 1_000),
            ("--for 12s --interval 5s", 3, 5_000),
            ("--interval 5s", 1, 5_000),
            ("--for 1s --interval 100ms", 10, 100),
        ] {
            let request = request(words).unwrap();
            assert_eq!(request.looks, looks, "{words}");
            assert_eq!(request.interval, Duration::from_millis(interval), "{words}");
        }
    }

    #[test]
    fn wrong_values_are_refused_in_words() {
        for (words, part) in [
            ("--for 500ms", "before the second look: --interval is 1s"),
            ("--for soon", "no duration"),
            ("--interval 0", "no duration"),
            ("--format csv", "possible values: table, json"),
            (":2345", "2345"),
        ] {
            let error = request(words).unwrap_err();
            assert!(error.contains(part), "{words}: {error}");
        }
    }
}
