//! Real sockets, as they are and as `ss` has them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::recorded::recorded;
use crate::support::{have_program, inspect, own_network, run, wait_for};

/// A process of ours whose sockets are looked at; killed at the end.
struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn records(arguments: &[&str]) -> Vec<Value> {
    let printed = run(inspect().arg("sockets").args(arguments).arg("--json"));
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    let records: Vec<Value> = printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(records.first().unwrap()["type"], "begin");
    assert_eq!(records.first().unwrap()["schema"], 1);
    assert_eq!(records.last().unwrap()["type"], "end");
    records
        .into_iter()
        .filter(|record| record["type"] == "socket")
        .collect()
}

/// Owners were found. Whether they are all there are depends on who started this test: an
/// unreadable parent may share them.
fn expect_found(row: &Value) {
    let status = row["owner_status"].as_str().unwrap();
    assert!(["known", "partial"].contains(&status), "{row}");
}

#[test]
fn our_own_sockets_are_held_by_us_and_name_each_other() {
    own_network();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"hello").unwrap();

    let port_flag = format!(":{port}");
    let rows = wait_for("five rows, five bytes", || {
        let rows = records(&[&port_flag]);
        let unread = rows.iter().any(|row| row["recv_queue"] == 5);
        (rows.len() == 5 && unread).then_some(rows)
    });
    let find = |local: u16, remote: u16| {
        rows.iter()
            .find(|row| row["local"]["port"] == local && row["remote"]["port"] == remote)
            .unwrap()
    };
    let me = std::process::id();
    let client_port = client.local_addr().unwrap().port();
    let ours = find(client_port, port);
    expect_found(ours);
    assert_eq!(ours["owners"][0]["pid"], me);
    assert_eq!(ours["owners"][0]["fd"], client.as_raw_fd());
    assert_eq!(ours["recv_queue"], 5);
    let theirs = find(port, client_port);
    assert_eq!(ours["peer"]["inode"], theirs["inode"]);
    assert_eq!(theirs["peer"]["inode"], ours["inode"]);
    assert_eq!(theirs["peer"]["owners"][0]["fd"], client.as_raw_fd());
    assert_eq!(theirs["owners"][0]["fd"], server.as_raw_fd());

    let pending = find(port, waiting.local_addr().unwrap().port());
    assert_eq!(pending["owner_status"], "pending");
    assert_eq!(pending["inode"], Value::Null);
    assert_eq!(find(port, 0)["recv_queue"], 1);
}

#[test]
fn what_hidden_owners_may_hold_is_said() {
    // In the recorded tree systemd and sshd could not be read.
    let printed = run(recorded().args(["--process", "sshd"]));
    assert!(
        printed
            .stdout
            .starts_with("Nothing matches in the recorded tree, as far as it could"),
        "{}",
        printed.stdout
    );
    assert!(
        printed
            .stderr
            .contains("4 sockets with hidden owners may match.")
    );
    let printed = run(recorded().args(["--process", "sshd", "--json"]));
    let records: Vec<Value> = printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let gap = records
        .iter()
        .find(|record| record["source"] == "owners")
        .unwrap();
    assert_eq!(gap["count"], 2);
    assert_eq!(records.last().unwrap()["complete"], false);
    let verbose = run(recorded().args([":2345", "-v"]));
    assert!(
        verbose
            .stderr
            .contains("could not read systemd[1], sshd[600]"),
        "{}",
        verbose.stderr
    );
}

#[test]
fn a_thread_with_descriptors_of_its_own_is_an_owner() {
    // Needs nothing but Linux: unshare(CLONE_FILES) is for everybody.
    let (ports, opened) = std::sync::mpsc::channel();
    let (done, end) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        unshare_descriptors();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        ports
            .send((listener.local_addr().unwrap().port(), tid))
            .unwrap();
        let _ = end.recv();
    });
    let (port, tid) = opened.recv().unwrap();
    let rows = records(&["-l", &format!(":{port}")]);
    expect_found(&rows[0]);
    assert_eq!(rows[0]["owners"].as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["owners"][0]["pid"], std::process::id());
    assert_eq!(rows[0]["owners"][0]["tid"], tid);
    let printed = run(inspect().args(["sockets", "-l", &format!(":{port}")]));
    assert!(
        printed.stdout.contains(&format!("] thread {tid} fd ")),
        "{}",
        printed.stdout
    );
    drop(done);
    thread.join().unwrap();
}

#[expect(unsafe_code, reason = "the one thing tested here is made by it")]
fn unshare_descriptors() {
    // SAFETY: this thread owns nothing that was opened before, and what it opens from here on
    // stays its own.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }.unwrap();
}

#[test]
fn every_forked_sharer_of_a_socket_is_listed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The child inherits the listener as its standard input.
    let sharer = Target(
        Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(
                listener.try_clone().unwrap(),
            )))
            .spawn()
            .unwrap(),
    );
    let owners = wait_for("the sharer's name", || {
        let rows = records(&["-l", &format!(":{port}")]);
        let owners: BTreeSet<(u64, String)> = rows[0]["owners"]
            .as_array()?
            .iter()
            .map(|owner| {
                (
                    owner["pid"].as_u64().unwrap(),
                    owner["command"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        owners
            .contains(&(sharer.0.id().into(), "sleep".to_owned()))
            .then_some(owners)
    });
    assert!(
        owners
            .iter()
            .any(|(pid, _)| *pid == u64::from(std::process::id()))
    );
    let printed = run(inspect().args(["sockets", "-l", &format!(":{port}")]));
    assert!(
        printed
            .stdout
            .contains(&format!("sleep[{}] fd 0", sharer.0.id()))
    );
    assert_eq!(printed.stdout.lines().count(), 2, "{}", printed.stdout);
}

/// What ss and we say of one socket: state, queues, ends, and who holds it.
type Facts = (String, u64, u64, String, String, BTreeSet<(u64, u64)>);

fn from_ss(port: u16) -> BTreeSet<Facts> {
    let filter = format!("( sport = :{port} or dport = :{port} )");
    let output = Command::new("ss")
        .args(["-Htanp", &filter])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let holders = columns.get(5).copied().unwrap_or_default();
            let holders = holders
                .split("pid=")
                .skip(1)
                .map(|part| {
                    let (pid, rest) = part.split_once(",fd=").unwrap();
                    let fd = rest.split(')').next().unwrap();
                    (pid.parse().unwrap(), fd.parse().unwrap())
                })
                .collect();
            let state = match columns[0] {
                "ESTAB" => "ESTABLISHED".to_owned(),
                "FIN-WAIT-1" => "FIN_WAIT1".to_owned(),
                "FIN-WAIT-2" => "FIN_WAIT2".to_owned(),
                other => other.replace('-', "_"),
            };
            (
                state,
                columns[1].parse().unwrap(),
                columns[2].parse().unwrap(),
                columns[3].to_owned(),
                columns[4].replace(":*", ":0"),
                holders,
            )
        })
        .collect()
}

fn from_inspect(port: u16) -> BTreeSet<Facts> {
    records(&["-t", &format!(":{port}")])
        .iter()
        .map(|row| {
            let end = |side: &str| {
                let address = row[side]["address"].as_str().unwrap();
                if address.contains(':') {
                    format!("[{address}]:{}", row[side]["port"])
                } else {
                    format!("{address}:{}", row[side]["port"])
                }
            };
            let holders = row["owners"].as_array().unwrap().iter();
            (
                row["state"].as_str().unwrap().to_owned(),
                row["recv_queue"].as_u64().unwrap(),
                row["send_queue"].as_u64().unwrap(),
                end("local"),
                end("remote"),
                holders
                    .map(|owner| {
                        (
                            owner["pid"].as_u64().unwrap(),
                            owner["fd"].as_u64().unwrap(),
                        )
                    })
                    .collect(),
            )
        })
        .collect()
}

#[test]
fn the_same_rows_as_ss() {
    own_network();
    if !have_program("ss", "the_same_rows_as_ss") {
        return;
    }
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(bind).unwrap();
        let address = listener.local_addr().unwrap();
        let mut streams = Vec::new();
        for _ in 0..20 {
            let mut client = TcpStream::connect(address).unwrap();
            let (server, _) = listener.accept().unwrap();
            client.write_all(b"unread").unwrap();
            streams.push((client, server));
        }
        // Some closed from one side, some from both, two waiting for accept().
        for (client, server) in streams.drain(..4).collect::<Vec<_>>() {
            drop(client);
            drop(server);
        }
        let mut halves = Vec::new();
        for (client, mut server) in streams.drain(..4).collect::<Vec<_>>() {
            let mut word = [0; 6];
            server.read_exact(&mut word).unwrap();
            drop(client);
            halves.push(server);
        }
        let waiting = [
            TcpStream::connect(address).unwrap(),
            TcpStream::connect(address).unwrap(),
        ];
        let port = address.port();
        let mut last = None;
        let agreed = (0..500).any(|_| {
            let (ss, ours) = (from_ss(port), from_inspect(port));
            let agreed = ss == ours && ss.len() > 30;
            last = Some((ss, ours));
            agreed
        });
        assert!(agreed, "ss and inspect: {last:#?}");
        drop(waiting);
    }
}

#[test]
fn unix_udp_and_raw_sockets_are_listed_with_their_owners() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a \u{1b}[31m socket");
    let _unix = UnixListener::bind(&path).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let me = u64::from(std::process::id());

    let rows = records(&["-x"]);
    let row = rows
        .iter()
        .find(|row| row["path"] == path.to_str().unwrap())
        .unwrap();
    assert_eq!(row["state"], "LISTEN");
    assert_eq!(row["kind"], "path");
    assert_eq!(row["owners"][0]["pid"], me);

    let rows = records(&["-u", &format!(":{}", udp.local_addr().unwrap().port())]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["state"], "UNCONNECTED");
    assert_eq!(rows[0]["owners"][0]["fd"], udp.as_raw_fd());

    let printed = run(inspect().args(["sockets", "-x"]));
    assert!(
        printed.stdout.contains("a \\u{1b}[31m socket"),
        "{}",
        printed.stdout
    );
    assert!(!printed.stdout.contains('\u{1b}'));
}

#[test]
fn a_hostile_process_name_is_inert_in_the_table_and_exact_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ev\u{1b}[31m) x");
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _target = Target(
        Command::new(&program)
            .arg0("sleep")
            .arg("60")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
            .spawn()
            .unwrap(),
    );
    wait_for("the name", || {
        let rows = records(&["-l", &format!(":{port}")]);
        (rows[0]["owners"][0]["command"] == "ev\u{1b}[31m) x").then_some(())
    });
    let printed = run(inspect().args(["sockets", &format!(":{port}")]));
    assert!(
        printed.stdout.contains("ev\\u{1b}\\[31m) x["),
        "{}",
        printed.stdout
    );
}

#[test]
fn processes_and_connections_that_come_and_go_are_no_error() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        });
        scope.spawn(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            // Bounded: each leaves a TIME_WAIT behind for a minute.
            for _ in 0..1_000 {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let client = TcpStream::connect(address).unwrap();
                let (server, _) = listener.accept().unwrap();
                drop((client, server));
            }
        });
        let looks = std::panic::catch_unwind(|| {
            for _ in 0..10 {
                let printed = run(inspect().args(["sockets", "-a", "--json"]));
                assert_eq!(printed.stderr, "");
                let mut inodes = BTreeSet::new();
                for line in printed.stdout.lines() {
                    let record: Value = serde_json::from_str(line).unwrap();
                    let gap = record["type"] == "gap";
                    // Process 1 may be hidden even from root.
                    assert!(!gap || line.contains("owners are hidden"), "{line}");
                    if let Some(inode) = record["inode"].as_u64() {
                        assert!(inodes.insert(inode), "twice: {line}");
                    }
                }
            }
        });
        done.store(true, Ordering::Relaxed);
        if let Err(failure) = looks {
            std::panic::resume_unwind(failure);
        }
    });
}
