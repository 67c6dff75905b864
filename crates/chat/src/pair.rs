//! Server and client as two real processes that talk once a second, for others to look at.
//!
//! The halves are this program again, in their own process groups, so that Ctrl-C reaches only
//! the parent: it says goodbye through the client's closed input, as a person would, and what the
//! server then reports is what it saw. Should the parent be killed, the kernel ends the halves.

use std::ffi::OsString;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::half::{Half, Report, Side, fate, going};
use self::screen::Screen;
use crate::cli::PairArgs;
use crate::terminal::console::Look;
use crate::terminal::escape::{Surface, escape};
use crate::terminal::printer::Closed;

mod broken;
mod half;
mod progress;
mod screen;

/// How long a half may take to start.
const START: Duration = Duration::from_secs(10);

/// Silence after which a person is told what is awaited.
const UNEASY: Duration = Duration::from_secs(2);

/// Further ahead than anybody waits, and within the clock's range.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// How the conversation came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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

struct Pair<'a> {
    args: &'a PairArgs,
    screen: Screen,
    reports: mpsc::Receiver<Report>,
    server: Half,
    client: Half,
    /// The number the server gave our client: the first, unless a stranger was quicker.
    number: String,
    said: u64,
    answered: u64,
    /// What the server says of how the client went.
    seen: Option<&'static str>,
    /// An answer reported before the words it answers: two pipes keep no common order.
    early_answer: Option<String>,
    /// Of the client's standard output and error, how many may still bring something.
    client_speaks: u8,
}

/// Runs the pair until it is done; false when a half failed, and has said why.
///
/// # Errors
/// When the halves cannot be started, or the conversation breaks off.
pub(crate) async fn run(
    args: PairArgs,
    program: Vec<OsString>,
    look: Look,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<bool> {
    if let Some(fault) = args.fault {
        return broken::run(fault, &args, &program, look, stop).await;
    }
    let mut stop = std::pin::pin!(stop);
    let begun = tokio::select! {
        () = &mut stop => return Ok(true),
        begun = Pair::begin(&args, &program, look) => begun?,
    };
    let Some((mut pair, words)) = begun else {
        return Ok(false);
    };
    let mut words = words;
    let end = tokio::select! {
        () = &mut stop => End::Stopped,
        end = pair.talk(&mut words) => end,
    };
    // The client takes this for the end of its input, and leaves.
    drop(words);
    pair.part(end).await
}

impl<'a> Pair<'a> {
    /// Starts the halves, one after the other, and names them. `None` when one of them failed and
    /// has said why.
    async fn begin(
        args: &'a PairArgs,
        program: &[OsString],
        look: Look,
    ) -> anyhow::Result<Option<(Self, ChildStdin)>> {
        let port = args.port().to_string();
        let reply = format!("--reply={}", args.reply);
        let screen = Screen::open(look);
        let (sender, mut reports) = mpsc::channel(64);

        let arguments = ["server", "--port", &port, "--framing", "raw", &reply];
        let mut server = Half::start(Side::Server, program, &arguments, &sender)?;
        let ready = first_words(Side::Server, "listening on ", &mut reports, &screen).await;
        let Some((listening, _)) = ready else {
            return server.failed_to_start(screen).await.map(|()| None);
        };
        let arguments = ["client", "--port", &port, "--framing", "raw"];
        let mut client = Half::start(Side::Client, program, &arguments, &sender)?;
        let ready = first_words(Side::Client, "connected to ", &mut reports, &screen).await;
        let Some((connected, joined)) = ready else {
            return client.failed_to_start(screen).await.map(|()| None);
        };

        let from = connected.split_once(" from ").map_or("", |(_, from)| from);
        let number = number_of(from, joined, &mut reports, &screen).await;
        let number = number.context("the server does not let the client in")?;
        screen.line(&format!(
            "server  {server}  listening on {listening}, this machine only"
        ));
        screen.line(&format!("client  {client}  connected from {from}"));
        screen.hint_to_look(&[format!("sockets :{port}")]);
        screen.line("");
        let words = client.input().context("the client has no input")?;
        Ok(Some((
            Self {
                args,
                screen,
                reports,
                server,
                client,
                number,
                said: 0,
                answered: 0,
                seen: None,
                early_answer: None,
                client_speaks: 2,
            },
            words,
        )))
    }

    async fn talk(&mut self, words: &mut ChildStdin) -> End {
        let started = Instant::now();
        let line = format!("{}\n", self.args.say);
        loop {
            // Words for a reader that is not reading would gather here.
            tokio::select! {
                () = self.screen.room() => {}
                _ = self.screen.closed() => return End::Unread,
            }
            if words.write_all(line.as_bytes()).await.is_err() {
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
            let next = started + self.args.every().saturating_mul(beat).min(FAR);
            if let Err(end) = self.listen_until(next).await {
                return end;
            }
        }
    }

    /// Waits until the message was heard and the answer too.
    async fn exchange(&mut self) -> Result<(), End> {
        let goal = (self.said + 1, self.answered + 1);
        let mut uneasy = Instant::now() + UNEASY;
        while self.said < goal.0 || self.answered < goal.1 {
            tokio::select! {
                report = next_report(&self.screen, &mut self.reports) => self.take(report)?,
                _ = self.screen.closed() => return Err(End::Unread),
                () = tokio::time::sleep_until(uneasy) => {
                    uneasy += FAR;
                    let heard = self.said >= goal.0;
                    let who = if heard { "the client to hear the answer" } else { "the server to hear" };
                    self.screen.aside(&format!("Waiting for {who}."));
                }
            }
        }
        Ok(())
    }

    /// Rests between two messages, though not from what happens meanwhile.
    async fn listen_until(&mut self, next: Instant) -> Result<(), End> {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => return Ok(()),
                report = next_report(&self.screen, &mut self.reports) => self.take(report)?,
                _ = self.screen.closed() => return Err(End::Unread),
            }
        }
    }

    fn take(&mut self, report: Option<Report>) -> Result<(), End> {
        match report {
            Some(Report::Heard(side, line)) => {
                self.heard(side, &line);
                Ok(())
            }
            Some(Report::Told(Side::Server, text)) if is_routine(&text) => Ok(()),
            Some(Report::Told(side, text)) => {
                self.told(side, &text);
                let over = side == Side::Client || self.noted(side, &text);
                if over { Err(End::Broken) } else { Ok(()) }
            }
            Some(Report::Silent(side)) => {
                self.silent(side);
                Err(End::Broken)
            }
            None => Err(End::Broken),
        }
    }

    /// Passes on what a half says of itself or of others.
    fn told(&self, side: Side, text: &str) {
        match joined(text) {
            Some((_, from)) if side == Side::Server => stranger(&self.screen, from),
            _ => self.screen.aside(&format!("{}: {text}", side.name())),
        }
    }

    /// Shows what a half heard as said by the other.
    fn heard(&mut self, side: Side, line: &str) {
        let (speaker, words) = line.split_once(": ").unwrap_or(("", line));
        let expected = |words: &String| escape(words.as_bytes(), Surface::Pipe);
        match side {
            Side::Server if self.is_ours(speaker) && words == expected(&self.args.say) => {
                self.said += 1;
                self.screen.said(Side::Client, words);
                if let Some(answer) = self.early_answer.take() {
                    self.answered(&answer);
                }
            }
            Side::Client if words == expected(&self.args.reply) => {
                if self.answered < self.said {
                    self.answered(words);
                } else {
                    self.early_answer = Some(words.to_owned());
                }
            }
            // Somebody else talks to our server.
            _ => self
                .screen
                .aside(&format!("{} heard {speaker}: {words}", side.name())),
        }
    }

    /// Whether the server calls our own client so.
    fn is_ours(&self, speaker: &str) -> bool {
        match speaker.strip_prefix("client") {
            Some("") => self.number == "1",
            Some(number) => number.strip_prefix(' ') == Some(&self.number),
            None => false,
        }
    }

    fn answered(&mut self, words: &str) {
        self.answered += 1;
        self.screen.said(Side::Server, words);
    }

    /// Whether this is the server's word of how our client went.
    fn noted(&mut self, side: Side, text: &str) -> bool {
        let ours = text.strip_prefix(&self.number);
        let how = ours.and_then(|text| text.strip_prefix("  "));
        let Some(how) = how.filter(|_| side == Side::Server) else {
            return false;
        };
        self.seen = Some(if how == "left" {
            "saw the connection close"
        } else {
            "saw it break"
        });
        true
    }

    fn silent(&mut self, side: Side) {
        if side == Side::Client {
            self.client_speaks = self.client_speaks.saturating_sub(1);
        }
    }

    /// Ends both halves, the client first, and tells what the server saw of it.
    async fn part(mut self, end: End) -> anyhow::Result<bool> {
        let client_ended = self.client.ended(&self.screen).await;
        // A server that says nothing is told of below.
        let _ = tokio::time::timeout(UNEASY, self.last_words(end)).await;
        self.server.ask_to_end();
        let server_ended = self.server.ended(&self.screen).await;
        if end == End::Unread {
            return shown(self.screen).await;
        }
        let client_went = going(client_ended);
        let unexpected = unexpected([(&self.server, server_ended), (&self.client, client_ended)]);
        if end == End::Broken {
            self.screen.finish().await;
            let why = unexpected.unwrap_or_else(|| "a side left".to_owned());
            anyhow::bail!("the conversation broke off: {why}");
        }
        if end == End::Stopped {
            self.screen.after_interrupt();
        }
        let seen = self.seen.unwrap_or("has not noticed yet");
        let count = match (self.said, self.answered) {
            (1, 1) => "1 message each way".to_owned(),
            (said, answered) if said == answered => format!("{said} messages each way"),
            (said, answered) => format!("The server heard {said} messages, the client {answered}"),
        };
        self.screen
            .line(&format!("Client {client_went}; server {seen}. {count}."));
        let done = shown(self.screen).await;
        if let Some(unexpected) = unexpected {
            anyhow::bail!("the pair did not end well: {unexpected}");
        }
        done
    }

    /// What the server says of the client's leaving, once the client has told everything. Words
    /// still on their way are shown and count; when something broke, so is whatever is said of it.
    async fn last_words(&mut self, end: End) {
        while self.client_speaks > 0 || self.seen.is_none() {
            let Some(report) = self.reports.recv().await else {
                return;
            };
            match report {
                Report::Heard(side, line) => self.heard(side, &line),
                Report::Silent(side) => self.silent(side),
                Report::Told(Side::Server, text) if is_routine(&text) => {}
                Report::Told(side, text) => {
                    let ours = self.noted(side, &text);
                    // A polite end the last line tells in its own words.
                    let goodbye = (ours && text.ends_with("  left"))
                        || text == "Server closed the connection.";
                    if end == End::Broken || !goodbye {
                        self.told(side, &text);
                    }
                }
            }
        }
    }
}

/// Which halves came to a bad end, and to which.
fn unexpected(ended: [(&Half, Option<ExitStatus>); 2]) -> Option<String> {
    let fates = ended.map(|(half, status)| fate(half, status));
    let fates: Vec<_> = fates.into_iter().flatten().collect();
    (!fates.is_empty()).then(|| fates.join("; "))
}

/// Waits until everything is written. A reader who has left has what it wanted; a full disk has
/// not.
async fn shown(screen: Screen) -> anyhow::Result<bool> {
    match screen.finish().await {
        Some(Closed::Failed(reason)) => anyhow::bail!("cannot write the output: {reason}"),
        Some(Closed::Reader) | None => Ok(true),
    }
}

/// The next report, once there is room to show it: until then the halves wait to tell it, and a
/// stranger's flood stops at its source.
async fn next_report(screen: &Screen, reports: &mut mpsc::Receiver<Report>) -> Option<Report> {
    screen.room().await;
    reports.recv().await
}

/// What a server says in the course of things.
fn is_routine(text: &str) -> bool {
    text.starts_with("reach: ")
}

/// A server's word of who joined: the number and the address.
fn joined(text: &str) -> Option<(&str, &str)> {
    text.strip_suffix(" joined")?.split_once("  ")
}

/// Says that somebody joined who is no part of the pair.
fn stranger(screen: &Screen, from: &str) {
    screen.aside(&format!(
        "Somebody else joined the server, from {from}; what they say does not count."
    ));
}

/// The number the server gave to who came from that address, among those who joined already and
/// those yet to come. Strangers are told of.
async fn number_of(
    from: &str,
    early: Vec<String>,
    reports: &mut mpsc::Receiver<Report>,
    screen: &Screen,
) -> Option<String> {
    let ours = |text: &str| match joined(text) {
        Some((number, address)) if address == from => Some(number.to_owned()),
        Some((_, address)) => {
            stranger(screen, address);
            None
        }
        None => None,
    };
    // Not only up to ours: who came after it is to be told of as well.
    let numbers: Vec<_> = early.iter().filter_map(|text| ours(text)).collect();
    if let Some(number) = numbers.into_iter().next() {
        return Some(number);
    }
    let waiting = async {
        loop {
            if let Report::Told(Side::Server, text) = reports.recv().await?
                && let Some(number) = ours(&text)
            {
                return Some(number);
            }
        }
    };
    tokio::time::timeout(START, waiting).await.ok().flatten()
}

/// Waits for the line that says a half is ready, and gives the rest of it and who joined the server
/// meanwhile; `None` when the half ended instead. What it says else is its complaint, and is
/// passed on.
async fn first_words(
    side: Side,
    prefix: &str,
    reports: &mut mpsc::Receiver<Report>,
    screen: &Screen,
) -> Option<(String, Vec<String>)> {
    let waiting = async {
        let mut arrivals = Vec::new();
        // Its complaint may come after the end of its standard output.
        let mut speaks = 2;
        while speaks > 0 {
            match reports.recv().await? {
                Report::Told(from, text) if from == side => match text.strip_prefix(prefix) {
                    Some(rest) => return Some((rest.to_owned(), arrivals)),
                    None => screen.complaint(&text),
                },
                Report::Told(_, text) if joined(&text).is_some() => arrivals.push(text),
                Report::Silent(from) if from == side => speaks -= 1,
                Report::Silent(_) | Report::Told(..) | Report::Heard(..) => {}
            }
        }
        None
    };
    tokio::time::timeout(START, waiting).await.ok().flatten()
}
