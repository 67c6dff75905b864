//! pcapng: what one run shows and writes is what `-r` and tshark read.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::crafted::{ethernet, ipv4, pair, pcap, udp};
use crate::program::*;
use crate::support::{have_program, own_network, wait_for};

fn can_run(program: &str, test: &str) -> bool {
    is_root(test) && have_program(program, test)
}

/// What `-r` says of a file.
fn read(path: &Path, arguments: &[&str]) -> Ended {
    let ended = Running::start(inspect().arg("-r").arg(path).args(arguments)).end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    ended
}

/// The fields that tshark reads in a file, packet by packet.
fn fields_by_tshark(path: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(path).args(["-n", "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

fn count_by_tcpdump(path: &Path) -> usize {
    let output = Command::new("tcpdump")
        .arg("-nr")
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().count()
}

/// Records without the first, which is about the run.
fn behind_begin(lines: &[String]) -> &[String] {
    match lines {
        [first, rest @ ..] if first.contains(r#""type":"begin""#) => rest,
        all => all,
    }
}

/// Talks until both ends are known to whoever shows this conversation, and once more.
fn talk_until_known(listener: &TcpListener, known: impl Fn(&str) -> bool) {
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let end = format!(":{}", client.local_addr().unwrap().port());
    let deadline = Instant::now() + LIMIT;
    loop {
        let is_last = known(&end);
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
        server.write_all(b"hi").unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
        if is_last {
            return;
        }
        assert!(Instant::now() < deadline, "the owners are not known");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn one_run_shows_and_writes_and_the_file_reads_back_to_the_same() {
    let test = "one_run_shows_and_writes_and_the_file_reads_back_to_the_same";
    if !can_run("tshark", test) {
        return;
    }
    own_network();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.pcapng");
    let pid = std::process::id();
    // Records tell what is exact, so that the last conversation is known to be.
    for shape in [&["--no-heading"][..], &["--json"]] {
        let (listener, port) = listener();
        let mut command = inspect();
        command.args(["--port", &port.to_string(), "--print", "-w"]);
        let running = Running::start(command.arg(&path).args(shape));
        wait_for("the file's header", || {
            std::fs::metadata(&path).ok().filter(|it| it.len() > 0)
        });
        let mut lines = Vec::new();
        let seen = std::cell::RefCell::new(&mut lines);
        let is_known = |line: &str| {
            let words = format!("[{pid}]");
            line.matches(r#"_attribution":"exact""#).count() == 2
                || line.matches(&words).count() == 2
        };
        for _ in 0..2 {
            talk_until_known(&listener, |end| {
                let mut known = false;
                for (_, line) in running.lines.try_iter() {
                    known |= is_known(&line) && line.contains(end);
                    seen.borrow_mut().push(line);
                }
                known
            });
        }
        let ended = running.interrupt();
        assert!(ended.status.success(), "{:?}", ended.messages);
        lines.extend(ended.lines.iter().cloned());
        assert!(lines.len() > 20, "{lines:?}");
        let again = read(&path, shape);
        assert_eq!(behind_begin(&lines), behind_begin(&again.lines));
    }

    let wanted = ["frame.interface_name", "frame.comment", "frame.time_epoch"];
    let packets = fields_by_tshark(&path, &wanted);
    assert_eq!(packets.len(), count_by_tcpdump(&path));
    assert!(
        packets.iter().all(|fields| fields[0] == "lo"),
        "{packets:?}"
    );
    let comments: Vec<&str> = packets
        .iter()
        .map(|fields| fields[1].as_str())
        .filter(|comment| !comment.is_empty())
        .collect();
    // On the first packet and where something becomes known, not on each.
    assert!(
        comments.len() >= 2 && comments.len() < packets.len() / 2,
        "{comments:?}"
    );
    let last = comments.last().unwrap();
    assert!(last.starts_with("tcp client 127.0.0.1:"), "{last}");
    assert_eq!(last.matches(&format!("[{pid}]")).count(), 2, "{last}");
    assert_eq!(last.matches("(exact").count(), 2, "{last}");
    let records = read(&path, &["--json"]).records();
    for (record, fields) in records[1..].iter().zip(&packets) {
        let (_, ours) = record["time"].as_str().unwrap().split_once('.').unwrap();
        let (_, theirs) = fields[2].split_once('.').unwrap();
        assert_eq!(ours, format!("{theirs}Z"), "nanoseconds");
    }
    // Some are finer than microseconds.
    assert!(packets.iter().any(|fields| !fields[2].ends_with("000")));
    // Whose word it is can be asked for.
    let said = read(&path, &["-v"]).messages.join("\n");
    assert!(
        said.contains("Packets from a pcapng file, link linux-sll2.\n"),
        "{said}"
    );
    assert!(said.contains("Owners are from the file"), "{said}");
    // The first packet says who they are, and it is another that is asked for.
    let port = records[1]["destination"]["port"].as_u64().unwrap();
    let answers = read(&path, &["--json", "src", "port", &port.to_string()]).records();
    assert!(answers.len() > 10);
    assert_eq!(answers[answers.len() - 2]["source_attribution"], "exact");
    // A copy has them too.
    let copy = folder.path().join("copy.pcapng");
    read(
        &path,
        &[
            "-w",
            copy.to_str().unwrap(),
            "src",
            "port",
            &port.to_string(),
        ],
    );
    let copied = read(&copy, &["--json"]).records();
    assert_eq!(copied[1..], answers[1..]);
    assert!(
        fields_by_tshark(&copy, &wanted)
            .iter()
            .all(|fields| fields[0] == "lo")
    );
}

#[test]
fn every_interface_has_its_name() {
    let test = "every_interface_has_its_name";
    if !can_run("tshark", test) {
        return;
    }
    own_network();
    for words in [
        "link add left type veth peer name right",
        "address add 10.9.0.1/24 dev left",
        "link set left up",
        "link set right up",
        "neighbour add 10.9.0.2 lladdr 02:00:00:00:00:09 dev left",
    ] {
        let status = Command::new("ip").args(words.split(' ')).status().unwrap();
        assert!(status.success(), "ip {words}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("interfaces.pcapng");
    let (socket, port) = udp_sink();
    let text = port.to_string();
    let running = capture_records(&["--port", &text, "--print", "-w", path.to_str().unwrap()]);
    let elsewhere = UdpSocket::bind("10.9.0.1:0").unwrap();
    elsewhere
        .send_to(b"over the wire", ("10.9.0.2", port))
        .unwrap();
    socket.send_to(b"at home", ("127.0.0.1", port)).unwrap();
    let mut lines = Vec::new();
    while lines.len() < 3 {
        lines.push(running.line());
    }
    let ended = running.interrupt();
    lines.extend(ended.lines);
    let again = read(&path, &["--json"]);
    assert_eq!(lines, behind_begin(&again.lines));
    let packets = fields_by_tshark(&path, &["frame.interface_name", "sll.ifindex"]);
    let names: Vec<&str> = packets.iter().map(|fields| fields[0].as_str()).collect();
    assert_eq!(names, ["left", "right", "lo"]);
    assert_eq!(count_by_tcpdump(&path), 3);
    // On one alone there is no header to say it.
    let alone = folder.path().join("alone.pcapng");
    let mut running = inspect();
    running
        .args(["-i", "left", "--port", &text, "-c", "1", "-w"])
        .arg(&alone);
    let running = Running::start(&mut running);
    wait_for("the file's header", || {
        std::fs::metadata(&alone).ok().filter(|it| it.len() > 0)
    });
    elsewhere.send_to(b"again", ("10.9.0.2", port)).unwrap();
    assert!(running.end().status.success());
    let packets = fields_by_tshark(&alone, &["frame.interface_name", "frame.encap_type"]);
    assert_eq!(packets, [["left", "1"]]);
    assert_eq!(read(&alone, &["--json"]).records()[1]["interface"], "left");
}

#[test]
fn what_wireshark_writes_is_read_whatever_its_links() {
    let test = "what_wireshark_writes_is_read_whatever_its_links";
    if !have_program("mergecap", test) || !have_program("tshark", test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::fs::write(place("ethernet.pcap"), pcap(1, &pair())).unwrap();
    let raw: Vec<_> = (0..5u64)
        .map(|number| {
            let packet = ipv4(17, &udp((5000, 2345), b"raw"));
            (1_767_355_201_000_200 + number, packet, None)
        })
        .collect();
    std::fs::write(place("raw.pcap"), pcap(101, &raw)).unwrap();
    let merged = place("merged.pcapng");
    let status = Command::new("mergecap")
        .args(["-F", "pcapng", "-w"])
        .args([&merged, &place("ethernet.pcap"), &place("raw.pcap")])
        .status()
        .unwrap();
    assert!(status.success());
    let records = read(&merged, &["--json"]).records();
    let of = |link: &str| records.iter().filter(|it| it["link"] == link).count();
    assert_eq!((of("ethernet"), of("raw")), (9, 5));
    let theirs = fields_by_tshark(&merged, &["frame.len"]);
    let ours: Vec<Vec<String>> = records
        .iter()
        .filter(|record| record["type"] == "packet")
        .map(|record| vec![record["original_length"].to_string()])
        .collect();
    assert_eq!(ours, theirs);
    // Filters hold for each link type.
    for (filter, count) in [
        (&["udp"][..], 5),
        (&[":2345"], 14),
        (&["tcp", "src", "port", "2345"], 3),
        (&["greater", "60"], 2),
        (&["ether", "host", "02:00:00:00:00:01"], 9),
    ] {
        assert_eq!(read(&merged, filter).lines.len(), count, "{filter:?}");
    }
    // What it cannot be about is said.
    let said = read(&merged, &["ether", "host", "02:00:00:00:00:01"]).messages;
    assert!(
        said[1].starts_with("5 packets not shown: the filter cannot be used"),
        "{said:?}"
    );
    // One file of ours has one link type in one format, and all in the other.
    let copy = place("copy.pcapng");
    read(&merged, &["-w", copy.to_str().unwrap()]);
    assert_eq!(fields_by_tshark(&copy, &["frame.len"]), theirs);
    let refused = Running::start(
        inspect()
            .arg("-r")
            .arg(&merged)
            .arg("-w")
            .arg(place("copy.pcap")),
    );
    let refused = refused.end();
    assert_eq!(refused.status.code(), Some(1));
    let last = refused.messages.last().unwrap();
    assert!(
        last.contains("one link type") && last.contains("--file-format pcapng"),
        "{last}"
    );
    // Through a pipe, as through a file.
    let output = inspect()
        .args(["-r", "-", "--json"])
        .stdin(std::process::Stdio::from(cat(&merged)))
        .output()
        .unwrap();
    let piped = String::from_utf8(output.stdout).unwrap();
    let piped: Vec<Value> = piped
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(piped[1..], records[1..]);
}

/// A pipe out of which a file comes.
fn cat(path: &Path) -> std::process::ChildStdout {
    Command::new("cat")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
        .stdout
        .unwrap()
}

#[test]
fn both_formats_are_streamed_into_tcpdump_and_into_us() {
    let test = "both_formats_are_streamed_into_tcpdump_and_into_us";
    if !have_program("tcpdump", test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("recorded");
    std::fs::write(&recorded, pcap(1, &pair())).unwrap();
    for format in ["pcap", "pcapng"] {
        let stream = || {
            let child = inspect()
                .arg("-r")
                .arg(&recorded)
                .args(["-w", "-", "--file-format", format])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn();
            Stdio::from(child.unwrap().stdout.unwrap())
        };
        let mut tcpdump = Command::new("tcpdump");
        let theirs = tcpdump.args(["-nr", "-"]).stdin(stream()).output().unwrap();
        assert!(theirs.status.success(), "{theirs:?}");
        assert_eq!(String::from_utf8_lossy(&theirs.stdout).lines().count(), 9);
        let ours = inspect()
            .args(["-r", "-"])
            .stdin(stream())
            .output()
            .unwrap();
        assert!(ours.status.success(), "{ours:?}");
        assert_eq!(String::from_utf8_lossy(&ours.stdout).lines().count(), 9);
    }
}

#[test]
fn a_pipe_is_shown_block_by_block_and_left_on_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("recorded");
    let written = folder.path().join("written.pcapng");
    std::fs::write(&recorded, pcap(1, &pair())).unwrap();
    read(&recorded, &["-w", written.to_str().unwrap()]);
    let file = std::fs::read(&written).unwrap();
    // Up to the end of the second packet, and into the third.
    let mut ends = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let kind = u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
        at += u32::from_ne_bytes(file[at + 4..at + 8].try_into().unwrap()) as usize;
        if kind == 6 {
            ends.push(at);
        }
    }
    assert_eq!(ends.len(), 9);
    let mut child = inspect()
        .args(["-r", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&file[..ends[1] + 9]).unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.next().unwrap().unwrap().contains(" SYN seq 0 "));
    assert!(lines.next().unwrap().unwrap().contains(" SYN,ACK seq 0 "));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(lines.count(), 0);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(messages.starts_with("2 packets, "), "{messages}");
}

#[test]
fn what_was_dropped_stands_in_the_file() {
    let test = "what_was_dropped_stands_in_the_file";
    if !is_root(test) {
        return;
    }
    own_network();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropped.pcapng");
    let (socket, port) = udp_sink();
    let text = port.to_string();
    // The smallest ring, and a flood that it cannot hold while the program is stopped.
    let running = capture_records(&[
        "--port",
        &text,
        "-B",
        "1",
        "--print",
        "-w",
        path.to_str().unwrap(),
    ]);
    running.signal(rustix::process::Signal::STOP);
    for _ in 0..20_000 {
        socket.send_to(&[b'x'; 500], ("127.0.0.1", port)).unwrap();
    }
    running.signal(rustix::process::Signal::CONT);
    let ended = running.interrupt();
    let lines = &ended.lines;
    let gap = lines
        .iter()
        .find(|line| line.contains(r#""type":"gap""#))
        .unwrap();
    assert!(gap.contains("packets dropped by the kernel"), "{gap}");
    let again = read(&path, &["--json"]);
    assert_eq!(lines, behind_begin(&again.lines));
    let gap: Value = serde_json::from_str(gap).unwrap();
    assert!(gap["count"].as_u64().unwrap() > 0, "{gap}");
}

#[test]
fn a_reader_of_the_lines_that_leaves_leaves_a_whole_file() {
    let test = "a_reader_of_the_lines_that_leaves_leaves_a_whole_file";
    if !have_program("tcpdump", test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("recorded");
    let frames: Vec<_> = (0..2_000).flat_map(|_| pair()).collect();
    std::fs::write(&recorded, pcap(1, &frames)).unwrap();
    for name in ["x.pcap", "x.pcapng"] {
        let path = folder.path().join(name);
        let mut child = inspect()
            .arg("-r")
            .arg(&recorded)
            .args(["--print", "-w"])
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(count_by_tcpdump(&path) > 0);
    }
}

#[test]
fn a_hostile_file_is_an_error_and_its_words_are_inert() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.pcapng");
    let section = b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0";
    let block = |kind: u32, body: &[u8]| {
        let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let option = |code: u16, value: &[u8]| {
        let length = u16::try_from(value.len()).unwrap().to_le_bytes();
        let mut bytes = [&code.to_le_bytes()[..], &length, value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let described = [b"\x01\0\0\0\0\0\0\0".to_vec(), option(2, b"\x1b[31mlo")].concat();
    let frame = ethernet(0x0800, &ipv4(17, &udp((5000, 2345), b"x")));
    let note = "udp client 127.0.0.1:5000 evil\\x1b\\x5b2J[7] fd 3 (exact), server 127.0.0.1:2345 \
                (unknown: hidden, user 0 ro\\x1bot)";
    let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
    let mut packet = [&[0; 12][..], &length, &length, &frame].concat();
    packet.resize(packet.len().next_multiple_of(4), 0);
    packet.extend(option(1, note.as_bytes()));
    packet.extend(option(1, b"\x1b[2J a remark"));
    let mut statistics = vec![0; 12];
    statistics.extend(option(1, b"lost (capture): 3: packets \x1b[2J dropped"));
    let good = [
        section.to_vec(),
        block(1, &described),
        block(6, &packet),
        block(5, &statistics),
    ]
    .concat();
    std::fs::write(&path, &good).unwrap();
    for shape in [&[][..], &["--heading"], &["-v"]] {
        let ended = read(&path, shape);
        let all = [ended.lines, ended.messages].concat().join("\n");
        assert!(all.contains("evil\\u{1b}\\[2J[7]"), "{all}");
        assert!(all.contains("(user ro\\u{1b}ot)"), "{all}");
        assert!(all.contains("3 packets"), "{all}");
        assert!(
            all.bytes()
                .all(|byte| byte == b'\n' || !byte.is_ascii_control()),
            "{all:?}"
        );
    }
    for (bytes, part) in [
        (&good[..good.len() - 1], "broke off: it ends within a block"),
        (&good[..20], "it ends within a block"),
        (&good[..28], "it describes no interface"),
        (&good[..10], "no capture file"),
        (
            &[&good[..], &block(1, &[])].concat(),
            "broke off: a block of type 1 is too short",
        ),
        (
            &[&good[..], &[6, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff]].concat(),
            "4294967280 bytes long",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let ended = Running::start(inspect().arg("-r").arg(&path)).end();
        assert_eq!(ended.status.code(), Some(1), "{part}");
        let last = ended.messages.last().unwrap();
        assert!(
            last.contains(part) && last.contains("hostile.pcapng"),
            "{part}: {last}"
        );
    }
}
