//! Files that follow each other: no packet is lost at a seam, and every file can be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::program::*;
use crate::support::{have_program, own_network, wait_for};

/// What tcpdump reads in a file: how many packets, and which numbered messages.
fn messages_by_tcpdump(path: &Path) -> (usize, Vec<u32>) {
    let output = Command::new("tcpdump")
        .args(["-n", "-t", "-A", "-r"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {output:?}", path.display());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let packets = text
        .lines()
        .filter(|line| line.contains(": UDP, length "))
        .count();
    let numbers = text
        .split("message ")
        .skip(1)
        .map(|rest| rest[..6].parse().unwrap())
        .collect();
    (packets, numbers)
}

/// The files of a folder, the oldest first: by their first message.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u32>)> {
    let mut files: Vec<(PathBuf, Vec<u32>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let (packets, numbers) = messages_by_tcpdump(&path);
            assert_eq!(packets, numbers.len(), "{}", path.display());
            (path, numbers)
        })
        .collect();
    files.sort_by_key(|(_, numbers)| numbers.first().copied());
    files
}

/// A capture of a port into files, which is listening.
fn writing(port: u16, path: &Path, arguments: &[&str]) -> Running {
    let running = Running::start(
        inspect()
            .args(["--port", &port.to_string(), "-w"])
            .arg(path)
            .args(arguments),
    );
    let folder = path.parent().unwrap();
    wait_for("the first file's header", || {
        let mut entries = fs::read_dir(folder).unwrap();
        entries
            .any(|entry| entry.unwrap().metadata().unwrap().len() > 0)
            .then_some(())
    });
    running
}

fn say(socket: &std::net::UdpSocket, port: u16, number: u32) {
    let text = format!("message {number:06}, and what goes with it");
    socket
        .send_to(text.as_bytes(), ("127.0.0.1", port))
        .unwrap();
}

fn can_run(test: &str) -> bool {
    is_root(test) && have_program("tcpdump", test)
}

#[test]
fn files_by_size_have_every_packet_once_and_in_order() {
    if !can_run("files_by_size_have_every_packet_once_and_in_order") {
        return;
    }
    own_network();
    for name in ["load.pcap", "load.pcapng"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let (socket, port) = udp_sink();
        let running = writing(port, &path, &["-C", "100k"]);
        // Slowly until owners are known, then as fast as it can: many a seam falls into a burst.
        for number in 0..100 {
            say(&socket, port, number);
            std::thread::sleep(Duration::from_millis(10));
        }
        for number in 100..20_000 {
            say(&socket, port, number);
        }
        let ended = running.interrupt();
        assert!(ended.status.success(), "{:?}", ended.messages);
        assert_eq!(
            ended.messages.last().unwrap(),
            "20,000 packets, 1 conversation, 740,000 bytes of payload. None dropped."
        );
        let files = files(folder.path());
        let all: Vec<u32> = files
            .iter()
            .flat_map(|(_, numbers)| numbers.clone())
            .collect();
        assert_eq!(all, (0..20_000).collect::<Vec<_>>(), "{name}");
        assert!(files.len() > 15, "{}", files.len());
        for (index, (file, _)) in files.iter().enumerate() {
            let number = if index == 0 {
                String::new()
            } else {
                index.to_string()
            };
            assert_eq!(
                file.to_str().unwrap(),
                format!("{}{number}", path.display())
            );
            let length = fs::metadata(file).unwrap().len();
            let is_last = index + 1 == files.len();
            // One packet over the limit, and what closes a file.
            assert!(
                (100 * 1024..102 * 1024).contains(&length) || is_last,
                "{length}"
            );
            // Each says by itself who was there.
            let read = Running::start(inspect().args(["--json", "-r"]).arg(file)).end();
            let records = read.records();
            let owners = records[1]["source_owners"].as_array().unwrap();
            if index > 0 {
                assert_eq!(!owners.is_empty(), name == "load.pcapng", "{}", records[1]);
            }
            assert_eq!(records.last().unwrap()["complete"], true);
        }
    }
}

#[test]
fn a_ring_of_files_keeps_the_newest() {
    if !can_run("a_ring_of_files_keeps_the_newest") {
        return;
    }
    own_network();
    for name in ["ring.pcap", "ring.pcapng"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let (socket, port) = udp_sink();
        let running = writing(port, &path, &["-C", "20k", "-W", "11"]);
        for number in 0..5_000 {
            say(&socket, port, number);
        }
        assert!(running.interrupt().status.success());
        let files = files(folder.path());
        let names: BTreeSet<String> = files
            .iter()
            .map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let expected: BTreeSet<String> =
            (0..11).map(|number| format!("{name}{number:02}")).collect();
        assert_eq!(names, expected);
        let kept: Vec<u32> = files.into_iter().flat_map(|(_, numbers)| numbers).collect();
        let first = kept[0];
        assert!((1_000..4_500).contains(&first), "{first}");
        assert_eq!(kept, (first..5_000).collect::<Vec<_>>());
    }
}

#[test]
fn a_ring_of_one_file_is_that_file_anew() {
    if !can_run("a_ring_of_one_file_is_that_file_anew") {
        return;
    }
    own_network();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.pcapng");
    let (socket, port) = udp_sink();
    let running = writing(port, &path, &["-C", "20k", "-W", "1"]);
    for number in 0..1_000 {
        say(&socket, port, number);
    }
    assert!(running.interrupt().status.success());
    let files = files(folder.path());
    assert_eq!(files.len(), 1);
    let (file, kept) = &files[0];
    assert_eq!(file, &path);
    assert_eq!(*kept, (kept[0]..1_000).collect::<Vec<_>>());
}

#[test]
fn files_by_time_have_it_in_their_names_and_end_after_a_count() {
    if !can_run("files_by_time_have_it_in_their_names_and_end_after_a_count") {
        return;
    }
    own_network();
    for extension in ["pcap", "pcapng"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("at-%s.{extension}"));
        let (socket, port) = udp_sink();
        let mut running = writing(port, &path, &["-G", "1", "-W", "3"]);
        let mut number = 0;
        let deadline = Instant::now() + LIMIT;
        while running.is_running() {
            assert!(Instant::now() < deadline, "it does not end");
            for _ in 0..20 {
                say(&socket, port, number);
                number += 1;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let ended = running.end();
        assert!(ended.status.success(), "{:?}", ended.messages);
        let files = files(folder.path());
        assert_eq!(files.len(), 3, "{files:?}");
        let all: Vec<u32> = files
            .iter()
            .flat_map(|(_, numbers)| numbers.clone())
            .collect();
        let count = u32::try_from(all.len()).unwrap();
        assert_eq!(all, (0..count).collect::<Vec<_>>());
        assert!(count > 100 && count < number, "{count} of {number}");
        let totals = ended.messages.last().unwrap().replace(',', "");
        assert!(totals.starts_with(&format!("{count} packets ")), "{totals}");
        let times: Vec<u64> = files
            .iter()
            .map(|(path, _)| {
                let name = path.file_stem().unwrap().to_str().unwrap();
                name.strip_prefix("at-").unwrap().parse().unwrap()
            })
            .collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    }
}

#[test]
fn a_silent_capture_ends_after_its_files_too() {
    if !is_root("a_silent_capture_ends_after_its_files_too") {
        return;
    }
    own_network();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silent.pcapng");
    let (_socket, port) = udp_sink();
    let running = writing(port, &path, &["-G", "1", "-W", "1"]);
    let ended = running.end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    let read = Running::start(inspect().arg("-r").arg(&path)).end();
    assert!(read.status.success(), "{:?}", read.messages);
    assert!(
        read.messages[0].starts_with("0 packets, "),
        "{:?}",
        read.messages
    );
}

#[test]
fn a_recorded_file_is_split_by_its_own_times() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("recorded");
    // Two conversations of two seconds each, an hour apart.
    let mut frames = crate::crafted::pair();
    let later = frames.clone().into_iter();
    frames.extend(later.map(|(time, frame, wire)| (time + 3_600_000_000, frame, wire)));
    fs::write(&recorded, crate::crafted::pcap(1, &frames)).unwrap();
    let split = folder.path().join("split");
    fs::create_dir(&split).unwrap();
    let ended = Running::start(
        inspect()
            .arg("-r")
            .arg(&recorded)
            .args(["-G", "600", "-w"])
            .arg(split.join("%H%M.pcap")),
    )
    .end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    for name in ["1200.pcap", "1300.pcap"] {
        let read = Running::start(inspect().arg("-r").arg(split.join(name))).end();
        assert_eq!(read.lines.len(), 9, "{name}: {:?}", read.messages);
    }
    assert_eq!(fs::read_dir(&split).unwrap().count(), 2);
}

#[test]
fn a_next_file_that_cannot_be_opened_is_named_and_the_others_can_be_read() {
    let test = "a_next_file_that_cannot_be_opened_is_named_and_the_others_can_be_read";
    if !have_program("tcpdump", test) {
        return;
    }
    let recorded = many_messages();
    for name in ["x.pcap", "x.pcapng"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let third = format!("{}2", path.display());
        fs::create_dir(&third).unwrap();
        let ended = Running::start(
            inspect()
                .arg("-r")
                .arg(recorded.path())
                .args(["-C", "10k", "-w"])
                .arg(&path),
        )
        .end();
        assert_eq!(ended.status.code(), Some(1), "{:?}", ended.messages);
        assert_eq!(
            ended.messages.last().unwrap(),
            &format!("inspect: cannot write {third}: is a directory")
        );
        fs::remove_dir(&third).unwrap();
        let files = files(folder.path());
        assert_eq!(files.len(), 2);
        let all: Vec<u32> = files
            .iter()
            .flat_map(|(_, numbers)| numbers.clone())
            .collect();
        let count = u32::try_from(all.len()).unwrap();
        assert_eq!(all, (0..count).collect::<Vec<_>>());
        // The one that came at the seam is counted.
        assert!(
            ended.messages.contains(&"1 packet not written.".to_owned()),
            "{:?}",
            ended.messages
        );
    }
}

#[test]
fn the_file_that_is_read_is_no_next_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let second = folder.path().join("x1");
    fs::copy(many_messages().path(), &second).unwrap();
    let before = fs::read(&second).unwrap();
    let ended = Running::start(
        inspect()
            .arg("-r")
            .arg(&second)
            .args(["-C", "10k", "-w"])
            .arg(&path),
    )
    .end();
    assert_eq!(ended.status.code(), Some(1), "{:?}", ended.messages);
    let last = ended.messages.last().unwrap();
    assert!(last.ends_with("x1: it is the file to read"), "{last}");
    assert_eq!(fs::read(&second).unwrap(), before);
}

#[test]
fn by_size_and_time_a_count_is_about_names_alone() {
    let recorded = many_messages();
    let folder = tempfile::tempdir().unwrap();
    let ended = Running::start(
        inspect()
            .arg("-r")
            .arg(recorded.path())
            .args(["-C", "10k", "-G", "3600", "-W", "11", "-w"])
            .arg(folder.path().join("%H-")),
    )
    .end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    // 2,000 messages of 79 bytes, and 16 before each; more than eleven files, and none is lost.
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected: Vec<String> = (0..names.len())
        .map(|number| format!("12-{number:02}"))
        .collect();
    assert_eq!(names, expected);
    assert!(names.len() > 11, "{names:?}");
}

/// A file of two thousand numbered messages.
fn many_messages() -> tempfile::NamedTempFile {
    use crate::crafted::{ethernet, ipv4, udp};
    let frames: Vec<_> = (0..2_000u32)
        .map(|number| {
            let text = format!("message {number:06}, and what goes with it");
            let frame = ethernet(0x0800, &ipv4(17, &udp((5000, 2345), text.as_bytes())));
            (1_767_355_201_000_000 + u64::from(number), frame, None)
        })
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), crate::crafted::pcap(1, &frames)).unwrap();
    file
}

#[test]
fn a_full_disk_at_any_moment_leaves_files_that_can_be_read() {
    let test = "a_full_disk_at_any_moment_leaves_files_that_can_be_read";
    if !can_run(test) {
        return;
    }
    let recorded = many_messages();
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    let saved = folder.path().join("saved");
    fs::create_dir(&small).unwrap();
    for name in ["x.pcap", "x.pcapng"] {
        for rotation in ["", "-C 16k", "-C 40k"] {
            let _ = fs::remove_dir_all(&saved);
            fs::create_dir(&saved).unwrap();
            // In a mount namespace of its own, gone with the shell.
            let script = r#"mount -t tmpfs -o size=100k none "$2" || exit 99
                "$0" capture -r "$1" -w "$2/$3" $4; code=$?
                cp "$2"/* "$5"; exit $code"#;
            let output = Command::new("unshare")
                .args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_inspect")])
                .arg(recorded.path())
                .arg(&small)
                .args([name, rotation])
                .arg(&saved)
                .output()
                .unwrap();
            let messages = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{messages}");
            let last = messages.lines().last().unwrap();
            let begins = format!("inspect: cannot write {}/{name}", small.display());
            assert!(last.starts_with(&begins), "{last}");
            assert!(last.ends_with(": no space left on device"), "{last}");
            let files = files(&saved);
            assert_eq!(files.len() > 1, !rotation.is_empty(), "{files:?}");
            let all: Vec<u32> = files
                .iter()
                .flat_map(|(_, numbers)| numbers.clone())
                .collect();
            let count = u32::try_from(all.len()).unwrap();
            assert_eq!(all, (0..count).collect::<Vec<_>>(), "{name} {rotation}");
            assert!(count > 500, "{name} {rotation}: {count}");
            // Those of us that do not end where they should are said.
            let number = |line: &str| -> u32 {
                let word = line.split(' ').next().unwrap();
                word.replace(',', "").parse().unwrap()
            };
            let lost = messages
                .lines()
                .find(|line| line.ends_with(" not written."))
                .map_or(0, number);
            assert_eq!(number(&messages), count + lost, "{messages}");
        }
    }
}
