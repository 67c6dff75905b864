//! What is asked for, as a syntax tree.
//!
//! A source may use the tree to leave out what cannot match, as far as it can tell; the listing
//! (or the decoded packet) then decides exactly. Both use [`Selection::holds`], which works in
//! three values: a test that cannot be answered yet is neither true nor false.

use std::net::IpAddr;

use crate::model::{Family, ForeignText, Pid, Protocol, State, Uid};

/// A condition on a socket or a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// One test.
    Test(Test),
    /// Every part must hold; with no part, everything is selected.
    All(Vec<Selection>),
    /// One part must hold; with no part, nothing is selected.
    Any(Vec<Selection>),
    /// The part must not hold.
    Not(Box<Selection>),
}

/// One question about a socket or a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It is of this address family.
    Family(Family),
    /// It is of this protocol.
    Protocol(Protocol),
    /// It is in this state.
    State(State),
    /// One of its ends has this port.
    Port(u16),
    /// One of its ends has this address.
    Host(IpAddr),
    /// One of its owners is this process.
    Pid(Pid),
    /// One of its owners has this name.
    Process(ForeignText),
    /// It belongs to this user.
    User(Uid),
}

impl Selection {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// Selects what one of the tests selects; with no test, everything: the meaning of a flag
    /// that may be repeated and was not given.
    pub fn one_of(tests: impl IntoIterator<Item = Test>) -> Self {
        let parts: Vec<_> = tests.into_iter().map(Self::Test).collect();
        if parts.is_empty() {
            Self::everything()
        } else {
            Self::Any(parts)
        }
    }

    /// Whether the selection holds, where `answer` says whether a test does. `None` when the
    /// tests that could be answered do not decide it.
    pub fn holds(&self, answer: &mut dyn FnMut(&Test) -> Option<bool>) -> Option<bool> {
        match self {
            Self::Test(test) => answer(test),
            Self::Not(part) => part.holds(answer).map(|holds| !holds),
            Self::All(parts) => decide(parts, false, answer),
            Self::Any(parts) => decide(parts, true, answer),
        }
    }
}

/// One part with the value `decisive` decides; else an unanswered part leaves it open.
fn decide(
    parts: &[Selection],
    decisive: bool,
    answer: &mut dyn FnMut(&Test) -> Option<bool>,
) -> Option<bool> {
    let mut open = false;
    for part in parts {
        match part.holds(answer) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => open = true,
        }
    }
    (!open).then_some(!decisive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: u16) -> Selection {
        Selection::Test(Test::Port(number))
    }

    #[test]
    fn an_unanswered_test_leaves_only_what_depends_on_it_open() {
        let pid = Selection::Test(Test::Pid(Pid(1)));
        let mut answer = |test: &Test| match test {
            Test::Port(number) => Some(*number == 2345),
            _ => None,
        };
        for (selection, expected) in [
            (Selection::All(vec![port(2345), pid.clone()]), None),
            (Selection::All(vec![port(80), pid.clone()]), Some(false)),
            (Selection::Any(vec![port(2345), pid.clone()]), Some(true)),
            (Selection::Any(vec![port(80), pid.clone()]), None),
            (Selection::Not(Box::new(pid)), None),
            (Selection::Not(Box::new(port(80))), Some(true)),
            (Selection::everything(), Some(true)),
            (Selection::Any(vec![]), Some(false)),
        ] {
            assert_eq!(selection.holds(&mut answer), expected, "{selection:?}");
        }
    }

    #[test]
    fn a_flag_that_was_not_given_selects_everything() {
        assert_eq!(Selection::one_of([]).holds(&mut |_| None), Some(true));
    }
}
