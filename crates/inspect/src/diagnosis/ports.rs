//! Ports that run out.
//!
//! A connection is told from others by its two ends, so where connect() chooses the port, each
//! pair of source address and destination has the whole range of ephemeral ports for itself, and
//! it fails with EADDRNOTAVAIL when they are all taken. What rests in TIME_WAIT takes one too,
//! unless the kernel lets connect() have it again (`tcp_tw_reuse`: between loopback addresses by
//! default): a busy machine may keep hundreds of thousands of them and be well.
//!
//! A program that chooses its source address by bind() with port 0, and connects then, gets its
//! port at bind(), when the destination is not known yet: one that no other socket with that
//! address has, wherever it goes (net/ipv4/inet_connection_sock.c `inet_csk_find_open_port`). All
//! its destinations share the range, and bind() fails with EADDRINUSE, unless it has set
//! IP_BIND_ADDRESS_NO_PORT. That the range is full for bind() is no trouble where nobody calls it
//! so, such as at a proxy with many destinations. Who bound first is not told, but it shows: as
//! long as no destination needs more than half of the range, connect() takes one half of it only,
//! every other port (net/ipv4/inet_hashtables.c `__inet_hash_connect`), and the same for each
//! destination. So it is a finding when nearly all ports are taken, hardly any of them twice, and
//! no destination has so many. Where both kinds are mixed it is not found.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use super::finding::Path;
use super::{Evidence, Finding, Holders, Scene, Severity};
use crate::limits::Reuse;
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

/// So many of the ports have one socket each where bind() chose them.
const ALONE_PERCENT: u32 = 80;

/// From this share on, connect() begins to take the other half of the range for a destination.
const HALF_PERCENT: u32 = 50;

/// The ports taken on one path.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    /// By connections.
    held: u32,
    /// In TIME_WAIT, and not to be had again yet.
    resting: u32,
    /// In TIME_WAIT, and to be had again by connect().
    again: u32,
}

/// How a socket takes a port.
#[derive(Debug, Clone, Copy)]
enum How {
    Held,
    Resting,
    Again,
}

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = tables(scene);
    // Counting them passes through the whole range.
    let ranges: BTreeMap<Option<NetworkNamespace>, u32> = scene
        .limits
        .iter()
        .filter_map(|(netns, limits)| Some((*netns, limits.ephemeral_ports()?)))
        .collect();
    // Fewer sockets than the smallest range cannot have filled any.
    let Some(smallest) = ranges.values().min() else {
        return findings;
    };
    let sockets = u64::try_from(scene.listing.sockets().len()).unwrap_or(u64::MAX);
    if sockets * 100 < u64::from(*smallest) * u64::from(RESTING_PERCENT) {
        return findings;
    }
    let mut paths: HashMap<Path, Taken> = HashMap::new();
    for row in scene.listing.rows().iter() {
        let Some((path, how)) = taken(scene, &row) else {
            continue;
        };
        paths.entry(path).or_default().add(how);
    }
    let bound = bound(scene, &ranges, &paths);
    findings.extend(with_holders(scene, bound, |row| {
        Some(port_of(scene, row)?.0)
    }));
    let mut crowded: HashMap<Path, (Severity, Evidence)> = HashMap::new();
    for (path, taken) in paths {
        let Some(ports) = ranges.get(&path.netns).copied() else {
            continue;
        };
        if let Some(severity) = exhausted(taken.all(), ports) {
            let evidence = Evidence::EphemeralPorts {
                path,
                used: taken.all(),
                time_wait: taken.resting,
                ports,
            };
            crowded.insert(path, (severity, evidence));
        } else if share(taken.resting, ports) >= RESTING_PERCENT.into() {
            let evidence = Evidence::TimeWaitTo {
                path,
                time_wait: taken.resting,
                ports,
            };
            crowded.insert(path, (Severity::Warning, evidence));
        }
    }
    let path = |row: &Row<'_>| Some(taken(scene, row)?.0);
    findings.extend(with_holders(scene, crowded, path));
    findings
}

impl Taken {
    fn add(&mut self, how: How) {
        match how {
            How::Held => self.held += 1,
            How::Resting => self.resting += 1,
            How::Again => self.again += 1,
        }
    }

    fn all(self) -> u32 {
        self.held + self.resting
    }
}

fn share(part: u32, ports: u32) -> u64 {
    u64::from(part) * 100 / u64::from(ports).max(1)
}

/// How urgent it is that so many of the ports are taken, when they are nearly all.
fn exhausted(taken: u32, ports: u32) -> Option<Severity> {
    let share = share(taken, ports);
    if share >= EXHAUSTED_PERCENT.into() {
        Some(Severity::Critical)
    } else if share >= NEARLY_PERCENT.into() {
        Some(Severity::Warning)
    } else {
        None
    }
}

/// The path on which a socket takes an ephemeral port, and how.
fn taken(scene: &Scene<'_>, row: &Row<'_>) -> Option<(Path, How)> {
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
    let how = match (rests, again) {
        (false, _) => How::Held,
        (true, false) => How::Resting,
        (true, true) => How::Again,
    };
    let path = Path {
        netns: socket.netns,
        source: local.on_the_wire().address,
        destination: remote.on_the_wire(),
    };
    Some((path, how))
}

/// Whose ports bind() shares: a source address.
type Source = (Option<NetworkNamespace>, IpAddr);

/// The ephemeral port that a socket has and who has it: nobody else may be given it by bind().
fn port_of(scene: &Scene<'_>, row: &Row<'_>) -> Option<(Source, u16)> {
    let socket = row.socket;
    let (local, _) = socket.endpoints()?;
    // A server's connections all have its own port.
    if socket.protocol != Protocol::Tcp || row.side == Side::Server {
        return None;
    }
    let range = scene.limits.get(&socket.netns)?.ephemeral.as_ref()?;
    range.contains(&local.port).then(|| {
        let source = (socket.netns, local.on_the_wire().address);
        (source, local.port)
    })
}

/// Sources whose ports are nearly all taken, one by one: by bind() before connect().
fn bound(
    scene: &Scene<'_>,
    ranges: &BTreeMap<Option<NetworkNamespace>, u32>,
    paths: &HashMap<Path, Taken>,
) -> HashMap<Source, (Severity, Evidence)> {
    let mut sources: HashMap<Source, HashMap<u16, Port>> = HashMap::new();
    for row in scene.listing.rows().iter() {
        let Some((source, port)) = port_of(scene, &row) else {
            continue;
        };
        let port = sources.entry(source).or_default().entry(port).or_default();
        port.sockets = port.sockets.saturating_add(1);
        port.rests |= row.socket.state == State::TimeWait;
    }
    // What is crowded on its way to one destination is told as that.
    for (path, taken) in paths {
        if ranges
            .get(&path.netns)
            .is_some_and(|ports| share(taken.all() + taken.again, *ports) >= HALF_PERCENT.into())
        {
            sources.remove(&(path.netns, path.source));
        }
    }
    let crowded = sources.into_iter().filter_map(|(source, taken)| {
        let ports = *ranges.get(&source.0)?;
        let used = count(taken.values());
        let severity = exhausted(used, ports)?;
        let alone = count(taken.values().filter(|port| port.sockets == 1));
        (share(alone, used) >= ALONE_PERCENT.into()).then(|| {
            let evidence = Evidence::BoundPorts {
                netns: source.0,
                source: source.1,
                used,
                time_wait: count(taken.values().filter(|port| port.rests)),
                ports,
            };
            (source, (severity, evidence))
        })
    });
    crowded.collect()
}

/// What has one port.
#[derive(Default)]
struct Port {
    sockets: u32,
    /// One of them is in TIME_WAIT.
    rests: bool,
}

fn count<T>(things: impl Iterator<Item = T>) -> u32 {
    u32::try_from(things.count()).unwrap_or(u32::MAX)
}

/// Who takes ports somewhere.
#[derive(Default)]
struct Takers {
    /// Of one of the sockets.
    first: Option<Holders>,
    processes: HashMap<Pid, (u64, Owner)>,
}

/// Finds out who takes the ports, in one pass for all places: those with the most first. `place`
/// tells where a socket takes one.
fn with_holders<K: Eq + Hash>(
    scene: &Scene<'_>,
    crowded: HashMap<K, (Severity, Evidence)>,
    place: impl Fn(&Row<'_>) -> Option<K>,
) -> Vec<Finding> {
    if crowded.is_empty() {
        return Vec::new();
    }
    let mut places: HashMap<K, (Severity, Evidence, Takers)> = crowded
        .into_iter()
        .map(|(place, (severity, evidence))| (place, (severity, evidence, Takers::default())))
        .collect();
    for row in scene.listing.rows().iter() {
        if row.socket.inode.is_none() {
            continue;
        }
        let Some((_, _, takers)) = place(&row).and_then(|place| places.get_mut(&place)) else {
            continue;
        };
        takers.first.get_or_insert_with(|| Holders::of(&row));
        for owner in row.owners {
            let process = takers.processes.entry(owner.pid);
            process.or_insert((0, owner)).0 += 1;
        }
    }
    places
        .into_values()
        .map(|(severity, evidence, takers)| Finding {
            severity,
            holders: takers.holders(),
            evidence,
        })
        .collect()
}

impl Takers {
    fn holders(self) -> Holders {
        let Some(first) = self.first else {
            return Holders::kernel();
        };
        let count = u64::try_from(self.processes.len()).unwrap_or(u64::MAX);
        let mut owners: Vec<(u64, Owner)> = self.processes.into_values().collect();
        owners.sort_by_key(|(held, owner)| (Reverse(*held), owner.pid));
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
