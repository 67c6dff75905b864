//! Packets of some processes and users alone, live.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::program::*;
use crate::support::own_network;

/// A process that says each line of its stdin on a connection of its own, and keeps it, unless
/// the line is the last.
const SPEAKER: &str = "\
import socket, sys
name, port = sys.argv[1:]
open('/proc/self/comm', 'w').write(name)
kept = []
for line in sys.stdin:
    s = socket.create_connection(('127.0.0.1', int(port)))
    s.sendall(line.strip().encode())
    kept.append(s)
";

struct Speaker {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Speaker {
    fn start(name: &str, port: u16, uid: u32) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", SPEAKER, name, &port.to_string()])
            .stdin(Stdio::piped())
            .uid(uid)
            .current_dir("/")
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        Self { child, stdin }
    }

    /// Says it, and waits until it was heard.
    fn say(&mut self, word: &str, listener: &TcpListener) -> std::net::TcpStream {
        writeln!(self.stdin.as_mut().unwrap(), "{word}").unwrap();
        let (mut heard, _) = listener.accept().unwrap();
        let mut bytes = vec![0; word.len()];
        std::io::Read::read_exact(&mut heard, &mut bytes).unwrap();
        assert_eq!(bytes, word.as_bytes());
        heard
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn packets(ended: &Ended) -> Vec<Value> {
    let mut records = ended.records();
    records.retain(|record| record["type"] == "packet");
    records
}

fn words(packets: &[Value]) -> Vec<&str> {
    let text = packets
        .iter()
        .filter_map(|it| it["payload"]["text"].as_str());
    text.filter(|text| !text.is_empty()).collect()
}

#[test]
fn only_the_conversations_of_a_process_or_a_user_are_shown_from_their_first_packet() {
    if !is_root("only_the_conversations_of_a_process_or_a_user_are_shown_from_their_first_packet") {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let mut mine = Speaker::start("mine", port, 0);
    let mut others = Speaker::start("others", port, 65_534);
    let pid = mine.child.id().to_string();
    let both = std::process::id().to_string();
    let cases: [(&[&str], [bool; 2]); 6] = [
        (&["--pid", &pid], [true, false]),
        (&["--process", "mine"], [true, false]),
        (&["--process", "others", "--pid", &pid], [false, false]),
        (&["--user", "65534"], [false, true]),
        (&["--user", "root"], [true, true]),
        (&["--pid", &both], [true, true]),
    ];
    for (round, (flags, shown)) in cases.into_iter().enumerate() {
        let running = capture_records(flags);
        let mut kept = Vec::new();
        let mut expected = Vec::new();
        for number in 0..4 {
            for (who, speaker) in [&mut mine, &mut others].into_iter().enumerate() {
                let word = format!("{round}.{number} by {who}");
                kept.push(speaker.say(&word, &listener));
                if shown[who] {
                    expected.push(word);
                }
            }
        }
        // What is held back is let go only when its process was seen.
        let mut seen = 0;
        let mut packets_seen = Vec::new();
        while seen < expected.len() {
            let record = running.record();
            if record["payload"]["text"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
            {
                seen += 1;
            }
            packets_seen.push(record);
        }
        let ended = running.interrupt();
        assert!(ended.status.success());
        packets_seen.extend(packets(&ended));
        assert_eq!(words(&packets_seen), expected, "{flags:?}");
        let times: Vec<&str> = packets_seen
            .iter()
            .map(|it| it["time"].as_str().unwrap())
            .collect();
        assert!(times.is_sorted(), "{times:?}");
        // Each from its SYN on, numbered without those of others, and with its owner.
        let number = |it: &Value| it["conversation"].as_u64().unwrap();
        for conversation in 1..=u64::try_from(expected.len()).unwrap() {
            let first = packets_seen.iter().find(|it| number(it) == conversation);
            let first = first.unwrap_or_else(|| panic!("{flags:?} {packets_seen:#?}"));
            assert_eq!(first["flags"], serde_json::json!(["SYN"]), "{flags:?}");
            // The server may be known, and wanted, before the client.
            if shown != [true, true] {
                assert_eq!(first["source_attribution"], "exact", "{first}");
            }
        }
        let end = ended.records().pop().unwrap();
        assert_eq!(
            end["complete"], true,
            "{flags:?} {end} {:?}",
            ended.messages
        );
        assert_eq!(end["counts"]["conversation"], expected.len(), "{end}");
    }
}

#[test]
fn a_file_has_the_packets_of_the_process_alone_and_a_count_counts_them() {
    if !is_root("a_file_has_the_packets_of_the_process_alone_and_a_count_counts_them") {
        return;
    }
    own_network();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.pcap");
    let path = path.to_str().unwrap();
    let (listener, port) = listener();
    let mut mine = Speaker::start("mine", port, 0);
    let mut others = Speaker::start("others", port, 0);
    let pid = mine.child.id().to_string();
    let running = Running::start(inspect().args(["--pid", &pid, "-c", "7", "-w", path]));
    let deadline = Instant::now() + LIMIT;
    while std::fs::metadata(path).map_or(0, |it| it.len()) < 24 && Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let _kept: Vec<_> = (0..3)
        .flat_map(|number| {
            [
                others.say(&format!("other {number}"), &listener),
                mine.say(&format!("mine {number}"), &listener),
            ]
        })
        .collect();
    assert!(running.end().status.success());
    let read = Running::start(inspect().args(["--json", "-r", path])).end();
    let packets = packets(&read);
    assert_eq!(packets.len(), 7);
    let said = words(&packets);
    assert!(
        !said.is_empty() && said.iter().all(|it| it.starts_with("mine")),
        "{said:?}"
    );
}

#[test]
fn a_pcapng_file_has_the_process_alone_and_tells_it_when_it_is_read_by_process() {
    let test = "a_pcapng_file_has_the_process_alone_and_tells_it_when_it_is_read_by_process";
    if !is_root(test) {
        return;
    }
    own_network();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (all, alone, none) = (
        file("all.pcapng"),
        file("alone.pcapng"),
        file("none.pcapng"),
    );
    let (listener, port) = listener();
    let mut mine = Speaker::start("mine", port, 0);
    let mut others = Speaker::start("others", port, 0);
    let pid = mine.child.id().to_string();
    let start = |flags: &[&str]| {
        let running = capture_records(&[&["--print", "-w"], flags].concat());
        crate::support::wait_for("the file", || {
            (std::fs::metadata(flags[0]).map_or(0, |it| it.len()) > 0).then_some(())
        });
        running
    };
    let every = start(&[&all]);
    let chosen = start(&[&alone, "--pid", &pid]);
    let unknown = start(&[&none, "--owners", "none"]);
    let mut expected = Vec::new();
    for number in 0..4 {
        let word = format!("mine {number}");
        let _others = others.say(&format!("other {number}"), &listener);
        let _mine = mine.say(&word, &listener);
        expected.push(word);
    }
    let shown = [every, chosen, unknown].map(|running| {
        let ended = running.interrupt();
        assert!(ended.status.success(), "{:?}", ended.messages);
        packets(&ended)
    });
    assert_eq!(words(&shown[1]), expected);
    let read = |flags: &[&str]| Running::start(inspect().arg("--json").args(flags)).end();
    // What was written is what was shown, with its bytes, times and owners.
    let written = packets(&read(&["-r", &alone]));
    assert_eq!(words(&written), expected);
    let times =
        |packets: &[Value]| -> Vec<Value> { packets.iter().map(|it| it["time"].clone()).collect() };
    assert_eq!(times(&written), times(&shown[1]));
    // Every capture has times of its own for the same packets, and an end of its own: an
    // acknowledgement may come late.
    let said = |packets: &[Value]| -> Vec<[Value; 3]> {
        let of = |it: &Value| ["seq", "flags", "payload"].map(|field| it[field].clone());
        let speaks = |it: &&Value| it["length"] != 0 || it["ack"].is_null();
        packets.iter().filter(speaks).map(of).collect()
    };
    assert_eq!(written[0]["source_owners"][0]["pid"].to_string(), pid);
    // Out of a file with others, by its owners, as it was chosen live.
    for flags in [["--pid", &pid], ["--process", "mine"]] {
        let again = read(&[&["-r", &all][..], &flags].concat());
        assert!(again.status.success(), "{:?}", again.messages);
        assert_eq!(said(&packets(&again)), said(&written), "{flags:?}");
        let end = again.records().pop().unwrap();
        assert_eq!(end["counts"]["conversation"], expected.len(), "{end}");
    }
    let summed = read(&["-r", &all, "--pid", &pid, "--summary"]);
    let is_conversation = |it: &&Value| it["type"] == "conversation";
    let listed = summed.records().iter().filter(is_conversation).count();
    assert_eq!(listed, expected.len(), "{:?}", summed.lines);
    let followed = read(&["-r", &all, "--pid", &pid, "--follow"]);
    assert!(followed.lines.iter().all(|it| !it.contains("other ")));
    assert!(followed.lines.iter().any(|it| it.contains("mine 3")));
    let lacking = read(&["-r", &none, "--pid", &pid]);
    assert_eq!(lacking.status.code(), Some(1));
    let says = |line: &String| line.contains("does not tell who held the sockets");
    assert!(lacking.messages.iter().any(says), "{:?}", lacking.messages);
}

#[test]
fn what_may_have_been_wanted_and_could_not_be_told_is_counted() {
    if !is_root("what_may_have_been_wanted_and_could_not_be_told_is_counted") {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let mut mine = Speaker::start("mine", port, 0);
    let pid = mine.child.id().to_string();
    let running = capture_records(&["--pid", &pid, "--owners", "proc"]);
    // It lives and ends while nobody can look.
    running.signal(Signal::STOP);
    drop(mine.say("gone before anybody looked", &listener));
    drop(mine);
    running.signal(Signal::CONT);
    let ended = running.interrupt();
    assert!(ended.status.success());
    assert_eq!(packets(&ended), [] as [Value; 0]);
    let gaps = ended.records();
    let gap = gaps.iter().find(|it| it["type"] == "gap").expect("a gap");
    assert!(gap["count"].as_u64().unwrap() >= 4, "{gap}");
    let told = |line: &String| line.contains("whose they are could not be told");
    assert!(ended.messages.iter().any(told), "{:?}", ended.messages);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let refused = |flags: &[&str]| {
        let output = inspect().args(flags).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(message.lines().count(), 1, "{message}");
        (output.status.code(), message)
    };
    // A pcap file without packets: it has no place for owners.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.pcap");
    std::fs::write(&path, crate::crafted::pcap(1, &[])).unwrap();
    let path = path.to_str().unwrap();
    for flag in ["--pid", "--process", "--user"] {
        let (code, message) = refused(&[flag, "1", "-r", path]);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains("a live capture"), "{message}");
        let (code, message) = refused(&[flag, "1", "--owners", "none"]);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains("--owners none"), "{message}");
    }
    if !is_root("what_cannot_be_meant_is_refused") {
        return;
    }
    let (code, message) = refused(&["--pid", "4194305"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("there is no such process"), "{message}");
    let (code, message) = refused(&["--user", "no such user"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("no user"), "{message}");
}

#[test]
fn no_name_passes_for_another_process_in_any_view() {
    if !is_root("no_name_passes_for_another_process_in_any_view") {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let mut speaker = Speaker::start("evil[1] fd 3", port, 0);
    let owner = format!(r"evil\[1\] fd 3[{}]", speaker.child.id());
    let running = Running::start(inspect().args(["--process", "evil[1] fd 3"]));
    // It is open when it has said what it awaits.
    running.message("Nothing yet");
    let _heard = speaker.say("it", &listener);
    let line = running.line();
    assert!(line.contains(&format!(" {owner} 127.0.0.1:")), "{line}");
    for view in [
        &["sockets", &format!(":{port}")][..],
        &["process", &speaker.child.id().to_string()],
    ] {
        let shown = Command::new(env!("CARGO_BIN_EXE_inspect"))
            .env("LC_ALL", "C.UTF-8")
            .args(view)
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains(&owner), "{view:?}: {shown}");
    }
    let ended = running.interrupt();
    assert!(ended.status.success(), "{:?}", ended.messages);
    // A script gets the exact name.
    let shown = Command::new(env!("CARGO_BIN_EXE_inspect"))
        .args(["sockets", "--json", &format!(":{port}")])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(r#""evil[1] fd 3""#), "{shown}");
}
