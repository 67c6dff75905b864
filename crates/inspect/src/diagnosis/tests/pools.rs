//! What runs out: descriptors, ports, TIME_WAIT.

use super::*;

fn leaking(count: u64, usage: Option<(u64, u64)>) -> Machine {
    let mut machine = Machine::new();
    for number in 1..=count {
        let socket = Socket {
            state: State::CloseWait,
            ..connection(number, &format!("10.0.0.2:{number}"), 1, 0)
        };
        machine = machine
            .with(socket)
            .held(number, 77, u32::try_from(number).unwrap(), "python3");
    }
    if let Some((used, limit)) = usage {
        machine.usage.insert(Pid(77), Usage { used, limit });
    }
    machine
}

#[test]
fn a_pile_of_close_wait_is_found_with_the_descriptors_it_takes() {
    let found = leaking(153, Some((1_009, 1_024))).still();
    assert_eq!(names(&found), ["close-wait-pile"]);
    assert_eq!(found[0].severity, Severity::Critical);
    assert!(matches!(
        found[0].evidence,
        Evidence::CloseWait { sockets: 153, .. }
    ));
    let few = leaking(153, Some((200, 1_024))).still();
    assert_eq!(few[0].severity, Severity::Warning);
}

#[test]
fn a_pool_of_idle_connections_is_no_pile() {
    assert_eq!(names(&leaking(20, Some((60, 1_024))).still()), NOTHING);
    assert_eq!(names(&leaking(7, Some((10, 64))).still()), NOTHING);
    assert_eq!(
        names(&leaking(20, Some((60, 200))).still()),
        ["close-wait-pile"],
        "a tenth of what the process may have"
    );
}

#[test]
fn connections_that_pass_through_close_wait_are_no_pile() {
    let mut second = leaking(200, None);
    for socket in &mut second.sockets {
        socket.cookie = socket.cookie.map(|cookie| Cookie(cookie.0 + 5_000));
    }
    assert_eq!(names(&looks(&[&leaking(200, None), &second])), NOTHING);
}

/// Clients that have ended their side alone, and get their answers meanwhile.
#[test]
fn an_answer_that_goes_on_is_no_close_wait_pile() {
    let at = |sent: Option<u64>, acknowledged: Option<u64>, unsent| {
        let mut machine = leaking(60, None);
        for socket in &mut machine.sockets {
            socket.send_queue = Some(unsent);
            *socket = socket.clone().knowing(|tcp| {
                tcp.bytes_sent = sent;
                tcp.bytes_acknowledged = acknowledged;
            });
        }
        machine
    };
    let told = at(Some(9_000), Some(9_000), 0);
    assert_eq!(names(&told.still()), ["close-wait-pile"]);
    // They send, or are heard to get it, or something waits.
    for before in [
        at(Some(8_000), Some(9_000), 0),
        at(Some(9_000), Some(8_000), 0),
    ] {
        assert_eq!(names(&looks(&[&before, &told])), NOTHING);
        // What moved a while ago may go on.
        assert_eq!(names(&looks(&[&before, &told, &told])), NOTHING);
    }
    let waits = at(Some(9_000), Some(8_000), 1_000);
    assert_eq!(names(&waits.still()), NOTHING);
    // An older kernel tells what was acknowledged only.
    let older = looks(&[&at(None, Some(1), 0), &at(None, Some(2), 0)]);
    assert_eq!(names(&older), NOTHING);
    assert_eq!(names(&at(None, None, 0).still()), ["close-wait-pile"]);
    assert_eq!(names(&at(None, None, 5).still()), ["close-wait-pile"]);
}

#[test]
fn a_pile_of_mptcp_connections_is_counted_once() {
    let mut machine = leaking(30, Some((100, 1_024)));
    let subflows = machine.sockets.clone();
    for socket in &mut machine.sockets {
        socket.protocol = crate::model::Protocol::Mptcp;
        socket.cookie = socket.cookie.map(|cookie| Cookie(cookie.0 + 5_000));
    }
    machine.sockets.extend(subflows);
    assert_eq!(names(&machine.still()), NOTHING);
    machine.usage.clear();
    machine.usage.insert(
        Pid(77),
        Usage {
            used: 100,
            limit: 300,
        },
    );
    let found = machine.still();
    assert!(matches!(
        found[0].evidence,
        Evidence::CloseWait { sockets: 30, .. }
    ));
}

#[test]
fn processes_that_inherited_the_same_sockets_are_one_pile() {
    let mut machine = leaking(60, None);
    for number in 1..=60 {
        machine = machine.held(number, 78, 5, "python3");
    }
    let found = machine.still();
    assert_eq!(names(&found), ["close-wait-pile"]);
    assert_eq!(found[0].holders.processes, 2);
}

#[test]
fn a_pile_of_a_hidden_process_is_told_by_its_user() {
    let mut machine = leaking(60, None);
    machine.owners.clear();
    machine.hidden = true;
    let found = machine.still();
    assert_eq!(names(&found), ["close-wait-pile"]);
    assert_eq!(found[0].holders.status, crate::model::OwnerStatus::Hidden);
    assert_eq!(found[0].holders.uid, Some(Uid(0)));
}

#[test]
fn descriptors_near_the_limit_are_found() {
    let at = |used, limit| {
        let mut machine = Machine::new()
            .with(connection(11, "10.0.0.2:1", 0, 0))
            .held(11, 100, 4, "server");
        machine.usage.insert(Pid(100), Usage { used, limit });
        machine.still()
    };
    assert_eq!(names(&at(922, 1_024)), ["descriptors-near-limit"]);
    assert_eq!(at(922, 1_024)[0].severity, Severity::Warning);
    assert_eq!(at(1_024, 1_024)[0].severity, Severity::Critical);
    assert_eq!(at(922, 1_024)[0].holders.owners[0].pid, Pid(100));
    assert_eq!(names(&at(900, 1_024)), NOTHING);
    // A program that locked itself in.
    assert_eq!(names(&at(8, 1)), NOTHING);
    assert_eq!(names(&at(8, 0)), NOTHING);
}

/// So many connections to one destination, and so many that rest.
fn outgoing(source: &str, held: u16, resting: u16) -> Machine {
    let mut machine = Machine::new();
    for number in 0..held + resting {
        let rests = number >= held;
        let state = if rests {
            State::TimeWait
        } else {
            State::Established
        };
        let inode = if rests { 0 } else { u64::from(number) + 1 };
        let local = format!("{source}:{}", 40_000 + number);
        machine = machine.with(tcp(state, &local, "10.0.0.9:80", inode));
        if !rests {
            machine = machine.held(inode, 100, number.into(), "client");
        }
    }
    machine
}

#[test]
fn ports_that_run_out_towards_one_destination_are_found() {
    let found = outgoing("10.0.0.1", 85, 0).still();
    assert_eq!(names(&found), ["ephemeral-ports-exhausted"]);
    assert_eq!(found[0].severity, Severity::Warning);
    let Evidence::EphemeralPorts {
        path, used, ports, ..
    } = &found[0].evidence
    else {
        panic!("{found:?}")
    };
    assert_eq!((*used, *ports), (85, 100));
    assert_eq!(path.destination.port, 80);
    let found = outgoing("10.0.0.1", 50, 46).still();
    assert_eq!(found[0].severity, Severity::Critical);
    assert_eq!(found[0].holders.owners[0].pid, Pid(100));
    assert_eq!(names(&outgoing("10.0.0.1", 45, 0).still()), NOTHING);
}

#[test]
fn ports_towards_several_destinations_are_not_added_up() {
    let mut machine = outgoing("10.0.0.1", 70, 0);
    machine.sockets.extend(outgoing("10.0.0.2", 70, 0).sockets);
    assert_eq!(names(&machine.still()), NOTHING);
}

/// Connections to several destinations: the port of each by its number.
fn to_many(destinations: u16, each: u16, port: impl Fn(u16) -> u16) -> Machine {
    let mut machine = Machine::new();
    for number in 0..destinations * each {
        let local = format!("10.0.0.1:{}", port(number));
        let remote = format!("10.0.0.9:{}", 80 + number % destinations);
        let inode = u64::from(number) + 1;
        machine = machine
            .with(tcp(State::Established, &local, &remote, inode))
            .held(inode, 100, number.into(), "client");
    }
    machine
}

#[test]
fn ports_that_bind_chose_before_connect_are_added_up() {
    let each_its_own = |number| 40_000 + number;
    let found = to_many(5, 17, each_its_own).still();
    assert_eq!(names(&found), ["ephemeral-ports-exhausted"]);
    assert_eq!(found[0].severity, Severity::Warning);
    let Evidence::BoundPorts {
        source,
        used,
        time_wait,
        ports,
        ..
    } = found[0].evidence
    else {
        panic!("{found:?}")
    };
    assert_eq!((used, time_wait, ports), (85, 0, 100));
    assert_eq!(source.to_string(), "10.0.0.1");
    assert_eq!(found[0].holders.owners[0].pid, Pid(100));
    let critical = to_many(5, 19, each_its_own).still();
    assert_eq!(critical[0].severity, Severity::Critical);
    assert_eq!(names(&to_many(5, 15, each_its_own).still()), NOTHING);
    // What rests in TIME_WAIT bind() may not have, whatever connect() may.
    let mut rest = to_many(5, 19, each_its_own);
    rest.limits.time_wait_reuse = Some(Reuse::Always);
    for socket in &mut rest.sockets {
        *socket = Socket {
            state: State::TimeWait,
            inode: None,
            ..socket.clone()
        };
    }
    let found = rest.still();
    assert!(matches!(
        found[0].evidence,
        Evidence::BoundPorts { time_wait: 95, .. }
    ));
}

#[test]
fn a_proxy_with_many_destinations_is_well() {
    // connect() takes every other port, and the same ones for each destination.
    let halves = to_many(8, 40, |number| 40_000 + number / 8 * 2);
    assert_eq!(names(&halves.still()), NOTHING);
    // However they are spread: some ports are taken twice.
    let spread = to_many(8, 25, |number| 40_000 + number % 100);
    assert_eq!(names(&spread.still()), NOTHING);
    // One destination has more than half of the range, and others have the rest.
    let mut one = to_many(1, 60, |number| 40_000 + number);
    let rest = to_many(5, 5, |number| 40_060 + number);
    one.sockets.extend(rest.sockets);
    assert_eq!(names(&one.still()), NOTHING);
}

#[test]
fn time_wait_counts_where_its_ports_are_not_to_be_had_again() {
    let pile = outgoing("10.0.0.1", 0, 60);
    assert_eq!(names(&pile.still()), ["time-wait-pile"]);
    // On loopback the kernel takes them again after a second, and so it may with tcp_tw_reuse 1.
    let local = outgoing("127.0.0.1", 0, 100);
    assert_eq!(names(&local.still()), NOTHING);
    let mut again = outgoing("10.0.0.1", 0, 100);
    again.limits.time_wait_reuse = Some(Reuse::Always);
    assert_eq!(names(&again.still()), NOTHING);
    let mut never = outgoing("127.0.0.1", 0, 60);
    never.limits.time_wait_reuse = Some(Reuse::Never);
    assert_eq!(names(&never.still()), ["time-wait-pile"]);
}

#[test]
fn a_server_that_closes_first_uses_up_no_ports() {
    let mut machine = Machine::new();
    for port in 0..100 {
        let remote = format!("10.0.0.2:{}", 40_000 + port);
        machine = machine.with(tcp(State::TimeWait, "10.0.0.1:40000", &remote, 0));
    }
    assert_eq!(names(&machine.still()), NOTHING);
}

#[test]
fn as_many_time_wait_as_the_kernel_keeps_are_found() {
    let mut machine = outgoing("127.0.0.1", 0, 90);
    machine.limits.time_wait = Some(100);
    let found = machine.still();
    assert_eq!(names(&found), ["time-wait-pile"]);
    assert!(matches!(
        found[0].evidence,
        Evidence::TimeWaitTable {
            time_wait: 90,
            limit: 100,
            ..
        }
    ));
    machine.limits.time_wait = Some(101);
    assert_eq!(names(&machine.still()), NOTHING);
}

/// A user may make a network namespace whose every destination is crowded, with a range and
/// reserved ports that are long to count.
#[test]
fn many_crowded_destinations_are_judged_in_time() {
    const PATHS: u16 = 20_000;
    let mut machine = Machine::new();
    for port in 1..=PATHS {
        let remote = format!("10.0.0.9:{port}");
        machine = machine.with(tcp(
            State::Established,
            "10.0.0.1:40000",
            &remote,
            u64::from(port),
        ));
    }
    // One port is left, so that one connection takes all of a path.
    machine.limits.ephemeral = Some(40_000..=60_000);
    machine.limits.reserved = Some((40_001..=60_000).map(|port| port..=port).collect());
    let begun = std::time::Instant::now();
    let found = machine.still();
    assert_eq!(found.len(), usize::from(PATHS));
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}
