//! One half of a pair: a process of this program, what it reports, and its end.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::screen::Screen;

/// How long a half may take to end by itself, and once more when asked to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which half.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Server,
    Client,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// What a half tells.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Report {
    /// A message it received.
    Heard(Side, String),
    /// Anything it says about itself.
    Told(Side, String),
    /// It closed its standard output or error.
    Silent(Side),
}

/// A running half; killed when dropped.
pub(super) struct Half {
    side: Side,
    process: Child,
    pid: i32,
    /// It did not end when asked.
    forced: bool,
}

impl Half {
    pub(super) fn start(
        side: Side,
        program: &[OsString],
        arguments: &[&str],
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
        tokio::spawn(pass_on(output, side, Report::Heard, reports.clone()));
        tokio::spawn(pass_on(errors, side, Report::Told, reports.clone()));
        Ok(Self {
            side,
            process,
            pid,
            forced: false,
        })
    }

    pub(super) fn ask_to_end(&self) {
        if let Some(pid) = self.process.id().and_then(|_| Pid::from_raw(self.pid)) {
            // One that has ended already needs no asking.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for the end; forces it when it takes too long.
    pub(super) async fn ended(&mut self, screen: &Screen) -> Option<ExitStatus> {
        if let Ok(status) = tokio::time::timeout(PATIENCE, self.process.wait()).await {
            return status.ok();
        }
        screen.aside(&format!("Waiting for the {} to end.", self.side.name()));
        self.ask_to_end();
        if let Ok(status) = tokio::time::timeout(PATIENCE, self.process.wait()).await {
            return status.ok();
        }
        self.forced = true;
        self.process.kill().await.ok()?;
        self.process.wait().await.ok()
    }

    /// What is typed to it, once.
    pub(super) fn input(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    /// For one that ended before it was ready: nothing to add when it failed by itself, because
    /// then it has said why.
    ///
    /// # Errors
    /// When it ended in another way.
    pub(super) async fn failed_to_start(&mut self, screen: Screen) -> anyhow::Result<()> {
        let ended = self.ended(&screen).await;
        screen.finish().await;
        if ended.and_then(|status| status.code()) == Some(1) {
            return Ok(());
        }
        let fate = fate(self, ended).unwrap_or_else(|| format!("{self} ended"));
        anyhow::bail!("cannot start the {}: {fate}", self.side.name())
    }
}

/// As every view of this project names a process.
impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chat-{}[{}]", self.side.name(), self.pid)
    }
}

async fn pass_on<R: AsyncRead + Unpin>(
    stream: R,
    side: Side,
    report: fn(Side, String) -> Report,
    reports: mpsc::Sender<Report>,
) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if reports.send(report(side, line)).await.is_err() {
            return;
        }
    }
    // The parent may have stopped listening first.
    let _ = reports.send(Report::Silent(side)).await;
}

/// How a half came to a bad end; `None` for a good one.
pub(super) fn fate(half: &Half, ended: Option<ExitStatus>) -> Option<String> {
    let Some(status) = ended else {
        return Some(format!("{half} does not end"));
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("{half} ended with exit status {code}")),
        (None, Some(signal)) if half.forced => Some(format!(
            "{half} did not end when asked and was killed by {}",
            signal_name(signal)
        )),
        (None, Some(signal)) => Some(format!("{half} was killed by {}", signal_name(signal))),
        (None, None) => Some(format!("{half} ended, nobody knows how")),
    }
}

/// The same in a word or two, to stand after its name.
pub(super) fn going(ended: Option<ExitStatus>) -> &'static str {
    match ended {
        None => "does not end",
        Some(status) if status.success() => "left",
        Some(status) if status.signal().is_some() => "was killed",
        Some(_) => "failed",
    }
}

fn signal_name(number: i32) -> String {
    match Signal::from_named_raw(number) {
        Some(signal) => format!("{signal:?}")
            .trim_matches('"')
            .replace("Signal::", "SIG"),
        None => format!("signal {number}"),
    }
}
