//! Sockets + holdings -> what belongs to each socket.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use super::Side;
use crate::model::{Endpoint, Inode, NetworkNamespace, OwnerStatus, Protocol, State};
use crate::owners::Holdings;
use crate::sockets::{Address, Socket};

/// What belongs to one socket, as places: a machine may have hundreds of thousands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joined {
    first_owner: u32,
    owners: u32,
    pub(super) status: OwnerStatus,
    pub(super) side: Side,
}

const NOBODY: u32 = u32::MAX;

impl Joined {
    pub(super) fn owners(&self) -> Range<usize> {
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let first = place(self.first_owner);
        first..first.saturating_add(place(self.owners))
    }
}

/// Joins each socket with its owners, and tells which side of its connection it is.
pub(super) fn join(sockets: &[Socket], holdings: &Holdings) -> Vec<Joined> {
    let mut joined: Vec<Joined> = sockets
        .iter()
        .map(|socket| {
            let (place, status) = owners_of(socket, holdings);
            let number = |place: usize| u32::try_from(place).unwrap_or(NOBODY);
            Joined {
                first_owner: number(place.start),
                owners: number(place.len()),
                status,
                side: Side::Unknown,
            }
        })
        .collect();
    tell_sides(sockets, &mut joined);
    joined
}

fn owners_of(socket: &Socket, holdings: &Holdings) -> (Range<usize>, OwnerStatus) {
    match socket.inode {
        // The kernel's own end of netlink: no process ever held it.
        _ if matches!(socket.address, Address::Netlink { port_id: 0, .. }) => {
            (0..0, OwnerStatus::Kernel)
        }
        Some(inode) => {
            let place = holdings.place(inode);
            (place.clone(), holdings.status(place))
        }
        None => (0..0, status_without_inode(socket.state)),
    }
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

/// The ends of a connection, as the wire shows them.
fn ends(socket: &Socket) -> Option<Ends> {
    let (local, remote) = socket.endpoints()?;
    // A listener and an unconnected socket have no other end.
    if remote.is_unspecified() || local.port == 0 {
        return None;
    }
    matches!(
        socket.protocol,
        Protocol::Tcp | Protocol::Udp | Protocol::UdpLite | Protocol::Mptcp
    )
    .then(|| {
        (
            socket.netns,
            socket.protocol,
            local.on_the_wire(),
            remote.on_the_wire(),
        )
    })
}

fn tell_sides(sockets: &[Socket], joined: &mut [Joined]) {
    // The address is left out: it may be the unspecified one, or v6 where the connection is v4.
    let listeners: HashSet<(Option<NetworkNamespace>, Protocol, u16)> = sockets
        .iter()
        .filter(|socket| socket.state == State::Listen)
        .filter_map(|socket| Some((socket.netns, socket.protocol, socket.endpoints()?.0.port)))
        .collect();
    for (socket, joined) in sockets.iter().zip(joined) {
        if !matches!(socket.protocol, Protocol::Tcp | Protocol::Mptcp) {
            continue;
        }
        let Some((local, remote)) = socket.endpoints() else {
            continue;
        };
        if remote.is_unspecified() || local.port == 0 {
            continue;
        }
        let listens = |port| listeners.contains(&(socket.netns, socket.protocol, port));
        joined.side = match (listens(local.port), listens(remote.port)) {
            (true, false) => Side::Server,
            (false, true) => Side::Client,
            _ => Side::Unknown,
        };
    }
}

/// The rows of the other ends, [`NOBODY`] for none: one for each socket.
pub(super) fn peers(sockets: &[Socket]) -> Vec<u32> {
    let mut peers = vec![NOBODY; sockets.len()];
    join_ends(sockets, &mut peers);
    join_across(sockets, &mut peers);
    join_unix(sockets, &mut peers);
    peers
}

fn join_ends(sockets: &[Socket], peers: &mut [u32]) {
    // Only places are kept, and the ends are taken from the sockets: 5 bytes a socket, where a
    // map by ends needs a hundred. Both ends of a connection have one hash, so that each socket
    // is hashed once.
    let hasher = DefaultHashBuilder::default();
    let hash = |(netns, protocol, local, remote): Ends| {
        let (one, other) = if local <= remote {
            (local, remote)
        } else {
            (remote, local)
        };
        hasher.hash_one((netns, protocol, one, other))
    };
    let ends_at = |index: u32| ends(sockets.get(usize::try_from(index).ok()?)?);
    let mut places: HashTable<u32> = HashTable::with_capacity(sockets.len());
    let mut twins = Vec::new();
    for (index, socket) in (0u32..).zip(sockets) {
        let Some(ends) = ends(socket) else { continue };
        let hashed = hash(ends);
        let (netns, protocol, local, remote) = ends;
        let mirrored = (netns, protocol, remote, local);
        if let Some(other) = places.find(hashed, |other| ends_at(*other) == Some(mirrored)) {
            set(peers, index, *other);
            if peer_of(peers, *other).is_none() {
                set(peers, *other, index);
            }
        }
        // Datagram sockets may share both ends (SO_REUSEADDR): the first stands for them.
        match places.find(hashed, |other| ends_at(*other) == Some(ends)) {
            Some(first) => twins.push((index, *first)),
            None => {
                places.insert_unique(hashed, index, |other| ends_at(*other).map_or(0, hash));
            }
        }
    }
    for (twin, first) in twins {
        if let Some(other) = peer_of(peers, first) {
            set(peers, twin, other);
        }
    }
}

/// Connections from one network namespace to another of this machine: the ends of containers that
/// talk to each other without a translation of addresses. What talks to its own address, or to one
/// of the loopback network, stays in its namespace; ends that several sockets have tell of nobody.
fn join_across(sockets: &[Socket], peers: &mut [u32]) {
    let mut namespaces = sockets.iter().map(|socket| socket.netns);
    let Some(first) = namespaces.next() else {
        return;
    };
    if namespaces.all(|netns| netns == first) {
        return;
    }
    let mut alone: HashMap<(Protocol, Endpoint, Endpoint), Option<u32>> = HashMap::new();
    let ends_of = |index: u32, peers: &[u32]| {
        let socket = sockets.get(usize::try_from(index).ok()?)?;
        let (netns, protocol, local, remote) = ends(socket)?;
        let far = !local.address.is_loopback() && local.address != remote.address;
        (far && netns.is_some() && peer_of(peers, index).is_none())
            .then_some((netns, protocol, local, remote))
    };
    for index in (0u32..).take(sockets.len()) {
        if let Some((_, protocol, local, remote)) = ends_of(index, peers) {
            let place = alone.entry((protocol, local, remote));
            place.and_modify(|it| *it = None).or_insert(Some(index));
        }
    }
    for index in (0u32..).take(sockets.len()) {
        let Some((netns, protocol, local, remote)) = ends_of(index, peers) else {
            continue;
        };
        let known = |ends| alone.get(&ends).copied().flatten();
        if known((protocol, local, remote)) == Some(index)
            && let Some(other) = known((protocol, remote, local))
            && ends_of(other, peers).is_some_and(|(there, ..)| there != netns)
        {
            set(peers, index, other);
            set(peers, other, index);
        }
    }
}

fn set(peers: &mut [u32], index: u32, peer: u32) {
    if let Some(place) = usize::try_from(index)
        .ok()
        .and_then(|index| peers.get_mut(index))
    {
        *place = peer;
    }
}

/// The row of the other end of a row.
pub(super) fn peer_of(peers: &[u32], index: u32) -> Option<u32> {
    let peer = *peers.get(usize::try_from(index).ok()?)?;
    (peer != NOBODY).then_some(peer)
}

/// A unix socket names its peer by inode.
fn join_unix(sockets: &[Socket], peers: &mut [u32]) {
    let by_inode: HashMap<Inode, u32> = (0u32..)
        .zip(sockets)
        .filter(|(_, socket)| matches!(socket.address, Address::Unix { .. }))
        .filter_map(|(index, socket)| Some((socket.inode?, index)))
        .collect();
    for (socket, place) in sockets.iter().zip(peers) {
        if let Address::Unix {
            peer: Some(inode), ..
        } = &socket.address
            && let Some(other) = by_inode.get(inode)
        {
            *place = *other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::*;
    use super::super::{Listing, Row};
    use super::*;

    fn row(listing: &Listing, index: usize) -> Row<'_> {
        listing.rows().get(index).unwrap()
    }

    #[test]
    fn the_two_ends_of_a_connection_name_each_other() {
        let listing = Listing::new(
            vec![
                tcp(State::Listen, "127.0.0.1:2345", "0.0.0.0:0", 10),
                tcp(State::Established, "127.0.0.1:2345", "127.0.0.1:5000", 11),
                tcp(State::Established, "127.0.0.1:5000", "127.0.0.1:2345", 12),
            ],
            holdings(&[(11, 100, 4, "server"), (12, 200, 3, "client")]),
        );
        assert!(row(&listing, 0).peer().is_none());
        let sides: Vec<Side> = listing.rows().iter().map(|row| row.side).collect();
        assert_eq!(sides, [Side::Unknown, Side::Server, Side::Client]);
        assert_eq!(peer_name(row(&listing, 1)).as_deref(), Some("client"));
        assert_eq!(peer_name(row(&listing, 2)).as_deref(), Some("server"));
    }

    #[test]
    fn a_v4_client_finds_its_v4_mapped_server() {
        let listing = Listing::new(
            vec![
                tcp(
                    State::Established,
                    "[::ffff:127.0.0.1]:80",
                    "[::ffff:127.0.0.1]:5000",
                    11,
                ),
                tcp(State::Established, "127.0.0.1:5000", "127.0.0.1:80", 12),
            ],
            holdings(&[(11, 100, 4, "server"), (12, 200, 3, "client")]),
        );
        assert_eq!(peer_name(row(&listing, 0)).as_deref(), Some("client"));
        assert_eq!(peer_name(row(&listing, 1)).as_deref(), Some("server"));
    }

    #[test]
    fn the_same_ends_in_another_namespace_are_another_connection() {
        let mut sockets = vec![
            tcp(State::Established, "10.0.0.1:80", "10.0.0.1:5000", 11),
            tcp(State::Established, "10.0.0.1:5000", "10.0.0.1:80", 12),
        ];
        sockets[0].netns = Some(NetworkNamespace(1));
        sockets[1].netns = Some(NetworkNamespace(2));
        let listing = Listing::new(sockets, holdings(&[(12, 200, 3, "client")]));
        assert!(row(&listing, 0).peer().is_none());
    }

    #[test]
    fn two_namespaces_have_the_ends_of_one_connection() {
        let socket = |local: &str, remote: &str, inode, netns| {
            let mut socket = tcp(State::Established, local, remote, inode);
            socket.netns = Some(NetworkNamespace(netns));
            socket
        };
        let sockets = vec![
            socket("10.0.0.1:80", "10.0.0.2:5000", 11, 1),
            socket("10.0.0.2:5000", "10.0.0.1:80", 12, 2),
            // The same ends in two namespaces: whose they are cannot be told.
            socket("10.0.0.1:80", "10.0.0.3:5000", 13, 1),
            socket("10.0.0.3:5000", "10.0.0.1:80", 14, 2),
            socket("10.0.0.3:5000", "10.0.0.1:80", 15, 3),
            // Loopback addresses do not leave their namespace.
            socket("127.0.0.1:80", "127.0.0.1:5000", 16, 1),
            socket("127.0.0.1:5000", "127.0.0.1:80", 17, 2),
        ];
        let owners = [(11, 100, 4, "server"), (12, 200, 3, "client")];
        let listing = Listing::new(sockets, holdings(&owners));
        assert_eq!(peer_name(row(&listing, 0)).as_deref(), Some("client"));
        assert_eq!(peer_name(row(&listing, 1)).as_deref(), Some("server"));
        for alone in 2..7 {
            assert!(row(&listing, alone).peer().is_none(), "{alone}");
        }
    }

    #[test]
    fn a_unix_socket_finds_its_peer_by_inode() {
        let unix = |inode, peer| Socket {
            family: crate::model::Family::Unix,
            protocol: Protocol::UnixStream,
            address: Address::Unix {
                name: crate::model::UnixAddress::Unnamed,
                peer: Some(Inode(peer)),
            },
            ..tcp(State::Established, "127.0.0.1:1", "127.0.0.1:2", inode)
        };
        let listing = Listing::new(
            vec![unix(11, 12), unix(12, 11), unix(13, 99)],
            holdings(&[(11, 100, 4, "server"), (12, 200, 3, "client")]),
        );
        assert_eq!(peer_name(row(&listing, 0)).as_deref(), Some("client"));
        assert_eq!(peer_name(row(&listing, 1)).as_deref(), Some("server"));
        assert!(row(&listing, 2).peer().is_none());
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
