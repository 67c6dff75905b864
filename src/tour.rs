//! The plot of the tour: a talk, a look at its sockets, a capture of its packets, and the pages
//! that show them.

mod calls;
mod pages;
mod talk;
mod wire;

use std::io::{self, BufWriter, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use calls::Calls;
use inspect::listing::{Listing, Rows, SortKey};
use inspect::model::{Pid, State};
use inspect::namespaces;
use inspect::owners::{self, Finder, Source as _};
use inspect::privilege::{self, Right};
use inspect::render::Screen;
use inspect::selection::{Selection, Test};
use inspect::sockets::{Choice, Query, Source as _, Table, Tables};
use inspect::stop::Stop;
use jiff::tz::TimeZone;
use pages::Pages;
use talk::Talk;
use wire::{Capturing, Wire};

/// The port of the classic exercise.
const PORT: u16 = 2345;

/// Runs the tour on stdout and gives its exit code.
pub(crate) fn run() -> ExitCode {
    let screen = inspect::screen_of_stdout();
    match tour(screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if inspect::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "net-companion: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tour(screen: Screen) -> anyhow::Result<()> {
    // Before any thread is started: only a process of one thread may change its user namespace.
    let blind = make_sight().err();
    let taken = TcpListener::bind(("127.0.0.1", PORT)).is_err();
    let mut talk = Talk::listen(if taken { 0 } else { PORT }, "hi")?;
    let calls = Calls::open(talk.port, namespaces::current());
    let wire = match &blind {
        None => Some(Wire::open(talk.port)?.start()),
        Some(_) => None,
    };
    talk.connect()?;
    talk.say("hello")?;
    let listing = look()?;
    let pids = talk.pids();
    talk.say("你好")?;
    talk.part()?;
    let captured = wire.map(Capturing::close).transpose()?;

    let mut out = BufWriter::new(io::stdout().lock());
    let mut pages = Pages::new(&mut out, screen, TimeZone::system());
    pages.title()?;
    if taken {
        pages.paragraph(&format!(
            "Port {PORT} is taken on this machine, so the conversation uses {}.",
            talk.port
        ))?;
    }
    pages.said(&talk.said)?;
    pages.sockets(&ours(&listing, talk.port, &pids))?;
    let segments = match (captured, blind) {
        (Some(captured), _) => {
            pages.packets(&captured.seen, captured.lost, talk.port)?;
            captured.segments
        }
        (None, blind) => {
            pages.no_packets(&blind.unwrap_or_default(), &ways_out())?;
            Vec::new()
        }
    };
    match calls.map(|calls| calls.close(segments)) {
        Ok(conversation) => {
            if let Some(conversation) = conversation? {
                pages.calls(&conversation)?;
                pages.picture(&conversation)?;
            }
        }
        Err(reason) => pages.no_calls(&reason)?,
    }
    let (commands, install) = ways_on(talk.port);
    pages.try_it(&commands, install)?;
    out.flush()?;
    Ok(())
}

/// Makes sure that packets can be captured: by right, or in a network namespace of this
/// process's own. The error says in words why neither is to be had.
fn make_sight() -> Result<(), String> {
    // Tried, not asked: a capability counts only for a network namespace of the same user
    // namespace.
    if Wire::open(PORT).is_ok() {
        return Ok(());
    }
    let why = private_network_refused().unwrap_or_default();
    if why.is_empty() && namespaces::unshare_private_loopback().is_ok() {
        return Ok(());
    }
    Err(format!(
        "Not shown: this user may not capture, and this machine forbids it a network of its \
         own ({why})."
    ))
}

/// The word by which the tour starts itself to try something out.
pub(crate) const PROBE: &str = "private-network-probe";

/// Tries whether a private network can be made, in a process for nothing else: half made, it
/// could not be left again. Says why not.
fn private_network_refused() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    match Command::new(program)
        .arg(PROBE)
        .stdin(Stdio::null())
        .output()
    {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// What the process does that is started to try.
pub(crate) fn probe() -> ExitCode {
    match namespaces::unshare_private_loopback() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// The TCP sockets of this moment, with their owners.
fn look() -> anyhow::Result<Listing> {
    let stop = Stop::new()?;
    let netns = namespaces::current();
    let sockets = Tables::new(Choice::Auto, netns, stop.clone())
        .look(&Query::all_of([Table::Tcp]))
        .sockets;
    let holdings = Finder::new(owners::Choice::Auto, "/proc", stop).look();
    Ok(Listing::new(sockets, holdings))
}

/// The listener and both ends of the connection.
fn ours<'a>(listing: &'a Listing, port: u16, pids: &[u32]) -> Rows<'a> {
    let selection = Selection::All(vec![
        Selection::Test(Test::Port(port)),
        Selection::one_of([State::Listen, State::Established].map(Test::State)),
        Selection::one_of(pids.iter().map(|pid| Test::Pid(Pid(*pid)))),
    ]);
    let mut rows = listing.rows();
    rows.select(&selection);
    rows.sort(SortKey::Conversation);
    rows
}

/// The programs beside this one, as a shell here would start them.
fn beside(name: &str) -> Option<String> {
    let path = std::env::current_exe().ok()?.with_file_name(name);
    if !path.is_file() {
        return None;
    }
    let here = std::env::current_dir().ok()?;
    let shown: PathBuf = match path.strip_prefix(here) {
        Ok(relative) => Path::new(".").join(relative),
        Err(_) => path,
    };
    Some(privilege::shell_word(&shown.to_string_lossy()))
}

/// Two commands to go on with, and whether they have a place to be installed from.
fn ways_on(port: u16) -> (Vec<String>, bool) {
    // Where 2345 is taken, the pair needs the port that was free a moment ago.
    let pair = if port == PORT {
        "pair".to_owned()
    } else {
        format!("pair --port {port}")
    };
    match (beside("chat"), beside("inspect")) {
        (Some(chat), Some(inspect)) => (
            vec![
                format!("{chat} {pair}"),
                format!("{inspect} sockets :{port}"),
            ],
            Path::new("Makefile").exists(),
        ),
        _ => (
            vec![
                format!("cargo run -p chat -- {pair}"),
                format!("cargo run -p inspect -- sockets :{port}"),
            ],
            false,
        ),
    }
}

/// How somebody who may not capture comes to see the packets all the same.
fn ways_out() -> [String; 2] {
    let program = std::env::current_exe()
        .map(|path| privilege::shell_word(&path.to_string_lossy()))
        .unwrap_or_else(|_| "net-companion".to_owned());
    [
        format!("sudo {program}"),
        format!("sudo setcap {} {program}", Right::Capture.setcap_words()),
    ]
}
