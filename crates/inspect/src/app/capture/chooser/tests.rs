//! Whose packets are let through, in a world made by hand.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::*;
use crate::app::capture::lives::Watched;
use crate::capture::crafted::*;
use crate::capture::{Link, decode};
use crate::clock;
use crate::life::{Call, Change, Event, Process};
use crate::model::{
    Cookie, Endpoint, Family, Fd, ForeignText, Inode, NetworkNamespace, Pid, State, Uid,
};
use crate::owners::tests_support::seen;
use crate::sockets::{Address, Socket};

const CLIENT: &str = "127.0.0.1:50000";
const OTHER: &str = "127.0.0.1:50001";
const SERVER: &str = "127.0.0.1:80";
const HOME: NetworkNamespace = NetworkNamespace(1);

/// Local and remote end, the process, its name, and the user of the socket.
type Placed = (&'static str, &'static str, u32, &'static str, u32);

fn end(text: &str) -> Endpoint {
    let address: SocketAddr = text.parse().unwrap();
    Endpoint::new(address.ip(), address.port())
}

fn table(placed: &[Placed]) -> crate::attribution::Table {
    let mut lines = Vec::new();
    let mut sockets = Vec::new();
    for (inode, &(local, remote, pid, name, uid)) in (1..).zip(placed) {
        let remote = end(remote);
        sockets.push(Socket {
            family: Family::Inet,
            protocol: Protocol::Tcp,
            state: if remote.port == 0 {
                State::Listen
            } else {
                State::Established
            },
            address: Address::Inet {
                local: end(local),
                remote,
            },
            recv_queue: None,
            send_queue: None,
            inode: Some(Inode(inode)),
            cookie: None,
            uid: Some(Uid(uid)),
            netns: None,
            interface: None,
            detail: None,
        });
        lines.push((inode, pid, 3, name, None));
    }
    crate::attribution::Table::new(&sockets, seen(&lines).into(), [])
}

struct Scene {
    world: Arc<Mutex<Vec<Placed>>>,
    looker: Option<Looker>,
    recalled: Recalled,
    chooser: Chooser,
}

impl Scene {
    fn of(wanted: Test, placed: &[Placed]) -> Self {
        let world = Arc::new(Mutex::new(placed.to_vec()));
        let seen = world.clone();
        Self {
            world,
            looker: Some(Looker::with(move || table(&seen.lock().unwrap())).unwrap()),
            recalled: Recalled::default(),
            chooser: Chooser::new(Selection::Test(wanted), None),
        }
    }

    /// Packets come from a file.
    fn recorded(wanted: Test) -> Self {
        Self {
            looker: None,
            ..Self::of(wanted, &[])
        }
    }

    /// The kernel tells of the sockets.
    fn told(wanted: Selection, kin: Option<&Kin>, events: Vec<Event>) -> Self {
        let listener = (SERVER, "0.0.0.0:0", 4_194_300, "server", 33);
        let mut scene = Self::of(Test::Pid(Pid(0)), &[listener]);
        scene.chooser = Chooser::new(wanted, kin.cloned());
        if let Some(looker) = &mut scene.looker {
            looker.lives = Some(Watched::with(Box::new(events), HOME, kin.cloned()));
        }
        scene
    }

    /// A packet passes; what is shown at once, `None` for what waits.
    fn passes(&mut self, content: &[u8]) -> Option<bool> {
        self.passes_at(clock::now(), content)
    }

    fn passes_at(&mut self, time: Timestamp, content: &[u8]) -> Option<bool> {
        let bytes = ethernet(0x0800, content);
        let frame = Frame {
            recorded: Recorded::default(),
            time,
            bytes: &bytes,
            original_length: u32::try_from(bytes.len()).unwrap(),
        };
        let packet = decode(Link::Ethernet, &frame);
        let witnesses = Witnesses {
            looker: self.looker.as_mut(),
            recalled: &mut self.recalled,
        };
        match self.chooser.take(&frame, &packet, witnesses) {
            Verdict::Show(_) => Some(true),
            Verdict::Leave => Some(false),
            Verdict::Hold => None,
        }
    }

    /// The payloads of those that are let through while time passes.
    fn released(&mut self) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut shown = Vec::new();
        while self.chooser.waits() && Instant::now() < deadline {
            if let Some(looker) = &mut self.looker {
                self.chooser.tend(looker);
            }
            while let Some(held) = self.chooser.release(self.looker.as_mut(), false) {
                shown.push(decode(Link::Ethernet, &held.frame()).payload().to_vec());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!self.chooser.waits(), "still");
        shown
    }

    fn gaps(&self) -> Vec<(u64, String)> {
        let gaps = self.chooser.gaps().into_iter();
        gaps.map(|gap| (gap.count.unwrap(), gap.reason)).collect()
    }
}

fn says(port: u16, word: &[u8]) -> Vec<u8> {
    ipv4(6, &tcp((port, 80), 1, 1, PSH_ACK, word))
}

/// Both ends of the two conversations. The addresses are those of the crafted packets.
const HELD: [Placed; 4] = [
    (CLIENT, SERVER, 7, "mine", 1000),
    (SERVER, CLIENT, 9, "server", 33),
    (OTHER, SERVER, 8, "another", 1001),
    (SERVER, OTHER, 9, "server", 33),
];

#[test]
fn a_process_a_name_and_a_user_each_have_their_conversations() {
    for (wanted, first, second) in [
        (Test::Pid(Pid(7)), true, false),
        (Test::Pid(Pid(9)), true, true),
        (Test::Pid(Pid(1)), false, false),
        (Test::Process(ForeignText::from("another")), false, true),
        (Test::Process(ForeignText::from("anothe")), false, false),
        (Test::User(Uid(1000)), true, false),
        (Test::User(Uid(33)), true, true),
    ] {
        let words = format!("{wanted:?}");
        let mut scene = Scene::of(wanted, &HELD);
        let mut shown = Vec::new();
        for (port, word) in [(50_000, &b"first"[..]), (50_001, b"second")] {
            if scene.passes(&says(port, word)) == Some(true) {
                shown.push(word.to_vec());
            }
        }
        shown.extend(scene.released());
        let mut expected: Vec<&[u8]> = Vec::new();
        expected.extend(first.then_some(&b"first"[..]));
        expected.extend(second.then_some(&b"second"[..]));
        assert_eq!(shown, expected, "{words}");
        assert_eq!(scene.gaps(), [], "{words}");
    }
}

#[test]
fn what_waits_is_shown_in_its_order_once_its_process_is_known() {
    let mut scene = Scene::of(Test::Pid(Pid(7)), &[(SERVER, "0.0.0.0:0", 9, "server", 33)]);
    assert_eq!(scene.passes(&says(50_000, b"one")), None);
    assert_eq!(scene.passes(&says(50_001, b"strange")), None);
    assert_eq!(scene.passes(&says(50_000, b"two")), None);
    *scene.world.lock().unwrap() = HELD.to_vec();
    assert_eq!(scene.released(), [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(scene.gaps(), []);
    // Known by now, also after its end.
    scene.world.lock().unwrap().clear();
    assert_eq!(scene.passes(&says(50_000, b"three")), Some(true));
    assert_eq!(scene.passes(&says(50_001, b"strange")), Some(false));
}

#[test]
fn what_cannot_be_told_in_time_is_not_shown_and_counted() {
    let mut scene = Scene::of(Test::Pid(Pid(7)), &[]);
    assert_eq!(scene.passes(&says(50_000, b"whose?")), None);
    let echo = ipv4(1, &[8, 0, 0, 0, 0, 9, 0, 1, b'p']);
    assert_eq!(scene.passes(&echo), Some(false));
    assert_eq!(scene.released(), [] as [Vec<u8>; 0]);
    let gaps = scene.gaps();
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    assert_eq!(gaps[0].0, 1);
    assert!(gaps[0].1.contains("could not be told"), "{gaps:?}");
    assert!(gaps[1].1.contains("neither TCP nor UDP"), "{gaps:?}");
}

#[test]
fn what_waits_is_bounded() {
    let mut scene = Scene::of(Test::Pid(Pid(7)), &[]);
    let long = vec![b'x'; 60_000];
    let mut held = 0;
    for _ in 0..400 {
        scene.passes(&says(50_000, &long));
        while scene.chooser.release(None, false).is_some() {}
        assert!(scene.chooser.bytes <= BYTES);
        held = held.max(scene.chooser.waiting.len());
    }
    assert!(held > 200, "{held}");
    let crowded: u64 = scene.gaps().iter().map(|(count, _)| count).sum();
    assert_eq!(
        crowded,
        400 - u64::try_from(scene.chooser.waiting.len()).unwrap()
    );
}

#[test]
fn an_error_about_a_wanted_packet_is_wanted() {
    let mut scene = Scene::of(Test::Pid(Pid(7)), &HELD);
    let error = |port| {
        let unreachable = [3, 3, 0, 0, 0, 0, 0, 0];
        ipv4(1, &[&unreachable[..], &says(port, b"hello")].concat())
    };
    assert_eq!(scene.passes(&error(50_000)), Some(false), "of no packet");
    scene.passes(&says(50_000, b"hello"));
    scene.passes(&says(50_001, b"hello"));
    scene.released();
    assert_eq!(scene.passes(&error(50_000)), Some(true));
    assert_eq!(scene.passes(&error(50_001)), Some(false));
}

/// What the kernel tells of a client that has ended by now: its birth, a call that connected, of
/// `user`, and its end.
fn lived(pid: u32, parent: u32, local: &str, user: u32) -> Vec<Event> {
    let time = Timestamp::from_nanos(clock::now().as_nanos() - 1_000_000);
    let process = Process {
        pid: Pid(pid),
        tid: Pid(pid),
        started_ns: u64::from(pid),
        started: Some(Timestamp::from_nanos(pid.into())),
        command: ForeignText::from("brief"),
    };
    let socket = crate::life::Socket {
        cookie: Some(Cookie(pid.into())),
        inode: Some(Inode(pid.into())),
        namespace: HOME,
        protocol: Protocol::Tcp,
        local: end(local),
        remote: end(SERVER),
        user: Some(Uid(user)),
        reuse: false,
    };
    let connecting = Change::State(socket, State::Closed, State::SynSent, Some(Fd(3)));
    let changes = [
        Change::Fork(Some(Pid(parent))),
        connecting,
        Change::Call(socket, Call::Connect, Some(Fd(3))),
        Change::Exit,
    ];
    let tell = |change| Event {
        time,
        change,
        process: Some(process.clone()),
    };
    changes.into_iter().map(tell).collect()
}

#[test]
fn whose_life_was_told_is_chosen_at_once_though_it_has_ended() {
    let events = || {
        [
            lived(4_194_301, 1, CLIENT, 1_000),
            lived(4_194_302, 1, OTHER, 1_001),
        ]
        .concat()
    };
    for wanted in [
        Test::Pid(Pid(4_194_301)),
        Test::User(Uid(1_000)),
        Test::Process(ForeignText::from("brief")),
    ] {
        let both = matches!(wanted, Test::Process(_));
        let mut scene = Scene::told(Selection::Test(wanted), None, events());
        assert_eq!(scene.passes(&says(50_000, b"hello")), Some(true));
        let strange = scene.passes(&says(50_001, b"hello"));
        assert_ne!(strange, Some(!both));
        scene.released();
        assert_eq!(scene.gaps(), []);
    }
}

#[test]
fn descendants_of_the_command_are_known_by_what_is_told_of_their_births() {
    let own = std::process::id();
    let kin = Kin::of_this_process();
    // The child of a child; a stranger; both have ended.
    let events = [
        lived(4_194_301, own, "127.0.0.1:1", 0),
        lived(4_194_302, 4_194_301, CLIENT, 0),
        lived(4_194_303, 1, OTHER, 0),
    ];
    let mut scene = Scene::told(Selection::everything(), Some(&kin), events.concat());
    assert_eq!(scene.passes(&says(50_000, b"hello")), Some(true));
    assert_ne!(scene.passes(&says(50_001, b"hello")), Some(true));
    assert_eq!(scene.released(), [] as [Vec<u8>; 0]);
    assert_eq!(scene.gaps(), []);
}

#[test]
fn of_a_file_it_is_chosen_by_what_the_file_tells_and_by_its_own_time() {
    let note = |client: &str, pid: u32| {
        format!("tcp client {client} a[{pid}] fd 3 (exact), server {SERVER} b[9] fd 4 (exact)")
    };
    let long_ago = |seconds: i64| Timestamp::from_nanos(seconds * 1_000_000_000);
    let mut scene = Scene::recorded(Test::Pid(Pid(7)));
    scene.recalled.hear(note(CLIENT, 7).as_bytes());
    let first = says(50_000, b"known");
    assert_eq!(scene.passes_at(long_ago(1), &first), Some(true));
    scene.recalled.hear(note(OTHER, 8).as_bytes());
    assert_eq!(
        scene.passes_at(long_ago(2), &says(50_001, b"strange")),
        Some(false)
    );
    // Its owners are told later.
    let later = says(50_002, b"told later");
    assert_eq!(scene.passes_at(long_ago(3), &later), None);
    let unknown = says(50_003, b"never told");
    assert_eq!(scene.passes_at(long_ago(3), &unknown), None);
    assert_eq!(
        scene.passes_at(long_ago(4), &first),
        None,
        "behind those that wait"
    );
    scene
        .chooser
        .remark(note("127.0.0.1:50002", 7).as_bytes(), &mut scene.recalled);
    assert_eq!(scene.passes_at(long_ago(9), &first), None);
    assert_eq!(scene.released(), [&b"told later"[..], b"known", b"known"]);
    let gaps = scene.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].0, 1);
}
