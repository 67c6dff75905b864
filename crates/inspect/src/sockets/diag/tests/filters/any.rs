//! Any selection, any socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::listing::{Listing, matches};
use crate::owners::Holdings;

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0u16), Just(80), Just(2345), Just(65_535)]
}

fn address(v6: bool) -> impl Strategy<Value = IpAddr> {
    let v4 = prop_oneof![
        Just(Ipv4Addr::LOCALHOST),
        Just(Ipv4Addr::new(127, 0, 0, 2)),
        Just(Ipv4Addr::UNSPECIFIED),
    ];
    if v6 {
        prop_oneof![
            v4.prop_map(|v4| v4.to_ipv6_mapped().into()),
            Just(Ipv6Addr::LOCALHOST.into()),
            Just(Ipv6Addr::UNSPECIFIED.into()),
        ]
        .boxed()
    } else {
        v4.prop_map(IpAddr::V4).boxed()
    }
}

fn network() -> impl Strategy<Value = Network> {
    let prefix = prop_oneof![
        Just(0u8),
        Just(8),
        Just(31),
        Just(32),
        Just(96),
        Just(97),
        0u8..=128
    ];
    (any::<bool>().prop_flat_map(address), prefix).prop_map(|(address, prefix)| {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        Network::new(address, prefix.min(longest)).unwrap()
    })
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Local), Just(End::Remote)]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    proptest::sample::select(Comparison::ALL.to_vec())
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        (end(), comparison(), port()).prop_map(|(end, is, port)| Test::EndPort { end, is, port }),
        (end(), network()).prop_map(|(end, network)| Test::EndAddress { end, network }),
        Just(Test::Interface(1)),
        Just(Test::PeerPid(Pid(1))),
        comparison().prop_map(|is| Test::RoundTrip(is, 100)),
        comparison().prop_map(|is| Test::ReceiveQueue(is, 100)),
        port().prop_map(Test::Port),
        any::<bool>().prop_flat_map(address).prop_map(Test::Host),
        proptest::sample::select(State::ALL.to_vec()).prop_map(Test::State),
        proptest::sample::select(Family::ALL.to_vec()).prop_map(Test::Family),
        proptest::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Raw])
            .prop_map(Test::Protocol),
        Just(Test::Pid(Pid(1))),
        Just(Test::User(Uid(0))),
    ]
}

fn selection() -> impl Strategy<Value = Selection> {
    test()
        .prop_map(Selection::Test)
        .prop_recursive(4, 24, 4, |part| {
            prop_oneof![
                proptest::collection::vec(part.clone(), 0..4).prop_map(Selection::All),
                proptest::collection::vec(part.clone(), 0..4).prop_map(Selection::Any),
                part.prop_map(|part| Selection::Not(Box::new(part))),
            ]
        })
}

/// A table and a socket that may be in it.
fn row() -> impl Strategy<Value = (Table, Socket)> {
    let table = proptest::sample::select(vec![
        Table::Tcp,
        Table::Tcp6,
        Table::Udp,
        Table::Udp6,
        Table::Raw,
        Table::Raw6,
        Table::Mptcp,
    ]);
    (table, 0usize..13, any::<bool>()).prop_flat_map(|(table, state, connected)| {
        let protocol = table.protocol().unwrap();
        let v6 = table.family() == Family::Inet6;
        let end = move || (address(v6), port()).prop_map(|(at, port)| Endpoint::new(at, port));
        (end(), end()).prop_map(move |(local, remote)| {
            let nobody = Endpoint::new(
                if v6 {
                    Ipv6Addr::UNSPECIFIED.into()
                } else {
                    Ipv4Addr::UNSPECIFIED.into()
                },
                0,
            );
            let state = match (protocol, State::ALL[state], connected) {
                (Protocol::Tcp | Protocol::Mptcp, State::Unconnected, _) => State::Bound,
                (Protocol::Tcp | Protocol::Mptcp, state, _) => state,
                (_, _, true) => State::Established,
                _ => State::Unconnected,
            };
            let remote = match state {
                State::Listen | State::Bound | State::Unconnected => nobody,
                _ => remote,
            };
            (table, socket(protocol, state, local, remote))
        })
    })
}

fn may_match(socket: Socket, selection: &Selection) -> bool {
    let listing = Listing::new(vec![socket], Holdings::not_asked());
    let row = listing.rows().get(0).unwrap();
    matches(&row, selection) != Some(false)
}

/// Sockets that may be the other end of one: those that the listing would join with it.
fn others(socket: &Socket) -> Vec<Socket> {
    let (local, remote) = socket.endpoints().unwrap();
    let mut found = Vec::new();
    for state in State::ALL {
        let mirrored = super::socket(socket.protocol, state, remote, local);
        let (v4, v6) = (mirrored.clone(), in_v6(&mirrored));
        for other in [Some(v4), v6, in_v4(&mirrored)].into_iter().flatten() {
            let pair = Listing::new(vec![socket.clone(), other.clone()], Holdings::not_asked());
            let peer = pair.rows().get(0).unwrap().peer().is_some();
            let alone = matches!(state, State::Listen | State::Bound | State::Unconnected);
            if peer && !alone {
                found.push(other);
            }
        }
    }
    found
}

fn in_v6(socket: &Socket) -> Option<Socket> {
    let (local, remote) = socket.endpoints()?;
    let mapped = |end: Endpoint| match end.address {
        IpAddr::V4(v4) => Some(Endpoint::new(v4.to_ipv6_mapped().into(), end.port)),
        IpAddr::V6(_) => None,
    };
    let (local, remote) = (mapped(local)?, mapped(remote)?);
    Some(super::socket(socket.protocol, socket.state, local, remote))
}

fn in_v4(socket: &Socket) -> Option<Socket> {
    let (local, remote) = socket.endpoints()?;
    let plain = |end: Endpoint| match end.address.to_canonical() {
        IpAddr::V4(v4) => Some(Endpoint::new(v4.into(), end.port)),
        IpAddr::V6(_) => None,
    };
    let (local, remote) = (plain(local)?, plain(remote)?);
    Some(super::socket(socket.protocol, socket.state, local, remote))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_may_be_selected_is_listed_once(selection in selection(), (table, socket) in row()) {
        let wanted = may_match(socket.clone(), &selection)
            || socket.state == State::Listen
            || others(&socket).into_iter().any(|other| may_match(other, &selection));
        let mut scopes = vec![Scope::Table(table)];
        if matches!(table, Table::Tcp | Table::Tcp6) {
            scopes.push(Scope::Tcp);
        }
        for scope in scopes {
            let listed = listed(&passes(scope, &selection, false), &socket);
            prop_assert!(listed || !wanted, "{:?} {:?} {:?}", scope, selection, socket);
        }
    }

    /// Two threads list what one does, and neither what the other does.
    #[test]
    fn two_shares_are_the_whole(
        selection in selection(),
        (_, socket) in row().prop_filter("tcp", |(table, _)| {
            matches!(table, Table::Tcp | Table::Tcp6)
        }),
        local: u16,
        remote: u16,
    ) {
        let mut socket = socket;
        if let Address::Inet { local: here, remote: there } = &mut socket.address {
            here.port = local;
            if !there.is_unspecified() {
                there.port = remote;
            }
        }
        for selection in [selection, Selection::everything()] {
            let whole = passes(Scope::Tcp, &selection, false);
            let in_share = |share: Share| listed(&share.of(whole.clone()), &socket);
            let times = usize::from(in_share(Share::High)) + usize::from(in_share(Share::Low));
            prop_assert_eq!(times, usize::from(in_share(Share::Whole)));
            prop_assert_eq!(in_share(Share::Whole), listed(&whole, &socket));
        }
    }

    /// Of what the kernel can decide it decides all, unless it is about a state: one program is
    /// for all states.
    #[test]
    fn what_is_not_selected_is_left_out(
        ports in proptest::collection::vec((end(), comparison(), port()), 1..4),
        networks in proptest::collection::vec(
            network().prop_filter("mapped", |network| !network.holds_mapped()),
            1..4,
        ),
        hosts in proptest::collection::vec(address(false), 1..3),
        (table, socket) in row(),
        negated: bool,
    ) {
        prop_assume!(socket.state != State::Listen);
        let selection = Selection::Any(vec![
            Selection::All(vec![
                Selection::one_of(ports.into_iter().map(|(end, is, port)| Test::EndPort {
                    end,
                    is,
                    port,
                })),
                Selection::one_of(networks.into_iter().map(|network| Test::EndAddress {
                    end: End::Local,
                    network,
                })),
            ]),
            Selection::one_of(hosts.into_iter().map(Test::Host)),
        ]);
        let selection = if negated {
            Selection::Not(Box::new(selection))
        } else {
            selection
        };
        let (local, remote) = socket.endpoints().unwrap();
        let mirrored = super::socket(socket.protocol, socket.state, remote, local);
        let wanted = may_match(socket.clone(), &selection)
            || socket.protocol != Protocol::Raw && may_match(mirrored, &selection);
        let listed = listed(&passes(Scope::Table(table), &selection, false), &socket);
        prop_assert_eq!(listed, wanted, "{:?} {:?}", selection, socket);
    }
}
