//! Owners that change while packets flow, in a world made by hand.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::capture::crafted::*;
use crate::capture::{Conversations, Frame, Link, decode};
use crate::clock;
use crate::model::{Family, Inode, State};
use crate::owners::tests_support::seen;
use crate::sockets::{Address, Socket};

const ANY: &str = "0.0.0.0:0";
const CLIENT_END: &str = "127.0.0.1:50000";
const SERVER_END: &str = "127.0.0.1:80";

/// A socket, and the process that holds it; 0 for nobody.
type Placed = (Protocol, State, &'static str, &'static str, u64, u32);

fn end(text: &str) -> Endpoint {
    let address: SocketAddr = text.parse().unwrap();
    Endpoint::new(address.ip(), address.port())
}

fn table(placed: &[Placed]) -> Table {
    let mut lines = Vec::new();
    let mut sockets = Vec::new();
    for &(protocol, state, local, remote, inode, pid) in placed {
        sockets.push(Socket {
            family: Family::Inet,
            protocol,
            state,
            address: Address::Inet {
                local: end(local),
                remote: end(remote),
            },
            recv_queue: None,
            send_queue: None,
            inode: Some(Inode(inode)),
            cookie: None,
            uid: None,
            netns: None,
            interface: None,
            detail: None,
        });
        lines.push((inode, pid, 3, "name", None));
    }
    Table::new(&sockets, seen(&lines).into(), [])
}

struct Scene {
    world: Arc<Mutex<Vec<Placed>>>,
    looker: Looker,
    watch: Watch,
    users: Users,
    conversations: Conversations<Known>,
}

impl Scene {
    fn of(placed: &[Placed]) -> Self {
        let world = Arc::new(Mutex::new(placed.to_vec()));
        let seen = world.clone();
        Self {
            world,
            looker: Looker::with(move || table(&seen.lock().unwrap())).unwrap(),
            watch: Watch::default(),
            users: Users::of_this_machine(),
            conversations: Conversations::new(),
        }
    }

    fn becomes(&self, placed: &[Placed]) {
        *self.world.lock().unwrap() = placed.to_vec();
    }

    /// A packet passes, so many seconds from now.
    fn passes(&mut self, seconds: i64, content: &[u8]) -> Known {
        let time = Timestamp::from_nanos(clock::now().as_nanos() + seconds * 1_000_000_000);
        let bytes = ethernet(0x0800, content);
        let frame = Frame {
            time,
            bytes: &bytes,
            original_length: u32::try_from(bytes.len()).unwrap(),
            recorded: crate::capture::Recorded::default(),
        };
        let packet = decode(Link::Ethernet, &frame);
        let seen = self.conversations.see(&packet).unwrap();
        attribute(
            seen.conversation,
            seen.is_new,
            &packet,
            Witnesses {
                looker: Some(&mut self.looker),
                recalled: &mut Recalled::default(),
            },
            &mut self.watch,
            &mut self.users,
            Charset::Utf8,
        );
        Known::clone(&seen.conversation.note)
    }

    /// What is told next, without any packet.
    fn news(&mut self) -> Option<[String; 2]> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut told = None;
        while told.is_none() && self.watch.waits() && Instant::now() < deadline {
            self.watch.tend(
                &mut self.looker,
                &mut self.users,
                Charset::Utf8,
                |_, ends| told = Some(ends.labels.clone()),
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        told
    }
}

fn labels(known: &Known) -> [String; 2] {
    known.borrow().labels.clone()
}

fn who(client: &str, server: &str) -> [String; 2] {
    [
        format!("{client} {CLIENT_END}"),
        format!("{server} {SERVER_END}"),
    ]
}

fn connected(client: (u64, u32), server: (u64, u32)) -> [Placed; 2] {
    let state = State::Established;
    [
        (
            Protocol::Tcp,
            state,
            CLIENT_END,
            SERVER_END,
            client.0,
            client.1,
        ),
        (
            Protocol::Tcp,
            state,
            SERVER_END,
            CLIENT_END,
            server.0,
            server.1,
        ),
    ]
}

fn syn() -> Vec<u8> {
    ipv4(6, &tcp((50_000, 80), 7, 0, SYN, b""))
}

fn syn_ack() -> Vec<u8> {
    ipv4(6, &tcp((80, 50_000), 3, 8, SYN_ACK, b""))
}

fn word() -> Vec<u8> {
    ipv4(6, &tcp((80, 50_000), 4, 8, PSH_ACK, b"word"))
}

#[test]
fn a_descriptor_handed_on_has_its_new_owner() {
    let mut scene = Scene::of(&connected((1, 100), (2, 200)));
    let known = scene.passes(0, &syn());
    assert_eq!(labels(&known), who("name[100]", "name[200]"));
    scene.becomes(&connected((1, 100), (2, 201)));
    scene.passes(0, &word());
    assert!(
        !scene.watch.waits(),
        "who is known is not asked for at once"
    );
    scene.passes(2, &word());
    assert_eq!(scene.news(), Some(who("name[100]", "name[201]")));
    // What was seen alive stays true when it is gone.
    scene.becomes(&[]);
    scene.passes(4, &word());
    scene.looker.fresh();
    scene.passes(4, &word());
    assert_eq!(labels(&known), who("name[100]", "name[201]"));
}

#[test]
fn a_datagram_server_started_again_is_not_the_dead_one() {
    let server = |inode, pid| {
        let state = State::Unconnected;
        [(Protocol::Udp, state, SERVER_END, ANY, inode, pid)]
    };
    let mut scene = Scene::of(&server(2, 200));
    let question = ipv4(17, &udp((50_000, 80), b"question"));
    let known = scene.passes(0, &question);
    let nobody = "unknown (no socket when we looked)";
    assert_eq!(labels(&known), who(nobody, "name[200]"));
    // All quick looks are spent.
    assert_eq!(scene.news(), None);
    assert!(!scene.watch.waits(), "looks come to an end");
    assert_eq!(known.borrow().looks, LOOKS);
    scene.becomes(&server(3, 300));
    scene.passes(2, &question);
    assert_eq!(scene.news(), Some(who(nobody, "name[300]")));
}

#[test]
fn who_is_not_known_at_first_becomes_known_without_a_packet() {
    let mut scene = Scene::of(&[]);
    // Both kinds of look were just made: none is due.
    scene.looker.ask_and_wait();
    scene.looker.ask();
    scene.becomes(&connected((1, 100), (2, 200)));
    let known = scene.passes(0, &syn());
    let not_yet = "unknown (not looked up yet)";
    assert_eq!(labels(&known), who(not_yet, not_yet));
    assert_eq!(scene.news(), Some(who("name[100]", "name[200]")));
}

#[test]
fn a_refused_connection_has_nobody_listening() {
    let gone = "unknown (no socket when we looked)";
    let nobody = "nobody (nothing listens there)";
    let refusal = ipv4(6, &tcp((80, 50_000), 0, 8, RST, b""));
    let mut scene = Scene::of(&[]);
    let known = scene.passes(0, &syn());
    assert_eq!(labels(&known), who(gone, nobody));
    scene.passes(0, &refusal);
    assert_eq!(labels(&known), who(gone, nobody));
    // Who listens later did not refuse.
    scene.becomes(&[(Protocol::Tcp, State::Listen, SERVER_END, ANY, 2, 200)]);
    assert_eq!(scene.news(), None);
    assert!(!scene.watch.waits(), "looks come to an end");
    assert_eq!(labels(&known), who(gone, nobody));

    // Refused, though the last look before it saw a listener.
    let mut scene = Scene::of(&[(Protocol::Tcp, State::Listen, SERVER_END, ANY, 2, 200)]);
    scene.looker.ask_and_wait();
    scene.becomes(&[]);
    let known = scene.passes(0, &syn());
    assert_eq!(labels(&known)[1], format!("name[200] {SERVER_END}"));
    scene.passes(0, &refusal);
    assert_eq!(scene.news().unwrap()[1], format!("{nobody} {SERVER_END}"));

    // It was answered: there was a socket, and it cannot be told whose.
    let mut scene = Scene::of(&[]);
    scene.passes(0, &syn());
    let known = scene.passes(0, &syn_ack());
    assert_eq!(labels(&known), who(gone, gone));
    assert!(known.borrow().has_news(), "the heading says otherwise");
}
