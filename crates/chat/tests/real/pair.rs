//! `chat pair`: two real processes, and none left behind.

use std::io::BufReader;
use std::io::{BufRead as _, Write as _};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::support::*;

fn pair(arguments: &[&str]) -> (Program, String) {
    let port = free_port().to_string();
    (
        Program::start(&[&["pair", "--port", &port], arguments].concat()),
        port,
    )
}

/// A line such as `12:00:01  client  hello`, without its time.
fn said(line: &str) -> &str {
    let (time, words) = line.split_once("  ").unwrap();
    assert_eq!(time.len(), 8, "{line}");
    assert!(
        time.bytes().all(|b| b.is_ascii_digit() || b == b':'),
        "{line}"
    );
    words
}

#[test]
fn talks_as_often_as_asked_and_tells_how_it_ended() {
    let (pair, port) = pair(&[
        "--count",
        "3",
        "--every",
        "10ms",
        "--say",
        "你好",
        "--reply=-",
    ]);
    let (server, client) = (pair.said(), pair.said());
    let name = |side: &str, line: &str| {
        let name =
            std::fs::read_to_string(format!("/proc/{}/comm", process(line))).unwrap_or_default();
        assert!(name.is_empty() || name.trim() == side, "{name}");
        format!(
            "{}  {side}[{}]",
            side.trim_start_matches("chat-"),
            process(line)
        )
    };
    let expected = name("chat-server", &server);
    assert_eq!(
        server,
        format!("{expected}  listening on 127.0.0.1:{port}, this machine only")
    );
    let expected = name("chat-client", &client);
    assert!(
        client.starts_with(&format!("{expected}  connected from 127.0.0.1:")),
        "{client}"
    );
    let halves = [process(&server), process(&client)];
    assert_eq!(pair.said(), "");
    for _ in 0..3 {
        assert_eq!(said(&pair.said()), "client  你好");
        assert_eq!(said(&pair.said()), "server  -");
    }
    let (code, output, errors) = pair.end();
    assert_eq!(
        output,
        ["Client left; server saw the connection close. 3 messages each way."]
    );
    assert_code(code, 0, &errors);
    assert!(errors.is_empty(), "{errors:?}");
    gone(halves);
}

#[test]
fn leaves_politely_and_alone_when_told_to() {
    for signal in [Signal::INT, Signal::TERM] {
        let (mut pair, _) = pair(&["--every", "1m"]);
        let halves = [process(&pair.said()), process(&pair.said())];
        pair.said();
        assert_eq!(said(&pair.said()), "client  hello");
        assert_eq!(said(&pair.said()), "server  hi");
        pair.signal(signal);
        assert_eq!(
            pair.said(),
            "Client left; server saw the connection close. 1 message each way."
        );
        assert_eq!(pair.wait().code(), Some(0));
        gone(halves);
    }
}

#[test]
fn a_stranger_is_told_of_and_counts_for_nothing() {
    let (pair, port) = pair(&["--count", "2", "--every", "1s"]);
    let _names = [pair.said(), pair.said(), pair.said()];
    assert_eq!(said(&pair.said()), "client  hello");
    assert_eq!(said(&pair.said()), "server  hi");
    let mut stranger = connect(port.parse().unwrap());
    let from = stranger.local_addr().unwrap();
    stranger.write_all(b"hello").unwrap();
    assert_eq!(recv(&mut stranger), "hi");
    drop(stranger);
    let (code, output, errors) = pair.end();
    assert_code(code, 0, &errors);
    let words: Vec<_> = output[..2].iter().map(|line| said(line)).collect();
    assert_eq!(words, ["client  hello", "server  hi"]);
    assert_eq!(
        output[2..],
        ["Client left; server saw the connection close. 2 messages each way."]
    );
    // The order of the words and of the notices is not ours to know: they come by two pipes.
    let mut errors = errors;
    errors.sort();
    assert_eq!(
        errors,
        [
            format!("Somebody else joined the server, from {from}; what they say does not count."),
            "server heard client 2: hello".to_owned(),
            "server: 2  left".to_owned(),
        ]
    );
}

#[test]
fn takes_its_halves_along_when_killed() {
    let (mut pair, _) = pair(&[]);
    let halves = [process(&pair.said()), process(&pair.said())];
    pair.signal(Signal::KILL);
    pair.wait();
    gone(halves);
}

#[test]
fn a_killed_half_is_noticed_and_named() {
    for (victim, other_says) in [(0, "client: Server "), (1, "server: 1  ")] {
        let (pair, _) = pair(&["--every", "50ms"]);
        let lines = [pair.said(), pair.said()];
        let halves = [process(&lines[0]), process(&lines[1])];
        pair.said();
        assert_eq!(said(&pair.said()), "client  hello");
        rustix::process::kill_process(halves[victim], Signal::KILL).unwrap();
        let (code, _, errors) = pair.end();
        assert_code(code, 1, &errors);
        let errors = errors.join("\n");
        let half = ["chat-server", "chat-client"][victim];
        let named = format!("{half}[{}] was killed by SIGKILL", halves[victim]);
        assert_holds(&errors, &named);
        assert_holds(&errors, other_says);
        gone(halves);
    }
}

#[test]
fn a_half_that_does_not_end_when_asked_is_not_said_to_have_left() {
    for (victim, last) in [
        (0, "Client left; server has not noticed yet."),
        (1, "Client was killed; server saw the connection close."),
    ] {
        let (pair, _) = pair(&["--every", "1m"]);
        let halves = [process(&pair.said()), process(&pair.said())];
        pair.said();
        assert_eq!(said(&pair.said()), "client  hello");
        assert_eq!(said(&pair.said()), "server  hi");
        rustix::process::kill_process(halves[victim], Signal::STOP).unwrap();
        pair.signal(Signal::INT);
        let (code, output, errors) = pair.end();
        assert_code(code, 1, &errors);
        assert_eq!(output, [format!("{last} 1 message each way.")]);
        let (side, half) = [("server", "chat-server"), ("client", "chat-client")][victim];
        let errors = errors.join("\n");
        assert_holds(&errors, &format!("Waiting for the {side} to end."));
        let named = format!(
            "{half}[{}] did not end when asked and was killed by SIGKILL",
            halves[victim]
        );
        assert_holds(&errors, &named);
        gone(halves);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let port = free_port().to_string();
    let output = chat(&["pair", "--port", &port, "--count", "2", "--every", "10ms"])
        .stdin(Stdio::null())
        .stdout(full.unwrap())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("cannot write the output"), "{errors}");
}

#[test]
fn a_reader_that_left_is_a_quiet_success_and_leaves_nobody_behind() {
    let port = free_port().to_string();
    let mut command = chat(&["pair", "--port", &port, "--every", "20ms"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let halves = [(); 2].map(|()| {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        process(&line)
    });
    drop(output);
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(rest(&mut child.stderr.take().unwrap()), "");
    gone(halves);
}

#[test]
fn a_reader_that_pauses_pauses_the_pair() {
    let port = free_port().to_string();
    let words = "x".repeat(1000);
    let mut command = chat(&["pair", "--port", &port, "--every", "0", "--say", &words]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = (&mut output).lines().map(Result::unwrap);
    let halves = [(); 2].map(|()| process(&lines.next().unwrap()));
    // What the client has written so far, to anybody.
    let written = || {
        let counters = std::fs::read_to_string(format!("/proc/{}/io", halves[1])).unwrap();
        let row = counters.lines().find(|row| row.starts_with("wchar: "));
        row.unwrap().to_owned()
    };
    let mut before = written();
    until("the pair pauses", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = written();
        let paused = now == before;
        before = now;
        paused.then_some(())
    });
    // Somebody reads again, and it goes on: more than it held back.
    let beyond = 10_000;
    let exchanges = lines
        .by_ref()
        .take(beyond)
        .filter(|line| line.ends_with("server  hi"));
    assert!(exchanges.count() > beyond / 3);
    rustix::process::kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_holds(
        &lines.last().unwrap(),
        "Client left; server saw the connection close.",
    );
    assert_eq!(wait(&mut child).code(), Some(0));
    gone(halves);
}

#[test]
fn a_port_in_use_is_refused_clearly() {
    let (_server, port) = server(&[]);
    let (code, output, errors) = Program::start(&["pair", "--port", &port.to_string()]).end();
    assert_code(code, 1, &errors);
    assert!(output.is_empty());
    let expected = [
        format!("chat: cannot listen on 127.0.0.1:{port}: address in use"),
        format!("      (inspect port {port} tells by whom; --port N takes another)"),
    ];
    assert_eq!(errors, expected);
}
