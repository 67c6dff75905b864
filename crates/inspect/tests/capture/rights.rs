//! `-Z USER`: rights are given up once the capture is open, in every thread.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Instant;

use crate::program::*;
use crate::support::own_network;

/// Nobody, everywhere.
const NOBODY: u32 = 65_534;
/// CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE (include/uapi/linux/capability.h).
const SEES_OWNERS: u64 = 1 << 2 | 1 << 19;

/// A field of every thread's status.
fn of_threads(pid: u32, field: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let statuses = threads.map(|thread| thread.unwrap().path().join("status"));
    let texts = statuses.filter_map(|path| std::fs::read_to_string(path).ok());
    texts
        .map(|text| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(&format!("{field}:")));
            value.unwrap().trim().replace('\t', " ")
        })
        .collect()
}

/// Every thread has nobody's rights, and of capabilities none but these.
fn has_shed(pid: u32, capabilities: u64) {
    let nobody = format!("{NOBODY} {NOBODY} {NOBODY} {NOBODY}");
    for field in ["Uid", "Gid"] {
        let found = of_threads(pid, field);
        assert!(found.iter().all(|it| *it == nobody), "{field} {found:?}");
    }
    for (field, value) in [
        ("Groups", NOBODY.to_string()),
        ("NoNewPrivs", "1".to_owned()),
    ] {
        let found = of_threads(pid, field);
        assert!(found.iter().all(|it| *it == value), "{field} {found:?}");
    }
    for (field, allowed) in [
        ("CapEff", capabilities),
        ("CapPrm", capabilities),
        ("CapInh", 0),
        ("CapAmb", 0),
    ] {
        for set in of_threads(pid, field) {
            let set = u64::from_str_radix(&set, 16).unwrap();
            assert_eq!(set & !allowed, 0, "{field} {set:x}");
        }
    }
    assert!(of_threads(pid, "Uid").len() >= 2, "there are other threads");
}

/// Only the threads that look at owners have a capability: the one that reads packets has none.
fn only_lookers_see(pid: u32) {
    let (names, sets) = (of_threads(pid, "Name"), of_threads(pid, "CapEff"));
    assert_eq!(names.len(), sets.len());
    let mut lookers = 0;
    for (name, set) in names.iter().zip(&sets) {
        let set = u64::from_str_radix(set, 16).unwrap();
        if name == "inspect-owners" {
            lookers += 1;
            assert_eq!(set, SEES_OWNERS, "{name}");
        } else {
            assert_eq!(set, 0, "{name}");
        }
    }
    assert!(lookers > 0, "{names:?}");
}

#[test]
fn a_capture_that_has_shed_its_rights_still_names_the_owners_of_root() {
    if !is_root("a_capture_that_has_shed_its_rights_still_names_the_owners_of_root") {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let running = capture_records(&["-Z", "nobody", "--port", &port.to_string()]);
    has_shed(running.pid(), SEES_OWNERS);
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (_server, _) = listener.accept().unwrap();
    let deadline = Instant::now() + LIMIT;
    loop {
        client.write_all(b"hello").unwrap();
        let record = running.record();
        if record["source_attribution"] == "exact" && record["payload"]["text"] == "hello" {
            assert_eq!(
                record["source_owners"][0]["pid"],
                std::process::id(),
                "{record}"
            );
            break;
        }
        assert!(Instant::now() < deadline, "{record}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Also the threads that have looked meanwhile.
    has_shed(running.pid(), SEES_OWNERS);
    only_lookers_see(running.pid());
    assert!(running.interrupt().status.success());
}

#[test]
fn a_file_is_the_users_and_needs_no_right_any_more() {
    if !is_root("a_file_is_the_users_and_needs_no_right_any_more") {
        return;
    }
    own_network();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let path = folder.path().join("shed.pcap");
    let (listener, port) = listener();
    let (text, to) = (port.to_string(), path.to_str().unwrap());
    let running = Running::start(inspect().args(["-Z", "nobody", "--port", &text, "-w", to]));
    let deadline = Instant::now() + LIMIT;
    while std::fs::metadata(&path).map_or(0, |it| it.len()) < 24 && Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    has_shed(running.pid(), 0);
    converse(&listener, &[b"hello"]);
    assert!(running.interrupt().status.success());
    let written = std::fs::metadata(&path).unwrap();
    assert_eq!((written.uid(), written.gid()), (NOBODY, NOBODY));
    let read = Running::start(inspect().args(["-Z", "nobody", "--json", "-r", to])).end();
    assert_eq!(payloads(&read.records()).len(), 2);

    // Where the user may not write, there is no file, and no capture.
    let roots = tempfile::tempdir().unwrap();
    let to = roots.path().join("file");
    let output = inspect()
        .args(["-Z", "nobody", "-w", to.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!to.exists());
    // Root stays root, as in tcpdump.
    let output = inspect()
        .args(["-Z", "root", "-c", "1", "--duration", "100ms"])
        .args(["-w", to.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::metadata(&to).unwrap().uid(), 0);
}

#[test]
fn a_command_and_another_namespace_see_no_more_rights() {
    if !is_root("a_command_and_another_namespace_see_no_more_rights") {
        return;
    }
    own_network();
    let ended = Running::start(inspect().args(["-Z", "nobody", "--", "cat", "/proc/self/status"]));
    let ended = ended.end();
    assert!(ended.status.success(), "{:?}", ended.messages);
    let has = |line: &str| ended.lines.iter().any(|it| it.replace('\t', " ") == line);
    assert!(has("Uid: 65534 65534 65534 65534"), "{:?}", ended.lines);
    assert!(
        has("CapEff: 0000000000000000") && has("NoNewPrivs: 1"),
        "{:?}",
        ended.lines
    );
    let mut other = Command::new("unshare")
        .args(["-n", "sleep", "60"])
        .spawn()
        .unwrap();
    let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    crate::support::wait_for("a namespace", || {
        let there = std::fs::read_link(format!("/proc/{}/ns/net", other.id())).ok()?;
        (there != own).then_some(())
    });
    let running = capture_records(&["-Z", "nobody", "--netns", &other.id().to_string()]);
    has_shed(running.pid(), SEES_OWNERS);
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(running.interrupt().status.success());
}

#[test]
fn who_cannot_shed_rights_does_not_run_on() {
    let refused = |command: &mut Command| {
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, message) = refused(inspect().args(["-Z", "no such user"]));
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("no user \"no such user\""), "{message}");
    if !is_root("who_cannot_shed_rights_does_not_run_on") {
        return;
    }
    own_network();
    // It may capture, and not change its user.
    let folder = tempfile::tempdir().unwrap();
    let program = crate::support::readable_copy(folder.path());
    let (code, message) = refused(
        Command::new("setpriv")
            .args([
                "--bounding-set",
                "-setuid,-setgid",
                "--inh-caps",
                "-setuid,-setgid",
            ])
            .arg(program)
            .args(["capture", "-Z", "nobody"]),
    );
    assert_eq!(code, Some(1), "{message}");
    assert!(
        message.starts_with("inspect: cannot run as nobody: set groups: permission denied"),
        "{message}"
    );
}
