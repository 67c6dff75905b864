//! Why bind() would fail: the rules of Linux, on what is known of the sockets of a port.
//!
//! TCP's are in net/ipv4/inet_connection_sock.c (`inet_csk_get_port`, `inet_bind_conflict`,
//! `inet_rcv_saddr_equal`), UDP's in net/ipv4/udp.c (`udp_lib_get_port`). A test binds real
//! sockets in all combinations and compares. Left out, for nobody can see it from outside: what
//! the kernel remembers of sockets that are gone (who is like the last one that was bound with
//! SO_REUSEPORT is let in without a further look, `tb->fastreuseport`), flags that were changed
//! after bind(), virtual routing domains (VRF), and what security modules and cgroup programs
//! refuse.
//!
//! What is not known of a socket leaves the answer open where it depends on it: answers are
//! `Option<bool>`.

mod usual;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use crate::limits::Limits;
use crate::model::{Protocol, State, Uid};
pub use usual::{Asked, Place, usual};

/// A socket that has the port on its side, as far as bind() cares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bound {
    /// TCP, UDP, ...: each has its own ports.
    pub protocol: Protocol,
    /// The local address, as the kernel gave it: a v4-mapped one is of an IPv6 socket.
    pub address: IpAddr,
    /// The state.
    pub state: State,
    /// The interface it is bound to, 0 for none.
    pub interface: Option<u32>,
    /// IPV6_V6ONLY; no question for an IPv4 address.
    pub v6_only: Option<bool>,
    /// SO_REUSEADDR.
    pub reuse_address: Option<bool>,
    /// SO_REUSEPORT.
    pub reuse_port: Option<bool>,
    /// The user who made it.
    pub uid: Option<Uid>,
    /// Whether connect() or a send chose the port for it, rather than a bind().
    pub outgoing: Option<bool>,
}

/// A bind() that somebody may want to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Which ports are meant.
    pub protocol: Protocol,
    /// The address; an unspecified one is every address of its kind.
    pub address: IpAddr,
    /// IPV6_V6ONLY; without it `::` is every IPv4 address as well.
    pub v6_only: bool,
    /// The interface it is limited to (SO_BINDTODEVICE, or the scope of a link-local address);
    /// 0 for none.
    pub interface: u32,
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// The user who asks.
    pub uid: Uid,
}

/// The IPv4 address that the kernel keeps in an IPv6 socket with a local address of IPv6
/// (`LOOPBACK4_IPV6`, include/net/ipv6.h).
const STAND_IN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);

impl Bound {
    /// Whether it has a place among those that bind() looks at. A connection before the end of
    /// the handshake is a request without one (`struct request_sock`).
    pub fn counts(&self) -> bool {
        self.state != State::SynRecv
    }

    fn listens(&self) -> bool {
        self.state == State::Listen
    }
}

impl Ask {
    /// Whether the socket makes this bind() fail.
    pub fn fails_by(&self, bound: &Bound) -> Option<bool> {
        if self.protocol != bound.protocol || !bound.counts() {
            return Some(false);
        }
        and(
            and(self.same_interface(bound), self.overlaps(bound)),
            self.shares(bound).map(|shares| !shares),
        )
    }

    /// Whether nothing tells the two apart by interface.
    fn same_interface(&self, bound: &Bound) -> Option<bool> {
        if self.interface == 0 {
            return Some(true);
        }
        let interface = bound.interface?;
        Some(interface == 0 || interface == self.interface)
    }

    /// Whether there is an address that is both's.
    pub fn overlaps(&self, bound: &Bound) -> Option<bool> {
        let as_v4 = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        match (as_v4(self.address), as_v4(bound.address)) {
            (Some(ours), Some(theirs)) => {
                Some(ours == theirs || ours.is_unspecified() || theirs.is_unspecified())
            }
            (None, Some(_)) => Some(self.address.is_unspecified() && !self.v6_only),
            (Some(ours), None) => {
                let both = bound.v6_only.map(|only| !only);
                if bound.address.is_unspecified() {
                    both
                } else if self.address.is_ipv4()
                    && (ours.is_unspecified()
                        || (ours == STAND_IN && self.protocol != Protocol::Tcp))
                {
                    // Surprising, and so: a connection over IPv6 that is not limited to it
                    // stands in the way of a bind() to 0.0.0.0, for it has the stand-in there.
                    both
                } else {
                    Some(false)
                }
            }
            (None, None) => Some(
                self.address == bound.address
                    || self.address.is_unspecified()
                    || bound.address.is_unspecified(),
            ),
        }
    }

    /// Whether both may have the same address.
    fn shares(&self, bound: &Bound) -> Option<bool> {
        or(self.shares_address(bound), self.shares_port(bound))
    }

    fn shares_address(&self, bound: &Bound) -> Option<bool> {
        if !self.reuse_address || (bound.listens() && bound.protocol == Protocol::Tcp) {
            return Some(false);
        }
        bound.reuse_address
    }

    fn shares_port(&self, bound: &Bound) -> Option<bool> {
        if !self.reuse_port {
            return Some(false);
        }
        let same_user = match bound.state {
            State::TimeWait => Some(true),
            _ => bound.uid.map(|uid| uid == self.uid),
        };
        and(bound.reuse_port, same_user)
    }

    /// Whether bind() fails with all these sockets there.
    pub fn fails_among<'a>(&self, bound: impl IntoIterator<Item = &'a Bound>) -> Option<bool> {
        let mut answer = Some(false);
        let mut joins_a_group = false;
        for bound in bound {
            answer = or(answer, self.fails_by(bound));
            joins_a_group |= self.overlaps(bound) != Some(false)
                && self.protocol == bound.protocol
                && self.shares_port(bound) != Some(false);
        }
        // UDP asks no further once it has met a socket whose group may be joined, and which it
        // meets first depends on the order in its table.
        if joins_a_group && self.protocol != Protocol::Tcp && answer == Some(true) {
            return None;
        }
        answer
    }

    /// The same with SO_REUSEADDR set.
    pub fn with_reuse_address(self) -> Self {
        Self {
            reuse_address: true,
            ..self
        }
    }

    /// The same with SO_REUSEPORT set.
    pub fn with_reuse_port(self) -> Self {
        Self {
            reuse_port: true,
            ..self
        }
    }
}

/// True when both are, false when one is not.
fn and(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// True when one is, false when both are not.
fn or(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    and(one.map(|it| !it), other.map(|it| !it)).map(|it| !it)
}

/// Why a bind() fails, or may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A listener has the very address.
    Listener,
    /// A listener's address is every address, or that which is asked for is.
    WildcardOverlap,
    /// One is IPv4, the other `::`, which is IPv4 too unless IPV6_V6ONLY is set.
    DualStackOverlap,
    /// A group of listeners that share by SO_REUSEPORT, of another user.
    ReusePortOfAnotherUser,
    /// A datagram socket has the address.
    Datagram,
    /// Bound, and neither listening nor connected.
    BoundOnly,
    /// A connection that this machine opened has the port as its local one.
    Outgoing,
    /// A connection that a server accepted, or of which it is not known who opened it.
    Connection,
    /// What is left of closed connections.
    TimeWait,
    /// The port needs CAP_NET_BIND_SERVICE.
    Privileged,
}

impl Cause {
    /// The name of the finding.
    pub fn word(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::WildcardOverlap => "wildcard-overlap",
            Self::DualStackOverlap => "dual-stack-overlap",
            Self::ReusePortOfAnotherUser => "reuseport-of-another-user",
            Self::Datagram => "datagram-socket",
            Self::BoundOnly => "bound-not-listening",
            Self::Outgoing => "outgoing-connection",
            Self::Connection => "connection",
            Self::TimeWait => "time-wait",
            Self::Privileged => "privileged-port",
        }
    }

    /// Why a socket is in the way of what is asked for.
    fn of(ask: &Ask, bound: &Bound) -> Self {
        match bound.state {
            State::Listen => Self::overlap(ask, bound).unwrap_or(Self::Listener),
            State::Bound | State::Closed => Self::BoundOnly,
            State::TimeWait => Self::TimeWait,
            // It waits for anybody's datagrams, or has a peer.
            State::Unconnected => Self::overlap(ask, bound).unwrap_or(Self::Datagram),
            _ if bound.protocol != Protocol::Tcp => Self::Datagram,
            _ if bound.outgoing == Some(true) => Self::Outgoing,
            _ => Self::Connection,
        }
    }

    fn overlap(ask: &Ask, bound: &Bound) -> Option<Self> {
        let (ours, theirs) = (ask.address.to_canonical(), bound.address.to_canonical());
        if ours.is_ipv4() != theirs.is_ipv4() {
            Some(Self::DualStackOverlap)
        } else if ours != theirs {
            Some(Self::WildcardOverlap)
        } else {
            None
        }
    }
}

/// Something in the way of a bind().
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is.
    pub cause: Cause,
    /// The protocol whose port it is.
    pub protocol: Protocol,
    /// The sockets, as places in what was given.
    pub sockets: BTreeSet<usize>,
    /// The binds that fail by it, as places in what was given.
    pub asks: BTreeSet<usize>,
    /// Whether they surely fail; else it depends on what is not known of the sockets.
    pub certain: bool,
    /// Whether they succeed with SO_REUSEADDR, as far as these sockets go.
    pub with_reuse_address: Option<bool>,
    /// Whether they succeed with SO_REUSEPORT.
    pub with_reuse_port: Option<bool>,
}

/// What is in the way of these binds, the hardest first. `may_bind_low` is whether who asks has
/// CAP_NET_BIND_SERVICE.
pub fn obstacles(
    asks: &[Ask],
    port: u16,
    sockets: &[Bound],
    limits: &Limits,
    may_bind_low: Option<bool>,
) -> Vec<Obstacle> {
    let mut found: Vec<Obstacle> = Vec::new();
    for (ask_place, ask) in asks.iter().enumerate() {
        for (place, bound) in sockets.iter().enumerate() {
            let fails = ask.fails_by(bound);
            if fails == Some(false) {
                continue;
            }
            let obstacle = Obstacle {
                cause: Cause::of(ask, bound),
                protocol: ask.protocol,
                sockets: BTreeSet::from([place]),
                asks: BTreeSet::from([ask_place]),
                certain: fails.is_some(),
                with_reuse_address: ask.with_reuse_address().fails_by(bound).map(|it| !it),
                with_reuse_port: ask.with_reuse_port().fails_by(bound).map(|it| !it),
            };
            let of_another = bound.reuse_port == Some(true)
                && bound.uid.is_some_and(|uid| uid != ask.uid)
                && (bound.listens() || bound.protocol != Protocol::Tcp);
            if of_another {
                add(
                    &mut found,
                    Obstacle {
                        cause: Cause::ReusePortOfAnotherUser,
                        ..obstacle.clone()
                    },
                );
            }
            add(&mut found, obstacle);
        }
    }
    found.extend(privileged(asks, port, limits, may_bind_low));
    found.sort_by_key(|obstacle| (obstacle.protocol, obstacle.cause));
    found
}

/// One for each cause and protocol: what is certain of one socket is certain of all.
fn add(found: &mut Vec<Obstacle>, new: Obstacle) {
    let same = found
        .iter_mut()
        .find(|known| known.cause == new.cause && known.protocol == new.protocol);
    let Some(known) = same else {
        found.push(new);
        return;
    };
    known.sockets.extend(new.sockets);
    known.asks.extend(new.asks);
    known.certain |= new.certain;
    known.with_reuse_address = and(known.with_reuse_address, new.with_reuse_address);
    known.with_reuse_port = and(known.with_reuse_port, new.with_reuse_port);
}

fn privileged(
    asks: &[Ask],
    port: u16,
    limits: &Limits,
    may_bind_low: Option<bool>,
) -> Vec<Obstacle> {
    if limits.is_privileged(port) != Some(true) || may_bind_low == Some(true) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (place, ask) in asks.iter().enumerate() {
        add(
            &mut found,
            Obstacle {
                cause: Cause::Privileged,
                protocol: ask.protocol,
                sockets: BTreeSet::new(),
                asks: BTreeSet::from([place]),
                certain: may_bind_low == Some(false),
                with_reuse_address: Some(false),
                with_reuse_port: Some(false),
            },
        );
    }
    found
}
