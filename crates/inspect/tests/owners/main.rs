//! Owners found by a kernel program and by a walk: the same, and what only one of them can see.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod choice;
mod hidden;
mod kernel;
mod same;
#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use inspect::model::Inode;
use inspect::stop::Stop;
use rustix::thread::UnshareFlags;

/// Set where a test runs as the process that another looks at.
const PART: &str = "OWNERS_TEST_PART";

fn stop() -> Stop {
    Stop::new().unwrap()
}

fn inode(socket: &impl std::os::fd::AsFd) -> Inode {
    Inode(rustix::fs::fstat(socket).unwrap().st_ino)
}

/// This file's test of that name, as a process of its own that does its part.
struct Part {
    child: Child,
    /// Kept, for what else it has to say.
    _output: BufReader<ChildStdout>,
    /// The numbers it told when it was ready.
    told: Vec<u32>,
}

impl Part {
    /// Waits until it says that it is ready.
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let ready = (&mut output)
            .lines()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("ready")?.1.to_owned()))
            .expect("it is ready before it ends");
        let told = ready.split_whitespace().map(|word| word.parse().unwrap());
        Self {
            told: told.collect(),
            _output: output,
            child,
        }
    }

    /// A test of this file as a process of its own, started by `command`.
    fn test(name: &str, command: &[&str]) -> Self {
        let (program, arguments) = command.split_first().unwrap();
        Self::start(
            Command::new(program)
                .args(arguments)
                .arg(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", name, "--nocapture"])
                .env(PART, name),
        )
    }

    fn succeeds(mut self) -> bool {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says that what is to be looked at is there, and stays until standard input ends.
#[allow(
    clippy::print_stdout,
    reason = "it is read by the test that started it"
)]
fn stay(told: &[u32]) {
    let told: Vec<String> = told.iter().map(u32::to_string).collect();
    println!("ready {}", told.join(" "));
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

fn tid() -> u32 {
    rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .try_into()
        .unwrap()
}

#[expect(unsafe_code, reason = "what is tested here is made by it")]
fn unshare(flags: UnshareFlags) {
    // SAFETY: what the thread had opened stays open in its copy, and is used in no other way.
    unsafe { rustix::thread::unshare_unsafe(flags) }.unwrap();
}

/// On a thread that stays for as long as the process does; what it returned.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        tell.send(work()).unwrap();
        loop {
            thread::park();
        }
    });
    told.recv().unwrap()
}
