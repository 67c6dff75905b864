//! Processes that have hardly any descriptor left: accept(), socket() and open() soon fail with
//! EMFILE.

use std::collections::BTreeSet;

use super::{Evidence, Finding, Holders, Scene, Severity};
use crate::model::{OwnerStatus, Pid};
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
    let near = scene
        .usage
        .iter()
        .filter(|(pid, usage)| is_near_limit(**usage) && !told.contains(pid));
    near.map(|(pid, usage)| Finding {
        severity: if usage.used >= usage.limit {
            Severity::Critical
        } else {
            Severity::Warning
        },
        holders: holder(scene, *pid),
        evidence: Evidence::Descriptors { usage: *usage },
    })
    .collect()
}

/// The process, by the first of its sockets.
fn holder(scene: &Scene<'_>, pid: Pid) -> Holders {
    let rows = scene.listing.rows();
    let owner = rows
        .iter()
        .find_map(|mut row| row.owners.find(|owner| owner.pid == pid));
    Holders {
        owners: owner.into_iter().collect(),
        processes: 1,
        status: OwnerStatus::Known,
        uid: None,
    }
}
