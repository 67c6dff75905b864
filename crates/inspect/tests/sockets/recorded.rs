//! A recorded tree, on every screen.

use std::process::Command;

use serde_json::Value;

use crate::support::{expect_screen, fixture, inspect, run, run_on_terminal};

/// The tree is read from its parent folder, so that messages do not depend on where the
/// checkout is.
pub(crate) fn recorded() -> Command {
    let mut command = inspect();
    command
        .current_dir(fixture(""))
        .args(["sockets", "--proc-root", "proc-hello"]);
    command
}

#[test]
fn the_recorded_tree_on_three_terminals() {
    for columns in [60, 80, 200] {
        let shown = run_on_terminal(recorded().arg("--color=never"), columns);
        expect_screen(&format!("sockets-{columns}.txt"), &shown);
        for line in shown.lines().filter(|line| !line.starts_with("inspect:")) {
            assert!(line.chars().count() <= columns.into(), "{columns}: {line}");
        }
    }
}

#[test]
fn the_recorded_tree_in_plain_ascii_and_in_colour() {
    let shown = run_on_terminal(recorded().env("LANG", "C").arg("-s"), 80);
    expect_screen("sockets-summary-ascii.txt", &strip(&shown));
    assert!(shown.is_ascii());
    let shown = run_on_terminal(recorded().arg(":2345"), 80);
    assert!(shown.contains("\u{1b}[32mLISTEN\u{1b}[0m"), "{shown}");
    let plain = run_on_terminal(recorded().env("NO_COLOR", "1").arg(":2345"), 80);
    assert_eq!(strip(&shown), plain);
    let forced = run(recorded().args([":2345", "--color=always"]));
    assert!(forced.stdout.contains("\u{1b}[32mLISTEN"));
}

fn strip(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn the_recorded_tree_in_a_pipe() {
    let mut printed = String::new();
    for arguments in [
        &[][..],
        &["-a"],
        &["-x"],
        &["-l", "-t", "-H"],
        &["-s"],
        &["--process", "chat-client"],
        &["--pid", "701", "--sort", "port"],
        &["--user", "0", "--state", "established"],
        &[":2345", "-6"],
        &[":4711"],
    ] {
        let answer = run(recorded().args(arguments));
        assert_eq!(answer.code, Some(0), "{arguments:?}");
        printed += &format!("$ inspect sockets {}\n", arguments.join(" "));
        printed += &answer.stdout;
        printed += &answer.stderr;
    }
    expect_screen("sockets-pipe.txt", &printed);
}

#[test]
fn the_recorded_tree_as_json() {
    let printed = run(recorded().args(["-a", "--json"]));
    let mut text = String::new();
    for line in printed.stdout.lines() {
        let mut record: Value = serde_json::from_str(line).unwrap();
        // The clock is the only thing that is not recorded.
        for field in ["time", "monotonic_ns"] {
            if let Some(value) = record.get_mut(field) {
                assert!(value.is_string());
                *value = "now".into();
            }
        }
        assert!(line.starts_with("{\"type\":"), "{line}");
        text += &format!("{record}\n");
    }
    expect_screen("sockets.json", &text);
    assert_eq!(printed.stderr, "");
}
