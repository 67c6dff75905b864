//! ss's language: the same expression selects the same sockets in `ss` and in `inspect sockets`,
//! on the same real sockets; and what ss does not know.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use serde_json::Value;
use support::{have_program, inspect, own_network, run, run_on_terminal, wait_for};

/// Local and remote end, as ss writes them with -n.
type Ends = (String, String);

/// Sockets in most states that two loopback ends can be in.
struct Stage {
    /// The port of the listener on 127.0.0.1, of that on ::1, and of the dual one.
    listeners: [u16; 3],
    /// Ports of clients: two on v4, one on v6, one on v4 to the dual listener.
    clients: [u16; 4],
    /// Both ends of every socket. Ports alone may be those of others: the kernel gives a client
    /// a port that another has towards another server.
    sockets: BTreeSet<Ends>,
    _open: Vec<TcpStream>,
    _listening: Vec<TcpListener>,
}

fn stage() -> Stage {
    own_network();
    let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
    let v6 = TcpListener::bind("[::1]:0").unwrap();
    let dual = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let listeners = [port(&v4), port(&v6), port(&dual)];
    let mut open = Vec::new();
    let mut sockets: BTreeSet<Ends> = [&v4, &v6, &dual]
        .map(|listener| {
            let local = listener.local_addr().unwrap();
            let nowhere = if local.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            (local.to_string(), nowhere.to_owned())
        })
        .into();
    let mut connect = |to: (&str, u16), listener: &TcpListener| {
        let client = TcpStream::connect(to).unwrap();
        let (server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            let ends = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            sockets.insert((ends.0.to_string(), ends.1.to_string()));
        }
        (client, server)
    };
    let mut clients = Vec::new();
    for (to, listener) in [
        (("127.0.0.1", listeners[0]), &v4),
        (("127.0.0.1", listeners[0]), &v4),
        (("::1", listeners[1]), &v6),
        (("127.0.0.1", listeners[2]), &dual),
    ] {
        let (client, server) = connect(to, listener);
        clients.push(client.local_addr().unwrap().port());
        open.extend([client, server]);
    }
    // The client closed, the server did not: FIN_WAIT2 and CLOSE_WAIT.
    let (client, mut server) = connect(("127.0.0.1", listeners[0]), &v4);
    drop(client);
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    open.push(server);
    // Both closed: TIME_WAIT at the client.
    let (mut client, server) = connect(("127.0.0.1", listeners[0]), &v4);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    Stage {
        listeners,
        clients: clients.try_into().unwrap(),
        sockets,
        _open: open,
        _listening: vec![v4, v6, dual],
    }
}

fn port_of(end: &str) -> u16 {
    let port = end.rsplit(':').next().unwrap();
    port.parse().unwrap_or(0)
}

/// Every way to write the unspecified address and port as one.
fn plain(end: &str) -> String {
    let (address, port) = end.rsplit_once(':').unwrap();
    let address = if address == "*" { "[::]" } else { address };
    format!("{address}:{}", if port == "*" { "0" } else { port })
}

fn from_ss(flags: &str, expression: &str) -> BTreeSet<Ends> {
    let output = Command::new("ss")
        .arg(flags)
        .args(expression.split(' '))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{expression}: {errors}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            // The state is left out where only one is asked for.
            let mut columns = line.split_whitespace().rev();
            let remote = plain(columns.next().unwrap());
            (plain(columns.next().unwrap()), remote)
        })
        .collect()
}

fn records(flags: &str, owners: Option<&str>, expression: &str) -> Vec<Value> {
    let mut command = inspect();
    command.args(["sockets", flags, "--json"]).args(owners);
    let printed = run(command.args(expression.split(' ').filter(|word| !word.is_empty())));
    assert_eq!(printed.code, Some(0), "{expression}: {}", printed.stderr);
    printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|record: &Value| record["type"] == "socket")
        .collect()
}

fn end(row: &Value, side: &str) -> String {
    let address = row[side]["address"].as_str().unwrap();
    let address = match address.contains(':') {
        true => format!("[{address}]"),
        false => address.to_owned(),
    };
    format!("{address}:{}", row[side]["port"])
}

fn from_inspect(flags: &str, expression: &str) -> BTreeSet<Ends> {
    records(flags, Some("--no-owners"), expression)
        .iter()
        .map(|row| (end(row, "local"), end(row, "remote")))
        .collect()
}

/// What both select of the stage, when they agree on it.
fn agreed(expression: &str, stage: &Stage) -> BTreeSet<Ends> {
    let ours = |found: BTreeSet<Ends>| -> BTreeSet<Ends> {
        found.intersection(&stage.sockets).cloned().collect()
    };
    let mut ss = ours(from_ss("-Htan", expression));
    let mut inspected = ours(from_inspect("-Htan", expression));
    // A dump goes on by counting within a hash bucket (net/ipv4/inet_diag.c): where others close
    // sockets meanwhile it may pass one over, in ss and here. What is wrong stays wrong.
    for _ in 0..5 {
        if inspected == ss {
            break;
        }
        ss = ours(from_ss("-Htan", expression));
        inspected = ours(from_inspect("-Htan", expression));
    }
    assert_eq!(inspected, ss, "inspect, ss: {expression}");
    ss
}

/// Expressions, and how many of the sockets on the stage each selects.
fn cases(stage: &Stage) -> Vec<(String, usize)> {
    let [v4, v6, dual] = stage.listeners;
    let [one, two, three, mapped] = stage.clients;
    vec![
        ("".to_owned(), 14),
        (format!("sport = :{v4}"), 4),
        (format!("dport = :{v4}"), 4),
        (format!("sport {v4}"), 4),
        (format!("sport == {v4}"), 4),
        (format!("( sport = :{v4} or dport = :{v4} )"), 8),
        (
            format!("state established ( sport = :{v4} or dport = :{v4} )"),
            4,
        ),
        (
            format!("state established sport = :{v4} or dport = :{v4}"),
            4,
        ),
        (format!("state listening sport = :{v4}"), 1),
        (format!("state time-wait dport = :{v4}"), 1),
        (
            format!("state close-wait state fin-wait-2 sport = :{v4} or dport = :{v4}"),
            2,
        ),
        (
            format!("exclude established exclude listening sport = :{v4} or dport = :{v4}"),
            3,
        ),
        ("state connected".to_owned(), 11),
        ("state synchronized".to_owned(), 11),
        ("state bucket".to_owned(), 1),
        ("state big".to_owned(), 13),
        ("state all".to_owned(), 14),
        // and and or bind alike, from the left, whatever man 8 ss says.
        (
            format!("sport = :{one} or sport = :{two} and dport = :1"),
            0,
        ),
        (format!("sport = :{one} or sport = :{two} dport = :1"), 0),
        (
            format!("sport = :{one} or ( sport = :{two} and dport = :1 )"),
            1,
        ),
        (
            format!("dport = :1 and sport = :{two} or sport = :{one}"),
            1,
        ),
        (format!("dport = :1 sport = :{two} or sport = :{one}"), 1),
        (
            format!("dport = :1 and ( sport = :{two} or sport = :{one} )"),
            0,
        ),
        (
            format!("not sport = :{v4} and not dport = :{v4} and sport = :{one}"),
            0,
        ),
        (format!("not sport = :{one} or sport = :{one}"), 14),
        (format!("not sport = :{one} sport = :{one}"), 0),
        (
            format!("! ( sport = :{v4} | dport = :{v4} ) & sport = :{three}"),
            1,
        ),
        (format!("! ! sport = :{one}"), 1),
        // Comparisons.
        (format!("sport >= :{v4} sport <= :{v4}"), 4),
        (format!("sport ge :{v4} and sport le :{v4}"), 4),
        (format!("sport gt :{v4} and sport lt :{v4}"), 0),
        (format!("sport != :{v4} and dport ne :{v4}"), 6),
        (format!("dport < :1 and sport = :{v4}"), 1),
        // Addresses.
        ("dst 127.0.0.0/8".to_owned(), 9),
        ("dst 127/8".to_owned(), 9),
        ("dst 127.0.0.1".to_owned(), 9),
        ("src 127.0.0.1".to_owned(), 10),
        (format!("src 127.0.0.1:{v4}"), 4),
        (format!("src :{v4}"), 4),
        (format!("src *:{v4}"), 4),
        ("src *".to_owned(), 14),
        ("dst 0.0.0.0".to_owned(), 1),
        ("dst 0.0.0.0/0".to_owned(), 10),
        ("dst ::/0".to_owned(), 5),
        ("dst [::1]".to_owned(), 2),
        (format!("dst [::1]:{v6}"), 1),
        ("src [::1]".to_owned(), 3),
        ("dst [::ffff:127.0.0.1]".to_owned(), 1),
        (format!("sport = :{dual} dst 127.0.0.1"), 1),
        (format!("sport = :{mapped} dst 127.0.0.1"), 1),
        (format!("dst inet:127.0.0.1 sport = :{dual}"), 0),
    ]
}

#[test]
fn an_expression_selects_what_it_selects_in_ss() {
    if !have_program("ss", "an_expression_selects_what_it_selects_in_ss") {
        return;
    }
    for index in 0..cases(&stage()).len() {
        // TIME_WAIT and FIN_WAIT2 last a minute: each expression has a stage of its own.
        let stage = stage();
        let (expression, count) = cases(&stage).swap_remove(index);
        let found = agreed(&expression, &stage);
        assert_eq!(found.len(), count, "{expression}: {found:#?}");
    }
}

/// Numbers that are the same in every run (the constants are Knuth's).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn one<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

/// An expression about the sockets of the stage. Nothing in it says `/0` or `0.0.0.0`: of those
/// ss asks the kernel and then itself, and the two disagree.
fn made_up(numbers: &mut Numbers, ports: &[u16], depth: usize) -> String {
    let mut text = String::new();
    for place in 0..=numbers.below(4) {
        if place > 0 {
            text += numbers.one(&[" and ", " or ", " & ", " || ", " "]);
        }
        text += numbers.one(&["", "", "", "not ", "! "]);
        if depth > 0 && numbers.below(3) == 0 {
            text += &format!("( {} )", made_up(numbers, ports, depth - 1));
            continue;
        }
        let port = ports[numbers.below(ports.len())];
        text += &match numbers.below(3) {
            0 => {
                let sign = numbers.one(&["=", "!=", "<", "<=", ">", ">=", "ne", "lt", "geq"]);
                format!("{} {sign} :{port}", numbers.one(&["sport", "dport"]))
            }
            1 => {
                let host = numbers.one(&["127.0.0.0/8", "127.0.0.1", "[::1]", "10/8", "*"]);
                format!("{} {host}", numbers.one(&["src", "dst"]))
            }
            _ => {
                let host = numbers.one(&["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "*", ""]);
                format!("{} {host}:{port}", numbers.one(&["src", "dst"]))
            }
        };
    }
    text
}

#[test]
fn what_is_made_up_selects_what_it_selects_in_ss() {
    if !have_program("ss", "what_is_made_up_selects_what_it_selects_in_ss") {
        return;
    }
    let mut numbers = Numbers(2345);
    let mut sizes = BTreeSet::new();
    for _ in 0..40 {
        let stage = stage();
        let ports = [&stage.listeners[..], &stage.clients[..], &[0, 1]].concat();
        let state = numbers.one(&["", "", "state established ", "state big exclude listening "]);
        let expression = format!("{state}{}", made_up(&mut numbers, &ports, 2));
        sizes.insert(agreed(&expression, &stage).len());
    }
    assert!(sizes.len() > 4, "they select all or nothing: {sizes:?}");
}

#[test]
fn what_a_source_cannot_tell_is_said_or_is_what_ss_says() {
    if !have_program("ss", "what_a_source_cannot_tell_is_said_or_is_what_ss_says") {
        return;
    }
    let stage = stage();
    let [v4, ..] = stage.listeners;
    // Through /proc/net none of it is told: then nothing may be claimed.
    let expression = format!("autobound ( sport = :{v4} or dport = :{v4} )");
    let mut command = inspect();
    command.args(["sockets", "-ta", "--source", "proc", "--json"]);
    let printed = run(command.args(expression.split(' ')));
    assert!(
        printed.stdout.contains("8 sockets may match: autobound")
            || printed
                .stdout
                .contains("sockets may match: autobound is not told of them\",\"count\":8"),
        "{}",
        printed.stdout
    );
    // Through sock_diag it is what ss says, but of TIME_WAIT, of which ss guesses.
    for expression in ["autobound", "not autobound"] {
        let expression =
            format!("state big exclude time-wait {expression} ( sport = :{v4} or dport = :{v4} )");
        agreed(&expression, &stage);
    }
}

#[test]
fn datagram_sockets_are_closed_to_ss_and_unconnected_to_us() {
    if !have_program(
        "ss",
        "datagram_sockets_are_closed_to_ss_and_unconnected_to_us",
    ) {
        return;
    }
    let alone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect(alone.local_addr().unwrap()).unwrap();
    let [alone, connected] = [alone, connected].map(|socket| {
        let port = socket.local_addr().unwrap().port();
        (socket, port)
    });
    for (state, expected) in [
        ("closed", vec![alone.1]),
        ("unconnected", vec![alone.1]),
        ("established", vec![connected.1]),
        ("connected", vec![connected.1]),
        ("all", vec![alone.1, connected.1]),
    ] {
        let expression = format!(
            "state {state} ( sport = :{} or sport = :{} )",
            alone.1, connected.1
        );
        let found = from_ss("-Huan", &expression);
        assert_eq!(found, from_inspect("-Huan", &expression), "{expression}");
        let ports: BTreeSet<u16> = found.iter().map(|(local, _)| port_of(local)).collect();
        assert_eq!(ports, expected.into_iter().collect(), "{expression}");
    }
}

#[test]
fn unix_names_are_patterns_as_in_ss() {
    if !have_program("ss", "unix_names_are_patterns_as_in_ss") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Bus=1");
    let listener = UnixListener::bind(&path).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    let _server = listener.accept().unwrap();
    let folder = folder.path().to_str().unwrap();
    let from_ss = |expression: &str| {
        let output = Command::new("ss")
            .arg("-Hxan")
            .args(expression.split(' '))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|line| line.contains(folder)).count()
    };
    let from_inspect = |expression: &str| {
        records("-Hxan", Some("--no-owners"), expression)
            .iter()
            .filter(|row| {
                let path = row["path"].as_str();
                path.is_some_and(|path| path.starts_with(folder))
            })
            .count()
    };
    let capitals = folder.to_uppercase();
    for (expression, count) in [
        (format!("src {folder}/Bus=1"), 2),
        (format!("src {folder}/*"), 2),
        (format!("src {capitals}/bu*"), 2),
        (format!("src unix:{folder}/Bus?1"), 2),
        (format!("src {folder}/[ab]us*"), 2),
        (format!("src {folder}/[!ab]us*"), 0),
        (format!("src = *us=1 and src {folder}/*"), 2),
        (format!("state listening src {folder}/*"), 1),
        (format!("not src {folder}/*"), 0),
    ] {
        assert_eq!(from_ss(&expression), count, "{expression}");
        assert_eq!(from_inspect(&expression), count, "{expression}");
    }
}

#[test]
fn what_ss_does_not_know_is_answered() {
    own_network();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let from = client.local_addr().unwrap().port();
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"hello").unwrap();
    let me = std::process::id();
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    let name = name.trim_end();
    let start: String = name.chars().take(4).collect();
    // A TIME_WAIT of another test may have had the port as its client's.
    let count = |expression: &str| {
        let rows = records("-tan", None, expression);
        rows.iter()
            .filter(|row| row["state"] != "TIME_WAIT")
            .count()
    };
    wait_for("five bytes", || {
        (count(&format!("sport = :{from} recvq = 5")) == 1).then_some(())
    });
    for (expression, expected) in [
        (format!(":{port}"), 3),
        (format!(":{port} pid = {me}"), 3),
        (format!(":{port} process = {name}"), 3),
        (format!(":{port} process = {start}*"), 3),
        (format!(":{port} process = {start}"), 0),
        (format!("sport = :{port} peer = {me}"), 1),
        (format!("sport = :{port} peer = {start}*"), 1),
        (format!("sport = :{from} peer = {name}"), 1),
        (format!(":{port} recvq > 0"), 1),
        (format!(":{port} recvq >= 5 recvq < 1k"), 1),
        (format!(":{port} recvq > 5"), 0),
        (format!("host 127.0.0.1 sport = :{from}"), 1),
        (format!("dport = :{port}-{port}"), 1),
    ] {
        assert_eq!(count(&expression), expected, "{expression}");
    }
}

#[test]
fn what_is_not_understood_is_2_and_shows_the_place() {
    for (words, shown) in [
        (
            &["sprot", "=", ":2345"][..],
            "inspect: unknown word \"sprot\": did you mean sport?\n  sprot = :2345\n  ^^^^^\n",
        ),
        (
            &["state established ( sport = :1"],
            "inspect: this parenthesis is never closed\n  state established ( sport = :1\n                    ^\n",
        ),
        (
            &["dev", "no-such0"],
            "inspect: no interface \"no-such0\" on this machine\n  dev no-such0\n      ^^^^^^^^\n",
        ),
        (
            &["process", "\u{1b}[31m", "你好", "x"],
            "inspect: unknown word \"你好\"\n  process \\u{1b}[31m 你好 x\n                     ^^^^\n",
        ),
        (
            &["user", "=", "no-such-user"],
            "inspect: no user \"no-such-user\" on this machine\n  user = no-such-user\n         ^^^^^^^^^^^^\n",
        ),
    ] {
        let printed = run(inspect().arg("sockets").args(words));
        assert_eq!((printed.code, printed.stderr.as_str()), (Some(2), shown));
        assert_eq!(printed.stdout, "");
    }
}

#[test]
fn names_of_this_machine_are_understood() {
    for (words, same) in [
        ("dev lo", "dev = 1"),
        ("user root", "user = 0"),
        ("sport = :ssh", "sport = :22"),
        ("dst localhost", "dst 127.0.0.1 or dst [::1]"),
    ] {
        let run = |words: &str| {
            let printed = run(inspect().args(["sockets", words]));
            (printed.code, printed.stderr.contains("no "))
        };
        assert_eq!(run(words), run(same), "{words}");
    }
}

#[test]
fn a_reading_that_the_man_page_does_not_promise_is_told_to_people() {
    let words = "pid 1 or pid 2 and pid 3";
    let shown = run_on_terminal(inspect().args(["sockets", "--color=never", words]), 100);
    assert!(
        shown.contains("Read from left to right, as ss does: ( pid = 1 or pid = 2 ) and pid = 3"),
        "{shown}"
    );
    let piped = run(inspect().args(["sockets", words]));
    assert!(!piped.stderr.contains("Read from"), "{}", piped.stderr);
}
