//! The rows of netstat on the same state, of the families that it lists.

use std::collections::BTreeSet;

use inspect::model::{Protocol, State, UnixAddress};
use inspect::sockets::{Address, Choice, Query, Socket, Table};

use crate::World;
use crate::support::have_program;

/// netstat's words (lib of net-tools, statistics apart) are those of the kernel's names.
fn state(socket: &Socket) -> &'static str {
    match (socket.protocol, socket.state) {
        // Of raw sockets the number (include/net/tcp_states.h).
        (Protocol::Raw, State::Established) => "1",
        (Protocol::Raw, _) => "7",
        (_, State::Unconnected) => "",
        (_, state) => state.word(),
    }
}

fn row(socket: &Socket) -> String {
    let (local, remote) = socket.endpoints().unwrap();
    let end = |end: inspect::model::Endpoint| match end.port {
        0 => format!("{}:*", end.address.to_canonical()),
        port => format!("{}:{port}", end.address.to_canonical()),
    };
    let v6 = if local.address.is_ipv6() { "6" } else { "" };
    // /proc/net has no limit of an accept queue, and netstat writes 0 for want of a user.
    let send_queue = match socket.state {
        State::Listen => 0,
        _ => socket.send_queue.unwrap(),
    };
    let columns = [
        format!("{}{v6}", socket.protocol.word()),
        socket.recv_queue.unwrap().to_string(),
        send_queue.to_string(),
        end(local),
        end(remote),
        state(socket).to_owned(),
        socket.uid.map_or(0, |uid| uid.0).to_string(),
        socket.inode.map_or(0, |inode| inode.0).to_string(),
    ];
    columns
        .into_iter()
        .filter(|column| !column.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The rows, apart from headings.
fn printed(world: &World, flags: &[&str]) -> BTreeSet<String> {
    let printed = world.output("netstat", flags);
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let rows = printed.lines().skip(2).map(words);
    rows.collect()
}

#[test]
fn tcp_udp_and_raw_rows_are_those_of_netstat() {
    let test = "tcp_udp_and_raw_rows_are_those_of_netstat";
    let Some(world) = World::new(test) else {
        return;
    };
    if !have_program("netstat", test) {
        return;
    }
    let tables = [
        Table::Tcp,
        Table::Tcp6,
        Table::Udp,
        Table::Udp6,
        Table::Raw,
        Table::Raw6,
    ];
    let ours = || -> BTreeSet<String> {
        let found = world.look(Choice::Auto, &Query::all_of(tables)).sockets;
        // /proc/net does not list what is bound and does not listen.
        let listed = found.iter().filter(|socket| {
            socket.protocol != Protocol::Tcp
                || !matches!(socket.state, State::Bound | State::Closed)
        });
        listed.map(row).collect()
    };
    let before = ours();
    let theirs = printed(&world, &["-tuwaneW"]);
    assert!(theirs.len() > 30, "{theirs:#?}");
    // Timers may move a connection on between two looks.
    if before != theirs {
        assert_eq!(ours(), theirs);
    }
}

#[test]
fn unix_rows_are_those_of_netstat() {
    let test = "unix_rows_are_those_of_netstat";
    let Some(world) = World::new(test) else {
        return;
    };
    if !have_program("netstat", test) {
        return;
    }
    let look = world.look(Choice::Diag, &Query::all_of([Table::Unix]));
    let ours: BTreeSet<(String, String, bool)> = look
        .sockets
        .iter()
        .map(|socket| {
            let Address::Unix { name, .. } = &socket.address else {
                panic!("{socket:?}");
            };
            let kind = match socket.protocol {
                Protocol::UnixStream => "STREAM",
                Protocol::UnixDatagram => "DGRAM",
                _ => "SEQPACKET",
            };
            // What waits for accept() has no inode; netstat says CONNECTING.
            let state = match (socket.state, socket.inode) {
                (State::Listen, _) => "LISTENING",
                (State::Established, None) => "CONNECTING",
                (State::Established, Some(_)) => "CONNECTED",
                _ => "",
            };
            let inode = socket.inode.map_or(0, |inode| inode.0);
            let columns = [kind, state, &inode.to_string()].join(" ");
            let columns = columns.split_whitespace().collect::<Vec<_>>().join(" ");
            (columns, inode.to_string(), *name != UnixAddress::Unnamed)
        })
        .collect();
    // `unix 3 [ ACC ] STREAM LISTENING 63804841 a`: a name may hold anything, so only whether
    // there is one is compared here; names are compared with ss.
    let theirs: BTreeSet<(String, String, bool)> = printed(&world, &["-xan"])
        .into_iter()
        .filter(|line| line.starts_with("unix "))
        .map(|line| {
            let (_, rest) = line.split_once("] ").unwrap();
            let words: Vec<&str> = rest.split(' ').collect();
            let place = words.iter().position(|word| word.parse::<u64>().is_ok());
            let place = place.unwrap();
            let columns = words[..=place].join(" ");
            (columns, words[place].to_owned(), words.len() > place + 1)
        })
        .collect();
    assert!(theirs.len() > 10, "{theirs:#?}");
    assert_eq!(ours, theirs);
}
