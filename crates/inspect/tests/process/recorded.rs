//! A recorded tree, screen by screen.

use std::process::Command;

use serde_json::Value;

use super::support::{expect_screen, fixture, inspect, run, run_on_terminal};

/// The tree is read from its parent folder, so that messages do not depend on where the
/// checkout is. `nginx` is a pool, `gunicorn` in trouble, `950` hostile, `ended` a zombie, and
/// `sshd` hidden.
fn recorded(arguments: &str) -> Command {
    let mut command = inspect();
    command
        .current_dir(fixture(""))
        .env("TZ", "UTC")
        .args(["process", "--proc-root", "proc-pool"])
        .args(arguments.split_whitespace());
    command
}

const RECORDED: [&str; 8] = [
    "gunicorn",
    "nginx -q",
    "704",
    "dbus-daemon",
    "950",
    "kthreadd",
    "ended",
    "sshd",
];

#[test]
fn the_recorded_tree_on_three_terminals() {
    for columns in [60, 80, 200] {
        let mut printed = String::new();
        for arguments in RECORDED {
            let shown = run_on_terminal(recorded(arguments).arg("--color=never"), columns);
            for line in shown.lines() {
                assert!(line.chars().count() <= columns.into(), "{columns}: {line}");
            }
            printed += &format!("$ inspect process {arguments}\n{shown}\n");
        }
        expect_screen(&format!("process-{columns}.txt"), &printed);
    }
}

#[test]
fn plain_ascii_and_no_colour_where_they_are_asked_for() {
    for arguments in RECORDED {
        let shown = run_on_terminal(recorded(arguments).env("LANG", "C"), 80);
        assert!(shown.is_ascii(), "{shown}");
        let colour = run_on_terminal(&mut recorded(arguments), 80);
        let plain = run_on_terminal(recorded(arguments).env("NO_COLOR", "1"), 80);
        assert!(!plain.contains('\u{1b}'), "{plain}");
        let stripped = anstream::adapter::strip_str(&colour).to_string();
        assert_eq!(stripped, plain);
    }
    let colour = run_on_terminal(&mut recorded("gunicorn"), 80);
    assert!(colour.contains("\u{1b}[32mLISTEN\u{1b}[0m"), "{colour}");
    assert!(colour.contains("\u{1b}[33m15 of 16 allowed"), "{colour}");
}

#[test]
fn the_recorded_tree_in_a_pipe() {
    let mut printed = String::new();
    for (arguments, code) in [
        ("gunicorn", 0),
        ("nginx", 0),
        ("950", 0),
        ("sshd sleep", 0),
        ("inx", 1),
        ("4711", 1),
        ("--process 950", 1),
        ("-p 970 nobody", 1),
    ] {
        let answer = run(&mut recorded(arguments));
        assert_eq!(answer.code, Some(code), "{arguments}");
        printed += &format!("$ inspect process {arguments}\n");
        printed += &answer.stdout;
        printed += &answer.stderr;
        printed += "\n";
    }
    expect_screen("process-pipe.txt", &printed);
}

#[test]
fn the_recorded_tree_as_json() {
    let mut text = String::new();
    for arguments in [
        "gunicorn --json",
        "950 --json",
        "sshd --json",
        "nobody --json",
    ] {
        let printed = run(&mut recorded(arguments));
        let code = i32::from(arguments.starts_with("nobody"));
        assert_eq!(printed.code, Some(code), "{arguments}");
        assert_eq!(printed.stderr, "");
        for line in printed.stdout.lines() {
            text += &timeless(line);
        }
    }
    expect_screen("process.json", &text);
}

/// A record without the time of this run: the clock is the only thing that is not recorded.
pub(crate) fn timeless(line: &str) -> String {
    let mut record: Value = serde_json::from_str(line).unwrap();
    for field in ["time", "monotonic_ns"] {
        if let Some(value) = record.get_mut(field) {
            assert!(value.is_string());
            *value = "now".into();
        }
    }
    assert!(line.starts_with("{\"type\":"), "{line}");
    format!("{record}\n")
}
