//! What went wrong, made for real, and named.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::links::{can_trace, timeline};
use crate::program::Running;
use crate::support::{inspect, own_network, wait_for};

fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

fn hear(stream: &mut TcpStream, words: &[u8]) {
    let mut heard = vec![0; words.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, words);
}

/// Follows what is done, and gives its record and what is said of it in words.
fn judged(act: impl Fn(&TcpListener)) -> (Value, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let records = timeline(port, &[]);
    let mut command = inspect();
    let words = Running::start(command.args(["timeline", "-v", "--port", &port.to_string()]));
    words.message("packets by libpcap");
    act(&listener);
    let records = records.interrupt().records();
    let words = words.interrupt().lines.join(" ");
    let found = records
        .into_iter()
        .find(|record| record["type"] == "timeline");
    (found.expect("a conversation"), words)
}

#[test]
fn a_healthy_talk_gets_its_latencies_and_no_blame() {
    if !can_trace("a_healthy_talk_gets_its_latencies_and_no_blame") {
        return;
    }
    own_network();
    let (record, words) = judged(|listener| {
        let (mut client, mut server) = pair(listener);
        client.write_all(b"hello").unwrap();
        hear(&mut server, b"hello");
        server.write_all(b"hi").unwrap();
        hear(&mut client, b"hi");
        drop(client);
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
    });
    assert_eq!(record["closed_first"], "client");
    assert_eq!(record["unread_from_client"], 0);
    assert_eq!(record["unread_from_server"], 0);
    assert_eq!(record["retransmissions"], 0);
    assert_eq!(record["client_held_back"]["segments"], 0);
    let answer = &record["slowest_answer"];
    assert!(
        answer["whole_ns"].as_u64() >= answer["before_read_ns"].as_u64(),
        "{record}"
    );
    for part in ["Client closed first.", "Server answered in "] {
        assert!(words.contains(part), "{words}");
    }
    for part in ["never read", "sent again", "Nagle"] {
        assert!(!words.contains(part), "{words}");
    }
}

#[test]
fn a_slow_server_and_a_late_reader_are_told_apart() {
    if !can_trace("a_slow_server_and_a_late_reader_are_told_apart") {
        return;
    }
    own_network();
    let pause = Duration::from_millis(300);
    let nanoseconds = u64::try_from(pause.as_nanos()).unwrap();
    let talk = |before: Duration, after: Duration| {
        judged(move |listener| {
            let (mut client, mut server) = pair(listener);
            client.write_all(b"hello").unwrap();
            std::thread::sleep(before);
            hear(&mut server, b"hello");
            std::thread::sleep(after);
            server.write_all(b"hi").unwrap();
            hear(&mut client, b"hi");
        })
    };
    let (slow, words) = talk(Duration::ZERO, pause);
    let answer = &slow["slowest_answer"];
    assert!(
        answer["whole_ns"].as_u64().unwrap() >= nanoseconds,
        "{slow}"
    );
    assert!(
        answer["before_read_ns"].as_u64().unwrap() < nanoseconds / 2,
        "{slow}"
    );
    assert!(words.contains("Server answered in 3"), "{words}");
    let (late, words) = talk(pause, Duration::ZERO);
    let read = &late["latest_read"];
    assert_eq!(read["by"], "server");
    assert!(read["late_ns"].as_u64().unwrap() >= nanoseconds, "{late}");
    assert!(words.contains("Server read what had come 3"), "{words}");
}

#[test]
fn what_is_never_read_is_counted() {
    if !can_trace("what_is_never_read_is_counted") {
        return;
    }
    own_network();
    let (record, words) = judged(|listener| {
        let (mut client, server) = pair(listener);
        client.write_all(b"hello").unwrap();
        wait_for("the words to come", || {
            (server.peek(&mut [0; 8]).unwrap() == 5).then_some(())
        });
        drop(server);
        // The server's RST.
        assert!(client.read(&mut [0; 8]).is_err());
    });
    assert_eq!(record["reset_by"], "server", "{record}");
    assert_eq!(record["unread_from_client"], 5, "{record}");
    assert!(
        words.contains("5 bytes from the client were never read."),
        "{words}"
    );
}

#[test]
fn nagle_against_delayed_acknowledgements_is_named() {
    if !can_trace("nagle_against_delayed_acknowledgements_is_named") {
        return;
    }
    own_network();
    let (record, words) = judged(|listener| {
        let (mut client, mut server) = pair(listener);
        server.set_nodelay(true).unwrap();
        // A side that answers puts its acknowledgements off.
        for _ in 0..30 {
            client.write_all(b"hel").unwrap();
            client.write_all(b"lo").unwrap();
            hear(&mut server, b"hello");
            server.write_all(b"hi").unwrap();
            hear(&mut client, b"hi");
        }
    });
    assert!(
        record["client_held_back"]["segments"].as_u64().unwrap() > 0,
        "{record}"
    );
    assert_eq!(record["server_held_back"]["segments"], 0, "{record}");
    assert!(
        words.contains("Nagle waited for an acknowledgement"),
        "{words}"
    );
}

#[test]
fn what_is_lost_and_sent_again_is_counted() {
    let test = "what_is_lost_and_sent_again_is_counted";
    if !can_trace(test) || !crate::support::have_program("nft", test) {
        return;
    }
    own_network();
    let (record, words) = judged(|listener| {
        let (mut client, mut server) = pair(listener);
        let port = listener.local_addr().unwrap().port();
        // The wire has seen what the other side loses.
        let rules = format!(
            "add table ip lossy; add chain ip lossy in {{ type filter hook input priority 0; }}; \
             add rule ip lossy in tcp dport {port} numgen inc mod 5 == 4 drop"
        );
        let status = Command::new("nft").arg(rules).status().unwrap();
        assert!(status.success());
        for _ in 0..12 {
            client.write_all(b"hello").unwrap();
            hear(&mut server, b"hello");
            server.write_all(b"hi").unwrap();
            hear(&mut client, b"hi");
        }
    });
    assert!(record["retransmissions"].as_u64().unwrap() > 0, "{record}");
    assert!(words.contains("sent again."), "{words}");
}
