//! What kind of socket or segment it is.

/// The address family of a socket (socket(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AF_INET.
    Inet,
    /// AF_INET6.
    Inet6,
    /// AF_UNIX.
    Unix,
    /// AF_NETLINK.
    Netlink,
    /// AF_PACKET.
    Packet,
    /// AF_VSOCK.
    Vsock,
    /// AF_TIPC.
    Tipc,
}

impl Family {
    /// All, in the order of the summary.
    pub const ALL: [Self; 7] = [
        Self::Inet,
        Self::Inet6,
        Self::Unix,
        Self::Netlink,
        Self::Packet,
        Self::Vsock,
        Self::Tipc,
    ];

    /// The word used in records and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Inet6 => "inet6",
            Self::Unix => "unix",
            Self::Netlink => "netlink",
            Self::Packet => "packet",
            Self::Vsock => "vsock",
            Self::Tipc => "tipc",
        }
    }
}

/// The protocol of a socket; for unix sockets their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP (RFC 9293).
    Tcp,
    /// UDP (RFC 768).
    Udp,
    /// UDP-Lite (RFC 3828).
    UdpLite,
    /// A raw IP socket (raw(7)).
    Raw,
    /// A ping socket (icmp(7)).
    Icmp,
    /// A unix stream socket.
    UnixStream,
    /// A unix datagram socket.
    UnixDatagram,
    /// A unix sequenced-packet socket.
    UnixSeqpacket,
    /// A netlink socket.
    Netlink,
    /// A packet socket that gets whole frames.
    PacketRaw,
    /// A packet socket that gets frames without their link header.
    PacketDatagram,
    /// Multipath TCP (RFC 8684).
    Mptcp,
    /// A vsock stream socket.
    VsockStream,
    /// A vsock datagram socket.
    VsockDatagram,
    /// A vsock sequenced-packet socket.
    VsockSeqpacket,
    /// A TIPC socket of any type.
    Tipc,
}

impl Protocol {
    /// The word used in records and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpLite => "udplite",
            Self::Raw => "raw",
            Self::Icmp => "icmp",
            Self::UnixStream => "unix-stream",
            Self::UnixDatagram => "unix-dgram",
            Self::UnixSeqpacket => "unix-seqpacket",
            Self::Netlink => "netlink",
            Self::PacketRaw => "packet-raw",
            Self::PacketDatagram => "packet-dgram",
            Self::Mptcp => "mptcp",
            Self::VsockStream => "vsock-stream",
            Self::VsockDatagram => "vsock-dgram",
            Self::VsockSeqpacket => "vsock-seqpacket",
            Self::Tipc => "tipc",
        }
    }

    /// Whether it is one of the unix socket types.
    pub fn is_unix(self) -> bool {
        matches!(
            self,
            Self::UnixStream | Self::UnixDatagram | Self::UnixSeqpacket
        )
    }
}
