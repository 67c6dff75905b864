//! `inspect process`.

use std::ffi::OsString;

use clap::Args;

use super::Format;
use super::page::PageFlags;
use super::sources::{Netns, Sources};
use crate::model::{ForeignText, Pid};
use crate::owners;

/// The flags as typed. `-p` and `-n` are there because hands that know lsof type them.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  inspect process 4845           one process: who it is, and its sockets
  inspect process nginx          every process of that name, those alike in a row
  inspect process nginx --json   the same, and every socket, for programs

Exit status: 0 done, 1 there is no such process, 2 wrong usage."
)]
pub struct Flags {
    /// Process ids or names. A name is compared as the kernel keeps it: its first 15 bytes.
    #[arg(value_name = "PID|NAME")]
    words: Vec<OsString>,

    /// The process with this id.
    #[arg(short = 'p', long, value_name = "PID", help_heading = "Which of them")]
    pid: Vec<u32>,

    /// Every process of this name, though it be a number.
    #[arg(long, value_name = "NAME", help_heading = "Which of them")]
    process: Vec<OsString>,

    /// Every socket and every process on a terminal too, where else a few stand for many that
    /// are alike.
    #[arg(short = 'a', long, help_heading = "How to show them")]
    all: bool,

    #[command(flatten)]
    page: PageFlags,

    /// Names of hosts and services instead of numbers.
    #[arg(short = 'r', long, help_heading = "How to show them")]
    resolve: bool,

    #[command(flatten)]
    sources: super::sources::SourceFlags,

    #[arg(short = 'n', long, hide = true, action = clap::ArgAction::Count)]
    numeric: u8,
}

/// A process that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The one with this id.
    Pid(Pid),
    /// All of this name.
    Name(OsString),
    /// The one with this id; where there is none, all of this name.
    PidOrName(Pid, OsString),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The processes; at least one.
    pub wanted: Vec<Wanted>,
    /// Whether those that are alike are shown one by one.
    pub all: bool,
    /// How to write.
    pub format: Format,
    /// Whether names are wanted for hosts and services.
    pub resolve: bool,
    /// No hints: `-q`, short for --quiet.
    pub quiet: bool,
    /// Where the look comes from.
    pub sources: Sources,
}

impl Flags {
    /// Checks what clap could not.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(self) -> Result<Request, String> {
        let words = self.words.into_iter().map(|word| {
            match word.to_str().and_then(|word| word.parse().ok()) {
                Some(pid) => Wanted::PidOrName(Pid(pid), word),
                None => Wanted::Name(word),
            }
        });
        let wanted: Vec<Wanted> = words
            .chain(self.pid.into_iter().map(|pid| Wanted::Pid(Pid(pid))))
            .chain(self.process.into_iter().map(Wanted::Name))
            .collect();
        if wanted.is_empty() {
            return Err("which process? Give its id or its name".to_owned());
        }
        if wanted.contains(&Wanted::Name(OsString::new())) {
            return Err("\"\" is no process: give an id or a name".to_owned());
        }
        let sources = Sources::from(self.sources);
        if sources.netns != Netns::Own {
            return Err(
                "a process is looked for in the network namespace that it lives in; --netns is \
                 for the other views"
                    .to_owned(),
            );
        }
        if sources.owners == owners::Choice::None {
            return Err("without owners nothing is left of a process's sockets".to_owned());
        }
        Ok(Request {
            wanted,
            all: self.all,
            format: self.page.format(),
            resolve: self.resolve,
            quiet: self.page.quiet,
            sources,
        })
    }
}

impl Wanted {
    /// As it was typed, for messages: hostile like everything else.
    pub fn word(&self) -> ForeignText {
        match self {
            Self::Pid(pid) => ForeignText::new(pid.to_string()),
            Self::Name(name) | Self::PidOrName(_, name) => {
                ForeignText::new(name.clone().into_encoded_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, View};

    fn request(words: &str) -> Result<Request, String> {
        let words = format!("inspect process {words}");
        let cli = Cli::try_parse_from(words.split_whitespace()).map_err(|e| e.to_string())?;
        match cli.view {
            View::Process(flags) => flags.validate(),
            _ => Err("another view".to_owned()),
        }
    }

    #[test]
    fn a_number_is_an_id_unless_it_is_said_to_be_a_name() {
        for (words, wanted) in [
            ("4845", vec![Wanted::PidOrName(Pid(4845), "4845".into())]),
            ("nginx", vec![Wanted::Name("nginx".into())]),
            ("-p 4845", vec![Wanted::Pid(Pid(4845))]),
            ("--process 4845", vec![Wanted::Name("4845".into())]),
            (
                "nginx --pid 1",
                vec![Wanted::Name("nginx".into()), Wanted::Pid(Pid(1))],
            ),
        ] {
            assert_eq!(request(words).unwrap().wanted, wanted, "{words}");
        }
    }

    #[test]
    fn wrong_values_are_refused_in_words() {
        for (words, part) in [
            ("", "PID|NAME"),
            ("--json", "which process?"),
            ("-p nginx", "invalid value 'nginx'"),
            ("nginx --no-owners", "without owners"),
            ("nginx --owners none", "without owners"),
        ] {
            let error = request(words).unwrap_err();
            assert!(error.contains(part), "{words}: {error}");
        }
    }
}
