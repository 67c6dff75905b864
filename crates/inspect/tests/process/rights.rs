//! What an ordinary user sees, and what is in another network namespace.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

use super::support::{by_nobody, have_root, inspect, readable_copy, run, run_on_terminal};
use super::target::{Target, of_type, process, python, records};

#[test]
fn an_ordinary_user_sees_what_can_be_read_and_how_to_see_the_rest() {
    if !have_root("an_ordinary_user_sees_what_can_be_read_and_how_to_see_the_rest") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = readable_copy(folder.path());
    let target = Target::python("s = socket.create_server(('127.0.0.1', 0))\nprint('ready')");
    let pid = target.pid();
    let shown = run_on_terminal(by_nobody(&program).args(["process", &pid]), 80);
    let first =
        format!("python3[{pid}] is a process of user root: which sockets it holds is hidden.\n");
    assert!(shown.starts_with(&first), "{shown}");
    assert!(shown.contains("  user         root, since "), "{shown}");
    assert!(shown.contains("python3 -c 'import os"), "{shown}");
    assert!(shown.contains("  directory    hidden\n"), "{shown}");
    assert!(shown.contains("  descriptors  hidden; "), "{shown}");
    let hint = format!(
        "to see what python3[{pid}] holds:\n  sudo {} process {pid}\n",
        program.display()
    );
    assert!(shown.ends_with(&hint), "{shown}");
    let records = records(by_nobody(&program).args(["process", &pid, "--json"]));
    let about = of_type(&records, "process")[0];
    assert_eq!(about["sockets"], Value::Null);
    assert_eq!(about["socket_status"], "hidden");
    assert_eq!(about["descriptors"], Value::Null);
    assert_eq!(about["directory"], Value::Null);
    assert_eq!(about["command_line"][1], "-c");
    assert_eq!(of_type(&records, "gap").len(), 1);
    assert_eq!(records.last().unwrap()["complete"], false);
}

#[test]
fn an_ordinary_user_sees_his_own_processes_whole() {
    if !have_root("an_ordinary_user_sees_his_own_processes_whole") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = readable_copy(folder.path());
    let script = python("s = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1])");
    let target = Target::run(
        Command::new("python3")
            .args(["-c", &script])
            .uid(65534)
            .gid(65534)
            .current_dir("/"),
    );
    let (pid, port) = (target.pid(), &target.said[0]);
    let printed = run(by_nobody(&program).args(["process", &pid]));
    assert_eq!(printed.code, Some(0));
    let first = printed.stdout.lines().next().unwrap();
    let expected = format!("python3[{pid}] listens on 127.0.0.1:{port}.");
    assert_eq!(first, expected);
    assert!(
        printed.stdout.contains("  directory    /\n"),
        "{}",
        printed.stdout
    );
}

#[test]
fn a_process_in_another_network_namespace_is_followed_there() {
    if !have_root("a_process_in_another_network_namespace_is_followed_there") {
        return;
    }
    let script = python("s = socket.create_server(('0.0.0.0', 2345))\nprint('ready')");
    let target = Target::run(Command::new("unshare").args(["-n", "python3", "-c", &script]));
    let pid = target.pid();
    let printed = process(&[&pid]);
    assert!(
        printed
            .stdout
            .starts_with(&format!("python3[{pid}] listens on any:2345.\n")),
        "{}",
        printed.stdout
    );
    let link = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let inode = link.to_str().unwrap();
    let inode = inode.trim_start_matches("net:[").trim_end_matches(']');
    assert!(
        printed
            .stdout
            .contains(&format!("  namespace    {inode}, not this one\n")),
        "{}",
        printed.stdout
    );
    let records = records(inspect().args(["process", &pid, "--json"]));
    assert_eq!(of_type(&records, "process")[0]["netns"].to_string(), inode);
    assert_eq!(of_type(&records, "socket")[0]["netns"].to_string(), inode);
    // It is looked for where it lives: another place would only hide what it has.
    let us = std::process::id().to_string();
    for word in ["all", &us] {
        let printed = process(&[&pid, "--netns", word]);
        assert_eq!(printed.code, Some(2), "{}", printed.stdout);
        assert!(
            printed.stderr.contains("that it lives in"),
            "{}",
            printed.stderr
        );
    }
}

#[test]
fn an_ordinary_user_follows_his_own_process_into_a_namespace_he_may_not_enter() {
    let test = "an_ordinary_user_follows_his_own_process_into_a_namespace_he_may_not_enter";
    if !have_root(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = readable_copy(folder.path());
    let script = python("s = socket.create_server(('0.0.0.0', 2345))\nprint('ready')");
    let target = Target::run(
        Command::new("unshare")
            .args(["-U", "-r", "-n", "python3", "-c", &script])
            .uid(65534)
            .gid(65534)
            .current_dir("/"),
    );
    let pid = target.pid();
    let printed = run(by_nobody(&program).args(["process", &pid]));
    assert!(
        printed
            .stdout
            .starts_with(&format!("python3[{pid}] listens on any:2345.\n")),
        "{}{}",
        printed.stdout,
        printed.stderr
    );
    assert_eq!(printed.stderr, "");
}
