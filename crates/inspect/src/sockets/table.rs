//! Which tables the kernel keeps sockets in.

use super::Socket;
use crate::model::{Family, Protocol};

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
    /// Multipath TCP over IPv4 (RFC 8684): the connection as the program sees it. Its subflows
    /// are in [`Self::Tcp`].
    Mptcp,
    /// Multipath TCP over IPv6.
    Mptcp6,
    /// Sockets between virtual machines and their host.
    Vsock,
    /// Sockets of the cluster protocol TIPC.
    Tipc,
}

impl Table {
    /// Whether a socket is one that this table lists.
    pub fn lists(self, socket: &Socket) -> bool {
        let protocol = self.protocol();
        socket.family == self.family() && protocol.is_none_or(|it| it == socket.protocol)
    }

    /// All tables, in the order they are read.
    pub const ALL: [Self; 17] = [
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
        Self::Mptcp,
        Self::Mptcp6,
        Self::Vsock,
        Self::Tipc,
    ];

    /// The family of its sockets.
    pub fn family(self) -> Family {
        match self {
            Self::Tcp | Self::Udp | Self::UdpLite | Self::Raw | Self::Icmp | Self::Mptcp => {
                Family::Inet
            }
            Self::Tcp6 | Self::Udp6 | Self::UdpLite6 | Self::Raw6 | Self::Icmp6 | Self::Mptcp6 => {
                Family::Inet6
            }
            Self::Unix => Family::Unix,
            Self::Netlink => Family::Netlink,
            Self::Packet => Family::Packet,
            Self::Vsock => Family::Vsock,
            Self::Tipc => Family::Tipc,
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
            Self::Mptcp | Self::Mptcp6 => Some(Protocol::Mptcp),
            Self::Unix | Self::Packet | Self::Vsock | Self::Tipc => None,
        }
    }

    /// Its file below /proc/net (proc_net(5)); `None` where only sock_diag lists it.
    pub fn file_name(self) -> Option<&'static str> {
        Some(match self {
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
            Self::Mptcp | Self::Mptcp6 | Self::Vsock | Self::Tipc => return None,
        })
    }

    /// Its name in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mptcp => "mptcp",
            Self::Mptcp6 => "mptcp6",
            Self::Vsock => "vsock",
            Self::Tipc => "tipc",
            other => other.file_name().unwrap_or("?"),
        }
    }
}
