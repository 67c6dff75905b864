//! Whose the sockets of a finding are.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::listing::Row;
use crate::model::{Owner, OwnerStatus, Pid, Uid};

/// Whose the sockets of a finding are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders {
    /// One descriptor of each process: on the socket that the finding shows, where it holds that.
    /// No more than [`Holders::MOST`].
    pub owners: Vec<Owner>,
    /// How many processes there are.
    pub processes: u64,
    /// How well they are known.
    pub status: OwnerStatus,
    /// The user of the socket.
    pub uid: Option<Uid>,
}

impl Holders {
    /// A finding names so many processes, and counts the others.
    pub const MOST: usize = 16;

    /// Those of one socket.
    pub fn of(row: &Row<'_>) -> Self {
        let mut processes: BTreeMap<Pid, Owner> = BTreeMap::new();
        for owner in row.owners {
            processes.entry(owner.pid).or_insert(owner);
        }
        Self {
            processes: u64::try_from(processes.len()).unwrap_or(u64::MAX),
            owners: processes.into_values().take(Self::MOST).collect(),
            status: row.owner_status,
            uid: row.socket.uid,
        }
    }

    /// Those of several sockets; of each process, the descriptor of the first socket it holds.
    pub(super) fn of_all<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> Self {
        let mut all: Option<Self> = None;
        let mut processes: BTreeMap<Pid, Owner> = BTreeMap::new();
        for row in rows {
            for owner in row.owners {
                processes.entry(owner.pid).or_insert(owner);
            }
            all.get_or_insert_with(|| Self::of(&row));
        }
        let all = all.unwrap_or_else(Self::kernel);
        Self {
            processes: u64::try_from(processes.len()).unwrap_or(u64::MAX),
            owners: processes.into_values().take(Self::MOST).collect(),
            ..all
        }
    }

    /// Nobody: what a finding tells is the kernel's.
    pub fn kernel() -> Self {
        Self {
            owners: Vec::new(),
            processes: 0,
            status: OwnerStatus::Kernel,
            uid: None,
        }
    }
}

/// Sorts sockets by who holds them: those of the same processes together, and of hidden ones
/// those of the same user. In each group the worst is first, by what `amount` says.
pub(super) fn grouped<'a, T>(
    sockets: impl IntoIterator<Item = (Row<'a>, T)>,
    amount: impl Fn(&Row<'a>, &T) -> u64,
) -> Vec<(Holders, Vec<(Row<'a>, T)>)> {
    type Whose = (Vec<Pid>, Option<Uid>);
    let mut groups: BTreeMap<Whose, Vec<(Row<'a>, T)>> = BTreeMap::new();
    for (row, value) in sockets {
        let mut pids: Vec<Pid> = row.owners.map(|owner| owner.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        let user = if pids.is_empty() {
            row.socket.uid
        } else {
            None
        };
        groups.entry((pids, user)).or_default().push((row, value));
    }
    groups
        .into_values()
        .map(|mut members| {
            members.sort_by_key(|(row, value)| Reverse(amount(row, value)));
            // All are held by the same processes; the descriptors shown are those of the worst.
            let holders = members
                .first()
                .map_or_else(Holders::kernel, |(row, _)| Holders::of(row));
            (holders, members)
        })
        .collect()
}
