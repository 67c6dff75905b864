//! What a process does with the sockets it holds: listens, talks, watches.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use super::{Row, Rows, Side};
use crate::model::{Fd, ForeignText, Inode, Pid, Protocol, State, UnixAddress};
use crate::sockets::{Address, Socket};

/// One process and the sockets it holds.
#[derive(Debug, Clone)]
pub struct Standing<'a> {
    /// The process.
    pub pid: Pid,
    /// Its sockets, each once, in the order of the rows.
    pub held: Vec<HeldSocket<'a>>,
    /// So many more sockets it holds are in no table that was read: of another network
    /// namespace, of a family that is not listed, or younger than the tables.
    pub unlisted: usize,
}

/// A socket in the hands of one process.
#[derive(Debug, Clone)]
pub struct HeldSocket<'a> {
    /// The socket.
    pub row: Row<'a>,
    /// The descriptors of this process on it, each with the thread whose table it is in.
    pub descriptors: Vec<(Pid, Fd)>,
    /// What it is for.
    pub part: Part,
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// It waits for whoever comes: a listener, or a datagram socket bound to an address.
    Listens,
    /// It has another end, over IP or vsock.
    Talks,
    /// It has another end on this machine, over a unix socket.
    TalksLocally,
    /// It is being connected.
    Tries,
    /// One side or both have closed it.
    Ends,
    /// It gets raw packets or frames, whoever they are for.
    Watches,
    /// The kernel is its other end: netlink.
    AsksKernel,
    /// It is none of these: not bound, or not connected.
    Idle,
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The process itself.
    Itself,
    /// A process of this machine.
    Process(Pid, ForeignText),
    /// Somebody at this address, and at this port where it is his and not one of many.
    At(IpAddr, Option<u16>),
    /// Not told.
    Unknown,
}

impl<'a> Rows<'a> {
    /// What each of these processes holds, in their order.
    pub fn standings(&self, pids: &[Pid]) -> Vec<Standing<'a>> {
        let mut standings: Vec<Standing<'a>> = pids
            .iter()
            .map(|pid| Standing {
                pid: *pid,
                held: Vec::new(),
                unlisted: 0,
            })
            .collect();
        let places: HashMap<Pid, usize> = pids.iter().copied().zip(0..).collect();
        for row in self.iter() {
            // Owners come by process: those of one stand together.
            for owner in row.owners {
                let place = places.get(&owner.pid);
                let Some(standing) = place.and_then(|place| standings.get_mut(*place)) else {
                    continue;
                };
                let descriptor = (owner.tid, owner.fd);
                match standing.held.last_mut() {
                    Some(last) if last.row.index == row.index => {
                        last.descriptors.push(descriptor);
                    }
                    _ => standing.held.push(HeldSocket {
                        row,
                        descriptors: vec![descriptor],
                        part: Part::of(row.socket),
                    }),
                }
            }
        }
        self.count_unlisted(&places, &mut standings);
        standings
    }

    fn count_unlisted(&self, places: &HashMap<Pid, usize>, standings: &mut [Standing<'a>]) {
        let sockets = self.listing.sockets.iter();
        let listed: HashSet<Inode> = sockets.filter_map(|socket| socket.inode).collect();
        let holdings = &self.listing.holdings;
        let mut missing: BTreeSet<(usize, Inode)> = BTreeSet::new();
        for held in holdings.held() {
            let process = usize::try_from(held.process)
                .ok()
                .and_then(|index| holdings.processes().get(index));
            if let Some(place) = process.and_then(|process| places.get(&process.pid))
                && !listed.contains(&held.inode)
            {
                missing.insert((*place, held.inode));
            }
        }
        for (place, _) in missing {
            if let Some(standing) = standings.get_mut(place) {
                standing.unlisted += 1;
            }
        }
    }
}

impl Standing<'_> {
    /// Its sockets of one part.
    pub fn of(&self, part: Part) -> impl Iterator<Item = &HeldSocket<'_>> {
        self.held.iter().filter(move |held| held.part == part)
    }

    /// Who is at the other end of one of its sockets.
    pub fn party(&self, held: &HeldSocket<'_>) -> Party {
        if let Some(peer) = held.row.peer() {
            let mut owners = peer.owners.peekable();
            if let Some(first) = owners.peek().cloned() {
                // A pair of sockets within one process: it wakes itself up with it.
                return if owners.any(|owner| owner.pid == self.pid) {
                    Party::Itself
                } else {
                    Party::Process(first.pid, first.command)
                };
            }
        }
        match held.row.socket.endpoints() {
            // A client's port is one of many.
            Some((_, remote)) => Party::At(
                remote.on_the_wire().address,
                (held.row.side != Side::Server).then_some(remote.port),
            ),
            None => Party::Unknown,
        }
    }
}

impl Part {
    /// What a socket is for.
    pub fn of(socket: &Socket) -> Self {
        match (socket.protocol, &socket.address) {
            (_, Address::Netlink { .. }) => Self::AsksKernel,
            (_, Address::Packet { .. }) | (Protocol::Raw | Protocol::Icmp, _) => Self::Watches,
            (Protocol::Udp | Protocol::UdpLite, Address::Inet { local, .. }) => {
                match socket.state {
                    State::Established => Self::Talks,
                    // A port that the kernel chose for sending is no place to be reached at. Who
                    // binds to an address and leaves the port to the kernel means to be.
                    _ if local.port == 0 => Self::Idle,
                    _ if autobound(socket) && local.address.is_unspecified() => Self::Idle,
                    _ => Self::Listens,
                }
            }
            (_, Address::Unix { name, peer }) => match socket.state {
                State::Listen => Self::Listens,
                State::Established => Self::TalksLocally,
                _ if peer.is_some() => Self::TalksLocally,
                _ if socket.protocol == Protocol::UnixDatagram && *name != UnixAddress::Unnamed => {
                    Self::Listens
                }
                _ => Self::Idle,
            },
            _ => match socket.state {
                State::Listen => Self::Listens,
                State::Established => Self::Talks,
                State::SynSent | State::SynRecv => Self::Tries,
                State::Closed | State::Bound | State::Unconnected => Self::Idle,
                _ => Self::Ends,
            },
        }
    }
}

fn autobound(socket: &Socket) -> bool {
    let detail = socket.detail.as_deref();
    detail.and_then(|detail| detail.autobound) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::*;
    use super::*;
    use crate::listing::Listing;

    /// A server with a client of this machine, one from elsewhere, and one that it is itself.
    fn listing() -> Listing {
        Listing::new(
            vec![
                tcp(State::Listen, "0.0.0.0:80", "0.0.0.0:0", 10),
                tcp(State::Established, "127.0.0.1:80", "127.0.0.1:5000", 11),
                tcp(State::Established, "127.0.0.1:5000", "127.0.0.1:80", 12),
                tcp(State::Established, "10.0.0.1:80", "10.0.0.9:6000", 13),
                tcp(State::Established, "127.0.0.1:80", "127.0.0.1:5001", 14),
                tcp(State::Established, "127.0.0.1:5001", "127.0.0.1:80", 15),
            ],
            holdings(&[
                (10, 100, 3, "server"),
                (10, 101, 3, "server"),
                (11, 100, 4, "server"),
                (11, 100, 5, "server"),
                (12, 200, 3, "client"),
                (13, 100, 6, "server"),
                (14, 100, 7, "server"),
                (15, 100, 8, "server"),
                (99, 100, 9, "server"),
                (99, 100, 10, "server"),
            ]),
        )
    }

    #[test]
    fn each_process_has_its_own_sockets_with_all_its_descriptors_on_them() {
        let listing = listing();
        let standings = listing.rows().standings(&[Pid(101), Pid(100), Pid(7)]);
        let counts: Vec<usize> = standings.iter().map(|it| it.held.len()).collect();
        assert_eq!(counts, [1, 5, 0]);
        let server = &standings[1];
        assert_eq!(
            server.held[1].descriptors,
            [(Pid(100), Fd(4)), (Pid(100), Fd(5))]
        );
        assert_eq!(server.unlisted, 1, "one socket, held twice, is in no table");
        assert_eq!(standings[0].unlisted, 0);
    }

    #[test]
    fn the_other_end_is_a_process_an_address_or_itself() {
        let listing = listing();
        let standings = listing.rows().standings(&[Pid(100), Pid(200)]);
        let parties = |place: usize| -> Vec<Party> {
            let standing: &Standing<'_> = &standings[place];
            standing
                .of(Part::Talks)
                .map(|held| standing.party(held))
                .collect()
        };
        assert_eq!(
            parties(0),
            [
                Party::Process(Pid(200), ForeignText::from("client")),
                Party::At("10.0.0.9".parse().unwrap(), None),
                Party::Itself,
                Party::Itself,
            ]
        );
        assert_eq!(
            parties(1),
            [Party::Process(Pid(100), ForeignText::from("server"))]
        );
    }

    #[test]
    fn the_part_of_a_socket_follows_from_what_it_is() {
        let with = |protocol, state, local, remote| Socket {
            protocol,
            ..tcp(state, local, remote, 1)
        };
        let unix = |state, name, peer| Socket {
            address: Address::Unix { name, peer },
            ..with(Protocol::UnixDatagram, state, "0.0.0.0:0", "0.0.0.0:0")
        };
        let path = UnixAddress::Path(ForeignText::from("/run/log"));
        let any = "0.0.0.0:0";
        for (socket, part) in [
            (
                with(Protocol::Tcp, State::Listen, "1.1.1.1:1", any),
                Part::Listens,
            ),
            (
                with(Protocol::Tcp, State::Bound, "1.1.1.1:1", any),
                Part::Idle,
            ),
            (
                with(Protocol::Tcp, State::SynSent, "1.1.1.1:1", "1.1.1.1:2"),
                Part::Tries,
            ),
            (
                with(Protocol::Tcp, State::CloseWait, "1.1.1.1:1", "1.1.1.1:2"),
                Part::Ends,
            ),
            (
                with(Protocol::Udp, State::Unconnected, "0.0.0.0:68", any),
                Part::Listens,
            ),
            (
                with(Protocol::Udp, State::Unconnected, any, any),
                Part::Idle,
            ),
            (
                with(Protocol::Udp, State::Established, "1.1.1.1:1", "1.1.1.1:2"),
                Part::Talks,
            ),
            (
                with(Protocol::Raw, State::Unconnected, "0.0.0.0:1", any),
                Part::Watches,
            ),
            (unix(State::Unconnected, path.clone(), None), Part::Listens),
            (
                unix(State::Unconnected, UnixAddress::Unnamed, None),
                Part::Idle,
            ),
            (
                unix(State::Established, UnixAddress::Unnamed, None),
                Part::TalksLocally,
            ),
            (
                unix(State::Unconnected, path, Some(Inode(9))),
                Part::TalksLocally,
            ),
        ] {
            assert_eq!(Part::of(&socket), part, "{socket:?}");
        }
        let mut chosen = with(Protocol::Udp, State::Unconnected, "0.0.0.0:4000", any);
        chosen.detail = Some(Box::new(crate::sockets::Detail {
            autobound: Some(true),
            ..Default::default()
        }));
        assert_eq!(Part::of(&chosen), Part::Idle);
        let there = with(Protocol::Udp, State::Unconnected, "127.0.0.1:4000", any);
        chosen.address = there.address;
        assert_eq!(Part::of(&chosen), Part::Listens);
    }
}
