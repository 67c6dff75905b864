//! Server and client as two real processes that talk once a second, for others to look at.
//!
//! The halves are this program again, in their own process groups, so that Ctrl-C reaches only
//! the parent: it says goodbye through the client's closed input, as a person would, and what the
//! server then reports is what it saw. Should the parent be killed, the kernel ends the halves.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cli::PairArgs;
use crate::terminal::console::{Look, Tone};
use crate::terminal::escape::{Surface, escape};
use crate::terminal::printer::{Closed, Printer};

/// How long a half may take to start, and to end once it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Silence after which a person is told what is awaited.
const UNEASY: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Server,
    Client,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// What a half tells.
#[derive(Debug, Eq, PartialEq)]
enum Report {
    /// A message it received.
    Heard(Side, String),
    /// Anything it says about itself.
    Told(Side, String),
    /// It closed its output.
    Silent,
}

/// How the conversation came to its end.
enum End {
    /// As many messages as asked for.
    Counted,
    /// Ctrl-C or another signal.
    Stopped,
    /// Nobody reads the output.
    Unread,
    /// A half ended, or said that the connection broke.
    Broken,
}

struct Half {
    side: Side,
    process: Child,
    pid: i32,
}

struct Pair<'a> {
    args: &'a PairArgs,
    screen: Screen,
    reports: mpsc::Receiver<Report>,
    server: Half,
    client: Half,
    said: u64,
    answered: u64,
}

/// Runs the pair until it is done; false when a half failed.
///
/// # Errors
/// When the halves cannot be started; they have told why already if that was their own error.
pub(crate) async fn run(
    args: PairArgs,
    program: Vec<OsString>,
    look: Look,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<bool> {
    let screen = Screen::open(look);
    let (sender, mut reports) = mpsc::channel(64);
    let mut stop = std::pin::pin!(stop);

    let mut server = Half::start(Side::Server, &program, &server_arguments(&args), &sender)?;
    let starting = first_words(Side::Server, "listening on ", &mut reports, &screen);
    let listening = tokio::select! {
        () = &mut stop => return Ok(true),
        words = starting => words,
    };
    let Some(listening) = listening else {
        return server.failed_to_start().await;
    };
    let mut client = Half::start(Side::Client, &program, &client_arguments(&args), &sender)?;
    drop(sender);
    let starting = first_words(Side::Client, "connected to ", &mut reports, &screen);
    let connected = tokio::select! {
        () = &mut stop => return Ok(true),
        words = starting => words,
    };
    let Some(connected) = connected else {
        return client.failed_to_start().await;
    };
    let from = connected.split_once(" from ").map_or("", |(_, from)| from);
    let names = [("server", server.pid), ("client", client.pid)]
        .map(|(side, pid)| format!("{side}  chat-{side}[{pid}]"));
    screen.line(&format!(
        "{}  listening on {listening}, this machine only",
        names[0]
    ));
    screen.line(&format!("{}  connected from {from}", names[1]));
    screen.hint(&format!(
        "look from another terminal: {} sockets :{}",
        inspect(),
        args.port()
    ));
    screen.line("");

    let words = client
        .process
        .stdin
        .take()
        .context("the client has no input")?;
    let mut pair = Pair {
        args: &args,
        screen,
        reports,
        server,
        client,
        said: 0,
        answered: 0,
    };
    let mut words = Some(words);
    let end = tokio::select! {
        () = stop => End::Stopped,
        end = pair.talk(&mut words) => end,
    };
    drop(words);
    pair.part(end).await
}

impl PairArgs {
    fn port(&self) -> u16 {
        self.colon_port.unwrap_or(self.port)
    }
}

fn server_arguments(args: &PairArgs) -> Vec<OsString> {
    let port = args.port().to_string();
    [
        "server",
        "--port",
        &port,
        "--framing",
        "raw",
        &format!("--reply={}", args.reply),
    ]
    .map(OsString::from)
    .to_vec()
}

fn client_arguments(args: &PairArgs) -> Vec<OsString> {
    [
        "client",
        "--port",
        &args.port().to_string(),
        "--framing",
        "raw",
    ]
    .map(OsString::from)
    .to_vec()
}

impl Pair<'_> {
    async fn talk(&mut self, words: &mut Option<ChildStdin>) -> End {
        let started = Instant::now();
        let line = format!("{}\n", self.args.say);
        loop {
            let Some(input) = words.as_mut() else {
                return End::Broken;
            };
            if input.write_all(line.as_bytes()).await.is_err() {
                return End::Broken;
            }
            if let Err(end) = self.exchange().await {
                return end;
            }
            if self.args.count.is_some_and(|count| self.answered >= count) {
                return End::Counted;
            }
            // On the beat, however long an exchange took; a late one is not made up for.
            let beat = u32::try_from(self.answered).unwrap_or(u32::MAX);
            let next = started + self.args.every.saturating_mul(beat).min(FAR);
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                end = self.disturbance() => return end,
            }
        }
    }

    /// Waits until the message was heard and the answer too.
    async fn exchange(&mut self) -> Result<(), End> {
        let (mut heard, mut answered) = (false, false);
        let mut uneasy = Some(Instant::now() + UNEASY);
        while !(heard && answered) {
            let waiting = uneasy.unwrap_or_else(Instant::now);
            tokio::select! {
                report = self.reports.recv() => match report {
                    Some(Report::Heard(Side::Server, line)) => {
                        self.said += 1;
                        heard = true;
                        self.screen.said(Side::Client, line.strip_prefix("client: ").unwrap_or(&line));
                    }
                    Some(Report::Heard(Side::Client, line)) => {
                        self.answered += 1;
                        answered = true;
                        self.screen.said(Side::Server, line.strip_prefix("server: ").unwrap_or(&line));
                    }
                    Some(Report::Told(side, text)) => self.told(side, &text)?,
                    Some(Report::Silent) | None => return Err(End::Broken),
                },
                _ = self.screen.printer.closed() => return Err(End::Unread),
                () = tokio::time::sleep_until(waiting), if uneasy.is_some() => {
                    uneasy = None;
                    let awaited = if heard { "the answer to arrive" } else { "the server to hear" };
                    self.screen.aside(&format!("Waiting for {awaited}."));
                }
            }
        }
        Ok(())
    }

    /// Done when something ends the conversation between two messages.
    async fn disturbance(&mut self) -> End {
        loop {
            tokio::select! {
                report = self.reports.recv() => match report {
                    Some(Report::Told(side, text)) => {
                        if let Err(end) = self.told(side, &text) {
                            return end;
                        }
                    }
                    // Somebody else speaks to our server: it is shown as what it is.
                    Some(Report::Heard(_, line)) => self.screen.aside(&line),
                    Some(Report::Silent) | None => return End::Broken,
                },
                _ = self.screen.printer.closed() => return End::Unread,
            }
        }
    }

    fn told(&mut self, side: Side, text: &str) -> Result<(), End> {
        if text.ends_with(" joined") || text.starts_with("reach: ") {
            return Ok(());
        }
        self.screen.aside(&format!("{}: {text}", side.name()));
        if side == Side::Client || text.starts_with("1  ") {
            Err(End::Broken)
        } else {
            Ok(())
        }
    }

    /// Ends both halves, the client first, and tells what the server saw of it.
    async fn part(mut self, end: End) -> anyhow::Result<bool> {
        let client_status = self.client.ended().await;
        let seen = self.last_words().await;
        self.server.ask_to_end();
        let server_status = self.server.ended().await;
        let unread = matches!(end, End::Unread) || self.screen.printer_closed();
        if unread {
            return Ok(true);
        }
        if matches!(end, End::Broken) {
            self.screen.finish().await;
            let (server, client) = (&self.server, &self.client);
            let ends = [(client, client_status), (server, server_status)].map(|(half, status)| {
                format!(
                    "{} chat-{}[{}] {}",
                    half.side.name(),
                    half.side.name(),
                    half.pid,
                    fate(status)
                )
            });
            anyhow::bail!("the conversation broke off: {}", ends.join("; "));
        }
        if matches!(end, End::Stopped) && io::stdout().is_terminal() && io::stdin().is_terminal() {
            // The terminal has just written ^C.
            self.screen.line("");
        }
        let count = match (self.said, self.answered) {
            (1, 1) => "1 message each way".to_owned(),
            (said, answered) if said == answered => format!("{said} messages each way"),
            (said, answered) => format!("{said} heard by the server, {answered} by the client"),
        };
        self.screen
            .line(&format!("Client left; server {seen}. {count}."));
        let unwritten = self.screen.finish().await;
        if let Some(Closed::Failed(reason)) = unwritten {
            anyhow::bail!("cannot write the output: {reason}");
        }
        Ok(true)
    }

    /// What the server says of the client's leaving. Words still on their way count and are shown.
    async fn last_words(&mut self) -> String {
        let listening = async {
            while let Some(report) = self.reports.recv().await {
                match report {
                    Report::Heard(Side::Server, line) => {
                        self.said += 1;
                        self.screen
                            .said(Side::Client, line.strip_prefix("client: ").unwrap_or(&line));
                    }
                    Report::Heard(Side::Client, line) => {
                        self.answered += 1;
                        self.screen
                            .said(Side::Server, line.strip_prefix("server: ").unwrap_or(&line));
                    }
                    Report::Told(Side::Server, text) if text == "1  left" => {
                        return Some("saw the connection close".to_owned());
                    }
                    Report::Told(Side::Server, text) if text.starts_with("1  ") => {
                        return Some(format!("says: {}", text.trim_start_matches("1  ")));
                    }
                    Report::Told(..) | Report::Silent => {}
                }
            }
            None
        };
        let seen = tokio::time::timeout(UNEASY, listening).await.ok().flatten();
        seen.unwrap_or_else(|| "has not noticed yet".to_owned())
    }
}

/// A sleep that ends within the clock's range.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Waits for the line that says a half is ready; `None` when it ended instead. What it says else
/// is its complaint, and is passed on.
async fn first_words(
    side: Side,
    prefix: &str,
    reports: &mut mpsc::Receiver<Report>,
    screen: &Screen,
) -> Option<String> {
    let waiting = async {
        loop {
            match reports.recv().await? {
                Report::Told(from, text) if from == side => match text.strip_prefix(prefix) {
                    Some(rest) => return Some(rest.to_owned()),
                    None => screen.complaint(&text),
                },
                Report::Silent => return None,
                Report::Told(..) | Report::Heard(..) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.ok().flatten()
}

impl Half {
    fn start(
        side: Side,
        program: &[OsString],
        arguments: &[OsString],
        reports: &mpsc::Sender<Report>,
    ) -> anyhow::Result<Self> {
        let (first, rest) = program.split_first().context("no program to start")?;
        let input = if side == Side::Client {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let mut process = Command::new(first)
            .args(rest)
            .args(arguments)
            .arg(format!("--leash={}", std::process::id()))
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the {}", side.name()))?;
        let pid = process
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .context("no process id")?;
        let output = process.stdout.take().context("no output")?;
        let errors = process.stderr.take().context("no errors")?;
        tokio::spawn(pass_on(
            output,
            move |line| Report::Heard(side, line),
            reports.clone(),
        ));
        tokio::spawn(pass_on(
            errors,
            move |line| Report::Told(side, line),
            reports.clone(),
        ));
        Ok(Self { side, process, pid })
    }

    fn ask_to_end(&self) {
        if let Some(pid) = self.process.id().and_then(|_| Pid::from_raw(self.pid)) {
            // One that has ended already needs no asking.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for the end; forces it when it takes too long.
    async fn ended(&mut self) -> Option<ExitStatus> {
        if let Ok(status) = tokio::time::timeout(UNEASY, self.process.wait()).await {
            return status.ok();
        }
        self.ask_to_end();
        if let Ok(status) = tokio::time::timeout(UNEASY, self.process.wait()).await {
            return status.ok();
        }
        self.process.kill().await.ok()?;
        self.process.wait().await.ok()
    }

    /// It has said why on its standard error, which was passed on.
    async fn failed_to_start(&mut self) -> anyhow::Result<bool> {
        match self.ended().await {
            Some(status) if status.code() == Some(1) => Ok(false),
            status => anyhow::bail!(
                "the {} {} before it was ready",
                self.side.name(),
                fate(status)
            ),
        }
    }
}

async fn pass_on<R: AsyncRead + Unpin>(
    stream: R,
    report: impl Fn(String) -> Report,
    reports: mpsc::Sender<Report>,
) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if reports.send(report(line)).await.is_err() {
            return;
        }
    }
    // The parent may have stopped listening first.
    let _ = reports.send(Report::Silent).await;
}

fn fate(status: Option<ExitStatus>) -> String {
    let Some(status) = status else {
        return "ended, nobody knows how".to_owned();
    };
    match (
        status.code(),
        status.signal().and_then(Signal::from_named_raw),
    ) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => {
            format!(
                "was killed by {}",
                format!("{signal:?}").replace("Signal::", "SIG")
            )
        }
        (None, None) => "was killed".to_owned(),
    }
}

/// The command to look with: by its name where the shell finds it, else by its path.
fn inspect() -> String {
    let beside = std::env::current_exe()
        .ok()
        .map(|path| path.with_file_name("inspect"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join("inspect").is_file());
    match beside {
        Some(beside) if !found && beside.is_file() => beside.display().to_string(),
        _ => "inspect".to_owned(),
    }
}

/// Where the pair is shown.
struct Screen {
    printer: Printer,
    surface: Surface,
    look: Look,
}

impl Screen {
    fn open(look: Look) -> Self {
        let surface = if io::stdout().is_terminal() {
            Surface::of_terminal(|name| std::env::var(name).ok())
        } else {
            Surface::Pipe
        };
        Self {
            printer: Printer::start(),
            surface,
            look,
        }
    }

    fn line(&self, text: &str) {
        self.printer.output(format!("{text}\n"));
    }

    fn said(&self, side: Side, words: &str) {
        let time = jiff::Zoned::now().strftime("%H:%M:%S");
        let words = escape(words.as_bytes(), self.surface);
        let name = self.painted(side.name(), Tone::Speaker);
        self.line(&format!("{time}  {name}  {words}"));
    }

    fn hint(&self, text: &str) {
        if !self.look.quiet && self.surface != Surface::Pipe && io::stderr().is_terminal() {
            self.printer
                .error(format!("{}\n", self.painted(text, Tone::Hint)));
        }
    }

    /// Something that belongs to the side of the conversation.
    fn aside(&self, text: &str) {
        self.printer
            .error(format!("{}\n", escape(text.as_bytes(), Surface::Terminal)));
    }

    /// A half's own error, which gives a pair no free port to take.
    fn complaint(&self, text: &str) {
        self.aside(&text.replace("--port 0 takes a free one", "--port N takes another"));
    }

    fn painted(&self, text: &str, tone: Tone) -> String {
        if !self.look.colour || self.surface == Surface::Pipe {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }

    fn printer_closed(&self) -> bool {
        self.printer.is_closed()
    }

    async fn finish(self) -> Option<Closed> {
        self.printer.finish().await
    }
}
