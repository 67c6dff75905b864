//! Sockets joined with owners and peers; selecting, sorting, folding, counting. Pure.
//!
//! A machine may have hundreds of thousands of sockets, so nothing is copied: a [`Listing`] keeps
//! sockets and holdings once, and a [`Row`] is a view of one socket in it.

mod answer;
mod column;
mod difference;
mod join;
mod order;
mod select;
mod standing;
mod summary;

use std::collections::HashSet;
use std::sync::OnceLock;

use crate::model::{Inode, OwnerStatus};
use crate::owners::{Holdings, Owners};
use crate::sockets::{Socket, Table};

pub use column::SocketColumn;
pub use difference::{Change, difference, lacks, owners_beyond, passed_over};
pub use join::status_without_inode;
pub use order::SortKey;
pub use select::{Undecided, matches};
pub use standing::{HeldSocket, Part, Party, Standing};
pub use summary::{FamilySummary, summarise};

/// Sockets, who holds them, and which of them are two ends of one connection.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    sockets: Vec<Socket>,
    holdings: Holdings,
    /// One for each socket.
    joined: Vec<join::Joined>,
    /// The other ends, when somebody has asked for one: not every view does.
    peers: OnceLock<Vec<u32>>,
}

impl Listing {
    /// Joins each socket with its owners, and the two ends of each local connection with each
    /// other.
    pub fn new(sockets: Vec<Socket>, holdings: Holdings) -> Self {
        let joined = join::join(&sockets, &holdings);
        Self {
            sockets,
            holdings,
            joined,
            peers: OnceLock::new(),
        }
    }

    /// The same, with the owners that a later look found.
    #[must_use]
    pub fn and(self, later: Holdings) -> Self {
        if later.held().is_empty() {
            return self;
        }
        Self::new(self.sockets, self.holdings.and(later))
    }

    /// The same, with these sockets and their owners in addition.
    #[must_use]
    pub fn with(self, sockets: Vec<Socket>, owners: Holdings) -> Self {
        let mut all = self.sockets;
        all.extend(sockets);
        Self::new(all, self.holdings.and(owners))
    }

    /// Sockets with an inode that nobody was seen to hold.
    pub fn orphans(&self) -> impl Iterator<Item = Inode> {
        let rows = self.sockets.iter().zip(&self.joined);
        rows.filter(|(_, joined)| joined.owners().is_empty())
            .filter_map(|(socket, _)| socket.inode)
    }

    /// The same, but of some tables the sockets are those of another look.
    #[must_use]
    pub fn with_tables_of(self, other: &Self, tables: &[Table]) -> Self {
        let is_of_these = |socket: &Socket| tables.iter().any(|table| table.lists(socket));
        let mut sockets = self.sockets;
        sockets.retain(|socket| !is_of_these(socket));
        let others = other.sockets.iter().filter(|socket| is_of_these(socket));
        sockets.extend(others.cloned());
        Self::new(sockets, self.holdings.and(other.holdings.clone()))
    }

    /// The same, as a later look at the same tables has those that nobody was seen to hold: what
    /// was closed between the look at the tables and that at the processes is gone, or is what
    /// the kernel keeps of it.
    #[must_use]
    pub fn settled(self, later: &[Socket]) -> Self {
        let orphans: HashSet<Inode> = self.orphans().collect();
        let is_orphan = |socket: &Socket| socket.inode.is_some_and(|it| orphans.contains(&it));
        let later = difference::by_identity(later);
        let mut sockets = self.sockets;
        sockets.retain_mut(|socket| {
            if !is_orphan(socket) {
                return true;
            }
            match difference::same_as(&later, socket) {
                Some(now) => {
                    if now.inode.is_none() {
                        *socket = now.clone();
                    }
                    true
                }
                None => false,
            }
        });
        Self::new(sockets, self.holdings)
    }

    /// Looks for the other ends now, which else is done when the first is asked for.
    pub fn find_peers(&self) {
        let _ = self.peers();
    }

    fn peers(&self) -> &[u32] {
        self.peers.get_or_init(|| join::peers(&self.sockets))
    }

    /// Every socket, in the order of the source.
    pub fn sockets(&self) -> &[Socket] {
        &self.sockets
    }

    /// Who holds them, and the sockets are given up.
    pub fn into_holdings(self) -> Holdings {
        self.holdings
    }

    /// Who holds them.
    pub fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Every row.
    pub fn rows(&self) -> Rows<'_> {
        let count = u32::try_from(self.sockets.len()).unwrap_or(u32::MAX);
        Rows {
            listing: self,
            chosen: (0..count).collect(),
        }
    }

    /// One row; `None` where there is none.
    fn row(&self, index: u32) -> Option<Row<'_>> {
        let place = usize::try_from(index).ok()?;
        let socket = self.sockets.get(place)?;
        let joined = self.joined.get(place)?;
        Some(Row {
            listing: self,
            index,
            socket,
            owners: self.holdings.at(joined.owners()),
            owner_status: joined.status,
            side: joined.side,
        })
    }
}

/// A socket, who holds it, and the other end where that is on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    listing: &'a Listing,
    index: u32,
    /// The socket.
    pub socket: &'a Socket,
    /// Every owner that was found.
    pub owners: Owners<'a>,
    /// How well they are known.
    pub owner_status: OwnerStatus,
    /// Which side of its connection it is.
    pub side: Side,
}

impl<'a> Row<'a> {
    /// The other end of its connection; `None` when it is elsewhere or unknown.
    pub fn peer(&self) -> Option<Row<'a>> {
        let peers = self.listing.peers();
        self.listing.row(join::peer_of(peers, self.index)?)
    }
}

/// Some rows of a listing, in an order.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    listing: &'a Listing,
    chosen: Vec<u32>,
}

impl<'a> Rows<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// One of them.
    pub fn get(&self, index: usize) -> Option<Row<'a>> {
        self.listing.row(*self.chosen.get(index)?)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Row<'a>> {
        let listing = self.listing;
        self.chosen.iter().filter_map(|index| listing.row(*index))
    }

    /// Keeps those for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Row<'a>) -> bool) {
        let listing = self.listing;
        self.chosen
            .retain(|index| listing.row(*index).is_some_and(&mut keep));
    }
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

#[cfg(test)]
pub(crate) mod tests_support {
    use std::net::SocketAddr;

    use super::Row;
    use crate::model::{Endpoint, Family, Inode, Protocol, State, Uid};
    use crate::owners::{Holdings, tests_support::seen};
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
            interface: None,
            detail: None,
        }
    }

    /// Inode, pid, descriptor, name.
    pub(crate) fn holdings(owners: &[(u64, u32, u32, &str)]) -> Holdings {
        let lines: Vec<_> = owners
            .iter()
            .map(|(inode, pid, fd, name)| (*inode, *pid, *fd, *name, None))
            .collect();
        seen(&lines).into()
    }

    pub(crate) fn peer_name(row: Row<'_>) -> Option<String> {
        let owner = row.peer()?.owners.next()?;
        Some(owner.command.as_utf8()?.to_owned())
    }
}
