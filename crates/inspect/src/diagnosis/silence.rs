//! Peers that do not answer.
//!
//! That a connection is silent for hours means nothing: so are terminals at night, and pools. It
//! is a finding when something was sent and not answered several times in a row.

use std::collections::BTreeMap;
use std::time::Duration;

use super::holders::grouped;
use super::{Evidence, Finding, Holders, Jammed, Scene, Severity, plain};
use crate::listing::Row;
use crate::model::{Endpoint, Protocol, State};
use crate::sockets::{Socket, TimerKind};

/// So often in a row is no accident: the fourth retransmission comes three seconds after the
/// first segment at the earliest, at a time-out of 200 ms that doubles (`TCP_RTO_MIN`).
const RETRANSMISSIONS: u8 = 4;

/// Probes of a silent peer or a closed window are seconds apart, and any answer ends their count.
const PROBES: u8 = 3;

/// One SYN may be lost; the next is sent after a second. After two in vain three seconds are
/// over, or two where the kernel repeats the first ones at a steady pace
/// (`tcp_syn_linear_timeouts`).
const SYNS_IN_VAIN: u8 = 2;

/// Who was heard so lately is not silent, whatever is sent again.
const SILENCE: Duration = Duration::from_secs(2);

/// The same as [`SYNS_IN_VAIN`] by the clock, for a source that does not count.
const SYN_IN_VAIN: Duration = Duration::from_secs(3);

pub(super) fn find(scene: &Scene<'_>, jammed: &Jammed) -> Vec<Finding> {
    let rows = scene.listing.rows();
    let mut findings = Vec::new();
    let silent = rows.iter().filter_map(|row| {
        let tries = half_open(row)?;
        let remote = row.socket.endpoints()?.1.on_the_wire();
        Some((remote.address, (row, tries)))
    });
    for members in by(silent).into_values() {
        for (holders, members) in grouped(members, |_, tries| u64::from(*tries)) {
            findings.push(half_open_finding(holders, &members));
        }
    }
    let stuck = rows.iter().filter_map(|row| {
        let tries = syn_in_vain(scene, &row)?;
        let remote = row.socket.endpoints()?.1.on_the_wire();
        (!jammed.is_beyond(&row)).then_some((remote, (row, tries)))
    });
    let stuck: BTreeMap<Endpoint, Vec<_>> = by(stuck);
    for members in stuck.into_values() {
        for (holders, members) in grouped(members, |_, tries| tries.unwrap_or(0).into()) {
            let (worst, tries) = members[0];
            findings.push(Finding {
                severity: Severity::Warning,
                holders,
                evidence: Evidence::SynSent {
                    sockets: u64::try_from(members.len()).unwrap_or(u64::MAX),
                    worst: plain(worst.socket).into(),
                    tries: tries.map(|tries| u16::from(tries) + 1),
                    lasting: scene.watch.in_state(worst.socket),
                },
            });
        }
    }
    findings
}

fn by<K: Ord, V>(pairs: impl Iterator<Item = (K, V)>) -> BTreeMap<K, Vec<V>> {
    let mut sorted: BTreeMap<K, Vec<V>> = BTreeMap::new();
    for (key, value) in pairs {
        sorted.entry(key).or_default().push(value);
    }
    sorted
}

fn half_open_finding(holders: Holders, members: &[(Row<'_>, u8)]) -> Finding {
    let (worst, tries) = members[0];
    Finding {
        severity: Severity::Warning,
        holders,
        evidence: Evidence::HalfOpen {
            sockets: u64::try_from(members.len()).unwrap_or(u64::MAX),
            worst: plain(worst.socket).into(),
            tries,
            silent: last_heard(worst.socket),
        },
    }
}

/// How often in a row a peer did not answer, when that is often enough.
fn tries_in_vain(socket: &Socket) -> Option<u8> {
    let timer = socket.detail.as_ref()?.timer?;
    let enough = match timer.kind {
        TimerKind::Retransmit => RETRANSMISSIONS,
        TimerKind::Keepalive | TimerKind::Persist => PROBES,
        _ => return None,
    };
    // A peer without room for what it gets drops it and says so.
    let heard = last_heard(socket).is_some_and(|ago| ago < SILENCE);
    (timer.retransmits >= enough && !heard).then_some(timer.retransmits)
}

/// How long ago the peer was last heard, where that is told.
fn last_heard(socket: &Socket) -> Option<Duration> {
    let tcp = socket.detail.as_ref()?.tcp.as_ref()?;
    let ago = [tcp.last_ack_ms, tcp.last_received_ms];
    let ms = ago.into_iter().flatten().min()?;
    Some(Duration::from_millis(ms.into()))
}

/// Whether a connection's peer does not answer.
pub(super) fn is_silent(socket: &Socket) -> bool {
    tries_in_vain(socket).is_some()
}

fn half_open(row: Row<'_>) -> Option<u8> {
    let socket = row.socket;
    // What nobody holds any more the kernel gives up by itself.
    socket.inode?;
    if socket.protocol != Protocol::Tcp
        || !matches!(
            socket.state,
            State::Established | State::CloseWait | State::FinWait1
        )
    {
        return None;
    }
    tries_in_vain(socket)
}

/// How many SYN were sent again in vain, when that is enough; `Some(None)` where that is not
/// counted and it has lasted long.
#[expect(clippy::option_option, reason = "found, and perhaps not counted")]
fn syn_in_vain(scene: &Scene<'_>, row: &Row<'_>) -> Option<Option<u8>> {
    let socket = row.socket;
    if socket.state != State::SynSent || socket.protocol != Protocol::Tcp {
        return None;
    }
    let timer = socket.detail.as_ref().and_then(|detail| detail.timer);
    let again = timer
        .filter(|timer| timer.kind == TimerKind::Retransmit)
        .map(|timer| timer.retransmits);
    let long = scene.watch.in_state(socket) >= SYN_IN_VAIN;
    (long || again.is_some_and(|again| again >= SYNS_IN_VAIN)).then_some(again)
}
