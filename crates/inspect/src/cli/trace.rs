//! `inspect trace`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{duration, port, short_port};
use crate::bpf::LONGEST_PIECE;
use crate::model::Pid;
use crate::trace::{self, Choice};

/// The flags as typed. Those that strace users type keep their letter.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  inspect trace -- curl example.org    the calls of a command and its children
  inspect trace -p 4845                those of a process that runs
  inspect trace :2345                  of every process that touches port 2345
  inspect trace --process nginx -e accept4,recvfrom
  inspect trace -c -p 4845             sums, until Ctrl-C
  inspect trace --explain -- python3 client.py   beside what the program says
  inspect trace -- python3 client.py | grep connect
")]
pub struct Flags {
    /// :PORT, short for --port PORT.
    #[arg(value_name = ":PORT", value_parser = colon_port)]
    colon: Option<u16>,

    /// Start this command, and show its calls and those of its children; the trace ends with it.
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["pid", "process"])]
    command: Vec<OsString>,

    /// Show the calls of this process, its threads and the children it begins; may be given
    /// several times, or as a list: -p 12,13.
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pid: Vec<u32>,

    /// Show the calls of every process of this name (at most 15 bytes of it count).
    #[arg(long, value_name = "NAME")]
    process: Option<String>,

    /// Show only calls on sockets that use this port, of every process.
    #[arg(long, value_name = "PORT", value_parser = port, conflicts_with = "colon")]
    port: Option<u16>,

    /// Show only these calls, or, with a ! before them, all others: -e connect,accept4 or
    /// -e '!close'.
    #[arg(short, long, value_name = "CALLS", allow_hyphen_values = true)]
    expression: Vec<String>,

    /// Show also the calls that wait for several descriptors: poll, select, epoll_wait.
    #[arg(long)]
    waits: bool,

    /// Show so many bytes of each buffer.
    #[arg(short, long, value_name = "BYTES", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(LONGEST_PIECE)))]
    string_limit: u32,

    /// Follow children: always so; accepted because strace has it.
    #[arg(short, long, overrides_with = "follow", hide = true)]
    follow: bool,

    /// End after this time: 10s, 500ms, 1.5m; a bare number is seconds.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// Write into this file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// JSON Lines, a record for each call.
    #[arg(long)]
    json: bool,

    /// Show sums at the end in place of the calls: how many of each, how many failed, how long they
    /// took, how many bytes; and the same by descriptor and peer.
    #[arg(short = 'c', long, conflicts_with = "explain")]
    summary: bool,

    /// Show beside each call what people write for it, in Python or C, and at the end what each
    /// descriptor is.
    #[arg(long, value_name = "LANGUAGE", num_args = 0..=1, require_equals = true,
          default_missing_value = "python", conflicts_with = "json")]
    explain: Option<Language>,

    /// Name the process in each line, or once above its lines.
    #[arg(long, overrides_with = "no_heading")]
    heading: bool,

    /// A piped line names its process, always.
    #[arg(long, overrides_with = "heading")]
    no_heading: bool,

    /// Size of the kernel's buffer for what happens, MiB: a power of two.
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = buffer)]
    buffer: u32,

    /// Print no hints and no progress.
    #[arg(short = 'q', hide = true)]
    quiet: bool,
}

/// Whose library is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Python's.
    Python,
    /// C's.
    C,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The command; empty: none.
    pub command: Vec<OsString>,
    /// Processes by number.
    pub pids: Vec<Pid>,
    /// Processes by name.
    pub process: Option<String>,
    /// Only sockets of this port.
    pub port: Option<u16>,
    /// Which calls.
    pub choice: Choice,
    /// Bytes of a buffer.
    pub limit: u32,
    /// When to end.
    pub duration: Option<Duration>,
    /// Where to write; `None`: stdout.
    pub output: Option<PathBuf>,
    /// JSON.
    pub json: bool,
    /// Sums in place of calls.
    pub summary: bool,
    /// Beside what people write.
    pub explain: Option<Language>,
    /// Whether headings were asked for, or forbidden.
    pub heading: Option<bool>,
    /// Bytes of the kernel's buffer.
    pub buffer: u32,
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
        if self.command.is_empty()
            && self.pid.is_empty()
            && self.process.is_none()
            && port.is_none()
        {
            return Err(
                "whose calls? inspect trace -- COMMAND, -p PID, --process NAME, or :PORT \
                        for all that touch it"
                    .to_owned(),
            );
        }
        Ok(Request {
            command: self.command,
            pids: self.pid.into_iter().map(Pid).collect(),
            process: self.process,
            port,
            choice: choice(&self.expression, self.waits)?,
            limit: self.string_limit,
            duration: self.duration,
            output: self.output,
            json: self.json,
            summary: self.summary,
            explain: self.explain,
            heading: match (self.heading, self.no_heading) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
            buffer: self.buffer * 1024 * 1024,
            quiet: self.quiet,
        })
    }
}

fn colon_port(text: &str) -> Result<u16, String> {
    short_port(text)
        .unwrap_or_else(|| Err("a port is written :2345; a command stands behind --".to_owned()))
}

fn buffer(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(number @ 1..=1024) if number.is_power_of_two() => Ok(number),
        _ => Err(format!("{text:?} is no power of two from 1 to 1024")),
    }
}

/// `connect,accept4`, `!close`, and strace's `trace=connect`.
fn choice(expressions: &[String], waits: bool) -> Result<Choice, String> {
    let mut choice = Choice {
        waits,
        ..Choice::default()
    };
    for expression in expressions {
        let expression = expression.strip_prefix("trace=").unwrap_or(expression);
        let (is_not, list) = match expression.strip_prefix('!') {
            Some(list) => (true, list),
            None => (false, expression),
        };
        for word in list.split(',') {
            // All that is told is of the network; so strace's word for it chooses nothing.
            if matches!(word, "network" | "%network") && !is_not {
                continue;
            }
            let name = trace::names().find(|name| *name == word).ok_or_else(|| {
                let near = trace::names().find(|name| !word.is_empty() && name.starts_with(word));
                let hint = near.map(|near| format!("; {near}?")).unwrap_or_default();
                format!("{word:?} is no call about sockets{hint}")
            })?;
            match is_not {
                true => choice.except.push(name),
                false => choice.only.get_or_insert_default().push(name),
            }
        }
    }
    Ok(choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_chosen_and_left_out_by_name() {
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            choice(&words, false)
        };
        assert_eq!(of(&[]), Ok(Choice::default()));
        let chosen = of(&["connect,accept4"]).unwrap();
        assert_eq!(chosen.only, Some(vec!["connect", "accept4"]));
        let chosen = of(&["!close"]).unwrap();
        assert_eq!((chosen.only, chosen.except), (None, vec!["close"]));
        assert_eq!(of(&["trace=network"]), Ok(Choice::default()));
        assert_eq!(
            of(&["accep"]),
            Err("\"accep\" is no call about sockets; accept?".to_owned())
        );
        assert!(of(&["open"]).is_err());
    }

    #[test]
    fn buffers_are_powers_of_two() {
        assert_eq!(buffer("16"), Ok(16));
        for bad in ["0", "3", "2048", "x"] {
            assert!(buffer(bad).is_err(), "{bad}");
        }
    }
}
