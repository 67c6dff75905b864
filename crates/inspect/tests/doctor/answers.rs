//! How the answer looks, and what it says of what cannot be seen.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::space::{Program, Space, findings, names};
use crate::support::{fixture, have_root, inspect, run, run_on_terminal};

/// A machine with three findings: a full accept queue, a pile of CLOSE_WAIT, and a socket that is
/// not read.
fn trouble(space: &Space) -> [Program; 3] {
    let no_accept = space.python(
        "
listener = socket.create_server(('127.0.0.1', 2345), backlog=1)
clients = []
for _ in range(4):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(('127.0.0.1', 2345))
    clients.append(client)
print('ready', flush=True)
time.sleep(600)",
    );
    let leak = space.python(
        "
listener = socket.create_server(('127.0.0.1', 2346))
held = []
for _ in range(60):
    client = socket.create_connection(('127.0.0.1', 2346))
    held.append(listener.accept())
    client.close()
print('ready', flush=True)
time.sleep(600)",
    );
    let deaf = space.python(
        "
listener = socket.create_server(('127.0.0.1', 2347))
client = socket.create_connection(('127.0.0.1', 2347))
server = listener.accept()
client.setblocking(False)
try:
    while True: client.send(bytes(100000))
except BlockingIOError: pass
print('ready', flush=True)
time.sleep(600)",
    );
    [no_accept, leak, deaf]
}

const NAMES: [&str; 3] = ["accept-queue-full", "not-reading", "close-wait-pile"];

#[test]
fn the_answer_fits_every_screen_and_a_pipe_has_whole_lines() {
    if !have_root("the_answer_fits_every_screen_and_a_pipe_has_whole_lines") {
        return;
    }
    let space = Space::new();
    let [server, _leak, _deaf] = trouble(&space);
    space.wait_for(&[], &NAMES);
    for columns in [60, 80, 200] {
        let shown = run_on_terminal(space.doctor(&[]).env("NO_COLOR", "1"), columns);
        assert!(shown.starts_with("3 findings among "), "{shown}");
        for line in shown.lines() {
            assert!(line.chars().count() <= columns.into(), "{columns}: {line}");
        }
        let full = shown.find("accept queue full").unwrap();
        assert!(full < shown.find("not reading").unwrap(), "{shown}");
    }
    let line = format!(
        "accept queue full     127.0.0.1:2345  python3[{}]  2 of 1\n{:22}new clients wait",
        server.pid(),
        ""
    );
    let shown = run_on_terminal(space.doctor(&[]).env("NO_COLOR", "1"), 80);
    assert!(shown.contains(&line), "{shown}");
    assert!(run_on_terminal(&mut space.doctor(&[]), 80).contains("\u{1b}[31maccept queue full"));

    let printed = run(&mut space.doctor(&[]));
    assert_eq!(printed.code, Some(1));
    assert_eq!(printed.stdout.lines().count(), 4, "{}", printed.stdout);
    assert!(!printed.stdout.contains('\u{1b}'));
    let plain = run(space.doctor(&[]).env("LANG", "C"));
    assert!(plain.stdout.is_ascii());
    assert_eq!(plain.code, Some(1));
}

#[test]
fn from_outside_the_namespace_it_is_the_same() {
    if !have_root("from_outside_the_namespace_it_is_the_same") {
        return;
    }
    let space = Space::new();
    let _programs = trouble(&space);
    space.wait_for(&[], &NAMES);
    let from_outside = |arguments: &[&str]| {
        findings(&run(inspect()
            .args(["doctor", "--json", "--netns"])
            .args(arguments)))
    };
    assert_eq!(names(&from_outside(&[space.name()])), NAMES);
    // Of all, those of others too; each finding says where.
    let all = from_outside(&["all"]);
    let netns = space.inode();
    let here: Vec<Value> = all
        .into_iter()
        .filter(|finding| finding["evidence"]["netns"] == netns)
        .collect();
    assert_eq!(names(&here), NAMES);
    let printed = run(inspect().args(["doctor", "--netns", "all"]));
    assert!(
        printed
            .stdout
            .contains(&format!("  netns {}", space.name())),
        "{}",
        printed.stdout
    );
}

/// The program under test, where every user can run it.
fn as_nobody(space: &Space, folder: &std::path::Path) -> Command {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.join("inspect");
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_inspect"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    // Into the namespace as root, and then no longer root.
    let mut command = space.command("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .arg("doctor")
        .env("LANG", "C.UTF-8");
    command
}

#[test]
fn an_ordinary_user_is_told_what_is_wrong_and_not_by_whom() {
    if !have_root("an_ordinary_user_is_told_what_is_wrong_and_not_by_whom") {
        return;
    }
    let space = Space::new();
    let _programs = trouble(&space);
    space.wait_for(&[], &NAMES);
    let folder = tempfile::tempdir().unwrap();
    let found = findings(&run(as_nobody(&space, folder.path()).arg("--json")));
    assert_eq!(names(&found), NAMES);
    for finding in &found {
        assert_eq!(finding["owners"], Value::Array(Vec::new()));
        assert_eq!(finding["evidence"]["owner_status"], "hidden");
        assert!(
            finding["text"]
                .as_str()
                .unwrap()
                .contains("hidden (user root)"),
            "{finding}"
        );
    }
    let verbose = run(as_nobody(&space, folder.path()).arg("-v"));
    assert!(
        verbose
            .stderr
            .contains("rights: only the descriptors of this user's processes"),
        "{}",
        verbose.stderr
    );
    let shown = run_on_terminal(as_nobody(&space, folder.path()).env("NO_COLOR", "1"), 80);
    assert!(shown.contains("to see them:\n  sudo "), "{shown}");
}

#[test]
fn what_is_not_told_is_said() {
    if !have_root("what_is_not_told_is_said") {
        return;
    }
    let space = Space::new();
    let _programs = trouble(&space);
    space.wait_for(&[], &NAMES);
    // /proc/net does not tell how long an accept queue may be, nor whether anything moves.
    let found = space.findings(&["--source", "proc"]);
    let names = names(&found);
    assert!(names.contains(&"close-wait-pile"), "{found:?}");
    for unseen in ["accept-queue-full", "not-reading"] {
        assert!(!names.contains(&unseen), "{found:?}");
    }
    let printed = run(&mut space.doctor(&["--source", "proc"]));
    for part in ["full accept queues", "who does not read or does not answer"] {
        let told = printed.stderr.contains(&format!("not looked for: {part}"));
        assert!(told, "{part}: {}", printed.stderr);
    }
    let printed = run(&mut space.doctor(&["--source", "proc", "--json"]));
    let gap = printed.stdout.lines().find(|line| line.contains("\"gap\""));
    assert!(
        gap.unwrap().contains("not looked for: "),
        "{}",
        printed.stdout
    );
    assert!(
        printed
            .stdout
            .lines()
            .last()
            .unwrap()
            .contains("\"complete\":false")
    );
}

#[test]
fn verbose_says_what_may_be_seen() {
    if !have_root("verbose_says_what_may_be_seen") {
        return;
    }
    let (space, other) = (Space::new(), Space::new());
    let printed = run(&mut space.doctor(&["-v"]));
    for part in [
        "sockets: diag (tcp tcp6 udp udp6 unix",
        "owners: ",
        "limits: 28,232 ports towards one destination, ",
        "rights: the descriptors of every process may be read",
        "namespaces: not looked into: ",
    ] {
        assert!(printed.stderr.contains(part), "{part}: {}", printed.stderr);
    }
    drop(other);
}

#[test]
fn ctrl_c_ends_the_watch_with_an_answer() {
    if !have_root("ctrl_c_ends_the_watch_with_an_answer") {
        return;
    }
    let space = Space::new();
    let _programs = trouble(&space);
    space.wait_for(&[], &NAMES);
    let mut watch = space.doctor(&["--for", "1h", "--interval", "30m", "--json"]);
    let child = watch.stdout(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // Its second thread waits for the signal. Whenever that comes, both looks are taken.
    crate::support::wait_for("the thread for signals", || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).ok()?;
        (threads.count() >= 2).then_some(())
    });
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = crate::support::Printed {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::new(),
    };
    assert_eq!(names(&findings(&printed)), NAMES);
}

#[test]
fn a_recorded_tree_is_looked_at_once() {
    let mut command = inspect();
    command
        .current_dir(fixture(""))
        .args(["doctor", "--proc-root", "proc-hello"]);
    let printed = run(&mut command);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(
        printed.stdout.starts_with("Nothing wrong among ")
            && printed
                .stdout
                .ends_with(" of the recorded tree, as far as can be seen.\n"),
        "{}",
        printed.stdout
    );
}

#[test]
fn wrong_usage_is_2_and_a_closed_pipe_is_a_success() {
    for (arguments, part) in [
        (&["--format", "csv"][..], "possible values: table, json"),
        (&["--for", "100ms"], "before the second look"),
        (&["--interval", "0"], "no duration"),
        (&["--netns", "no-such-namespace"], "no network namespace"),
        (&["2345"], "2345"),
    ] {
        let printed = run(inspect().arg("doctor").args(arguments));
        assert_eq!(printed.code, Some(2), "{arguments:?}: {printed:?}");
        assert!(printed.stderr.contains(part), "{arguments:?}: {printed:?}");
        assert_eq!(printed.stdout, "");
    }
    let mut child = inspect()
        .args(["doctor", "--interval", "10ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut help = inspect();
    let printed = run(help.args(["doctor", "--help"]));
    assert!(
        printed.stdout.contains("--for <DURATION>"),
        "{}",
        printed.stdout
    );
}
