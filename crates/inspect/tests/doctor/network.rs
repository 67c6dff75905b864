//! Peers that do not answer: packets are dropped without a word.

use crate::space::{Space, pids};
use crate::support::{have_program, have_root};

#[test]
fn a_connection_whose_peer_is_gone_is_named() {
    let test = "a_connection_whose_peer_is_gone_is_named";
    if !have_root(test) || !have_program("nft", test) {
        return;
    }
    let space = Space::new();
    let program = space.python(
        "
listener = socket.create_server(('127.0.0.1', 2345))
client = socket.create_connection(('127.0.0.1', 2345))
server = listener.accept()
print('ready', flush=True)
while True:
    client.send(b'hello')
    time.sleep(0.2)",
    );
    space.drop_packets("tcp dport 2345");
    let found = space.wait_for(&[], &["half-open"]);
    assert_eq!(pids(&found[0]), [program.pid()]);
    assert!(found[0]["evidence"]["tries"].as_u64().unwrap() >= 4);
    assert!(found[0]["evidence"]["silent_ms"].as_u64().unwrap() >= 2_000);
    assert_eq!(found[0]["evidence"]["remote"]["port"], 2345);
}

#[test]
fn a_peer_that_never_answers_is_named() {
    let test = "a_peer_that_never_answers_is_named";
    if !have_root(test) || !have_program("nft", test) {
        return;
    }
    let space = Space::new();
    space.drop_packets("tcp dport 81");
    let program = space.python(
        "
attempts = []
for _ in range(3):
    attempt = socket.socket()
    attempt.setblocking(False)
    attempt.connect_ex(('127.0.0.1', 81))
    attempts.append(attempt)
print('ready', flush=True)
time.sleep(600)",
    );
    let found = space.wait_for(&[], &["syn-sent-stuck"]);
    assert_eq!(pids(&found[0]), [program.pid()]);
    assert_eq!(found[0]["evidence"]["sockets"], 3);
    assert_eq!(found[0]["evidence"]["remote"]["port"], 81);
    assert!(found[0]["evidence"]["tries"].as_u64().unwrap() >= 3);
}
