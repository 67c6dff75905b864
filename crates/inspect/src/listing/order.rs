//! The order of rows.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::{Row, Rows, Side};
use crate::model::{Endpoint, Family, ForeignText, Protocol, State};
use crate::sockets::Address;

/// What to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// Listeners first, then connections; the two ends of a local connection side by side.
    Conversation,
    /// By local address and port.
    Local,
    /// By remote address and port.
    Remote,
    /// By local port.
    Port,
    /// By state, as the life of a socket goes.
    State,
    /// By the first owner's name, then pid and descriptor.
    Owner,
    /// By bytes waiting, the fullest first.
    Queue,
}

impl Rows<'_> {
    /// Sorts; equal rows keep the order of [`SortKey::Conversation`], so that the same sockets
    /// always look the same.
    pub fn sort(&mut self, key: SortKey) {
        self.sort_by_key(|row| prefix(&conversation(row)), conversation);
        match key {
            SortKey::Conversation => {}
            SortKey::Local => self.sort_stable(|row| row.socket.endpoints().map(|ends| ends.0)),
            SortKey::Remote => self.sort_stable(|row| row.socket.endpoints().map(|ends| ends.1)),
            SortKey::Port => self.sort_stable(|row| row.socket.endpoints().map(|it| it.0.port)),
            SortKey::State => self.sort_stable(|row| row.socket.state),
            // Rows without a known owner come last.
            SortKey::Owner => self.sort_stable(|row| {
                let owner = row.owners.into_iter().next();
                let key = owner.map(|owner| (owner.command, owner.pid, owner.fd));
                (key.is_none(), key)
            }),
            SortKey::Queue => self.sort_stable(|row| {
                let waiting = |queue: Option<u32>| u64::from(queue.unwrap_or(0));
                let socket = row.socket;
                Reverse(waiting(socket.recv_queue) + waiting(socket.send_queue))
            }),
        }
    }

    fn sort_stable<K: Ord>(&mut self, key: impl Fn(&Row<'_>) -> K) {
        let listing = self.listing;
        self.chosen
            .sort_by_cached_key(|index| listing.row(*index).map(|row| key(&row)));
    }

    /// Sorts by a small key, and by the exact one only where the small ones are equal: a
    /// hundred thousand exact keys would be most of the program's memory.
    fn sort_by_key<K: Ord>(
        &mut self,
        small: impl Fn(&Row<'_>) -> u128,
        exact: impl Fn(&Row<'_>) -> K,
    ) {
        let listing = self.listing;
        let mut keyed: Vec<(u128, u32)> = self
            .chosen
            .iter()
            .map(|index| {
                (
                    listing.row(*index).map_or(u128::MAX, |row| small(&row)),
                    *index,
                )
            })
            .collect();
        keyed.sort_unstable_by(|(one, first), (other, second)| {
            one.cmp(other).then_with(|| {
                let [one, other] = [first, second].map(|index| listing.row(*index));
                let keys = (one.map(|row| exact(&row)), other.map(|row| exact(&row)));
                keys.0.cmp(&keys.1).then_with(|| first.cmp(second))
            })
        });
        self.chosen.clear();
        self.chosen
            .extend(keyed.into_iter().map(|(_, index)| index));
    }
}

/// The beginning of the key, such that a smaller key never has a greater beginning: family,
/// whether it talks, protocol, the first end's port and address, the second end's, which of both
/// this is. Of IPv6 addresses only the first begins to be in it: nothing after it may decide.
fn prefix(key: &ConversationKey) -> u128 {
    // What follows the name decides among unix sockets only after the name.
    let family = u128::from(key.family as u8) << 120;
    if key.unix.is_some() {
        return family;
    }
    let bits = family | u128::from(key.talking) << 119 | u128::from(key.protocol as u8) << 111;
    let Some(((first_port, first), (second_port, second))) = key.ends else {
        return bits;
    };
    let bits = bits | u128::from(first_port) << 95;
    let first = match first {
        // The bit above the address: IPv4 comes before IPv6.
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => return bits | 1 << 94 | address.to_bits() >> 96 << 62,
    };
    let bits = bits | first << 62 | u128::from(second_port) << 46;
    match second {
        IpAddr::V4(address) => {
            bits | u128::from(address.to_bits()) << 13 | u128::from(key.from_client) << 12
        }
        IpAddr::V6(_) => bits | 1 << 45,
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ConversationKey {
    /// IP before unix before the rest.
    family: Family,
    unix: Option<ForeignText>,
    /// Those that wait for someone before those that talk to someone.
    talking: bool,
    protocol: Protocol,
    /// The pair of ends, the server's first for both ends.
    ends: Option<(PortFirst, PortFirst)>,
    /// The server's end before the client's.
    from_client: bool,
    state: State,
    inode: Option<u64>,
}

type PortFirst = (u16, IpAddr);

fn port_first(end: Endpoint) -> PortFirst {
    (end.port, end.address)
}

fn conversation(row: &Row<'_>) -> ConversationKey {
    let socket = row.socket;
    let mut key = ConversationKey {
        family: match socket.family {
            // Both versions of IP mix: a v6 socket may be the other end of a v4 one.
            Family::Inet6 => Family::Inet,
            family => family,
        },
        unix: None,
        talking: false,
        protocol: socket.protocol,
        ends: None,
        from_client: false,
        state: socket.state,
        inode: socket.inode.map(|inode| inode.0),
    };
    match &socket.address {
        Address::Inet { local, remote } => {
            key.talking = !remote.is_unspecified();
            let (local, remote) = if key.talking {
                (local.on_the_wire(), remote.on_the_wire())
            } else {
                (*local, *remote)
            };
            key.from_client = key.talking
                && match row.side {
                    Side::Server => false,
                    Side::Client => true,
                    // The server has the lower port more often than not; what matters is that
                    // both ends agree.
                    Side::Unknown => port_first(local) > port_first(remote),
                };
            let (first, second) = if key.from_client {
                (remote, local)
            } else {
                (local, remote)
            };
            key.ends = Some((port_first(first), port_first(second)));
        }
        Address::Unix { name, .. } => {
            key.talking = socket.state == State::Established;
            key.unix = Some(match name {
                crate::model::UnixAddress::Path(name)
                | crate::model::UnixAddress::Abstract(name) => name.clone(),
                crate::model::UnixAddress::Unnamed => ForeignText::new([0xff]),
            });
        }
        Address::Netlink { .. }
        | Address::Packet { .. }
        | Address::Vsock { .. }
        | Address::Tipc { .. } => {}
    }
    key
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::*;
    use super::*;
    use crate::listing::Listing;

    fn sorted(key: SortKey) -> Vec<u64> {
        let listing = Listing::new(
            vec![
                tcp(State::Established, "127.0.0.1:6000", "127.0.0.1:2345", 1),
                tcp(State::Established, "127.0.0.1:5000", "127.0.0.1:2345", 2),
                tcp(State::Listen, "127.0.0.1:2345", "0.0.0.0:0", 3),
                tcp(State::Established, "127.0.0.1:2345", "127.0.0.1:5000", 4),
                tcp(State::Established, "127.0.0.1:2345", "127.0.0.1:6000", 5),
            ],
            holdings(&[(1, 10, 3, "z"), (4, 11, 3, "a")]),
        );
        let mut rows = listing.rows();
        rows.sort(key);
        rows.iter().map(|row| row.socket.inode.unwrap().0).collect()
    }

    #[test]
    fn the_two_ends_of_a_connection_stand_together_after_the_listener() {
        assert_eq!(sorted(SortKey::Conversation), [3, 4, 2, 5, 1]);
    }

    #[test]
    fn the_side_with_the_listener_comes_first_whatever_its_port() {
        let listing = Listing::new(
            vec![
                tcp(State::Established, "127.0.0.1:3000", "127.0.0.1:45993", 1),
                tcp(State::Established, "127.0.0.1:45993", "127.0.0.1:3000", 2),
                tcp(State::Listen, "[::]:45993", "[::]:0", 3),
            ],
            holdings(&[]),
        );
        let mut rows = listing.rows();
        rows.sort(SortKey::Conversation);
        let inodes: Vec<u64> = rows.iter().map(|row| row.socket.inode.unwrap().0).collect();
        assert_eq!(inodes, [3, 2, 1]);
    }

    #[test]
    fn other_keys_sort_by_what_they_say() {
        assert_eq!(sorted(SortKey::Owner), [4, 1, 3, 2, 5]);
        assert_eq!(sorted(SortKey::Port), [3, 4, 5, 2, 1]);
        assert_eq!(sorted(SortKey::State)[0], 3);
    }

    proptest::proptest! {
        #[test]
        fn the_small_key_never_contradicts_the_exact_one(
            ends in proptest::collection::vec((0u8..4, 0u16..3, 0u8..4, 0u16..3), 2..12)
        ) {
            let host = |number: u8| match number {
                0 => "10.0.0.1",
                1 => "10.0.0.2",
                2 => "[2001:db8::1]",
                _ => "[2001:db8::2]",
            };
            let sockets = (1u64..).zip(&ends).map(|(inode, (host1, port1, host2, port2))| {
                let [local, remote] = [(host1, port1), (host2, port2)]
                    .map(|(at, port)| format!("{}:{port}", host(*at)));
                tcp(State::Established, &local, &remote, inode)
            });
            let listing = Listing::new(sockets.collect(), holdings(&[]));
            let rows: Vec<Row<'_>> = listing.rows().iter().collect();
            for one in &rows {
                for other in &rows {
                    let [one, other] = [one, other].map(conversation);
                    if one < other {
                        proptest::prop_assert!(prefix(&one) <= prefix(&other));
                    }
                }
            }
        }
    }
}
