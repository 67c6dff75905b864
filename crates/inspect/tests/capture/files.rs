//! Recorded files, and input that is wrong. Needs no root.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Output, Stdio};

use crate::crafted::{pair, pcap};
use crate::program::*;

fn run(arguments: &[&str]) -> Output {
    inspect()
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file in a folder that lives as long as the value.
struct Recorded {
    folder: tempfile::TempDir,
}

impl Recorded {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recorded.pcap"), bytes).unwrap();
        Self { folder }
    }

    fn path(&self) -> String {
        self.folder
            .path()
            .join("recorded.pcap")
            .display()
            .to_string()
    }
}

#[test]
fn the_committed_file_is_the_crafted_pair() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/capture-pair.pcap");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, pcap(1, &pair())).unwrap();
    }
    assert_eq!(std::fs::read(&path).unwrap(), pcap(1, &pair()));
    let output = run(&["-r", path.to_str().unwrap(), ":2345"]);
    assert!(output.status.success());
    let lines = text(&output.stdout);
    assert!(
        lines.contains("PSH,ACK seq 1 ack 1 win 512 len 5 \"hello\"\n"),
        "{lines}"
    );
    assert!(lines.contains(r#""\u{1b}[31mred \"and\" much"#), "{lines}");
    assert_eq!(
        text(&output.stderr),
        "9 packets, 1 conversation, 75 bytes of payload.\n"
    );
}

#[test]
fn a_file_that_is_cut_short_is_shown_and_then_an_error() {
    let whole = pcap(1, &pair());
    let recorded = Recorded::new(&whole[..whole.len() - 30]);
    let output = run(&["-r", &recorded.path()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout).lines().count(), 8);
    let messages = text(&output.stderr);
    assert!(messages.contains("8 packets"), "{messages}");
    assert_eq!(messages.matches("broke off").count(), 1, "{messages}");
    assert!(
        messages.lines().last().unwrap().contains("truncated"),
        "{messages}"
    );
    let output = run(&["--json", "-r", &recorded.path()]);
    let last = text(&output.stdout).lines().last().unwrap().to_owned();
    assert!(last.contains(r#""complete":false"#), "{last}");
}

#[test]
fn a_file_that_is_no_capture_is_one_error() {
    let recorded = Recorded::new(b"#!/bin/sh\necho this is a script, and no capture at all\n");
    for path in [
        recorded.path(),
        "/nonexistent/x.pcap".to_owned(),
        "/tmp".to_owned(),
    ] {
        let output = run(&["-r", &path]);
        assert_eq!(output.status.code(), Some(1), "{path}");
        let message = text(&output.stderr);
        assert!(
            message.starts_with(&format!("inspect: cannot read {path}: ")),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
        assert_eq!(output.stdout, b"");
    }
}

#[test]
fn wrong_usage_is_2_and_says_what_would_be_right() {
    let recorded = Recorded::new(&pcap(1, &pair()));
    let path = recorded.path();
    for (arguments, part) in [
        (&["--prot", "2345"][..], "--port"),
        (&["--port", "70000"], "1 to 65535"),
        (&["--port", "0"], "any free port"),
        (&[":70000"], "1 to 65535"),
        (&["--color", "allways"], "always"),
        (&["-c", "none"], "none"),
        (&["--duration", "5 parsecs"], "10s"),
        (&["-r", &path, "porrt 5"], "porrt 5"),
        (&["-r", &path, "tcp and and"], "syntax error"),
        (&["-r", &path, "--json", "-A"], "--json"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = text(&output.stderr);
        assert!(message.contains(part), "{arguments:?}: {message}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
    }
}

#[test]
fn a_filter_and_ports_hold_together() {
    let recorded = Recorded::new(&pcap(1, &pair()));
    let path = recorded.path();
    let count = |arguments: &[&str]| {
        let output = run(&[&["-r", &path][..], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout).lines().count()
    };
    assert_eq!(count(&[]), 9);
    assert_eq!(count(&["tcp", "src", "port", "2345"]), 3);
    assert_eq!(count(&[":2345", "src", "port", "52316"]), 6);
    assert_eq!(count(&[":80"]), 0);
    assert_eq!(count(&["-c", "2"]), 2);
    assert_eq!(count(&["not", "tcp"]), 0);
}

#[test]
fn a_file_can_be_filtered_into_another_but_not_into_itself() {
    let recorded = Recorded::new(&pcap(1, &pair()));
    let path = recorded.path();
    let smaller = recorded
        .folder
        .path()
        .join("smaller.pcap")
        .display()
        .to_string();
    let output = run(&["-r", &path, "-w", &smaller, "tcp src port 2345"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&run(&["-r", &smaller]).stdout).lines().count(), 3);
    let output = run(&["-r", &path, "-w", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(&path).unwrap(), pcap(1, &pair()));
    // Nor by another name: what the shell has opened.
    let output = inspect()
        .args(["-r", "-", "-w", &path])
        .stdin(std::fs::File::open(&path).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("it is the file to read"));
    assert_eq!(std::fs::read(&path).unwrap(), pcap(1, &pair()));
    // A file that cannot be written is said, also when only the end does not fit.
    let output = run(&["-r", &path, "-w", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "9 packets, 1 conversation, 75 bytes of payload.\n9 packets not written.\n\
         inspect: cannot write /dev/full: no space left on device\n"
    );
    // Through pipes, both ways.
    let mut child = inspect()
        .args(["-r", "-", "-w", "-"])
        .stdin(std::fs::File::open(&path).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut copied = Vec::new();
    std::io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut copied).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(copied.len(), pcap(1, &pair()).len());
}

#[test]
fn payloads_are_inert_on_screen_and_exact_in_records() {
    let recorded = Recorded::new(&pcap(1, &pair()));
    let path = recorded.path();
    for arguments in [
        &["-r", &path][..],
        &["-r", &path, "-A"],
        &["-r", &path, "--heading"],
    ] {
        let output = run(arguments);
        let controls = output
            .stdout
            .iter()
            .filter(|byte| byte.is_ascii_control() && **byte != b'\n');
        assert_eq!(controls.count(), 0, "{arguments:?}");
    }
    let output = run(&["-r", &path, "--json"]);
    let red = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|record| record["number"] == 8)
        .unwrap();
    assert!(
        red["payload"]["text"]
            .as_str()
            .unwrap()
            .starts_with("\u{1b}[31mred \"and\"")
    );
}

#[test]
fn a_snapshot_length_holds_for_files_too() {
    let recorded = Recorded::new(&pcap(1, &pair()));
    let cut = recorded
        .folder
        .path()
        .join("cut.pcap")
        .display()
        .to_string();
    let output = run(&["-s", "56", "-r", &recorded.path(), "-w", &cut]);
    assert!(output.status.success(), "{output:?}");
    // libpcap cuts what it reads, so the file itself is looked at.
    let written = std::fs::read(&cut).unwrap();
    assert_eq!(written[16..20], 56u32.to_ne_bytes());
    let lengths = pair().into_iter().map(|(_, bytes, _)| bytes.len().min(56));
    let whole: usize = lengths.map(|length| 16 + length).sum();
    assert_eq!(written.len(), 24 + whole);
    let records = text(&run(&["--json", "-r", &cut]).stdout);
    let mut cut_ones = 0;
    for line in records.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        if record["type"] == "packet" {
            assert!(record["captured"].as_u64().unwrap() <= 56, "{line}");
            cut_ones += usize::from(record["captured"] != record["original_length"]);
        }
    }
    assert!(cut_ones > 0);
}

#[test]
fn a_frame_was_on_the_wire_at_least_as_long_as_captured() {
    let mut frames = pair();
    frames.truncate(1);
    frames[0].2 = Some(5);
    let recorded = Recorded::new(&pcap(1, &frames));
    let records = text(&run(&["--json", "-r", &recorded.path()]).stdout);
    assert!(
        records.contains(r#""captured":54,"original_length":54,"#),
        "{records}"
    );
}

#[test]
fn a_malformed_packet_is_shown_and_not_lost() {
    let mut frames = pair();
    frames[3].1[46] = 0x30;
    let recorded = Recorded::new(&pcap(1, &frames));
    let output = run(&["-r", &recorded.path()]);
    assert_eq!(text(&output.stdout).lines().count(), 9);
    let messages = text(&output.stderr);
    assert!(
        messages.ends_with(" of payload, 1 malformed.\n"),
        "{messages}"
    );
    assert_eq!(messages.lines().count(), 1, "{messages}");
    let output = run(&["--json", "-r", &recorded.path()]);
    let records = text(&output.stdout);
    let last = records.lines().last().unwrap();
    assert!(last.contains(r#""malformed":1"#), "{last}");
    assert!(last.contains(r#""lost":0,"complete":true"#), "{last}");
}

#[test]
fn an_unknown_flag_is_not_taken_for_a_value() {
    for flag in ["-S", "-e", "-tttt"] {
        let output = run(&[flag]);
        assert_eq!(output.status.code(), Some(2), "{flag}");
        let message = text(&output.stderr);
        assert!(!message.contains("as a value"), "{message}");
    }
}

#[test]
fn head_ends_quietly() {
    let mut frames = Vec::new();
    for _ in 0..3_000 {
        frames.extend(pair());
    }
    let recorded = Recorded::new(&pcap(1, &frames));
    for shape in [&[][..], &["--json"]] {
        let mut child = inspect()
            .args(["-r", &recorded.path()])
            .args(shape)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 10];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn a_pipe_is_shown_packet_by_packet() {
    let mut child = inspect()
        .args(["-r", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let file = pcap(1, &pair());
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The header and the first packet, which shows before there is a second.
    let (first, rest) = file.split_at(24 + 16 + 54);
    stdin.write_all(first).unwrap();
    assert!(lines.next().unwrap().unwrap().contains(" SYN seq 0 "));
    stdin.write_all(rest).unwrap();
    drop(stdin);
    assert_eq!(lines.count(), 8);
    assert!(child.wait().unwrap().success());
}
