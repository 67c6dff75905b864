//! TCP's options, as tshark and tcpdump read them.

use std::process::Command;

use serde_json::{Value, json};

use crate::crafted::*;
use crate::program::*;
use crate::support::have_program;

const MSS: [u8; 4] = [2, 4, 0xff, 0xd7];
const PERMITTED: [u8; 2] = [4, 2];
const SCALE: [u8; 3] = [3, 3, 7];

fn timestamps(value: u32, echo: u32) -> Vec<u8> {
    [&[8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat()
}

fn sack(blocks: &[(u32, u32)]) -> Vec<u8> {
    let mut bytes = vec![5, u8::try_from(2 + blocks.len() * 8).unwrap()];
    for (from, to) in blocks {
        bytes.extend(from.to_be_bytes());
        bytes.extend(to.to_be_bytes());
    }
    bytes
}

/// A conversation in which each segment has other options.
fn frames() -> Vec<Vec<u8>> {
    let nop = [1];
    // MP_CAPABLE of a SYN (RFC 8684, 3.1): version 1, no key yet.
    let capable = [30, 4, 0x01, 0x81];
    let opening = [
        &MSS[..],
        &PERMITTED,
        &timestamps(9, 0),
        &nop,
        &SCALE,
        &capable,
    ]
    .concat();
    let answer = [&MSS[..], &nop, &nop, &PERMITTED].concat();
    let gap = [&nop[..], &nop, &sack(&[(121, 131), (141, 151)])].concat();
    let unknown = [&[76, 4, 0xab, 0xcd][..], &timestamps(10, 4)].concat();
    [
        tcp_with(SYN, 100, 0, &opening, b""),
        answering(tcp_with(SYN_ACK, 300, 101, &answer, b"")),
        tcp_with(ACK, 101, 301, &timestamps(10, 3), b""),
        tcp_with(PSH_ACK, 101, 301, &unknown, b"hello"),
        // A window scale without its shift, and an option that goes on beyond the header.
        tcp_with(ACK, 106, 301, &[3, 2, 4, 2], b""),
        tcp_with(ACK, 106, 301, &[8, 30, 0, 0], b""),
        answering(tcp_with(ACK, 301, 106, &gap, b"")),
        tcp_with(ACK, 106, 301, &[], b""),
    ]
    .map(|segment| ethernet(0x0800, &ipv4(6, &segment)))
    .to_vec()
}

/// The other way around.
fn answering(mut segment: Vec<u8>) -> Vec<u8> {
    segment[..4].rotate_left(2);
    segment
}

/// The options of each packet in a line of text, padding left out.
fn in_brackets(line: &str) -> Vec<String> {
    let Some((_, rest)) = line.split_once("options [") else {
        return Vec::new();
    };
    let inside = rest.rsplit_once(']').unwrap().0;
    let words = inside
        .split(',')
        .filter(|word| *word != "nop" && *word != "eol");
    words.map(str::to_owned).collect()
}

fn recorded(folder: &tempfile::TempDir) -> String {
    let start = pair()[0].0;
    let frames = (0..)
        .zip(frames())
        .map(|(index, frame)| (start + index, frame, None));
    let path = folder.path().join("options.pcap");
    std::fs::write(&path, pcap(1, &frames.collect::<Vec<_>>())).unwrap();
    path.to_str().unwrap().to_owned()
}

fn shown(arguments: &[&str]) -> Vec<String> {
    let ended = Running::start(inspect().args(arguments)).end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    ended.lines
}

#[test]
fn options_are_those_that_tcpdump_reads() {
    if !have_program("tcpdump", "options_are_those_that_tcpdump_reads") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(&folder);
    let theirs = Command::new("tcpdump")
        .args(["-Z", "root", "-nr", &path])
        .output()
        .unwrap();
    let theirs = String::from_utf8(theirs.stdout).unwrap();
    let theirs: Vec<_> = theirs.lines().map(in_brackets).collect();
    let all = shown(&["-v", "-r", &path]);
    let ours: Vec<_> = all.iter().map(|line| in_brackets(line)).collect();
    assert_eq!(ours.len(), theirs.len());
    for index in [1, 2, 6, 7] {
        assert_eq!(ours[index], theirs[index], "{}", all[index]);
    }
    // Of what it words otherwise, the same is said.
    let mptcp = theirs[0].last().unwrap();
    assert!(mptcp.starts_with("mptcp 4 capable"), "{mptcp}");
    assert_eq!(ours[0].last().unwrap(), "mptcp capable");
    assert_eq!(ours[0][..4], theirs[0][..4]);
    assert_eq!(theirs[3], ["unknown-76 0xabcd", "TS val 10 ecr 4"]);
    assert_eq!(ours[3], ["unknown-76 length 4", "TS val 10 ecr 4"]);
    // Where it stops reading, the field that is wrong is named.
    assert_eq!(ours[4], ["malformed option 3 length 2", "sackOK"]);
    assert_eq!(ours[5], ["malformed option 8 length 30"]);

    // Unasked, those that open have theirs; and with -q nobody has.
    let opening = shown(&["-r", &path]);
    let with: Vec<bool> = opening
        .iter()
        .map(|line| !in_brackets(line).is_empty())
        .collect();
    assert_eq!(with, [true, true, false, false, false, false, false, false]);
    assert!(
        !shown(&["-q", "-r", &path])
            .iter()
            .any(|line| line.contains("mss"))
    );

    let screen = shown(&["--heading", "-r", &path]);
    let syn = "  [mss 65495,sackOK,TS val 9 ecr 0,wscale 7,mptcp capable]";
    assert!(screen.iter().any(|line| line.ends_with(syn)), "{screen:#?}");
    let screen = shown(&["--heading", "-v", "-r", &path]);
    let below = screen
        .iter()
        .position(|line| line == "    options [unknown-76 length 4,TS val 10 ecr 4]");
    assert!(
        screen[below.unwrap() - 1].ends_with("len 5  \"hello\""),
        "{screen:#?}"
    );
}

#[test]
fn options_in_records_are_those_that_tshark_reads() {
    if !have_program("tshark", "options_in_records_are_those_that_tshark_reads") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(&folder);
    const FIELDS: [&str; 7] = [
        "mss_val",
        "wscale.shift",
        "timestamp.tsval",
        "timestamp.tsecr",
        "sack_le",
        "sack_re",
        "mptcp.subtype",
    ];
    let mut tshark = Command::new("tshark");
    tshark.args(["-o", "tcp.relative_sequence_numbers:FALSE", "-T", "fields"]);
    for field in FIELDS {
        tshark.args(["-e", &format!("tcp.options.{field}")]);
    }
    let theirs = tshark.args(["-r", &path]).output().unwrap();
    let theirs = String::from_utf8(theirs.stdout).unwrap();
    let packets: Vec<Value> = shown(&["--json", "-r", &path])
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|record: &Value| record["type"] == "packet")
        .collect();
    let number = |value: &Value| match value {
        Value::Null => String::new(),
        value => value.to_string(),
    };
    for (index, theirs) in theirs.lines().enumerate() {
        // It gives up at what it does not know.
        if (3..=5).contains(&index) {
            continue;
        }
        let options = packets[index]["options"].as_array().unwrap();
        let of = |name: &str| {
            let found = options.iter().find(|option| option["name"] == name);
            found.cloned().unwrap_or_default()
        };
        let blocks = of("sack")["blocks"].as_array().cloned().unwrap_or_default();
        let edges = |side: usize| {
            let edges: Vec<String> = blocks.iter().map(|block| block[side].to_string()).collect();
            edges.join(",")
        };
        let ours = [
            number(&of("mss")["value"]),
            number(&of("window-scale")["value"]),
            number(&of("timestamps")["value"]),
            number(&of("timestamps")["echo"]),
            edges(0),
            edges(1),
            number(&of("mptcp")["subtype"]["number"]),
        ];
        assert_eq!(ours.join("\t"), theirs, "packet {index}");
    }
    assert_eq!(theirs.lines().count(), packets.len());
    let malformed = json!([
        {"name": "malformed", "kind": 3, "length": 2},
        {"name": "sack-permitted", "kind": 4, "length": 2},
    ]);
    assert_eq!(packets[4]["options"], malformed);
    assert_eq!(packets[7]["options"], json!([]));
    // What the snapshot length cut is not malformed.
    let ended = Running::start(inspect().args(["--json", "-s", "60", "-r", &path])).end();
    let first = ended.records().swap_remove(1);
    let cut = first["options"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(cut["name"], "cut", "{first}");
}
