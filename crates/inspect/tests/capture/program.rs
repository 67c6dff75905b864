//! The programs under test, and the conversations they watch.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything here takes, unless it hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) use crate::support::have_root as is_root;

pub(crate) fn inspect() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inspect"));
    command
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .arg("capture");
    command
}

/// A child of ours, killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) lines: Receiver<(Instant, String)>,
    pub(crate) messages: Receiver<(Instant, String)>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout: ChildStdout = child.stdout.take().unwrap();
        let stderr: ChildStderr = child.stderr.take().unwrap();
        Self {
            lines: read(stdout),
            messages: read(stderr),
            child,
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a line in time").1
    }

    pub(crate) fn record(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Waits until a message begins so.
    pub(crate) fn message(&self, part: &str) -> (Instant, String) {
        loop {
            let (at, line) = self
                .messages
                .recv_timeout(LIMIT)
                .expect("a message in time");
            if line.contains(part) {
                return (at, line);
            }
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ctrl-C, and everything that is still said.
    pub(crate) fn interrupt(self) -> Ended {
        self.signal(rustix::process::Signal::INT);
        self.end()
    }

    /// Waits for the end by itself.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let all =
            |lines: &Receiver<(Instant, String)>| lines.iter().map(|(_, line)| line).collect();
        Ended {
            status,
            lines: all(&self.lines),
            messages: all(&self.messages),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<String>,
    pub(crate) messages: Vec<String>,
}

impl Ended {
    pub(crate) fn records(&self) -> Vec<Value> {
        self.lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn read(stream: impl Read + Send + 'static) -> Receiver<(Instant, String)> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).into_owned();
            if sender.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A live capture that is listening: its opening record says so.
pub(crate) fn capture_records(arguments: &[&str]) -> Running {
    let running = Running::start(inspect().arg("--json").args(arguments));
    assert_eq!(running.record()["type"], "begin");
    running
}

pub(crate) fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Says each word, and hears the answer `hi`.
pub(crate) fn converse(listener: &TcpListener, words: &[&[u8]]) {
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.set_nodelay(true).unwrap();
    let mut heard = vec![0; 65_536];
    for word in words {
        client.write_all(word).unwrap();
        server.read_exact(&mut heard[..word.len()]).unwrap();
        server.write_all(b"hi").unwrap();
        client.read_exact(&mut heard[..2]).unwrap();
    }
}

/// A socket that nobody reads, and its port.
pub(crate) fn udp_sink() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// The payloads of packets, those without left out.
pub(crate) fn payloads(records: &[Value]) -> Vec<String> {
    records
        .iter()
        .filter(|record| record["type"] == "packet")
        .map(|record| {
            record["payload"]["base64"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .filter(|payload| !payload.is_empty())
        .collect()
}
