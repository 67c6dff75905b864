//! Sockets whose peers have closed, and which their own process does not close.
//!
//! Every connection that its peer closes first is in CLOSE_WAIT for a moment, and pools of idle
//! connections keep some that a server has closed until they are used again. A client may also
//! end its side alone (shutdown(2)) when it has asked, and its server is in CLOSE_WAIT for the
//! whole answer. So those count that stay from look to look while nothing is sent on them, and
//! they must be many: more than pools keep, or a good part of what the process may have open.

use std::collections::BTreeMap;

use super::{Evidence, Finding, Holders, Mptcp, Scene, Severity, descriptors, plain};
use crate::listing::Row;
use crate::model::{Pid, Protocol, State, Uid};
use crate::processes::Usage;

/// Pools keep tens of idle connections (of common HTTP clients: 2 to 20 by default).
const MANY: usize = 50;

/// Where few descriptors are allowed, so great a part of them is much as well.
const PERCENT_OF_LIMIT: u64 = 10;

/// But fewer than these are not a pile.
const FEW: usize = 8;

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let rows = scene.listing.rows();
    let mptcp = Mptcp::of(scene.listing);
    let mut piles: BTreeMap<Pid, Vec<Row<'_>>> = BTreeMap::new();
    let mut hidden: BTreeMap<Option<Uid>, Vec<Row<'_>>> = BTreeMap::new();
    for row in rows.iter() {
        let socket = row.socket;
        let stays = socket.state == State::CloseWait
            && matches!(socket.protocol, Protocol::Tcp | Protocol::Mptcp)
            && socket.inode.is_some()
            && !mptcp.is_above(socket)
            && scene.watch.is_quiet(socket);
        if !stays {
            continue;
        }
        let mut pids: Vec<Pid> = row.owners.map(|owner| owner.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        if pids.is_empty() {
            hidden.entry(socket.uid).or_default().push(row);
        }
        for pid in pids {
            piles.entry(pid).or_default().push(row);
        }
    }
    let mut findings: Vec<(Vec<*const _>, Finding)> = Vec::new();
    for (pid, pile) in piles {
        let usage = scene.usage.get(&pid).copied();
        if !is_pile(pile.len(), usage) {
            continue;
        }
        // Processes that inherited the same sockets are one finding.
        let same: Vec<*const _> = pile
            .iter()
            .map(|it| std::ptr::from_ref(it.socket))
            .collect();
        if findings.iter().any(|(known, _)| *known == same) {
            continue;
        }
        findings.push((same, finding(&pile, usage, Some(pid))));
    }
    let mut findings: Vec<Finding> = findings.into_iter().map(|(_, it)| it).collect();
    let hidden = hidden
        .into_values()
        .filter(|pile| is_pile(pile.len(), None));
    findings.extend(hidden.map(|pile| finding(&pile, None, None)));
    findings
}

fn is_pile(count: usize, usage: Option<Usage>) -> bool {
    let share = usage.is_some_and(|usage| {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        count.saturating_mul(100) >= usage.limit.saturating_mul(PERCENT_OF_LIMIT)
    });
    count >= MANY || (count >= FEW && share)
}

fn finding(pile: &[Row<'_>], usage: Option<Usage>, pid: Option<Pid>) -> Finding {
    let mut holders = Holders::of_all(pile.iter().copied());
    // The process whose pile it is, before those that share some of it.
    holders.owners.sort_by_key(|owner| Some(owner.pid) != pid);
    Finding {
        severity: if usage.is_some_and(descriptors::is_near_limit) {
            Severity::Critical
        } else {
            Severity::Warning
        },
        holders,
        evidence: Evidence::CloseWait {
            sockets: u64::try_from(pile.len()).unwrap_or(u64::MAX),
            example: plain(pile[0].socket).into(),
            usage,
        },
    }
}
