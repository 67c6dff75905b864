//! What the kernel is told to leave out: never what is selected, nor the other end of it.

mod any;
mod kernel;

use std::net::IpAddr;

use super::super::filter::{Pass, passes};
use super::super::share::{Share, divides};
use super::*;
use crate::model::{Family, Pid, Protocol, State, Uid};
use crate::selection::{Comparison, End, Network, Numbers, Selection, Test, parse};
use crate::sockets::Query;
use kernel::{audit, run};

const TCP: Scope = Scope::Table(Table::Tcp);
const TCP6: Scope = Scope::Table(Table::Tcp6);

/// The kernel's number of a state.
fn bit(socket: &Socket) -> u32 {
    let number = match (socket.protocol, socket.state) {
        (Protocol::Tcp | Protocol::Mptcp, State::Bound | State::Closed) => 13,
        (_, State::Unconnected) => 7,
        (_, state) => (1..=13)
            .find(|number| State::from_tcp_number(*number) == Some(state))
            .unwrap(),
    };
    1 << number
}

fn listed(passes: &[Pass], socket: &Socket) -> bool {
    let times = passes
        .iter()
        .filter(|pass| pass.states & bit(socket) != 0)
        .filter(|pass| {
            pass.bytecode.as_ref().is_none_or(|program| {
                audit(program);
                run(program, socket)
            })
        })
        .count();
    assert!(times < 2, "listed by two dumps");
    times == 1
}

fn socket(protocol: Protocol, state: State, local: Endpoint, remote: Endpoint) -> Socket {
    let family = match local.address {
        IpAddr::V4(_) => Family::Inet,
        IpAddr::V6(_) => Family::Inet6,
    };
    Socket {
        family,
        protocol,
        state,
        address: Address::Inet { local, remote },
        recv_queue: None,
        send_queue: None,
        inode: None,
        cookie: None,
        uid: None,
        netns: None,
        interface: None,
        detail: None,
    }
}

fn tcp(state: State, local: &str, remote: &str) -> Socket {
    let end = |text: &str| {
        let address: std::net::SocketAddr = text.parse().unwrap();
        Endpoint::new(address.ip(), address.port())
    };
    socket(Protocol::Tcp, state, end(local), end(remote))
}

fn any_of(tests: &[Test]) -> Selection {
    Selection::one_of(tests.iter().cloned())
}

fn all_of(tests: &[Test]) -> Selection {
    Selection::All(tests.iter().cloned().map(Selection::Test).collect())
}

fn host(text: &str) -> Test {
    Test::Host(text.parse().unwrap())
}

#[test]
fn everything_is_one_dump_without_a_program() {
    let everything = Query::all_of(Table::ALL).selection;
    for table in Table::ALL {
        let found = passes(Scope::Table(table), &everything, false);
        assert_eq!(found.len(), 1, "{table:?}");
        assert_eq!(found[0].bytecode, None, "{table:?}");
    }
    assert_eq!(passes(Scope::Tcp, &everything, false).len(), 1);
}

#[test]
fn clients_ports_divide_connections_in_two() {
    let whole = passes(Scope::Tcp, &Selection::everything(), false);
    for (state, local, remote, high) in [
        (State::Listen, "127.0.0.1:50000", "0.0.0.0:0", false),
        (State::Bound, "127.0.0.1:50000", "0.0.0.0:0", false),
        (State::Established, "127.0.0.1:50000", "127.0.0.1:80", true),
        (State::Established, "127.0.0.1:80", "127.0.0.1:50000", true),
        (State::Established, "127.0.0.1:33000", "127.0.0.1:80", false),
        (State::TimeWait, "127.0.0.1:80", "127.0.0.1:33000", false),
    ] {
        let socket = tcp(state, local, remote);
        assert_eq!(listed(&Share::High.of(whole.clone()), &socket), high);
        assert_eq!(listed(&Share::Low.of(whole.clone()), &socket), !high);
    }
    for (words, expected) in [
        ("state all", true),
        ("pid = 7", true),
        ("state established", true),
        ("state listening", false),
        ("sport = :80", false),
    ] {
        let selection = parse(words, &Numbers).unwrap().selection;
        assert_eq!(divides(Scope::Tcp, &selection), expected, "{words}");
        assert!(!divides(TCP, &selection));
    }
}

#[test]
fn a_port_leaves_out_other_ports_and_no_listener() {
    let found = passes(Scope::Tcp, &any_of(&[Test::Port(2345)]), false);
    for (state, local, remote, expected) in [
        (State::Listen, "127.0.0.1:80", "0.0.0.0:0", true),
        (State::Bound, "127.0.0.1:80", "0.0.0.0:0", false),
        (State::Bound, "127.0.0.1:2345", "0.0.0.0:0", true),
        (State::Established, "127.0.0.1:80", "127.0.0.1:5000", false),
        (State::Established, "127.0.0.1:2345", "127.0.0.1:5000", true),
        (State::TimeWait, "127.0.0.1:5000", "127.0.0.1:2345", true),
        (State::SynRecv, "[::1]:5000", "[::1]:2345", true),
        (State::SynRecv, "[::1]:5000", "[::1]:2346", false),
    ] {
        let socket = tcp(state, local, remote);
        assert_eq!(listed(&found, &socket), expected, "{socket:?}");
    }
}

#[test]
fn listeners_alone_are_one_dump_that_reads_no_connection() {
    let found = passes(Scope::Tcp, &any_of(&[Test::State(State::Listen)]), false);
    assert_eq!(found, [Pass::new(1 << 10, None)]);
}

#[test]
fn a_state_keeps_the_other_end_whatever_its_state() {
    let found = passes(
        TCP,
        &all_of(&[Test::State(State::CloseWait), Test::Port(80)]),
        false,
    );
    for (state, local, remote, expected) in [
        (State::CloseWait, "127.0.0.1:80", "127.0.0.1:5000", true),
        (State::FinWait2, "127.0.0.1:5000", "127.0.0.1:80", true),
        (State::FinWait2, "127.0.0.1:5000", "127.0.0.1:81", false),
    ] {
        let socket = tcp(state, local, remote);
        assert_eq!(listed(&found, &socket), expected, "{socket:?}");
    }
}

#[test]
fn an_address_is_found_in_its_v4_mapped_form_too() {
    for word in ["127.0.0.1", "::ffff:127.0.0.1"] {
        for scope in [TCP, TCP6, Scope::Tcp] {
            let found = passes(scope, &any_of(&[host(word)]), false);
            for (local, expected) in [
                ("127.0.0.1:80", scope != TCP6),
                ("[::ffff:127.0.0.1]:80", scope != TCP),
                ("127.0.0.2:80", false),
                ("[::1]:80", false),
                ("[::ffff:127.0.0.2]:80", false),
            ] {
                let socket = tcp(State::Established, local, local);
                let of_scope = match scope {
                    Scope::Table(table) => table.family() == socket.family,
                    Scope::Tcp => true,
                };
                if of_scope {
                    assert_eq!(
                        listed(&found, &socket),
                        expected,
                        "{word} {local} {scope:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_v4_socket_stays_for_its_v6_peer() {
    // The selected one may be `::ffff:127.0.0.1`, with this at the other end.
    let selection = all_of(&[Test::Family(Family::Inet6), Test::Port(80)]);
    let found = passes(Scope::Tcp, &selection, false);
    for (local, remote, expected) in [
        ("127.0.0.1:80", "127.0.0.1:5000", true),
        ("127.0.0.1:81", "127.0.0.1:5000", false),
        ("[::1]:80", "[::1]:5000", true),
    ] {
        let socket = tcp(State::Established, local, remote);
        assert_eq!(listed(&found, &socket), expected, "{socket:?}");
    }
}

#[test]
fn an_owner_or_a_user_is_not_for_the_kernel_to_decide() {
    for test in [Test::Pid(Pid(1)), Test::User(Uid(0))] {
        let found = passes(TCP, &any_of(std::slice::from_ref(&test)), false);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].bytecode, None);
        let not = Selection::Not(Box::new(Selection::Test(test.clone())));
        assert_eq!(passes(TCP, &not, false)[0].bytecode, None);
        // But what it is joined with may decide.
        let found = passes(TCP, &all_of(&[test, Test::Port(80)]), false);
        assert!(found[1].bytecode.is_some());
    }
}

#[test]
fn tables_without_ports_and_addresses_are_not_read_for_them() {
    for test in [Test::Port(80), host("127.0.0.1")] {
        for table in [Table::Unix, Table::Netlink, Table::Packet, Table::Vsock] {
            let found = passes(
                Scope::Table(table),
                &any_of(std::slice::from_ref(&test)),
                false,
            );
            assert_eq!(found, [], "{table:?} {test:?}");
        }
    }
    // A raw socket has an address, and in place of a port its protocol.
    let raw = Scope::Table(Table::Raw);
    assert_eq!(passes(raw, &any_of(&[Test::Port(1)]), false), []);
    assert_eq!(passes(raw, &any_of(&[host("127.0.0.1")]), false).len(), 1);
}

#[test]
fn a_selection_too_long_for_the_kernel_is_left_to_the_listing() {
    let ports: Vec<Test> = (1..2_000).map(Test::Port).collect();
    let found = passes(TCP, &any_of(&ports), false);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].bytecode, None);
}

#[test]
fn the_words_of_ss_are_understood_by_the_kernel() {
    for (words, local, remote, expected) in [
        ("sport = :80", "127.0.0.1:80", "127.0.0.1:5000", true),
        // The other end.
        ("sport = :80", "127.0.0.1:5000", "127.0.0.1:80", true),
        ("sport = :80", "127.0.0.1:5000", "127.0.0.1:81", false),
        (
            "sport > :1000 and dport < :1000",
            "127.0.0.1:80",
            "127.0.0.1:81",
            false,
        ),
        (
            "sport > :1000 and dport < :1000",
            "127.0.0.1:1001",
            "127.0.0.1:81",
            true,
        ),
        (
            "sport > :1000 and dport < :1000",
            "127.0.0.1:81",
            "127.0.0.1:1001",
            true,
        ),
        ("dst 10.0.0.0/8", "127.0.0.1:80", "10.1.2.3:5000", true),
        ("dst 10.0.0.0/8", "10.1.2.3:80", "127.0.0.1:5000", true),
        ("dst 10.0.0.0/8", "11.1.2.3:80", "127.0.0.1:5000", false),
        (
            "dst 10.0.0.0/8",
            "[::ffff:10.1.2.3]:80",
            "[::ffff:1.2.3.4]:5000",
            true,
        ),
        (
            "dst 10.0.0.0/8 and pid = 7",
            "[::ffff:11.1.2.3]:80",
            "[::1]:5000",
            false,
        ),
        (
            "not ( dst 10.0.0.0/8 or sport = :22 )",
            "10.0.0.1:22",
            "10.0.0.1:22",
            false,
        ),
        (
            "rtt > 5ms and dport = :80",
            "10.0.0.1:22",
            "10.0.0.1:23",
            false,
        ),
    ] {
        let selection = parse(words, &Numbers).unwrap().selection;
        let found = passes(Scope::Tcp, &selection, false);
        let socket = tcp(State::Established, local, remote);
        assert_eq!(
            listed(&found, &socket),
            expected,
            "{words} {local} {remote}"
        );
    }
}
