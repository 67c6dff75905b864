//! `chat server` against plain peers.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use super::support::*;

#[test]
fn talks_with_a_peer_that_ends_messages_with_newlines() {
    let (server, port) = server(&["--reply", "hi"]);
    let mut peer = connect(port);
    peer.write_all(b"hello\r\nand\n").unwrap();
    assert_eq!(server.said(), "client: hello");
    assert_eq!(server.said(), "client: and");
    let mut answers = [0; 6];
    peer.read_exact(&mut answers).unwrap();
    assert_eq!(&answers, b"hi\nhi\n");
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut peer), "");
    assert_eq!(server.told_of("left"), "1  left");
}

#[test]
fn talks_in_strict_turns_with_a_peer_that_knows_no_newlines() {
    let (mut server, port) = server(&[]);
    let mut peer = connect(port);
    for (words, answer) in [("hello", "hi"), ("你好", "再见"), ("again", "yes")] {
        peer.write_all(words.as_bytes()).unwrap();
        assert_eq!(server.said(), format!("client: {words}"));
        server.type_line(answer);
        assert_eq!(
            recv(&mut peer),
            answer,
            "exactly, because its first message had no newline"
        );
    }
}

#[test]
fn raw_framing_sends_exactly_the_words_and_does_not_wait() {
    let (server, port) = server(&["--reply", "hi", "--framing", "raw"]);
    let mut peer = connect(port);
    for words in ["hello", "你好"] {
        peer.write_all(words.as_bytes()).unwrap();
        assert_eq!(recv(&mut peer), "hi");
        assert_eq!(server.said(), format!("client: {words}"));
    }
}

#[test]
fn characters_split_across_reads_are_put_together() {
    for framing in ["auto", "raw"] {
        let (server, port) = server(&["--framing", framing]);
        let mut peer = connect(port);
        // The pause is longer than the silence that ends a message: it must not end this one.
        for piece in [
            "你好".as_bytes().split_at(4).0,
            "你好".as_bytes().split_at(4).1,
        ] {
            peer.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(server.said(), "client: 你好", "{framing}");
    }
}

#[test]
fn what_is_not_text_is_shown_escaped_on_one_line() {
    let (server, port) = server(&[]);
    let mut peer = connect(port);
    peer.write_all(b"\x1b]0;title\x07 \xff\xfe a\rb \xc2\x9b31m\n")
        .unwrap();
    assert_eq!(
        server.said(),
        r"client: \u{1b}]0;title\u{7} \xff\xfe a\rb \u{9b}31m"
    );
}

#[test]
fn lines_typed_before_anybody_came_wait_for_the_first() {
    let (mut server, port) = server(&[]);
    server.type_line("welcome");
    server.type_line("");
    server.type_line("@2 nobody");
    server.type_line("@all everybody");
    server.close_input();
    let mut peer = connect(port);
    let mut words = [0; 18];
    peer.read_exact(&mut words).unwrap();
    assert_eq!(&words, b"welcome\neverybody\n");
    assert_eq!(server.told_of("Nothing"), "Nothing to send.");
    assert_eq!(server.told(), "2 is not here; not sent.");
    // The end of the input is not the end of the server.
    drop(peer);
    connect(port).write_all(b"second\n").unwrap();
    assert_eq!(server.said(), "client 2: second");
}

#[test]
fn says_how_each_client_went_and_goes_on() {
    let (server, port) = server(&["--reply", "hi"]);
    let mut rude = connect(port);
    rude.write_all(b"hello\n").unwrap();
    assert_eq!(server.said(), "client: hello");
    // Closing with the answer unread is a reset.
    until("the answer is there", || {
        (rude.peek(&mut [0]).ok()? == 1).then_some(())
    });
    drop(rude);
    assert_eq!(server.told_of("1  reset"), "1  reset the connection");
    let polite = connect(port);
    server.told_of("joined");
    drop(polite);
    assert_eq!(server.told(), "2  left");
}

#[test]
fn lets_go_of_who_says_too_much_and_of_nobody_else() {
    let (server, port) = server(&["--reply", "hi", "--max-message", "10"]);
    let mut modest = connect(port);
    modest.write_all(b"0123456789\n").unwrap();
    assert_eq!(server.said(), "client: 0123456789");
    let mut chatty = connect(port);
    chatty.write_all(&[b'x'; 100]).unwrap();
    let told = server.told_of("2  sent");
    assert_eq!(
        told,
        "2  sent a message over 10 bytes; conversation closed (--max-message sets the limit)"
    );
    let _ = chatty.read(&mut [0; 10]);
    modest.write_all(b"still here\n").unwrap();
    assert_eq!(server.said(), "client: still here");
}

#[test]
fn refuses_one_client_too_many_and_tells_it_why() {
    let (server, port) = server(&["--max-clients", "2", "--reply", "hi"]);
    let first = connect(port);
    let _second = connect(port);
    server.told_of("2  127");
    let mut third = connect(port);
    assert_eq!(rest(&mut third), "No room: 2 clients are here already.\n");
    assert_holds(&server.told(), ": 2 clients are here (--max-clients).");
    drop(first);
    server.told_of("1  left");
    let mut fourth = connect(port);
    fourth.write_all(b"hello\n").unwrap();
    assert_eq!(server.said(), "client 3: hello");
}

#[test]
fn stays_when_descriptors_run_out() {
    let script = format!(
        "ulimit -n 24; exec {} server --port 0",
        env!("CARGO_BIN_EXE_chat")
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]);
    let server = Program::spawn(command);
    let port = server.told().rsplit(':').next().unwrap().parse().unwrap();
    let crowd: Vec<TcpStream> = (0..40).map(|_| connect(port)).collect();
    assert_holds(&server.told_of("Cannot accept"), "trying on");
    drop(crowd);
    connect(port).write_all(b"hello\n").unwrap();
    assert_holds(&server.said(), ": hello");
}

#[test]
fn serves_on_a_unix_path_and_removes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("room");
    let name = path.to_str().unwrap();
    let mut server = Program::start(&["server", "--unix", name, "--reply", "hi"]);
    assert_eq!(server.told(), format!("listening on {name}"));

    let mut peer = UnixStream::connect(&path).unwrap();
    peer.write_all(b"hello").unwrap();
    assert_eq!(recv(&mut peer), "hi");
    assert_eq!(server.said(), "client: hello");

    let mut client = Program::start(&["client", "--unix", name]);
    client.type_line("hello");
    assert_eq!(client.said(), "server: hi");
    client.close_input();
    assert_eq!(client.wait().code(), Some(0));

    let (code, _, errors) = Program::start(&["server", "--unix", name]).end();
    assert_code(code, 1, &errors);
    assert_holds(&errors.join("\n"), "another server answers there");

    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn serves_over_ipv6_and_says_who_can_reach_it() {
    if !has_ipv6() {
        return;
    }
    for (bind, reach) in [
        (
            "::1",
            "reach: this machine only (--bind 0.0.0.0 lets others in)",
        ),
        (
            "::",
            "reach: every address of this machine: others may reach it",
        ),
    ] {
        let server = Program::start(&["server", "--bind", bind, "--port", "0", "--reply", "hi"]);
        let first = server.told();
        let address = first.strip_prefix("listening on ").unwrap();
        assert!(address.starts_with(&format!("[{bind}]:")), "{first}");
        assert_eq!(server.told(), reach);
        let port = address.rsplit(':').next().unwrap();
        let mut client = Program::start(&["client", "::1", "--port", port]);
        client.type_line("hello");
        assert_eq!(client.said(), "server: hi");
        assert_holds(&server.told(), "1  [::1]:");
    }
}

#[test]
fn leaves_politely_when_told_to() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (mut server, port) = server(&["--reply", "goodbye"]);
        let mut peer = connect(port);
        peer.write_all(b"hello\n").unwrap();
        server.said();
        server.signal(signal);
        assert_eq!(rest(&mut peer), "goodbye\n", "a close, not a reset");
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn a_reader_that_left_is_a_quiet_success() {
    let mut command = chat(&["server", "--port", "0"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let first = recv(&mut errors);
    let port = first
        .lines()
        .next()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    drop(child.stdout.take());
    connect(port).write_all(b"hello\n").unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
    assert!(!rest(&mut errors).to_lowercase().contains("pipe"));
}

#[test]
fn an_output_that_nobody_reads_holds_up_no_goodbye() {
    let mut command = chat(&["server", "--port", "0"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let first = recv(child.stderr.as_mut().unwrap());
    let port = first
        .lines()
        .next()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let mut peer = connect(port);
    peer.set_nonblocking(true).unwrap();
    // More than the pipe, the server and the kernel hold, until nothing goes any more.
    let line = [&[b'x'; 60_000][..], b"\n"].concat();
    let mut refused = 0;
    until("the server takes no more", || {
        refused = if peer.write(&line).is_ok() {
            0
        } else {
            refused + 1
        };
        (refused > 50).then_some(())
    });
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = chat(&["server", "--port", "0"]);
    command
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let first = recv(&mut errors);
    let port = first
        .lines()
        .next()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    connect(port).write_all(b"hello\n").unwrap();
    assert_eq!(wait(&mut child).code(), Some(1));
    assert_holds(
        &rest(&mut errors),
        "chat: cannot write the output: no space left on device",
    );
}

#[test]
fn the_listener_is_descriptor_3_of_a_process_called_chat_server() {
    let (server, port) = server(&[]);
    let process = format!("/proc/{}", server.child.id());
    let name = std::fs::read_to_string(format!("{process}/comm")).unwrap();
    assert_eq!(name.trim(), "chat-server");
    let socket = std::fs::read_link(format!("{process}/fd/3")).unwrap();
    let inode = socket
        .to_str()
        .unwrap()
        .trim_start_matches("socket:[")
        .trim_end_matches(']');
    let table = std::fs::read_to_string(format!("{process}/net/tcp")).unwrap();
    let row = table
        .lines()
        .find(|row| row.contains(&format!(":{port:04X} 00000000:0000 0A")));
    assert_holds(row.expect("it listens"), inode);
}

#[test]
fn a_port_in_use_is_refused_clearly() {
    let (_server, port) = server(&[]);
    let (code, output, errors) = Program::start(&["server", "--port", &port.to_string()]).end();
    assert_code(code, 1, &errors);
    assert!(output.is_empty());
    let expected = [
        format!("chat: cannot listen on 127.0.0.1:{port}: address in use"),
        format!("      (inspect port {port} tells by whom; --port 0 takes a free one)"),
    ];
    assert_eq!(errors, expected);
}
