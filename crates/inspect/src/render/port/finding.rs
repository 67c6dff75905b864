//! Records of a port: a finding for each obstacle, and the rest in one.

use serde_json::{Map, Value, json};

use super::headline::{cause_words, last_end};
use super::{Holder, Looks, Port, Use};
use crate::diagnosis::bind::{Asked, Cause, Obstacle, Place};
use crate::model::{OwnerStatus, Protocol, State};
use crate::render::json::{
    BindRecord, EndpointRecord, FindingRecord, HolderRecord, OwnerRecord, PortRecord, ProtocolUse,
    ReachRecord,
};

/// So many sockets stand in the evidence of one finding; the socket records have all.
const EVIDENCE: usize = 20;

/// The finding of each obstacle, and the record of the port.
pub fn records<'a>(port: &'a Port<'_>, looks: &Looks) -> (Vec<FindingRecord>, PortRecord<'a>) {
    let findings = port
        .uses
        .iter()
        .flat_map(|one| {
            one.obstacles
                .iter()
                .map(move |it| finding(port, one, it, looks))
        })
        .collect();
    (findings, record(port))
}

fn finding(port: &Port<'_>, one: &Use<'_>, obstacle: &Obstacle, looks: &Looks) -> FindingRecord {
    let rows = one.rows_of(obstacle);
    let mut evidence = Map::new();
    let mut put = |name: &str, value: Value| evidence.insert(name.to_owned(), value);
    put("port", json!(port.number));
    put("protocol", json!(one.protocol.word()));
    put("certain", json!(obstacle.certain));
    let asked = obstacle.asks.iter().filter_map(|at| one.asked.get(*at));
    put("addresses", asked.map(|it| address(it.place)).collect());
    put("with_reuse_address", json!(obstacle.with_reuse_address));
    put("with_reuse_port", json!(obstacle.with_reuse_port));
    if obstacle.cause == Cause::Privileged {
        put("unprivileged_start", json!(port.limits.unprivileged_start));
    } else {
        put("count", json!(rows.len()));
        let sockets = rows.iter().take(EVIDENCE).filter_map(|row| {
            let (local, remote) = row.socket.endpoints()?;
            Some(json!({
                "state": row.socket.state.word(),
                "local": EndpointRecord::from(local),
                "remote": EndpointRecord::from(remote),
                "inode": row.socket.inode.map(|it| it.0),
            }))
        });
        put("sockets", sockets.collect());
    }
    if obstacle.cause == Cause::TimeWait {
        put("last_ends_ms", json!(last_end(&rows)));
    }
    FindingRecord {
        name: obstacle.cause.word(),
        severity: if obstacle.certain {
            "warning"
        } else {
            "notice"
        },
        evidence,
        owners: owners(&rows),
        text: format!(
            "{} {}: {}",
            one.protocol.word(),
            port.number,
            cause_words(one, obstacle, looks)
        ),
    }
}

fn owners(rows: &[crate::listing::Row<'_>]) -> Vec<OwnerRecord<'static>> {
    let mut owners: Vec<_> = rows.iter().flat_map(|row| row.owners).collect();
    owners.sort_unstable();
    owners.dedup();
    owners.into_iter().map(Into::into).collect()
}

/// The address of a bind(); `null` with a version is any other of that version.
fn address(place: Place) -> Value {
    let (version, address, v6_only) = parts(place);
    json!({ "version": version, "address": address, "v6_only": v6_only })
}

fn parts(place: Place) -> (u8, Option<String>, bool) {
    match place {
        Place::Address(address) => {
            let version = if address.is_ipv4() { 4 } else { 6 };
            (version, Some(address.to_string()), false)
        }
        Place::OnlyV6 => (6, Some("::".to_owned()), true),
        Place::OtherV4 => (4, None, false),
        Place::OtherV6 => (6, None, false),
    }
}

fn bind(asked: &Asked) -> BindRecord {
    let (version, address, v6_only) = parts(asked.place);
    BindRecord {
        version,
        address,
        v6_only,
        fails: asked.fails,
        fails_with_reuse_address: asked.fails_with_reuse_address,
        fails_with_reuse_port: asked.fails_with_reuse_port,
    }
}

fn record<'a>(port: &'a Port<'_>) -> PortRecord<'a> {
    let of = |protocol| port.uses.iter().find(|it| it.protocol == protocol);
    let service = |protocol| {
        let mut names = port.services.iter();
        names.find(|it| it.0 == protocol).map(|it| it.1.as_str())
    };
    PortRecord::new(
        port.number,
        port.limits,
        [service(Protocol::Tcp), service(Protocol::Udp)],
        [
            of(Protocol::Tcp).map(protocol_use),
            of(Protocol::Udp).map(protocol_use),
        ],
        port.processes.iter().map(holder).collect(),
    )
}

fn protocol_use(one: &Use<'_>) -> ProtocolUse {
    let count = |wanted: &dyn Fn(State) -> bool| {
        let rows = one.rows.iter();
        rows.filter(|row| wanted(row.socket.state)).count()
    };
    let states = State::ALL
        .into_iter()
        .map(|state| (state.word(), count(&|it| it == state)))
        .filter(|(_, count)| *count > 0);
    let waiting: Vec<_> = one.waiting().collect();
    ProtocolUse {
        standing: one.standing().word(),
        sockets: one.rows.len(),
        states: states.collect(),
        hidden: one
            .rows
            .iter()
            .filter(|row| row.owner_status == OwnerStatus::Hidden)
            .count(),
        reach: (!waiting.is_empty()).then(|| ReachRecord::from(&one.reach)),
        bind: one.asked.iter().map(bind).collect(),
    }
}

fn holder(holder: &Holder) -> HolderRecord<'_> {
    HolderRecord::new(&holder.about, holder.user.as_deref())
}
