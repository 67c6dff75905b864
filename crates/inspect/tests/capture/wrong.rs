//! What goes wrong on a network, made on purpose, and named on the line and at the end.

use std::process::Stdio;

use serde_json::Value;

use crate::program::*;
use crate::support::have_program;
use crate::wire::Wire;

/// One trouble after another, each on a port of its own.
const TROUBLES: &str = r"
import socket, time, struct

def pair(port, buffer=None):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if buffer: listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    listener.bind(('127.0.0.1', port))
    listener.listen()
    client = socket.create_connection(('127.0.0.1', port))
    return client, listener.accept()[0]

# Nothing listens there.
try: socket.create_connection(('127.0.0.1', 81))
except ConnectionRefusedError: pass

# Nobody answers.
try: socket.create_connection(('127.0.0.1', 82), timeout=2.5)
except TimeoutError: pass

# Nobody reads, and then somebody does.
client, server = pair(83, 4096)
client.setblocking(False)
try:
    while True: client.send(bytes(1000))
except BlockingIOError: pass
time.sleep(1)
client.close()
while server.recv(65536): pass
server.close()

# Closed with five bytes unread.
client, server = pair(84)
client.send(b'hello')
time.sleep(0.1)
server.close()
time.sleep(0.1)

# Spoken to after it has closed.
client, server = pair(85)
server.close()
time.sleep(0.1)
client.send(b'anyone?')
time.sleep(0.1)
client.close()

# Every third is lost on its way.
client, server = pair(86)
server.settimeout(10)
for number in range(12):
    client.send(b'%d' % number)
    time.sleep(0.02)
client.close()
while server.recv(100): pass
server.close()

# All is well.
client, server = pair(87)
client.send(b'hello')
server.recv(5)
server.send(b'hi')
client.recv(2)
client.close()
server.recv(1)
server.close()
time.sleep(0.2)
";

/// The marks of the packets of a port, in order.
fn marks(records: &[Value], port: u16) -> Vec<(String, Option<u64>)> {
    records
        .iter()
        .filter(|record| record["type"] == "packet")
        .filter(|record| record["source"]["port"] == port || record["destination"]["port"] == port)
        .filter_map(|record| {
            let mark = record.get("mark")?;
            Some((mark["name"].as_str()?.to_owned(), mark["count"].as_u64()))
        })
        .collect()
}

#[test]
fn each_trouble_is_named_where_it_happens_and_summed_up() {
    let test = "each_trouble_is_named_where_it_happens_and_summed_up";
    if !is_root(test) || !have_program("nft", test) {
        return;
    }
    let wire = Wire::new("wrong");
    wire.nft(0, "add table ip wrong");
    wire.nft(
        0,
        "add chain ip wrong in { type filter hook input priority 0 ; }",
    );
    wire.nft(0, "add rule ip wrong in tcp dport 82 drop");
    // Behind the place where a capture sees them.
    wire.nft(
        0,
        "add rule ip wrong in tcp dport 86 tcp flags & (syn|fin) == 0 tcp flags & psh == psh numgen inc mod 3 2 drop",
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.pcap");
    let path = path.to_str().unwrap();
    let mut command = inspect();
    command.args(["-i", "lo", "tcp", "-w", path]);
    let running = Running::start(&mut wire.inside(0, &command));
    while std::fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = wire.python(0, TROUBLES).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    running.interrupt();

    let read = |arguments: &[&str]| {
        let output = inspect()
            .args(["-r", path])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (lines, _) = read(&["--json"]);
    let records: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |port| marks(&records, port);
    let mark = |name: &str, count| (name.to_owned(), count);
    assert_eq!(of(81), [mark("refused", None)]);
    assert_eq!(of(82)[0], mark("syn-retry", Some(2)));
    assert!(of(83).contains(&mark("zero-window", None)), "{:?}", of(83));
    assert!(of(83).contains(&mark("window-open", None)), "{:?}", of(83));
    assert_eq!(of(84), [mark("reset-unread", Some(5))]);
    assert_eq!(of(85), [mark("reset-after-close", None)]);
    assert!(
        of(86).contains(&mark("retransmission", None)),
        "{:?}",
        of(86)
    );
    assert_eq!(of(87), []);

    let (lines, _) = read(&["--summary", "--json"]);
    let ending = |port: u16| {
        let record = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .find(|record| record["server"]["port"] == port)
            .unwrap();
        let word = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
        (word("ending"), word("ended_by"))
    };
    let pair = |ending: &str, by: &str| (ending.to_owned(), by.to_owned());
    assert_eq!(ending(81), pair("refused", ""));
    assert_eq!(ending(82), pair("unanswered", ""));
    assert_eq!(ending(83), pair("closed", "client"));
    assert_eq!(ending(84), pair("reset", "server"));
    assert_eq!(ending(85), pair("reset", "server"));
    assert_eq!(ending(87), pair("closed", "client"));

    let (table, messages) = read(&["--summary"]);
    for part in [
        "127.0.0.1:81 ",
        "  refused\n",
        "no answer to ",
        "reset by server, handshake ",
        "1 reset with data perhaps unread\n",
        "closed by client, handshake ",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    for part in [
        "\nWent wrong: 1 connection refused, 1 connection without an answer, ",
        "retransmission",
        "zero window",
    ] {
        assert!(messages.contains(part), "{part}: {messages}");
    }
    let (lines, _) = read(&[":84"]);
    assert!(lines.contains("[reset, 5 bytes perhaps unread]"), "{lines}");
}

/// Connects to a port where nothing listens and nothing refuses, and waits for the second SYN.
const KNOCKING: &str = "\
import socket
s = socket.socket()
s.settimeout(1.5)
try: s.connect(('127.0.0.1', 82))
except OSError: pass
";

#[test]
fn where_nobody_answers_nobody_is_missed() {
    let test = "where_nobody_answers_nobody_is_missed";
    if !is_root(test) || !have_program("nft", test) {
        return;
    }
    let wire = Wire::new("nobody");
    wire.nft(0, "add table ip nobody");
    wire.nft(
        0,
        "add chain ip nobody in { type filter hook input priority 0 ; }",
    );
    wire.nft(0, "add rule ip nobody in tcp dport 82 drop");
    for owners in ["auto", "proc"] {
        let mut command = inspect();
        command.args(["-i", "lo", "--owners", owners, "tcp"]);
        let running = Running::start(&mut wire.inside(0, &command));
        // It is open when it has said what it awaits.
        running.message("Nothing yet");
        let output = wire.python(0, KNOCKING).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let ended = running.interrupt();
        let last = ended.lines.last().unwrap();
        assert!(last.contains("nobody (nothing listens there)"), "{last}");
        let missed = |line: &&String| line.contains("Owners not seen");
        assert_eq!(
            ended.messages.iter().find(missed),
            None,
            "{:?}",
            ended.messages
        );
        let wrong = "Went wrong: 1 connection without an answer, 1 SYN sent again.";
        assert!(
            ended.messages.iter().any(|line| line == wrong),
            "{:?}",
            ended.messages
        );
    }
}
