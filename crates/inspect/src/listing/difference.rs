//! What changed between two looks.

use std::collections::{HashMap, HashSet};

use super::{Listing, Row, Rows};
use crate::model::{Cookie, Endpoint, Inode, NetworkNamespace, Owner, OwnerRef, Protocol, State};
use crate::sockets::Socket;

/// One change between two looks.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// A socket that was not there before.
    Opened(Row<'a>),
    /// A socket of another state, with other owners, or whose queues filled or emptied.
    Changed {
        /// As it was.
        before: Row<'a>,
        /// As it is.
        after: Row<'a>,
    },
    /// A socket that is not there any more.
    Closed(Row<'a>),
}

impl<'a> Change<'a> {
    /// The word used in records and on screens.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Opened(_) => "opened",
            Self::Changed { .. } => "changed",
            Self::Closed(_) => "closed",
        }
    }

    /// The socket, as it was last seen.
    pub fn row(&self) -> Row<'a> {
        match self {
            Self::Opened(row) | Self::Closed(row) | Self::Changed { after: row, .. } => *row,
        }
    }
}

/// What makes a socket the same in two looks: its cookie, which is never used twice. Where the
/// source does not tell it, the inode, and of a socket without one its ends: a socket may then
/// be taken for another that came in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Identity {
    Cookie(Option<NetworkNamespace>, Cookie),
    Inode(Inode),
    Ends(Option<NetworkNamespace>, Protocol, Endpoint, Endpoint),
}

fn identity(row: &Row<'_>) -> Option<Identity> {
    identity_of(row.socket)
}

fn identity_of(socket: &Socket) -> Option<Identity> {
    if let Some(cookie) = socket.cookie {
        return Some(Identity::Cookie(socket.netns, cookie));
    }
    if let Some(inode) = socket.inode {
        return Some(Identity::Inode(inode));
    }
    let (local, remote) = socket.endpoints()?;
    Some(Identity::Ends(socket.netns, socket.protocol, local, remote))
}

/// The changes from one look to the next: what closed, then, in the order of the second look,
/// what changed and what opened. A socket that nothing identifies is left out.
pub fn difference<'a>(before: &Rows<'a>, after: &Rows<'a>) -> Vec<Change<'a>> {
    let mut known: HashMap<Identity, Row<'a>> = before
        .iter()
        .filter_map(|row| Some((identity(&row)?, row)))
        .collect();
    let mut news = Vec::new();
    for row in after.iter() {
        let Some(identity) = identity(&row) else {
            continue;
        };
        match known.remove(&identity) {
            None => news.push(Change::Opened(row)),
            Some(old) if differs(&old, &row) => news.push(Change::Changed {
                before: old,
                after: row,
            }),
            Some(_) => {}
        }
    }
    // In the order of the first look, which a map does not keep.
    let closed = before
        .iter()
        .filter(|row| identity(row).is_some_and(|identity| known.contains_key(&identity)));
    let mut changes: Vec<Change<'a>> = closed.map(Change::Closed).collect();
    changes.append(&mut news);
    changes
}

/// Sockets by what makes them the same in two looks.
pub(super) struct ByIdentity<'a>(HashMap<Identity, &'a Socket>);

pub(super) fn by_identity(sockets: &[Socket]) -> ByIdentity<'_> {
    let known = sockets.iter().filter_map(|it| Some((identity_of(it)?, it)));
    ByIdentity(known.collect())
}

pub(super) fn same_as<'a>(known: &ByIdentity<'a>, socket: &Socket) -> Option<&'a Socket> {
    known.0.get(&identity_of(socket)?).copied()
}

/// Whether something that one look saw is missing in the next.
pub fn lacks(after: &Listing, before: &Rows<'_>) -> bool {
    let seen: HashSet<Identity> = after.sockets().iter().filter_map(identity_of).collect();
    let known = before.iter().filter_map(|row| identity(&row));
    known.into_iter().any(|known| !seen.contains(&known))
}

/// Sockets that a look passed over: one before saw them, and so does one after it. A dump goes on
/// at a place in a table that moves (see `sockets::diag`), so this happens.
pub fn passed_over(before: &Listing, after: &Listing, again: &Listing) -> Vec<Socket> {
    let [known, seen] = [before, after].map(|listing| -> HashSet<Identity> {
        listing.sockets().iter().filter_map(identity_of).collect()
    });
    let is_passed_over = |socket: &&Socket| {
        identity_of(socket).is_some_and(|it| known.contains(&it) && !seen.contains(&it))
    };
    again
        .sockets()
        .iter()
        .filter(is_passed_over)
        .cloned()
        .collect()
}

fn differs(before: &Row<'_>, after: &Row<'_>) -> bool {
    // A queue that goes up and down is traffic; one that is no longer empty is news.
    let waiting = |row: &Row<'_>| {
        let some = |queue: Option<u32>| queue.map(|length| length > 0);
        let limit_is_no_queue = row.socket.state == State::Listen;
        (
            some(row.socket.recv_queue),
            (!limit_is_no_queue).then(|| some(row.socket.send_queue)),
        )
    };
    before.socket.state != after.socket.state
        || waiting(before) != waiting(after)
        || before.owner_status != after.owner_status
        || before.owners.len() != after.owners.len()
        || !before
            .owners
            .refs()
            .zip(after.owners.refs())
            .all(|(one, other)| is_same(one, other))
}

/// When a process started is told by the wall clock, which may be set between two looks, and by
/// two ways that round it differently; its id is not given to another so soon.
fn is_same(one: OwnerRef<'_>, other: OwnerRef<'_>) -> bool {
    (one.pid, one.tid, one.fd, one.command) == (other.pid, other.tid, other.fd, other.command)
}

/// The owners of a row that those of another are not.
pub fn owners_beyond(row: &Row<'_>, other: &Row<'_>) -> Vec<Owner> {
    let known: Vec<OwnerRef<'_>> = other.owners.refs().collect();
    let is_known = |owner: OwnerRef<'_>| known.iter().any(|other| is_same(owner, *other));
    row.owners
        .refs()
        .filter(|owner| !is_known(*owner))
        .map(OwnerRef::to_owner)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::*;
    use super::*;

    fn socket(state: State, remote: u16, cookie: u64) -> Socket {
        Socket {
            cookie: Some(Cookie(cookie)),
            ..tcp(
                state,
                "127.0.0.1:80",
                &format!("127.0.0.1:{remote}"),
                cookie,
            )
        }
    }

    fn words(before: &Listing, after: &Listing) -> Vec<(&'static str, u64)> {
        difference(&before.rows(), &after.rows())
            .iter()
            .map(|change| (change.word(), change.row().socket.cookie.unwrap().0))
            .collect()
    }

    #[test]
    fn what_came_changed_and_went_is_told_once() {
        let before = Listing::new(
            vec![
                socket(State::Established, 1, 1),
                socket(State::Established, 2, 2),
                socket(State::Established, 3, 3),
                socket(State::Established, 4, 4),
            ],
            holdings(&[(3, 10, 3, "a")]),
        );
        let mut full = socket(State::Established, 4, 4);
        full.recv_queue = Some(100);
        let after = Listing::new(
            vec![
                socket(State::Established, 5, 5),
                socket(State::CloseWait, 2, 2),
                socket(State::Established, 3, 3),
                full,
            ],
            holdings(&[(3, 10, 3, "a"), (3, 20, 3, "b")]),
        );
        assert_eq!(
            words(&before, &after),
            [
                ("closed", 1),
                ("opened", 5),
                ("changed", 2),
                ("changed", 3),
                ("changed", 4)
            ]
        );
        assert_eq!(words(&after, &after), []);
        let rows = (before.rows().get(2).unwrap(), after.rows().get(2).unwrap());
        let more = owners_beyond(&rows.1, &rows.0);
        assert_eq!(more.len(), 1);
        assert_eq!(more[0].pid.0, 20);
    }

    #[test]
    fn a_clock_that_was_set_changes_no_owner() {
        let at = |seconds| {
            let mut seen = crate::owners::tests_support::seen(&[(1, 10, 3, "a", None)]);
            seen.processes[0].started = Some(crate::model::Timestamp::from_parts(seconds, 0));
            Listing::new(vec![socket(State::Established, 1, 1)], seen.into())
        };
        let [before, after] = [at(1_000), at(4_600)];
        assert_eq!(words(&before, &after), []);
        let rows = [&before, &after].map(|it| it.rows().get(0).unwrap());
        assert_eq!(owners_beyond(&rows[0], &rows[1]), []);
    }

    #[test]
    fn the_same_ends_with_another_cookie_are_another_socket() {
        let before = Listing::new(vec![socket(State::Established, 1, 1)], holdings(&[]));
        let after = Listing::new(vec![socket(State::Established, 1, 2)], holdings(&[]));
        assert_eq!(words(&before, &after), [("closed", 1), ("opened", 2)]);
    }

    #[test]
    fn what_a_look_passed_over_is_found_by_another() {
        let listing = |cookies: &[u64]| {
            let sockets = cookies.iter().map(|it| socket(State::Established, 1, *it));
            Listing::new(sockets.collect(), holdings(&[(2, 10, 3, "a")]))
        };
        let before = listing(&[1, 2, 3]);
        let after = listing(&[3, 4]);
        assert!(lacks(&after, &before.rows()));
        assert!(!lacks(&before, &listing(&[2]).rows()));
        // The first did close; the second is there; the fifth is told with the next look.
        let again = listing(&[2, 3, 4, 5]);
        let found = passed_over(&before, &after, &again);
        let whole = after.with(found, again.into_holdings());
        assert_eq!(words(&before, &whole), [("closed", 1), ("opened", 4)]);
        let row = whole.rows().get(2).unwrap();
        assert_eq!(row.socket.cookie, Some(Cookie(2)));
        assert_eq!(row.owners.count(), 1);
    }

    #[test]
    fn what_closed_before_its_owner_was_looked_for_is_not_told_as_nobodys() {
        let all = [1, 2, 3, 4].map(|it| socket(State::Established, 1, it));
        let listing = Listing::new(all.to_vec(), holdings(&[(1, 10, 3, "a")]));
        let mut waits = socket(State::TimeWait, 1, 2);
        waits.inode = None;
        // The first has an owner, whatever became of it; the fourth is nobody's indeed.
        let settled = listing.settled(&[waits, socket(State::CloseWait, 1, 4)]);
        let left = settled.rows();
        let left: Vec<_> = left
            .iter()
            .map(|row| (row.socket.state, row.owner_status))
            .collect();
        assert_eq!(
            left,
            [
                (State::Established, crate::model::OwnerStatus::Known),
                (State::TimeWait, crate::model::OwnerStatus::Kernel),
                (State::Established, crate::model::OwnerStatus::None)
            ]
        );
    }

    #[test]
    fn a_queue_that_stays_filled_is_no_news() {
        let queue = |length| {
            let mut socket = socket(State::Established, 1, 1);
            socket.recv_queue = Some(length);
            Listing::new(vec![socket], holdings(&[]))
        };
        assert_eq!(words(&queue(10), &queue(20)), []);
        assert_eq!(words(&queue(10), &queue(0)), [("changed", 1)]);
    }
}
