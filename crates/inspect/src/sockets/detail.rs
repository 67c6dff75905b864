//! What sock_diag tells beyond the row of a socket.

use crate::model::{ForeignText, Protocol};

/// Details of one socket. Each is `None` when it was not asked for or the source does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail {
    /// The timer that runs, or that none does.
    pub timer: Option<Timer>,
    /// Its buffers.
    pub memory: Option<Memory>,
    /// What TCP knows of the connection.
    pub tcp: Option<Box<TcpInfo>>,
    /// The congestion control in use: `cubic`.
    pub congestion: Option<ForeignText>,
    /// An IPv6 socket that refuses IPv4 (IPV6_V6ONLY).
    pub v6_only: Option<bool>,
    /// Which directions were shut down.
    pub shutdown: Option<Shutdown>,
    /// The mark of its packets (SO_MARK); told to those with CAP_NET_ADMIN only.
    pub mark: Option<u32>,
    /// The id of the cgroup (version 2) it was made in: the inode of its folder.
    pub cgroup: Option<u64>,
    /// Nobody asked by bind() for its port: connect(), listen() or a send chose it, or it is that
    /// of the listener it was accepted from. Not told of TIME_WAIT and SYN_RECV.
    pub autobound: Option<bool>,
    /// The number of an IP protocol that a raw socket receives.
    pub raw_protocol: Option<u8>,
    /// Of a TCP subflow or an MPTCP socket, the protocol that rides on it, where it has one.
    pub rides: Option<Protocol>,
}

/// The timer of a TCP socket (include/uapi/linux/inet_diag.h `idiag_timer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// Which one.
    pub kind: TimerKind,
    /// Milliseconds until it goes off.
    pub expires_ms: u32,
    /// How often it has gone off since something was acknowledged.
    pub retransmits: u8,
}

/// Which timer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerKind {
    /// None.
    Off,
    /// Retransmission, and its kin (tail loss probe, reordering).
    Retransmit,
    /// Keepalive; SYN_RECV and FIN_WAIT2 use it too.
    Keepalive,
    /// The end of TIME_WAIT.
    TimeWait,
    /// Probes of a closed window.
    Persist,
    /// A number that this program does not know.
    Other(u8),
}

impl TimerKind {
    /// The word ss uses, and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Retransmit => "on",
            Self::Keepalive => "keepalive",
            Self::TimeWait => "timewait",
            Self::Persist => "persist",
            Self::Other(_) => "unknown",
        }
    }
}

/// The buffers of a socket, in bytes (INET_DIAG_SKMEMINFO, include/uapi/linux/sock_diag.h).
/// What an older kernel does not tell is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Receive buffer in use.
    pub receive_used: Option<u32>,
    /// Receive buffer limit (SO_RCVBUF).
    pub receive_limit: Option<u32>,
    /// Send buffer in flight to the device.
    pub send_used: Option<u32>,
    /// Send buffer limit (SO_SNDBUF).
    pub send_limit: Option<u32>,
    /// Reserved for future use by this socket.
    pub forward_allocated: Option<u32>,
    /// Queued for sending.
    pub write_queued: Option<u32>,
    /// Options and filters.
    pub options: Option<u32>,
    /// Backlog: arrived while a call held the socket.
    pub backlog: Option<u32>,
    /// Packets dropped, ever: a count, not bytes.
    pub drops: Option<u32>,
}

/// Which directions of a connection were shut down (shutdown(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shutdown {
    /// Nothing more is received.
    pub receive: bool,
    /// Nothing more is sent.
    pub send: bool,
}

/// What TCP knows of a connection (`struct tcp_info`, include/uapi/linux/tcp.h; tcp(7)).
/// What an older kernel does not tell is `None`. Times are microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpInfo {
    /// Retransmission time-out.
    pub retransmit_timeout_us: Option<u32>,
    /// Delayed acknowledgement time-out.
    pub ack_timeout_us: Option<u32>,
    /// Largest segment sent.
    pub send_mss: Option<u32>,
    /// Largest segment received.
    pub receive_mss: Option<u32>,
    /// Round trip time, smoothed; 0 before the first was measured.
    pub rtt_us: Option<u32>,
    /// Its variation.
    pub rtt_variation_us: Option<u32>,
    /// The smallest round trip seen; `None` too before the first.
    pub rtt_min_us: Option<u32>,
    /// Congestion window, in segments.
    pub congestion_window: Option<u32>,
    /// Slow start threshold, in segments; `None` too while there is none yet.
    pub slow_start_threshold: Option<u32>,
    /// Segments sent and not acknowledged.
    pub unacknowledged: Option<u32>,
    /// Segments thought to be lost.
    pub lost: Option<u32>,
    /// Segments retransmitted and not acknowledged yet.
    pub retransmitting: Option<u32>,
    /// Segments retransmitted, ever.
    pub retransmits: Option<u32>,
    /// Bytes retransmitted, ever.
    pub bytes_retransmitted: Option<u64>,
    /// Bytes sent, retransmissions included.
    pub bytes_sent: Option<u64>,
    /// Bytes acknowledged by the peer.
    pub bytes_acknowledged: Option<u64>,
    /// Bytes received.
    pub bytes_received: Option<u64>,
    /// Segments sent.
    pub segments_out: Option<u32>,
    /// Segments received.
    pub segments_in: Option<u32>,
    /// Milliseconds since data was last sent.
    pub last_sent_ms: Option<u32>,
    /// Milliseconds since data was last received.
    pub last_received_ms: Option<u32>,
    /// Milliseconds since an acknowledgement was last received.
    pub last_ack_ms: Option<u32>,
    /// The rate the sender keeps to, bytes a second; `None` too when it keeps to none.
    pub pacing_rate: Option<u64>,
    /// The rate at which data arrived at the peer lately, bytes a second; 0 before any did.
    pub delivery_rate: Option<u64>,
    /// Whether that rate was limited by the program rather than the network.
    pub delivery_rate_app_limited: Option<bool>,
    /// Time with data in flight or waiting.
    pub busy_us: Option<u64>,
    /// Of that, time stopped by the peer's window.
    pub receive_window_limited_us: Option<u64>,
    /// Of that, time stopped by this side's send buffer.
    pub send_buffer_limited_us: Option<u64>,
    /// Bytes handed over by the program and not sent yet.
    pub not_sent: Option<u32>,
    /// The window the peer offers, bytes.
    pub send_window: Option<u32>,
    /// The window offered to the peer, bytes.
    pub receive_window: Option<u32>,
    /// How often segments were found to have overtaken each other.
    pub reordering_seen: Option<u32>,
    /// How often the retransmission time-out was doubled since something was acknowledged.
    pub backoff: Option<u8>,
    /// Unanswered probes of a closed window or a silent peer.
    pub probes: Option<u8>,
}
