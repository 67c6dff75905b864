//! The order of rows.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::{Row, Side};
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

/// Sorts; equal rows keep the order of [`SortKey::Conversation`], so that the same sockets
/// always look the same.
pub fn sort(rows: &mut [Row], key: SortKey) {
    rows.sort_by_cached_key(conversation);
    match key {
        SortKey::Conversation => {}
        SortKey::Local => rows.sort_by_key(|row| row.socket.endpoints().map(|ends| ends.0)),
        SortKey::Remote => rows.sort_by_key(|row| row.socket.endpoints().map(|ends| ends.1)),
        SortKey::Port => rows.sort_by_key(|row| row.socket.endpoints().map(|ends| ends.0.port)),
        SortKey::State => rows.sort_by_key(|row| row.socket.state),
        SortKey::Owner => rows.sort_by(by_owner),
        SortKey::Queue => rows.sort_by_key(|row| {
            let waiting = |queue: Option<u64>| queue.unwrap_or(0);
            std::cmp::Reverse(
                waiting(row.socket.recv_queue).saturating_add(waiting(row.socket.send_queue)),
            )
        }),
    }
}

/// Rows without a known owner come last.
fn by_owner(a: &Row, b: &Row) -> Ordering {
    match (a.owners.first(), b.owners.first()) {
        (Some(a), Some(b)) => (&a.command, a.pid, a.fd).cmp(&(&b.command, b.pid, b.fd)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
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

fn conversation(row: &Row) -> ConversationKey {
    let socket = &row.socket;
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
        Address::Unix(address) => {
            key.talking = socket.state == State::Established;
            key.unix = Some(match address {
                crate::model::UnixAddress::Path(name)
                | crate::model::UnixAddress::Abstract(name) => name.clone(),
                crate::model::UnixAddress::Unnamed => ForeignText::new([0xff]),
            });
        }
        Address::Netlink { .. } | Address::Packet { .. } => {}
    }
    key
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::*;
    use super::*;
    use crate::listing::join;

    fn sorted(key: SortKey) -> Vec<u64> {
        let mut rows = join(
            vec![
                tcp(State::Established, "127.0.0.1:6000", "127.0.0.1:2345", 1),
                tcp(State::Established, "127.0.0.1:5000", "127.0.0.1:2345", 2),
                tcp(State::Listen, "127.0.0.1:2345", "0.0.0.0:0", 3),
                tcp(State::Established, "127.0.0.1:2345", "127.0.0.1:5000", 4),
                tcp(State::Established, "127.0.0.1:2345", "127.0.0.1:6000", 5),
            ],
            &holdings(&[(1, 10, 3, "z"), (4, 11, 3, "a")]),
        );
        sort(&mut rows, key);
        rows.iter().map(|row| row.socket.inode.unwrap().0).collect()
    }

    #[test]
    fn the_two_ends_of_a_connection_stand_together_after_the_listener() {
        assert_eq!(sorted(SortKey::Conversation), [3, 4, 2, 5, 1]);
    }

    #[test]
    fn the_side_with_the_listener_comes_first_whatever_its_port() {
        let mut rows = join(
            vec![
                tcp(State::Established, "127.0.0.1:3000", "127.0.0.1:45993", 1),
                tcp(State::Established, "127.0.0.1:45993", "127.0.0.1:3000", 2),
                tcp(State::Listen, "[::]:45993", "[::]:0", 3),
            ],
            &holdings(&[]),
        );
        sort(&mut rows, SortKey::Conversation);
        let inodes: Vec<u64> = rows.iter().map(|row| row.socket.inode.unwrap().0).collect();
        assert_eq!(inodes, [3, 2, 1]);
    }

    #[test]
    fn other_keys_sort_by_what_they_say() {
        assert_eq!(sorted(SortKey::Owner), [4, 1, 3, 2, 5]);
        assert_eq!(sorted(SortKey::Port), [3, 4, 5, 2, 1]);
        assert_eq!(sorted(SortKey::State)[0], 3);
    }
}
