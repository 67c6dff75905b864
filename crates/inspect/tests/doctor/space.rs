//! A network namespace for a test, programs in it, and what the doctor says of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Printed, inspect, run};

/// A network namespace of its own with its loopback, deleted at the end.
pub(crate) struct Space(String);

impl Space {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let space = Self(format!("doctor-{}-{number}", std::process::id()));
        ip(&["netns", "add", &space.0]);
        space.run("ip", &["link", "set", "lo", "up"]);
        space
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// The inode it goes by in records.
    pub(crate) fn inode(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let path = std::path::Path::new("/run/netns").join(&self.0);
        std::fs::metadata(path).unwrap().ino()
    }

    /// A command that runs in here.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.0, program])
            .stdin(Stdio::null());
        command
    }

    /// Runs a command in here to its end.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) {
        let status = self.command(program).args(arguments).status().unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }

    /// Changes a setting of this namespace.
    pub(crate) fn set(&self, setting: &str, value: &str) {
        let script = format!("echo {value} > /proc/sys/net/{setting}");
        self.run("sh", &["-c", &script]);
    }

    /// Drops packets without a word: a rule of nftables for what arrives here. (What is
    /// dropped before it leaves, the sender hears of.)
    pub(crate) fn drop_packets(&self, rule: &str) {
        self.run("nft", &["add", "table", "ip", "test"]);
        let chain = "{ type filter hook input priority 0; }";
        self.run("nft", &["add", "chain", "ip", "test", "in", chain]);
        let words: Vec<&str> = rule.split_whitespace().chain(["drop"]).collect();
        self.run(
            "nft",
            &[&["add", "rule", "ip", "test", "in"], &words[..]].concat(),
        );
    }

    /// Starts a Python program in here, and waits until it prints a line.
    pub(crate) fn python(&self, script: &str) -> Program {
        let mut command = self.command("python3");
        command.args([
            "-c",
            &format!("import os, resource, socket, sys, time\n{script}"),
        ]);
        Program::start(command)
    }

    /// `inspect doctor` in here.
    pub(crate) fn doctor(&self, arguments: &[&str]) -> Command {
        let program = inspect();
        let mut command = self.command(program.get_program().to_str().unwrap());
        command
            .env_remove("NO_COLOR")
            .env_remove("LC_ALL")
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm")
            .arg("doctor")
            .args(arguments);
        command
    }

    /// What the doctor finds in here.
    pub(crate) fn findings(&self, arguments: &[&str]) -> Vec<Value> {
        findings(&run(self.doctor(arguments).arg("--json")))
    }

    /// Asks the doctor until it finds what is named, and nothing else; half a minute at most.
    pub(crate) fn wait_for(&self, arguments: &[&str], expected: &[&str]) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.findings(arguments);
            if names(&found) == expected {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "expected {expected:?}, and the doctor found {found:#?}"
            );
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Runs ip(8).
pub(crate) fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

/// The findings in JSON; the exit code has to agree with them.
pub(crate) fn findings(printed: &Printed) -> Vec<Value> {
    let records: Vec<Value> = printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        records.first().expect("begin")["type"],
        "begin",
        "{printed:?}"
    );
    assert_eq!(records.last().unwrap()["type"], "end");
    let found: Vec<Value> = records
        .into_iter()
        .filter(|record| record["type"] == "finding")
        .collect();
    let trouble = found.iter().any(|record| record["severity"] != "notice");
    assert_eq!(printed.code, Some(i32::from(trouble)), "{found:?}");
    found
}

/// What the findings are called.
pub(crate) fn names(findings: &[Value]) -> Vec<&str> {
    findings
        .iter()
        .map(|finding| finding["name"].as_str().unwrap())
        .collect()
}

/// The processes that a finding names.
pub(crate) fn pids(finding: &Value) -> Vec<u32> {
    let owners = finding["owners"].as_array().unwrap();
    owners
        .iter()
        .map(|owner| u32::try_from(owner["pid"].as_u64().unwrap()).unwrap())
        .collect()
}

/// A running program; killed at the end.
pub(crate) struct Program {
    child: Child,
    /// The line it printed when it was ready.
    pub(crate) said: String,
}

impl Program {
    /// Starts a program, and waits until it prints a line.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut said).unwrap();
        assert!(!said.is_empty(), "{command:?} ended before it was ready");
        Self {
            child,
            said: said.trim_end().to_owned(),
        }
    }

    /// Its process: ip netns exec becomes the program that it starts.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
