//! Different programs on one port: each gets a part of the connections, and nobody knows which.
//!
//! SO_REUSEPORT lets several listeners have the same port. It is how pools of workers share it:
//! the same program, run by the same user. It is a finding when two of the listeners have no
//! program in common. A program that was replaced on disk while it runs is still itself. Datagram
//! sockets share ports for other reasons (multicast), and are left alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Finding, Holders, Scene, Severity, Sharer, plain, tcp_listeners};
use crate::listing::Row;
use crate::model::{Endpoint, ForeignText, NetworkNamespace, Owner, Uid};

/// What makes two processes the same program.
type Program = (ForeignText, Option<Uid>);

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    type Place = (Option<NetworkNamespace>, Endpoint, Option<u32>);
    let mut places: BTreeMap<Place, Vec<Row<'_>>> = BTreeMap::new();
    for row in tcp_listeners(scene) {
        if let Some((local, _)) = row.socket.endpoints()
            && !row.owners.is_empty()
        {
            let place = (row.socket.netns, local, row.socket.interface);
            places.entry(place).or_default().push(row);
        }
    }
    let shared = places.into_values().filter(|listeners| listeners.len() > 1);
    shared
        .filter_map(|listeners| judge(scene, &listeners))
        .collect()
}

fn judge(scene: &Scene<'_>, listeners: &[Row<'_>]) -> Option<Finding> {
    // An executable is told to its user and to root; where one is not, names must do for all.
    let told = listeners.iter().all(|row| {
        let mut owners = row.owners;
        owners.all(|owner| executable(scene, &owner).is_some())
    });
    let program = |owner: &Owner| -> Program {
        let text = if told { executable(scene, owner) } else { None };
        let uid = scene.standing.get(&owner.pid).and_then(|it| it.uid);
        (text.unwrap_or_else(|| owner.command.clone()), uid)
    };
    // A pool has as many listeners as it has workers, and all have the same program.
    let programs: BTreeSet<BTreeSet<Program>> = listeners
        .iter()
        .map(|row| row.owners.map(|owner| program(&owner)).collect())
        .collect();
    if !has_strangers(&programs) {
        return None;
    }
    let mut sharers: BTreeMap<Program, Sharer> = BTreeMap::new();
    for row in listeners {
        for owner in row.owners {
            sharers.entry(program(&owner)).or_insert_with(|| Sharer {
                pid: owner.pid,
                executable: executable(scene, &owner),
                uid: scene.standing.get(&owner.pid).and_then(|it| it.uid),
                command: owner.command,
            });
        }
    }
    Some(Finding {
        severity: Severity::Warning,
        holders: Holders::of_all(listeners.iter().copied()),
        evidence: Evidence::SharedPort {
            listener: plain(listeners[0].socket).into(),
            sockets: u64::try_from(listeners.len()).unwrap_or(u64::MAX),
            sharers: sharers.into_values().collect(),
        },
    })
}

/// Whether two of the listeners have no program in common.
fn has_strangers(listeners: &BTreeSet<BTreeSet<Program>>) -> bool {
    let mut all = listeners.iter();
    let Some(first) = all.next() else {
        return false;
    };
    // A master that holds the listeners of all its workers is in every one.
    let mut common = first.clone();
    for listener in all {
        common.retain(|program| listener.contains(program));
    }
    if !common.is_empty() {
        return false;
    }
    let mut others = listeners.iter();
    while let Some(one) = others.next() {
        if others.clone().any(|other| one.is_disjoint(other)) {
            return true;
        }
    }
    false
}

fn executable(scene: &Scene<'_>, owner: &Owner) -> Option<ForeignText> {
    let path = scene.standing.get(&owner.pid)?.executable.as_ref()?;
    // The kernel's mark of a file that is gone (fs/d_path.c).
    let bytes = path.as_bytes();
    Some(ForeignText::new(
        bytes.strip_suffix(b" (deleted)").unwrap_or(bytes),
    ))
}
