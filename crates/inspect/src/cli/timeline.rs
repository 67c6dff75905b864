//! `inspect timeline`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::{duration, port, short_port};

/// The flags as typed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  inspect timeline :2345                   calls, states and packets of port 2345, until Ctrl-C
  inspect timeline -- curl example.org     the same of what a command says, and to whom
  inspect timeline :2345 --json | jq       events with links to what brought them about
")]
pub struct Flags {
    /// :PORT, short for --port PORT.
    #[arg(value_name = ":PORT", value_parser = colon_port)]
    colon: Option<u16>,

    /// Start this command, and show the conversations in which it or a child of its holds an end;
    /// the timeline ends with it.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    /// Show the TCP conversations of this port.
    #[arg(long, value_name = "PORT", value_parser = port, conflicts_with = "colon")]
    port: Option<u16>,

    /// End after this time: 10s, 500ms, 1.5m; a bare number is seconds.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// JSON Lines: a record for each conversation and each event, with links.
    #[arg(long)]
    json: bool,

    /// Print no hints and no progress.
    #[arg(short = 'q', hide = true)]
    quiet: bool,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The command; empty: none.
    pub command: Vec<OsString>,
    /// The port of the conversations; `None`: any.
    pub port: Option<u16>,
    /// When to end.
    pub duration: Option<Duration>,
    /// JSON.
    pub json: bool,
    /// No hints.
    pub quiet: bool,
}

impl Flags {
    /// What they mean together.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(self) -> Result<Request, String> {
        let port = self.port.or(self.colon);
        if self.command.is_empty() && port.is_none() {
            return Err(
                "whose conversations? inspect timeline :2345, or inspect timeline -- \
                        COMMAND"
                    .to_owned(),
            );
        }
        Ok(Request {
            command: self.command,
            port,
            duration: self.duration,
            json: self.json,
            quiet: self.quiet,
        })
    }
}

fn colon_port(text: &str) -> Result<u16, String> {
    short_port(text)
        .unwrap_or_else(|| Err("a port is written :2345; a command stands behind --".to_owned()))
}
