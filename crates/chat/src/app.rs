//! One function per command: the process gets its name and its socket, and only then a runtime,
//! which opens descriptors of its own.

use std::ffi::{CStr, OsString};
use std::io::{self, IsTerminal as _, Write as _};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use tokio::net::{TcpStream, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{
    ClientArgs, ColourChoice, Command, FaultArgs, Half, LookArgs, PairArgs, ServerArgs,
};
use crate::endpoint::{Listener, Place, Refused, Stream};
use crate::fault::{self, Fault};
use crate::terminal::console::{Console, Look};
use crate::terminal::escape::{Surface, escape};
use crate::terminal::printer::Closed;
use crate::{client, pair, server};

/// Silence after which a person is told what is awaited.
const UNEASY: Duration = Duration::from_secs(2);

/// Descriptors a server holds beside one for each client.
const OTHER_DESCRIPTORS: u64 = 64;

/// Runs a command and tells on standard error why it failed.
pub(crate) fn run(command: Command, program: Vec<OsString>) -> ExitCode {
    let done = match command {
        Command::Server(args) => run_server(&args),
        Command::Client(args) => match args.place() {
            Ok(_) => run_client(&args),
            Err(usage) => return misused(&usage),
        },
        Command::Pair(args) => match args.check() {
            Ok(()) => run_pair(args, program),
            Err(usage) => return misused(&usage),
        },
        Command::Fault(args) => run_fault(&args).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let hint = error
                .downcast_ref::<Refused>()
                .and_then(|refused| refused.hint.as_deref());
            let hint = hint
                .map(|hint| format!("\n{}", indented(hint)))
                .unwrap_or_default();
            complain(&format!("chat: {error:#}{hint}"));
            ExitCode::FAILURE
        }
    }
}

fn misused(usage: &str) -> ExitCode {
    complain(&format!(
        "error: {usage}\n\nFor more information, try '--help'."
    ));
    ExitCode::from(2)
}

fn run_server(args: &ServerArgs) -> anyhow::Result<bool> {
    name_process(c"chat-server", args.leash)?;
    let max_clients = usize::try_from(args.max_clients)?;
    allow_descriptors(u64::from(args.max_clients) + OTHER_DESCRIPTORS);
    let listener = args.place().listen()?;
    let announcement = announcement(&listener, args.port == 0)?;
    let rules = server::Rules {
        framing: args.message.framing,
        max_message: args.message.max_message,
        max_clients,
        reply: args.reply.clone().map(String::into_bytes),
    };
    runtime()?.block_on(async {
        let stop = stop()?;
        let mut console = Console::open(look(args.look), args.message.max_message)
            .context("cannot set up the terminal")?;
        let listener = server::Listener::register(listener)?;
        for line in announcement {
            console.notice(&line);
        }
        let well = server::run(listener, rules, &mut console, stop).await;
        written(console.finish().await).map(|()| well)
    })
}

fn run_client(args: &ClientArgs) -> anyhow::Result<bool> {
    name_process(c"chat-client", args.leash)?;
    let place = args.place().map_err(anyhow::Error::msg)?;
    let stream = soon(&format!("Connecting to {place}; Ctrl-C gives up."), || {
        place.connect()
    })?;
    let (local, remote) = stream
        .ends()
        .context("cannot tell the connection's addresses")?;
    let from = local
        .map(|local| format!(" from {local}"))
        .unwrap_or_default();
    let rules = client::Rules {
        framing: args.message.framing,
        max_message: args.message.max_message,
    };
    runtime()?.block_on(async {
        let stop = stop()?;
        let mut console = Console::open(look(args.look), args.message.max_message)
            .context("cannot set up the terminal")?;
        console.notice(&if console.is_interactive() {
            format!("Connected to {remote}{from}.")
        } else {
            format!("connected to {remote}{from}")
        });
        let well = match stream {
            Stream::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                let halves = TcpStream::from_std(stream)?.into_split();
                client::run(halves, rules, &mut console, stop).await
            }
            Stream::Unix(stream, _) => {
                stream.set_nonblocking(true)?;
                let halves = UnixStream::from_std(stream)?.into_split();
                client::run(halves, rules, &mut console, stop).await
            }
        };
        written(console.finish().await).map(|()| well)
    })
}

fn run_pair(args: PairArgs, program: Vec<OsString>) -> anyhow::Result<bool> {
    name_process(c"chat-pair", None)?;
    let look = look(args.look);
    runtime()?.block_on(async { pair::run(args, program, look, stop()?).await })
}

fn run_fault(args: &FaultArgs) -> anyhow::Result<()> {
    let place = Place::Tcp(Ipv4Addr::LOCALHOST.to_string(), args.port);
    if args.half == Half::Server {
        name_process(c"chat-server", args.leash)?;
        let Listener::Tcp(listener) = place.listen()? else {
            anyhow::bail!("{place} is no port");
        };
        return runtime()?.block_on(async { fault::serve(args.fault, listener, stop()?).await });
    }
    name_process(c"chat-client", args.leash)?;
    let stream = match args.fault {
        Fault::SlowReader => match place.connect()? {
            Stream::Tcp(stream) => Some(stream),
            Stream::Unix(..) => None,
        },
        Fault::NeverClose | Fault::NoAccept | Fault::Reset => None,
    };
    let client = fault::Client {
        fault: args.fault,
        server: (Ipv4Addr::LOCALHOST, args.port).into(),
        every: args.every.unwrap_or(args.fault.pace()),
        count: args.count,
        stream,
    };
    runtime()?.block_on(async { client.run(stop()?).await })
}

/// What a server says first. Scripts wait for the lower-case line.
fn announcement(listener: &Listener, any_port: bool) -> io::Result<Vec<String>> {
    let (place, reach) = (listener.place()?, listener.reach()?);
    if io::stderr().is_terminal() && !any_port {
        return Ok(vec![format!("Listening on {place}, {reach}.")]);
    }
    Ok(vec![
        format!("listening on {place}"),
        format!("reach: {reach}"),
    ])
}

/// Names the process, as `ps`, `ss` and `lsof` show it, and ties its life to that of `parent`.
fn name_process(name: &CStr, parent: Option<i32>) -> anyhow::Result<()> {
    rustix::thread::set_name(name).context("cannot name the process")?;
    if let Some(parent) = parent {
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
            .context("cannot follow the parent process")?;
        // It may have ended before it was followed.
        let parent = Pid::from_raw(parent);
        anyhow::ensure!(
            rustix::process::getppid() == parent,
            "the parent process is gone"
        );
    }
    Ok(())
}

/// Raises the soft limit of open descriptors, which is often just 1,024, if it is in the way.
fn allow_descriptors(wanted: u64) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let current = Some(limit.maximum.map_or(wanted, |maximum| wanted.min(maximum)));
        // Should it fail, the client too many is told of when it comes.
        let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.context("cannot start the runtime")
}

/// Done at the first Ctrl-C, SIGTERM or hang-up.
fn stop() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

fn look(args: LookArgs) -> Look {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Look {
        colour: args.color == ColourChoice::Auto && !refused,
        colour_everywhere: args.color == ColourChoice::Always,
        quiet: args.quiet,
    }
}

/// Does `work`, and says `notice` to a person when it takes long.
fn soon<T>(notice: &str, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    let (done, waiting) = mpsc::channel::<()>();
    let notice = notice.to_owned();
    std::thread::spawn(move || {
        if waiting.recv_timeout(UNEASY) == Err(mpsc::RecvTimeoutError::Timeout) {
            complain(&notice);
        }
    });
    let result = work();
    drop(done);
    result
}

/// A reader that left is no error; an output that failed is.
fn written(closed: Option<Closed>) -> anyhow::Result<()> {
    match closed {
        Some(Closed::Failed(reason)) => Err(anyhow::anyhow!("cannot write the output: {reason}")),
        Some(Closed::Reader) | None => Ok(()),
    }
}

/// A hint in parentheses, under the words of the error it belongs to.
fn indented(hint: &str) -> String {
    const WIDTH: usize = 72;
    let mut lines = vec![String::new()];
    for word in format!("({hint})").split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let lines: Vec<_> = lines
        .into_iter()
        .map(|line| format!("      {line}"))
        .collect();
    lines.join("\n")
}

/// Writes to standard error, where a path or name may hold anything.
pub(crate) fn complain(text: &str) {
    for line in text.lines() {
        let line = escape(line.as_bytes(), Surface::Terminal);
        // Nowhere is left to complain to.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_stands_under_the_words_of_its_error() {
        let hint = "nothing listens there, or a firewall refuses; a chat server lets other \
                    machines in only with --bind 0.0.0.0";
        let expected = "      (nothing listens there, or a firewall refuses; a chat server lets other\n      \
                        machines in only with --bind 0.0.0.0)";
        assert_eq!(indented(hint), expected);
    }
}
