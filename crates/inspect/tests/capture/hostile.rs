//! What others send to mislead a reader of packets: nothing of it changes what was said.

use std::process::Stdio;

use crate::crafted::*;
use crate::program::*;

/// Stdout and stderr of a capture of these frames, one a microsecond.
fn read(frames: &[Vec<u8>], arguments: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.pcap");
    let at = |(index, frame): (usize, &Vec<u8>)| (index as u64, frame.clone(), None);
    let frames: Vec<_> = frames.iter().enumerate().map(at).collect();
    std::fs::write(&path, pcap(1, &frames)).unwrap();
    let output = inspect()
        .args(["-r", path.to_str().unwrap()])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

fn frame(ports: (u16, u16), seq: u32, ack: u32, flags: u8, said: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4(6, &tcp(ports, seq, ack, flags, said)))
}

const FORTH: (u16, u16) = (50_000, 2345);
const BACK: (u16, u16) = (2345, 50_000);

#[test]
fn a_forged_syn_neither_splits_a_conversation_nor_takes_bytes_from_it() {
    let mut frames = vec![
        frame(FORTH, 1000, 0, SYN, b""),
        frame(BACK, 5000, 1001, SYN_ACK, b""),
        frame(FORTH, 1001, 5001, PSH_ACK, b"before"),
        // One of another number, one within the window, and one that carries something.
        frame(FORTH, 900_000_000, 0, SYN, b""),
        frame(FORTH, 1006, 0, SYN, b"forged"),
        frame(BACK, 5001, 1007, ACK, b""),
        frame(FORTH, 1007, 5001, PSH_ACK, b" and after"),
        frame(BACK, 5001, 1017, PSH_ACK, b"heard"),
        frame(FORTH, 1017, 5006, FIN_ACK, b""),
        frame(BACK, 5006, 1018, FIN_ACK, b""),
    ];
    let (lines, messages) = read(&frames, &["--follow"]);
    assert!(
        lines.contains("before") && lines.contains(" and after") && lines.contains("heard"),
        "{lines}"
    );
    assert!(
        !lines.contains("gap") && !lines.contains("forged"),
        "{lines}"
    );
    assert!(
        messages.starts_with("10 packets, 1 conversation, "),
        "{messages}"
    );
    assert!(
        messages.contains("2 SYNs amid a conversation"),
        "{messages}"
    );
    let (lines, messages) = read(&frames, &[]);
    assert_eq!(
        lines.matches("[SYN amid the conversation]").count(),
        2,
        "{lines}"
    );
    assert!(
        !lines.contains("retransmission") && !lines.contains("missing"),
        "{lines}"
    );
    assert!(
        messages.contains("Went wrong: 2 SYNs amid a conversation."),
        "{messages}"
    );

    // The same ends again, at once after the close: another conversation.
    frames.extend([
        frame(FORTH, 700, 0, SYN, b""),
        frame(BACK, 800, 701, SYN_ACK, b""),
        frame(FORTH, 701, 801, PSH_ACK, b"anew"),
    ]);
    let (lines, _) = read(&frames, &["--summary", "--json"]);
    let summed: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|record: &serde_json::Value| record["type"] == "conversation")
        .collect();
    assert_eq!(summed.len(), 2);
    assert_eq!(summed[0]["ending"], "closed");
    assert_eq!(summed[0]["troubles"]["syns_amid"], 2, "{lines}");
    assert_eq!(summed[1]["ending"], "open");
    assert!(summed[1]["handshake_ns"].is_string(), "{lines}");
}
