//! Sockets + holdings -> rows.

use std::collections::{HashMap, HashSet};

use super::{Peer, Row, Side};
use crate::model::{Endpoint, NetworkNamespace, OwnerStatus, Protocol, State};
use crate::owners::Holdings;
use crate::sockets::{Address, Socket};

/// Joins each socket with its owners, and the two ends of each local connection with each
/// other.
pub fn join(sockets: Vec<Socket>, holdings: &Holdings) -> Vec<Row> {
    let mut rows: Vec<Row> = sockets
        .into_iter()
        .map(|socket| {
            let (owners, owner_status) = match socket.inode {
                // The kernel's own end of netlink: no process ever held it.
                _ if matches!(socket.address, Address::Netlink { port_id: 0, .. }) => {
                    (Vec::new(), OwnerStatus::Kernel)
                }
                Some(inode) => holdings.of(inode),
                None => (Vec::new(), status_without_inode(socket.state)),
            };
            Row {
                socket,
                owners,
                owner_status,
                peer: None,
                side: Side::Unknown,
            }
        })
        .collect();
    tell_sides(&mut rows);
    join_peers(&mut rows);
    rows
}

/// What a missing inode means (net/ipv4/tcp_ipv4.c `get_tcp4_sock`: `sock_i_ino` is 0 while no
/// `struct socket` is attached): before accept() none has been, after the last close() none is
/// any more.
pub fn status_without_inode(state: State) -> OwnerStatus {
    match state {
        // CLOSE_WAIT too: the client has closed before it was accepted.
        State::Established | State::SynRecv | State::CloseWait => OwnerStatus::Pending,
        _ => OwnerStatus::Kernel,
    }
}

type Ends = (Option<NetworkNamespace>, Protocol, Endpoint, Endpoint);

fn ends(socket: &Socket) -> Option<Ends> {
    let (local, remote) = socket.endpoints()?;
    // A listener and an unconnected socket have no other end.
    if remote.is_unspecified() || local.port == 0 {
        return None;
    }
    matches!(socket.protocol, Protocol::Tcp | Protocol::Udp).then(|| {
        (
            socket.netns,
            socket.protocol,
            local.on_the_wire(),
            remote.on_the_wire(),
        )
    })
}

fn tell_sides(rows: &mut [Row]) {
    // The address is left out: it may be the unspecified one, or v6 where the connection is v4.
    let listeners: HashSet<(Option<NetworkNamespace>, u16)> = rows
        .iter()
        .filter(|row| row.socket.protocol == Protocol::Tcp && row.socket.state == State::Listen)
        .filter_map(|row| Some((row.socket.netns, row.socket.endpoints()?.0.port)))
        .collect();
    for row in rows {
        let Some((netns, Protocol::Tcp, local, remote)) = ends(&row.socket) else {
            continue;
        };
        let listens = |port| listeners.contains(&(netns, port));
        row.side = match (listens(local.port), listens(remote.port)) {
            (true, false) => Side::Server,
            (false, true) => Side::Client,
            _ => Side::Unknown,
        };
    }
}

fn join_peers(rows: &mut [Row]) {
    let by_ends: HashMap<Ends, usize> = rows
        .iter()
        .enumerate()
        .filter_map(|(index, row)| Some((ends(&row.socket)?, index)))
        .collect();
    for index in 0..rows.len() {
        let Some((netns, protocol, local, remote)) = ends(&rows[index].socket) else {
            continue;
        };
        let Some(other) = by_ends.get(&(netns, protocol, remote, local)) else {
            continue;
        };
        let other = &rows[*other];
        let peer = Peer {
            inode: other.socket.inode,
            owners: other.owners.clone(),
            owner_status: other.owner_status,
        };
        rows[index].peer = Some(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::*;
    use super::*;

    #[test]
    fn the_two_ends_of_a_connection_name_each_other() {
        let holdings = holdings(&[(11, 100, 4, "server"), (12, 200, 3, "client")]);
        let rows = join(
            vec![
                tcp(State::Listen, "127.0.0.1:2345", "0.0.0.0:0", 10),
                tcp(State::Established, "127.0.0.1:2345", "127.0.0.1:5000", 11),
                tcp(State::Established, "127.0.0.1:5000", "127.0.0.1:2345", 12),
            ],
            &holdings,
        );
        assert_eq!(rows[0].peer, None);
        let sides: Vec<Side> = rows.iter().map(|row| row.side).collect();
        assert_eq!(sides, [Side::Unknown, Side::Server, Side::Client]);
        assert_eq!(peer_name(&rows[1]), Some("client"));
        assert_eq!(peer_name(&rows[2]), Some("server"));
    }

    #[test]
    fn a_v4_client_finds_its_v4_mapped_server() {
        let holdings = holdings(&[(11, 100, 4, "server"), (12, 200, 3, "client")]);
        let rows = join(
            vec![
                tcp(
                    State::Established,
                    "[::ffff:127.0.0.1]:80",
                    "[::ffff:127.0.0.1]:5000",
                    11,
                ),
                tcp(State::Established, "127.0.0.1:5000", "127.0.0.1:80", 12),
            ],
            &holdings,
        );
        assert_eq!(peer_name(&rows[0]), Some("client"));
        assert_eq!(peer_name(&rows[1]), Some("server"));
    }

    #[test]
    fn without_an_inode_the_state_says_why() {
        assert_eq!(
            status_without_inode(State::Established),
            OwnerStatus::Pending
        );
        assert_eq!(status_without_inode(State::TimeWait), OwnerStatus::Kernel);
        assert_eq!(status_without_inode(State::FinWait2), OwnerStatus::Kernel);
    }
}
