//! Ports that run out.
//!
//! A connection is told from others by its two ends, so each pair of source address and
//! destination has the whole range of ephemeral ports for itself, and connect() fails with
//! EADDRNOTAVAIL when they are all taken. What rests in TIME_WAIT takes one too, unless the kernel
//! lets connect() have it again (`tcp_tw_reuse`: between loopback addresses by default): a busy
//! machine may keep hundreds of thousands of them and be well.

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::finding::Path;
use super::{Evidence, Finding, Holders, Scene, Severity};
use crate::limits::{Limits, Reuse};
use crate::listing::{Row, Side};
use crate::model::{NetworkNamespace, Owner, Pid, Protocol, State};

/// From this share on, connect() has to search long, and a burst takes the rest.
const NEARLY_PERCENT: u32 = 80;

/// From this share on it fails for some.
const EXHAUSTED_PERCENT: u32 = 95;

/// So great a part of the ports at rest: some more connections a second, and none is left.
const RESTING_PERCENT: u32 = 60;

/// From this share of `tcp_max_tw_buckets` on, the kernel soon drops TIME_WAIT early, and late
/// segments may meet a new connection.
const TABLE_PERCENT: u64 = 90;

/// The ports taken on one path.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    /// By connections.
    held: u32,
    /// In TIME_WAIT, and not to be had again yet.
    resting: u32,
}

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = tables(scene);
    // Fewer sockets than the smallest range cannot have filled any.
    let ranges = scene.limits.values().filter_map(Limits::ephemeral_ports);
    let Some(smallest) = ranges.min() else {
        return findings;
    };
    let sockets = u64::try_from(scene.listing.sockets().len()).unwrap_or(u64::MAX);
    if sockets * 100 < u64::from(smallest) * u64::from(RESTING_PERCENT) {
        return findings;
    }
    let mut paths: HashMap<Path, Taken> = HashMap::new();
    for row in scene.listing.rows().iter() {
        let Some((path, rests)) = taken(scene, &row) else {
            continue;
        };
        let taken = paths.entry(path).or_default();
        if rests {
            taken.resting += 1;
        } else {
            taken.held += 1;
        }
    }
    for (path, taken) in paths {
        let limits = scene.limits.get(&path.netns);
        let Some(ports) = limits.and_then(Limits::ephemeral_ports) else {
            continue;
        };
        let used = taken.held + taken.resting;
        let share = |part: u32| u64::from(part) * 100 / u64::from(ports).max(1);
        if share(used) >= NEARLY_PERCENT.into() {
            findings.push(Finding {
                severity: if share(used) >= EXHAUSTED_PERCENT.into() {
                    Severity::Critical
                } else {
                    Severity::Warning
                },
                holders: holders(scene, path),
                evidence: Evidence::EphemeralPorts {
                    path,
                    used,
                    time_wait: taken.resting,
                    ports,
                },
            });
        } else if share(taken.resting) >= RESTING_PERCENT.into() {
            findings.push(Finding {
                severity: Severity::Warning,
                holders: holders(scene, path),
                evidence: Evidence::TimeWaitTo {
                    path,
                    time_wait: taken.resting,
                    ports,
                },
            });
        }
    }
    findings
}

/// The path on which a socket takes an ephemeral port, and whether it only rests there.
fn taken(scene: &Scene<'_>, row: &Row<'_>) -> Option<(Path, bool)> {
    let socket = row.socket;
    let (local, remote) = socket.endpoints()?;
    // A server's connections all have its own port.
    if socket.protocol != Protocol::Tcp || remote.port == 0 || row.side == Side::Server {
        return None;
    }
    let limits = scene.limits.get(&socket.netns)?;
    if !limits.ephemeral.as_ref()?.contains(&local.port) {
        return None;
    }
    let rests = socket.state == State::TimeWait;
    let again = match limits.time_wait_reuse {
        Some(Reuse::Always) => true,
        Some(Reuse::Loopback) => local.is_loopback() || remote.is_loopback(),
        Some(Reuse::Never) => false,
        // Nobody knows, so it is not counted.
        None => true,
    };
    (!rests || !again).then(|| {
        let path = Path {
            netns: socket.netns,
            source: local.on_the_wire().address,
            destination: remote.on_the_wire(),
        };
        (path, rests)
    })
}

/// Who takes the ports of a path: those with the most first.
fn holders(scene: &Scene<'_>, path: Path) -> Holders {
    let mut processes: BTreeMap<Pid, (u64, Owner)> = BTreeMap::new();
    let mut first: Option<Holders> = None;
    for row in scene.listing.rows().iter() {
        if row.socket.inode.is_none() || taken(scene, &row).is_none_or(|(it, _)| it != path) {
            continue;
        }
        first.get_or_insert_with(|| Holders::of(&row));
        for owner in row.owners {
            processes.entry(owner.pid).or_insert((0, owner)).0 += 1;
        }
    }
    let Some(first) = first else {
        return Holders::kernel();
    };
    let count = u64::try_from(processes.len()).unwrap_or(u64::MAX);
    let mut owners: Vec<(u64, Owner)> = processes.into_values().collect();
    owners.sort_by_key(|(held, owner)| (std::cmp::Reverse(*held), owner.pid));
    Holders {
        owners: owners
            .into_iter()
            .map(|(_, owner)| owner)
            .take(Holders::MOST)
            .collect(),
        processes: count,
        ..first
    }
}

/// Namespaces that keep as many TIME_WAIT as the kernel allows.
fn tables(scene: &Scene<'_>) -> Vec<Finding> {
    let mut counts: BTreeMap<Option<NetworkNamespace>, u32> = BTreeMap::new();
    for socket in scene.listing.sockets() {
        if socket.state == State::TimeWait {
            *counts.entry(socket.netns).or_default() += 1;
        }
    }
    let near = counts.into_iter().filter_map(|(netns, time_wait)| {
        let limit = scene.limits.get(&netns)?.time_wait?;
        (u64::from(time_wait) * 100 >= u64::from(limit) * TABLE_PERCENT && limit > 0).then(|| {
            Finding {
                severity: Severity::Warning,
                holders: Holders::kernel(),
                evidence: Evidence::TimeWaitTable {
                    time_wait,
                    limit,
                    netns,
                },
            }
        })
    });
    near.collect()
}
