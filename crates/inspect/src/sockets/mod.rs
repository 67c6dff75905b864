//! The kernel's socket tables as values. Knows no process.

mod proc_row;
mod source;

use crate::model::{
    Cookie, Endpoint, Family, Gap, Inode, NetworkNamespace, Protocol, State, Uid, UnixAddress,
};
pub use source::ProcTables;

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
    /// accept(); for datagrams, bytes of receive buffer in use, which is more than they carry.
    /// `None` where the source does not tell.
    pub recv_queue: Option<u64>,
    /// For TCP, bytes sent and not acknowledged yet; for datagrams, bytes of send buffer in
    /// use. `None` where the source does not tell.
    pub send_queue: Option<u64>,
    /// `None` for sockets without one: TIME_WAIT, orphans, those waiting for accept().
    pub inode: Option<Inode>,
    /// `None` where the source does not tell.
    pub cookie: Option<Cookie>,
    /// The user who created it; `None` where the source does not tell.
    pub uid: Option<Uid>,
    /// The network namespace it lives in; `None` where that is unknown.
    pub netns: Option<NetworkNamespace>,
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
    Unix(UnixAddress),
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

/// Which tables to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// TCP over IPv4.
    Tcp,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4.
    Udp,
    /// UDP over IPv6.
    Udp6,
    /// UDP-Lite over IPv4 (RFC 3828).
    UdpLite,
    /// UDP-Lite over IPv6.
    UdpLite6,
    /// Raw IPv4 sockets.
    Raw,
    /// Raw IPv6 sockets.
    Raw6,
    /// Ping sockets of IPv4 (icmp(7)).
    Icmp,
    /// Ping sockets of IPv6.
    Icmp6,
    /// Unix sockets.
    Unix,
    /// Netlink sockets.
    Netlink,
    /// Packet sockets.
    Packet,
}

impl Table {
    /// All tables, in the order they are read.
    pub const ALL: [Self; 13] = [
        Self::Tcp,
        Self::Tcp6,
        Self::Udp,
        Self::Udp6,
        Self::UdpLite,
        Self::UdpLite6,
        Self::Raw,
        Self::Raw6,
        Self::Icmp,
        Self::Icmp6,
        Self::Unix,
        Self::Netlink,
        Self::Packet,
    ];

    /// The family of its sockets.
    pub fn family(self) -> Family {
        match self {
            Self::Tcp | Self::Udp | Self::UdpLite | Self::Raw | Self::Icmp => Family::Inet,
            Self::Tcp6 | Self::Udp6 | Self::UdpLite6 | Self::Raw6 | Self::Icmp6 => Family::Inet6,
            Self::Unix => Family::Unix,
            Self::Netlink => Family::Netlink,
            Self::Packet => Family::Packet,
        }
    }

    /// The protocol of its sockets; `None` where each socket says its own.
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Tcp | Self::Tcp6 => Some(Protocol::Tcp),
            Self::Udp | Self::Udp6 => Some(Protocol::Udp),
            Self::UdpLite | Self::UdpLite6 => Some(Protocol::UdpLite),
            Self::Raw | Self::Raw6 => Some(Protocol::Raw),
            Self::Icmp | Self::Icmp6 => Some(Protocol::Icmp),
            Self::Netlink => Some(Protocol::Netlink),
            Self::Unix | Self::Packet => None,
        }
    }

    /// Its file below /proc/net (proc_net(5)).
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tcp6 => "tcp6",
            Self::Udp => "udp",
            Self::Udp6 => "udp6",
            Self::UdpLite => "udplite",
            Self::UdpLite6 => "udplite6",
            Self::Raw => "raw",
            Self::Raw6 => "raw6",
            Self::Icmp => "icmp",
            Self::Icmp6 => "icmp6",
            Self::Unix => "unix",
            Self::Netlink => "netlink",
            Self::Packet => "packet",
        }
    }
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
}

/// Something that can list sockets: the running kernel, or a recorded tree.
pub trait Source {
    /// The name that `begin` records and `--source` understand.
    fn name(&self) -> &'static str;

    /// Looks once at the given tables. A table or row that cannot be read becomes a gap; what
    /// could be read is returned.
    fn look(&mut self, tables: &[Table]) -> Snapshot;
}
