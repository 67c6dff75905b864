//! A pair with a fault: starts its halves, tells how the trouble grows, and ends both.
//!
//! The client ends first: the other way round it would lose the server and complain of that.

use std::ffi::OsString;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::half::{Half, Report, Side};
use super::progress::{Progress, Tallies, heading, story, views};
use super::screen::Screen;
use super::{End, UNEASY, first_words, next_report, shown, unexpected};
use crate::cli::PairArgs;
use crate::fault::Fault;
use crate::terminal::console::Look;

/// How often there may be something to tell.
const TELL: Duration = Duration::from_secs(1);

struct Broken {
    fault: Fault,
    screen: Screen,
    reports: mpsc::Receiver<Report>,
    server: Half,
    client: Half,
    tallies: Tallies,
    progress: Progress,
    /// Whether the client ends by itself.
    counted: bool,
}

/// Runs the pair until it is stopped, or has come as far as was asked; false when a half failed to
/// start, and has said why.
///
/// # Errors
/// When the halves cannot be started, or one of them ends too early.
pub(super) async fn run(
    fault: Fault,
    args: &PairArgs,
    program: &[OsString],
    look: Look,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<bool> {
    let mut stop = std::pin::pin!(stop);
    let begun = tokio::select! {
        () = &mut stop => return Ok(true),
        begun = Broken::begin(fault, args, program, look) => begun?,
    };
    let Some(mut pair) = begun else {
        return Ok(false);
    };
    let end = tokio::select! {
        () = &mut stop => End::Stopped,
        end = pair.watch() => end,
    };
    pair.part(end).await
}

impl Broken {
    /// Starts the halves, one after the other, and tells what is wrong with them. `None` when one
    /// of them failed and has said why.
    async fn begin(
        fault: Fault,
        args: &PairArgs,
        program: &[OsString],
        look: Look,
    ) -> anyhow::Result<Option<Self>> {
        let (name, port) = (fault.name(), args.port().to_string());
        let every = jiff::SignedDuration::try_from(args.every())?;
        let every = format!("--every={every:#}");
        let count = args.count.map(|count| format!("--count={count}"));
        let screen = Screen::open(look);
        let (sender, mut reports) = mpsc::channel(64);

        let arguments = ["fault", "server", &name, "--port", &port];
        let mut server = Half::start(Side::Server, program, &arguments, &sender)?;
        let ready = first_words(Side::Server, "listening on ", &mut reports, &screen).await;
        let Some((listening, _)) = ready else {
            return server.failed_to_start(screen).await.map(|()| None);
        };
        let mut arguments = vec!["fault", "client", &name, "--port", &port, &every];
        arguments.extend(count.as_deref());
        let mut client = Half::start(Side::Client, program, &arguments, &sender)?;
        let ready = first_words(Side::Client, "ready, ", &mut reports, &screen).await;
        let Some((doing, _)) = ready else {
            return client.failed_to_start(screen).await.map(|()| None);
        };

        screen.line(&format!(
            "server  {server}  listening on {listening}, this machine only"
        ));
        screen.line(&format!("client  {client}  {doing}"));
        screen.line(&format!("broken  {}", heading(fault, args.count)));
        screen.line("");
        for line in story(fault) {
            screen.line(line);
        }
        screen.hint_to_look(&views(fault, &port));
        screen.line("");
        Ok(Some(Self {
            fault,
            screen,
            reports,
            server,
            client,
            tallies: Tallies::default(),
            progress: Progress::new(fault, args.count),
            counted: fault == Fault::Reset && args.count.is_some(),
        }))
    }

    async fn watch(&mut self) -> End {
        let mut tick = interval(TELL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                report = next_report(&self.screen, &mut self.reports) => match report {
                    Some(Report::Silent(Side::Client)) if self.counted => return End::Counted,
                    Some(Report::Silent(_)) | None => return End::Broken,
                    Some(report) => self.take(report),
                },
                _ = tick.tick() => {
                    // Nothing may be written for long: a reader that left would go unnoticed.
                    if self.screen.reader_left() {
                        return End::Unread;
                    }
                    if let Some(words) = self.progress.news(self.tallies) {
                        self.screen.happened(&words);
                    }
                }
                _ = self.screen.closed() => return End::Unread,
            }
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Heard(side, line) => match (side, line.parse()) {
                (Side::Server, Ok(tally)) => self.tallies.server = tally,
                (Side::Client, Ok(tally)) => self.tallies.client = tally,
                (side, Err(())) => self.screen.aside(&format!("{}: {line}", side.name())),
            },
            Report::Told(side, text) => self.screen.aside(&format!("{}: {text}", side.name())),
            Report::Silent(_) => {}
        }
    }

    /// Ends both halves, and tells how far it has come.
    async fn part(mut self, end: End) -> anyhow::Result<bool> {
        if end != End::Counted {
            self.client.ask_to_end();
        }
        let client_ended = self.client.ended(&self.screen).await;
        self.server.ask_to_end();
        let server_ended = self.server.ended(&self.screen).await;
        if end == End::Unread {
            return shown(self.screen).await;
        }
        // What they had still to say is in their pipes. Their end is no news.
        let rest = async {
            while let Some(report) = self.reports.recv().await {
                self.take(report);
            }
        };
        let _ = tokio::time::timeout(UNEASY, rest).await;
        let unexpected = unexpected([(&self.server, server_ended), (&self.client, client_ended)]);
        if end == End::Broken {
            self.screen.finish().await;
            let why = unexpected.unwrap_or_else(|| "a side left".to_owned());
            anyhow::bail!("{} broke off: {why}", self.fault.name());
        }
        if end == End::Stopped {
            self.screen.after_interrupt();
        }
        self.screen.line(&self.progress.end(self.tallies));
        let done = shown(self.screen).await;
        if let Some(unexpected) = unexpected {
            anyhow::bail!("the pair did not end well: {unexpected}");
        }
        done
    }
}
