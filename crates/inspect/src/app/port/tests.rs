//! The screens, on made-up sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::listing::Listing;
use crate::model::{Endpoint, Family, ForeignText, Inode, State, Timestamp};
use crate::owners::Holdings;
use crate::owners::tests_support::{seen, unreadable};
use crate::processes::{About, SocketOptions};
use crate::render::{Charset, Screen};
use crate::sockets::{Address, Detail, Socket, Timer, TimerKind};

const NOW: i64 = 43_320; // 12:02:00

fn endpoint(text: &str) -> Endpoint {
    let address: SocketAddr = text.parse().unwrap();
    Endpoint::new(address.ip(), address.port())
}

fn socket(protocol: Protocol, state: State, local: &str, remote: &str, inode: u64) -> Socket {
    let local = endpoint(local);
    let waits = matches!(state, State::Listen);
    Socket {
        family: if local.address.is_ipv4() {
            Family::Inet
        } else {
            Family::Inet6
        },
        protocol,
        state,
        address: Address::Inet {
            local,
            remote: endpoint(remote),
        },
        recv_queue: Some(0),
        send_queue: Some(if waits { 128 } else { 0 }),
        inode: (inode != 0).then_some(Inode(inode)),
        cookie: None,
        uid: (inode != 0).then_some(Uid(1_000)),
        netns: None,
        interface: None,
        detail: None,
    }
}

fn tcp(state: State, local: &str, remote: &str, inode: u64) -> Socket {
    socket(Protocol::Tcp, state, local, remote, inode)
}

fn listener(local: &str, inode: u64) -> Socket {
    tcp(State::Listen, local, "0.0.0.0:0", inode)
}

fn time_wait(local: &str, remote: &str, expires_ms: u32) -> Socket {
    Socket {
        detail: Some(Box::new(Detail {
            timer: Some(Timer {
                kind: TimerKind::TimeWait,
                expires_ms,
                retransmits: 0,
            }),
            ..Detail::default()
        })),
        ..tcp(State::TimeWait, local, remote, 0)
    }
}

fn about(pid: u32, command: &str, line: &[&str], directory: &str) -> Holder {
    Holder {
        about: Arc::new(About {
            pid: Pid(pid),
            command: command.into(),
            state: None,
            kernel_thread: None,
            parent: None,
            netns: None,
            threads: None,
            started: Some(Timestamp::from_parts(NOW - 238, 0)),
            uid: Some(Uid(1_000)),
            command_line: Some(line.iter().map(|it| ForeignText::from(*it)).collect()),
            directory: Some(directory.into()),
            executable: None,
            placement: None,
            descriptors: None,
            descriptor_limit: None,
        }),
        user: Some("student".to_owned()),
    }
}

struct Scene {
    sockets: Vec<Socket>,
    holdings: Holdings,
    /// Inode, SO_REUSEADDR, SO_REUSEPORT.
    options: Vec<(u64, bool, bool)>,
    processes: Vec<Holder>,
    surroundings: Surroundings,
    charset: Charset,
}

impl Scene {
    /// Sockets, and who holds them: inode, pid, descriptor, name.
    fn new(sockets: Vec<Socket>, owners: &[(u64, u32, u32, &str)]) -> Self {
        let lines: Vec<_> = owners
            .iter()
            .map(|(inode, pid, fd, name)| (*inode, *pid, *fd, *name, None))
            .collect();
        Self {
            sockets,
            holdings: seen(&lines).into(),
            options: Vec::new(),
            processes: Vec::new(),
            surroundings: Surroundings {
                limits: Limits {
                    ephemeral: Some(32_768..=60_999),
                    reserved: Some(Vec::new()),
                    unprivileged_start: Some(1_024),
                    ..Limits::default()
                },
                addresses: None,
                services: Services::default(),
                uid: Uid(1_000),
                may_bind_low: Some(false),
            },
            charset: Charset::Utf8,
        }
    }

    fn with_options(mut self, options: &[(u64, bool, bool)]) -> Self {
        self.options = options.to_vec();
        self
    }

    fn shown(&self, number: u16, width: usize) -> String {
        let listing = Listing::new(self.sockets.clone(), self.holdings.clone());
        let options = self
            .options
            .iter()
            .map(|(inode, address, port)| {
                let options = SocketOptions {
                    reuse_address: Some(*address),
                    reuse_port: Some(*port),
                    v6_only: None,
                };
                (Inode(*inode), options)
            })
            .collect();
        let uses = [Protocol::Tcp, Protocol::Udp].map(|protocol| {
            let rows = listing.rows();
            let mut rows: Vec<Row<'_>> = rows
                .iter()
                .filter(|row| gather::has_port(row, protocol, number))
                .collect();
            gather::sort(&mut rows);
            gather::use_of(number, protocol, rows, &options, &self.surroundings)
        });
        let port = Port {
            number,
            services: Vec::new(),
            limits: &self.surroundings.limits,
            uses: uses.into(),
            processes: self.processes.clone(),
            elsewhere: Vec::new(),
        };
        let looks = Looks {
            screen: Screen {
                width: (width > 0).then_some(width),
                colour: false,
                charset: self.charset,
            },
            at: Timestamp::from_parts(NOW, 0),
            when: When::new(TimeZone::UTC, Some(Timestamp::from_parts(NOW, 0))),
            incomplete: false,
            users: BTreeMap::from([(1_000, "student".to_owned()), (0, "root".to_owned())]),
        };
        let mut out = Vec::new();
        write(&mut out, &port, &looks).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            let columns = unicode_width::UnicodeWidthStr::width(line);
            assert!(width == 0 || columns <= width, "{columns}: {line}");
        }
        text
    }

    /// The sentences of the answer, on one line.
    fn answer(&self, number: u16) -> String {
        let shown = self.shown(number, 0);
        shown.lines().next().unwrap_or_default().to_owned()
    }
}

fn chat() -> Scene {
    let sockets = vec![
        listener("127.0.0.1:2345", 10),
        tcp(State::Established, "127.0.0.1:2345", "127.0.0.1:52316", 11),
        tcp(State::Established, "127.0.0.1:52316", "127.0.0.1:2345", 12),
        tcp(State::TimeWait, "127.0.0.1:2345", "127.0.0.1:52310", 0),
        tcp(State::TimeWait, "127.0.0.1:2345", "127.0.0.1:52312", 0),
        tcp(State::TimeWait, "127.0.0.1:2345", "127.0.0.1:52314", 0),
    ];
    let owners = [
        (10, 4_845, 3, "chat-server"),
        (11, 4_845, 12, "chat-server"),
        (12, 4_847, 3, "chat-client"),
    ];
    let mut scene = Scene::new(sockets, &owners).with_options(&[(10, true, false)]);
    scene.processes = vec![about(
        4_845,
        "chat-server",
        &["chat", "server"],
        "/home/student/lab",
    )];
    scene
}

#[test]
fn a_server_and_its_client() {
    assert_eq!(
        chat().shown(2_345, 80),
        "\
tcp 2345 is taken by chat-server[4845], reachable from this machine only.

  listener     127.0.0.1:2345, fd 3, accept queue 0 of 128
  process      chat-server[4845], user student, since 11:58:02 (3 min ago)
  command      chat server
  directory    /home/student/lab
  connections  1 ESTABLISHED (chat-client[4847]), 3 TIME_WAIT
  bind()       fails on 127.0.0.1, 0.0.0.0 and [::]; other addresses are free,
               and [::] with IPV6_V6ONLY
  number       registered range (1024-49151); no name in /etc/services; this
               kernel hands out 32768-60999 to clients
"
    );
}

#[test]
fn a_port_that_nobody_has() {
    assert_eq!(
        Scene::new(vec![], &[]).shown(50_123, 80),
        "\
tcp and udp 50123 are free.
  number       dynamic range (49152-65535), not meant for servers; inside this
               kernel's 32768-60999, so a client may hold it when you start
"
    );
}

#[test]
fn what_is_left_of_a_server_is_in_the_way() {
    let sockets = vec![
        time_wait("127.0.0.1:8080", "127.0.0.1:40000", 42_100),
        time_wait("127.0.0.1:8080", "127.0.0.1:40002", 12_000),
    ];
    let scene = Scene::new(sockets, &[]);
    assert!(
        scene.shown(8_080, 80).starts_with(
            "\
tcp 8080 is not listening, but bind() would fail: 2 TIME_WAIT, the last ends in
43 s. A server that sets SO_REUSEADDR may bind now if the one before it had set
it too, which cannot be told.
"
        ),
        "{}",
        scene.shown(8_080, 80)
    );
}

#[test]
fn those_in_the_way_are_named_with_what_helps() {
    let owners = [(10, 77, 3, "python3"), (12, 4_845, 3, "chat-server")];
    let outgoing = || {
        vec![
            tcp(State::Established, "127.0.0.1:52316", "127.0.0.1:2345", 10),
            listener("127.0.0.1:2345", 12),
        ]
    };
    let bound = || vec![tcp(State::Bound, "127.0.0.1:8080", "0.0.0.0:0", 10)];
    let left = || {
        vec![tcp(
            State::CloseWait,
            "127.0.0.1:8080",
            "127.0.0.1:40000",
            10,
        )]
    };
    for (sockets, reuse, number, answer) in [
        (
            outgoing(),
            Some(false),
            52_316,
            "tcp 52316 is not listening, but bind() would fail: python3[77] uses it for a \
             connection of its own, 127.0.0.1:52316 → 127.0.0.1:2345.",
        ),
        (
            bound(),
            Some(true),
            8_080,
            "tcp 8080 is not listening, but bind() would fail: python3[77] has bound \
             127.0.0.1:8080 and does not listen. A server that sets SO_REUSEADDR may bind now.",
        ),
        (
            bound(),
            None,
            8_080,
            "tcp 8080 is not listening, but bind() would fail: python3[77] has bound \
             127.0.0.1:8080 and does not listen. A server that sets SO_REUSEADDR may bind now if \
             those who hold the port have set it too, which cannot be told.",
        ),
        (
            left(),
            Some(true),
            8_080,
            "tcp 8080 is not listening, but bind() would fail: 1 CLOSE_WAIT of python3[77]. A \
             server that sets SO_REUSEADDR may bind now.",
        ),
    ] {
        let mut scene = Scene::new(sockets, &owners);
        scene.options = reuse.iter().map(|reuse| (10, *reuse, false)).collect();
        assert_eq!(scene.answer(number), answer);
    }
}

#[test]
fn a_low_port_is_free_and_not_for_everybody() {
    let mut scene = Scene::new(vec![], &[]);
    assert_eq!(
        scene.answer(80),
        "tcp and udp 80 are free, but bind() would fail: an ordinary user may not have it (it \
         needs CAP_NET_BIND_SERVICE)."
    );
    scene.surroundings.may_bind_low = Some(true);
    assert_eq!(scene.answer(80), "tcp and udp 80 are free.");
}

#[test]
fn the_answer_names_both_protocols_where_it_has_to() {
    let udp = |local, inode| socket(Protocol::Udp, State::Unconnected, local, "0.0.0.0:0", inode);
    let owners = [
        (10, 33, 5, "dnsmasq"),
        (11, 33, 4, "dnsmasq"),
        (12, 9, 3, "avahi"),
    ];
    for (sockets, answer) in [
        (
            vec![listener("127.0.0.1:53", 10), udp("127.0.0.1:53", 11)],
            "tcp and udp 53 are taken by dnsmasq[33], reachable from this machine only.",
        ),
        (
            vec![udp("0.0.0.0:53", 12)],
            "udp 53 is taken by avahi[9], reachable from every network, IPv4 only. tcp 53 is free.",
        ),
        (
            vec![listener("127.0.0.1:53", 10), udp("0.0.0.0:53", 12)],
            "tcp 53 is taken by dnsmasq[33], reachable from this machine only. udp 53 is taken by \
             avahi[9], reachable from every network, IPv4 only.",
        ),
    ] {
        let mut scene = Scene::new(sockets, &owners);
        scene.surroundings.may_bind_low = Some(true);
        assert_eq!(scene.answer(53), answer);
    }
}

#[test]
fn many_owners_and_hidden_ones_are_told_apart() {
    let owners: Vec<_> = (0..5).map(|worker| (10, 50 + worker, 6, "nginx")).collect();
    let sockets = || {
        vec![
            listener("0.0.0.0:8080", 10),
            Socket {
                detail: Some(Box::new(Detail {
                    v6_only: Some(true),
                    ..Detail::default()
                })),
                ..listener("[::]:8080", 11)
            },
        ]
    };
    let mut scene = Scene::new(sockets(), &owners);
    let mut partly = seen(&[]);
    partly.unreadable.push(unreadable(1));
    assert_eq!(
        scene.answer(8_080),
        "tcp 8080 is taken by nginx[50] and 4 more and something that no process has a descriptor on, reachable from every network, IPv4 and IPv6."
    );
    scene.holdings = partly.into();
    assert_eq!(
        scene.answer(8_080),
        "tcp 8080 is taken by a hidden owner (user student), reachable from every network, \
         IPv4 and IPv6."
    );
    assert!(scene.shown(8_080, 80).contains(
        "  listener     any:8080, hidden (user student), accept queue 0 of 128\n  \
         listener     [any]:8080, IPv6 only, hidden (user student), accept queue 0 of\n"
    ));
    scene.holdings = Holdings::not_asked();
    assert!(scene.answer(8_080).contains("owners were not looked for"));
}

#[test]
fn a_group_tells_who_may_join() {
    let sockets = || vec![listener("0.0.0.0:8080", 10), listener("0.0.0.0:8080", 11)];
    let owners = [(10, 50, 6, "one"), (11, 60, 6, "other")];
    let ours = Scene::new(sockets(), &owners).with_options(&[(10, true, true), (11, true, true)]);
    assert!(
        ours.shown(8_080, 0)
            .contains("; servers of user student may share it by SO_REUSEPORT\n")
    );
    let mut theirs = Scene::new(sockets(), &owners);
    theirs.options = vec![(10, true, true), (11, true, true)];
    theirs.surroundings.uid = Uid(0);
    assert!(
        theirs
            .shown(8_080, 0)
            .contains("; servers of user student may share it by SO_REUSEPORT, yours may not\n")
    );
    let untold = Scene::new(sockets(), &owners);
    assert!(
        untold
            .shown(8_080, 0)
            .contains("; whether one with SO_REUSEPORT may join cannot be told\n")
    );
}

#[test]
fn datagram_sockets_that_share_their_address_say_so() {
    let udp = || {
        let local = "0.0.0.0:5353";
        socket(Protocol::Udp, State::Unconnected, local, "0.0.0.0:0", 10)
    };
    let owners = [(10, 9, 3, "avahi")];
    for (options, words) in [
        ((10, true, false), "with SO_REUSEADDR it succeeds"),
        (
            (10, false, true),
            "sockets of user student may share it by SO_REUSEPORT",
        ),
    ] {
        let scene = Scene::new(vec![udp()], &owners).with_options(&[options]);
        let shown = scene.shown(5_353, 0);
        let bind = format!(
            "  bind()       fails on every IPv4 address and [::]; IPv6 addresses are free, and [::] \
             with IPV6_V6ONLY; {words}\n"
        );
        assert!(shown.contains(&bind), "{shown}");
    }
}

#[test]
fn a_full_queue_and_a_narrow_screen() {
    let mut scene = chat();
    scene.sockets[0].recv_queue = Some(129);
    let shown = scene.shown(2_345, 200);
    assert!(shown.contains("accept queue 129 of 128: full, new clients wait or time out"));
    let text = "x".repeat(300);
    scene.processes = vec![about(4_845, "chat-server", &["chat", &text], &text)];
    for width in [40, 60, 80, 200] {
        let shown = scene.shown(2_345, width);
        assert!(shown.contains("… 305 characters in all\n"), "{shown}");
    }
    // In a pipe nothing is cut.
    assert!(scene.shown(2_345, 0).contains(&format!("chat {text}\n")));
    scene.charset = Charset::Ascii;
    let shown = scene.shown(2_345, 60);
    assert!(
        shown.is_ascii() && shown.contains("... 305 characters in all\n"),
        "{shown}"
    );
}

#[test]
fn hostile_names_are_inert() {
    let mut scene = chat();
    let evil = "e\u{1b}[31m\u{202e}\n";
    scene.holdings = seen(&[(10, 4_845, 3, evil, None)]).into();
    scene.processes = vec![about(4_845, evil, &[evil, "it's"], evil)];
    scene.processes[0].user = Some(evil.to_owned());
    let shown = scene.shown(2_345, 0);
    assert!(
        !shown.chars().any(|c| c != '\n' && c.is_control()) && !shown.contains('\u{202e}'),
        "{shown}"
    );
    assert!(shown.contains(r"e\u{1b}\[31m\u{202e}\n[4845]"), "{shown}");
}
