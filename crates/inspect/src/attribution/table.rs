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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::model::{Family, Fd, ForeignText, Owner, OwnerStatus, Pid};
    use crate::owners::{Holder, Unreadable};
    use crate::sockets::Address;

    fn end(text: &str) -> Endpoint {
        let address: SocketAddr = text.parse().unwrap();
        Endpoint::new(address.ip(), address.port())
    }

    fn tcp(state: State, local: &str, remote: &str, inode: u64) -> Socket {
        let local = end(local);
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
                remote: end(remote),
            },
            recv_queue: None,
            send_queue: None,
            inode: (inode != 0).then_some(Inode(inode)),
            cookie: None,
            uid: (inode != 0).then_some(Uid(0)),
            netns: None,
        }
    }

    fn held(inode: u64, pid: u32, name: &str) -> (Inode, Vec<Holder>) {
        let owner = Owner {
            pid: Pid(pid),
            tid: Pid(pid),
            fd: Fd(3),
            command: ForeignText::from(name),
            started: None,
        };
        (
            Inode(inode),
            vec![Holder {
                owner,
                parent: None,
            }],
        )
    }

    fn names(attribution: &Attribution) -> Vec<&str> {
        let owners = attribution.owners.iter();
        owners
            .map(|owner| owner.command.as_utf8().unwrap())
            .collect()
    }

    fn table(sockets: &[Socket]) -> Table {
        let mut holdings = Holdings::default();
        holdings.by_inode.extend([
            held(10, 100, "server"),
            held(11, 100, "server"),
            held(12, 200, "client"),
            held(13, 300, "other"),
        ]);
        Table::new(sockets, holdings, ["10.0.0.5".parse().unwrap()])
    }

    fn listening(address: &str, inode: u64) -> Socket {
        let any = if address.starts_with('[') {
            "[::]:0"
        } else {
            "0.0.0.0:0"
        };
        tcp(State::Listen, address, any, inode)
    }

    #[test]
    fn the_socket_of_both_ends_is_exact() {
        let table = table(&[
            listening("0.0.0.0:80", 10),
            tcp(State::Established, "127.0.0.1:80", "127.0.0.1:5000", 11),
            tcp(State::Established, "127.0.0.1:5000", "127.0.0.1:80", 12),
        ]);
        let (client, server) = (end("127.0.0.1:5000"), end("127.0.0.1:80"));
        let found = table.attribute(Protocol::Tcp, client, server);
        assert_eq!(
            (names(&found), found.grounds),
            (vec!["client"], Grounds::Exact)
        );
        let found = table.attribute(Protocol::Tcp, server, client);
        assert_eq!(
            (names(&found), found.grounds),
            (vec!["server"], Grounds::Exact)
        );
        assert!(table.waits_at(Protocol::Tcp, server));
        assert!(!table.waits_at(Protocol::Tcp, client));
        let usage = table.port_use(80);
        assert_eq!((usage.waiting, usage.connected), (1, 1));
    }

    #[test]
    fn before_accept_and_after_close_it_is_the_listeners_by_inference() {
        for state in [State::Established, State::SynRecv, State::TimeWait] {
            let table = table(&[
                listening("0.0.0.0:80", 10),
                tcp(state, "10.0.0.5:80", "10.0.0.9:5000", 0),
            ]);
            let found = table.attribute(Protocol::Tcp, end("10.0.0.5:80"), end("10.0.0.9:5000"));
            assert_eq!(
                (names(&found), found.grounds),
                (vec!["server"], Grounds::LocalPort)
            );
            let found = table.attribute(Protocol::Tcp, end("10.0.0.9:5000"), end("10.0.0.5:80"));
            assert_eq!(found.grounds, Grounds::Elsewhere);
        }
        let alone = table(&[tcp(State::Established, "10.0.0.5:80", "10.0.0.9:5000", 0)]);
        let found = alone.attribute(Protocol::Tcp, end("10.0.0.5:80"), end("10.0.0.9:5000"));
        assert_eq!(found.grounds, Grounds::Pending);
    }

    #[test]
    fn two_candidates_give_no_answer_and_the_nearer_one_does() {
        let remote = end("10.0.0.9:5000");
        let here = end("10.0.0.5:80");
        let two = table(&[listening("0.0.0.0:80", 10), listening("0.0.0.0:80", 13)]);
        assert_eq!(
            two.attribute(Protocol::Tcp, here, remote).grounds,
            Grounds::Ambiguous
        );
        let nearer = table(&[listening("0.0.0.0:80", 10), listening("10.0.0.5:80", 13)]);
        assert_eq!(
            names(&nearer.attribute(Protocol::Tcp, here, remote)),
            ["other"]
        );
        let elsewhere = table(&[listening("127.0.0.2:80", 10)]);
        assert_eq!(
            elsewhere.attribute(Protocol::Tcp, here, remote).grounds,
            Grounds::Gone
        );
        let both_families = table(&[listening("[::]:80", 10)]);
        assert_eq!(
            names(&both_families.attribute(Protocol::Tcp, here, remote)),
            ["server"]
        );
    }

    #[test]
    fn hidden_is_not_gone() {
        let mut holdings = Holdings::default();
        let sockets = [tcp(
            State::Established,
            "127.0.0.1:80",
            "127.0.0.1:5000",
            77,
        )];
        let (here, there) = (end("127.0.0.1:80"), end("127.0.0.1:5000"));
        assert_eq!(holdings.of(Inode(77)).1, OwnerStatus::None);
        let table = Table::new(&sockets, holdings.clone(), []);
        assert_eq!(
            table.attribute(Protocol::Tcp, here, there).grounds,
            Grounds::Gone
        );
        holdings.unreadable.push(Unreadable {
            pid: Pid(1),
            uid: None,
            command: None,
        });
        let table = Table::new(&sockets, holdings, []);
        let found = table.attribute(Protocol::Tcp, here, there).grounds;
        assert_eq!(found, Grounds::Hidden(Some(Uid(0))));
        assert_eq!(found.word(), "unknown");
    }

    #[test]
    fn what_was_seen_alive_stays_true() {
        let exact = Attribution::nobody(Grounds::Exact);
        let mut known = exact.clone();
        assert!(!known.improve(Attribution::nobody(Grounds::Gone)));
        assert_eq!(known, exact);
        let mut known = Attribution::nobody(Grounds::Pending);
        assert!(known.improve(exact.clone()));
        assert_eq!(known, exact);
    }
}
