//! Queues that do not move.

use super::*;
use crate::model::{Family, Protocol};

fn reader(unread: u32) -> Machine {
    Machine::new()
        .with(connection(11, "10.0.0.2:5000", unread, 0))
        .held(11, 100, 4, "reader")
}

#[test]
fn a_queue_that_grows_and_is_not_read_is_found() {
    let found = looks(&[&reader(100), &reader(5_000), &reader(9_000)]);
    assert_eq!(names(&found), ["not-reading"]);
    assert_eq!(found[0].severity, Severity::Warning);
    assert_eq!(found[0].holders.owners[0].fd, Fd(4));
    let Evidence::NotReading {
        unread,
        lasting,
        grew,
        full,
        ..
    } = &found[0].evidence
    else {
        panic!("{found:?}")
    };
    assert_eq!((*unread, *grew, *full), (9_000, true, false));
    assert_eq!(*lasting, Duration::from_secs(2));
}

#[test]
fn one_byte_read_is_reading() {
    let mut second = reader(9_000);
    second.sockets[0] = second.sockets[0]
        .clone()
        .knowing(|tcp| tcp.bytes_received = Some(9_501));
    assert_eq!(names(&looks(&[&reader(100), &second])), NOTHING);
}

#[test]
fn a_little_unread_for_hours_is_an_idle_connection() {
    for unread in [1, 31, 500, 4_000] {
        assert_eq!(names(&reader(unread).still()), NOTHING, "{unread}");
        assert_eq!(names(&looks(&[&reader(1), &reader(unread)])), NOTHING);
    }
    // It does not grow, and there is room for more.
    assert_eq!(names(&reader(50_000).still()), NOTHING);
}

#[test]
fn as_much_as_fits_is_found_however_little_that_is() {
    let full = |unread| {
        let mut machine = reader(unread);
        machine.sockets[0] = machine.sockets[0]
            .clone()
            .knowing(|tcp| tcp.receive_window = Some(0));
        machine
    };
    let found = full(2_000).still();
    assert_eq!(names(&found), ["not-reading"]);
    assert_eq!(found[0].severity, Severity::Critical);
    // Filled in the same second, by one look: nothing is known yet.
    assert_eq!(names(&looks(&[&full(2_000)])), NOTHING);
}

#[test]
fn without_tcp_info_nothing_is_said_to_be_unread() {
    // It may be read, and filled again as fast: a transfer at full speed looks the same.
    let mut machine = reader(4_000_000);
    machine.sockets[0] = machine.sockets[0].clone().blind();
    assert_eq!(names(&machine.still()), NOTHING);
    let mut datagrams = reader(200_000);
    datagrams.sockets[0].protocol = Protocol::Udp;
    datagrams.sockets[0].detail = None;
    assert_eq!(names(&datagrams.still()), NOTHING);
}

#[test]
fn an_older_kernel_tells_a_full_buffer_by_its_memory() {
    let with = |used| {
        let mut machine = reader(50_000);
        machine.sockets[0] = machine.sockets[0]
            .clone()
            .knowing(|tcp| tcp.receive_window = None);
        let detail = machine.sockets[0].detail.get_or_insert_default();
        detail.memory = Some(memory(used, 100_000, 0));
        machine
    };
    assert_eq!(names(&with(80_000).still()), ["not-reading"]);
    assert_eq!(names(&with(60_000).still()), NOTHING);
}

#[test]
fn the_sockets_of_one_process_are_one_finding_and_the_worst_is_shown() {
    let mut machine = Machine::new();
    for number in 0..5u64 {
        let unread = 10_000 * (u32::try_from(number).unwrap() + 1);
        let socket = connection(number + 20, &format!("10.0.0.2:{}", number + 1), unread, 0)
            .knowing(|tcp| tcp.receive_window = Some(0));
        let fd = u32::try_from(number).unwrap() + 4;
        machine = machine.with(socket).held(number + 20, 100, fd, "reader");
    }
    machine = machine
        .with(connection(30, "10.0.0.3:1", 8_000, 0).knowing(|tcp| tcp.receive_window = Some(0)))
        .held(30, 101, 3, "other");
    let found = machine.still();
    assert_eq!(names(&found), ["not-reading", "not-reading"]);
    let Evidence::NotReading {
        sockets,
        unread,
        total,
        ..
    } = found[0].evidence
    else {
        panic!("{found:?}")
    };
    assert_eq!((sockets, unread, total), (5, 50_000, 150_000));
    assert_eq!(found[0].holders.owners[0].fd, Fd(8));
}

#[test]
fn a_peer_whose_window_stays_closed_is_found() {
    let sender = |unsent, acknowledged| {
        Machine::new()
            .with(
                connection(11, "10.0.0.2:5000", 0, unsent)
                    .timing(TimerKind::Persist, 0)
                    .knowing(|tcp| {
                        tcp.bytes_acknowledged = Some(acknowledged);
                        tcp.send_window = Some(0);
                    }),
            )
            .held(11, 100, 4, "sender")
    };
    let found = looks(&[&sender(1_000, 5), &sender(2_000, 5)]);
    assert_eq!(names(&found), ["peer-not-reading"]);
    assert!(matches!(
        found[0].evidence,
        Evidence::PeerNotReading { grew: true, .. }
    ));
    // It took something meanwhile.
    assert_eq!(
        names(&looks(&[&sender(2_000, 5), &sender(2_000, 6)])),
        NOTHING
    );
    // An open window: the wire is slow, not the peer.
    let mut open = sender(2_000, 5);
    open.sockets[0] = open.sockets[0]
        .clone()
        .timing(TimerKind::Retransmit, 0)
        .knowing(|tcp| tcp.send_window = Some(10_000));
    assert_eq!(names(&open.still()), NOTHING);
}

#[test]
fn both_ends_of_one_standstill_are_one_finding() {
    let machine = Machine::new()
        .with(
            connection(11, "10.0.0.1:5000", 70_000, 0).knowing(|tcp| tcp.receive_window = Some(0)),
        )
        .with(Socket {
            address: crate::sockets::Address::Inet {
                local: crate::model::Endpoint::new([10, 0, 0, 1].into(), 5_000),
                remote: crate::model::Endpoint::new([10, 0, 0, 1].into(), 2_345),
            },
            ..connection(12, "10.0.0.2:1", 0, 9_000).timing(TimerKind::Persist, 1)
        })
        .held(11, 100, 4, "reader")
        .held(12, 200, 4, "sender");
    let found = machine.still();
    assert_eq!(names(&found), ["not-reading"]);
    assert_eq!(found[0].holders.owners[0].pid, Pid(100));
}

/// A datagram socket with so much waiting of 100,000 bytes, and so much read and not given back
/// to its buffer yet.
fn datagrams(waits: u32, given_back_late: u32, drops: u32) -> Machine {
    let mut machine = reader(waits);
    machine.sockets[0].protocol = Protocol::Udp;
    let detail = machine.sockets[0].detail.get_or_insert_default();
    detail.tcp = None;
    detail.memory = Some(Memory {
        options: Some(0),
        ..memory(waits + given_back_late, 100_000, drops)
    });
    machine
}

#[test]
fn datagrams_that_find_no_room_are_found() {
    let found = looks(&[&datagrams(90_000, 7, 5), &datagrams(95_000, 7, 15)]);
    assert_eq!(names(&found), ["not-reading"]);
    assert!(matches!(
        found[0].evidence,
        Evidence::NotReading {
            dropped: Some(10),
            ..
        }
    ));
    // One burst, and another: not a reader that stands still.
    for (first, second) in [(90_000, 80_000), (50_000, 95_000)] {
        let machines = [&datagrams(first, 0, 5), &datagrams(second, 0, 5)];
        assert_eq!(names(&looks(&machines)), NOTHING);
    }
    // Something was read of it, and what came since has filled it again.
    let read = [&datagrams(90_000, 0, 5), &datagrams(90_000, 2_304, 5)];
    assert_eq!(names(&looks(&read)), NOTHING);
}

#[test]
fn a_buffer_that_fills_up_and_is_not_read_is_not_read() {
    let found = looks(&[
        &datagrams(5_000, 7, 5),
        &datagrams(50_000, 7, 5),
        &datagrams(99_000, 7, 900),
    ]);
    assert_eq!(names(&found), ["not-reading"]);
    // By chance the last two looks found the same, and before something was read.
    let found = looks(&[
        &datagrams(99_000, 7, 5),
        &datagrams(80_000, 19_000, 400),
        &datagrams(80_000, 19_000, 900),
    ]);
    assert_eq!(names(&found), ["slow-reading"]);
}

/// However full the buffer is at the moment of a look.
#[test]
fn datagrams_that_are_read_too_slowly_are_found() {
    for (first, second) in [
        ((99_000, 0), (80_000, 19_000)),
        ((80_000, 19_000), (99_000, 0)),
        ((99_000, 0), (99_000, 1_000)),
        ((99_000, 0), (0, 0)),
        ((0, 0), (99_000, 0)),
    ] {
        let found = looks(&[
            &datagrams(first.0, first.1, 1_000),
            &datagrams(50_000, 0, 2_000),
            &datagrams(second.0, second.1, 9_700),
        ]);
        assert_eq!(names(&found), ["slow-reading"], "{first:?} {second:?}");
        assert_eq!(found[0].severity, Severity::Critical);
        let Evidence::SlowReading {
            dropped,
            fullest,
            lasting,
            ..
        } = found[0].evidence
        else {
            panic!("{found:?}")
        };
        assert_eq!((dropped, fullest), (8_700, 99_000));
        assert_eq!(lasting, Duration::from_secs(2));
    }
    let burst = looks(&[&datagrams(0, 0, 5), &datagrams(5_000, 0, 9)]);
    assert_eq!(burst[0].severity, Severity::Warning);
}

#[test]
fn what_was_dropped_long_ago_or_for_another_reason_is_no_slow_reader() {
    assert_eq!(names(&datagrams(50_000, 0, 5_000).still()), NOTHING);
    // Nothing ever waits: what arrives is damaged.
    assert_eq!(
        names(&looks(&[&datagrams(0, 0, 5), &datagrams(0, 0, 900)])),
        NOTHING
    );
    // A filter may refuse it, unless there was no room.
    let filtered = |waits, drops| {
        let mut machine = datagrams(waits, 0, drops);
        let detail = machine.sockets[0].detail.get_or_insert_default();
        detail.memory.get_or_insert_default().options = Some(64);
        machine
    };
    let some = [&filtered(5_000, 5), &filtered(3_000, 900)];
    assert_eq!(names(&looks(&some)), NOTHING);
    let full = [&filtered(99_000, 5), &filtered(3_000, 900)];
    assert_eq!(names(&looks(&full)), ["slow-reading"]);
}

#[test]
fn a_full_accept_queue_is_found_and_a_burst_is_not() {
    let at = |waiting: u32| {
        Machine::new()
            .with(queue(10, "10.0.0.1:2345", waiting, 128))
            .held(10, 100, 3, "server")
    };
    let found = at(129).still();
    assert_eq!(names(&found), ["accept-queue-full"]);
    assert_eq!(found[0].severity, Severity::Critical);
    // Full at one look, and empty a second before: it may be gone in the next moment.
    assert_eq!(names(&looks(&[&at(3), &at(129)])), NOTHING);
    assert_eq!(names(&looks(&[&at(129), &at(3)])), NOTHING);
    assert_eq!(names(&looks(&[&at(120), &at(129)])), ["accept-queue-full"]);
    // All places taken, and none beyond: the next is let in.
    assert_eq!(names(&at(128).still()), NOTHING);
}

#[test]
fn a_nearly_full_accept_queue_is_found_when_nobody_is_accepted() {
    let with = |remotes: &[&str], limit| {
        let count = u32::try_from(remotes.len()).unwrap();
        let mut machine = Machine::new()
            .with(queue(10, "0.0.0.0:2345", count, limit))
            .held(10, 100, 3, "server");
        for remote in remotes {
            machine = machine.with(waiting(remote));
        }
        machine
    };
    let names_of: Vec<String> = (1..20).map(|port| format!("10.0.0.2:{port}")).collect();
    let all: Vec<&str> = names_of.iter().map(String::as_str).collect();
    let found = looks(&[&with(&all[..10], 10), &with(&all[..10], 10)]);
    assert_eq!(names(&found), ["accept-queue-full"]);
    assert_eq!(found[0].severity, Severity::Warning);
    assert!(matches!(
        found[0].evidence,
        Evidence::AcceptQueue {
            stuck: Some(true),
            ..
        }
    ));
    // Others wait now: it is busy, and accepts.
    let busy = looks(&[&with(&all[..9], 10), &with(&all[9..], 10)]);
    assert_eq!(names(&busy), NOTHING);
    // The second client of a server for one.
    let small = looks(&[&with(&all[..1], 1), &with(&all[..1], 1)]);
    assert_eq!(names(&small), NOTHING);
}

#[test]
fn a_unix_listener_has_an_accept_queue_too() {
    let unix = |name: &str, waiting| Socket {
        family: Family::Unix,
        protocol: Protocol::UnixStream,
        address: crate::sockets::Address::Unix {
            name: crate::model::UnixAddress::Path(ForeignText::from(name)),
            peer: None,
        },
        ..queue(10, "0.0.0.0:1", waiting, 5).blind()
    };
    let machine = Machine::new()
        .with(unix("/run/php.sock", 6))
        .with(unix("/run/other.sock", 0))
        .held(10, 100, 3, "php-fpm");
    assert_eq!(names(&machine.still()), ["accept-queue-full"]);
}

/// An MPTCP listener has a TCP listener below it, with its inode.
#[test]
fn an_mptcp_listener_is_one_finding() {
    let listener = |protocol, inode| Socket {
        protocol,
        cookie: Some(Cookie(inode + protocol as u64 * 1_000)),
        ..queue(inode, "127.0.0.1:2345", 129, 128)
    };
    let mut machine = Machine::new()
        .with(listener(Protocol::Tcp, 10))
        .with(listener(Protocol::Mptcp, 10))
        .held(10, 100, 3, "server");
    machine.notices = true;
    let found = machine.still();
    assert_eq!(names(&found), ["accept-queue-full", "loopback-only"]);
    let Evidence::AcceptQueue { listener: it, .. } = &found[0].evidence else {
        panic!("{found:?}")
    };
    assert_eq!(it.protocol, Protocol::Mptcp);
    // Another one, in another process, is another.
    machine = machine
        .with(listener(Protocol::Tcp, 11))
        .held(11, 101, 3, "server");
    machine.notices = false;
    let found = machine.still();
    assert_eq!(names(&found), ["accept-queue-full", "accept-queue-full"]);
}

/// What is said of the listeners: whether they are stuck, by descriptor.
fn stuck(machine: &Machine) -> Vec<Option<bool>> {
    let mut found = machine.still();
    found.sort_by_key(|it| it.holders.owners[0].fd);
    let stuck = found.iter().map(|it| match it.evidence {
        Evidence::AcceptQueue { stuck, .. } => stuck,
        _ => panic!("{it:?}"),
    });
    stuck.collect()
}

#[test]
fn who_waits_long_waits_for_the_listener_of_its_address() {
    // It goes to 10.0.0.1.
    let machine = |first: &str, second: &str| {
        Machine::new()
            .with(queue(10, first, 129, 128))
            .with(queue(11, second, 129, 128))
            .with(waiting("10.0.0.2:1"))
            .held(10, 100, 3, "server")
            .held(11, 100, 4, "server")
    };
    for (first, second) in [
        ("10.0.0.1:2345", "0.0.0.0:2345"),
        ("0.0.0.0:2345", "[::]:2345"),
        ("[::]:2345", "10.0.0.9:2345"),
        ("10.0.0.1:2345", "10.0.0.1:2346"),
    ] {
        assert_eq!(
            stuck(&machine(first, second)),
            [Some(true), Some(false)],
            "{first} {second}"
        );
    }
    // Of two at one place nobody knows which it is.
    let shared = machine("10.0.0.1:2345", "10.0.0.1:2345");
    assert_eq!(stuck(&shared), [None, None]);
    let mut busy = shared;
    busy.sockets.pop();
    assert_eq!(stuck(&busy), [Some(false), Some(false)]);
}

#[test]
fn many_pressed_listeners_are_judged_in_time() {
    const LISTENERS: u16 = 30_000;
    let mut machine = Machine::new();
    for port in 1..=LISTENERS {
        let local = format!("10.0.0.1:{port}");
        machine = machine
            .with(queue(port.into(), &local, 129, 128))
            .with(Socket {
                inode: None,
                cookie: Some(Cookie(1_000_000 + u64::from(port))),
                ..tcp(State::Established, &local, "10.0.0.2:1", 0)
            })
            .held(port.into(), 100, port.into(), "server");
    }
    let begun = std::time::Instant::now();
    let found = machine.still();
    assert_eq!(found.len(), usize::from(LISTENERS));
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}
