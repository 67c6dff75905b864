//! The `finding` record.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{EndpointRecord, OwnerRecord, exact};
use crate::diagnosis::{Evidence, Finding, Path, Sharer};
use crate::model::{NetworkNamespace, UnixAddress};
use crate::processes::Usage;
use crate::sockets::{Address, Socket};

/// Something that is wrong, or stands in the way, with its evidence.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "finding")]
pub struct FindingRecord {
    /// What it is, for programs: `accept-queue-full`.
    pub name: &'static str,
    /// How urgent it is: `critical`, `warning` or `notice`.
    pub severity: &'static str,
    /// The numbers and names that show it.
    pub evidence: Map<String, Value>,
    /// Whose it is.
    pub owners: Vec<OwnerRecord<'static>>,
    /// The same in words. Names from outside stand in it escaped.
    pub text: String,
}

impl FindingRecord {
    /// The record of a finding, with what it says in words.
    pub fn new(finding: Finding, text: String) -> Self {
        let mut evidence = evidence(&finding.evidence);
        let holders = finding.holders;
        evidence.insert("processes".to_owned(), holders.processes.into());
        evidence.insert("owner_status".to_owned(), holders.status.word().into());
        Self {
            name: Evidence::name(&finding.evidence).word(),
            severity: finding.severity.word(),
            evidence,
            owners: holders.owners.into_iter().map(Into::into).collect(),
            text,
        }
    }
}

fn evidence(evidence: &Evidence) -> Map<String, Value> {
    let (mut map, rest) = match evidence {
        Evidence::AcceptQueue {
            listener,
            waiting,
            limit,
            lasting,
            waited,
            stuck,
        } => (
            socket(listener),
            json!({
                "waiting": waiting,
                "limit": limit,
                "lasting_ms": ms(*lasting),
                "longest_wait_ms": ms(*waited),
                "accepting": stuck.map(|stuck| !stuck),
            }),
        ),
        Evidence::NotReading {
            sockets,
            worst,
            unread,
            total,
            lasting,
            full,
            grew,
            dropped,
        } => (
            socket(worst),
            json!({
                "sockets": sockets,
                "unread_bytes": unread,
                "total_unread_bytes": total,
                "lasting_ms": ms(*lasting),
                "full": full,
                "grew": grew,
                "dropped": dropped,
            }),
        ),
        Evidence::SlowReading {
            sockets,
            worst,
            dropped,
            lasting,
            fullest,
            limit,
        } => (
            socket(worst),
            json!({
                "sockets": sockets,
                "dropped": dropped,
                "lasting_ms": ms(*lasting),
                "buffer_used_bytes": fullest,
                "buffer_limit_bytes": limit,
            }),
        ),
        Evidence::PeerNotReading {
            sockets,
            worst,
            unsent,
            total,
            lasting,
            grew,
        } => (
            socket(worst),
            json!({
                "sockets": sockets,
                "waiting_bytes": unsent,
                "total_waiting_bytes": total,
                "lasting_ms": ms(*lasting),
                "grew": grew,
            }),
        ),
        Evidence::CloseWait {
            sockets,
            example,
            usage,
        } => (
            socket(example),
            json!({
                "sockets": sockets,
                "descriptors": usage.map(|usage| usage.used),
                "descriptor_limit": usage.map(|usage| usage.limit),
            }),
        ),
        Evidence::EphemeralPorts {
            path,
            used,
            time_wait,
            ports,
        } => (
            way(path),
            json!({ "used": used, "time_wait": time_wait, "ports": ports }),
        ),
        Evidence::BoundPorts {
            netns,
            source,
            used,
            time_wait,
            ports,
        } => (
            place(*netns),
            json!({
                "source": source.to_string(),
                "destination": null,
                "used": used,
                "time_wait": time_wait,
                "ports": ports,
            }),
        ),
        Evidence::TimeWaitTo {
            path,
            time_wait,
            ports,
        } => (
            way(path),
            json!({ "time_wait": time_wait, "ports": ports, "limit": null }),
        ),
        Evidence::TimeWaitTable {
            time_wait,
            limit,
            netns,
        } => (
            place(*netns),
            json!({ "time_wait": time_wait, "ports": null, "limit": limit }),
        ),
        Evidence::HalfOpen {
            sockets,
            worst,
            tries,
            silent,
        } => (
            socket(worst),
            json!({
                "sockets": sockets,
                "tries": tries,
                "silent_ms": silent.map(ms),
            }),
        ),
        Evidence::SynSent {
            sockets,
            worst,
            tries,
            lasting,
        } => (
            socket(worst),
            json!({ "sockets": sockets, "tries": tries, "lasting_ms": ms(*lasting) }),
        ),
        Evidence::Inherited {
            listener, waiting, ..
        } => (socket(listener), json!({ "waiting": waiting })),
        Evidence::SharedPort {
            listener,
            sockets,
            sharers,
        } => (
            socket(listener),
            json!({
                "sockets": sockets,
                "programs": sharers.iter().map(sharer).collect::<Vec<_>>(),
            }),
        ),
        Evidence::LoopbackOnly { listener } => (socket(listener), json!({})),
        Evidence::Descriptors {
            usage: Usage { used, limit },
        } => (
            Map::new(),
            json!({ "descriptors": used, "descriptor_limit": limit }),
        ),
    };
    if let Value::Object(rest) = rest {
        map.extend(rest);
    }
    map
}

fn ms(duration: Duration) -> Value {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .into()
}

fn place(netns: Option<NetworkNamespace>) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("netns".to_owned(), netns.map(|it| it.0).into());
    map
}

/// The ends of a socket, and what tells it apart.
fn socket(socket: &Socket) -> Map<String, Value> {
    let mut map = place(socket.netns);
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    put("protocol", socket.protocol.word().into());
    put("state", socket.state.word().into());
    match &socket.address {
        Address::Inet { local, remote } => {
            put("local", json!(EndpointRecord::from(*local)));
            put("remote", json!(EndpointRecord::from(*remote)));
        }
        Address::Unix { name, .. } => {
            let (kind, text) = match name {
                UnixAddress::Path(text) => ("path", Some(text)),
                UnixAddress::Abstract(text) => ("abstract", Some(text)),
                UnixAddress::Unnamed => ("unnamed", None),
            };
            put("kind", kind.into());
            put("path", text.map(|text| text.to_lossy()).into());
            if let Some(bytes) = text.and_then(exact) {
                put("path_base64", bytes.into());
            }
        }
        _ => {}
    }
    put("inode", socket.inode.map(|inode| inode.0).into());
    put("uid", socket.uid.map(|uid| uid.0).into());
    map
}

fn way(path: &Path) -> Map<String, Value> {
    let mut map = place(path.netns);
    map.insert("source".to_owned(), path.source.to_string().into());
    let destination = json!(EndpointRecord::from(path.destination));
    map.insert("destination".to_owned(), destination);
    map
}

fn sharer(sharer: &Sharer) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    put("pid", sharer.pid.0.into());
    put("command", sharer.command.to_lossy().into());
    if let Some(bytes) = exact(&sharer.command) {
        put("command_base64", bytes.into());
    }
    let executable = sharer.executable.as_ref();
    put("executable", executable.map(|text| text.to_lossy()).into());
    if let Some(bytes) = executable.and_then(exact) {
        put("executable_base64", bytes.into());
    }
    put("uid", sharer.uid.map(|uid| uid.0).into());
    Value::Object(map)
}
