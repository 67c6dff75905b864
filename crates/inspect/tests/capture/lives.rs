//! Owners of what lives too short to be seen: the kernel tells.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrV4, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions};
use serde_json::Value;

use crate::program::*;
use crate::support::{own_network, wait_for};

const CLIENTS: usize = 300;

/// Whether the kernel would tell; where it would not, that is said loudly.
pub(crate) fn is_told(test: &str) -> bool {
    is_root(test) && inspect::bpf::allowed().is_ok()
}

/// Runs this in a child of its own, and waits for its end; its pid. What runs must be fit for a
/// process of one thread out of many: no memory is asked for.
#[allow(unsafe_code, reason = "that is what fork is")]
fn in_child(run: impl FnOnce(u32)) -> u32 {
    // SAFETY: the child calls the system alone, and ends at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        run(std::process::id());
        // SAFETY: nothing of the parent's is to be cleaned up here.
        unsafe { libc::_exit(0) };
    }
    let pid = Pid::from_raw(child).expect("a child");
    rustix::process::waitpid(Some(pid), WaitOptions::empty()).unwrap();
    u32::try_from(child).unwrap()
}

/// `hello 4711`, without memory.
struct Hello {
    bytes: [u8; 32],
    length: usize,
}

impl Hello {
    fn new(pid: u32) -> Self {
        let mut bytes = [0; 32];
        let mut rest = &mut bytes[..];
        let _ = write!(rest, "hello {pid}");
        let length = 32 - rest.len();
        Self { bytes, length }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn here(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

fn socket(kind: SocketType) -> OwnedFd {
    rustix::net::socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None).unwrap()
}

/// Connects, from a port of its choice or any.
fn connect(from: u16, to: u16) -> OwnedFd {
    let client = socket(SocketType::STREAM);
    if from != 0 {
        sockopt::set_socket_reuseaddr(&client, true).unwrap();
        rustix::net::bind(&client, &here(from)).unwrap();
    }
    rustix::net::connect(&client, &here(to)).unwrap();
    client
}

fn say(client: &OwnedFd, words: &[u8]) {
    rustix::net::send(client, words, rustix::net::SendFlags::NOSIGNAL).unwrap();
}

/// Accepts so many, and reads each to its end.
fn serve(listener: TcpListener, count: usize) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for _ in 0..count {
            let (mut accepted, _) = listener.accept().unwrap();
            let _ = accepted.read_to_end(&mut Vec::new());
        }
    })
}

/// What was said, in order, with the record that it stands in.
fn said(records: &[Value]) -> Vec<(String, &Value)> {
    let packets = records.iter().filter(|record| record["type"] == "packet");
    packets
        .filter_map(|record| {
            let text = record["payload"]["text"].as_str()?;
            (!text.is_empty()).then(|| (text.to_owned(), record))
        })
        .collect()
}

/// Each once: a process may hold a socket by two descriptors.
fn pids(record: &Value, side: &str) -> Vec<u64> {
    let owners = record[format!("{side}_owners")].as_array().unwrap();
    let pids = owners.iter().map(|it| it["pid"].as_u64().unwrap());
    let mut pids: Vec<u64> = pids.collect();
    pids.dedup();
    pids
}

/// Whether each of these is the first owner of its own hello, exactly.
fn each_has_its_own(records: &[Value], clients: &[u32]) {
    let said = said(records);
    assert_eq!(said.len(), clients.len(), "{:?}", records.last());
    for ((text, record), client) in said.iter().zip(clients) {
        assert_eq!(*text, format!("hello {client}"));
        assert_eq!(pids(record, "source"), [u64::from(*client)], "{record}");
        assert_eq!(record["source_attribution"], "exact", "{record}");
        assert_eq!(record["source_reason"], "socket_events", "{record}");
    }
}

#[test]
fn each_of_300_short_lives_has_its_owner_and_so_has_the_server() {
    if !is_told("each_of_300_short_lives_has_its_owner_and_so_has_the_server") {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let running = capture_records(&["-v", "--port", &port.to_string()]);
    let server = serve(listener, CLIENTS);
    let clients: Vec<u32> = (0..CLIENTS)
        .map(|_| {
            in_child(|own| {
                let hello = Hello::new(own);
                say(&connect(0, port), hello.bytes());
            })
        })
        .collect();
    server.join().unwrap();
    let ended = running.interrupt();
    let line =
        "Owners as the kernel tells of sockets (bpf), and from tables for those from before.";
    assert!(
        ended.messages.iter().any(|it| it == line),
        "{:?}",
        ended.messages
    );
    let records = ended.records();
    assert!(records[0]["type"] == "packet");
    each_has_its_own(&records, &clients);
    let own = u64::from(std::process::id());
    // A hello may be shown before accept() has returned; not what the server does after that.
    let exact = said(&records)
        .iter()
        .filter(|(_, record)| record["destination_attribution"] == "exact")
        .inspect(|(_, record)| assert_eq!(pids(record, "destination")[0], own, "{record}"))
        .count();
    assert!(exact >= CLIENTS / 2, "{exact} of {CLIENTS}");
    let closed_by_server = records.iter().filter(|record| {
        record["source"]["port"] == port && record["flags"] == serde_json::json!(["FIN", "ACK"])
    });
    let mut closed = 0;
    for record in closed_by_server {
        assert_eq!(record["source_attribution"], "exact", "{record}");
        assert_eq!(pids(record, "source")[0], own, "{record}");
        closed += 1;
    }
    assert_eq!(closed, CLIENTS);
    assert_eq!(records.last().unwrap()["complete"], true);
    assert!(records.iter().all(|it| it["type"] != "gap"));
}

#[test]
fn datagrams_of_short_lives_have_their_owners_too() {
    if !is_told("datagrams_of_short_lives_have_their_owners_too") {
        return;
    }
    own_network();
    let (_sink, port) = udp_sink();
    let running = capture_records(&["--port", &port.to_string()]);
    let clients: Vec<u32> = (0..CLIENTS)
        .map(|index| {
            in_child(|own| {
                let hello = Hello::new(own);
                let client = socket(SocketType::DGRAM);
                // Every other one has a fixed peer.
                if index % 2 == 0 {
                    rustix::net::connect(&client, &here(port)).unwrap();
                    say(&client, hello.bytes());
                } else {
                    let flags = rustix::net::SendFlags::empty();
                    rustix::net::sendto(&client, hello.bytes(), flags, &here(port)).unwrap();
                }
            })
        })
        .collect();
    let records = running.interrupt().records();
    each_has_its_own(&records, &clients);
}

#[test]
fn who_has_a_port_after_another_has_his_own_conversations() {
    if !is_told("who_has_a_port_after_another_has_his_own_conversations") {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let running = capture_records(&["--port", &port.to_string()]);
    let rounds = 50;
    let server = serve(listener, rounds);
    let clients: Vec<u32> = (0..rounds)
        .map(|_| {
            in_child(|own| {
                let hello = Hello::new(own);
                let client = connect(7_777, port);
                say(&client, hello.bytes());
                // Closed by a reset: the ends are free at once.
                sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
            })
        })
        .collect();
    server.join().unwrap();
    let records = running.interrupt().records();
    each_has_its_own(&records, &clients);
    for (_, record) in said(&records) {
        assert_eq!(record["source"]["port"], 7_777);
    }
}

#[test]
fn another_program_in_the_process_and_a_child_that_sends_are_told() {
    if !is_told("another_program_in_the_process_and_a_child_that_sends_are_told") {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let running = capture_records(&["--port", &port.to_string()]);
    let server = serve(listener, 2);
    // bash connects and becomes another program, which has inherited the socket.
    let script = format!(
        "exec 7<>/dev/tcp/127.0.0.1/{port}; printf \"hello $$\" >&7; sleep 0.2; \
         exec cat <<< again >&7"
    );
    let mut becoming = Command::new("bash").args(["-c", &script]).spawn().unwrap();
    let becoming_pid = becoming.id();
    becoming.wait().unwrap();
    let mut child = 0;
    let parent = in_child(|_| {
        let client = connect(0, port);
        say(&client, b"parent");
        std::thread::sleep(Duration::from_millis(50));
        in_child(|own| say(&client, Hello::new(own).bytes()));
    });
    server.join().unwrap();
    let records = running.interrupt().records();
    let said = said(&records);
    let command = |record: &Value| record["source_owners"][0]["command"].clone();
    let texts: Vec<&str> = said.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts.len(), 4, "{texts:?}");
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|at| said[at].1);
    for record in [first, second] {
        // What it started meanwhile may hold it too.
        assert_eq!(
            pids(record, "source")[0],
            u64::from(becoming_pid),
            "{record}"
        );
    }
    assert_eq!(
        (command(first), command(second)),
        ("bash".into(), "cat".into())
    );
    assert_eq!(pids(third, "source"), [u64::from(parent)], "{third}");
    child += fourth["payload"]["text"].as_str().unwrap()["hello ".len()..]
        .parse::<u64>()
        .unwrap();
    assert_eq!(
        pids(fourth, "source"),
        [u64::from(parent), child],
        "{fourth}"
    );
}

#[test]
fn without_the_rights_it_captures_and_says_how_many_owners_were_missed() {
    if !is_told("without_the_rights_it_captures_and_says_how_many_owners_were_missed")
        || !crate::support::have_program(
            "setpriv",
            "without_the_rights_it_captures_and_says_how_many_owners_were_missed",
        )
    {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set", "-bpf,-perfmon,-sys_admin"])
        .args(["--inh-caps", "-bpf,-perfmon,-sys_admin"])
        .arg(env!("CARGO_BIN_EXE_inspect"))
        .args(["capture", "--json", "-v", "--port", &port.to_string()]);
    let running = Running::start(&mut command);
    let begin = running.record();
    assert_eq!(begin["sources"], serde_json::json!(["pcap", "proc"]));
    let (_, line) = running.message("who is gone within some milliseconds is missed");
    assert!(line.contains("it needs cap_bpf and cap_perfmon"), "{line}");
    let server = serve(listener, CLIENTS);
    for _ in 0..CLIENTS {
        in_child(|own| say(&connect(0, port), Hello::new(own).bytes()));
    }
    server.join().unwrap();
    let ended = running.interrupt();
    assert!(ended.status.success());
    let records = ended.records();
    assert_eq!(said(&records).len(), CLIENTS);
    let gaps: Vec<&Value> = records.iter().filter(|it| it["type"] == "gap").collect();
    let missed = gaps.iter().find(|gap| gap["source"] == "owners").unwrap();
    let count = missed["count"].as_u64().unwrap();
    // A look finds some of them, when it comes at the right moment.
    assert!(count > 200, "{missed}");
    let line = format!("Owners not seen in {count} of {CLIENTS} conversations on this machine.");
    assert!(ended.messages.contains(&line), "{:?}", ended.messages);
    let end = records.last().unwrap();
    assert_eq!((&end["lost"], &end["complete"]), (&0.into(), &true.into()));
}

#[test]
fn processes_have_the_numbers_of_the_readers_pid_namespace() {
    let test = "processes_have_the_numbers_of_the_readers_pid_namespace";
    if !is_told(test) || !crate::support::have_program("unshare", test) {
        return;
    }
    own_network();
    let (listener, port) = listener();
    // Its number outside is of no meaning inside, as is that of this process.
    std::thread::spawn(move || {
        while let Ok((mut accepted, _)) = listener.accept() {
            let _ = accepted.read_to_end(&mut Vec::new());
        }
    });
    // Clients come until the capture has enough; with it, the first process, all of them end.
    let script = format!(
        "while :; do bash -c 'exec 7<>/dev/tcp/127.0.0.1/{port}; printf \"hello $$\" >&7'; \
         sleep 0.05; done & exec \"$0\" capture --json --port {port} -c 40"
    );
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", "sh", "-c", &script])
        .arg(env!("CARGO_BIN_EXE_inspect"));
    let records = Running::start(&mut command).end().records();
    let said = said(&records);
    assert!(said.len() >= 2, "{records:?}");
    for (text, record) in said {
        let own: u64 = text["hello ".len()..].parse().unwrap();
        assert_eq!(pids(record, "source"), [own], "{record}");
        assert_eq!(record["source_attribution"], "exact", "{record}");
        assert_eq!(record["destination_attribution"], "unknown", "{record}");
    }
}

#[test]
fn what_was_told_and_not_read_in_time_is_counted() {
    if !is_told("what_was_told_and_not_read_in_time_is_counted") {
        return;
    }
    own_network();
    let (sink, port) = udp_sink();
    let running = capture_records(&["--port", &port.to_string(), "--owners-buffer", "4"]);
    // While it stands still, its buffer overflows.
    running.signal(Signal::STOP);
    let sockets = 200;
    for _ in 0..sockets {
        UdpSocket::bind("127.0.0.1:0").unwrap();
    }
    running.signal(Signal::CONT);
    sink.send_to(b"x", ("127.0.0.1", port)).unwrap();
    let ended = running.interrupt();
    let records = ended.records();
    let gap = records
        .iter()
        .find(|it| {
            it["reason"]
                .as_str()
                .is_some_and(|it| it.contains("events of sockets lost"))
        })
        .expect("a gap");
    let lost = gap["count"].as_u64().unwrap();
    // Each socket makes two, and some thirty have room.
    assert!((300..=2 * sockets).contains(&lost), "{gap}");
    let end = records.last().unwrap();
    assert_eq!(end["complete"], false);
    let said = |line: &String| line.contains("events of sockets lost");
    assert!(ended.messages.iter().any(said), "{:?}", ended.messages);
}

#[test]
fn a_socket_from_before_and_one_that_is_accepted_late_are_known_in_the_end() {
    if !is_told("a_socket_from_before_and_one_that_is_accepted_late_are_known_in_the_end") {
        return;
    }
    own_network();
    let (listener, port) = listener();
    let mut before = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (_held, _) = listener.accept().unwrap();
    let running = capture_records(&["--port", &port.to_string()]);
    before.write_all(b"before").unwrap();
    let first = wait_for("what was said before", || {
        Some(running.record()).filter(|record| record["payload"]["text"] == "before")
    });
    for side in ["source", "destination"] {
        assert_eq!(first[format!("{side}_attribution")], "exact", "{first}");
    }
    // Nobody accepts this one yet: its listener is the likeliest.
    let mut late = TcpStream::connect(("127.0.0.1", port)).unwrap();
    late.write_all(b"early").unwrap();
    let record = wait_for("what was said early", || {
        Some(running.record()).filter(|record| record["payload"]["text"] == "early")
    });
    assert_eq!(record["source_attribution"], "exact", "{record}");
    assert_eq!(record["destination_attribution"], "inferred", "{record}");
    let (accepted, _) = listener.accept().unwrap();
    late.write_all(b"late").unwrap();
    let record = wait_for("what was said late", || {
        Some(running.record()).filter(|record| record["payload"]["text"] == "late")
    });
    assert_eq!(record["destination_attribution"], "exact", "{record}");
    let fd = &record["destination_owners"][0]["fd"];
    assert_eq!(*fd, serde_json::json!(accepted.as_raw_fd()), "{record}");
    // The same process as in the first answer, which came from tables.
    let started = &record["destination_owners"][0]["started"];
    assert!(
        started.is_string() && *started == first["source_owners"][0]["started"],
        "{record}"
    );
    assert!(running.interrupt().status.success());
}

/// A server and a client of Multipath TCP in processes of their own; says their pids, and ends with
/// 3 where the kernel has none. The client stays until it is told to go.
const MULTIPATH: &str = "\
import os, socket, sys
try:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
except OSError:
    os._exit(3)
listener.bind(('127.0.0.1', 0))
listener.listen()
server = os.fork()
if server == 0:
    one, _ = listener.accept()
    one.send(one.recv(9))
    one.recv(9)
    os._exit(0)
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
client.connect(listener.getsockname())
client.send(b'hello')
client.recv(9)
print(os.getpid(), server, flush=True)
sys.stdin.readline()
client.close()
os.wait()
";

#[test]
fn multipath_tcp_has_its_owners_and_no_event_is_strange() {
    if !is_told("multipath_tcp_has_its_owners_and_no_event_is_strange") {
        return;
    }
    own_network();
    let running = capture_records(&["-i", "lo", "--owners", "bpf", "tcp"]);
    let mut child = Command::new("python3")
        .args(["-c", MULTIPATH])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut said).unwrap();
    if said.is_empty() && child.wait().unwrap().code() == Some(3) {
        eprintln!("skipped: this kernel has no Multipath TCP");
        return;
    }
    let pids: Vec<u64> = said
        .split_whitespace()
        .map(|it| it.parse().unwrap())
        .collect();
    let mut records = Vec::new();
    while records
        .last()
        .is_none_or(|it: &Value| it["payload"]["text"] != "hello")
    {
        records.push(running.record());
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let ended = running.interrupt();
    records.extend(ended.records());
    let kinds = records[0]["options"].as_array().unwrap();
    assert!(kinds.iter().any(|it| it["name"] == "mptcp"), "{kinds:?}");
    // Who has ended may be unknown, but nobody else may stand in its place.
    let client = records[0]["source"]["port"].clone();
    let mut seen = [false; 2];
    for record in records.iter().filter(|it| it["type"] == "packet") {
        for side in ["source", "destination"] {
            let is_server = usize::from(record[side]["port"] != client);
            for owner in record[format!("{side}_owners")].as_array().unwrap() {
                // The listener and its descriptors are of both.
                let pid = owner["pid"].as_u64().unwrap();
                assert!(
                    pid == pids[is_server] || is_server == 1 && pid == pids[0],
                    "{record}"
                );
                seen[is_server] |= pid == pids[is_server];
            }
        }
    }
    assert!(seen[0], "the client is known: {:?}", ended.messages);
    let strange = |it: &Value| it["type"] == "gap" && it["source"] == "owners";
    let gap = records
        .iter()
        .find(|it| strange(it) && !it["reason"].to_string().contains("seen"));
    assert_eq!(gap, None);
    assert_eq!(records.last().unwrap()["complete"], true);
}
