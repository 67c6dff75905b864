//! `chat pair --break`: the trouble is in the kernel's own tables, and gone with the pair.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal};

use super::support::*;

// Of include/net/tcp_states.h, as in /proc/net/tcp.
const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const CLOSE_WAIT: u8 = 8;
const LISTEN: u8 = 10;

/// The timer of a socket that asks a closed window whether it is still closed.
const ZERO_WINDOW_PROBE: u8 = 4;

/// A row of /proc/net/tcp.
#[derive(Debug)]
struct Row {
    local: u16,
    remote: u16,
    state: u8,
    send_queue: u64,
    receive_queue: u64,
    timer: u8,
    inode: u64,
}

/// The sockets with that port at either end, whatever their state.
fn sockets(port: u16) -> Vec<Row> {
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let byte = |text: &str| u8::try_from(hex(text)).unwrap();
    let port_of = |text: &str| u16::try_from(hex(text.split_once(':').unwrap().1)).unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows: Vec<Row> = table
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (send, receive) = fields[4].split_once(':').unwrap();
            Row {
                local: port_of(fields[1]),
                remote: port_of(fields[2]),
                state: byte(fields[3]),
                send_queue: hex(send),
                receive_queue: hex(receive),
                timer: byte(fields[5].split_once(':').unwrap().0),
                inode: fields[9].parse().unwrap(),
            }
        })
        .filter(|row| row.local == port || row.remote == port)
        .collect();
    // While others come and go the kernel shows a row twice now and then.
    let ends = |row: &Row| (row.local, row.remote);
    rows.sort_by_key(ends);
    rows.dedup_by_key(|row| ends(row));
    rows
}

/// Those of the server in that state.
fn at_server(port: u16, state: u8) -> Vec<Row> {
    let rows = sockets(port).into_iter();
    rows.filter(|row| row.local == port && row.state == state)
        .collect()
}

/// Those of the client in that state.
fn at_client(port: u16, state: u8) -> Vec<Row> {
    let rows = sockets(port).into_iter();
    rows.filter(|row| row.remote == port && row.state == state)
        .collect()
}

/// The inodes of the sockets a process holds.
fn held(process: Pid) -> Vec<u64> {
    let folder = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let names = folder.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let inodes = names.filter_map(|name| {
        let number = name.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        number.parse().ok()
    });
    inodes.collect()
}

struct Broken {
    pair: Program,
    port: u16,
    /// Server and client.
    halves: [Pid; 2],
}

impl Broken {
    /// Starts the pair and reads up to the end of what it says of itself.
    fn start(fault: &str, arguments: &[&str]) -> Self {
        let port = free_port();
        let number = port.to_string();
        let command = ["pair", "--port", &number, "--break", fault];
        let pair = Program::start(&[&command, arguments].concat());
        let (server, client) = (pair.said(), pair.said());
        let halves = [process(&server), process(&client)];
        let expected = format!(
            "server  chat-server[{}]  listening on 127.0.0.1:{port}, this machine only",
            halves[0]
        );
        assert_eq!(server, expected);
        assert_holds(&client, &format!("client  chat-client[{}]  ", halves[1]));
        for (half, name) in halves.iter().zip(["chat-server", "chat-client"]) {
            let command = std::fs::read_to_string(format!("/proc/{half}/comm"));
            // One that is counted may have ended by now.
            assert!(command.is_err() || command.is_ok_and(|command| command.trim() == name));
        }
        assert_holds(&pair.said(), &format!("broken  {fault}, "));
        assert_eq!(pair.said(), "");
        let _story = [pair.said(), pair.said()];
        assert_eq!(pair.said(), "");
        Self { pair, port, halves }
    }

    /// Waits for news that hold `text`.
    fn tells(&self, text: &str) -> String {
        loop {
            let line = self.pair.said();
            assert!(line.as_bytes()[2] == b':' && line.is_ascii(), "{line}");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Interrupts it and gives its last line, when it and all its sockets are gone.
    fn interrupted(self) -> String {
        self.pair.signal(Signal::INT);
        let (code, output, errors) = self.pair.end();
        assert_code(code, 0, &errors);
        assert!(errors.is_empty(), "{errors:?}");
        nothing_left(self.port, self.halves);
        output.last().unwrap().clone()
    }
}

/// No process, and no socket either, not even in TIME_WAIT, which lasts longer than we wait.
fn nothing_left(port: u16, halves: [Pid; 2]) {
    gone(halves);
    until("the sockets are gone", || {
        sockets(port).is_empty().then_some(())
    });
}

#[test]
fn a_slow_reader_fills_both_queues_and_closes_the_window() {
    let broken = Broken::start("slow-reader", &["--every", "5ms"]);
    let port = broken.port;
    let unread = || at_server(port, ESTABLISHED)[0].receive_queue;
    let unsent = || at_client(port, ESTABLISHED)[0].send_queue;
    let grows = |what: &str, queue: &dyn Fn() -> u64| {
        let before = until(what, || Some(queue()).filter(|bytes| *bytes > 0));
        until(what, || (queue() > before).then_some(()));
    };
    grows("Recv-Q grows", &unread);
    let line = broken.tells("full: window 0; ");
    // The kernel may find room for a little more afterwards.
    let told = amount(&line, "Recv-Q ");
    assert!(told > 0 && told <= unread(), "{line}");
    until("the client asks for a window", || {
        let row = &at_client(port, ESTABLISHED)[0];
        (row.timer == ZERO_WINDOW_PROBE).then_some(())
    });
    grows("Send-Q grows", &unsent);
    assert!(held(broken.halves[0]).contains(&at_server(port, ESTABLISHED)[0].inode));
    let last = broken.interrupted();
    assert!(last.starts_with("Ended with "), "{last}");
    assert!(last.ends_with(" unsent (Send-Q)."), "{last}");
}

#[test]
fn a_sender_nobody_reads_waits_in_the_end() {
    let broken = Broken::start("slow-reader", &["--every", "0"]);
    let line = broken.tells("full, send() waits");
    let told = amount(&line, "Recv-Q ") + amount(&line, "Send-Q ");
    let (client, server) = (
        at_client(broken.port, ESTABLISHED),
        at_server(broken.port, ESTABLISHED),
    );
    assert_eq!(told, client[0].send_queue + server[0].receive_queue);
    broken.interrupted();
}

#[test]
fn what_is_never_closed_stays_in_close_wait() {
    let broken = Broken::start("never-close", &["--every", "5ms", "--count", "30"]);
    assert_holds(&broken.tells("as many as"), "  30 sockets in CLOSE_WAIT, ");
    let piled = || Some(at_server(broken.port, CLOSE_WAIT)).filter(|rows| rows.len() == 30);
    let piled = until("CLOSE_WAIT piles up", piled);
    let held = held(broken.halves[0]);
    assert!(piled.iter().all(|row| held.contains(&row.inode)));
    assert_eq!(broken.interrupted(), "Ended with 30 sockets in CLOSE_WAIT.");
}

#[test]
fn what_is_never_closed_uses_up_the_descriptors() {
    let broken = Broken::start("never-close", &["--every", "0"]);
    let server = broken.halves[0];
    assert_holds(&broken.tells("accept() fails"), "256 of 256 descriptors");
    let limits = std::fs::read_to_string(format!("/proc/{server}/limits")).unwrap();
    let limit = limits.lines().find(|row| row.starts_with("Max open files"));
    assert_eq!(limit.unwrap().split_whitespace().nth(3), Some("256"));
    let descriptors = std::fs::read_dir(format!("/proc/{server}/fd")).unwrap();
    assert_eq!(descriptors.count(), 256);
    let piled = at_server(broken.port, CLOSE_WAIT).len();
    assert!((230..256).contains(&piled), "{piled}");
    // The one client that waits is not followed by others.
    assert_eq!(at_server(broken.port, LISTEN)[0].receive_queue, 1);
    broken.interrupted();
}

#[test]
fn what_is_not_accepted_fills_the_queue_and_then_waits_outside() {
    let broken = Broken::start("no-accept", &["--every", "1ms"]);
    let port = broken.port;
    let line = broken.tells("queue full");
    assert_holds(&line, "129 connections not accepted");
    assert!(!at_client(port, SYN_SENT).is_empty());
    let waiting = until("all stand in the queue", || {
        Some(at_server(port, ESTABLISHED)).filter(|rows| rows.len() == 129)
    });
    assert!(waiting.iter().all(|row| row.inode == 0), "one is accepted");
    assert_eq!(at_server(port, LISTEN)[0].receive_queue, 129);
    if installed("ss") {
        let filter = format!("sport = :{port}");
        let output = Command::new("ss").args(["-ltnH", &filter]).output();
        let output = String::from_utf8(output.unwrap().stdout).unwrap();
        let fields: Vec<_> = output.split_whitespace().collect();
        assert_eq!(fields[1..3], ["129", "128"], "{output}");
    }
    // One more is refused nothing, and gets nothing.
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let refused =
        std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(300));
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert_holds(
        &broken.interrupted(),
        "Ended with 129 connections not accepted and ",
    );
}

#[test]
fn what_is_closed_unread_is_reset() {
    let broken = Broken::start("reset", &["--every", "1m"]);
    assert_holds(&broken.tells("reset"), "  1 connection reset");
    // Whoever comes is treated like our client.
    let mut peer = connect(broken.port);
    peer.write_all(b"hello").unwrap();
    let answer = std::io::Read::read(&mut peer, &mut [0; 8]);
    assert_eq!(
        answer.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    drop(peer);
    assert_eq!(broken.interrupted(), "1 connection reset.");
}

#[test]
fn resets_end_with_their_number() {
    let Broken { pair, port, halves } = Broken::start("reset", &["--every", "0", "--count", "500"]);
    let (code, output, errors) = pair.end();
    assert_code(code, 0, &errors);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(output.last().unwrap(), "500 connections reset.");
    nothing_left(port, halves);
}

#[test]
fn a_reader_that_left_ends_even_what_has_nothing_more_to_say() {
    let port = free_port();
    let number = port.to_string();
    let arguments = [
        "pair",
        "--port",
        &number,
        "--break",
        "slow-reader",
        "--every",
        "1h",
    ];
    let mut child = chat(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let halves = [process(&next()), process(&next())];
    until("the first message is told of", || {
        next().contains("Recv-Q 1,024 bytes").then_some(())
    });
    drop(lines);
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(rest(&mut child.stderr.take().unwrap()), "");
    nothing_left(port, halves);
}

#[test]
fn a_broken_pair_takes_its_halves_along_when_killed() {
    let Broken {
        mut pair, halves, ..
    } = Broken::start("no-accept", &[]);
    pair.signal(Signal::KILL);
    pair.wait();
    gone(halves);
}

#[test]
fn a_killed_half_of_a_broken_pair_is_named() {
    for victim in [0, 1] {
        let Broken { pair, port, halves } = Broken::start("never-close", &["--count", "3"]);
        rustix::process::kill_process(halves[victim], Signal::KILL).unwrap();
        let (code, _, errors) = pair.end();
        assert_code(code, 1, &errors);
        let half = ["chat-server", "chat-client"][victim];
        let named = format!("{half}[{}] was killed by SIGKILL", halves[victim]);
        assert_holds(&errors.join("\n"), &named);
        gone(halves);
        assert!(at_server(port, LISTEN).is_empty());
    }
}

#[test]
fn a_broken_pair_needs_a_free_port_too() {
    let (_server, port) = server(&[]);
    let number = port.to_string();
    let arguments = ["pair", "--port", &number, "--break", "no-accept"];
    let (code, output, errors) = Program::start(&arguments).end();
    assert_code(code, 1, &errors);
    assert!(output.is_empty());
    let expected = [
        format!("chat: cannot listen on 127.0.0.1:{port}: address in use"),
        format!("      (inspect port {port} tells by whom; --port N takes another)"),
    ];
    assert_eq!(errors, expected);
}

/// The number that stands after those words.
fn amount(line: &str, after: &str) -> u64 {
    let rest = line.split_once(after).unwrap().1;
    let number = rest.split_whitespace().next().unwrap();
    number.replace(',', "").parse().unwrap()
}
