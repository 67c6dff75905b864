//! The same calls, arguments and results, in the same order in each thread, as strace tells.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::{have_program, have_root, inspect, own_network};

/// Both ends in one program: a server of a thread or a child for each client, and clients.
const THREADS: &str = r#"
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
def serve(server):
    while True:
        words = server.recv(64)
        if not words: break
        server.sendall(b"hi " + words)
    server.close()
def client(name, ready):
    with socket.create_connection(listener.getsockname()) as client:
        # accept() takes its number before it waits.
        ready.set()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for word in (b"hello", b"\x1b[31m\xff\x00"):
            client.sendall(name + word)
            client.recv(64)
        client.shutdown(socket.SHUT_WR)
        client.recv(64)
for number in range(3):
    ready = threading.Event()
    one = threading.Thread(target=client, args=(b"%d" % number, ready))
    one.start()
    ready.wait()
    server, _ = listener.accept()
    other = threading.Thread(target=serve, args=(server,))
    other.start()
    one.join(); other.join()
"#;

const FORKS: &str = r#"
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
for number in range(3):
    child = os.fork()
    if child == 0:
        # Each has a table of its own.
        client = socket.create_connection(listener.getsockname())
        client.sendall(b"hello %d" % number)
        client.recv(64)
        os._exit(0)
    server, _ = listener.accept()
    server.recv(64)
    server.send(b"hi")
    server.close()
    os.waitpid(child, 0)
"#;

const KINDS: &str = r#"
import array, os, socket
one, two = socket.socketpair()
one.sendmsg([b"ab", b"", b"cdef"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
words, control, flags, _ = two.recvmsg(16, 64)
os.write(one.fileno(), b"written")
os.read(two.fileno(), 3)
two.recv_into(bytearray(9))
three = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
three.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
three.bind(("::1", 0))
four = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
four.sendto(b"datagram", three.getsockname())
three.recvfrom(64)
try: four.recv(4)
except BlockingIOError: pass
os.dup2(four.fileno(), 30)
os.close(30)
five = socket.socket(socket.AF_UNIX)
try: five.connect("/nobody/listens/here")
except OSError: pass
six = socket.socket(socket.AF_INET)
try: six.connect(("127.0.0.1", 1))
except OSError: pass
try: six.getpeername()
except OSError: pass
"#;

/// Names, arguments and results of the calls of each thread, in the order of the threads.
type Calls = Vec<Vec<String>>;

const CALLS: &str = "socket,socketpair,bind,listen,accept4,connect,sendto,recvfrom,sendmsg,\
                     recvmsg,shutdown,getpeername,getsockname,setsockopt,write,read,dup2";

/// Numbers that differ from run to run: ports, and where memory is.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        plain.push_str(before);
        let is_part = |c: char| c.is_ascii_hexdigit() || c == 'x';
        let length = number.find(|c: char| !is_part(c)).unwrap_or(number.len());
        let (number, after) = number.split_at(length);
        let is_port = number.len() == 5 && number.parse::<u32>().is_ok_and(|it| it > 9_999);
        let is_memory = number.starts_with("0x") && number.len() > 8;
        plain.push_str(match (is_port, is_memory) {
            (true, _) => "PORT",
            (_, true) => "MEMORY",
            _ => number,
        });
        rest = after;
    }
    plain + rest
}

/// What strace writes of addresses, in our words; ours stays as it is.
fn ours(line: &str) -> String {
    let mut line = line.to_owned();
    while let Some(at) = line.find("{sa_family=AF_INET") {
        let end = at + line[at..].find('}').unwrap() + 1;
        let whole = &line[at..end];
        let between = |before: &str, after: &str| {
            let rest = &whole[whole.find(before).unwrap() + before.len()..];
            rest[..rest.find(after).unwrap()].to_owned()
        };
        let port = between("htons(", ")");
        let address = match whole.contains("AF_INET6") {
            true => format!(
                "{{AF_INET6, [{}]:{port}}}",
                between("inet_pton(AF_INET6, \"", "\"")
            ),
            false => format!("{{AF_INET, {}:{port}}}", between("inet_addr(\"", "\"")),
        };
        line.replace_range(at..end, &address);
    }
    for (theirs, ours) in [
        ("{sa_family=AF_UNIX, sun_path=", "{AF_UNIX, "),
        ("{sa_family=AF_UNIX}", "{AF_UNIX}"),
        // One number by two names; programs and tcp(7) write the first.
        ("SOL_TCP", "IPPROTO_TCP"),
        ("SOL_IPV6", "IPPROTO_IPV6"),
        // strace counts the length before and after.
        (" => ", "=>"),
    ] {
        line = line.replace(theirs, ours);
    }
    line
}

/// `call(arguments) = result` -> the three, with arguments that both write alike.
fn parts(line: &str) -> Option<String> {
    let (name, rest) = line.split_once('(')?;
    // strace aligns results.
    let at = rest
        .rmatch_indices(')')
        .find(|(at, _)| rest[at + 1..].trim_start().starts_with("= "));
    let (arguments, result) = rest.split_at(at?.0);
    let result = result[1..].trim_start().strip_prefix("= ")?;
    let result = result.split(['<', ' ']).next()?;
    // Messages are written in another way by each: what they return is compared. Of a call that
    // failed strace tells what the length was before.
    let arguments = match name {
        "sendmsg" | "recvmsg" => "",
        "getpeername" if result == "-1" => "",
        _ => arguments,
    };
    let mut arguments = plain(arguments);
    // `[16]` of strace is what it was and is; `[128 => 16]` where it changed.
    if let Some(at) = arguments.find("=>") {
        let from = arguments[..at].rfind('[')? + 1;
        arguments.replace_range(from..at + 2, "");
    }
    Some(format!("{name}({arguments}) = {}", plain(result)))
}

fn by_thread(lines: impl Iterator<Item = (u32, String)>) -> Calls {
    let mut threads: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (thread, line) in lines {
        threads.entry(thread).or_default().push(line);
    }
    threads.into_values().collect()
}

fn by_strace(script: &str) -> Calls {
    let file = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("strace")
        .args(["-f", "-s", "256", "-e", &format!("trace={CALLS}"), "-o"])
        .arg(file.path())
        .args(["/usr/bin/python3", "-c", script])
        .status()
        .unwrap();
    assert!(status.success());
    let text = std::fs::read_to_string(file.path()).unwrap();
    // What is interrupted by another thread is in two lines.
    let mut begun: BTreeMap<u32, String> = BTreeMap::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let thread: u32 = thread.parse().unwrap();
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, start.to_owned());
        } else if let Some((_, end)) = call.split_once(" resumed>") {
            let start = begun.remove(&thread).unwrap();
            lines.push((thread, format!("{start}{end}")));
        } else {
            lines.push((thread, call.to_owned()));
        }
    }
    by_thread(lines.into_iter().filter_map(|(thread, line)| {
        let is_of_file = line.starts_with("read(") || line.starts_with("write(");
        let line = parts(&ours(&line))?;
        // strace tells those on files, too.
        (!is_of_file || line.contains("wri")).then_some((thread, line))
    }))
}

fn by_inspect(script: &str) -> Calls {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = inspect()
        .args(["trace", "--no-heading", "-s", "256", "-e", CALLS, "-o"])
        .arg(file.path())
        .args(["--", "/usr/bin/python3", "-c", script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = std::fs::read_to_string(file.path()).unwrap();
    by_thread(text.lines().map(|line| {
        let mut columns = line.splitn(3, "  ");
        let (_, owner, call) = (
            columns.next(),
            columns.next().unwrap(),
            columns.next().unwrap(),
        );
        let number = owner
            .trim_end_matches(']')
            .rsplit(['[', '/'])
            .next()
            .unwrap();
        let mut call = call.to_owned();
        // The socket behind the descriptor.
        while let Some(at) = call
            .find('<')
            .filter(|at| *at < call.find('"').unwrap_or(usize::MAX))
        {
            let end = call[at..].find('>').unwrap();
            call.replace_range(at..=at + end, "");
        }
        (number.parse().unwrap(), parts(&call).unwrap_or(call))
    }))
}

/// strace escapes in octal and in C's short ways, where we have hexadecimal and Unicode.
fn without_escapes(calls: Calls) -> Calls {
    let simple = |line: String| match line.contains('\\') {
        true => {
            let (before, rest) = line.split_once('"').unwrap();
            let (_, after) = rest.rsplit_once('"').unwrap();
            format!("{before}\"...\"{after}")
        }
        false => line,
    };
    calls
        .into_iter()
        .map(|calls| calls.into_iter().map(simple).collect())
        .collect()
}

fn compare(test: &str, script: &str, least: usize) {
    if !have_root(test) || !have_program("strace", test) || inspect::bpf::allowed().is_err() {
        return;
    }
    own_network();
    let (ours, theirs) = (
        without_escapes(by_inspect(script)),
        without_escapes(by_strace(script)),
    );
    assert!(
        ours.iter().map(Vec::len).sum::<usize>() >= least,
        "{ours:#?}"
    );
    assert_eq!(ours, theirs);
}

#[test]
fn threads_of_a_server_and_its_clients() {
    compare("threads_of_a_server_and_its_clients", THREADS, 40);
}

#[test]
fn a_server_that_forks() {
    compare("a_server_that_forks", FORKS, 20);
}

#[test]
fn messages_datagrams_pairs_and_failures() {
    compare("messages_datagrams_pairs_and_failures", KINDS, 18);
}
