//! Inputs that stay silent, readers that do not read, disks that are full: it ends all the same.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;

use crate::crafted::{pair, pcap};
use crate::program::*;

/// What a person takes for hanging, and a busy machine does not reach.
const SOON: Duration = Duration::from_secs(4);

fn fifo(folder: &Path, name: &[u8]) -> PathBuf {
    let path = folder.join(OsStr::from_bytes(name));
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// Ends it with the test, however that ends.
struct Ours(Child);

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ours {
    fn start(command: &mut Command) -> Self {
        Self(command.stderr(Stdio::piped()).spawn().unwrap())
    }

    fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, Signal::INT).unwrap();
    }

    /// Its exit code and its messages, when it ends in time.
    fn ends_within(&mut self, limit: Duration) -> (Option<i32>, String) {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut messages = String::new();
        let mut stderr = self.0.stderr.take().unwrap();
        stderr.read_to_string(&mut messages).unwrap();
        (status.code(), messages)
    }
}

fn many() -> Vec<u8> {
    let mut frames = Vec::new();
    for _ in 0..2_000 {
        frames.extend(pair());
    }
    pcap(1, &frames)
}

#[test]
fn a_fifo_is_opened_once_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(folder.path(), b"not utf-8: \xff");
    let mut child = Ours::start(
        inspect()
            .arg("-r")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    let writer = std::thread::spawn(move || {
        // Waits for a reader, and fails when that one goes.
        let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all(&pcap(1, &pair()))
    });
    let (code, messages) = child.ends_within(LIMIT);
    assert_eq!(code, Some(0), "{messages}");
    assert!(messages.starts_with("9 packets, "), "{messages}");
    writer.join().unwrap().unwrap();
}

#[test]
fn a_fifo_that_nobody_writes_is_left_on_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(folder.path(), b"silent");
    let mut child = Ours::start(inspect().arg("-r").arg(path).stdin(Stdio::null()));
    std::thread::sleep(Duration::from_millis(300));
    child.interrupt();
    let (code, messages) = child.ends_within(SOON);
    assert_eq!(code, Some(1));
    assert!(messages.contains("was ended before"), "{messages}");
}

#[test]
fn ctrl_c_ends_a_silent_input_also_within_a_packet() {
    let file = pcap(1, &pair());
    for extra in [0, 5, 30] {
        let mut child = Ours::start(
            inspect()
                .args(["-r", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        );
        let mut stdin = child.0.stdin.take().unwrap();
        let first = 24 + 16 + 54;
        stdin.write_all(&file[..first + extra]).unwrap();
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        // It shows before there is a second.
        assert!(lines.next().unwrap().unwrap().contains(" SYN seq 0 "));
        child.interrupt();
        let (code, messages) = child.ends_within(SOON);
        assert_eq!(code, Some(0), "{extra}: {messages}");
        assert_eq!(
            messages, "1 packet, 1 conversation, 0 bytes of payload.\n",
            "{extra}"
        );
        drop(stdin);
    }
}

#[test]
fn ctrl_c_ends_it_when_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.pcap");
    fs::write(&path, many()).unwrap();
    for shape in [&[][..], &["--json"], &["-w", "-"]] {
        let mut child = Ours::start(
            inspect()
                .arg("-r")
                .arg(&path)
                .args(shape)
                .stdin(Stdio::null())
                .stdout(Stdio::piped()),
        );
        std::thread::sleep(Duration::from_millis(500));
        assert!(child.0.try_wait().unwrap().is_none());
        child.interrupt();
        let (code, messages) = child.ends_within(SOON);
        assert_eq!(code, Some(1), "{messages}");
        let last = messages.lines().last().unwrap();
        assert!(
            last.starts_with("inspect: cannot write to stdout: its reader does not read"),
            "{messages}"
        );
        assert!(
            messages.contains("not written"),
            "what was not written is counted: {messages}"
        );
        assert!(
            messages.contains(" packets, 1 conversation, "),
            "{messages}"
        );
    }
}

#[test]
fn a_slow_reader_gets_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.pcap");
    fs::write(&path, many()).unwrap();
    let mut child = Ours::start(
        inspect()
            .arg("-r")
            .arg(&path)
            .args(["-w", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    std::thread::sleep(Duration::from_millis(700));
    let mut copied = Vec::new();
    let mut stdout = child.0.stdout.take().unwrap();
    stdout.read_to_end(&mut copied).unwrap();
    assert_eq!(copied.len(), many().len());
    assert_eq!(child.ends_within(SOON).0, Some(0));
}

#[test]
fn the_end_of_its_time_ends_it_when_nobody_reads() {
    if !is_root("the_end_of_its_time_ends_it_when_nobody_reads") {
        return;
    }
    let (socket, port) = udp_sink();
    let mut child = Ours::start(
        inspect()
            .args(["-i", "lo", "--duration", "1s", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    let started = Instant::now();
    let end = started + Duration::from_millis(900);
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    while Instant::now() < end {
        let _ = sender.send_to(&[b'x'; 1000], socket.local_addr().unwrap());
        std::thread::sleep(Duration::from_micros(300));
    }
    let (code, messages) = child.ends_within(SOON);
    assert_eq!(code, Some(1), "{messages}");
    assert!(
        messages.contains("its reader does not read ("),
        "{messages}"
    );
    assert!(
        messages.contains("\nLost: what came after that.\n"),
        "{messages}"
    );
}

#[test]
fn a_file_is_written_on_when_the_reader_of_stdout_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.pcap");
    let mut child = Ours::start(
        inspect()
            .args(["-r", "-", "-w"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    drop(child.0.stdout.take());
    let file = pcap(1, &pair());
    let mut stdin = child.0.stdin.take().unwrap();
    let (first, rest) = file.split_at(24 + 16 + 54);
    stdin.write_all(first).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    stdin.write_all(rest).unwrap();
    drop(stdin);
    let (code, messages) = child.ends_within(SOON);
    assert_eq!(code, Some(0), "{messages}");
    assert!(messages.starts_with("9 packets, "), "{messages}");
    assert_eq!(fs::read(&path).unwrap().len(), file.len());
}

#[test]
fn a_fifo_to_write_waits_for_its_reader_until_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("read.pcap");
    fs::write(&recorded, pcap(1, &pair())).unwrap();
    let path = fifo(folder.path(), b"out");
    let start = || {
        let mut command = inspect();
        command.arg("-r").arg(&recorded).arg("-w").arg(&path);
        Ours::start(command.stdin(Stdio::null()))
    };
    let mut child = start();
    std::thread::sleep(Duration::from_millis(300));
    child.interrupt();
    let (code, messages) = child.ends_within(SOON);
    assert_eq!(code, Some(1));
    assert!(messages.contains("nobody reads it"), "{messages}");
    assert!(!messages.contains("Nothing yet"), "too early: {messages}");
    let mut child = start();
    assert_eq!(fs::read(&path).unwrap().len(), pcap(1, &pair()).len());
    assert_eq!(child.ends_within(SOON).0, Some(0));
}

#[test]
fn a_full_disk_is_named_and_leaves_a_file_that_can_be_read() {
    if !is_root("a_full_disk_is_named_and_leaves_a_file_that_can_be_read") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("many.pcap");
    fs::write(&recorded, many()).unwrap();
    let small = folder.path().join("small");
    fs::create_dir(&small).unwrap();
    // In a mount namespace of its own, gone with the shell.
    let script = r#"mount -t tmpfs -o size=100k none "$2" || exit 99
        "$0" capture -r "$1" -w "$2/x.pcap"; echo "code $?"
        "$0" capture -r "$2/x.pcap" | wc -l"#;
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_inspect")])
        .args([&recorded, &small])
        .output()
        .unwrap();
    let (lines, messages) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_ne!(output.status.code(), Some(99), "{messages}");
    let mut lines = lines.lines();
    assert_eq!(lines.next(), Some("code 1"), "{messages}");
    let kept: u64 = lines.next().unwrap().trim().parse().unwrap();
    assert!(kept > 500, "{kept}");
    let mut messages = messages.lines();
    let totals = messages.next().unwrap();
    let number = |line: &str| -> u64 {
        let word = line.split(' ').next().unwrap();
        word.replace(',', "").parse().unwrap()
    };
    let lost = messages.next().unwrap();
    assert!(lost.ends_with(" packets not written."), "{lost}");
    assert_eq!(number(totals), kept + number(lost));
    assert_eq!(messages.next().unwrap(), "Lost: what came after that.");
    assert_eq!(
        messages.next().unwrap(),
        format!(
            "inspect: cannot write {}/x.pcap: no space left on device",
            small.display()
        )
    );
    // The rest is of the second run: the file is whole.
    let rest: Vec<&str> = messages.collect();
    assert!(
        !rest.iter().any(|line| line.contains("not written")),
        "{rest:?}"
    );
}

#[test]
fn what_is_awaited_is_said_when_opening_takes_long() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("read.pcap");
    fs::write(&recorded, pcap(1, &pair())).unwrap();
    let [input, output] = [&b"in"[..], b"out"].map(|name| fifo(folder.path(), name));
    let write = |command: &mut Command| {
        let running = Running::start(command.arg("-r").arg(&recorded).arg("-w").arg(&output));
        let (_, said) = running.message("");
        (running, said)
    };
    let (running, said) = write(&mut inspect());
    let words = format!("Nothing yet. Waiting for a reader of {}.", output.display());
    assert_eq!(said, words);
    assert_eq!(fs::read(&output).unwrap().len(), pcap(1, &pair()).len());
    let ended = running.end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    assert_eq!(ended.messages.len(), 1, "once: {:?}", ended.messages);

    let running = Running::start(inspect().arg("-r").arg(&input));
    let (_, said) = running.message("");
    let words = format!(
        "Nothing yet. Waiting for a capture file from {}.",
        input.display()
    );
    assert_eq!(said, words);
    let ended = running.interrupt();
    assert_eq!(ended.status.code(), Some(1), "{:?}", ended.messages);

    // Who wants to be told nothing is not.
    let running = Running::start(inspect().args(["-q", "-r"]).arg(&input));
    std::thread::sleep(Duration::from_millis(2_500));
    let ended = running.interrupt();
    assert_eq!(ended.messages.len(), 1, "{:?}", ended.messages);
}
