//! Live on loopback.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use rustix::process::Signal;

use crate::program::*;

/// tcpdump, listening.
fn tcpdump(arguments: &[&str]) -> Running {
    let running = Running::start(
        Command::new("tcpdump")
            .args(["-Z", "root", "-n", "-U"])
            .args(arguments),
    );
    running.message("listening on");
    running
}

/// The payloads that tcpdump read in a file, as base64: what `length N` says is the end of the
/// hexadecimal dump.
fn payloads_by_tcpdump(path: &str) -> Vec<String> {
    let output = Command::new("tcpdump")
        .args(["-n", "-t", "-x", "-r", path])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut payloads = Vec::new();
    let mut length = 0;
    let mut bytes: Vec<u8> = Vec::new();
    let mut finish = |length: usize, bytes: &[u8]| {
        if length > 0 {
            let payload = &bytes[bytes.len() - length..];
            payloads.push(base64::engine::general_purpose::STANDARD.encode(payload));
        }
    };
    for line in text.lines() {
        if let Some((_, dump)) = line
            .strip_prefix('\t')
            .and_then(|line| line.split_once(':'))
        {
            let digits: String = dump.split_whitespace().collect();
            bytes.extend(
                (0..digits.len() / 2)
                    .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()),
            );
        } else {
            finish(length, &bytes);
            bytes.clear();
            let (_, number) = line.rsplit_once("length ").unwrap();
            length = number
                .split(|c: char| !c.is_ascii_digit())
                .next()
                .unwrap()
                .parse()
                .unwrap();
        }
    }
    finish(length, &bytes);
    payloads
}

const WORDS: [&[u8]; 5] = [
    b"hello",
    "你好".as_bytes(),
    b"\x1b[31mred",
    b"\xff\xfe",
    &[b'x'; 9000],
];

#[test]
fn the_same_payloads_in_the_same_order_as_tcpdump() {
    if !is_root("the_same_payloads_in_the_same_order_as_tcpdump")
        || !crate::support::have_program(
            "tcpdump",
            "the_same_payloads_in_the_same_order_as_tcpdump",
        )
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("theirs.pcap");
    let theirs = theirs.to_str().unwrap();
    let (listener, port) = listener();
    let port = port.to_string();
    let tcpdump = tcpdump(&["-i", "lo", "-w", theirs, "tcp", "port", &port]);
    let running = capture_records(&["--port", &port]);
    for _ in 0..5 {
        converse(&listener, &WORDS);
    }
    let ended = running.interrupt();
    // tcpdump's own interrupt would lose what its buffer still holds: wait for all of it.
    let deadline = Instant::now() + LIMIT;
    while payloads_by_tcpdump(theirs).len() < 50 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    tcpdump.interrupt();
    assert!(ended.status.success());
    let ours = payloads(&ended.records());
    assert_eq!(ours.len(), 50);
    assert_eq!(ours, payloads_by_tcpdump(theirs));
    let end = &ended.records().pop().unwrap();
    assert_eq!(end["complete"], true, "{end}");
    assert_eq!(end["counts"]["conversation"], 5, "{end}");
}

#[test]
fn both_ends_have_their_owners_and_numbers_from_the_beginning() {
    if !is_root("both_ends_have_their_owners_and_numbers_from_the_beginning") {
        return;
    }
    let (listener, port) = listener();
    let running = capture_records(&[&format!(":{port}")]);
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (_server, _) = listener.accept().unwrap();
    let local = client.local_addr().unwrap().port();
    // The first look may be too early for accept(); later ones find both ends.
    let deadline = Instant::now() + LIMIT;
    let mut packets = Vec::new();
    let is_exact = |record: &serde_json::Value| {
        record["source_attribution"] == "exact" && record["destination_attribution"] == "exact"
    };
    let mut said = 0u64;
    while !packets.last().is_some_and(is_exact) {
        assert!(Instant::now() < deadline, "{packets:#?}");
        client.write_all(b"hello").unwrap();
        said += 1;
        while packets.last().is_none_or(|last: &serde_json::Value| {
            last["relative_seq"] != 1 + 5 * (said - 1) || last["payload"]["text"] != "hello"
        }) {
            packets.push(running.record());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let syn = &packets[0];
    assert_eq!(syn["number"], 1);
    assert_eq!(syn["flags"], serde_json::json!(["SYN"]));
    assert_eq!(syn["source"]["port"], local);
    assert_eq!(syn["relative_seq"], 0);
    assert_eq!(syn["interface"], "lo");
    let last = packets.last().unwrap();
    assert_eq!(last["relative_ack"], 1);
    for side in ["source", "destination"] {
        let owners = last[format!("{side}_owners")].as_array().unwrap();
        let pids: Vec<u64> = owners
            .iter()
            .map(|owner| owner["pid"].as_u64().unwrap())
            .collect();
        assert!(pids.contains(&u64::from(std::process::id())), "{last}");
    }
    assert!(running.interrupt().status.success());
}

#[test]
fn a_line_is_there_within_100_ms() {
    if !is_root("a_line_is_there_within_100_ms") {
        return;
    }
    let (listener, port) = listener();
    let running = capture_records(&["--port", &port.to_string()]);
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (_server, _) = listener.accept().unwrap();
    let mut delays = Vec::new();
    for round in 0..10 {
        let sent = Instant::now();
        client
            .write_all(format!("word {round}").as_bytes())
            .unwrap();
        let wanted = format!("\"word {round}\"");
        let (seen, _) = std::iter::repeat_with(|| running.lines.recv_timeout(LIMIT).unwrap())
            .find(|(_, line)| line.contains(&wanted))
            .unwrap();
        delays.push(seen.duration_since(sent));
        std::thread::sleep(Duration::from_millis(17 * round));
    }
    // A busy machine may let anything wait for its turn; not every time.
    delays.sort();
    let median = delays[delays.len() / 2];
    eprintln!(
        "lines took {median:?}, the slowest {:?}",
        delays[delays.len() - 1]
    );
    assert!(median < Duration::from_millis(100), "{delays:?}");
}

/// Each line belongs to a conversation of which nobody has heard: its owners are looked for
/// before it is written.
#[test]
fn the_line_of_a_new_conversation_is_there_within_100_ms() {
    if !is_root("the_line_of_a_new_conversation_is_there_within_100_ms") {
        return;
    }
    let (_sink, port) = udp_sink();
    let running = capture_records(&["--port", &port.to_string()]);
    let mut delays = Vec::new();
    let mut senders = Vec::new();
    let mut last = None;
    for round in 0..20 {
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sent = Instant::now();
        sender.send_to(b"first", ("127.0.0.1", port)).unwrap();
        // Others on this machine may have the same port of TCP.
        let source = sender.local_addr().unwrap().port();
        let (seen, record) = std::iter::repeat_with(|| running.lines.recv_timeout(LIMIT).unwrap())
            .map(|(seen, line)| {
                (
                    seen,
                    serde_json::from_str::<serde_json::Value>(&line).unwrap(),
                )
            })
            .find(|(_, record)| record["protocol"] == "udp" && record["source"]["port"] == source)
            .unwrap();
        let conversation = record["conversation"].as_u64();
        assert!(conversation > last, "{record}");
        last = conversation;
        delays.push(seen.duration_since(sent));
        senders.push(sender);
        // Some come while a look is due, some soon after one.
        std::thread::sleep(Duration::from_millis(17 * (round % 10)));
    }
    delays.sort();
    let median = delays[delays.len() / 2];
    let slowest = delays[delays.len() - 1];
    eprintln!("lines of new conversations took {median:?}, the slowest {slowest:?}");
    assert!(median < Duration::from_millis(100), "{delays:?}");
}

#[test]
fn every_conversation_on_a_terminal_has_its_owners_in_the_end() {
    if !is_root("every_conversation_on_a_terminal_has_its_owners_in_the_end") {
        return;
    }
    let (listener, port) = listener();
    let text = port.to_string();
    let mut command = inspect();
    command.args(["--port", &text, "--duration", "4s"]);
    let talking = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(2_000));
        let mut held = Vec::new();
        let mut ports = Vec::new();
        // The second soon after the look for the first; both live on, and are silent.
        for _ in 0..2 {
            let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            ports.push(client.local_addr().unwrap().port());
            held.push((client, listener.accept().unwrap()));
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(2_500));
        ports
    });
    let shown = crate::support::run_on_terminal(&mut command, 200);
    let ports = talking.join().unwrap();
    let pid = std::process::id();
    for (number, client) in (1..).zip(ports) {
        let told = shown.lines().any(|line| {
            let line = anstream::adapter::strip_str(line).to_string();
            line.starts_with(&format!("#{number} "))
                && line.contains(&format!("[{pid}] 127.0.0.1:{client} → "))
                && line.contains(&format!("[{pid}] 127.0.0.1:{port}"))
        });
        assert!(told, "#{number}: {shown}");
    }
}

#[test]
fn what_is_dropped_is_counted_once() {
    if !is_root("what_is_dropped_is_counted_once") {
        return;
    }
    let (_sink, port) = udp_sink();
    let running = capture_records(&["--port", &port.to_string(), "-B", "512"]);
    // While it stands still, its buffer overflows.
    running.signal(Signal::STOP);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sent = 20_000u64;
    for _ in 0..sent {
        sender.send_to(&[b'x'; 200], ("127.0.0.1", port)).unwrap();
    }
    running.signal(Signal::CONT);
    let ended = running.interrupt();
    let records = ended.records();
    let end = records.last().unwrap();
    let shown = end["counts"]["packet"].as_u64().unwrap();
    let gap = records
        .iter()
        .find(|record| record["type"] == "gap")
        .expect("a gap");
    let dropped = gap["count"].as_u64().unwrap();
    assert!(dropped > 0 && shown > 0, "{shown} shown, {dropped} dropped");
    assert_eq!(shown + dropped, sent, "{shown} shown, {dropped} dropped");
    assert_eq!(end["complete"], false);
    assert_eq!(end["lost"], dropped);
    assert!(
        ended
            .messages
            .iter()
            .any(|line| line.contains("dropped by the kernel"))
    );
}

#[test]
fn it_ends_after_a_count_after_a_time_and_on_ctrl_c() {
    if !is_root("it_ends_after_a_count_after_a_time_and_on_ctrl_c") {
        return;
    }
    let (sink, port) = udp_sink();
    let text = port.to_string();
    let running = capture_records(&["--port", &text, "-c", "3"]);
    for _ in 0..5 {
        sink.send_to(b"x", ("127.0.0.1", port)).unwrap();
    }
    let ended = running.end();
    assert!(ended.status.success());
    assert_eq!(ended.records().last().unwrap()["counts"]["packet"], 3);

    let began = Instant::now();
    let ended = Running::start(inspect().args(["--port", &text, "--duration", "300ms"])).end();
    let took = began.elapsed();
    assert!(ended.status.success());
    assert!((300..2_000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(
        ended.messages,
        ["0 packets, 0 conversations, 0 bytes of payload. None dropped."]
    );

    for signal in [Signal::INT, Signal::TERM] {
        let running = capture_records(&["--port", &text]);
        sink.send_to(b"just before the end", ("127.0.0.1", port))
            .unwrap();
        running.signal(signal);
        let ended = running.end();
        assert!(ended.status.success());
        let records = ended.records();
        assert_eq!(records[0]["payload"]["text"], "just before the end");
    }
}

#[test]
fn silence_is_explained_after_two_seconds() {
    if !is_root("silence_is_explained_after_two_seconds") {
        return;
    }
    let (_listener, port) = listener();
    let began = Instant::now();
    let running = Running::start(inspect().args(["--port", &port.to_string()]));
    let (at, line) = running.message("Nothing yet");
    let after = at.duration_since(began);
    assert!((1_900..3_500).contains(&after.as_millis()), "{after:?}");
    assert_eq!(
        line,
        format!("Nothing yet. 1 listener on port {port} waits.")
    );
    assert!(running.interrupt().status.success());
}

#[test]
fn what_is_written_is_read_back_by_tcpdump_and_by_us() {
    if !is_root("what_is_written_is_read_back_by_tcpdump_and_by_us") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.pcap");
    let path = path.to_str().unwrap();
    let (listener, port) = listener();
    // The header is there once it listens.
    let running = Running::start(inspect().args(["--port", &port.to_string(), "-w", path]));
    let deadline = Instant::now() + LIMIT;
    while std::fs::metadata(path).map_or(0, |it| it.len()) < 24 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    converse(&listener, &WORDS);
    // Readable while it is still being written.
    while payloads_by_tcpdump(path).len() < 10 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = running.interrupt();
    assert!(ended.status.success());
    assert_eq!(ended.lines, [""; 0]);
    assert!(
        ended.messages[0].contains("1 conversation"),
        "{:?}",
        ended.messages
    );
    let read = Running::start(inspect().args(["--json", "-r", path])).end();
    let ours = payloads(&read.records());
    assert_eq!(ours.len(), 10);
    assert_eq!(ours, payloads_by_tcpdump(path));
}

#[test]
fn a_reader_that_leaves_is_a_quiet_success() {
    if !is_root("a_reader_that_leaves_is_a_quiet_success") {
        return;
    }
    let (sink, port) = udp_sink();
    for traffic in [true, false] {
        let mut child = inspect()
            .args(["--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let deadline = Instant::now() + LIMIT;
        // With traffic a write fails; without, the closed pipe is seen all the same.
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            if traffic {
                sink.send_to(b"x", ("127.0.0.1", port)).unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn without_the_right_the_two_ways_out_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("inspect");
    // Not copied by this process: a child forked meanwhile by another test would inherit the
    // descriptor, and the program would be busy.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_inspect"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(&program);
        command
    } else {
        Command::new(&program)
    };
    let output = command
        .args(["capture", "--port", "2345"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let program = program.display();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "inspect: cannot capture: permission denied\n  \
             once:    sudo {program} capture --port 2345\n  \
             always:  sudo setcap cap_net_raw+ep {program}\n           \
             (then every user of this machine may read its traffic)\n"
        )
    );
    assert_eq!(output.stdout, b"");
}

#[test]
fn an_unknown_interface_is_named_with_those_that_exist() {
    if !is_root("an_unknown_interface_is_named_with_those_that_exist") {
        return;
    }
    let output = inspect().args(["-i", "nope0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.starts_with("inspect: cannot capture on nope0: no such interface (there are: "),
        "{message}"
    );
    assert!(message.contains("lo"), "{message}");
    assert_eq!(message.lines().count(), 1);
}

#[test]
fn a_terminal_gets_headings_and_what_is_awaited() {
    if !is_root("a_terminal_gets_headings_and_what_is_awaited") {
        return;
    }
    let (sink, port) = udp_sink();
    let text = port.to_string();
    let mut command = inspect();
    command.args(["--port", &text, "-c", "2", "--duration", "10s"]);
    let sending = std::thread::spawn(move || {
        // Into a capture that listens, or that will.
        for _ in 0..60 {
            sink.send_to("\u{1b}[2J你好".as_bytes(), ("127.0.0.1", port))
                .unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let shown = crate::support::run_on_terminal(&mut command, 120);
    sending.join().unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[0].contains(&format!(
            "Capturing port {port} on every interface. Ctrl-C ends."
        )),
        "{shown}"
    );
    assert_eq!(lines[1], "");
    assert!(
        lines[2].contains(&format!("[{}] 127.0.0.1:{port}", std::process::id())),
        "{shown}"
    );
    assert!(lines[2].contains("  (lo)"), "{shown}");
    for line in &lines[3..5] {
        assert!(line.contains("  #1 →  UDP  len 10  "), "{shown}");
        assert!(line.contains(r#""\u{1b}[2J你好""#), "{shown}");
    }
    assert!(
        lines[5].contains("2 packets, 1 conversation, 20 bytes of payload. None dropped."),
        "{shown}"
    );
    assert!(!shown.contains("\u{1b}[2J"), "{shown}");
}

#[test]
fn a_signal_asks_for_the_counts_and_the_capture_goes_on() {
    if !is_root("a_signal_asks_for_the_counts_and_the_capture_goes_on") {
        return;
    }
    crate::support::own_network();
    let (listener, port) = listener();
    let running = capture_records(&[&format!(":{port}"), "-i", "lo"]);
    converse(&listener, &[b"hello"]);
    let heard = |running: &Running| while running.record()["payload"]["text"] != "hi" {};
    heard(&running);
    running.signal(Signal::USR1);
    let (_, said) = running.message("So far ");
    assert!(
        said.contains(" packets, 1 conversation, 7 bytes of payload."),
        "{said}"
    );
    assert!(said.ends_with(" None dropped."), "{said}");
    converse(&listener, &[b"again"]);
    heard(&running);
    running.signal(Signal::USR1);
    let (_, said) = running.message("So far ");
    assert!(
        said.contains(", 2 conversations, 14 bytes of payload."),
        "{said}"
    );
    let ended = running.interrupt();
    assert!(ended.status.success(), "{:?}", ended.messages);
    assert_eq!(ended.records().last().unwrap()["complete"], true);
}
