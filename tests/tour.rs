//! The tour, the real program: as root, as an ordinary user, where a private network is
//! forbidden, and on a busy port.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod support;

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use support::have_root;

/// One tour at a time: each wants port 2345.
static PORT_2345: Mutex<()> = Mutex::new(());

struct Tour {
    text: String,
    errors: String,
    code: Option<i32>,
}

fn tour(command: &mut Command) -> Tour {
    let before = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .env("LANG", "C.UTF-8")
        .env_remove("LC_ALL")
        .output()
        .unwrap();
    assert!(
        before.elapsed() < Duration::from_secs(20),
        "the tour takes seconds"
    );
    Tour {
        text: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_net-companion"))
}

/// A copy of the three programs where every user can run them.
fn readable_copies() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_net-companion"))
        .parent()
        .unwrap();
    for name in ["net-companion", "chat", "inspect"] {
        // Not by this process: while it has a program open for writing, a child that another
        // test forks meanwhile has it open too, and then it cannot be run.
        let copied = Command::new("cp")
            .arg(built.join(name))
            .arg(folder.path())
            .status();
        assert!(copied.unwrap().success());
    }
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The lines below a heading.
fn page<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    text.lines()
        .skip_while(|line| !line.starts_with(heading))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .collect()
}

/// What every complete tour shows, whoever looks.
fn expect_whole(text: &str, port: u16) {
    assert_eq!(
        page(text, "1  What was said"),
        [
            "     client  hello",
            "     server  hi",
            "     client  你好",
            "     server  hi"
        ]
    );

    let sockets = page(text, "2  The sockets");
    assert!(sockets[0].contains("LISTEN"), "{text}");
    let server = sockets[0].split("chat-server[").nth(1).expect(text);
    let server = format!("chat-server[{}]", server.split(']').next().unwrap());
    assert!(sockets[0].ends_with(&format!("{server} fd 3")), "{text}");
    assert!(
        sockets[1].contains("ESTABLISHED") && sockets[1].contains(&server),
        "{text}"
    );
    assert!(
        sockets[2].contains("chat-client[") && sockets[2].ends_with("fd 3"),
        "{text}"
    );
    for line in &sockets[..3] {
        assert!(line.contains(&format!("127.0.0.1:{port}")), "{text}");
    }

    let packets = page(text, "3  The packets");
    let told: Vec<&str> = packets
        .iter()
        .map(|line| {
            line.trim()
                .split_once("  ")
                .map_or(line.trim(), |(_, told)| told)
        })
        .collect();
    assert_eq!(
        told[..7],
        [
            "client → server  SYN",
            "server → client  SYN ACK",
            "client → server  ACK",
            "client → server  PSH ACK  5 bytes  \"hello\"",
            "server → client  PSH ACK  2 bytes  \"hi\"",
            "client → server  PSH ACK  6 bytes  \"你好\"",
            "server → client  PSH ACK  2 bytes  \"hi\"",
        ],
        "{text}"
    );
    assert!(packets[7].ends_with("2 FIN. None lost."), "{text}");
}

/// What it shows besides where the kernel may tell of calls.
fn expect_calls(text: &str, port: u16) {
    let calls = page(text, "4  The calls");
    let told: Vec<&str> = calls.iter().map(|line| line.trim()).collect();
    let has = |wanted: &str| {
        let found = told.iter().position(|line| line.starts_with(wanted));
        found.unwrap_or_else(|| panic!("no {wanted} in:\n{text}"))
    };
    has(&format!("client  connect(3, 127.0.0.1:{port}) = 0"));
    assert!(told[has("server  accept4(3) = ")].ends_with("the second descriptor"));
    let sent = has("client  sendto(3, \"hello\") = 5");
    let read = told
        .iter()
        .position(|line| line.starts_with("server  recvfrom(") && line.contains(") = 5 \"hello\""));
    let read = read.unwrap_or_else(|| panic!("nobody reads:\n{text}"));
    assert!(
        sent < read && told[read].ends_with("after it was sent"),
        "{text}"
    );
    assert!(
        told[told.len() - 1].starts_with("client  recvfrom(3) = 2 \"hi\""),
        "{text}"
    );

    // The call, the packet and the other call stand linked.
    let picture = page(text, "5  All of it, one picture");
    let sent = picture
        .iter()
        .position(|line| line.contains("sendto(\"hello\") = 5"));
    let sent = sent.unwrap_or_else(|| panic!("no hello:\n{text}"));
    assert!(picture[sent].contains("── 5 \"hello\" ──"), "{text}");
    assert!(
        picture[sent + 1].contains("µs  recvfrom() = 5 \"hello\""),
        "{text}"
    );
    assert!(
        picture[sent + 2].contains("── 2 \"hi\" ──  sendto(\"hi\") = 2"),
        "{text}"
    );
    for state in [
        "SYN_SENT",
        "ESTABLISHED",
        "FIN_WAIT1",
        "CLOSE_WAIT",
        "LAST_ACK",
    ] {
        assert!(
            picture.iter().any(|line| line.contains(state)),
            "{state}:\n{text}"
        );
    }
}

/// The processes named in a tour are gone.
fn expect_nobody_left(text: &str) {
    for part in text.split("chat-").skip(1) {
        let Some(pid) = part
            .split('[')
            .nth(1)
            .and_then(|rest| rest.split(']').next())
        else {
            continue;
        };
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        assert!(!comm.starts_with("chat-"), "{comm} is still there:\n{text}");
    }
}

fn expect_pastable(text: &str, folder: &Path) {
    let commands: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("Try it yourself"))
        .skip(1)
        .take_while(|line| line.starts_with("     "))
        .map(str::trim)
        .collect();
    assert_eq!(commands.len(), 2, "{text}");
    for command in commands {
        let status = Command::new("sh")
            .args(["-c", &format!("{command} --help >/dev/null")])
            .current_dir(folder)
            .status()
            .unwrap();
        assert!(status.success(), "{command}");
    }
}

#[test]
fn whoever_runs_it_sees_every_page() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let shown = tour(&mut program());
    assert_eq!(shown.code, Some(0), "{}", shown.errors);
    assert_eq!(shown.errors, "");
    let port = port_of(&shown.text);
    expect_whole(&shown.text, port);
    if have_root("whoever_runs_it_sees_every_page: the calls") {
        expect_calls(&shown.text, port);
    }
    expect_nobody_left(&shown.text);
    expect_pastable(&shown.text, Path::new(env!("CARGO_MANIFEST_DIR")));
}

/// The port the tour used: 2345, or what it says instead.
fn port_of(text: &str) -> u16 {
    let said = text.lines().find_map(|line| {
        let rest = line.split("the conversation uses ").nth(1)?;
        rest.trim_end_matches('.').parse().ok()
    });
    said.unwrap_or(2345)
}

#[test]
fn an_ordinary_user_sees_every_page_too() {
    if !have_root("an_ordinary_user_sees_every_page_too") {
        return;
    }
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let folder = readable_copies();
    let shown = tour(
        Command::new(folder.path().join("net-companion"))
            .current_dir(folder.path())
            .uid(65534)
            .gid(65534),
    );
    assert_eq!(shown.code, Some(0), "{}", shown.errors);
    // In a network of its own the port is always free.
    expect_whole(&shown.text, 2345);
    let calls = page(&shown.text, "4  The calls");
    assert!(
        calls[0].contains("Not shown: this user may not"),
        "{}",
        shown.text
    );
    expect_nobody_left(&shown.text);
    expect_pastable(&shown.text, folder.path());
}

#[test]
fn where_a_private_network_is_forbidden_the_packets_are_left_out_with_the_ways_out() {
    let test = "where_a_private_network_is_forbidden_the_packets_are_left_out_with_the_ways_out";
    if !have_root(test) {
        return;
    }
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let folder = readable_copies();
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    for script in [
        // A user namespace in which no further one may be made.
        format!(
            "exec {nobody} unshare --user --map-root-user sh -c \
             'echo 0 > /proc/sys/user/max_user_namespaces && exec ./net-companion'"
        ),
        // One can be made, and then not be finished: its user cannot be mapped.
        format!("mount -o remount,bind,ro /proc && exec {nobody} ./net-companion"),
    ] {
        let shown = tour(
            Command::new("unshare")
                .args(["--mount", "sh", "-c", &script])
                .current_dir(folder.path()),
        );
        assert_eq!(shown.code, Some(0), "{script}: {}", shown.errors);
        let packets = page(&shown.text, "3  The packets");
        assert!(
            packets[0].contains("Not shown: this user may not capture"),
            "{}",
            shown.text
        );
        let program = folder.path().join("net-companion");
        let program = program.display();
        assert_eq!(
            packets[packets.len() - 2..],
            [
                format!("       sudo {program}"),
                format!("       sudo setcap cap_net_raw+ep {program}")
            ]
        );
        assert_eq!(
            page(&shown.text, "2  The sockets").len(),
            6,
            "{}",
            shown.text
        );
    }
}

#[test]
fn a_taken_port_is_said_and_another_is_used() {
    if !have_root("a_taken_port_is_said_and_another_is_used") {
        return;
    }
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    // Somebody else may hold it already; either way it is taken.
    let _taken = TcpListener::bind("127.0.0.1:2345");
    let shown = tour(&mut program());
    assert!(
        shown.text.contains("Port 2345 is taken on this machine"),
        "{}",
        shown.text
    );
    let port = port_of(&shown.text);
    assert_ne!(port, 2345);
    assert!(
        shown.text.contains(&format!("chat pair --port {port}\n")),
        "{}",
        shown.text
    );
    assert!(
        shown.text.contains(&format!("inspect sockets :{port}\n")),
        "{}",
        shown.text
    );
    expect_whole(&shown.text, port);
}

#[test]
fn a_tour_that_is_stopped_leaves_nobody_behind() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let mut child = program()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    // As soon as it has a child.
    let children = PathBuf::from(format!("/proc/{0}/task/{0}/children", child.id()));
    let deadline = Instant::now() + Duration::from_secs(10);
    let server = loop {
        let list = std::fs::read_to_string(&children).unwrap_or_default();
        if let Some(pid) = list.split_whitespace().next() {
            break pid.to_owned();
        }
        assert!(Instant::now() < deadline, "the tour starts a server");
    };
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::fs::read_to_string(format!("/proc/{server}/comm"))
        .is_ok_and(|comm| comm.starts_with("chat-") || comm.starts_with("net-companion"))
    {
        assert!(
            Instant::now() < deadline,
            "process {server} outlives the tour"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn it_can_be_either_program() {
    let chat = tour(program().args(["chat", "--help"]));
    assert!(
        chat.text.contains("server") && chat.code == Some(0),
        "{}",
        chat.text
    );
    let inspect = tour(program().args(["inspect", "--version"]));
    assert!(inspect.text.starts_with("inspect "), "{}", inspect.text);
    let wrong = tour(program().arg("chta"));
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.errors.contains("\"chta\" is not understood"),
        "{}",
        wrong.errors
    );
}
