//! A listener that outlived the process that made it: the reason why a server cannot be started
//! again, with "address in use", though it is gone.
//!
//! The kernel does not say who made a socket, so it takes evidence. First, everyone who holds it
//! is an orphan: its session tells that the process that started it is gone
//! ([`Standing::is_orphan`](crate::processes::Standing::is_orphan)). A daemon that forked twice is
//! one too, and it made its listener itself. So, second, either several orphans hold the same
//! socket, which they can have from a common ancestor only, and it is none of them; or nobody
//! waits for connections on it, and it survived exec(): a child that does not even know that it
//! has it. Where the holders may not all be known, nothing is said.

use std::collections::BTreeSet;

use super::{Evidence, Finding, Holders, Scene, Severity, plain, tcp_listeners};
use crate::listing::Row;
use crate::model::{OwnerStatus, Pid};

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let outlived = tcp_listeners(scene)
        .into_iter()
        .filter(|row| has_outlived(scene, row));
    outlived
        .map(|row| {
            let holders = Holders::of(&row);
            Finding {
                severity: Severity::Warning,
                evidence: Evidence::Inherited {
                    listener: plain(row.socket).into(),
                    holders: holders.processes,
                    waiting: row.socket.recv_queue.unwrap_or(0),
                },
                holders,
            }
        })
        .collect()
}

fn has_outlived(scene: &Scene<'_>, row: &Row<'_>) -> bool {
    let pids: BTreeSet<Pid> = row.owners.map(|owner| owner.pid).collect();
    if row.owner_status != OwnerStatus::Known || pids.is_empty() {
        return false;
    }
    let orphans = pids.iter().all(|pid| {
        let standing = scene.standing.get(pid);
        standing.and_then(|standing| standing.is_orphan(*pid)) == Some(true)
    });
    if !orphans {
        return false;
    }
    if pids.len() > 1 {
        return true;
    }
    let mut owners = row.owners;
    owners.all(|owner| {
        let attention = scene.attention.get(&(owner.pid, owner.fd));
        attention.is_some_and(|it| it.survives_exec == Some(true) && it.awaited == Some(false))
    })
}
