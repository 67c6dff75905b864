//! The rules on made-up sockets. That they are the kernel's is shown on real ones, in
//! crates/inspect/tests/port/rules.rs.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flags {
    address: bool,
    port: bool,
}

const FLAGS: [Flags; 4] = [
    Flags {
        address: false,
        port: false,
    },
    Flags {
        address: true,
        port: false,
    },
    Flags {
        address: false,
        port: true,
    },
    Flags {
        address: true,
        port: true,
    },
];

fn here() -> Uid {
    Uid(1_000)
}

fn bound(protocol: Protocol, state: State, at: SocketAddr, v6_only: bool, flags: Flags) -> Bound {
    Bound {
        protocol,
        address: at.ip(),
        state,
        interface: Some(0),
        // The kernel sets it for every bind() to one address of IPv6 (net/ipv6/af_inet6.c).
        v6_only: Some(v6_only || (is_v6(at.ip()) && !at.ip().is_unspecified())),
        reuse_address: Some(flags.address),
        reuse_port: Some(flags.port),
        uid: Some(here()),
        outgoing: Some(false),
    }
}

fn is_v6(address: IpAddr) -> bool {
    address.to_canonical().is_ipv6()
}

/// Users are made by the test of the program, which needs root: `a_group_of_another_user_may_not`.
#[test]
fn a_group_of_another_user_is_not_joined() {
    for (protocol, state) in [
        (Protocol::Tcp, State::Listen),
        (Protocol::Udp, State::Unconnected),
    ] {
        let at = "127.0.0.1:80".parse().unwrap();
        let theirs = Bound {
            uid: Some(Uid(here().0.wrapping_add(1))),
            ..bound(protocol, state, at, false, FLAGS[2])
        };
        let asks = [ask(protocol, "127.0.0.1")];
        let sockets = std::slice::from_ref(&theirs);
        let found = obstacles(&asks, 80, sockets, &Limits::default(), Some(true));
        let causes: Vec<Cause> = found.iter().map(|it| it.cause).collect();
        assert!(
            causes.contains(&Cause::ReusePortOfAnotherUser),
            "{causes:?}"
        );
        assert!(found.iter().all(|it| it.with_reuse_port == Some(false)));
        let their_own = Ask {
            uid: theirs.uid.unwrap(),
            ..asks[0].with_reuse_port()
        };
        assert_eq!(their_own.fails_by(&theirs), Some(false));
    }
}

fn ask(protocol: Protocol, address: &str) -> Ask {
    Ask {
        protocol,
        address: address.parse().unwrap(),
        v6_only: false,
        interface: 0,
        reuse_address: false,
        reuse_port: false,
        uid: here(),
    }
}

#[test]
fn each_cause_has_its_name() {
    let asks = [
        ask(Protocol::Tcp, "0.0.0.0"),
        ask(Protocol::Tcp, "::"),
        ask(Protocol::Tcp, "127.0.0.1"),
    ];
    let at = |state, outgoing| Bound {
        outgoing: Some(outgoing),
        ..bound(
            Protocol::Tcp,
            state,
            "127.0.0.1:80".parse().unwrap(),
            false,
            FLAGS[1],
        )
    };
    let limits = Limits::default();
    let causes = |sockets: &[Bound]| -> BTreeMap<Cause, (Vec<usize>, Option<bool>)> {
        obstacles(&asks, 80, sockets, &limits, None)
            .into_iter()
            .map(|it| {
                (
                    it.cause,
                    (it.asks.into_iter().collect(), it.with_reuse_address),
                )
            })
            .collect()
    };
    assert_eq!(
        causes(&[at(State::Listen, false)]),
        BTreeMap::from([
            (Cause::Listener, (vec![2], Some(false))),
            (Cause::WildcardOverlap, (vec![0], Some(false))),
            (Cause::DualStackOverlap, (vec![1], Some(false))),
        ])
    );
    for (socket, cause) in [
        (at(State::Bound, false), Cause::BoundOnly),
        (at(State::TimeWait, false), Cause::TimeWait),
        (at(State::Established, true), Cause::Outgoing),
        (at(State::CloseWait, false), Cause::Connection),
    ] {
        let expected = BTreeMap::from([(cause, (vec![0, 1, 2], Some(true)))]);
        assert_eq!(causes(&[socket]), expected, "{cause:?}");
    }
    assert_eq!(causes(&[at(State::SynRecv, false)]), BTreeMap::new());
}

#[test]
fn a_low_port_is_in_the_way_of_those_who_may_not_have_it() {
    let limits = Limits {
        unprivileged_start: Some(1_024),
        ..Limits::default()
    };
    let asks = [ask(Protocol::Tcp, "0.0.0.0")];
    let found = |port, may| obstacles(&asks, port, &[], &limits, may);
    assert_eq!(found(80, Some(false))[0].cause, Cause::Privileged);
    assert!(found(80, Some(false))[0].certain);
    assert!(!found(80, None)[0].certain);
    assert_eq!(found(80, Some(true)), []);
    assert_eq!(found(1_024, Some(false)), []);
}

#[test]
fn udp_groups_that_are_mixed_are_not_told() {
    let shared = bound(
        Protocol::Udp,
        State::Unconnected,
        "127.0.0.1:53".parse().unwrap(),
        false,
        FLAGS[2],
    );
    let alone = Bound {
        address: "127.0.0.2".parse().unwrap(),
        reuse_port: Some(false),
        ..shared.clone()
    };
    let ask = ask(Protocol::Udp, "0.0.0.0").with_reuse_port();
    assert_eq!(ask.fails_among([&shared]), Some(false));
    assert_eq!(ask.fails_among([&alone]), Some(true));
    assert_eq!(ask.fails_among([&shared, &alone]), None);
}
