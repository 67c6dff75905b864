//! Sockets joined with owners and peers; selecting, sorting, folding, counting. Pure.

mod join;
mod order;
mod select;
mod summary;

use crate::model::{Inode, Owner, OwnerStatus};
use crate::sockets::Socket;

pub use join::{join, status_without_inode};
pub use order::{SortKey, sort};
pub use select::{fold_time_wait, matches, select};
pub use summary::{FamilySummary, summarise};

/// A socket, who holds it, and the other end where that is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The socket.
    pub socket: Socket,
    /// Every owner that was found.
    pub owners: Vec<Owner>,
    /// How well they are known.
    pub owner_status: OwnerStatus,
    /// The other end of a local connection; `None` when it is elsewhere or unknown.
    pub peer: Option<Peer>,
    /// Which side of its connection it is.
    pub side: Side,
}

/// Which side of a connection a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The side that was connected to: a listener has its port.
    Server,
    /// The side that connected: its port has no listener, and the other end's has.
    Client,
    /// It has no connection, or no listener tells.
    Unknown,
}

/// The other end of a local connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its inode, where it has one.
    pub inode: Option<Inode>,
    /// Its owners.
    pub owners: Vec<Owner>,
    /// How well they are known.
    pub owner_status: OwnerStatus,
}

#[cfg(test)]
pub(crate) mod tests_support {
    use std::net::SocketAddr;

    use super::Row;
    use crate::model::{
        Endpoint, Family, Fd, ForeignText, Inode, Owner, Pid, Protocol, State, Uid,
    };
    use crate::owners::{Holder, Holdings};
    use crate::sockets::{Address, Socket};

    fn endpoint(text: &str) -> Endpoint {
        let address: SocketAddr = text.parse().unwrap();
        Endpoint::new(address.ip(), address.port())
    }

    pub(crate) fn tcp(state: State, local: &str, remote: &str, inode: u64) -> Socket {
        let local = endpoint(local);
        Socket {
            family: if local.address.is_ipv4() {
                Family::Inet
            } else {
                Family::Inet6
            },
            protocol: Protocol::Tcp,
            state,
            address: Address::Inet {
                local,
                remote: endpoint(remote),
            },
            recv_queue: Some(0),
            send_queue: Some(0),
            inode: (inode != 0).then_some(Inode(inode)),
            cookie: None,
            uid: (inode != 0).then_some(Uid(0)),
            netns: None,
        }
    }

    pub(crate) fn holdings(owners: &[(u64, u32, u32, &str)]) -> Holdings {
        let mut holdings = Holdings::default();
        for (inode, pid, fd, command) in owners {
            let owner = Owner {
                pid: Pid(*pid),
                tid: Pid(*pid),
                fd: Fd(*fd),
                command: ForeignText::from(*command),
                started: None,
            };
            holdings
                .by_inode
                .entry(Inode(*inode))
                .or_default()
                .push(Holder {
                    owner,
                    parent: None,
                });
        }
        holdings
    }

    pub(crate) fn peer_name(row: &Row) -> Option<&str> {
        row.peer.as_ref()?.owners.first()?.command.as_utf8()
    }
}
