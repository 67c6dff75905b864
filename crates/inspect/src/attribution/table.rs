//! One look at sockets and owners, made ready for questions.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::{Attribution, Grounds};
use crate::model::{Endpoint, Inode, OwnerStatus, Protocol, State, Uid};
use crate::owners::Holdings;
use crate::sockets::Socket;

/// Sockets by their ends, with their owners.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<(Protocol, Endpoint, Endpoint), Held>,
    /// Listeners and datagram sockets without a peer.
    open: HashMap<(Protocol, u16), Vec<(IpAddr, Held)>>,
    ports: HashMap<u16, PortUse>,
    addresses: HashSet<IpAddr>,
    holdings: Holdings,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    inode: Option<Inode>,
    uid: Option<Uid>,
    state: State,
}

/// How many sockets use a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortUse {
    /// Those that wait for others: listeners, datagram sockets without a peer.
    pub waiting: usize,
    /// Those that have a peer.
    pub connected: usize,
}

impl Table {
    /// From one look at the sockets, one at their owners, and the addresses of this machine.
    pub fn new(
        sockets: &[Socket],
        holdings: Holdings,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        let mut table = Self {
            addresses: addresses.into_iter().map(|it| it.to_canonical()).collect(),
            holdings,
            ..Self::default()
        };
        for socket in sockets {
            table.add(socket);
        }
        table
    }

    fn add(&mut self, socket: &Socket) {
        let Some((local, remote)) = socket.endpoints() else {
            return;
        };
        if !matches!(socket.protocol, Protocol::Tcp | Protocol::Udp) || local.port == 0 {
            return;
        }
        let held = Held {
            inode: socket.inode,
            uid: socket.uid,
            state: socket.state,
        };
        let local = local.on_the_wire();
        let remote = remote.on_the_wire();
        let usage = self.ports.entry(local.port).or_default();
        if remote.port == 0 {
            if matches!(socket.state, State::Listen | State::Unconnected) {
                usage.waiting += 1;
                let open = self.open.entry((socket.protocol, local.port)).or_default();
                open.push((local.address, held));
            }
        } else {
            usage.connected += 1;
            self.exact.insert((socket.protocol, local, remote), held);
        }
    }

    /// Whether an address is this machine's.
    pub fn is_here(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_loopback() || self.addresses.contains(&address)
    }

    /// Whether a socket waits at this end for others to begin.
    pub fn waits_at(&self, protocol: Protocol, end: Endpoint) -> bool {
        self.is_here(end.address) && self.waiting_at(protocol, end).next().is_some()
    }

    /// How many sockets use a port, of both protocols.
    pub fn port_use(&self, port: u16) -> PortUse {
        self.ports.get(&port).copied().unwrap_or_default()
    }

    /// Who is at `local` in its conversation with `remote`.
    pub fn attribute(&self, protocol: Protocol, local: Endpoint, remote: Endpoint) -> Attribution {
        let (local, remote) = (local.on_the_wire(), remote.on_the_wire());
        if !self.is_here(local.address) {
            return Attribution::nobody(Grounds::Elsewhere);
        }
        let Some(held) = self.exact.get(&(protocol, local, remote)) else {
            return self.by_local_port(protocol, local, Grounds::Gone);
        };
        match held.inode {
            Some(inode) => self.owners_of(inode, held.uid, Grounds::Exact),
            // Before accept() and after the last close() no process holds it; the listener's
            // owner is then the likeliest on the server's side.
            None if matches!(
                held.state,
                State::Established | State::SynRecv | State::CloseWait
            ) =>
            {
                self.by_local_port(protocol, local, Grounds::Pending)
            }
            None => self.by_local_port(protocol, local, Grounds::Gone),
        }
    }

    fn owners_of(&self, inode: Inode, uid: Option<Uid>, found: Grounds) -> Attribution {
        let (owners, status) = self.holdings.of(inode);
        match status {
            OwnerStatus::Known | OwnerStatus::Partial => Attribution {
                owners,
                grounds: found,
            },
            OwnerStatus::Hidden => Attribution::nobody(Grounds::Hidden(uid)),
            _ => Attribution::nobody(Grounds::Gone),
        }
    }

    fn waiting_at(
        &self,
        protocol: Protocol,
        end: Endpoint,
    ) -> impl Iterator<Item = &(IpAddr, Held)> {
        let address = end.address.to_canonical();
        self.open
            .get(&(protocol, end.port))
            .into_iter()
            .flatten()
            .filter(move |(bound, _)| bound.is_unspecified() || *bound == address)
    }

    fn by_local_port(
        &self,
        protocol: Protocol,
        local: Endpoint,
        otherwise: Grounds,
    ) -> Attribution {
        // A socket bound to the address itself is served before one bound to all.
        let rank = |bound: &IpAddr| match (bound.is_unspecified(), local.address.is_ipv4()) {
            (false, _) => 0,
            (true, v4) if bound.is_ipv4() == v4 => 1,
            (true, _) => 2,
        };
        let best = self
            .waiting_at(protocol, local)
            .map(|(bound, _)| rank(bound))
            .min();
        let mut answer: Option<Attribution> = None;
        let candidates = self
            .waiting_at(protocol, local)
            .filter(|(bound, _)| Some(rank(bound)) == best);
        for (_, held) in candidates {
            let Some(inode) = held.inode else { continue };
            let next = self.owners_of(inode, held.uid, Grounds::LocalPort);
            match &answer {
                // The same processes hold both: then it is no matter which it was.
                Some(answer) if pids(answer) != pids(&next) => {
                    return Attribution::nobody(Grounds::Ambiguous);
                }
                _ => answer = Some(next),
            }
        }
        answer.unwrap_or(Attribution::nobody(otherwise))
    }
}

fn pids(attribution: &Attribution) -> Vec<crate::model::Pid> {
    let mut pids: Vec<_> = attribution.owners.iter().map(|owner| owner.pid).collect();
    pids.dedup();
    pids
}
