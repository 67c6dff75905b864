//! Whose calls are told, and that nobody is the worse for it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::Running;
use crate::support::{have_root, inspect, own_network};

fn can_trace(test: &str) -> bool {
    have_root(test) && inspect::bpf::allowed().is_ok()
}

fn trace(arguments: &[&str]) -> Running {
    let running = Running::start(inspect().args(["trace", "--json"]).args(arguments));
    assert_eq!(running.record()["type"], "begin");
    running
}

/// A server that answers each line, and says its port first.
const SERVER: &str = "
import socket
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
server, _ = listener.accept()
while words := server.recv(64): server.sendall(words.upper())
";

#[test]
fn a_process_that_runs_is_followed_and_left_unharmed() {
    if !can_trace("a_process_that_runs_is_followed_and_left_unharmed") {
        return;
    }
    own_network();
    let mut server = Command::new("python3")
        .args(["-c", SERVER])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = [0; 6];
    let length = server.stdout.as_mut().unwrap().read(&mut port).unwrap();
    let port: u16 = std::str::from_utf8(&port[..length])
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut say = |words: &[u8]| {
        client.write_all(words).unwrap();
        let mut heard = vec![0; words.len()];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(heard, words.to_ascii_uppercase());
    };
    say(b"before");
    let running = trace(&["-p", &server.id().to_string()]);
    say(b"while");
    // It asks for more, which it waits for.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let ended = running.interrupt();
    assert!(ended.status.success(), "{:?}", ended.messages);
    say(b"after");
    drop(client);
    assert!(server.wait().unwrap().success());
    let records = ended.records();
    let calls: Vec<&Value> = records.iter().filter(|it| it["type"] == "call").collect();
    assert!(
        calls.iter().all(|call| call["pid"] == server.id()),
        "{calls:?}"
    );
    let sent = calls
        .iter()
        .find(|call| call["call"] == "sendto")
        .expect("an answer");
    assert_eq!(sent["arguments"]["buffer"]["text"], "WHILE");
    assert_eq!(sent["local"]["port"], port);
    assert_eq!(sent["result"], 5);
    // It waits for more, and has been since before we left.
    let last = calls.last().unwrap();
    assert_eq!(
        (&last["call"], &last["unfinished"]),
        (&"recvfrom".into(), &"waits".into())
    );
    let end = records.last().unwrap();
    assert_eq!((&end["type"], &end["lost"]), (&"end".into(), &0.into()));
}

#[test]
fn who_touches_a_port_is_told_from_the_making_of_its_socket_and_others_are_not() {
    if !can_trace("who_touches_a_port_is_told_from_the_making_of_its_socket_and_others_are_not") {
        return;
    }
    own_network();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = trace(&["--port", &port.to_string(), "-e", "!fcntl"]);
    let elsewhere = TcpStream::connect(other.local_addr().unwrap()).unwrap();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    drop((client, server, elsewhere));
    let records = running.interrupt().records();
    let own = records.iter().filter(|it| it["pid"] == std::process::id());
    let calls: Vec<(String, bool)> = own
        .map(|call| {
            let ends = [&call["local"]["port"], &call["remote"]["port"]];
            let name = call["call"].as_str().unwrap().to_owned();
            (name, ends.iter().any(|end| **end == port))
        })
        .collect();
    let names: Vec<&str> = calls.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "socket", "connect", "accept4", "sendto", "recvfrom", "close", "close"
        ],
        "{calls:?}"
    );
    // The first knew no port yet.
    assert!(
        calls[1..].iter().all(|(_, has_port)| *has_port),
        "{calls:?}"
    );
}

#[test]
fn a_thread_that_ends_within_a_call_is_told() {
    if !can_trace("a_thread_that_ends_within_a_call_is_told") {
        return;
    }
    own_network();
    let script = "
import os, signal, socket, threading
one, two = socket.socketpair()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
one.recv(1)
";
    let ended =
        Running::start(inspect().args(["trace", "--json", "--", "python3", "-c", script])).end();
    // 128 and the signal, as a shell has it.
    assert_eq!(ended.status.code(), Some(128 + 9), "{:?}", ended.messages);
    let records = ended.records();
    let calls: Vec<&Value> = records.iter().filter(|it| it["type"] == "call").collect();
    let killed = calls
        .iter()
        .find(|call| call["unfinished"] == "thread ended");
    assert_eq!(
        killed.expect("a call without an end")["call"],
        "recvfrom",
        "{calls:?}"
    );
}

#[test]
fn what_finds_no_room_is_counted_and_told() {
    if !can_trace("what_finds_no_room_is_counted_and_told") {
        return;
    }
    own_network();
    let script = "
import socket
one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
words = bytes(4000)
for _ in range(60000):
    one.send(words)
    two.recv(4096)
";
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = inspect()
        .args(["trace", "--json", "--buffer", "1", "-s", "4096", "-o"])
        .arg(file.path())
        .args(["--", "python3", "-c", script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(file.path()).unwrap();
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let gap = records
        .iter()
        .find(|it| it["type"] == "gap")
        .expect("a gap");
    assert!(
        gap["reason"].as_str().unwrap().contains("--buffer"),
        "{gap}"
    );
    let end = records.last().unwrap();
    assert_eq!(end["complete"], false);
    assert!(end["lost"].as_u64().unwrap() > 0, "{end}");
}

#[test]
fn without_the_right_it_says_which() {
    let test = "without_the_right_it_says_which";
    if !have_root(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = crate::support::readable_copy(folder.path());
    let output = crate::support::by_nobody(&program)
        .args(["trace", "--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("cap_bpf and cap_perfmon"), "{words}");
    assert!(
        words.contains(&format!("sudo {} trace -- true", program.display())),
        "{words}"
    );
}

#[test]
fn sums_are_those_of_the_calls() {
    if !can_trace("sums_are_those_of_the_calls") {
        return;
    }
    own_network();
    let script = "
import socket
listener = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
for _ in range(3): client.sendall(b'hello')
heard = b''
while len(heard) < 15: heard += server.recv(64)
server.setblocking(False)
try: server.recv(64)
except BlockingIOError: pass
";
    let run = |arguments: &[&str]| {
        let mut command = inspect();
        command.arg("trace").args(arguments);
        let output = command
            .args(["--", "python3", "-c", script])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run(&["-c", "--json"]);
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str, test: &dyn Fn(&Value) -> bool| {
        let found = records.iter().find(|it| it["type"] == kind && test(it));
        found.unwrap_or_else(|| panic!("no {kind}: {text}")).clone()
    };
    let sent = of("calls", &|it| it["call"] == "sendto");
    assert_eq!(
        (&sent["calls"], &sent["bytes_out"]),
        (&3.into(), &15.into())
    );
    let read = of("calls", &|it| it["call"] == "recvfrom");
    assert_eq!(
        (&read["errors"], &read["bytes_in"]),
        (&1.into(), &15.into())
    );
    assert!(sent["time_ns"].as_u64().unwrap() > 0);
    let client = of("descriptor", &|it| it["bytes_out"] == 15);
    let server = of("descriptor", &|it| it["bytes_in"] == 15);
    assert_eq!(client["remote"], server["local"]);
    assert!(records.iter().all(|it| it["type"] != "call"), "{text}");

    let table = run(&["-c"]);
    let row = table.lines().find(|line| line.starts_with("sendto"));
    let row: Vec<&str> = row.expect("a row").split_whitespace().collect();
    assert_eq!((row[1], row[row.len() - 1]), ("3", "15"), "{table}");
    assert!(table.contains("→127.0.0.1:"), "{table}");
}

#[test]
fn a_trace_ends_with_the_processes_that_it_is_of() {
    if !can_trace("a_trace_ends_with_the_processes_that_it_is_of") {
        return;
    }
    own_network();
    // Its child lives longer than itself.
    let script = "
import os, socket, sys
sys.stdin.readline()
if os.fork() == 0:
    one, two = socket.socketpair()
    one.send(b'hello')
    os._exit(0)
os._exit(0)
";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let running = trace(&["-p", &child.id().to_string()]);
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    child.wait().unwrap();
    let ended = running.end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    let records = ended.records();
    let sent = records.iter().find(|it| it["call"] == "sendto");
    let sent = sent.expect("what the child said");
    assert_eq!(sent["arguments"]["buffer"]["text"], "hello");
    assert_ne!(sent["pid"], child.id());

    let gone = inspect().args(["trace", "-p", "4194303"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(1));
    let words = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(words.contains("there is no such process"), "{words}");
}
