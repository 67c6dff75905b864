//! `-- COMMAND`: what a command and its children say.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::Value;

use crate::program::*;
use crate::support::own_network;

/// Says a word; has a child say one, and an orphan in a session of its own. Each waits for an
/// answer.
const FAMILY: &str = "\
import os, socket, subprocess, sys
port = int(sys.argv[1])
def say(word):
    s = socket.create_connection(('127.0.0.1', port))
    s.sendall(word)
    s.recv(1)
if os.fork() == 0:
    say(b'by a child')
    os._exit(0)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while os.getppid() == os.getsid(0):
            pass
        say(b'by an orphan')
    os._exit(0)
say(b'by itself')
os.wait()
os.wait()
";

#[test]
fn what_a_command_and_its_children_say_is_shown_and_nothing_else() {
    if !is_root("what_a_command_and_its_children_say_is_shown_and_nothing_else") {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let text = port.to_string();
    let running = capture_records(&["--", "python3", "-c", FAMILY, &text]);
    let mut heard = Vec::new();
    for _ in 0..3 {
        // One of ours in between.
        let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stranger.write_all(b"by a stranger").unwrap();
        heard.push(stranger);
    }
    for _ in 0..6 {
        let (mut said, _) = listener.accept().unwrap();
        let mut bytes = [0; 64];
        assert!(said.read(&mut bytes).unwrap() > 0);
        heard.push(said);
    }
    let mut wanted = vec!["by a child", "by an orphan", "by itself"];
    let mut ours = 0;
    while !wanted.is_empty() {
        let record = running.record();
        let word = record["payload"]["text"].as_str().unwrap();
        assert!(!word.contains("stranger"), "{record}");
        if record["flags"] == serde_json::json!(["SYN"]) {
            ours += 1;
        }
        wanted.retain(|it| *it != word);
    }
    assert_eq!(ours, 3, "each from its SYN on");
    for socket in &mut heard {
        let _ = socket.write_all(b"x");
    }
    let ended = running.end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    let records = ended.records();
    let end = records.last().unwrap();
    assert_eq!(end["complete"], true, "{end} {:?}", ended.messages);
    assert_eq!(end["counts"]["conversation"], 3, "{end}");
    // Its last words too: it ended before the capture did.
    let finished = |it: &&Value| {
        let flags = it["flags"].as_array().map(Vec::as_slice);
        flags.unwrap_or_default().contains(&"FIN".into())
    };
    assert!(records.iter().filter(finished).count() >= 3, "{records:#?}");
}

/// Children of children that each say their number on a connection and a datagram of their own, and
/// are gone.
const BRIEF: &str = "\
for i in $(seq 50); do
    ( ( exec 7<>/dev/tcp/127.0.0.1/$1; printf %s tcp.$i >&7 ) )
    ( ( printf %s udp.$i > /dev/udp/127.0.0.1/$2 ) )
done
";

#[test]
fn children_that_are_gone_at_once_are_known_by_what_the_kernel_tells() {
    let test = "children_that_are_gone_at_once_are_known_by_what_the_kernel_tells";
    if !is_root(test) || inspect::bpf::allowed().is_err() {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let (sink, datagrams) = udp_sink();
    let [tcp, udp] = [port, datagrams].map(|port| port.to_string());
    let running = capture_records(&["--", "bash", "-c", BRIEF, "bash", &tcp, &udp]);
    for _ in 0..50 {
        let (mut said, _) = listener.accept().unwrap();
        assert!(said.read_to_end(&mut Vec::new()).unwrap() > 0);
        // Others, as brief.
        let to = sink.local_addr().unwrap();
        let script = format!("printf %s strange > /dev/udp/127.0.0.1/{}", to.port());
        let done = std::process::Command::new("bash")
            .args(["-c", &script])
            .status();
        assert!(done.unwrap().success());
    }
    let ended = running.end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    let records = ended.records();
    let mut said: Vec<&str> = records
        .iter()
        .filter_map(|it| it["payload"]["text"].as_str())
        .filter(|it| !it.is_empty())
        .collect();
    let mut expected: Vec<String> = (1..=50)
        .flat_map(|number| [format!("tcp.{number}"), format!("udp.{number}")])
        .collect();
    said.sort_unstable();
    expected.sort_unstable();
    assert_eq!(said, expected);
    let end = records.last().unwrap();
    assert_eq!(end["complete"], true, "{end} {:?}", ended.messages);
    // Two children may get the same port, one after the other.
    let conversations = end["counts"]["conversation"].as_u64().unwrap();
    assert!((80..=100).contains(&conversations), "{end}");
}

#[test]
fn the_status_of_the_command_is_said_and_is_ours() {
    if !is_root("the_status_of_the_command_is_said_and_is_ours") {
        return;
    }
    own_network();
    let run = |script: &str| Running::start(inspect().args(["--", "sh", "-c", script])).end();
    let ended = run("echo said by the command; exit 3");
    assert_eq!(ended.lines, ["said by the command"]);
    assert_eq!(ended.status.code(), Some(3), "the command's own");
    assert_eq!(
        ended.messages.last().unwrap(),
        "inspect: sh ended with status 3"
    );
    let ended = run("kill -9 $$");
    assert_eq!(ended.status.code(), Some(128 + 9));
    assert_eq!(
        ended.messages.last().unwrap(),
        "inspect: sh was killed by signal 9"
    );
    // It has what this program was given, and no more: not the packet socket.
    let ended = run("ls -l /proc/self/fd");
    assert!(ended.status.success(), "{:?}", ended.messages);
    let sockets = ended.lines.iter().filter(|line| line.contains("socket:"));
    assert_eq!(sockets.count(), 0, "{:?}", ended.lines);
    assert!(ended.lines.len() >= 4, "{:?}", ended.lines);
    let output = inspect().args(["--", "/no/such/command"]).output().unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "inspect: cannot start /no/such/command: there is no such command\n"
    );
    let output = inspect().args(["--", "/etc/passwd"]).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    // What was asked of the capture went wrong, which the end of the command must not hide.
    let full = inspect()
        .args(["-w", "/dev/full", "--", "bash", "-c"])
        .arg("echo > /dev/udp/127.0.0.1/9")
        .output()
        .unwrap();
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    let output = inspect().args(["-r", "x", "--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_signal_is_the_commands_and_a_second_one_kills_it() {
    if !is_root("a_signal_is_the_commands_and_a_second_one_kills_it") {
        return;
    }
    own_network();
    let script = |reaction: &str| {
        format!(
            "import signal, sys, time\n\
             signal.signal(signal.SIGINT, {reaction})\n\
             print('ready', flush=True)\n\
             time.sleep(60)"
        )
    };
    let start = |reaction: &str| {
        let running = Running::start(inspect().args(["--", "python3", "-c", &script(reaction)]));
        assert_eq!(running.line(), "ready");
        running
    };
    let ended = start("lambda *_: sys.exit(5)").interrupt();
    assert_eq!(ended.status.code(), Some(5));
    assert_eq!(
        ended.messages.last().unwrap(),
        "inspect: python3 ended with status 5"
    );
    let stubborn = start("lambda *_: print('no', flush=True)");
    stubborn.signal(Signal::INT);
    assert_eq!(stubborn.line(), "no");
    let ended = stubborn.interrupt();
    assert_eq!(ended.status.code(), Some(128 + 9));
    let last = ended.messages.last().unwrap();
    assert_eq!(last, "inspect: python3 was killed by signal 9");
}

#[test]
fn a_count_ends_the_capture_and_not_the_command() {
    if !is_root("a_count_ends_the_capture_and_not_the_command") {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let text = port.to_string();
    let mut command = inspect();
    command.args(["-c", "1", "--", "python3", "-c"]);
    command.args([
        "import socket, sys\n\
         s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
         s.recv(1)\n\
         print('to its own end')",
        &text,
    ]);
    let running = Running::start(&mut command);
    let (mut server, _) = listener.accept().unwrap();
    assert!(running.line().contains("SYN"));
    running.message("1 packet");
    server.write_all(b"x").unwrap();
    let ended = running.end();
    assert!(ended.status.success());
    assert_eq!(ended.lines, ["to its own end"]);
}

/// Children one after the other, each gone as soon as it has spoken.
const HASTE: &str = "\
import subprocess, sys
child = '''
import socket, sys
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
s.sendall(b'gone')
'''
for _ in range(5):
    subprocess.run([sys.executable, '-S', '-c', child, sys.argv[1]], check=True)
";

#[test]
fn what_children_say_that_are_gone_at_once_is_shown_too() {
    let name = "what_children_say_that_are_gone_at_once_is_shown_too";
    if !crate::lives::is_told(name) {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let text = port.to_string();
    let running = capture_records(&["--", "python3", "-c", HASTE, &text]);
    let _heard: Vec<_> = (0..5).map(|_| listener.accept().unwrap()).collect();
    let ended = running.end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    let records = ended.records();
    let gone = records.iter().filter(|it| it["payload"]["text"] == "gone");
    assert_eq!(gone.count(), 5, "{:?} {:?}", records.last(), ended.messages);
    assert_eq!(
        records.last().unwrap()["complete"],
        true,
        "{:?}",
        ended.messages
    );
}

#[test]
fn two_dashes_without_a_command_are_wrong_usage() {
    for arguments in [
        &["--"][..],
        &[":80", "-q", "--"],
        &["--duration", "1", "--"],
    ] {
        let output = inspect().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "inspect: no command behind --: inspect capture -- COMMAND starts one; without -- \
             capture captures what every process says\n"
        );
    }
}
