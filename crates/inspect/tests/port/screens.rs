//! How it looks, and how it ends.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::Answer;
use super::support::{expect_screen, fixture, inspect, run, run_on_terminal, wait_for};

/// A process of ours that is looked at; killed at the end.
struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn recorded() -> Command {
    let mut command = inspect();
    command
        .current_dir(fixture(""))
        .env("TZ", "UTC")
        .args(["port", "--proc-root", "proc-hello"]);
    command
}

#[test]
fn the_recorded_tree_on_three_terminals() {
    for columns in [60, 80, 200] {
        let mut shown = String::new();
        for ports in [&["2345"][..], &["50005"], &[]] {
            let screen = run_on_terminal(recorded().args(ports).arg("--color=never"), columns);
            shown += &format!("$ inspect port {}\n{screen}", ports.join(" "));
        }
        expect_screen(&format!("port-{columns}.txt"), &shown);
        for line in shown.lines().filter(|it| !it.starts_with("inspect:")) {
            assert!(line.chars().count() <= columns.into(), "{columns}: {line}");
        }
    }
}

#[test]
fn the_recorded_tree_in_a_pipe_and_in_plain_ascii() {
    let mut shown = String::new();
    for ports in [&["2345", ":22"][..], &["-u", "68"], &[]] {
        let printed = run(recorded().args(ports));
        shown += &format!("$ inspect port {}\n", ports.join(" "));
        shown += &printed.stdout;
        shown += &printed.stderr;
        shown += &format!("exit {:?}\n", printed.code);
    }
    expect_screen("port-pipe.txt", &shown);
    let ascii = run_on_terminal(
        recorded().env("LANG", "C").args(["2345", "--color=never"]),
        60,
    );
    assert!(ascii.is_ascii(), "{ascii}");
    let painted = run_on_terminal(&mut recorded(), 80);
    assert!(
        painted.contains("\u{1b}[1mregistered, 1024-49151\u{1b}[0m"),
        "{painted}"
    );
    let plain = run_on_terminal(recorded().env("NO_COLOR", "1"), 80);
    assert_eq!(
        anstream::adapter::strip_str(&painted).to_string(),
        plain,
        "colour carries nothing"
    );
}

#[test]
fn the_recorded_tree_as_json() {
    let printed = run(recorded().args(["2345", "--json"]));
    let mut text = String::new();
    for line in printed.stdout.lines() {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        // The clock is the only thing that is not recorded.
        for field in ["time", "monotonic_ns"] {
            if let Some(value) = record.get_mut(field) {
                *value = "now".into();
            }
        }
        assert!(line.starts_with("{\"type\":"), "{line}");
        text += &format!("{record}\n");
    }
    expect_screen("port.json", &text);
}

#[test]
fn a_server_and_its_client_are_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_server, _) = listener.accept().unwrap();
    let printed = run(inspect().args(["port", &format!(":{port}")]));
    assert_eq!(printed.code, Some(0));
    let us = std::process::id();
    let first = printed.stdout.lines().next().unwrap();
    assert!(
        first.starts_with(&format!("tcp {port} is taken by "))
            && first.contains(&format!("[{us}]"))
            && first.ends_with(", reachable from this machine only."),
        "{first}"
    );
    let directory = std::env::current_dir().unwrap();
    for words in [
        format!("\n  directory    {}\n", directory.display()),
        format!("[{us}])\n"),
        "\n  connections  1 ESTABLISHED (".to_owned(),
        "\n  number       ".to_owned(),
    ] {
        assert!(
            printed.stdout.contains(&words),
            "{words}: {}",
            printed.stdout
        );
    }
}

#[test]
fn the_map_tells_every_port_that_is_waited_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = listener.local_addr().unwrap().port();
    let udp = datagrams.local_addr().unwrap().port();
    let printed = run(inspect().arg("port"));
    assert_eq!(printed.code, Some(0));
    let us = format!("[{}]", std::process::id());
    for start in [format!("  tcp {tcp} "), format!("  udp {udp} ")] {
        let line = printed.stdout.lines().find(|line| line.contains(&start));
        let line = line.unwrap_or_else(|| panic!("{start}: {}", printed.stdout));
        assert!(line.contains(&us), "{line}");
        assert!(line.ends_with("  this machine only"), "{line}");
    }
    let answer = Answer::of(inspect().arg("port"));
    let ranges: Vec<_> = answer.of_type("range").collect();
    assert_eq!(ranges.len(), 3);
    let has = |protocol: &str, port: u16| {
        ranges.iter().any(|range| {
            let ports = range[protocol].as_array().unwrap();
            ports.iter().any(|it| it == port)
        })
    };
    assert!(has("tcp", tcp) && has("udp", udp) && !has("udp", tcp));
}

#[test]
fn many_ports_of_one_server_share_a_line_on_a_terminal() {
    let listeners: Vec<_> = (0..6)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let mut ports: Vec<u16> = listeners
        .iter()
        .map(|it| it.local_addr().unwrap().port())
        .collect();
    ports.sort_unstable();
    let us = format!("[{}]", std::process::id());
    let shown = run_on_terminal(inspect().args(["port", "--color=never"]), 200);
    let ours: Vec<&str> = shown.lines().filter(|line| line.contains(&us)).collect();
    assert!(!ours.is_empty() && ours.len() < ports.len(), "{shown}");
    let piped = run(inspect().arg("port")).stdout;
    for port in ports {
        assert!(piped.contains(&format!("tcp {port} ")), "{piped}");
    }
}

#[test]
fn a_hostile_name_and_command_line_are_inert_on_screens_and_exact_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ev\u{1b}[31m) x");
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _target = Target(
        Command::new(&program)
            .arg0("sl\u{202e}eep\n")
            .arg("60")
            .current_dir(folder.path())
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
            .spawn()
            .unwrap(),
    );
    let answer = wait_for("the name", || {
        let answer = Answer::port(port);
        let process = &answer.record()["processes"][0];
        (process["command"] == "ev\u{1b}[31m) x").then_some(answer)
    });
    let process = &answer.record()["processes"][0];
    assert_eq!(process["command_line"][0], "sl\u{202e}eep\n");
    let printed = run(inspect().args(["port", &port.to_string()]));
    assert!(
        printed.stdout.contains(r"taken by ev\u{1b}\[31m) x["),
        "{}",
        printed.stdout
    );
    assert!(
        printed.stdout.contains(r"sl\u{202e}eep\n"),
        "{}",
        printed.stdout
    );
    assert!(!printed.stdout.contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn several_ports_and_names_are_answered_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Answer::of(inspect().args(["port", "http", &format!(":{port}"), "--port", "443"]));
    let numbers: Vec<u64> = answer
        .of_type("port")
        .map(|it| it["port"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [80, u64::from(port), 443]);
    assert_eq!(answer.code, Some(0), "one of them is had");
}

#[test]
fn nothing_there_is_1_and_wrong_usage_is_2() {
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let printed = run(inspect().args(["port", &free.to_string()]));
    assert_eq!(printed.code, Some(1));
    assert!(
        printed
            .stdout
            .starts_with(&format!("tcp and udp {free} are free.\n  number       ")),
        "{}",
        printed.stdout
    );
    for (arguments, part) in [
        (&["port", "70000"][..], "ports go from 1 to 65535"),
        (&["port", "no-such-service"], "nor a name in /etc/services"),
        (
            &["port", "80", "--format", "csv"],
            "possible values: table, json",
        ),
        (&["2345"], "inspect port 2345, inspect sockets :2345"),
        (
            &["port", "--netns", "no-such-netns"],
            "no network namespace",
        ),
    ] {
        let printed = run(inspect().args(arguments));
        assert_eq!(printed.code, Some(2), "{arguments:?}: {}", printed.stderr);
        assert!(printed.stderr.contains(part), "{}", printed.stderr);
        assert_eq!(printed.stdout, "");
    }
}

#[test]
fn a_closed_pipe_is_a_quiet_success() {
    for arguments in [&["port", "2345"][..], &["port"], &["port", "--json"]] {
        let mut child = inspect()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)));
        let complaint = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(!complaint.contains("pipe"), "{complaint}");
    }
}
