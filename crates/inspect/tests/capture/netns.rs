//! `--netns`: another network namespace, with its interfaces, sockets and owners.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::program::*;

/// A program in a network namespace of its own, with loopback up: on each line of its stdin it
/// talks to itself on port 2345, on one connection; on an empty one it begins another.
const ALONE: &str = "\
import socket, subprocess, sys
subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
l = socket.create_server(('127.0.0.1', 2345))
print('ready', flush=True)
for line in sys.stdin:
    if not line.strip():
        c = socket.create_connection(('127.0.0.1', 2345))
        a, _ = l.accept()
    c.sendall(line.strip().encode())
";

struct Alone(Child);

impl Alone {
    fn start() -> Self {
        let mut child = Command::new("unshare")
            .args(["-n", "python3", "-c", ALONE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        Self(child)
    }

    fn say(&mut self, word: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{word}").unwrap();
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn packets_sockets_and_owners_are_those_of_the_namespace() {
    if !is_root("packets_sockets_and_owners_are_those_of_the_namespace") {
        return;
    }
    let mut alone = Alone::start();
    let mut stranger = Alone::start();
    let pid = alone.0.id();
    let path = format!("/proc/{pid}/ns/net");
    for netns in [pid.to_string(), path] {
        for flags in [&["--port", "2345"][..], &["--pid", &pid.to_string()]] {
            let running = capture_records(&[&["--netns", &netns][..], flags].concat());
            stranger.say("");
            alone.say("");
            stranger.say("of another namespace");
            alone.say("alone");
            let mut seen = running.record();
            assert_eq!(seen["interface"], "lo", "{seen}");
            while seen["payload"]["text"] != "alone" {
                seen = running.record();
            }
            // Both are known in the end.
            while seen["source_attribution"] != "exact" {
                alone.say("alone");
                seen = running.record();
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            assert_eq!(seen["source_owners"][0]["pid"], pid, "{seen}");
            let ended = running.interrupt();
            assert!(ended.status.success());
            let strange = ended.lines.iter().any(|line| line.contains("another"));
            assert!(!strange, "{:?}", ended.lines);
        }
    }
    let running = Running::start(inspect().args(["--netns", &pid.to_string(), "--port", "81"]));
    let (_, line) = running.message("Nothing yet");
    assert_eq!(
        line,
        format!("Nothing yet. No socket in namespace {pid} uses port 81.")
    );
    running.interrupt();
    let listed = inspect()
        .args(["-D", "--netns", &pid.to_string()])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(listed.stdout).unwrap(),
        "lo  up    127.0.0.1 ::1\n"
    );
}

#[test]
fn a_namespace_that_cannot_be_captured_in_is_refused_in_words() {
    for (netns, words) in [
        ("all", "a packet socket is in one network namespace"),
        ("no-such-namespace", "no network namespace"),
        ("/dev/null", "no network namespace"),
    ] {
        let output = inspect().args(["--netns", netns]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{netns}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(words), "{message}");
    }
    let output = inspect()
        .args(["--netns", "1", "-r", "x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
