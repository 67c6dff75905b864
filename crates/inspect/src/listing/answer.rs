//! The answer of one row to one test.

use std::ops::RangeInclusive;

use super::Row;
use crate::model::{ForeignText, OwnerStatus, Pid, Protocol, State, UnixAddress};
use crate::owners::Unreadable;
use crate::processes::Placement;
use crate::selection::{Comparison, End, Pattern, Test};
use crate::sockets::{Address, Detail, Socket, TcpInfo};

/// Where a process is placed; `None` when that could not be read.
pub(super) type PlacementOf<'a> = &'a mut dyn FnMut(Pid) -> Option<Placement>;

/// The answer; `None` where it is not known.
pub(super) fn answer(row: &Row<'_>, test: &Test, placement: PlacementOf<'_>) -> Option<bool> {
    let socket = row.socket;
    match test {
        Test::Family(family) => Some(socket.family == *family),
        Test::Protocol(protocol) => Some(socket.protocol == *protocol),
        Test::State(state) => Some(socket.state == *state),
        Test::Port(port) => Some(socket.endpoints().is_some_and(|(local, remote)| {
            has_ports(socket) && (local.port == *port || remote.port == *port)
        })),
        Test::Host(address) => Some(socket.endpoints().is_some_and(|(local, remote)| {
            let address = address.to_canonical();
            [local, remote]
                .iter()
                .any(|end| end.address.to_canonical() == address)
        })),
        Test::EndPort { end, is, port } => {
            Some(port_of(socket, *end).is_some_and(|number| is.holds(number, u32::from(*port))))
        }
        Test::EndAddress { end, network } => {
            Some(socket.endpoints().is_some_and(|(local, remote)| {
                network.contains(match end {
                    End::Local => local.address,
                    End::Remote => remote.address,
                })
            }))
        }
        Test::EndUnix { end, name } => unix_name(row, *end, name),
        Test::Interface(index) => interface(socket).map(|bound| bound == *index),
        Test::Mark { value, mask } => detail(socket)?.mark.map(|mark| mark & mask == *value),
        Test::Cgroup(id) => detail(socket)?.cgroup.map(|cgroup| cgroup == *id),
        Test::Autobound { first, last } => autobound(socket, *first..=*last),
        Test::NetworkNamespace(netns) => socket.netns.map(|inode| inode == *netns),
        // What is left of a connection is no user's any more.
        Test::User(_) if socket.state == State::TimeWait => Some(false),
        Test::User(uid) => socket.uid.map(|owner| owner == *uid),
        Test::Pid(pid) => held_by(row, *pid),
        Test::Process(name) => named(row, |known| known == name),
        Test::ProcessLike(name) => named(row, |known| name.matches(known.as_bytes())),
        Test::Container(wanted) => placed(row, placement, |placement| {
            placement
                .container
                .as_ref()
                .is_some_and(|name| is_container(name.as_bytes(), wanted.as_bytes()))
        }),
        Test::Unit(name) => placed(row, placement, |placement| {
            placement
                .unit
                .as_ref()
                .is_some_and(|unit| name.matches(unit.as_bytes()))
        }),
        Test::PeerPid(pid) => peer(row, |peer| held_by(&peer, *pid)),
        Test::PeerProcess(name) => peer(row, |peer| {
            named(&peer, |known| name.matches(known.as_bytes()))
        }),
        Test::ReceiveQueue(is, bytes) => compared(*is, socket.recv_queue, *bytes),
        Test::SendQueue(is, bytes) => compared(*is, socket.send_queue, *bytes),
        Test::RoundTrip(is, micros) => match tcp(socket) {
            // Nothing was acknowledged yet, so there was no round trip.
            Measured::Told(info) if info.rtt_us == Some(0) => Some(false),
            measured => measured.compared(|info| info.rtt_us, *is, *micros),
        },
        Test::Retransmits(is, number) => {
            tcp(socket).compared(|info| info.retransmits, *is, *number)
        }
    }
}

/// A raw socket's "port" is its protocol number, a ping socket's its identifier.
fn has_ports(socket: &Socket) -> bool {
    !matches!(socket.protocol, Protocol::Raw | Protocol::Icmp)
}

fn port_of(socket: &Socket, end: End) -> Option<u32> {
    match (&socket.address, end) {
        (Address::Inet { local, .. }, End::Local) if has_ports(socket) => Some(local.port.into()),
        (Address::Inet { remote, .. }, End::Remote) if has_ports(socket) => {
            Some(remote.port.into())
        }
        (Address::Vsock { local, .. }, End::Local) => Some(local.1),
        (Address::Vsock { remote, .. }, End::Remote) => Some(remote.1),
        _ => None,
    }
}

/// The names of unix sockets are compared in either case, as ss does.
fn unix_name(row: &Row<'_>, end: End, wanted: &Pattern) -> Option<bool> {
    let Address::Unix { name, peer } = &row.socket.address else {
        return Some(false);
    };
    match end {
        End::Local => Some(has_name(name, wanted)),
        End::Remote => match row.peer().map(|peer| &peer.socket.address) {
            Some(Address::Unix { name, .. }) => Some(has_name(name, wanted)),
            Some(_) => None,
            // It is connected, and to whom is not told or not listed.
            None if peer.is_some() || row.socket.state == State::Established => None,
            None => Some(false),
        },
    }
}

fn has_name(name: &UnixAddress, wanted: &Pattern) -> bool {
    match name {
        UnixAddress::Path(path) => wanted.matches_in_either_case(path.as_bytes()),
        UnixAddress::Abstract(name) => {
            wanted.matches_in_either_case(&[b"@", name.as_bytes()].concat())
        }
        UnixAddress::Unnamed => wanted.matches(b""),
    }
}

fn detail(socket: &Socket) -> Option<&Detail> {
    socket.detail.as_deref()
}

/// The interface a socket is bound to, 0 for none.
fn interface(socket: &Socket) -> Option<u32> {
    match socket.address {
        Address::Packet { interface, .. } => Some(interface),
        _ => socket.interface,
    }
}

/// What the kernel chose itself. Of unix and netlink sockets it shows by the name: five
/// hexadecimal digits (net/unix/af_unix.c `unix_autobind`), a negative number
/// (net/netlink/af_netlink.c `netlink_autobind`), though a lucky first try there is the pid. ss
/// counts a unix socket without a name, too.
fn autobound(socket: &Socket, ephemeral: RangeInclusive<u16>) -> Option<bool> {
    match &socket.address {
        Address::Inet { local, .. } if !ephemeral.contains(&local.port) => Some(false),
        Address::Inet { .. } => detail(socket)?.autobound,
        // The first that are given are above those for privileged users (net/vmw_vsock/af_vsock.c
        // `LAST_RESERVED_PORT`), as ss counts them.
        Address::Vsock { local, .. } => Some(local.1 > 1_023),
        Address::Unix { name, .. } => Some(match name {
            UnixAddress::Path(_) => false,
            UnixAddress::Abstract(name) => {
                let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                name.as_bytes().len() == 5 && name.as_bytes().iter().all(digit)
            }
            UnixAddress::Unnamed => true,
        }),
        Address::Netlink { port_id, .. } => Some(i32::from_ne_bytes(port_id.to_ne_bytes()) < 0),
        Address::Packet {
            ethertype,
            interface,
        } => Some(*ethertype == 0 && *interface == 0),
        Address::Tipc { .. } => None,
    }
}

/// What was found among the owners, as far as all of them are known.
fn owned(row: &Row<'_>, found: bool) -> Option<bool> {
    match row.owner_status {
        _ if found => Some(true),
        OwnerStatus::Hidden | OwnerStatus::Partial | OwnerStatus::NotAsked => None,
        _ => Some(false),
    }
}

fn held_by(row: &Row<'_>, pid: Pid) -> Option<bool> {
    let found = row.owners.into_iter().any(|owner| owner.pid == pid);
    owned(row, found).or_else(|| hidden(row, |process| Some(process.pid == pid)))
}

fn named(row: &Row<'_>, so: impl Fn(&ForeignText) -> bool) -> Option<bool> {
    let found = row.owners.into_iter().any(|owner| so(&owner.command));
    owned(row, found).or_else(|| hidden(row, |process| Some(so(process.command.as_ref()?))))
}

/// So many processes are compared for one row; an ordinary user may be refused thousands.
const COMPARED: usize = 1_000;

/// Whether none of the processes that could not be read can be the hidden owner.
fn hidden(row: &Row<'_>, may: impl Fn(&Unreadable) -> Option<bool>) -> Option<bool> {
    let holdings = row.listing.holdings();
    let unreadable = holdings.unreadable();
    let all_known = row.owner_status != OwnerStatus::NotAsked
        && holdings.unlisted().is_none()
        && unreadable.len() <= COMPARED;
    let none = all_known && unreadable.iter().all(|process| may(process) == Some(false));
    none.then_some(false)
}

/// Whether an owner is placed so; open when none is and one could not be read.
fn placed(
    row: &Row<'_>,
    placement: PlacementOf<'_>,
    so: impl Fn(&Placement) -> bool,
) -> Option<bool> {
    let mut all_read = true;
    let found = row
        .owners
        .into_iter()
        .any(|owner| match placement(owner.pid) {
            Some(placement) => so(&placement),
            None => {
                all_read = false;
                false
            }
        });
    if found || all_read {
        return owned(row, found);
    }
    None
}

/// A container by its name, or by how its id of 64 digits begins.
fn is_container(name: &[u8], wanted: &[u8]) -> bool {
    let is_id = name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit);
    name == wanted || is_id && !wanted.is_empty() && name.starts_with(wanted)
}

/// Asks the other end. A socket without one has no owner there; where one may be and is not in
/// the listing, it is another machine's, or another namespace's that was not looked into.
fn peer(row: &Row<'_>, ask: impl FnOnce(Row<'_>) -> Option<bool>) -> Option<bool> {
    match (row.peer(), &row.socket.address) {
        (Some(peer), _) => ask(peer),
        // Connected to a socket that is not told or not listed.
        (None, Address::Unix { peer, .. })
            if peer.is_some() || row.socket.state == State::Established =>
        {
            None
        }
        (None, _) => Some(false),
    }
}

fn compared(is: Comparison, number: Option<u32>, bound: u64) -> Option<bool> {
    number.map(|number| is.holds(u64::from(number), bound))
}

/// What TCP measured of a connection.
enum Measured<'a> {
    /// This.
    Told(&'a TcpInfo),
    /// The source does not tell.
    Untold,
    /// Nothing: there never was a connection, or no more is left of it than TIME_WAIT.
    Nothing,
}

impl Measured<'_> {
    /// Of what was never measured nothing is true.
    fn compared(
        &self,
        number: impl Fn(&TcpInfo) -> Option<u32>,
        is: Comparison,
        bound: u64,
    ) -> Option<bool> {
        match self {
            Self::Told(info) => compared(is, number(info), bound),
            Self::Untold => None,
            Self::Nothing => Some(false),
        }
    }
}

fn tcp(socket: &Socket) -> Measured<'_> {
    let connected = match socket.state {
        State::Listen
        | State::Bound
        | State::Unconnected
        | State::Closed
        | State::TimeWait
        | State::SynRecv => false,
        State::SynSent
        | State::Established
        | State::FinWait1
        | State::FinWait2
        | State::CloseWait
        | State::Closing
        | State::LastAck => true,
    };
    if !connected || socket.protocol != Protocol::Tcp {
        return Measured::Nothing;
    }
    match detail(socket).and_then(|detail| detail.tcp.as_deref()) {
        Some(info) => Measured::Told(info),
        None => Measured::Untold,
    }
}

#[cfg(test)]
mod tests;
