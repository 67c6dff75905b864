//! Lives told by hand.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::model::{ForeignText, Pid};

const HOME: NetworkNamespace = NetworkNamespace(1);
const CLIENT: &str = "127.0.0.1:5000";
const SERVER: &str = "127.0.0.1:80";
const ANY: &str = "0.0.0.0:0";

fn end(text: &str) -> Endpoint {
    let address: SocketAddr = text.parse().unwrap();
    Endpoint::new(address.ip(), address.port())
}

/// Milliseconds.
fn at(time: i64) -> Timestamp {
    Timestamp::from_nanos(time * 1_000_000)
}

fn process(pid: u32) -> Process {
    Process {
        pid: Pid(pid),
        tid: Pid(pid),
        started_ns: 0,
        started: None,
        command: ForeignText::from("first"),
    }
}

/// A socket by its number, which is its cookie and its inode.
fn socket(protocol: Protocol, number: u64, local: &str, remote: &str) -> Socket {
    Socket {
        cookie: (protocol == Protocol::Tcp).then_some(Cookie(number)),
        inode: Some(Inode(number)),
        namespace: HOME,
        protocol,
        local: end(local),
        remote: end(remote),
        user: None,
        reuse: false,
    }
}

fn told(lives: &mut Lives, time: i64, pid: u32, change: Change) {
    lives.tell(Event {
        time: at(time),
        change,
        process: (pid != 0).then(|| process(pid)),
    });
}

fn tcp(number: u64, local: &str, remote: &str) -> Socket {
    socket(Protocol::Tcp, number, local, remote)
}

fn udp(number: u64, local: &str, remote: &str) -> Socket {
    socket(Protocol::Udp, number, local, remote)
}

/// As the kernel tells it: the port is chosen after SYN_SENT.
fn connect(lives: &mut Lives, time: i64, pid: u32, number: u64, local: &str, remote: &str) {
    let early = tcp(number, ANY, remote);
    let state = |socket, from, to, fd| Change::State(socket, from, to, fd);
    let fd = Some(Fd(3));
    told(
        lives,
        time,
        pid,
        state(early, State::Closed, State::SynSent, fd),
    );
    let whole = tcp(number, local, remote);
    told(
        lives,
        time + 1,
        0,
        state(whole, State::SynSent, State::Established, None),
    );
}

fn close(lives: &mut Lives, time: i64, socket: Socket) {
    told(
        lives,
        time,
        0,
        Change::State(socket, State::LastAck, State::Closed, None),
    );
}

/// A server's side comes out of the handshake.
fn arrive(lives: &mut Lives, time: i64, number: u64, local: &str, remote: &str) -> Socket {
    let socket = Socket {
        inode: None,
        ..tcp(number, local, remote)
    };
    let established = Change::State(socket, State::SynRecv, State::Established, None);
    told(lives, time, 0, established);
    socket
}

fn call(lives: &mut Lives, time: i64, pid: u32, socket: Socket, call: Call) {
    told(lives, time, pid, Change::Call(socket, call, Some(Fd(4))));
}

fn question(protocol: Protocol, local: &str, remote: &str, time: i64) -> Question {
    Question {
        namespace: HOME,
        protocol,
        local: end(local),
        remote: end(remote),
        time: at(time),
        now: at(time),
        opening: true,
        here: true,
    }
}

/// Pids and reason.
fn who(lives: &Lives, question: Question) -> (Vec<u32>, &'static str) {
    match lives.attribute(&question) {
        None => (Vec::new(), "nothing"),
        Some((found, _)) => (
            found.owners.iter().map(|owner| owner.pid.0).collect(),
            found.grounds.reason(),
        ),
    }
}

fn client_at(lives: &Lives, time: i64) -> (Vec<u32>, &'static str) {
    who(lives, question(Protocol::Tcp, CLIENT, SERVER, time))
}

fn server_at(lives: &Lives, time: i64) -> (Vec<u32>, &'static str) {
    who(lives, question(Protocol::Tcp, SERVER, CLIENT, time))
}

#[test]
fn who_had_the_ends_when_the_packet_passed_is_told_also_afterwards() {
    let mut lives = Lives::default();
    for (round, pid) in [(0, 100), (1, 101), (2, 102)] {
        let start = 100 * round;
        let number = u64::try_from(round).unwrap();
        connect(&mut lives, start, pid, 10 + number, CLIENT, SERVER);
        let accepted = arrive(&mut lives, start + 2, 20 + number, SERVER, CLIENT);
        let accepted = Socket {
            inode: Some(Inode(20 + number)),
            ..accepted
        };
        call(&mut lives, start + 5, 200 + pid, accepted, Call::Accept);
        close(&mut lives, start + 50, tcp(10 + number, CLIENT, SERVER));
        close(&mut lives, start + 51, accepted);
        told(&mut lives, start + 52, pid, Change::Exit);
    }
    for (round, pid) in [(0, 100), (1, 101), (2, 102)] {
        // The SYN leaves after SYN_SENT and before the server has its socket.
        let syn = 100 * round + 1;
        assert_eq!(client_at(&lives, syn), (vec![pid], "socket_events"));
        assert_eq!(server_at(&lives, syn), (vec![200 + pid], "socket_events"));
        let later = |local, remote, time| Question {
            opening: false,
            ..question(Protocol::Tcp, local, remote, time)
        };
        // Seen from the middle on, and after its end.
        for time in [syn + 20, syn + 60] {
            let client = who(&lives, later(CLIENT, SERVER, time));
            assert_eq!(client, (vec![pid], "socket_events"), "{time}");
            let server = who(&lives, later(SERVER, CLIENT, time));
            assert_eq!(server, (vec![200 + pid], "socket_events"), "{time}");
        }
    }
    // A fourth, of whose birth nothing was told, is none of these.
    assert_eq!(client_at(&lives, 400), (vec![], "nothing"));
}

#[test]
fn before_accept_it_is_the_listeners_by_inference() {
    let mut lives = Lives::default();
    let arrived = arrive(&mut lives, 2, 20, SERVER, CLIENT);
    // The listener is older than our watch.
    assert_eq!(server_at(&lives, 1), (vec![], "waiting_for_accept"));
    let mut lives = Lives::default();
    let listener = tcp(5, "0.0.0.0:80", ANY);
    let listen = Change::State(listener, State::Closed, State::Listen, Some(Fd(3)));
    told(&mut lives, 0, 7, listen);
    assert_eq!(server_at(&lives, 1), (vec![7], "local_port"));
    let elsewhere = Question {
        here: false,
        ..question(Protocol::Tcp, SERVER, CLIENT, 1)
    };
    assert_eq!(who(&lives, elsewhere), (vec![], "nothing"));
    let _ = arrived;
    let arrived = arrive(&mut lives, 2, 20, SERVER, CLIENT);
    assert_eq!(server_at(&lives, 1), (vec![7], "local_port"));
    let asked = question(Protocol::Tcp, SERVER, CLIENT, 1);
    let (_, witness) = lives.attribute(&asked).unwrap();
    assert!(!lives.has_more(witness.unwrap()));
    call(&mut lives, 9, 8, arrived, Call::Accept);
    assert!(lives.has_more(witness.unwrap()));
    assert_eq!(server_at(&lives, 1), (vec![8], "socket_events"));
    close(&mut lives, 10, listener);
    let next = question(Protocol::Tcp, SERVER, "127.0.0.1:5001", 11);
    assert_eq!(who(&lives, next), (vec![], "nothing"));
}

#[test]
fn equal_ends_in_two_network_namespaces_are_two_sockets() {
    let mut lives = Lives::default();
    connect(&mut lives, 0, 100, 1, CLIENT, SERVER);
    let there = |socket| Socket {
        namespace: NetworkNamespace(2),
        ..socket
    };
    let (early, whole) = (there(tcp(2, ANY, SERVER)), there(tcp(2, CLIENT, SERVER)));
    let syn = Change::State(early, State::Closed, State::SynSent, Some(Fd(3)));
    told(&mut lives, 0, 200, syn);
    let done = Change::State(whole, State::SynSent, State::Established, None);
    told(&mut lives, 1, 0, done);
    assert_eq!(client_at(&lives, 1), (vec![100], "socket_events"));
    let asked = Question {
        namespace: NetworkNamespace(2),
        ..question(Protocol::Tcp, CLIENT, SERVER, 1)
    };
    assert_eq!(who(&lives, asked), (vec![200], "socket_events"));
}

#[test]
fn whoever_sends_on_it_too_and_what_it_becomes_is_told() {
    let mut lives = Lives::default();
    connect(&mut lives, 0, 100, 1, CLIENT, SERVER);
    let asked = question(Protocol::Tcp, CLIENT, SERVER, 1);
    let (found, witness) = lives.attribute(&asked).unwrap();
    assert_eq!(found.owners[0].fd, Fd(3));
    call(&mut lives, 5, 101, tcp(1, CLIENT, SERVER), Call::Send);
    assert_eq!(client_at(&lives, 1), (vec![100, 101], "socket_events"));
    let (_, later) = lives.attribute(&asked).unwrap();
    assert_ne!(witness, later);
    lives.tell(Event {
        time: at(10),
        change: Change::Exec,
        process: Some(Process {
            command: ForeignText::from("second"),
            ..process(100)
        }),
    });
    assert!(lives.has_more(later.unwrap()));
    for (now, name) in [(9, "first"), (11, "second")] {
        let (found, _) = lives
            .attribute(&Question {
                now: at(now),
                ..asked
            })
            .unwrap();
        assert_eq!(found.owners[0].command, ForeignText::from(name));
    }
}

#[test]
fn a_process_without_a_descriptor_leaves_the_question_open() {
    let mut lives = Lives::default();
    let syn = Change::State(tcp(1, ANY, SERVER), State::Closed, State::SynSent, None);
    told(&mut lives, 0, 100, syn);
    let whole = tcp(1, CLIENT, SERVER);
    let done = Change::State(whole, State::SynSent, State::Established, None);
    told(&mut lives, 1, 0, done);
    assert_eq!(client_at(&lives, 1), (vec![], "nothing"));
    call(&mut lives, 2, 100, whole, Call::Connect);
    assert_eq!(client_at(&lives, 1), (vec![100], "socket_events"));
}

#[test]
fn a_refused_connection_and_the_next_of_the_same_socket_are_told_apart() {
    let mut lives = Lives::default();
    let syn = |socket| Change::State(socket, State::Closed, State::SynSent, Some(Fd(3)));
    told(&mut lives, 0, 100, syn(tcp(1, ANY, "127.0.0.1:81")));
    let refused = tcp(1, CLIENT, "127.0.0.1:81");
    let closed = Change::State(refused, State::SynSent, State::Closed, None);
    told(&mut lives, 1, 0, closed);
    connect(&mut lives, 5, 100, 1, CLIENT, SERVER);
    let first = question(Protocol::Tcp, CLIENT, "127.0.0.1:81", 1);
    assert_eq!(who(&lives, first), (vec![100], "socket_events"));
    assert_eq!(client_at(&lives, 6), (vec![100], "socket_events"));
}

fn datagram_at(lives: &Lives, time: i64) -> (Vec<u32>, &'static str) {
    who(lives, question(Protocol::Udp, CLIENT, SERVER, time))
}

#[test]
fn datagrams_belong_to_who_has_the_port_then() {
    let mut lives = Lives::default();
    for (start, pid) in [(0, 100), (100, 101)] {
        let number = u64::from(pid);
        call(&mut lives, start, pid, udp(number, ANY, ANY), Call::Create);
        // Its port is chosen while it sends, so the datagram is older than what is told of it.
        call(
            &mut lives,
            start + 3,
            pid,
            udp(number, "0.0.0.0:5000", ANY),
            Call::Send,
        );
        told(&mut lives, start + 50, pid, Change::Exit);
    }
    assert_eq!(datagram_at(&lives, 2), (vec![100], "socket_events"));
    assert_eq!(datagram_at(&lives, 102), (vec![101], "socket_events"));
    assert_eq!(datagram_at(&lives, 70), (vec![], "nothing"));
    // One with a fixed peer comes before one that is for all.
    call(
        &mut lives,
        200,
        102,
        udp(102, CLIENT, SERVER),
        Call::Connect,
    );
    call(
        &mut lives,
        200,
        103,
        udp(103, "0.0.0.0:5000", ANY),
        Call::Bind,
    );
    assert_eq!(datagram_at(&lives, 201), (vec![102], "socket_events"));
    let other = question(Protocol::Udp, CLIENT, "127.0.0.1:53", 201);
    assert_eq!(who(&lives, other), (vec![103], "local_port"));
}

#[test]
fn of_a_socket_that_is_handed_on_those_are_told_who_lived_then() {
    let mut lives = Lives::default();
    let shared = udp(1, CLIENT, SERVER);
    call(&mut lives, 1, 1, shared, Call::Send);
    for child in 0..100u32 {
        let time = 10 + i64::from(child) * 10;
        call(&mut lives, time, 1000 + child, shared, Call::Send);
        // The parent, and this child.
        assert_eq!(
            datagram_at(&lives, time),
            (vec![1, 1000 + child], "socket_events"),
            "child {child}"
        );
        told(&mut lives, time + 5, 1000 + child, Change::Exit);
        assert_eq!(datagram_at(&lives, time + 6).0, [1]);
    }
}

#[test]
fn a_port_that_may_be_shared_gives_no_answer_where_two_have_it() {
    let mut lives = Lives::default();
    let shared = |number| Socket {
        reuse: true,
        ..udp(number, "0.0.0.0:5000", ANY)
    };
    call(&mut lives, 0, 100, shared(1), Call::Bind);
    assert_eq!(datagram_at(&lives, 1), (vec![100], "local_port"));
    call(&mut lives, 2, 101, shared(2), Call::Bind);
    assert_eq!(datagram_at(&lives, 3), (vec![], "ambiguous"));
    told(&mut lives, 4, 100, Change::Exit);
    assert_eq!(datagram_at(&lives, 5), (vec![101], "local_port"));
    // What cannot be shared was let go by the one before.
    let mut lives = Lives::default();
    call(&mut lives, 0, 100, udp(1, "0.0.0.0:5000", ANY), Call::Bind);
    call(&mut lives, 2, 101, udp(2, "0.0.0.0:5000", ANY), Call::Bind);
    assert_eq!(datagram_at(&lives, 1), (vec![100], "local_port"));
    assert_eq!(datagram_at(&lives, 3), (vec![101], "local_port"));
}

#[test]
fn a_cookie_that_is_given_later_does_not_make_another_socket() {
    let mut lives = Lives::default();
    call(&mut lives, 0, 100, udp(1, "0.0.0.0:5000", ANY), Call::Bind);
    let named = Socket {
        cookie: Some(Cookie(9)),
        ..udp(1, "0.0.0.0:5000", ANY)
    };
    call(&mut lives, 1, 100, named, Call::Send);
    assert_eq!(lives.lives.len(), 1);
    assert_eq!(datagram_at(&lives, 1), (vec![100], "socket_events"));
    // The inode of one that is gone, given to another.
    let another = Socket {
        cookie: Some(Cookie(10)),
        ..named
    };
    call(&mut lives, 2, 101, another, Call::Bind);
    assert_eq!(lives.lives.len(), 2);
}

#[test]
fn room_is_made_and_who_has_just_ended_is_still_known() {
    let mut lives = Lives::default();
    let listener = tcp(5, "0.0.0.0:80", ANY);
    let listen = Change::State(listener, State::Closed, State::Listen, Some(Fd(3)));
    told(&mut lives, 0, 7, listen);
    // The end of none of these is told.
    let many = u64::try_from(LIMIT).unwrap();
    for number in 0..2 * many {
        let local = format!("0.0.0.0:{}", 1_000 + number % 60_000);
        call(
            &mut lives,
            0,
            100,
            udp(2_000_000 + number, &local, ANY),
            Call::Bind,
        );
    }
    let some = many / 2;
    let remote_of = |number: u64| format!("10.0.{}.{}:80", number / 250 % 250, number % 250);
    for number in 0..some + 100 {
        let remote = remote_of(number);
        connect(&mut lives, 1, 100, 10 + number, CLIENT, &remote);
        close(&mut lives, 2, tcp(10 + number, CLIENT, &remote));
    }
    assert_eq!(lives.lives.len(), LIMIT);
    for number in 101..some + 100 {
        let remote = remote_of(number);
        let asked = question(Protocol::Tcp, CLIENT, &remote, 1);
        assert_eq!(who(&lives, asked), (vec![100], "socket_events"), "{number}");
    }
    let asked = question(Protocol::Tcp, SERVER, CLIENT, 1);
    assert_eq!(who(&lives, asked), (vec![7], "local_port"));
    // Where all are alive, the oldest goes.
    for number in 0..2 * many {
        let remote = format!(
            "10.1.{}.{}:{}",
            number / 250 % 250,
            number % 250,
            80 + number / 62_500
        );
        connect(&mut lives, 5, 100, 5_000_000 + number, CLIENT, &remote);
    }
    assert_eq!(lives.lives.len(), LIMIT);
    assert_is_whole(&lives);
}

#[test]
fn after_a_loss_nothing_holds_that_was_told_before() {
    let mut lives = Lives::default();
    connect(&mut lives, 0, 100, 1, CLIENT, SERVER);
    let asked = question(Protocol::Tcp, CLIENT, SERVER, 1);
    let (_, witness) = lives.attribute(&asked).unwrap();
    let changes = lives.changes();
    lives.forget_all();
    assert!(lives.changes() > changes);
    assert_eq!(client_at(&lives, 1), (vec![], "nothing"));
    // What was answered stays answered.
    assert!(!lives.has_more(witness.unwrap()));
    connect(&mut lives, 5, 101, 2, CLIENT, SERVER);
    assert_eq!(client_at(&lives, 6), (vec![101], "socket_events"));
    assert!(!lives.is_still(witness.unwrap(), &asked));
}

fn assert_is_whole(lives: &Lives) {
    let indexed = lives.by_ends.values().chain(lives.by_port.values());
    for serial in indexed.flatten() {
        assert!(lives.lives.contains_key(serial), "{serial}");
    }
    for serial in lives.by_cookie.values().chain(lives.by_inode.values()) {
        assert!(lives.lives.contains_key(serial), "{serial}");
    }
    assert!(lives.ended.len() + lives.begun.len() <= 4 * LIMIT);
}

fn any_event() -> impl Strategy<Value = Event> {
    let states = || (0..State::ALL.len()).prop_map(|at| State::ALL[at]);
    let calls = prop_oneof![
        Just(Call::Create),
        Just(Call::Bind),
        Just(Call::Connect),
        Just(Call::Accept),
        Just(Call::Send)
    ];
    let ends = || prop_oneof![Just(ANY), Just(CLIENT), Just(SERVER), Just("127.0.0.1:0")];
    let sockets = (0u64..6, ends(), ends(), any::<bool>(), any::<[bool; 2]>()).prop_map(
        |(number, local, remote, is_tcp, [reuse, named])| Socket {
            cookie: named.then_some(Cookie(number)),
            reuse,
            ..(if is_tcp { tcp } else { udp })(number, local, remote)
        },
    );
    let changes =
        (sockets, states(), states(), calls, 0..8).prop_map(|(socket, from, to, call, kind)| {
            match kind {
                0 => Change::Exec,
                1 => Change::Exit,
                2..=4 => Change::Call(socket, call, Some(Fd(3))),
                _ => Change::State(socket, from, to, None),
            }
        });
    (changes, 0i64..50, 0u32..4).prop_map(|(change, time, pid)| Event {
        time: at(time),
        change,
        process: (pid != 0).then(|| process(pid)),
    })
}

proptest! {
    #[test]
    fn whatever_is_told_is_taken_in_and_asked(
        events in proptest::collection::vec(any_event(), 0..60),
        time in 0i64..50,
        opening: bool,
    ) {
        let mut lives = Lives::default();
        for event in events {
            lives.tell(event);
            for (local, remote) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    let asked = Question { opening, ..question(protocol, local, remote, time) };
                    if let Some((found, witness)) = lives.attribute(&asked) {
                        prop_assert!(found.grounds != Grounds::Witnessed || !found.owners.is_empty());
                        prop_assert!(witness.is_none_or(|witness| !lives.has_more(witness)));
                        let other = Question { time: at(60), ..asked };
                        if found.grounds == Grounds::Witnessed && witness.is_some_and(|witness| lives.is_still(witness, &other)) {
                            let later = lives.attribute(&other).map(|(found, _)| found);
                            prop_assert_eq!(later.map(|it| it.owners), Some(found.owners));
                        }
                    }
                }
            }
        }
        assert_is_whole(&lives);
    }
}

#[test]
fn who_has_ended_or_changed_its_name_is_asked_for_again() {
    let mut lives = Lives::default();
    connect(&mut lives, 10, 1, 1, CLIENT, SERVER);
    let socket = tcp(1, CLIENT, SERVER);
    call(&mut lives, 11, 1, socket, Call::Send);
    call(&mut lives, 12, 2, socket, Call::Send);
    let asked = |lives: &Lives, now: i64| {
        let asked = Question {
            time: at(10),
            now: at(now),
            ..question(Protocol::Tcp, CLIENT, SERVER, now)
        };
        let (told, witness) = lives.attribute(&asked).unwrap();
        let owners = told.owners.iter();
        let owners: Vec<_> = owners
            .map(|owner| (owner.pid.0, owner.command.clone()))
            .collect();
        (owners, witness.unwrap())
    };
    let first = ForeignText::from("first");
    let (owners, witness) = asked(&lives, 13);
    assert_eq!(owners, [(1, first.clone()), (2, first.clone())]);
    assert!(!lives.has_more(witness));

    // PR_SET_NAME is told by the next event of the process.
    let second = Process {
        command: ForeignText::from("second"),
        ..process(2)
    };
    lives.tell(Event {
        time: at(14),
        change: Change::Call(udp(7, ANY, ANY), Call::Create, Some(Fd(5))),
        process: Some(second.clone()),
    });
    assert!(lives.has_more(witness));
    let (owners, witness) = asked(&lives, 15);
    assert_eq!(owners, [(1, first), (2, second.command)]);

    told(&mut lives, 20, 1, Change::Exit);
    assert!(lives.has_more(witness));
    assert_eq!(asked(&lives, 25).0.len(), 1);
    // What passed before is its own still.
    assert_eq!(asked(&lives, 15).0.len(), 2);
}
