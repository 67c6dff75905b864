//! A selection that the kernel helps to decide finds what it finds without that.

use inspect::listing::{Listing, Row};
use inspect::owners::Holdings;
use inspect::selection::{Numbers, Selection, parse};
use inspect::sockets::{Choice, Query, Socket, Table};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::World;

const TABLES: [Table; 10] = [
    Table::Tcp,
    Table::Tcp6,
    Table::Udp,
    Table::Udp6,
    Table::Raw,
    Table::Raw6,
    Table::Mptcp,
    Table::Mptcp6,
    Table::Unix,
    Table::Netlink,
];

/// An expression of a few tests about the sockets of the world.
fn expression() -> impl Strategy<Value = String> {
    let ports = prop_oneof![2343u16..2358, Just(1), Just(32_768), Just(50_000)];
    let test = prop_oneof![
        ports.clone().prop_map(|port| format!(":{port}")),
        (
            proptest::sample::select(vec!["sport", "dport"]),
            proptest::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]),
            ports,
        )
            .prop_map(|(end, is, port)| format!("{end} {is} :{port}")),
        (
            proptest::sample::select(vec!["src", "dst"]),
            proptest::sample::select(vec![
                "127.0.0.1",
                "127.0.0.0/8",
                "127.0.0.2/31",
                "0.0.0.0/0",
                "[::1]",
                "[::]/0",
                "[::ffff:127.0.0.0]/104",
                "[2001:db8::]/32",
            ]),
        )
            .prop_map(|(end, network)| format!("{end} {network}")),
        proptest::sample::select(vec![
            "host 127.0.0.1",
            "state established",
            "state listening",
            "state connected",
            "state time-wait",
            "state close-wait",
            "state syn-recv",
            "state unconnected",
            "protocol = udp",
            "protocol = tcp",
            "family = inet6",
            "user = 1234",
            "pid = 1",
            "recvq > 0",
        ])
        .prop_map(str::to_owned),
    ];
    test.prop_recursive(3, 12, 3, |part| {
        prop_oneof![
            (part.clone(), part.clone()).prop_map(|(a, b)| format!("( {a} and {b} )")),
            (part.clone(), part.clone()).prop_map(|(a, b)| format!("( {a} or {b} )")),
            part.prop_map(|a| format!("not ( {a} )")),
        ]
    })
}

/// A row that stays the same while connections are opened and answered elsewhere.
fn told(row: &Row<'_>) -> String {
    let peer = row.peer().map(|peer| peer.socket.endpoints());
    let socket = Socket {
        recv_queue: None,
        send_queue: None,
        ..row.socket.clone()
    };
    format!("{socket:?} {:?} {peer:?}", row.side)
}

/// What the listing selects of some sockets, with peers and sides.
fn selected(sockets: Vec<Socket>, selection: &Selection) -> (Vec<String>, usize) {
    let listing = Listing::new(sockets, Holdings::not_asked());
    let mut rows = listing.rows();
    let undecided = rows.select(selection);
    let mut told: Vec<String> = rows.iter().map(|row| told(&row)).collect();
    told.sort();
    (told, undecided)
}

#[test]
fn what_the_kernel_leaves_out_is_not_missed() {
    let Some(world) = World::new("what_the_kernel_leaves_out_is_not_missed") else {
        return;
    };
    let everything = Query::all_of(TABLES);
    let mut all = world.look(Choice::Auto, &everything).sockets;
    let mut runner = TestRunner::deterministic();
    let (mut narrowed, mut found) = (0, 0);
    for _ in 0..150 {
        let words = expression().new_tree(&mut runner).unwrap().current();
        let selection = parse(&words, &Numbers).unwrap().selection;
        let query = Query {
            selection: selection.clone(),
            ..everything.clone()
        };
        let some = world.look(Choice::Auto, &query);
        assert_eq!(some.gaps, [], "{words}");
        narrowed += usize::from(some.sockets.len() < all.len());
        let got = selected(some.sockets, &selection);
        let mut expected = selected(all.clone(), &selection);
        if got != expected {
            // Timers may have moved a connection on.
            all = world.look(Choice::Auto, &everything).sockets;
            expected = selected(all.clone(), &selection);
        }
        found += expected.0.len();
        let missed: Vec<&String> = expected.0.iter().filter(|it| !got.0.contains(it)).collect();
        let added: Vec<&String> = got.0.iter().filter(|it| !expected.0.contains(it)).collect();
        assert!(
            got == expected,
            "{words}: undecided {} of {}\nmissed {missed:#?}\nadded {added:#?}",
            got.1,
            expected.1
        );
    }
    // The comparison is worth something.
    assert!(narrowed > 50, "{narrowed}");
    assert!(found > 500, "{found}");
}

#[test]
fn a_port_is_found_without_reading_the_others() {
    let Some(world) = World::new("a_port_is_found_without_reading_the_others") else {
        return;
    };
    let query = Query {
        selection: parse(":2354", &Numbers).unwrap().selection,
        ..Query::all_of([Table::Tcp, Table::Tcp6, Table::Udp, Table::Unix])
    };
    let sockets = world.look(Choice::Diag, &query).sockets;
    for socket in &sockets {
        let (local, remote) = socket.endpoints().unwrap();
        let named = local.port == 2354 || remote.port == 2354;
        let listens = socket.state == inspect::model::State::Listen;
        assert!(named || listens, "{socket:?}");
    }
    // Two connections with both ends, and the listener.
    let named = sockets.iter().filter(|socket| {
        let (local, remote) = socket.endpoints().unwrap();
        local.port == 2354 || remote.port == 2354
    });
    assert_eq!(named.count(), 5);
}
