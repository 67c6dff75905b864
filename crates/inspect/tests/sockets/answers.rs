//! What is said where there is less to show, or nothing.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;

use crate::recorded::recorded;
use crate::support::{by_nobody, have_root, inspect, readable_copy, run, run_on_terminal};

#[test]
fn an_ordinary_user_sees_the_rows_and_why_their_owners_are_hidden() {
    if !have_root("an_ordinary_user_sees_the_rows_and_why_their_owners_are_hidden") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = readable_copy(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!(":{}", listener.local_addr().unwrap().port());
    let mut command = by_nobody(&program);
    let shown = run_on_terminal(command.args(["sockets", &port]), 80);
    assert!(shown.contains("hidden (user root)"), "{shown}");
    let hint = format!(
        "1 owner hidden; to see it:\n  sudo {} sockets {port}\n",
        program.display()
    );
    assert!(shown.ends_with(&hint), "{shown}");
    // Off a terminal there is nobody to take the hint.
    assert_eq!(run(&mut command).stderr, "");
}

#[test]
fn wrong_usage_is_2_and_names_what_is_right() {
    for (arguments, part) in [
        (&["sockets", "--prot", "1"][..], "--port"),
        (&["sockets", "--port", "70000"], "ports go from 1 to 65535"),
        (&["sockets", "--port", "0"], "port 0"),
        (&["sockets", ":no-such-service"], "no service"),
        (&["sockets", ":70000"], "70000 is no port"),
        (&["sockets", "--state", "OPEN"], "ESTABLISHED"),
        (
            &["sockets", "--user", "no-such-user"],
            "no user \"no-such-user\"",
        ),
        (&["sockts"], "sockets"),
        (&[":2345"], "inspect sockets :2345"),
        (&["2345"], "inspect sockets :2345"),
        (&[], "Usage"),
    ] {
        let printed = run(inspect().args(arguments));
        assert_eq!(printed.code, Some(2), "{arguments:?}: {}", printed.stderr);
        assert!(
            printed.stderr.contains(part),
            "{arguments:?}: {}",
            printed.stderr
        );
        assert_eq!(printed.stdout, "");
    }
    let missing = run(inspect().args(["sockets", "--proc-root", "/nonexistent"]));
    assert_eq!(missing.code, Some(1));
    assert!(
        missing
            .stderr
            .starts_with("inspect: cannot read /nonexistent"),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_closed_pipe_is_a_quiet_success() {
    for format in ["table", "json"] {
        let mut child = recorded()
            .args(["-a", "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut complaint = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        while stderr.read_line(&mut complaint).unwrap() > 0 {}
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(!complaint.to_lowercase().contains("pipe"), "{complaint}");
    }
}

#[test]
fn the_summary_counts_what_the_list_lists() {
    let json = |arguments: &[&str]| -> Vec<Value> {
        run(recorded().args(arguments).arg("--json"))
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let mut listed: BTreeMap<String, u64> = BTreeMap::new();
    for row in json(&["-a"]) {
        if let Some(family) = row["family"].as_str() {
            *listed.entry(family.to_owned()).or_default() += 1;
        }
    }
    let families = json(&["-s"]);
    let counted: BTreeMap<String, u64> = families
        .iter()
        .filter(|record| record["type"] == "family" && record["sockets"] != 0)
        .map(|record| {
            (
                record["family"].as_str().unwrap().to_owned(),
                record["sockets"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(counted, listed);
    let tipc = families.iter().find(|record| record["family"] == "tipc");
    assert_eq!(tipc.unwrap()["supported"], false);
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure_and_says_why() {
    for arguments in [
        &["sockets", "-a"][..],
        &["sockets", "--json"],
        &["port", "9"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let child = inspect()
            .args(arguments)
            .stdout(full.unwrap())
            .stderr(Stdio::piped())
            .spawn();
        let ended = child.unwrap().wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(ended.stderr).unwrap();
        let expected = "inspect: cannot write the answer: No space left on device\n";
        assert!(said.ends_with(expected), "{arguments:?}: {said}");
    }
}
