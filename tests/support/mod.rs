//! What the scenarios share: the two programs, and a terminal to run them on.

#![allow(dead_code, reason = "each scenario uses some of it")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A program of this workspace: cargo builds all of them for a test of the whole workspace.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_net-companion")).with_file_name(name);
    assert!(
        path.is_file(),
        "{} is not built: run cargo test --workspace",
        path.display()
    );
    path
}

/// Runs a command line of the README, in which the programs go by their names.
pub(crate) fn command_line(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap();
    let mut command = Command::new(program(name));
    command.args(words);
    command
        .env("LANG", "C.UTF-8")
        .env_remove("LC_ALL")
        .env("NO_COLOR", "1")
        .env("TERM", "xterm");
    command
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a test that needs root can run. Where it cannot, that is said loudly; under
/// `REQUIRE_ROOT=1` it is a failure.
pub(crate) fn have_root(test: &str) -> bool {
    if !is_root() {
        assert!(
            std::env::var_os("REQUIRE_ROOT").is_none_or(|value| value != "1"),
            "{test} needs root, and REQUIRE_ROOT=1 forbids skipping it"
        );
        // Past the test harness, which keeps what a passing test prints to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: it needs root");
    }
    is_root()
}

/// A program on a terminal of its own; ended when this goes.
pub(crate) struct Terminal {
    child: Child,
    keys: File,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    pub(crate) fn run(command: &mut Command, columns: u16) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(
            name,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap();
        let size = Winsize {
            ws_row: 50,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, size).unwrap();
        let child = command
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave.try_clone().unwrap()))
            .stderr(Stdio::from(slave))
            .spawn()
            .unwrap();
        // The command keeps its side of the terminal open until it is told otherwise.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let shown = Arc::new(Mutex::new(Vec::new()));
        let mut screen = File::from(master);
        let keys = screen.try_clone().unwrap();
        let seen = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The read fails with EIO when the last process has left the terminal.
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                seen.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Self {
            child,
            keys,
            shown,
            reader: Some(reader),
        }
    }

    /// What was written to the screen so far, without escape sequences, line by line.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn text(&self) -> String {
        let bytes = self.shown.lock().unwrap().clone();
        let text = String::from_utf8_lossy(&bytes).replace('\r', "\n");
        let text = without_escapes(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        lines.join("\n") + "\n"
    }

    /// Waits until the screen has shown something, ten seconds at most.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&str) -> bool, what: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            assert!(
                Instant::now() < deadline,
                "waited ten seconds for {what}:\n{text}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends SIGINT, as Ctrl-C would on a controlling terminal.
    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Waits for the end; the exit code, and all that was shown.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end:\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        // Once nobody has the terminal any more, all that was written to it has been read.
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status.code(), self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes CSI and two-byte escape sequences out.
fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        if rest.next() == Some('[') {
            for c in rest.by_ref() {
                if c.is_ascii_alphabetic() || c == '~' {
                    break;
                }
            }
        }
    }
    plain
}
