//! sock_diag and /proc/net tell the same of the same sockets, each as far as it tells.

use std::collections::BTreeMap;

use inspect::model::{Cookie, Family, ForeignText, Inode, Protocol, State, Uid, UnixAddress};
use inspect::sockets::{Address, Choice, Detail, Query, Socket, Table, TimerKind};

use crate::{ALL_DETAILS, World, source_of};

/// What /proc/net tells of a socket, in an order.
fn as_proc_tells(mut socket: Socket) -> String {
    socket.cookie = None;
    socket.interface = None;
    socket.detail = None;
    if socket.state == State::Listen || socket.family == Family::Packet {
        socket.send_queue = None;
    }
    match (socket.family, socket.state) {
        // /proc/net shows the listener's user, sock_diag nobody's.
        (Family::Inet | Family::Inet6, State::SynRecv) => socket.uid = None,
        (Family::Unix, _) => {
            socket.uid = None;
            socket.recv_queue = None;
            socket.send_queue = None;
        }
        _ => {}
    }
    match &mut socket.address {
        Address::Unix { name, peer } => {
            *peer = None;
            // /proc/net shows each NUL as `@`.
            if let UnixAddress::Abstract(text) = name {
                let shown: Vec<u8> = text
                    .as_bytes()
                    .iter()
                    .map(|byte| if *byte == 0 { b'@' } else { *byte })
                    .collect();
                *name = UnixAddress::Abstract(ForeignText::new(shown));
            }
        }
        // The kernel's end of the channel that asks.
        Address::Netlink {
            protocol: 4,
            port_id: 0,
        } => socket.recv_queue = None,
        _ => {}
    }
    format!("{socket:?}")
}

/// A socket that /proc/net does not show.
fn only_in_diag(socket: &Socket) -> bool {
    socket.protocol == Protocol::Mptcp
        || socket.protocol == Protocol::Tcp && matches!(socket.state, State::Bound | State::Closed)
}

fn rows(sockets: &[Socket], table: Table) -> Vec<String> {
    let mut rows: Vec<String> = sockets
        .iter()
        .filter(|socket| socket.family == table.family())
        .filter(|socket| table.protocol().is_none_or(|own| own == socket.protocol))
        .filter(|socket| !only_in_diag(socket))
        .cloned()
        .map(as_proc_tells)
        .collect();
    rows.sort();
    rows
}

#[test]
fn both_sources_tell_the_same_of_every_family() {
    let Some(world) = World::new("both_sources_tell_the_same_of_every_family") else {
        return;
    };
    let query = Query::all_of(Table::ALL);
    let proc = world.look(Choice::Proc, &query);
    let diag = world.look(Choice::Auto, &query);
    let again = world.look(Choice::Proc, &query);
    assert_eq!(diag.gaps, []);
    assert_eq!(diag.cut, []);
    let mut listed = BTreeMap::new();
    for table in Table::ALL {
        let (told, expected) = (rows(&diag.sockets, table), rows(&proc.sockets, table));
        // Timers may move a connection on between two looks.
        if told != expected {
            assert_eq!(told, rows(&again.sockets, table), "{table:?}");
        }
        listed.insert(table, told.len());
    }
    // The comparison is worth something: nothing is empty that the world has sockets of.
    for table in [
        Table::Tcp,
        Table::Tcp6,
        Table::Udp,
        Table::Udp6,
        Table::Raw,
        Table::Raw6,
        Table::Icmp,
        Table::Unix,
        Table::Netlink,
        Table::Packet,
    ] {
        assert!(listed[&table] > 0, "{table:?} {listed:?}");
    }
    for table in [Table::Tcp, Table::Tcp6, Table::Udp, Table::Unix] {
        assert_eq!(source_of(&diag, table), Some("diag"), "{table:?}");
        assert_eq!(source_of(&proc, table), Some("proc"), "{table:?}");
    }
    assert_eq!(source_of(&diag, Table::Icmp), Some("proc"));
    let states = |state| {
        diag.sockets
            .iter()
            .filter(|socket| socket.protocol == Protocol::Tcp && socket.state == state)
            .count()
    };
    for state in State::ALL {
        let expected = match state {
            State::Unconnected | State::Closing | State::LastAck | State::FinWait1 => 0..=0,
            _ => 1..=usize::MAX,
        };
        assert!(expected.contains(&states(state)), "{state:?}");
    }
}

fn with_port(sockets: &[Socket], port: u16, state: State) -> Socket {
    let found: Vec<&Socket> = sockets
        .iter()
        .filter(|socket| socket.state == state)
        .filter(|socket| {
            socket
                .endpoints()
                .is_some_and(|(local, _)| local.port == port)
        })
        .collect();
    assert!(!found.is_empty(), "{port} {state:?}");
    found[0].clone()
}

#[test]
fn sock_diag_tells_what_proc_does_not() {
    let Some(world) = World::new("sock_diag_tells_what_proc_does_not") else {
        return;
    };
    let mut query = Query::all_of(Table::ALL);
    let plain = world.look(Choice::Diag, &query).sockets;
    query.details = ALL_DETAILS;
    let full = world.look(Choice::Diag, &query).sockets;
    let detail = |port, state| -> Detail { *with_port(&full, port, state).detail.unwrap() };

    let listener = with_port(&plain, 2345, State::Listen);
    assert_eq!(
        (listener.recv_queue, listener.send_queue),
        (Some(1), Some(16))
    );
    assert_eq!(listener.uid, Some(Uid(0)));
    assert_eq!(with_port(&plain, 2346, State::Listen).uid, Some(Uid(1234)));
    let waiting = plain.iter().find(|socket| {
        socket.state == State::Established
            && socket.inode.is_none()
            && socket.recv_queue == Some(16)
    });
    assert!(waiting.is_some(), "it waits for accept");

    // Whom an IPv6 port belongs to is told without being asked for.
    for (port, v6_only) in [(2352, true), (2353, true), (2354, false)] {
        let listener = with_port(&plain, port, State::Listen);
        assert_eq!(listener.detail.unwrap().v6_only, Some(v6_only), "{port}");
    }
    let bound = with_port(&plain, 2350, State::Bound);
    assert_eq!((bound.uid, bound.detail), (Some(Uid(0)), None));
    let reset = with_port(&plain, 2351, State::Closed);
    assert_eq!(reset.endpoints().unwrap().1.port, 2347);

    let cookies: std::collections::BTreeSet<Cookie> =
        plain.iter().filter_map(|socket| socket.cookie).collect();
    let with_cookie = plain
        .iter()
        .filter(|socket| socket.cookie.is_some())
        .count();
    assert_eq!(cookies.len(), with_cookie, "each cookie once");
    for socket in &plain {
        let waits = socket.family == Family::Unix && socket.inode.is_none();
        assert!(socket.cookie.is_some() || waits, "{socket:?}");
    }

    assert_eq!(
        detail(2347, State::CloseWait).timer.unwrap().kind,
        TimerKind::Off
    );
    let time_wait = full.iter().find(|socket| socket.state == State::TimeWait);
    let timer = time_wait.unwrap().detail.as_ref().unwrap().timer.unwrap();
    assert_eq!(timer.kind, TimerKind::TimeWait);
    assert!((1..=60_000).contains(&timer.expires_ms), "{timer:?}");
    assert_eq!(
        detail(2349, State::SynRecv).timer.unwrap().kind,
        TimerKind::Retransmit
    );

    let server = detail(2354, State::Established);
    let tcp = server.tcp.unwrap();
    assert!(
        tcp.rtt_us.unwrap() > 0 && tcp.congestion_window.unwrap() > 0,
        "{tcp:?}"
    );
    assert!(server.congestion.is_some() && server.memory.unwrap().receive_limit > Some(0));
    assert!(server.cgroup.is_some() && server.mark == Some(0));
    let closed = detail(2347, State::CloseWait).shutdown.unwrap();
    assert_eq!((closed.receive, closed.send), (true, false));

    // An MPTCP listener is a socket of its own over one of TCP.
    if plain
        .iter()
        .any(|socket| socket.protocol == Protocol::Mptcp)
    {
        let listeners: Vec<&Socket> = full
            .iter()
            .filter(|socket| socket.state == State::Listen)
            .filter(|socket| {
                socket
                    .endpoints()
                    .is_some_and(|(local, _)| local.port == 2356)
            })
            .collect();
        let rides: Vec<_> = listeners
            .iter()
            .map(|socket| (socket.protocol, socket.detail.as_ref().unwrap().rides))
            .collect();
        assert!(
            rides.contains(&(Protocol::Tcp, Some(Protocol::Mptcp))),
            "{rides:?}"
        );
        assert!(rides.contains(&(Protocol::Mptcp, None)), "{rides:?}");
    }
}

#[test]
fn unix_sockets_have_names_peers_and_queues() {
    let Some(world) = World::new("unix_sockets_have_names_peers_and_queues") else {
        return;
    };
    let sockets = world
        .look(Choice::Diag, &Query::all_of([Table::Unix]))
        .sockets;
    let named = |wanted: &UnixAddress| -> Vec<&Socket> {
        let has_name = |socket: &&Socket| match &socket.address {
            Address::Unix { name, .. } => name == wanted,
            _ => false,
        };
        sockets.iter().filter(has_name).collect()
    };
    let path = UnixAddress::Path(ForeignText::new(&b"a (strange) \xff\xe2\x80\xae name"[..]));
    let (listeners, servers): (Vec<&Socket>, Vec<&Socket>) = named(&path)
        .into_iter()
        .partition(|socket| socket.state == State::Listen);
    let [listener] = listeners[..] else {
        panic!("{listeners:?}");
    };
    assert_eq!(
        (listener.recv_queue, listener.send_queue),
        (Some(2), Some(7))
    );
    assert!(
        world.folder().read_dir().unwrap().count() == 1,
        "it is in the file system"
    );

    // Of three clients one was accepted; two wait, and their server's ends have no inode.
    let clients: Vec<Inode> = servers
        .iter()
        .map(|socket| match socket.address {
            Address::Unix {
                peer: Some(peer), ..
            } => peer,
            _ => panic!("{socket:?}"),
        })
        .collect();
    assert_eq!(clients.len(), 3);
    let waiting = servers.iter().filter(|socket| socket.inode.is_none());
    assert_eq!(waiting.count(), 2);
    for client in clients {
        let found = sockets.iter().find(|socket| socket.inode == Some(client));
        assert_eq!(found.unwrap().protocol, Protocol::UnixStream);
    }

    let name = UnixAddress::Abstract(ForeignText::new(&b"abstract \0 name"[..]));
    let datagram = named(&name)[0];
    assert_eq!(datagram.recv_queue, Some(6));
    let sender = sockets.iter().find(|socket| match socket.address {
        Address::Unix { peer, .. } => peer.is_some() && peer == datagram.inode,
        _ => false,
    });
    assert_eq!(sender.unwrap().protocol, Protocol::UnixDatagram);
    assert!(
        sockets
            .iter()
            .all(|socket| { socket.uid.is_some() || socket.inode.is_none() })
    );
}
