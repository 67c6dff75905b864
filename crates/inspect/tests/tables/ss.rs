//! The rows of ss on the same state, family by family.

use std::collections::BTreeMap;

use inspect::model::{Family, Protocol, State, UnixAddress};
use inspect::sockets::{Address, Choice, Query, Socket, Table};

use crate::World;
use crate::support::have_program;

/// State, queues and ends, as ss writes them with `-n`, and how often.
type Rows = BTreeMap<String, usize>;

fn counted(rows: impl Iterator<Item = String>) -> Rows {
    let mut counted = Rows::new();
    for row in rows {
        *counted.entry(row).or_default() += 1;
    }
    counted
}

/// The word of ss for a state (misc/ss.c `sstate_name`).
fn word(state: State) -> &'static str {
    match state {
        State::Listen => "LISTEN",
        State::Bound | State::Unconnected | State::Closed => "UNCONN",
        State::SynSent => "SYN-SENT",
        State::SynRecv => "SYN-RECV",
        State::Established => "ESTAB",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::CloseWait => "CLOSE-WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST-ACK",
        State::TimeWait => "TIME-WAIT",
    }
}

fn queues(socket: &Socket) -> String {
    format!(
        "{} {} {}",
        word(socket.state),
        socket.recv_queue.unwrap(),
        socket.send_queue.unwrap()
    )
}

fn inet_row(socket: &Socket) -> String {
    let (local, remote) = socket.endpoints().unwrap();
    let end = |end: inspect::model::Endpoint| {
        let port = match end.port {
            0 => "*".to_owned(),
            port => port.to_string(),
        };
        match end.address {
            std::net::IpAddr::V4(v4) => format!("{v4}:{port}"),
            std::net::IpAddr::V6(v6) => format!("[{v6}]:{port}"),
        }
    };
    let mut local = end(local);
    let mut remote = end(remote);
    // ss writes `*` for the unspecified address of a socket that takes IPv4 as well; whether it
    // does is told of listeners and unconnected sockets only.
    let v6_only = socket.detail.as_ref().and_then(|detail| detail.v6_only);
    if v6_only != Some(true) {
        local = local.replace("[::]:", "*:");
        remote = remote.replace("[::]:", "*:");
    }
    format!("{} {local} {remote}", queues(socket))
}

/// The columns of a row that has no spaces in its names.
fn columns(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn compare_inet(world: &World, flag: &str, tables: &[Table]) {
    let wanted = |socket: &&Socket| {
        // ss 6.1 does not ask for what is bound and does not listen (Linux 6.8, state 13).
        socket.protocol != Protocol::Tcp || !matches!(socket.state, State::Bound | State::Closed)
    };
    let ours = |world: &World| {
        let query = Query::all_of(tables);
        let found = world.look(Choice::Auto, &query).sockets;
        counted(found.iter().filter(wanted).map(inet_row))
    };
    let before = ours(world);
    let printed = String::from_utf8(world.output("ss", &["-anH", flag])).unwrap();
    let theirs = counted(printed.lines().map(columns));
    assert!(!theirs.is_empty());
    // Timers may move a connection on between two looks.
    if before != theirs {
        assert_eq!(ours(world), theirs, "ss {flag}");
    }
}

#[test]
fn tcp_udp_and_raw_rows_are_those_of_ss() {
    let test = "tcp_udp_and_raw_rows_are_those_of_ss";
    let Some(world) = World::new(test) else {
        return;
    };
    if !have_program("ss", test) {
        return;
    }
    compare_inet(&world, "-t", &[Table::Tcp, Table::Tcp6]);
    compare_inet(&world, "-u", &[Table::Udp, Table::Udp6]);
    compare_inet(&world, "-w", &[Table::Raw, Table::Raw6]);
}

/// Type, state, queues, name and the two inodes.
fn unix_row(socket: &Socket) -> Vec<u8> {
    let kind = match socket.protocol {
        Protocol::UnixStream => "u_str",
        Protocol::UnixDatagram => "u_dgr",
        _ => "u_seq",
    };
    let Address::Unix { name, peer } = &socket.address else {
        panic!("{socket:?}");
    };
    let mut row = format!("{kind} {} ", queues(socket)).into_bytes();
    match name {
        UnixAddress::Path(path) => row.extend(path.as_bytes()),
        // ss writes the NUL that begins an abstract name, and each within it, as `@`.
        UnixAddress::Abstract(name) => {
            row.push(b'@');
            let shown = name.as_bytes().iter();
            row.extend(shown.map(|byte| if *byte == 0 { b'@' } else { *byte }));
        }
        UnixAddress::Unnamed => row.push(b'*'),
    }
    let peer = peer.map_or(0, |inode| inode.0);
    row.extend(format!(" {} * {peer}", socket.inode.unwrap()).into_bytes());
    row
}

#[test]
fn unix_rows_are_those_of_ss() {
    let test = "unix_rows_are_those_of_ss";
    let Some(world) = World::new(test) else {
        return;
    };
    if !have_program("ss", test) {
        return;
    }
    let found = world
        .look(Choice::Diag, &Query::all_of([Table::Unix]))
        .sockets;
    let mut ours: Vec<String> = found
        .iter()
        // What waits for accept() has no inode, and is in no row of ss.
        .filter(|socket| socket.inode.is_some())
        .map(|socket| String::from_utf8_lossy(&unix_row(socket)).into_owned())
        .map(|row| columns(&row))
        .collect();
    let printed = world.output("ss", &["-xanH"]);
    let mut theirs: Vec<String> = String::from_utf8_lossy(&printed)
        .lines()
        .map(columns)
        .collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn netlink_and_packet_rows_are_those_of_ss() {
    let test = "netlink_and_packet_rows_are_those_of_ss";
    let Some(world) = World::new(test) else {
        return;
    };
    if !have_program("ss", test) {
        return;
    }
    let found = world
        .look(
            Choice::Diag,
            &Query::all_of([Table::Netlink, Table::Packet]),
        )
        .sockets;
    let packets = found
        .iter()
        .filter(|socket| socket.family == Family::Packet);
    let ours = counted(packets.map(|socket| {
        let kind = match socket.protocol {
            Protocol::PacketRaw => "p_raw",
            _ => "p_dgr",
        };
        format!("{kind} {}", queues(socket))
    }));
    let printed = String::from_utf8(world.output("ss", &["-0anH"])).unwrap();
    let theirs = counted(printed.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().take(4).collect();
        words.join(" ")
    }));
    assert_eq!(ours, theirs);

    // The protocol, by its number, and the port id. The kernel lists a socket that is in a
    // multicast group twice, and so does ss.
    let printed = String::from_utf8(world.output("ss", &["-f", "netlink", "-anH"])).unwrap();
    let mut theirs: Vec<&str> = printed
        .lines()
        .map(|line| line.split_whitespace().nth(3).unwrap())
        // Its own channel, and the kernel's end of it.
        .filter(|ends| !ends.starts_with("4:"))
        .collect();
    theirs.sort_unstable();
    let twice = theirs.iter().filter(|ends| **ends == "0:4321").count();
    theirs.dedup();
    let mut ours: Vec<String> = found
        .iter()
        .filter_map(|socket| match socket.address {
            Address::Netlink { protocol, port_id } if protocol != 4 => {
                Some(format!("{protocol}:{port_id}"))
            }
            _ => None,
        })
        .collect();
    ours.sort_unstable();
    assert_eq!(ours, theirs, "{printed}");
    assert!((1..=2).contains(&twice), "{printed}");
}
