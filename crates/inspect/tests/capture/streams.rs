//! `--follow` against the truth, against tshark, and on a network that loses segments.

use std::collections::HashMap;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::program::*;
use crate::support::have_program;
use crate::traffic::{self, Hash, Plan, Truth};
use crate::wire::{Reaped, Wire};

/// A file of many conversations.
fn recorded(folder: &tempfile::TempDir, plan: &Plan) -> (String, Truth) {
    let path = folder.path().join("traffic.pcap");
    let mut out = BufWriter::new(std::fs::File::create(&path).unwrap());
    let truth = traffic::write(plan, &mut out).unwrap();
    std::io::Write::flush(&mut out).unwrap();
    (path.display().to_string(), truth)
}

fn records(arguments: &[&str]) -> Vec<Value> {
    let output = inspect()
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn end(value: &Value) -> SocketAddr {
    let address = value["address"].as_str().unwrap().parse().unwrap();
    SocketAddr::new(
        address,
        u16::try_from(value["port"].as_u64().unwrap()).unwrap(),
    )
}

fn bytes(record: &Value) -> Vec<u8> {
    let text = record["base64"].as_str();
    text.map_or_else(Vec::new, |text| STANDARD.decode(text).unwrap())
}

#[test]
fn every_stream_has_the_bytes_that_were_sent() {
    let folder = tempfile::tempdir().unwrap();
    for (seed, new_hosts) in [(7, false), (8, true)] {
        let plan = Plan {
            packets: 20_000,
            new_hosts,
            seed,
        };
        let (path, truth) = recorded(&folder, &plan);
        assert!(truth.again > 100 && truth.swapped > 100, "{truth:?}");
        let all = records(&["-r", &path, "--follow", "--json"]);
        let mut streams: HashMap<(SocketAddr, SocketAddr), (Hash, u64, bool)> = HashMap::new();
        for record in all.iter().filter(|record| record["type"] == "stream") {
            assert_eq!(record["gap"], Value::Null);
            assert_eq!(record.get("out_of_order"), None);
            let stream = streams
                .entry((end(&record["from"]), end(&record["to"])))
                .or_default();
            if record["end"] == "closed" {
                stream.2 = true;
                continue;
            }
            let bytes = bytes(record);
            assert_eq!(record["offset"], stream.1, "in order");
            stream.0.add(&bytes);
            stream.1 += bytes.len() as u64;
        }
        assert_eq!(streams.len(), truth.spoken.len());
        for spoken in &truth.spoken {
            let (hash, length, closed) = streams[&(spoken.from, spoken.to)];
            assert_eq!((hash.0, length), (spoken.hash, spoken.length), "{spoken:?}");
            assert!(closed);
        }
        let last = all.last().unwrap();
        assert_eq!(last["complete"], true);
        assert_eq!(last["counts"]["packet"], truth.packets);
        assert_eq!(last["counts"]["conversation"], truth.conversations);
    }
}

/// What tshark puts together of the first streams of a file: for each side, its bytes.
fn by_tshark(path: &str, streams: usize) -> Vec<[Vec<u8>; 2]> {
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-q", "-r", path]);
    for stream in 0..streams {
        tshark.args(["-z", &format!("follow,tcp,raw,{stream}")]);
    }
    let output = tshark.stderr(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut found = vec![Default::default(); streams];
    for part in text.split("Follow: tcp,raw").skip(1) {
        let mut sides: [Vec<u8>; 2] = Default::default();
        let mut number = None;
        for line in part.lines().skip(1) {
            if let Some(filter) = line.strip_prefix("Filter: tcp.stream eq ") {
                number = filter.parse::<usize>().ok();
            }
            // What the other side than the first says is indented.
            let (side, hex) = match line.strip_prefix('\t') {
                Some(hex) => (1, hex),
                None => (0, line),
            };
            if hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            let digits = hex.as_bytes().chunks(2);
            sides[side].extend(
                digits
                    .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()),
            );
        }
        found[number.unwrap()] = sides;
    }
    found
}

#[test]
fn tshark_puts_together_the_same() {
    const STREAMS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        packets: 1_500,
        new_hosts: true,
        seed: 3,
    };
    let (path, truth) = recorded(&folder, &plan);
    assert!(truth.conversations > 50 && truth.again > 5, "{truth:?}");
    if !have_program("tshark", "tshark_puts_together_the_same") {
        return;
    }
    let theirs = by_tshark(&path, STREAMS);
    let mut ours: HashMap<u64, [Vec<u8>; 2]> = HashMap::new();
    let mut clients: HashMap<u64, SocketAddr> = HashMap::new();
    for record in records(&["-r", &path, "--follow", "--json"]) {
        if record["type"] != "stream" {
            continue;
        }
        let number = record["conversation"].as_u64().unwrap();
        let from = end(&record["from"]);
        // The first who speaks here is who opened.
        let client = clients.entry(number).or_insert(from);
        let side = usize::from(*client != from);
        ours.entry(number).or_default()[side].extend(bytes(&record));
    }
    let mut compared = 0;
    for (index, theirs) in theirs.iter().enumerate() {
        let number = index as u64 + 1;
        let Some(ours) = ours.get(&number) else {
            assert!(number > truth.conversations);
            continue;
        };
        assert_eq!(ours, theirs, "stream {index}");
        compared += 1;
    }
    assert!(compared > 50, "{compared}");
}

/// The same file without every 50th frame of those that are long enough to say something.
fn without_some(path: &str) -> usize {
    let whole = std::fs::read(path).unwrap();
    let mut kept = whole[..24].to_vec();
    let (mut at, mut seen, mut lost) = (24, 0, 0);
    while at < whole.len() {
        let length = u32::from_le_bytes(whole[at + 8..at + 12].try_into().unwrap()) as usize;
        let record = &whole[at..at + 16 + length];
        at += record.len();
        seen += usize::from(length > 200);
        if length > 200 && seen % 50 == 0 {
            lost += 1;
        } else {
            kept.extend(record);
        }
    }
    std::fs::write(path, kept).unwrap();
    lost
}

#[test]
fn what_was_not_captured_is_a_gap_of_the_right_size() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        packets: 10_000,
        new_hosts: true,
        seed: 5,
    };
    let (path, truth) = recorded(&folder, &plan);
    let lost = without_some(&path);
    assert!(lost > 50, "{lost}");
    let all = records(&["-r", &path, "--follow", "--json"]);
    let mut streams: HashMap<(SocketAddr, SocketAddr), (Hash, u64, u64)> = HashMap::new();
    for record in all.iter().filter(|record| record["type"] == "stream") {
        let stream = streams
            .entry((end(&record["from"]), end(&record["to"])))
            .or_default();
        let bytes = bytes(record);
        let missing = record["gap"]["length"].as_u64().unwrap_or(0);
        if record["end"] == Value::Null {
            assert_eq!(record["offset"], stream.1, "side by side: {record}");
        }
        stream.0.add(&bytes);
        stream.1 += bytes.len() as u64 + missing;
        stream.2 += missing;
    }
    let mut gaps = 0;
    for spoken in &truth.spoken {
        let (hash, length, missing) = streams[&(spoken.from, spoken.to)];
        assert_eq!(length, spoken.length, "{spoken:?}");
        if missing == 0 {
            assert_eq!(hash.0, spoken.hash, "{spoken:?}");
        } else {
            gaps += 1;
        }
    }
    // What was lost and sent again is no gap.
    assert!(gaps > 40 && gaps <= lost, "{gaps} of {lost}");
    let last = all.last().unwrap();
    assert_eq!(last["complete"], false);
    // The dialogue says what it lacks as well.
    let output = inspect()
        .args(["-r", &path, "--follow"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(" not captured]\n"));
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(
        messages.contains("bytes missing in what was said"),
        "{messages}"
    );
}

#[test]
fn a_wire_that_loses_every_seventh_packet_changes_nothing_of_what_was_said() {
    let test = "a_wire_that_loses_every_seventh_packet_changes_nothing_of_what_was_said";
    if !is_root(test) || !have_program("nft", test) {
        return;
    }
    let wire = Wire::new("lossy");
    let nft = |words: &str| wire.nft(0, words);
    nft("add table ip lossy");
    nft("add chain ip lossy out { type filter hook output priority 0 ; }");
    nft(
        "add rule ip lossy out tcp dport 2345 tcp flags & syn == 0 numgen inc mod 7 0 counter drop",
    );
    let server = wire
        .python(
            1,
            "import socket
listener = socket.create_server(('10.9.0.2', 2345))
print('ready', flush=True)
server = listener.accept()[0]
heard = 0
while (part := server.recv(65536)): heard += len(part)
server.sendall(b'%d' % heard)
server.close()",
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Reaped(server);
    let mut ready = [0; 6];
    std::io::Read::read_exact(server.0.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let mut command = inspect();
    command.args(["--json", "--follow", "--port", "2345", "-i", "wire"]);
    let running = Running::start(&mut wire.inside(1, &command));
    assert_eq!(running.record()["type"], "begin");
    let client = wire
        .python(
            0,
            "import socket
client = socket.create_connection(('10.9.0.2', 2345))
client.sendall(b''.join(b'line %06d of what was said\\n' % number for number in range(2000)))
client.shutdown(socket.SHUT_WR)
print(client.recv(100).decode())",
        )
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&client.stdout).trim(), "58000");
    server.0.wait().unwrap();
    let rules = nft("list table ip lossy");
    let (_, counted) = rules.split_once("packets ").expect(&rules);
    let lost: u32 = counted.split(' ').next().unwrap().parse().unwrap();
    assert!(lost > 4, "{rules}");

    let records = running.interrupt().records();
    let answer = records
        .iter()
        .find(|record| record["type"] == "stream" && record["text"] == "58000");
    let answer = answer.unwrap_or_else(|| panic!("{records:#?}"));
    assert_eq!(answer["from_owners"][0]["command"], "python3", "{answer}");
    let mut said = Vec::new();
    for record in records.iter().filter(|record| record["type"] == "stream") {
        assert_eq!(record["gap"], Value::Null, "{record}");
        if record["from"]["address"] == "10.9.0.1" {
            said.extend(bytes(record));
        }
    }
    let expected: String = (0..2000)
        .map(|number| format!("line {number:06} of what was said\n"))
        .collect();
    assert_eq!(String::from_utf8(said).unwrap(), expected);
}
