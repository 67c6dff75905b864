//! Processes of ours that are looked at.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

use super::support::{Printed, inspect, run};

/// A process of ours that is looked at; killed at the end.
pub(crate) struct Target {
    pub(crate) child: Child,
    /// What it said when it was ready.
    pub(crate) said: Vec<String>,
    /// It ends when this is closed, should it outlive us.
    _stdin: Option<ChildStdin>,
}

impl Target {
    /// Runs a Python program that prints a line when it is ready.
    pub(crate) fn python(program: &str) -> Self {
        Self::run(Command::new("python3").args(["-c", &python(program)]))
    }

    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            _stdin: child.stdin.take(),
            said: line.split_whitespace().map(str::to_owned).collect(),
            child,
        }
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn python(program: &str) -> String {
    format!("import os, socket, sys\n{program}\nsys.stdout.flush()\nsys.stdin.read()\n")
}

/// A server, its client within the same process and one without, and one socket of each kind.
pub(crate) const EVERY_KIND: &str = "
server = socket.create_server(('127.0.0.1', 0))
port = server.getsockname()[1]
client = socket.create_connection(('127.0.0.1', port))
accepted = server.accept()[0]
twice = os.dup(accepted.fileno())
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('127.0.0.1', 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind('\\0inspect-process-%d' % os.getpid())
unix.listen()
pair = socket.socketpair()
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
netlink.bind((0, 0))
pipe = os.pipe()
print(port, client.getsockname()[1], accepted.fileno(), twice)
";

pub(crate) fn records(command: &mut Command) -> Vec<Value> {
    let printed = run(command);
    assert_eq!(
        printed.code,
        Some(0),
        "{}{}",
        printed.stdout,
        printed.stderr
    );
    let records: Vec<Value> = printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(records.first().unwrap()["type"], "begin");
    assert_eq!(records.last().unwrap()["type"], "end");
    records
}

pub(crate) fn of_type<'a>(records: &'a [Value], name: &str) -> Vec<&'a Value> {
    records.iter().filter(|it| it["type"] == name).collect()
}

pub(crate) fn process(arguments: &[&str]) -> Printed {
    run(inspect().arg("process").args(arguments))
}

/// A process of ours that says nothing; killed at the end.
pub(crate) struct Worker(pub(crate) Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program under a name that no other process has.
pub(crate) fn named(folder: &Path, name: &str) -> PathBuf {
    let program = folder.join(name);
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    program
}
