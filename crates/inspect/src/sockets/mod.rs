//! The kernel's socket tables as values. Knows no process.

mod detail;
mod diag;
mod proc_row;
mod source;
mod table;

use std::collections::HashSet;

use crate::model::{
    Cookie, Endpoint, Family, Gap, Inode, NetworkNamespace, Origin, Protocol, State, Uid,
    UnixAddress,
};
use crate::selection::Selection;
pub use detail::{Detail, Memory, Shutdown, TcpInfo, Timer, TimerKind};
pub use source::{ProcTables, Tables};
pub use table::Table;

/// One socket as the kernel described it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Address family.
    pub family: Family,
    /// Protocol.
    pub protocol: Protocol,
    /// State; for datagram and raw sockets ESTABLISHED means: has a fixed peer.
    pub state: State,
    /// Where its ends are.
    pub address: Address,
    /// For TCP, bytes received and not read yet; for a listener, connections waiting for
    /// accept(); for datagrams, bytes of receive buffer in use, which is more than they carry, but
    /// for unix ones the bytes of the first. `None` where the source does not tell.
    pub recv_queue: Option<u32>,
    /// For TCP, bytes sent and not acknowledged yet; for a listener, the limit of its accept
    /// queue (the backlog of listen(2) as the kernel keeps it); for datagrams and unix sockets,
    /// bytes of send buffer in use. `None` where the source does not tell.
    pub send_queue: Option<u32>,
    /// `None` for sockets without one: TIME_WAIT, orphans, those waiting for accept().
    pub inode: Option<Inode>,
    /// `None` where the source does not tell.
    pub cookie: Option<Cookie>,
    /// The user who created it; `None` where the source does not tell.
    pub uid: Option<Uid>,
    /// The network namespace it lives in; `None` where that is unknown.
    pub netns: Option<NetworkNamespace>,
    /// The index of the interface it is bound to (SO_BINDTODEVICE), 0 for none; `None` where
    /// the source does not tell.
    pub interface: Option<u32>,
    /// What was asked for beyond that, as far as the source tells it.
    pub detail: Option<Box<Detail>>,
}

/// The ends of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// IP endpoints.
    Inet {
        /// This side.
        local: Endpoint,
        /// The other side; unspecified when there is none.
        remote: Endpoint,
    },
    /// A unix socket has a name or none; its peer is another socket, not an address.
    Unix {
        /// Its name.
        name: UnixAddress,
        /// The socket it is connected to; `None` when there is none, or the source does not
        /// tell.
        peer: Option<Inode>,
    },
    /// A netlink socket (netlink(7)).
    Netlink {
        /// The netlink protocol, such as 0 for NETLINK_ROUTE.
        protocol: u8,
        /// The socket's port id: often the pid of the process, 0 for the kernel's own.
        port_id: u32,
    },
    /// A packet socket (packet(7)).
    Packet {
        /// The frames it gets; 3 is every frame.
        ethertype: u16,
        /// The interface it is bound to; 0 is every interface.
        interface: u32,
    },
    /// A vsock socket (vsock(7)): a context (a machine) and a port on each side.
    Vsock {
        /// Context and port of this side; `u32::MAX` is any.
        local: (u32, u32),
        /// Context and port of the other side.
        remote: (u32, u32),
    },
    /// A TIPC socket (tipc(7)): an instance reference on a node.
    Tipc {
        /// The socket's reference number.
        reference: u32,
    },
}

impl Socket {
    /// Local and remote endpoint, for IP sockets.
    pub fn endpoints(&self) -> Option<(Endpoint, Endpoint)> {
        match self.address {
            Address::Inet { local, remote } => Some((local, remote)),
            _ => None,
        }
    }
}

/// What a look is asked for.
#[derive(Debug, Clone)]
pub struct Query {
    /// The tables to read.
    pub tables: Vec<Table>,
    /// What is wanted of them. A source leaves out what it can tell is not selected; it may
    /// list more than is selected, never less. Listeners are always listed, with or without it:
    /// they tell which side of a connection is the server. And so is the other end of what is
    /// selected, where it is in these tables: the listing shows it, and selects by it.
    pub selection: Selection,
    /// What else is wanted of each socket.
    pub details: Details,
}

impl Query {
    /// Every socket of the given tables, without details.
    pub fn all_of(tables: impl Into<Vec<Table>>) -> Self {
        Self {
            tables: tables.into(),
            selection: Selection::everything(),
            details: Details::default(),
        }
    }
}

/// Which details of each socket are wanted: each costs time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Details {
    /// [`Detail::timer`]: `-o`.
    pub timers: bool,
    /// [`Detail::memory`]: `-m`.
    pub memory: bool,
    /// [`Detail::tcp`] and [`Detail::congestion`]: `-i`.
    pub tcp: bool,
    /// The rest of [`Detail`]: `-e`.
    pub extended: bool,
}

/// Where sockets are to be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// sock_diag, and /proc/net for tables that it does not list.
    #[default]
    Auto,
    /// sock_diag only.
    Diag,
    /// /proc/net only.
    Proc,
}

/// How a table was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The table.
    pub table: Table,
    /// The name of the source that listed it; `None` when none could.
    pub source: Option<&'static str>,
    /// Why it was not a better one.
    pub instead: Option<String>,
}

/// The sockets that one look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// In the kernel's order, each once.
    pub sockets: Vec<Socket>,
    /// What could not be read, and why.
    pub gaps: Vec<Gap>,
    /// The tables of which an unknown part is missing.
    pub cut: Vec<Table>,
    /// How each table was read. A table that the kernel does not have is not in here.
    pub readings: Vec<Reading>,
}

impl Snapshot {
    /// Adds another share of the TCP sockets, of which this one begins at `first`. Both are
    /// chosen by ports, which a connection keeps; but what was not connected yet when it was
    /// listed may be in the other share since then.
    fn add_share(&mut self, mut share: Self, first: usize) {
        /// So many are moved before their memory is given back: else there would be half as many
        /// sockets again for a moment.
        const STEP: usize = 8_192;

        let unconnected: HashSet<Cookie> = self
            .sockets
            .iter()
            .skip(first)
            .filter(|socket| matches!(socket.state, State::Listen | State::Bound | State::Closed))
            .filter_map(|socket| socket.cookie)
            .collect();
        let new = |socket: &Socket| {
            socket
                .cookie
                .is_none_or(|cookie| !unconnected.contains(&cookie))
        };
        while !share.sockets.is_empty() {
            let from = share.sockets.len().saturating_sub(STEP);
            self.sockets.extend(share.sockets.drain(from..).filter(new));
            share.sockets.shrink_to_fit();
        }
        self.gaps.extend(share.gaps);
        self.cut.extend(share.cut);
    }

    /// Adds what another dump of the same TCP sockets found and the one that begins at `first`
    /// passed over. What has taken the place of a connection takes that of its row as well.
    fn add_passed_over(&mut self, again: Self, first: usize) {
        let mut listed = self.sockets.split_off(first.min(self.sockets.len()));
        let known: HashSet<Cookie> = listed.iter().filter_map(|socket| socket.cookie).collect();
        let is_new = |socket: &Socket| socket.cookie.is_some_and(|it| !known.contains(&it));
        let new: Vec<Socket> = again.sockets.into_iter().filter(is_new).collect();
        let connection = |socket: &Socket| {
            let (local, remote) = socket.endpoints()?;
            let ends = (local, remote, socket.interface, socket.protocol);
            (!remote.is_unspecified()).then_some(ends)
        };
        let replaced: HashSet<_> = new.iter().filter_map(connection).collect();
        listed.retain(|socket| connection(socket).is_none_or(|it| !replaced.contains(&it)));
        self.sockets.append(&mut listed);
        self.sockets.extend(new);
    }

    /// An unknown part of some tables is missing.
    fn cut(&mut self, tables: &[Table], reason: String) {
        self.cut.extend(tables);
        self.gaps.push(Gap::uncounted(Origin::Sockets, reason));
    }
}

/// Something that can list sockets: the running kernel, or a recorded tree.
pub trait Source {
    /// The name that `begin` records and `--source` understand.
    fn name(&self) -> &'static str;

    /// Looks once. A table or row that cannot be read becomes a gap; what could be read is
    /// returned.
    fn look(&mut self, query: &Query) -> Snapshot;
}
