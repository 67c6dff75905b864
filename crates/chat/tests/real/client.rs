//! `chat client` against plain peers.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::support::*;

#[test]
fn talks_with_a_server_that_ends_messages_with_newlines() {
    let listener = listener();
    let (mut client, mut server) = client_of(&listener, &[]);
    server.write_all(b"welcome\n").unwrap();
    assert_eq!(client.said(), "server: welcome");
    for line in ["hello", "你好"] {
        client.type_line(line);
        assert_eq!(recv(&mut server), format!("{line}\n"));
    }
}

#[test]
fn talks_in_strict_turns_with_a_server_that_knows_no_newlines() {
    let listener = listener();
    let (mut client, mut server) = client_of(&listener, &[]);
    client.type_line("hello");
    assert_eq!(
        recv(&mut server),
        "hello\n",
        "nothing is known of the server yet"
    );
    for (answer, words) in [("hi", "你好"), ("再见", "bye")] {
        server.write_all(answer.as_bytes()).unwrap();
        assert_eq!(client.said(), format!("server: {answer}"));
        client.type_line(words);
        assert_eq!(recv(&mut server), words);
    }
}

#[test]
fn raw_framing_sends_exactly_the_words() {
    let listener = listener();
    let (mut client, mut server) = client_of(&listener, &["--framing", "raw"]);
    for (words, answer) in [("hello", "hi"), ("你好", "hi")] {
        client.type_line(words);
        assert_eq!(recv(&mut server), words);
        server.write_all(answer.as_bytes()).unwrap();
        assert_eq!(client.said(), format!("server: {answer}"));
    }
}

#[test]
fn the_end_of_input_half_closes_and_what_still_arrives_is_printed() {
    let listener = listener();
    let (mut client, mut server) = client_of(&listener, &[]);
    client
        .input
        .as_mut()
        .unwrap()
        .write_all(b"one\ntwo without newline")
        .unwrap();
    client.close_input();
    assert_eq!(rest(&mut server), "one\ntwo without newline\n");
    server.write_all(b"late\nlater").unwrap();
    assert_eq!(client.said(), "server: late");
    server.shutdown(Shutdown::Both).unwrap();
    let (code, output, errors) = client.end();
    assert_code(code, 0, &errors);
    assert_eq!(output, ["server: later"]);
    assert_eq!(errors, ["Server closed the connection."]);
}

#[test]
fn a_server_that_leaves_first_ends_the_client_whose_input_is_open() {
    let listener = listener();
    let (mut client, server) = client_of(&listener, &[]);
    drop(server);
    assert_eq!(client.told(), "Server closed the connection.");
    assert_eq!(client.wait().code(), Some(0));
}

#[test]
fn a_server_that_only_half_closes_is_sent_all_there_is_to_say() {
    let listener = listener();
    let (mut client, mut server) = client_of(&listener, &[]);
    server.write_all(b"welcome\n").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.told(), "Server closed the connection.");
    // More than every buffer on the way holds.
    let words = "x".repeat(50_000) + "\n";
    let mut input = client.input.take().unwrap();
    let expected = words.repeat(400);
    let typing = std::thread::spawn(move || input.write_all(words.repeat(400).as_bytes()));
    // Not reading at first, for longer than a silence may last.
    std::thread::sleep(Duration::from_secs(2));
    assert!(rest(&mut server) == expected, "not everything arrived");
    typing.join().unwrap().unwrap();
    let (code, output, errors) = client.end();
    assert_code(code, 0, &errors);
    assert_eq!(output, ["server: welcome"]);
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn what_a_server_that_closed_does_not_take_is_told() {
    let listener = listener();
    let (mut client, server) = client_of(&listener, &[]);
    drop(server);
    assert_eq!(client.told(), "Server closed the connection.");
    client.type_line("never read");
    let (code, _, errors) = client.end();
    assert_code(code, 1, &errors);
    assert_eq!(
        errors,
        ["Not everything was sent: the server reads no more."]
    );
}

#[test]
fn a_reset_is_told_and_is_a_failure() {
    let listener = listener();
    let (mut client, server) = client_of(&listener, &[]);
    client.type_line("never read");
    until("it arrived", || {
        (server.peek(&mut [0]).ok()? == 1).then_some(())
    });
    drop(server);
    assert_eq!(client.told(), "Server reset the connection.");
    assert_eq!(client.wait().code(), Some(1));
}

#[test]
fn what_cannot_be_sent_is_told_and_the_rest_is_sent() {
    let listener = listener();
    let (mut client, mut server) = client_of(&listener, &["--max-message", "10"]);
    client.type_line("");
    assert_eq!(client.told(), "Nothing to send.");
    client.type_line(&"x".repeat(100_000));
    assert_eq!(
        client.told(),
        "Not sent: over 10 bytes (--max-message sets the limit)."
    );
    client.type_line("0123456789");
    client.close_input();
    assert_eq!(rest(&mut server), "0123456789\n");
    drop(server);
    assert_eq!(client.wait().code(), Some(1), "not everything was said");
}

#[test]
fn an_input_that_cannot_be_read_is_no_end_of_it() {
    let listener = listener();
    let address = listener.local_addr().unwrap().to_string();
    let mut child = chat(&["client", &address])
        .stdin(std::fs::File::open("/").unwrap())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (mut server, _) = listener.accept().unwrap();
    assert_eq!(rest(&mut server), "");
    drop(server);
    assert_eq!(wait(&mut child).code(), Some(1));
    let errors = rest(&mut child.stderr.take().unwrap());
    assert_holds(&errors, "\nCannot read the input: is a directory.\n");
}

#[test]
fn what_is_not_text_is_shown_escaped() {
    let listener = listener();
    let (client, mut server) = client_of(&listener, &[]);
    server.write_all(b"\x1b[2J \xff \xe4\xbd\n").unwrap();
    assert_eq!(client.said(), r"server: \u{1b}[2J \xff \xe4\xbd");
}

#[test]
fn a_message_too_long_to_hear_ends_the_conversation() {
    let listener = listener();
    let (mut client, mut server) = client_of(&listener, &["--max-message", "10"]);
    server.write_all(&[b'x'; 50]).unwrap();
    assert_holds(
        &client.told(),
        "Server sent a message over 10 bytes; conversation closed",
    );
    assert_eq!(client.wait().code(), Some(1));
}

#[test]
fn a_name_with_several_addresses_is_tried_at_each() {
    let addresses: Vec<_> = std::net::ToSocketAddrs::to_socket_addrs("localhost:0")
        .unwrap()
        .collect();
    for address in addresses {
        let listener = TcpListener::bind((address.ip(), 0)).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let client = Program::start(&["client", "localhost", "--port", &port]);
        drop(listener.accept().unwrap());
        let (code, _, errors) = client.end();
        assert_code(code, 0, &errors);
    }
}

#[test]
fn a_refused_connection_names_the_likely_cause() {
    let port = free_port().to_string();
    let (code, output, errors) = Program::start(&["client", "--port", &port]).end();
    assert_code(code, 1, &errors);
    assert!(output.is_empty());
    assert_eq!(
        errors,
        [
            format!("chat: cannot connect to 127.0.0.1:{port}: connection refused"),
            format!(
                "      (nothing listens there; in another terminal: chat server --port {port})"
            ),
        ]
    );
    let (code, _, errors) = Program::start(&["client", "--unix", "/nonexistent/room"]).end();
    assert_code(code, 1, &errors);
    assert_holds(
        &errors.join("\n"),
        "no such file or directory\n      (no server has made it;",
    );
    let (code, _, errors) = Program::start(&["client", "no-such-name.invalid"]).end();
    assert_code(code, 1, &errors);
    assert_holds(
        &errors.join("\n"),
        "cannot connect to no-such-name.invalid:2345: ",
    );
}

/// A listener whose queue is full, and what it is full of.
fn deaf() -> (OwnedFd, SocketAddr, Vec<TcpStream>) {
    use rustix::net::{
        AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with,
    };
    // Not to be inherited: the other tests' programs want descriptor 3.
    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    let deaf = socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
    bind(&deaf, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&deaf, 0).unwrap();
    let address = SocketAddr::try_from(getsockname(&deaf).unwrap()).unwrap();
    // One fits in the queue; the others wait outside.
    let wait = Duration::from_millis(200);
    let queue = (0..3).flat_map(|_| TcpStream::connect_timeout(&address, wait));
    let queue = queue.collect();
    (deaf, address, queue)
}

#[test]
fn a_server_that_accepts_nobody_is_not_waited_for_for_ever() {
    let (_deaf, address, _queue) = deaf();
    let tcp = Program::start(&["client", &address.to_string()]);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("room");
    let deaf = rustix::net::socket_with(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    rustix::net::bind(&deaf, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&deaf, 0).unwrap();
    let _queue = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let path = path.to_str().unwrap();
    let unix = Program::start(&["client", "--unix", path]);

    for (client, place) in [(tcp, address.to_string()), (unix, path.to_owned())] {
        let (code, _, errors) = client.end();
        assert_code(code, 1, &errors);
        let expected = format!("chat: cannot connect to {place}: timed out");
        assert_eq!(errors[0], expected);
        assert_holds(&errors[1], "the server there accepts nobody");
    }
}

#[test]
fn a_stop_while_connecting_interrupts_nothing() {
    let (deaf, address, queue) = deaf();
    let client = Program::start(&["client", &address.to_string()]);
    until("it waits in connect()", || {
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        table
            .contains(&format!("0100007F:{:04X} 02 ", address.port()))
            .then_some(())
    });
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", client.child.id())).unwrap();
    // In between a stop and a continuation that come at once, nothing need be interrupted.
    client.signal(Signal::STOP);
    until("it stops", || state().contains(") T ").then_some(()));
    client.signal(Signal::CONT);
    drop(queue);
    // Room for one: its next attempt succeeds.
    let _first = rustix::net::accept(&deaf).unwrap();
    assert_holds(&client.told(), &format!("connected to {address} from "));
}

#[test]
fn the_connection_is_descriptor_3_of_a_process_called_chat_client() {
    let listener = listener();
    let (client, server) = client_of(&listener, &[]);
    let process = format!("/proc/{}", client.child.id());
    let name = std::fs::read_to_string(format!("{process}/comm")).unwrap();
    assert_eq!(name.trim(), "chat-client");
    let socket = std::fs::read_link(format!("{process}/fd/3")).unwrap();
    let inode = socket
        .to_str()
        .unwrap()
        .trim_start_matches("socket:[")
        .trim_end_matches(']');
    let [local, remote] = [server.peer_addr(), server.local_addr()]
        .map(|address| format!("0100007F:{:04X}", address.unwrap().port()));
    // The kernel may miss a row while other sockets come and go.
    let row = until("it is connected", || {
        let table = std::fs::read_to_string(format!("{process}/net/tcp")).unwrap();
        let row = table
            .lines()
            .find(|row| row.contains(&format!(": {local} {remote} ")));
        row.map(str::to_owned)
    });
    assert_holds(&row, inode);
}

#[test]
fn leaves_politely_when_told_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let listener = listener();
        let (mut client, mut server) = client_of(&listener, &[]);
        client.type_line("hello");
        assert_eq!(recv(&mut server), "hello\n");
        client.signal(signal);
        assert_eq!(rest(&mut server), "", "a close, not a reset");
        assert_eq!(client.wait().code(), Some(0));
    }
}

#[test]
fn a_server_that_does_not_read_holds_up_neither_hearing_nor_leaving() {
    let listener = listener();
    let (mut client, mut server) = client_of(&listener, &[]);
    let mut input = client.input.take().unwrap();
    let lines = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lines);
    let flood = std::thread::spawn(move || {
        let line = [&[b'x'; 60_000][..], b"\n"].concat();
        // Blocked at first, then broken when the client has gone.
        while input.write_all(&line).is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut before = 0;
    until("no more is taken", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = lines.load(Ordering::Relaxed);
        std::mem::replace(&mut before, now).eq(&now).then_some(())
    });
    for turn in 0..3 {
        server
            .write_all(format!("turn {turn}\n").as_bytes())
            .unwrap();
        assert_eq!(client.said(), format!("server: turn {turn}"));
    }
    client.signal(Signal::TERM);
    assert_eq!(
        client.told(),
        "Not everything was sent: the server is not reading."
    );
    assert_eq!(client.wait().code(), Some(1));
    flood.join().unwrap();
}
