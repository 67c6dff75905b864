//! One file per view: sources in, views out, exit code. Owns files, signals and the terminal.

mod abouts;
mod capture;
mod command;
mod doctor;
mod look;
mod machine;
mod names;
mod port;
mod process;
mod signals;
mod sockets;
mod terminal;
mod timeline;
mod trace;
mod workers;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Refused, View};
use crate::launch::LaunchError;
use crate::render::{Screen, Style, expression, facts, message};

/// How a run ended, for the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Failed, or nothing was found where the question was "is there".
    Failed,
    /// Wrong usage that only running could tell: a filter that libpcap does not understand.
    WrongUsage,
    /// As the command did that was started, which is no failure of this program.
    Command(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::FAILURE,
            Exit::WrongUsage => Self::from(2),
            Exit::Command(status) => Self::from(status),
        }
    }
}

/// What was typed cannot be meant, and only the machine could tell.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// What every view needs to know of its surroundings.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// What stdout can show.
    pub(crate) screen: Screen,
    /// What stderr can show.
    pub(crate) messages: Screen,
    /// The real path of this program, for hints that can be pasted.
    pub(crate) program: PathBuf,
    /// The arguments after the program's name, for the same.
    pub(crate) arguments: Vec<String>,
    /// No hints, no progress.
    pub(crate) quiet: bool,
    /// Sources and reasons are wanted.
    pub(crate) verbose: bool,
}

impl Context {
    /// Says something beside the data, on stderr. Names from outside may stand in it raw. A
    /// stderr that is closed is not an error.
    pub(crate) fn say(&self, line: &str) {
        let mut stderr = io::stderr().lock();
        for line in self.lines(line) {
            let _ = writeln!(stderr, "{line}");
        }
    }

    /// On a terminal a sentence goes on in the next line at a word; what is set off, like a
    /// command to copy, stays whole.
    fn lines(&self, line: &str) -> Vec<String> {
        let line = message(line, self.messages.charset);
        let is_set_off = |line: &str| line.is_empty() || line.starts_with(' ');
        line.split('\n')
            .flat_map(|line| match is_set_off(line) {
                true => vec![line.to_owned()],
                false => facts::wrapped(line, self.messages.width),
            })
            .collect()
    }

    /// Says something only to a person: on a terminal, and not when told to be quiet.
    pub(crate) fn hint(&self, line: &str) {
        if self.messages.is_terminal() && !self.quiet {
            let mut stderr = io::stderr().lock();
            for line in self.lines(line) {
                let _ = writeln!(stderr, "{}", self.messages.paint(Style::Dim, &line));
            }
        }
    }
}

/// What the stdout of this process can show, as every view sees it.
pub fn screen_of_stdout() -> Screen {
    terminal::of_stdout(crate::cli::ColorWhen::Auto)
}

/// Runs the program on the process's own arguments and gives its exit code.
pub fn run() -> ExitCode {
    run_with(std::env::args_os().skip(1))
}

/// Runs the program on the given arguments, without the program's name.
pub fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(port) = arguments.first().and_then(|word| word.to_str())
        && port.trim_start_matches(':').parse::<u16>().is_ok()
    {
        let port = port.trim_start_matches(':');
        let tip = format!(
            "inspect: which view? inspect port {port}, inspect sockets :{port}, or inspect \
             capture --port {port}\n"
        );
        let _ = io::stderr().write_all(tip.as_bytes());
        return ExitCode::from(2);
    }
    let named = std::iter::once(OsString::from("inspect")).chain(arguments.iter().cloned());
    let cli = match Cli::try_parse_from(named) {
        Ok(cli) => cli,
        Err(mut error) => {
            // "to pass '-X' as a value, use '-- -X'": nobody who types a flag means that.
            if error.kind() == clap::error::ErrorKind::UnknownArgument {
                error.remove(clap::error::ContextKind::Suggested);
            }
            // Help and version are answers (0, stdout), the rest is wrong usage (2, stderr).
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let lacks_command = cli.view.lacks_command(&arguments);
    let context = Context {
        screen: terminal::of_stdout(cli.color),
        messages: terminal::of_stderr(cli.color),
        program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("inspect")),
        arguments: arguments
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect(),
        quiet: cli.quiet,
        verbose: cli.verbose > 0,
    };
    if let Some(usage) = lacks_command {
        return wrong_usage(&usage, &context);
    }
    let done = match cli.view {
        View::Sockets(flags) => match flags.validate(&names::Machine) {
            Ok(request) => sockets::run(&request, &context),
            Err(Refused::Words(usage)) => return wrong_usage(&usage, &context),
            Err(Refused::Expression(error)) => {
                let shown = expression::refused(&error, context.messages);
                return wrong_usage(&shown, &context);
            }
        },
        View::Process(flags) => match flags.validate() {
            Ok(request) => process::run(&request, &context),
            Err(usage) => return wrong_usage(&usage, &context),
        },
        View::Doctor(flags) => match flags.validate() {
            Ok(request) => doctor::run(&request, &context),
            Err(usage) => return wrong_usage(&usage, &context),
        },
        View::Port(flags) => match flags.validate() {
            Ok(request) => port::run(&request, &context),
            Err(usage) => return wrong_usage(&usage, &context),
        },
        View::Capture(flags) => match flags.validate(&names::Machine) {
            Ok(request) => capture::run(&request, &context),
            Err(usage) => return wrong_usage(&usage, &context),
        },
        View::Trace(flags) => match flags.validate() {
            Ok(request) => trace::run(&request, &context),
            Err(usage) => return wrong_usage(&usage, &context),
        },
        View::Timeline(flags) => match flags.validate() {
            Ok(request) => timeline::run(&request, &context),
            Err(usage) => return wrong_usage(&usage, &context),
        },
        View::Generate(flags) => match flags.validate() {
            Ok(request) => generate(&request),
            Err(usage) => return wrong_usage(&usage, &context),
        },
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => wrong_usage(&error.to_string(), &context),
        Err(error) => {
            let status = error
                .downcast_ref::<LaunchError>()
                .map_or(1, LaunchError::status);
            // What has no other word about it comes from writing the answer.
            let what = match error.downcast_ref::<io::Error>() {
                Some(_) if error.chain().count() == 1 => "cannot write the answer: ",
                _ => "",
            };
            context.say(&format!(
                "inspect: {what}{}",
                without_number(&format!("{error:#}"))
            ));
            ExitCode::from(status)
        }
    }
}

/// A reason in the system's words alone: `No space left on device (os error 28)` has the number
/// of an error, too, by which nobody knows it.
fn without_number(reason: &str) -> String {
    match reason.split_once(" (os error ") {
        Some((words, rest)) => {
            let after = rest.split_once(')').map_or("", |(_, after)| after);
            format!("{words}{after}")
        }
        None => reason.to_owned(),
    }
}

fn generate(request: &crate::cli::generate::Request) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    crate::cli::generate::write(request, &mut out)?;
    out.flush()?;
    Ok(Exit::Done)
}

fn wrong_usage(usage: &str, context: &Context) -> ExitCode {
    context.say(&format!("inspect: {usage}"));
    ExitCode::from(2)
}

/// Whether the reader of our output has gone: it has what it wanted, and that is a success.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
