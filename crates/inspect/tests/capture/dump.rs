//! `-x` and `-X`: the very bytes that tcpdump shows, as it shows them.

use std::process::Command;

use crate::crafted::*;
use crate::program::*;

/// The lines of bytes among others.
fn bytes_in(lines: &[String]) -> Vec<&str> {
    let lines = lines.iter().map(String::as_str);
    lines.filter(|line| line.starts_with('\t')).collect()
}

#[test]
fn bytes_are_shown_as_tcpdump_shows_them() {
    let name = "bytes_are_shown_as_tcpdump_shows_them";
    if !crate::support::have_program("tcpdump", name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrapped.pcap");
    let mut frames = pair();
    let start = frames[0].0;
    for (_, frame) in hello_in_every_wrapping() {
        frames.push((start + 1_000, frame, None));
    }
    let hostile = b"\x1b[2J \x7f\x9b\xff\r\n\t~ a word";
    let hostile = ethernet(0x0800, &ipv4(6, &tcp((1, 2), 1, 1, PSH_ACK, hostile)));
    frames.push((start + 2_000, hostile, None));
    std::fs::write(&path, pcap(1, &frames)).unwrap();
    let path = path.to_str().unwrap();
    for flag in ["-x", "-xx", "-X", "-XX"] {
        let theirs = Command::new("tcpdump")
            .args(["-Z", "root", "-n", flag, "-r", path])
            .output()
            .unwrap();
        let theirs: Vec<String> = String::from_utf8_lossy(&theirs.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        for heading in ["--heading", "--no-heading"] {
            let ours = Running::start(inspect().args([flag, heading, "-r", path])).end();
            assert!(ours.status.success());
            assert!(bytes_in(&ours.lines).len() > frames.len(), "{flag}");
            assert_eq!(bytes_in(&ours.lines), bytes_in(&theirs), "{flag}");
            // The words stay readable beside them.
            let words = ours.lines.iter().filter(|line| line.contains("\"hello\""));
            assert!(words.count() >= 1, "{flag}");
        }
    }
    let refused = inspect().args(["--json", "-X"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
