//! Which rows are wanted.

use super::Row;
use crate::model::{OwnerStatus, Protocol, State};
use crate::selection::{Selection, Test};
use crate::sockets::Socket;

/// Keeps the rows that the selection selects. Tells how many were left out although they may
/// match, because their owners are hidden.
pub fn select(rows: &mut Vec<Row>, selection: &Selection) -> usize {
    let mut undecided = 0;
    rows.retain(|row| {
        let decided = matches(row, selection);
        undecided += usize::from(decided.is_none());
        decided == Some(true)
    });
    undecided
}

/// Whether a row is selected; `None` where that depends on an owner who is hidden.
pub fn matches(row: &Row, selection: &Selection) -> Option<bool> {
    selection.holds(&mut |test| match test {
        Test::Pid(pid) => owned(row, row.owners.iter().any(|owner| owner.pid == *pid)),
        Test::Process(name) => owned(row, row.owners.iter().any(|owner| owner.command == *name)),
        other => about_socket(&row.socket, other),
    })
}

fn owned(row: &Row, found: bool) -> Option<bool> {
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
        Test::Pid(_) | Test::Process(_) => None,
    }
}

/// Takes the TIME_WAIT rows out and tells how many they were.
pub fn fold_time_wait(rows: &mut Vec<Row>) -> usize {
    let before = rows.len();
    rows.retain(|row| row.socket.state != State::TimeWait);
    before - rows.len()
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::*;
    use super::*;
    use crate::listing::join;
    use crate::model::{ForeignText, Pid};

    #[test]
    fn each_test_selects_what_it_says() {
        let holdings = holdings(&[(11, 100, 4, "server")]);
        let rows = join(
            vec![
                tcp(State::Established, "127.0.0.1:2345", "127.0.0.1:5000", 11),
                tcp(State::TimeWait, "127.0.0.1:2345", "127.0.0.1:5001", 0),
            ],
            &holdings,
        );
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
        let mut rows = join(
            vec![tcp(State::Established, "127.0.0.1:1", "127.0.0.1:2", 99)],
            &holdings(&[]),
        );
        rows[0].owner_status = OwnerStatus::Hidden;
        let other = Selection::Not(Box::new(Selection::Test(Test::Pid(Pid(1)))));
        assert_eq!(matches(&rows[0], &other), None);
        assert_eq!(select(&mut rows.clone(), &other), 1);
        rows[0].owner_status = OwnerStatus::None;
        assert_eq!(matches(&rows[0], &other), Some(true));
    }
}
