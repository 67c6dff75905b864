//! `inspect sockets`: columns, CSV, details, other network namespaces, and watching.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{
    by_nobody, fixture, have_program, have_root, inspect, readable_copy, run, run_on_terminal,
    wait_for,
};

fn recorded(arguments: &[&str]) -> support::Printed {
    let mut command = inspect();
    command
        .current_dir(fixture(""))
        .args(["sockets", "--proc-root", "proc-hello"])
        .args(arguments);
    run(&mut command)
}

#[test]
fn the_columns_asked_for_are_the_columns_shown() {
    let printed = recorded(&["-t", "--columns", "local,state,inode"]);
    let lines: Vec<Vec<&str>> = printed
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["LOCAL", "STATE", "INODE"]);
    assert!(lines.len() > 3);
    for line in &lines[1..] {
        assert_eq!(line.len(), 3, "{line:?}");
    }
    let refused = recorded(&["--columns", "local,colour"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("there is no column \"colour\""));
}

#[test]
fn csv_has_a_line_a_row_and_quotes_what_needs_it() {
    let printed = recorded(&["-a", "--format", "csv", "--columns", "proto,local,owner"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    let mut lines = printed.stdout.lines();
    assert_eq!(lines.next(), Some("proto,local,owner"));
    let rows = recorded(&["-a", "--json"]);
    let sockets = rows
        .stdout
        .lines()
        .filter(|line| line.starts_with("{\"type\":\"socket\""))
        .count();
    assert_eq!(lines.count(), sockets);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let copy = listener.try_clone().unwrap();
    let port = format!(":{}", copy.local_addr().unwrap().port());
    let printed = run(inspect().args(["sockets", &port, "--format", "csv", "--columns", "owner"]));
    let row = printed.stdout.lines().nth(1).unwrap().to_owned();
    // Two descriptors of one process: a comma stands between them, so the field is quoted.
    assert!(row.starts_with('"') && row.ends_with('"'), "{row}");
    assert_eq!(row.matches(" fd ").count(), 2, "{row}");
    let refused = run(inspect().args(["sockets", "-s", "--format", "csv"]));
    assert_eq!(refused.code, Some(2));
}

#[test]
fn without_owners_nobody_is_said_to_be_missing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!(":{}", listener.local_addr().unwrap().port());
    for flags in [&["--no-owners"][..], &["--owners", "none"]] {
        let printed = run(inspect().args(["sockets", &port, "--json"]).args(flags));
        let row: Value = serde_json::from_str(printed.stdout.lines().nth(1).unwrap()).unwrap();
        assert_eq!(row["owner_status"], "not_asked");
        assert_eq!(row["owners"], Value::Array(Vec::new()));
        let end: Value = serde_json::from_str(printed.stdout.lines().last().unwrap()).unwrap();
        assert_eq!(end["complete"], true, "{}", printed.stdout);
        let printed = run(inspect().args(["sockets", &port]).args(flags));
        assert!(!printed.stdout.contains("OWNER"), "{}", printed.stdout);
    }
    // Who asks for a process asks for owners.
    let printed = run(inspect().args(["sockets", "--no-owners", "--pid", "1"]));
    assert_eq!(printed.code, Some(2), "{}", printed.stdout);
}

/// A child that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace of this test, deleted with it.
struct Namespace(String);

impl Namespace {
    fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let made = Command::new("ip")
            .args(["netns", "add", &name])
            .status()
            .unwrap();
        assert!(made.success());
        let up = Command::new("ip")
            .args(["-n", &name, "link", "set", "lo", "up"])
            .status()
            .unwrap();
        assert!(up.success());
        Self(name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Listens in a namespace until it is ended, and says on which port.
fn listener_in(namespace: &Namespace) -> (Running, u16) {
    listener_at(namespace, 0)
}

fn listener_at(namespace: &Namespace, port: u16) -> (Running, u16) {
    let code = "import socket,sys,time\ns=socket.socket();s.bind(('127.0.0.1',int(sys.argv[1])))\n\
                s.listen(5);print(s.getsockname()[1],flush=True)\ntime.sleep(600)";
    let mut child = Command::new("ip")
        .args(["netns", "exec", &namespace.0, "python3", "-c", code])
        .arg(port.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    (Running(child), line.trim().parse().unwrap())
}

fn sockets(arguments: &[&str]) -> Vec<Value> {
    let printed = run(inspect().args(["sockets", "--json"]).args(arguments));
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["type"] == "socket")
        .collect()
}

#[test]
fn another_namespace_is_looked_into_by_name_process_inode_and_path() {
    let test = "another_namespace_is_looked_into_by_name_process_inode_and_path";
    if !have_root(test) || !have_program("ip", test) || !have_program("python3", test) {
        return;
    }
    let namespace = Namespace::new("inspect-look");
    let (child, port) = listener_in(&namespace);
    let port_word = format!(":{port}");
    let pid = child.0.id().to_string();
    let path = format!("/run/netns/{}", namespace.0);
    let by_name = sockets(&[&port_word, "--netns", &namespace.0]);
    assert_eq!(by_name.len(), 1);
    let inode = by_name[0]["netns"].to_string();
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert!(!own.to_string_lossy().contains(&inode), "{inode}");
    assert_eq!(by_name[0]["owners"][0]["pid"], child.0.id());
    for word in [&pid, &inode, &path] {
        let rows = sockets(&[&port_word, "--netns", word]);
        assert_eq!(rows.len(), 1, "{word}");
        assert_eq!(rows[0]["inode"], by_name[0]["inode"], "{word}");
    }
    // A process is found wherever it is, without its namespace being named.
    let by_process = sockets(&["--pid", &pid]);
    assert_eq!(by_process[0]["inode"], by_name[0]["inode"]);
    assert_eq!(by_process.len(), 1);
    let by_expression = sockets(&[&format!("pid = {pid} and {port_word}")]);
    assert_eq!(by_expression[0]["inode"], by_name[0]["inode"]);
    // The same port here and there: both are shown, each with its namespace.
    let here = TcpListener::bind(("127.0.0.1", port));
    let all = sockets(&[&port_word, "--netns", "all"]);
    let spaces: Vec<String> = all.iter().map(|row| row["netns"].to_string()).collect();
    assert!(spaces.contains(&inode), "{spaces:?}");
    assert_eq!(all.len(), 1 + usize::from(here.is_ok()), "{all:?}");
    let table = run(inspect().args(["sockets", &port_word, "--netns", "all"]));
    if here.is_ok() {
        assert!(table.stdout.starts_with("NETNS"), "{}", table.stdout);
        assert!(table.stdout.contains(&namespace.0), "{}", table.stdout);
    }
}

#[test]
fn a_namespace_that_may_not_be_entered_is_a_failure() {
    let test = "a_namespace_that_may_not_be_entered_is_a_failure";
    if !have_root(test) || !have_program("ip", test) {
        return;
    }
    let namespace = Namespace::new("inspect-shut");
    let folder = tempfile::tempdir().unwrap();
    let program = readable_copy(folder.path());
    for arguments in [
        &["sockets"][..],
        &["sockets", "--json"],
        &["port", "80"],
        &["doctor"],
    ] {
        let mut command = by_nobody(&program);
        let printed = run(command.args(arguments).args(["--netns", &namespace.0]));
        assert_eq!(printed.code, Some(1), "{arguments:?}: {printed:?}");
        assert!(
            !printed.stdout.contains("\"end\""),
            "{arguments:?}: {printed:?}"
        );
        assert!(
            printed.stderr.starts_with("inspect: ") && printed.stderr.contains("root"),
            "{arguments:?}: {printed:?}"
        );
    }
}

#[test]
fn two_namespaces_joined_by_a_wire_show_both_ends_of_a_connection() {
    let test = "two_namespaces_joined_by_a_wire_show_both_ends_of_a_connection";
    if !have_root(test) || !have_program("ip", test) || !have_program("python3", test) {
        return;
    }
    let ip = |arguments: &str| {
        let status = Command::new("ip").args(arguments.split(' ')).status();
        assert!(status.unwrap().success(), "ip {arguments}");
    };
    let [one, other] = ["inspect-one", "inspect-two"].map(Namespace::new);
    let (left, right) = (&one.0, &other.0);
    ip(&format!(
        "link add eth0 netns {left} type veth peer name eth0 netns {right}"
    ));
    for (namespace, address) in [(left, "10.77.0.1/24"), (right, "10.77.0.2/24")] {
        ip(&format!("-n {namespace} addr add {address} dev eth0"));
        ip(&format!("-n {namespace} link set eth0 up"));
    }
    let python = |namespace: &str, code: &str| {
        let child = Command::new("ip")
            .args(["netns", "exec", namespace, "python3", "-uc", code])
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        Running(child)
    };
    let server = python(
        left,
        "import socket,time\ns=socket.create_server(('10.77.0.1',80))\nprint('ready')\n\
         c=s.accept()\ntime.sleep(600)",
    );
    let client = python(
        right,
        "import socket,time\nc=socket.create_connection(('10.77.0.1',80))\nprint('ready')\n\
         time.sleep(600)",
    );
    let expression = "state established ( src 10.77.0.0/24 and dst 10.77.0.0/24 )";
    let rows = wait_for("both ends, accepted", || {
        let rows = sockets(&[expression, "--netns", "all"]);
        let known = rows.iter().filter(|row| row["owner_status"] != "pending");
        (known.count() == 2).then_some(rows)
    });
    for (row, own, peer) in [(&rows[0], &server, &client), (&rows[1], &client, &server)] {
        assert_eq!(row["owners"][0]["pid"], own.0.id(), "{row}");
        assert_eq!(row["peer"]["owners"][0]["pid"], peer.0.id(), "{row}");
    }
    assert_ne!(rows[0]["netns"], rows[1]["netns"]);
    // From one of them the other end is another machine's, as far as was looked.
    let alone = sockets(&[expression, "--netns", left]);
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0]["peer"], Value::Null);
    // One look is enough to see it at a glance.
    let table = run(inspect().args(["sockets", expression, "--netns", "all"]));
    let named = format!("python3[{}] fd ", client.0.id());
    assert_eq!(table.stdout.matches(&named).count(), 2, "{}", table.stdout);
}

#[test]
fn a_person_is_told_once_that_another_namespace_has_it() {
    let test = "a_person_is_told_once_that_another_namespace_has_it";
    if !have_root(test) || !have_program("ip", test) || !have_program("python3", test) {
        return;
    }
    let namespace = Namespace::new("inspect-hint");
    let (_child, port) = listener_in(&namespace);
    let port_word = format!(":{port}");
    let mut command = inspect();
    command.args(["sockets", &port_word, "--color=never"]);
    let shown = run_on_terminal(&mut command, 120);
    let hint = format!(
        "Another network namespace ({}) has 1 such socket",
        namespace.0
    );
    assert_eq!(shown.matches(&hint).count(), 1, "{shown}");
    let piped = run(inspect().args(["sockets", &port_word]));
    assert!(!piped.stderr.contains("Another"), "{}", piped.stderr);
    let nobody = run_on_terminal(inspect().args(["sockets", "--pid", "4194303"]), 120);
    assert!(nobody.contains("There is no process 4194303."), "{nobody}");
    let wrong = run(inspect().args(["sockets", "--netns", "no-such-namespace"]));
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong
            .stderr
            .contains("no network namespace \"no-such-namespace\"")
    );
}

/// `inspect sockets --watch`, with what it prints.
struct Watching {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Watching {
    fn start(arguments: &[&str]) -> Self {
        let mut child = inspect()
            .args(["sockets", "--watch=50ms"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn record(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Ends it as Ctrl-C does.
    fn interrupt(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn watching_tells_what_opened_changed_and_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let port_word = format!(":{}", address.port());
    let mut watching = Watching::start(&[&port_word, "--json"]);
    assert_eq!(watching.record()["type"], "begin");
    let client = TcpStream::connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    // Between the looks the connection may be seen waiting for accept(), and then taken.
    let mut opened = Vec::new();
    wait_for("both ends", || {
        let record = watching.record();
        if record["type"] == "opened" {
            opened.push(record["socket"]["local"]["port"].clone());
        }
        (opened.len() == 2).then_some(())
    });
    drop(client);
    wait_for("CLOSE_WAIT", || {
        let record = watching.record();
        let changed = record["type"] == "changed" && record["socket"]["state"] == "CLOSE_WAIT";
        if changed {
            assert_eq!(record["state_before"], "ESTABLISHED");
            assert_eq!(record["socket"]["owners"][0]["pid"], std::process::id());
        }
        changed.then_some(())
    });
    drop(server);
    drop(listener);
    wait_for("the listener's end", || {
        let record = watching.record();
        (record["type"] == "closed" && record["socket"]["state"] == "LISTEN").then_some(())
    });
    watching.interrupt();
    let end = wait_for("the end", || {
        let record = watching.record();
        (record["type"] == "end").then_some(record)
    });
    assert!(end["counts"]["opened"].as_u64().unwrap() >= 2, "{end}");
    assert!(end["counts"]["closed"].as_u64().unwrap() >= 1, "{end}");
    assert_eq!(watching.child.wait().unwrap().code(), Some(0));
}

#[test]
fn watching_all_namespaces_sees_new_ones_and_tells_who_is_there() {
    let test = "watching_all_namespaces_sees_new_ones_and_tells_who_is_there";
    if !have_root(test) || !have_program("ip", test) || !have_program("python3", test) {
        return;
    }
    // Asked for before there is anything.
    let port = 23_471;
    let mut watching = Watching::start(&[&format!(":{port}"), "--netns", "all", "-e"]);
    let mut stderr = BufReader::new(watching.child.stderr.take().unwrap());
    wait_for("the first look", || {
        let mut said = String::new();
        stderr.read_line(&mut said).unwrap();
        said.starts_with("Watching 0 sockets").then_some(())
    });
    let namespace = Namespace::new("inspect-new");
    let (child, _) = listener_at(&namespace, port);
    let owner = format!("python3[{}] fd ", child.0.id());
    wait_for("the listener", || {
        let line = watching.line();
        (line.contains("opened   tcp   LISTEN") && line.contains(&owner)).then_some(())
    });
    // What is known of it stands below.
    let below = [(); 3].map(|()| watching.line()).join("\n");
    assert!(below.contains(&format!("netns {}", namespace.0)), "{below}");
    assert!(below.contains("python3 -c 'import"), "{below}");
    watching.interrupt();
    assert_eq!(watching.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_read_for_a_while_did_not_close() {
    if !have_root("what_cannot_be_read_for_a_while_did_not_close") {
        return;
    }
    use rustix::process::{Resource, Rlimit, prlimit};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port_word = format!(":{}", listener.local_addr().unwrap().port());
    let mut watching = Watching::start(&["-l", &port_word, "--json"]);
    assert_eq!(watching.record()["type"], "begin");
    let mut stderr = BufReader::new(watching.child.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    let pid = Pid::from_raw(i32::try_from(watching.child.id()).unwrap());
    let set = |current| {
        let maximum = Some(1_024);
        prlimit(pid, Resource::Nofile, Rlimit { current, maximum }).unwrap()
    };
    // No descriptor is left for a look.
    let before = set(Some(4));
    std::thread::sleep(std::time::Duration::from_millis(400));
    set(before.current.map(|it| it.min(1_024)));
    std::thread::sleep(std::time::Duration::from_millis(400));
    watching.interrupt();
    let mut gaps = 0;
    let end = wait_for("the end", || {
        let record = watching.record();
        gaps += usize::from(record["type"] == "gap");
        assert_ne!(record["type"], "closed", "{record}");
        (record["type"] == "end").then_some(record)
    });
    assert!(gaps > 0, "{end}");
    assert_eq!(end["counts"]["opened"], 0, "{end}");
}

#[test]
fn watching_in_lines_names_the_owner_of_each_change() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut watching = Watching::start(&[&format!(":{}", address.port())]);
    // The first look has been taken when this is said.
    let mut said = String::new();
    let mut stderr = BufReader::new(watching.child.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    assert!(said.starts_with("Watching 1 socket,"), "{said}");
    let _client = TcpStream::connect(address).unwrap();
    let mine = format!("[{}] fd ", std::process::id());
    wait_for("our own end", || {
        let line = watching.line();
        let opened = line.contains("  opened   tcp   ESTABLISHED  127.0.0.1:");
        (opened && line.contains(&mine)).then_some(())
    });
    watching.interrupt();
    assert_eq!(watching.child.wait().unwrap().code(), Some(0));
}
