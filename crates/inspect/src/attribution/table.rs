//! One look at sockets and owners, made ready for questions.

use std::collections::hash_map::Entry;
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
    /// Further sockets of the same two ends: datagram sockets that share their address
    /// (SO_REUSEADDR), or that are bound to different interfaces.
    twins: HashMap<(Protocol, Endpoint, Endpoint), Vec<Held>>,
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
            let ends = (socket.protocol, local, remote);
            match self.exact.entry(ends) {
                Entry::Vacant(place) => {
                    place.insert(held);
                }
                // The same socket may stand twice in a table that changed while it was read.
                Entry::Occupied(place) if place.get().inode == held.inode => {}
                Entry::Occupied(mut place) if place.get().inode.is_none() => {
                    place.insert(held);
                }
                Entry::Occupied(_) if held.inode.is_none() => {}
                Entry::Occupied(_) => self.twins.entry(ends).or_default().push(held),
            }
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
            return self.by_local_port(protocol, local, Grounds::Closed);
        };
        match held.inode {
            Some(inode) => {
                let mut answer = self.owners_of(inode, held.uid, Grounds::Exact);
                let twins = self.twins.get(&(protocol, local, remote));
                for (inode, twin) in twins.into_iter().flatten().filter_map(with_inode) {
                    let next = self.owners_of(inode, twin.uid, Grounds::Exact);
                    if !agree(&answer, &next) {
                        return Attribution::nobody(Grounds::Ambiguous);
                    }
                    answer = next;
                }
                answer
            }
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
        Attribution {
            owners,
            grounds: match status {
                OwnerStatus::Known | OwnerStatus::Partial => found,
                OwnerStatus::Hidden => Grounds::Hidden(uid),
                _ => Grounds::Gone,
            },
            socket: Some(inode),
            user: uid,
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
                Some(answer) if !agree(answer, &next) => {
                    return Attribution::nobody(Grounds::Ambiguous);
                }
                _ => answer = Some(next),
            }
        }
        answer.unwrap_or(Attribution::nobody(otherwise))
    }
}

fn with_inode(held: &Held) -> Option<(Inode, &Held)> {
    held.inode.map(|inode| (inode, held))
}

/// Whether two sockets have the same processes, or are hidden with the same user: then it is
/// no matter which of them it was.
pub(super) fn agree(one: &Attribution, other: &Attribution) -> bool {
    one.grounds == other.grounds && pids(one) == pids(other)
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
    use crate::model::{Family, OwnerStatus};
    use crate::owners::tests_support::{seen, unreadable};
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
            interface: None,
            detail: None,
        }
    }

    fn names(attribution: &Attribution) -> Vec<&str> {
        let owners = attribution.owners.iter();
        owners
            .map(|owner| owner.command.as_utf8().unwrap())
            .collect()
    }

    fn table(sockets: &[Socket]) -> Table {
        let holdings = seen(&[
            (10, 100, 3, "server", None),
            (11, 100, 3, "server", None),
            (12, 200, 3, "client", None),
            (13, 300, 3, "other", None),
        ])
        .into();
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
            Grounds::Closed
        );
        let both_families = table(&[listening("[::]:80", 10)]);
        assert_eq!(
            names(&both_families.attribute(Protocol::Tcp, here, remote)),
            ["server"]
        );
    }

    #[test]
    fn hidden_is_not_gone() {
        let sockets = [tcp(
            State::Established,
            "127.0.0.1:80",
            "127.0.0.1:5000",
            77,
        )];
        let (here, there) = (end("127.0.0.1:80"), end("127.0.0.1:5000"));
        let holdings = Holdings::default();
        assert_eq!(holdings.of(Inode(77)).1, OwnerStatus::None);
        let table = Table::new(&sockets, holdings, []);
        assert_eq!(
            table.attribute(Protocol::Tcp, here, there).grounds,
            Grounds::Gone
        );
        let mut partly = seen(&[]);
        partly.unreadable.push(unreadable(1));
        let table = Table::new(&sockets, partly.into(), []);
        let found = table.attribute(Protocol::Tcp, here, there).grounds;
        assert_eq!(found, Grounds::Hidden(Some(Uid(0))));
        assert_eq!(found.word(), "unknown");
    }

    #[test]
    fn two_datagram_sockets_of_the_same_ends_give_no_answer() {
        let udp = |inode| Socket {
            protocol: Protocol::Udp,
            ..tcp(State::Established, "127.0.0.1:53", "127.0.0.1:5000", inode)
        };
        let ask = |sockets: &[Socket]| {
            let (here, there) = (end("127.0.0.1:53"), end("127.0.0.1:5000"));
            table(sockets).attribute(Protocol::Udp, here, there)
        };
        for sockets in [[udp(12), udp(13)], [udp(13), udp(12)]] {
            assert_eq!(
                ask(&sockets),
                Attribution::nobody(Grounds::Ambiguous),
                "two owners"
            );
        }
        // The same process holds both, or it is one socket, read twice.
        for sockets in [[udp(10), udp(11)], [udp(10), udp(10)], [udp(10), udp(0)]] {
            let found = ask(&sockets);
            assert_eq!(
                (names(&found), found.grounds),
                (vec!["server"], Grounds::Exact)
            );
        }
        // Nobody is known of one of them: it may be the one.
        assert_eq!(ask(&[udp(12), udp(99)]).grounds, Grounds::Ambiguous);
    }

    fn known(grounds: Grounds, inode: u64, pid: u32) -> Attribution {
        let holdings = Holdings::from(seen(&[(inode, pid, 3, "name", None)]));
        Attribution {
            owners: holdings.of(Inode(inode)).0,
            grounds,
            socket: Some(Inode(inode)),
            user: Some(Uid(0)),
        }
    }

    #[test]
    fn what_was_seen_alive_stays_true_when_it_is_gone() {
        for was in [Grounds::Exact, Grounds::LocalPort] {
            for now in [
                Grounds::NotYet,
                Grounds::Elsewhere,
                Grounds::Gone,
                Grounds::Closed,
            ] {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    let mut side = known(was, 1, 100);
                    assert!(!side.improve(Attribution::nobody(now), protocol));
                    assert_eq!(side, known(was, 1, 100));
                }
            }
        }
        let mut side = Attribution::nobody(Grounds::Pending);
        assert!(side.improve(known(Grounds::Exact, 1, 100), Protocol::Tcp));
        assert_eq!(side, known(Grounds::Exact, 1, 100));
    }

    #[test]
    fn who_has_it_now_replaces_who_had_it() {
        for (was, now, protocol) in [
            // Handed on: the same socket, another process.
            (
                known(Grounds::Exact, 1, 100),
                known(Grounds::Exact, 1, 200),
                Protocol::Tcp,
            ),
            (
                known(Grounds::Exact, 1, 100),
                Attribution {
                    socket: Some(Inode(1)),
                    ..Attribution::nobody(Grounds::Hidden(None))
                },
                Protocol::Tcp,
            ),
            // Started again: another socket, another process.
            (
                known(Grounds::LocalPort, 1, 100),
                known(Grounds::LocalPort, 2, 200),
                Protocol::Udp,
            ),
            (
                known(Grounds::Exact, 1, 100),
                known(Grounds::LocalPort, 2, 200),
                Protocol::Udp,
            ),
            (
                known(Grounds::LocalPort, 1, 100),
                Attribution::nobody(Grounds::Ambiguous),
                Protocol::Udp,
            ),
        ] {
            let mut side = was;
            assert!(side.improve(now.clone(), protocol));
            assert_eq!(side, now);
            assert!(!side.improve(now, protocol), "nothing changed");
        }
    }

    #[test]
    fn the_listener_does_not_replace_the_accepted_socket() {
        for now in [
            known(Grounds::LocalPort, 2, 200),
            Attribution::nobody(Grounds::Ambiguous),
            Attribution::nobody(Grounds::Pending),
            Attribution {
                socket: Some(Inode(2)),
                ..Attribution::nobody(Grounds::Hidden(None))
            },
        ] {
            let mut side = known(Grounds::Exact, 1, 100);
            assert!(!side.improve(now, Protocol::Tcp));
        }
    }
}
