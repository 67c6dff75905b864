//! Which rows are wanted.

use std::collections::BTreeSet;

use super::answer::{PlacementOf, answer};
use super::{Row, Rows};
use crate::model::{Pid, State};
use crate::processes::Placement;
use crate::selection::{Selection, Test};

/// Rows that were left out although they may match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undecided {
    /// Because an owner is hidden.
    pub by_owner: usize,
    /// Because the source does not tell what was asked of them.
    pub by_source: usize,
    /// What the source does not tell, in the words of the selection: `rtt`.
    pub untold: BTreeSet<&'static str>,
}

impl Undecided {
    /// How many they are.
    pub fn total(&self) -> usize {
        self.by_owner + self.by_source
    }
}

impl Rows<'_> {
    /// Keeps the rows that the selection selects. Tells how many were left out although they
    /// may match. Units and containers of owners are not known here: see [`Self::select_by`].
    pub fn select(&mut self, selection: &Selection) -> usize {
        self.select_by(selection, &mut |_| None).total()
    }

    /// The same, where `placement` tells where a process is placed.
    pub fn select_by(
        &mut self,
        selection: &Selection,
        placement: &mut dyn FnMut(Pid) -> Option<Placement>,
    ) -> Undecided {
        let mut undecided = Undecided::default();
        self.retain(|row| {
            let mut open = Vec::new();
            match decide(&row, selection, placement, &mut open) {
                Some(decided) => return decided,
                None if open.iter().any(|test| test.is_about_owners()) => undecided.by_owner += 1,
                None => {
                    undecided.by_source += 1;
                    undecided.untold.extend(open.iter().map(|test| test.word()));
                }
            }
            false
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

/// Whether a row is selected; `None` where that depends on what is not known: a hidden owner,
/// or something that the source does not tell.
pub fn matches(row: &Row<'_>, selection: &Selection) -> Option<bool> {
    decide(row, selection, &mut |_| None, &mut Vec::new())
}

/// The same; the tests that were not answered are added to `open`.
fn decide<'s>(
    row: &Row<'_>,
    selection: &'s Selection,
    placement: PlacementOf<'_>,
    open: &mut Vec<&'s Test>,
) -> Option<bool> {
    selection.holds(&mut |test| {
        let answer = answer(row, test, placement);
        if answer.is_none() {
            open.push(test);
        }
        answer
    })
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
        // Which processes could not be read is known: that it is none of the others, too.
        for (test, answer) in [
            (Test::Pid(Pid(1)), None),
            (Test::Pid(Pid(2)), Some(false)),
            (Test::Process(ForeignText::from("init")), None),
        ] {
            let selection = Selection::Test(test);
            assert_eq!(matches(&hidden.rows().get(0).unwrap(), &selection), answer);
        }
        let mut named = seen(&[]);
        named.unreadable.push(crate::owners::Unreadable {
            command: Some(ForeignText::from("init")),
            ..unreadable(1)
        });
        let named = Listing::new(sockets(), named.into());
        for (name, answer) in [("init", None), ("nginx", Some(false))] {
            let selection = Selection::Test(Test::Process(ForeignText::from(name)));
            assert_eq!(matches(&named.rows().get(0).unwrap(), &selection), answer);
        }
        let none = Listing::new(sockets(), seen(&[]).into());
        assert_eq!(matches(&none.rows().get(0).unwrap(), &other), Some(true));
    }
}
