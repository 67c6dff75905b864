//! A finding: what it is, how urgent, whose, and the numbers that show it.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use super::Holders;
use crate::model::{Endpoint, ForeignText, NetworkNamespace, Pid, Uid};
use crate::processes::Usage;
use crate::sockets::Socket;

/// Something that is wrong, or stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How urgent it is.
    pub severity: Severity,
    /// Whose it is.
    pub holders: Holders,
    /// What it is, and what shows it.
    pub evidence: Evidence,
}

/// How urgent a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something fails or stands still now.
    Critical,
    /// It will, or may.
    Warning,
    /// Nothing is wrong, and somebody may wonder.
    Notice,
}

impl Severity {
    /// The word used in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// What a finding is, in the order of urgency within one severity: what keeps new clients out
/// stands before what holds up one conversation, and that before what only accumulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Connections wait for accept() and no more are let in.
    AcceptQueueFull,
    /// connect() has hardly any port left for a destination, or bind() for an address.
    EphemeralPortsExhausted,
    /// A process has hardly any descriptor left.
    DescriptorsNearLimit,
    /// A process does not read what has arrived.
    NotReading,
    /// A process reads more slowly than datagrams arrive.
    SlowReading,
    /// A peer does not read what was sent.
    PeerNotReading,
    /// A process does not close what its peers have closed.
    CloseWaitPile,
    /// A peer does not answer any more.
    HalfOpen,
    /// A peer has never answered.
    SynSentStuck,
    /// Ports rest in TIME_WAIT in great numbers.
    TimeWaitPile,
    /// A listener outlived the process that made it.
    InheritedSocket,
    /// Different programs share a port.
    SharedPort,
    /// A listener that other machines cannot reach.
    LoopbackOnly,
}

impl Name {
    /// All, the most urgent first.
    pub const ALL: [Self; 13] = [
        Self::AcceptQueueFull,
        Self::EphemeralPortsExhausted,
        Self::DescriptorsNearLimit,
        Self::NotReading,
        Self::SlowReading,
        Self::PeerNotReading,
        Self::CloseWaitPile,
        Self::HalfOpen,
        Self::SynSentStuck,
        Self::TimeWaitPile,
        Self::InheritedSocket,
        Self::SharedPort,
        Self::LoopbackOnly,
    ];

    /// The word used in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::AcceptQueueFull => "accept-queue-full",
            Self::EphemeralPortsExhausted => "ephemeral-ports-exhausted",
            Self::DescriptorsNearLimit => "descriptors-near-limit",
            Self::NotReading => "not-reading",
            Self::SlowReading => "slow-reading",
            Self::PeerNotReading => "peer-not-reading",
            Self::CloseWaitPile => "close-wait-pile",
            Self::HalfOpen => "half-open",
            Self::SynSentStuck => "syn-sent-stuck",
            Self::TimeWaitPile => "time-wait-pile",
            Self::InheritedSocket => "inherited-socket",
            Self::SharedPort => "shared-port",
            Self::LoopbackOnly => "loopback-only",
        }
    }
}

/// What shows a finding. Sockets in it are without their details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// [`Name::AcceptQueueFull`].
    AcceptQueue {
        /// Where connections wait.
        listener: Box<Socket>,
        /// How many wait.
        waiting: u32,
        /// How many may: one more is let in.
        limit: u32,
        /// For how long the queue has been full, or nearly.
        lasting: Duration,
        /// For how long the one that waits longest has been seen waiting.
        waited: Duration,
        /// Whether nobody was accepted all the while; `None` where waiting connections do not say
        /// what they wait for (unix sockets).
        stuck: Option<bool>,
    },
    /// [`Name::NotReading`].
    NotReading {
        /// How many sockets.
        sockets: u64,
        /// The fullest.
        worst: Box<Socket>,
        /// The bytes unread in it.
        unread: u32,
        /// The bytes unread in all of them.
        total: u64,
        /// For how long nothing has been read.
        lasting: Duration,
        /// Whether it is full: more does not fit.
        full: bool,
        /// Whether it grew meanwhile.
        grew: bool,
        /// Datagrams dropped meanwhile.
        dropped: Option<u32>,
    },
    /// [`Name::SlowReading`].
    SlowReading {
        /// How many sockets.
        sockets: u64,
        /// The one that has dropped most.
        worst: Box<Socket>,
        /// How many datagrams all of them dropped between the looks.
        dropped: u64,
        /// In which time.
        lasting: Duration,
        /// The most of the worst's receive buffer that a look found in use.
        fullest: u32,
        /// How much of it may be in use.
        limit: Option<u32>,
    },
    /// [`Name::PeerNotReading`].
    PeerNotReading {
        /// How many sockets.
        sockets: u64,
        /// The fullest.
        worst: Box<Socket>,
        /// The bytes in it that the peer does not take.
        unsent: u32,
        /// Those in all of them.
        total: u64,
        /// For how long nothing has been taken.
        lasting: Duration,
        /// Whether they grew meanwhile.
        grew: bool,
    },
    /// [`Name::CloseWaitPile`].
    CloseWait {
        /// How many sockets.
        sockets: u64,
        /// One of them.
        example: Box<Socket>,
        /// The descriptors of the process.
        usage: Option<Usage>,
    },
    /// [`Name::EphemeralPortsExhausted`].
    EphemeralPorts {
        /// From which address, to which destination.
        path: Path,
        /// How many ports of the range are taken.
        used: u32,
        /// How many of them rest in TIME_WAIT.
        time_wait: u32,
        /// How many there are.
        ports: u32,
    },
    /// [`Name::EphemeralPortsExhausted`] by bind() before connect(): for all destinations.
    BoundPorts {
        /// In this network namespace.
        netns: Option<NetworkNamespace>,
        /// From this address.
        source: IpAddr,
        /// How many ports of the range are taken.
        used: u32,
        /// How many of them rest in TIME_WAIT.
        time_wait: u32,
        /// How many there are.
        ports: u32,
    },
    /// [`Name::TimeWaitPile`] towards one destination.
    TimeWaitTo {
        /// From which address, to which destination.
        path: Path,
        /// How many ports rest.
        time_wait: u32,
        /// How many there are.
        ports: u32,
    },
    /// [`Name::TimeWaitPile`] against the kernel's limit.
    TimeWaitTable {
        /// How many there are.
        time_wait: u32,
        /// How many the kernel keeps.
        limit: u32,
        /// In this network namespace.
        netns: Option<NetworkNamespace>,
    },
    /// [`Name::HalfOpen`].
    HalfOpen {
        /// How many connections.
        sockets: u64,
        /// The one that has tried most often.
        worst: Box<Socket>,
        /// How often in a row it has tried in vain.
        tries: u8,
        /// For how long nothing was heard on it.
        silent: Option<Duration>,
    },
    /// [`Name::SynSentStuck`].
    SynSent {
        /// How many attempts.
        sockets: u64,
        /// The one that has tried most often.
        worst: Box<Socket>,
        /// How often it has sent its SYN; `None` where that is not told.
        tries: Option<u16>,
        /// For how long it has been seen trying.
        lasting: Duration,
    },
    /// [`Name::InheritedSocket`].
    Inherited {
        /// The listener.
        listener: Box<Socket>,
        /// How many processes hold it.
        holders: u64,
        /// Whether connections wait on it.
        waiting: u32,
    },
    /// [`Name::SharedPort`].
    SharedPort {
        /// One of the listeners.
        listener: Box<Socket>,
        /// How many listeners share the port.
        sockets: u64,
        /// The programs that hold them, each once.
        sharers: Vec<Sharer>,
    },
    /// [`Name::LoopbackOnly`].
    LoopbackOnly {
        /// The listener.
        listener: Box<Socket>,
    },
    /// [`Name::DescriptorsNearLimit`].
    Descriptors {
        /// How many of how many.
        usage: Usage,
    },
}

/// From where to where connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// In this network namespace.
    pub netns: Option<NetworkNamespace>,
    /// From this address.
    pub source: IpAddr,
    /// To this endpoint.
    pub destination: Endpoint,
}

/// A program that shares a port with others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sharer {
    /// One of its processes.
    pub pid: Pid,
    /// Its name.
    pub command: ForeignText,
    /// The file it runs, where that could be read.
    pub executable: Option<ForeignText>,
    /// Its user.
    pub uid: Option<Uid>,
}

impl Evidence {
    /// What it is evidence of.
    pub fn name(&self) -> Name {
        match self {
            Self::AcceptQueue { .. } => Name::AcceptQueueFull,
            Self::NotReading { .. } => Name::NotReading,
            Self::SlowReading { .. } => Name::SlowReading,
            Self::PeerNotReading { .. } => Name::PeerNotReading,
            Self::CloseWait { .. } => Name::CloseWaitPile,
            Self::EphemeralPorts { .. } | Self::BoundPorts { .. } => Name::EphemeralPortsExhausted,
            Self::TimeWaitTo { .. } | Self::TimeWaitTable { .. } => Name::TimeWaitPile,
            Self::HalfOpen { .. } => Name::HalfOpen,
            Self::SynSent { .. } => Name::SynSentStuck,
            Self::Inherited { .. } => Name::InheritedSocket,
            Self::SharedPort { .. } => Name::SharedPort,
            Self::LoopbackOnly { .. } => Name::LoopbackOnly,
            Self::Descriptors { .. } => Name::DescriptorsNearLimit,
        }
    }
}

impl Finding {
    /// What it is.
    pub fn name(&self) -> Name {
        self.evidence.name()
    }

    /// Sorts the most urgent first: by severity, then by what it is, then by how much of it there
    /// is, then by whose it is, so that the same machine gives the same order.
    pub(super) fn urgency(&self) -> (Severity, Name, Reverse<u64>, Vec<(Pid, u32)>) {
        let amount = match &self.evidence {
            Evidence::AcceptQueue { waiting, .. } => (*waiting).into(),
            Evidence::NotReading { total, .. } | Evidence::PeerNotReading { total, .. } => *total,
            Evidence::SlowReading { dropped, .. } => *dropped,
            Evidence::CloseWait { sockets, .. }
            | Evidence::HalfOpen { sockets, .. }
            | Evidence::SynSent { sockets, .. }
            | Evidence::SharedPort { sockets, .. } => *sockets,
            Evidence::EphemeralPorts { used, .. } | Evidence::BoundPorts { used, .. } => {
                (*used).into()
            }
            Evidence::TimeWaitTo { time_wait, .. } | Evidence::TimeWaitTable { time_wait, .. } => {
                (*time_wait).into()
            }
            Evidence::Inherited { waiting, .. } => (*waiting).into(),
            Evidence::LoopbackOnly { .. } => 0,
            Evidence::Descriptors { usage } => usage.used,
        };
        let owners = self.holders.owners.iter();
        let owners = owners.map(|owner| (owner.pid, owner.fd.0)).collect();
        (self.severity, self.name(), Reverse(amount), owners)
    }
}
