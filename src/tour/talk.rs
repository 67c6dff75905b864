//! The conversation: a chat server and a chat client, two real processes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a word may take from one end to the other; real time is microseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A word, who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// Whether the client said it.
    pub(super) by_client: bool,
    /// The word.
    pub(super) word: String,
}

/// One of the two processes, with what it prints. It is ended when this goes.
#[derive(Debug)]
struct Half {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Half {
    fn start(name: &'static str, arguments: &[&str]) -> anyhow::Result<Self> {
        let command = crate::own_command("chat");
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the {name}"))?;
        let (sender, lines) = channel();
        // Both outputs in one queue: the tour waits for words on either.
        let outputs: [Option<Box<dyn std::io::Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        let stdin = child.stdin.take();
        Ok(Self {
            name,
            child,
            stdin,
            lines,
        })
    }

    /// Waits for a line that `wanted` gives something for.
    fn expect<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return Ok(found);
                    }
                    heard.push(line);
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the {} did not come to {what} in {PATIENCE:?}", self.name)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!(
                        "the {} ended before {what}: {}",
                        self.name,
                        heard.join("; ")
                    )
                }
            }
        }
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // Already gone in the normal course; then this is nobody's pid any more, and std knows.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two ends, talking.
#[derive(Debug)]
pub(super) struct Talk {
    server: Half,
    client: Option<Half>,
    /// The port the server listens on.
    pub(super) port: u16,
    /// What was said so far.
    pub(super) said: Vec<Said>,
}

impl Talk {
    /// Starts the server, on `port` or on a free one when it is 0. It answers every message
    /// with `reply`.
    pub(super) fn listen(port: u16, reply: &str) -> anyhow::Result<Self> {
        // Should the tour be killed, the ends must not stay behind.
        let leash = std::process::id().to_string();
        let server = Half::start(
            "server",
            &[
                "server",
                "--port",
                &port.to_string(),
                "--reply",
                reply,
                "--framing",
                "raw",
                "--leash",
                &leash,
            ],
        )?;
        let port = server.expect("listening", |line| {
            let address = line.strip_prefix("listening on ")?;
            address.rsplit_once(':')?.1.parse().ok()
        })?;
        Ok(Self {
            server,
            client: None,
            port,
            said: Vec::new(),
        })
    }

    /// Starts the client, and waits until it is connected.
    pub(super) fn connect(&mut self) -> anyhow::Result<()> {
        let client = Half::start(
            "client",
            &[
                "client",
                "--port",
                &self.port.to_string(),
                "--framing",
                "raw",
                "--leash",
                &std::process::id().to_string(),
            ],
        )?;
        client.expect("being connected", |line| {
            line.starts_with("connected to ").then_some(())
        })?;
        self.client = Some(client);
        Ok(())
    }

    /// The client says a word and waits for the answer.
    pub(super) fn say(&mut self, word: &str) -> anyhow::Result<()> {
        let Some(client) = &mut self.client else {
            bail!("nobody is there to say {word:?}");
        };
        if let Some(stdin) = &mut client.stdin {
            writeln!(stdin, "{word}").context("cannot tell the client what to say")?;
            stdin.flush()?;
        }
        let heard = self.server.expect("hearing the client", |line| {
            line.strip_prefix("client: ").map(str::to_owned)
        })?;
        let answer = client.expect("an answer", |line| {
            line.strip_prefix("server: ").map(str::to_owned)
        })?;
        self.said.push(Said {
            by_client: true,
            word: heard,
        });
        self.said.push(Said {
            by_client: false,
            word: answer,
        });
        Ok(())
    }

    /// The client leaves, and the server sees it go.
    pub(super) fn part(&mut self) -> anyhow::Result<()> {
        if let Some(client) = &mut self.client {
            drop(client.stdin.take());
            client.wait();
        }
        self.server.expect("seeing the client leave", |line| {
            line.ends_with(" left").then_some(())
        })
    }

    /// The process ids of server and client.
    pub(super) fn pids(&self) -> Vec<u32> {
        let halves = [Some(&self.server), self.client.as_ref()];
        halves
            .into_iter()
            .flatten()
            .map(|half| half.child.id())
            .collect()
    }
}
