//! Which rows are wanted.

use super::{Row, Rows};
use crate::model::{OwnerStatus, Protocol, State};
use crate::selection::{Selection, Test};
use crate::sockets::Socket;

impl Rows<'_> {
    /// Keeps the rows that the selection selects. Tells how many were left out although they
    /// may match, because their owners are hidden.
    pub fn select(&mut self, selection: &Selection) -> usize {
        let mut undecided = 0;
        self.retain(|row| {
            let decided = matches(&row, selection);
            undecided += usize::from(decided.is_none());
            decided == Some(true)
        });
        undecided
    }

    /// Takes the TIME_WAIT rows out and tells how many they were.
    pub fn fold_time_wait(&mut self) -> usize {
        let before = self.len();
        self.retain(|row| row.socket.state != State::TimeWait);
        before - self.len()
    }
}

/// Whether a row is selected; `None` where that depends on an owner who is hidden.
pub fn matches(row: &Row<'_>, selection: &Selection) -> Option<bool> {
    selection.holds(&mut |test| match test {
        Test::Pid(pid) => owned(row, row.owners.into_iter().any(|owner| owner.pid == *pid)),
        Test::Process(name) => owned(
            row,
            row.owners.into_iter().any(|owner| owner.command == *name),
        ),
        other => about_socket(row.socket, other),
    })
}

fn owned(row: &Row<'_>, found: bool) -> Option<bool> {
    match row.owner_status {
        _ if found => Some(true),
        OwnerStatus::Hidden | OwnerStatus::Partial => None,
        _ => Some(false),
    }
}

fn about_socket(socket: &Socket, test: &Test) -> Option<bool> {
    match test {
        Test::Family(family) => Some(socket.family == *family),
        Test::Protocol(protocol) => Some(socket.protocol == *protocol),
        Test::State(state) => Some(socket.state == *state),
        // A raw socket's "port" is its protocol number, a ping socket's its identifier.
        Test::Port(_) if matches!(socket.protocol, Protocol::Raw | Protocol::Icmp) => Some(false),
        Test::Port(port) => Some(
            socket
                .endpoints()
                .is_some_and(|(local, remote)| local.port == *port || remote.port == *port),
        ),
        Test::Host(address) => Some(socket.endpoints().is_some_and(|(local, remote)| {
            let address = address.to_canonical();
            [local, remote]
                .iter()
                .any(|end| end.address.to_canonical() == address)
        })),
        Test::User(uid) => socket.uid.map(|owner| owner == *uid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::*;
    use super::*;
    use crate::listing::Listing;
    use crate::model::{ForeignText, Pid};
    use crate::owners::tests_support::{seen, unreadable};

    #[test]
    fn each_test_selects_what_it_says() {
        let holdings = holdings(&[(11, 100, 4, "server")]);
        let listing = Listing::new(
            vec![
                tcp(State::Established, "127.0.0.1:2345", "127.0.0.1:5000", 11),
                tcp(State::TimeWait, "127.0.0.1:2345", "127.0.0.1:5001", 0),
            ],
            holdings,
        );
        let rows: Vec<Row<'_>> = listing.rows().iter().collect();
        for (test, expected) in [
            (Test::Port(2345), [true, true]),
            (Test::Port(5000), [true, false]),
            (
                Test::Host("::ffff:127.0.0.1".parse().unwrap()),
                [true, true],
            ),
            (Test::Host("127.0.0.2".parse().unwrap()), [false, false]),
            (Test::State(State::TimeWait), [false, true]),
            (Test::Pid(Pid(100)), [true, false]),
            (Test::Process(ForeignText::from("server")), [true, false]),
            (Test::Process(ForeignText::from("serv")), [false, false]),
        ] {
            let selection = Selection::Test(test);
            assert_eq!(
                [matches(&rows[0], &selection), matches(&rows[1], &selection)],
                expected.map(Some),
                "{selection:?}"
            );
        }
    }

    #[test]
    fn a_hidden_owner_is_not_known_to_be_another() {
        let sockets = || vec![tcp(State::Established, "127.0.0.1:1", "127.0.0.1:2", 99)];
        let other = Selection::Not(Box::new(Selection::Test(Test::Pid(Pid(1)))));
        let mut partly = seen(&[]);
        partly.unreadable.push(unreadable(1));
        let hidden = Listing::new(sockets(), partly.into());
        assert_eq!(matches(&hidden.rows().get(0).unwrap(), &other), None);
        assert_eq!(hidden.rows().select(&other), 1);
        let none = Listing::new(sockets(), seen(&[]).into());
        assert_eq!(matches(&none.rows().get(0).unwrap(), &other), Some(true));
    }
}
