use super::*;
use crate::model::{Endpoint, Fd, ForeignText, Pid, Timestamp};
use crate::render::Charset;
use crate::trace::{Bytes, Process, Socket};

fn end(port: u16) -> Endpoint {
    Endpoint::new([127, 0, 0, 1].into(), port)
}

fn tcp(local: u16, remote: u16) -> Socket {
    Socket {
        inode: None,
        cookie: None,
        family: 2,
        kind: 1,
        protocol: 6,
        state: None,
        namespace: None,
        ends: Some((end(local), end(remote))),
        sequences: None,
    }
}

fn call(
    name: &'static str,
    arguments: Vec<(&'static str, Value)>,
    before: Option<(u32, Socket)>,
    after: Option<(u32, Socket)>,
    result: i64,
) -> Call {
    let held = |held: Option<(u32, Socket)>| held.map(|(fd, socket)| (Fd(fd), socket));
    Call {
        time: Timestamp::from_nanos(0),
        monotonic_ns: 0,
        duration_ns: Some(90_000),
        process: Process {
            pid: Pid(7),
            started_ns: 0,
            command: ForeignText::from("python3"),
        },
        tid: Pid(7),
        name,
        before: held(before),
        after: held(after),
        arguments,
        outcome: Outcome::Returned(result),
    }
}

fn bytes(text: &[u8]) -> Value {
    Value::Bytes(Bytes {
        bytes: text.to_vec(),
        length: text.len() as u64,
    })
}

fn shown(width: usize, library: Library, calls: &[Call]) -> String {
    let mut screen = Screen::pipe(Charset::Utf8);
    screen.width = Some(width);
    let mut explained = Explained::new(screen, library);
    let mut out = Vec::new();
    for call in calls {
        explained.write(&mut out, call);
    }
    explained.end(&mut out);
    String::from_utf8(out).unwrap()
}

fn client() -> Vec<Call> {
    let to = |port| Value::Address(Address::Internet(end(port)));
    let open = Some((3, tcp(52_316, 2345)));
    let none = Some((3, tcp(0, 0)));
    vec![
        call(
            "socket",
            vec![
                ("domain", Value::Constant("AF_INET")),
                ("kind", Value::Flags(vec!["SOCK_STREAM", "SOCK_CLOEXEC"], 0)),
                ("protocol", Value::Constant("IPPROTO_IP")),
            ],
            None,
            none,
            3,
        ),
        call(
            "connect",
            vec![
                ("fd", Value::Fd(3)),
                ("address", to(2345)),
                ("address_length", Value::Number(16)),
            ],
            none,
            open,
            0,
        ),
        call(
            "sendto",
            vec![
                ("fd", Value::Fd(3)),
                ("buffer", bytes(b"hello")),
                ("length", Value::Number(5)),
                ("flags", Value::Flags(vec![], 0)),
                ("address", Value::Null),
                ("address_length", Value::Number(0)),
            ],
            open,
            open,
            5,
        ),
        call(
            "recvfrom",
            vec![
                ("fd", Value::Fd(3)),
                ("buffer", bytes(b"hi")),
                ("length", Value::Number(1024)),
                ("flags", Value::Flags(vec![], 0)),
                ("address", Value::Null),
                ("address_length", Value::Null),
            ],
            open,
            open,
            2,
        ),
        call("close", vec![("fd", Value::Fd(3))], open, None, 0),
    ]
}

#[test]
fn a_client_has_one_descriptor() {
    assert_eq!(
        shown(80, Library::Python, &client()),
        "\
PYTHON                        LINUX                                           FD
socket(AF_INET, SOCK_STREAM)  socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC,        3
                                IPPROTO_IP) = 3
connect((\"127.0.0.1\", 2345))  connect(3, {AF_INET, 127.0.0.1:2345}) = 0        3
                                waited 90 µs
sendall(b\"hello\")             sendto(3, \"hello\", 5, 0) = 5                     3
recv(1024)                    recvfrom(3, \"hi\", 1024, 0) = 2 waited 90 µs      3
                              close(3) = 0                                     3
One descriptor: 3, this side of 127.0.0.1:52316 → 127.0.0.1:2345.
"
    );
    let in_c = shown(80, Library::C, &client());
    assert!(in_c.contains("\nsend(3, buffer, 5, 0) "), "{in_c}");
    for width in [60, 80, 200] {
        let text = shown(width, Library::Python, &client());
        assert!(
            text.lines().all(|line| line.width() <= width),
            "{width}: {text}"
        );
    }
}

#[test]
fn a_server_has_two_and_the_lesson_is_told() {
    let listener = Some((3, tcp(2345, 0)));
    let calls = [
        call(
            "listen",
            vec![("fd", Value::Fd(3)), ("backlog", Value::Number(128))],
            listener,
            listener,
            0,
        ),
        call(
            "accept4",
            vec![("fd", Value::Fd(3))],
            listener,
            Some((4, tcp(2345, 52_316))),
            4,
        ),
    ];
    let text = shown(200, Library::Python, &calls);
    assert!(
        text.ends_with(
            "Two descriptors: 3 listens, 4 is the client 127.0.0.1:52316. The client calls its own \
             end by a number of its own: numbers count within a process.\n"
        ),
        "{text}"
    );
}
