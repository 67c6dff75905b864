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

#[test]
fn what_is_only_written_is_not_shown_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let [read, write] = ["read.pcap", "write.pcap"].map(|name| folder.path().join(name));
    std::fs::write(&read, pcap(1, &pair())).unwrap();
    let run = |flags: &[&str]| {
        let mut command = inspect();
        command
            .args(flags)
            .arg("-r")
            .arg(&read)
            .arg("-w")
            .arg(&write);
        let ended = Running::start(&mut command).end();
        assert!(ended.status.success(), "{flags:?}: {:?}", ended.messages);
        let written = std::fs::read(&write).unwrap();
        assert_eq!(written.len(), pcap(1, &pair()).len());
        ended
    };
    let said = |flag: &str| {
        format!(
            "{flag} shows nothing here: packets are written into the file (--print shows them too)."
        )
    };
    for flag in ["-A", "-x", "-X"] {
        let ended = run(&[flag]);
        assert!(ended.lines.is_empty());
        assert_eq!(ended.messages[0], said(flag));
        assert_eq!(ended.messages.len(), 2, "{:?}", ended.messages);
        assert!(!run(&[flag, "--print"]).messages.contains(&said(flag)));
        assert!(!run(&[flag, "--quiet"]).messages.contains(&said(flag)));
    }
    assert_eq!(run(&["-xX"]).messages[0], said("-X"));
    assert_eq!(run(&[]).messages.len(), 1);
}
