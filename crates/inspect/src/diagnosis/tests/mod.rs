//! The rules on machines that are made up: what is wrong is found, and what is not is not.

mod pools;
mod programs;
mod queues;
mod silence;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::limits::Reuse;
use crate::listing::tests_support::tcp;
use crate::model::{Cookie, ForeignText, Uid};
use crate::owners::{Holdings, tests_support::seen, tests_support::unreadable};
use crate::sockets::{Detail, Memory, TcpInfo, Timer, TimerKind};

/// A machine that is made up: sockets, who holds them, and what else is known.
#[derive(Default)]
pub(super) struct Machine {
    pub(super) sockets: Vec<Socket>,
    /// Inode, pid, descriptor, name.
    pub(super) owners: Vec<(u64, u32, u32, &'static str)>,
    pub(super) limits: Limits,
    pub(super) usage: BTreeMap<Pid, Usage>,
    pub(super) standing: BTreeMap<Pid, Standing>,
    pub(super) attention: BTreeMap<(Pid, Fd), Attention>,
    pub(super) hidden: bool,
    pub(super) notices: bool,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self {
            limits: Limits {
                ephemeral: Some(40_000..=40_099),
                reserved: Some(Vec::new()),
                time_wait: Some(1_000),
                time_wait_reuse: Some(Reuse::Loopback),
                accept_queue: Some(4_096),
                unprivileged_start: Some(1_024),
            },
            ..Self::default()
        }
    }

    pub(super) fn with(mut self, socket: Socket) -> Self {
        self.sockets.push(socket);
        self
    }

    pub(super) fn held(mut self, inode: u64, pid: u32, fd: u32, name: &'static str) -> Self {
        self.owners.push((inode, pid, fd, name));
        self
    }

    fn listing(&self) -> Listing {
        let lines: Vec<_> = self
            .owners
            .iter()
            .map(|(inode, pid, fd, name)| (*inode, *pid, *fd, *name, None))
            .collect();
        let mut seen = seen(&lines);
        if self.hidden {
            seen.unreadable.push(unreadable(9_999));
        }
        Listing::new(self.sockets.clone(), Holdings::from(seen))
    }

    pub(super) fn judge(&self, watch: &Watch) -> Vec<Finding> {
        self.scene(watch, diagnose)
    }

    pub(super) fn scene<T>(&self, watch: &Watch, work: impl FnOnce(&Scene<'_>) -> T) -> T {
        let listing = self.listing();
        let limits = BTreeMap::from([(None, self.limits.clone())]);
        work(&Scene {
            listing: &listing,
            watch,
            limits: &limits,
            usage: &self.usage,
            standing: &self.standing,
            attention: &self.attention,
            notices: self.notices,
        })
    }

    /// What is found when it looks like this twice, a second apart.
    pub(super) fn still(&self) -> Vec<Finding> {
        looks(&[self, self])
    }
}

/// What is found after looks at these machines, a second apart.
pub(super) fn looks(machines: &[&Machine]) -> Vec<Finding> {
    let mut watch = Watch::default();
    let mut at = Duration::from_secs(100);
    for machine in machines {
        watch.see(&machine.listing(), at);
        at += Duration::from_secs(1);
    }
    machines.last().unwrap().judge(&watch)
}

pub(super) fn names(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|it| it.name().word()).collect()
}

pub(super) const NOTHING: [&str; 0] = [];

/// A connection with queues, and what TCP knows of it.
pub(super) fn connection(inode: u64, remote: &str, recv_queue: u32, send_queue: u32) -> Socket {
    Socket {
        recv_queue: Some(recv_queue),
        send_queue: Some(send_queue),
        cookie: Some(Cookie(inode + 1_000)),
        detail: Some(Box::new(Detail {
            timer: Some(timer(TimerKind::Off, 0)),
            tcp: Some(Box::new(TcpInfo {
                bytes_received: Some(u64::from(recv_queue) + 500),
                bytes_acknowledged: Some(700),
                receive_window: Some(60_000),
                send_window: Some(60_000),
                ..TcpInfo::default()
            })),
            ..Detail::default()
        })),
        ..tcp(State::Established, "10.0.0.1:2345", remote, inode)
    }
}

pub(super) fn timer(kind: TimerKind, retransmits: u8) -> Timer {
    Timer {
        kind,
        expires_ms: 100,
        retransmits,
    }
}

impl Socket {
    pub(super) fn knowing(mut self, change: impl FnOnce(&mut TcpInfo)) -> Self {
        let detail = self.detail.get_or_insert_default();
        change(detail.tcp.get_or_insert_default());
        self
    }

    pub(super) fn timing(mut self, kind: TimerKind, retransmits: u8) -> Self {
        self.detail.get_or_insert_default().timer = Some(timer(kind, retransmits));
        self
    }

    pub(super) fn blind(mut self) -> Self {
        self.detail = None;
        self.cookie = None;
        self
    }
}

#[test]
fn the_most_urgent_is_first_and_every_name_has_its_word() {
    let mut machine = Machine::new()
        .with(connection(11, "10.0.0.2:1", 70_000, 0).knowing(|tcp| tcp.receive_window = Some(0)))
        .held(11, 100, 4, "reader")
        .with(queue(10, "10.0.0.1:2345", 129, 128))
        .held(10, 200, 3, "server");
    machine.usage.insert(
        Pid(100),
        Usage {
            used: 1_000,
            limit: 1_024,
        },
    );
    assert_eq!(
        names(&machine.still()),
        ["accept-queue-full", "not-reading", "descriptors-near-limit"]
    );
    let words: HashSet<&str> = Name::ALL.iter().map(|name| name.word()).collect();
    assert_eq!(words.len(), Name::ALL.len());
}

/// A listener with so many waiting, of so many.
pub(super) fn queue(inode: u64, local: &str, waiting: u32, limit: u32) -> Socket {
    Socket {
        recv_queue: Some(waiting),
        send_queue: Some(limit),
        cookie: Some(Cookie(inode + 1_000)),
        ..tcp(State::Listen, local, "0.0.0.0:0", inode)
    }
}

#[test]
fn what_a_source_does_not_tell_is_said() {
    let machine = Machine {
        limits: Limits::default(),
        ..Machine::new()
    }
    .with(connection(11, "10.0.0.2:1", 0, 0).blind())
    .with(Socket {
        protocol: Protocol::Udp,
        ..connection(12, "10.0.0.2:1", 0, 0).blind()
    })
    .with(Socket {
        send_queue: None,
        ..queue(10, "10.0.0.1:2345", 0, 0)
    });
    let mut watch = Watch::default();
    watch.see(&machine.listing(), Duration::ZERO);
    let reasons = machine.scene(&watch, unseen);
    assert_eq!(reasons.len(), 5, "{reasons:?}");

    let told = Machine::new()
        .with(connection(11, "10.0.0.2:1", 0, 0))
        .with(queue(10, "10.0.0.1:2345", 0, 128));
    watch.see(&told.listing(), Duration::from_secs(1));
    assert_eq!(told.scene(&watch, unseen), NOTHING);
}

#[test]
fn a_listener_for_this_machine_only_is_a_notice_for_those_who_ask() {
    let mut machine = Machine::new()
        .with(queue(10, "127.0.0.1:5432", 0, 128))
        .with(queue(11, "0.0.0.0:80", 0, 128))
        .with(Socket {
            ..queue(12, "[::1]:5432", 0, 128)
        })
        .held(10, 100, 3, "postgres");
    assert_eq!(names(&machine.still()), NOTHING);
    machine.notices = true;
    let found = machine.still();
    assert_eq!(names(&found), ["loopback-only", "loopback-only"]);
    assert!(found.iter().all(|it| it.severity == Severity::Notice));
}

fn any_socket() -> impl proptest::strategy::Strategy<Value = Socket> {
    use proptest::prelude::*;
    let ends = (0u8..3, 0u8..3, 40_000u16..40_010, 1u16..4);
    let numbers = (any::<u32>(), any::<u32>(), 0u64..6, 0u64..6);
    let told = (
        any::<Option<u64>>(),
        any::<Option<u32>>(),
        0u8..6,
        any::<u8>(),
    );
    (0usize..State::ALL.len(), ends, numbers, told).prop_map(
        |(
            state,
            (a, b, port, other),
            (recv, send, inode, cookie),
            (moved, window, kind, tries),
        )| {
            let kinds = [
                TimerKind::Off,
                TimerKind::Retransmit,
                TimerKind::Keepalive,
                TimerKind::TimeWait,
                TimerKind::Persist,
                TimerKind::Other(9),
            ];
            let end = |host: u8, port: u16| SocketAddr::from(([127, 0, 0, host], port)).to_string();
            let mut socket = tcp(State::ALL[state], &end(a, port), &end(b, other), inode);
            socket.recv_queue = Some(recv);
            socket.send_queue = Some(send);
            socket.cookie = (cookie > 0).then_some(Cookie(cookie));
            socket
                .timing(kinds[usize::from(kind)], tries)
                .knowing(|tcp| {
                    tcp.bytes_received = moved;
                    tcp.bytes_acknowledged = moved;
                    tcp.receive_window = window;
                    tcp.send_window = window;
                    tcp.last_ack_ms = window;
                })
        },
    )
}

proptest::proptest! {
    #[test]
    fn any_machine_is_judged_in_order(
        first in proptest::collection::vec(any_socket(), 0..40),
        second in proptest::collection::vec(any_socket(), 0..40),
        used: u64, limit: u64,
    ) {
        let of = |sockets| {
            let mut machine = Machine { sockets, notices: true, ..Machine::new() };
            for inode in 1..6 {
                machine = machine.held(inode, 100 + u32::try_from(inode % 3).unwrap(), 3, "x");
            }
            machine.usage.insert(Pid(100), Usage { used, limit });
            machine
        };
        let (first, second) = (of(first), of(second));
        let found = looks(&[&first, &second]);
        proptest::prop_assert!(found.is_sorted_by_key(Finding::urgency));
        for finding in &found {
            proptest::prop_assert!(finding.holders.owners.len() <= Holders::MOST);
        }
        // One look shows no movement, and so nothing that stands still.
        for finding in looks(&[&second]) {
            proptest::prop_assert!(!matches!(
                finding.name(),
                Name::NotReading | Name::SlowReading | Name::PeerNotReading | Name::CloseWaitPile | Name::AcceptQueueFull
            ));
        }
    }
}

/// A program run by a user, for [`Machine::standing`].
pub(super) fn program(executable: &str, uid: u32) -> Standing {
    Standing {
        uid: Some(Uid(uid)),
        executable: Some(ForeignText::from(executable)),
        parent: Some(Pid(1)),
        session: Some(Pid(50)),
        parent_session: Some(Pid(50)),
    }
}

pub(super) fn memory(used: u32, limit: u32, drops: u32) -> Memory {
    Memory {
        receive_used: Some(used),
        receive_limit: Some(limit),
        drops: Some(drops),
        ..Memory::default()
    }
}

pub(super) fn waiting(remote: &str) -> Socket {
    Socket {
        inode: None,
        cookie: Some(Cookie(
            remote
                .bytes()
                .map(u64::from)
                .fold(7, |sum, it| sum * 31 % 1_000_003 + it),
        )),
        ..connection(0, remote, 0, 0)
    }
}
