//! Processes that have hardly any descriptor left: accept(), socket() and open() soon fail with
//! EMFILE.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Finding, Holders, Scene, Severity};
use crate::model::{Owner, OwnerStatus, Pid};
use crate::processes::Usage;

/// From this share of the limit on it is near.
const NEAR_PERCENT: u64 = 90;

/// Programs lock themselves in with limits of a few descriptors, or none (OpenSSH's sandbox):
/// they want no more.
const SMALLEST_LIMIT: u64 = 64;

/// Whether a process has hardly any descriptor left.
pub(super) fn is_near_limit(usage: Usage) -> bool {
    usage.limit >= SMALLEST_LIMIT
        && usage.used.saturating_mul(100) >= usage.limit.saturating_mul(NEAR_PERCENT)
}

pub(super) fn find(scene: &Scene<'_>, piles: &[Finding]) -> Vec<Finding> {
    // A pile of CLOSE_WAIT tells its own process's descriptors.
    let told: BTreeSet<Pid> = piles
        .iter()
        .filter_map(|pile| Some(pile.holders.owners.first()?.pid))
        .collect();
    let near: BTreeMap<Pid, Usage> = scene
        .usage
        .iter()
        .filter(|(pid, usage)| is_near_limit(**usage) && !told.contains(pid))
        .map(|(pid, usage)| (*pid, *usage))
        .collect();
    if near.is_empty() {
        return Vec::new();
    }
    // A process is named by the first of its sockets.
    let mut owners: BTreeMap<Pid, Owner> = BTreeMap::new();
    for row in scene.listing.rows().iter() {
        for owner in row.owners {
            if near.contains_key(&owner.pid) {
                owners.entry(owner.pid).or_insert(owner);
            }
        }
    }
    near.into_iter()
        .map(|(pid, usage)| Finding {
            severity: if usage.used >= usage.limit {
                Severity::Critical
            } else {
                Severity::Warning
            },
            holders: Holders {
                owners: owners.remove(&pid).into_iter().collect(),
                processes: 1,
                status: OwnerStatus::Known,
                uid: None,
            },
            evidence: Evidence::Descriptors { usage },
        })
        .collect()
}
