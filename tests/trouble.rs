//! Trouble made on purpose by one program, and named by the other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{have_root, program};

/// A network namespace of its own, deleted at the end: what else is wrong with this machine is
/// not seen in it.
struct Space(String);

impl Space {
    fn new(name: &str) -> Self {
        let space = Self(format!("{name}-{}", std::process::id()));
        ip(&["netns", "add", &space.0]);
        ip(&["-n", &space.0, "link", "set", "lo", "up"]);
        space
    }

    fn command(&self, name: &str, arguments: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.0])
            .arg(program(name))
            .args(arguments.split_whitespace())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// What the doctor says, and its exit code.
    fn doctor(&self) -> (Option<i32>, String) {
        let output = self.command("inspect", "doctor").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

/// A pair that goes on until this ends it, with Ctrl-C: it takes its two halves along.
struct Pair(Child);

impl Drop for Pair {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.0.wait();
    }
}

#[test]
fn the_doctor_names_what_the_pair_breaks_and_nothing_else() {
    if !have_root("the_doctor_names_what_the_pair_breaks_and_nothing_else") {
        return;
    }
    for (fault, found, whose) in [
        ("slow-reader", "not reading  ", "chat-server["),
        ("never-close", "CLOSE_WAIT piles up  ", "chat-server["),
        ("no-accept", "accept queue full  ", "chat-server["),
    ] {
        let space = Space::new(fault);
        let mut command = space.command("chat", &format!("pair --break {fault} --every 5ms"));
        let _pair = Pair(command.stdout(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (code, text) = space.doctor();
            let lines: Vec<&str> = text.lines().collect();
            if code == Some(1) && lines.len() == 2 && lines[1].starts_with(found) {
                assert!(lines[1].contains(whose), "{text}");
                break;
            }
            assert!(Instant::now() < deadline, "{fault}: {text}");
        }
    }
}

#[test]
fn a_pair_that_talks_and_one_that_resets_are_well() {
    if !have_root("a_pair_that_talks_and_one_that_resets_are_well") {
        return;
    }
    let space = Space::new("well");
    for arguments in [
        "pair --every 1ms --port 2345",
        "pair --break reset --every 5ms --port 2346",
    ] {
        let mut command = space.command("chat", arguments);
        let _pair = Pair(command.stdout(Stdio::null()).spawn().unwrap());
        for _ in 0..2 {
            let (code, text) = space.doctor();
            assert_eq!(code, Some(0), "{arguments}: {text}");
            assert!(text.starts_with("Nothing wrong among "), "{text}");
        }
    }
}
