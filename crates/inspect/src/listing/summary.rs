//! How many sockets of each family there are, and in which states.

use std::collections::BTreeMap;

use crate::model::{Family, Protocol, State};
use crate::sockets::Socket;

/// What `-s` tells of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilySummary {
    /// The family.
    pub family: Family,
    /// Its sockets by protocol and state.
    pub counts: BTreeMap<(Protocol, State), usize>,
}

impl FamilySummary {
    /// All its sockets.
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    /// Its sockets of one protocol.
    pub fn of(&self, protocol: Protocol) -> usize {
        self.counts
            .iter()
            .filter(|((of, _), _)| *of == protocol)
            .map(|(_, count)| count)
            .sum()
    }

    /// Its sockets of one protocol in one state.
    pub fn in_state(&self, protocol: Protocol, state: State) -> usize {
        self.counts.get(&(protocol, state)).copied().unwrap_or(0)
    }
}

/// Counts the sockets of each of `families`, in that order.
pub fn summarise<'a>(
    sockets: impl IntoIterator<Item = &'a Socket>,
    families: &[Family],
) -> Vec<FamilySummary> {
    let mut summaries: Vec<FamilySummary> = families
        .iter()
        .map(|family| FamilySummary {
            family: *family,
            counts: BTreeMap::new(),
        })
        .collect();
    for socket in sockets {
        if let Some(summary) = summaries
            .iter_mut()
            .find(|summary| summary.family == socket.family)
        {
            *summary
                .counts
                .entry((socket.protocol, socket.state))
                .or_default() += 1;
        }
    }
    summaries
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::*;
    use super::*;

    #[test]
    fn counts_by_family_protocol_and_state() {
        let sockets = [
            tcp(State::Listen, "127.0.0.1:1", "0.0.0.0:0", 1),
            tcp(State::TimeWait, "127.0.0.1:1", "127.0.0.1:2", 0),
            tcp(State::Listen, "[::1]:1", "[::]:0", 2),
        ];
        let summaries = summarise(&sockets, &[Family::Inet, Family::Inet6, Family::Unix]);
        assert_eq!(summaries[0].total(), 2);
        assert_eq!(summaries[0].in_state(Protocol::Tcp, State::TimeWait), 1);
        assert_eq!(summaries[1].of(Protocol::Tcp), 1);
        assert_eq!(summaries[2].total(), 0);
    }
}
