//! Conversations that stand still because one side does not read.
//!
//! Something waits in the queues of every busy machine; a request that is unread twice a second
//! may be another one each time. So what counts is that not one byte left the queue between two
//! looks, which `tcp_info` tells exactly. And idle connections that a pool keeps hold a few bytes
//! for hours (a TLS ticket, a goodbye), so it must be much, or as much as fits.
//!
//! Of datagrams nothing tells exactly what was read, but what was dropped is counted. A reader
//! that takes nothing from a full buffer does not read; one that does, while more is dropped,
//! reads too slowly, however full the buffer is at the moment of a look. Other things count as
//! dropped as well: what a filter of the program refuses, and what arrives damaged. So something
//! must have been seen waiting, and where there may be a filter, a full buffer.

use std::collections::HashSet;
use std::time::Duration;

use super::holders::grouped;
use super::watch::{Drops, Run};
use super::{Evidence, Finding, Scene, Severity, plain};
use crate::listing::Row;
use crate::model::{Protocol, State};
use crate::sockets::{Socket, TimerKind};

/// So many bytes are more than what an idle connection is left with: TLS tickets, a goodbye, an
/// error page.
const UNREAD_BYTES: u32 = 4_096;

/// Less room than the smallest segment carries (RFC 9293, 3.7.1) is none. What remains of a window
/// when the next segment does not fit the peer fills with its first probe.
const SMALLEST_SEGMENT: u32 = 536;

/// A receive buffer filled so far takes little more: what a packet costs is counted, not what it
/// carries.
const FULL_BUFFER_PERCENT: u64 = 75;

/// A socket that stands still.
#[derive(Clone, Copy)]
struct Still {
    bytes: u32,
    lasting: Duration,
    grew: bool,
    full: bool,
    dropped: Option<u32>,
}

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let rows = scene.listing.rows();
    let unread: Vec<(Row<'_>, Still)> = rows
        .iter()
        .filter_map(|row| Some((row, not_reading(scene, row)?)))
        .collect();
    let readers: HashSet<*const Socket> = unread
        .iter()
        .map(|(row, _)| std::ptr::from_ref(row.socket))
        .collect();
    let unsent: Vec<(Row<'_>, Still)> = rows
        .iter()
        // A peer on this machine that does not read is a finding already.
        .filter(|row| {
            row.peer()
                .is_none_or(|peer| !readers.contains(&std::ptr::from_ref(peer.socket)))
        })
        .filter_map(|row| Some((row, peer_not_reading(scene, row)?)))
        .collect();
    let mut findings = slow(scene, &readers);
    for (holders, members) in grouped(unread, |_, still| still.bytes.into()) {
        let (worst, still) = members[0];
        let dropped = members.iter().filter_map(|(_, it)| it.dropped);
        let dropped = dropped.reduce(u32::saturating_add);
        let full = members.iter().any(|(_, it)| it.full);
        findings.push(Finding {
            severity: if full {
                Severity::Critical
            } else {
                Severity::Warning
            },
            holders,
            evidence: Evidence::NotReading {
                sockets: count(&members),
                worst: plain(worst.socket).into(),
                unread: still.bytes,
                total: total(&members),
                lasting: still.lasting,
                full: still.full,
                grew: still.grew,
                dropped,
            },
        });
    }
    for (holders, members) in grouped(unsent, |_, still| still.bytes.into()) {
        let (worst, still) = members[0];
        findings.push(Finding {
            severity: Severity::Warning,
            holders,
            evidence: Evidence::PeerNotReading {
                sockets: count(&members),
                worst: plain(worst.socket).into(),
                unsent: still.bytes,
                total: total(&members),
                lasting: still.lasting,
                grew: still.grew,
            },
        });
    }
    findings
}

fn count<T>(members: &[T]) -> u64 {
    u64::try_from(members.len()).unwrap_or(u64::MAX)
}

fn total(members: &[(Row<'_>, Still)]) -> u64 {
    members
        .iter()
        .map(|(_, still)| u64::from(still.bytes))
        .sum()
}

fn not_reading(scene: &Scene<'_>, row: Row<'_>) -> Option<Still> {
    let socket = row.socket;
    // Without an inode nobody could read.
    socket.inode?;
    let track = scene.watch.track(socket)?;
    let run = track.unread?;
    let lasting = scene.watch.length(&run);
    if lasting.is_zero() {
        return None;
    }
    match socket.protocol {
        Protocol::Tcp | Protocol::Mptcp => {
            // A queue that does not shrink may be read and filled again.
            run.moved?;
            let full = is_full(socket);
            let grew = run.grew() && run.last >= UNREAD_BYTES;
            (full || grew).then_some(Still {
                bytes: run.last,
                lasting,
                grew: run.grew(),
                full,
                dropped: None,
            })
        }
        Protocol::Udp | Protocol::UdpLite => {
            // By chance a reader may have taken as much as came between two looks, but not
            // between all. What is dropped while nothing is taken had no room.
            let drops = track.drops?;
            let full = is_full_at(socket, run.last)
                && (is_full_at(socket, run.first) || drops.count() > 0);
            (full && drops.are_all_in(&run)).then_some(Still {
                bytes: run.last,
                lasting,
                grew: run.grew(),
                full: true,
                dropped: Some(drops.count()),
            })
        }
        _ => None,
    }
}

/// Programs that read datagrams more slowly than they arrive. `known` are sockets that are not
/// read at all.
fn slow(scene: &Scene<'_>, known: &HashSet<*const Socket>) -> Vec<Finding> {
    let rows = scene.listing.rows();
    let slow = rows
        .iter()
        .filter(|row| !known.contains(&std::ptr::from_ref(row.socket)))
        .filter_map(|row| Some((row, drops(scene, row)?)));
    grouped(slow, |_, drops| drops.count().into())
        .into_iter()
        .map(|(holders, members)| {
            let (worst, drops) = members[0];
            let full = |(row, drops): &(Row<'_>, Drops)| is_full_at(row.socket, drops.fullest);
            Finding {
                severity: if members.iter().any(full) {
                    Severity::Critical
                } else {
                    Severity::Warning
                },
                holders,
                evidence: Evidence::SlowReading {
                    sockets: count(&members),
                    worst: plain(worst.socket).into(),
                    dropped: members
                        .iter()
                        .map(|(_, drops)| u64::from(drops.count()))
                        .sum(),
                    lasting: scene.watch.counted(&drops),
                    fullest: drops.fullest,
                    limit: receive_limit(worst.socket),
                },
            }
        })
        .collect()
}

/// What a socket has dropped that is read too slowly.
fn drops(scene: &Scene<'_>, row: Row<'_>) -> Option<Drops> {
    let socket = row.socket;
    socket.inode?;
    if !matches!(socket.protocol, Protocol::Udp | Protocol::UdpLite) {
        return None;
    }
    let drops = scene.watch.track(socket)?.drops?;
    let memory = socket.detail.as_ref()?.memory?;
    // A filter is one of the options that are counted there (net/core/filter.c
    // `__sk_filter_charge`).
    let may_filter = memory.options != Some(0);
    let waited = if may_filter {
        is_full_at(socket, drops.fullest)
    } else {
        drops.fullest > 0
    };
    (drops.count() > 0 && waited).then_some(drops)
}

fn receive_limit(socket: &Socket) -> Option<u32> {
    socket.detail.as_ref()?.memory?.receive_limit
}

/// Whether so much fills the receive buffer of a datagram socket.
fn is_full_at(socket: &Socket, used: u32) -> bool {
    receive_limit(socket).is_some_and(|limit| percent(used, limit) >= FULL_BUFFER_PERCENT)
}

/// Whether the peer may send no more.
fn is_full(socket: &Socket) -> bool {
    let detail = socket.detail.as_ref();
    let tcp = detail.and_then(|detail| detail.tcp.as_ref());
    if let Some(window) = tcp.and_then(|tcp| tcp.receive_window) {
        return window < SMALLEST_SEGMENT;
    }
    let memory = detail.and_then(|detail| detail.memory);
    let buffer = memory.and_then(|memory| memory.receive_used.zip(memory.receive_limit));
    buffer.is_some_and(|(used, limit)| percent(used, limit) >= FULL_BUFFER_PERCENT)
}

fn percent(part: u32, whole: u32) -> u64 {
    u64::from(part) * 100 / u64::from(whole).max(1)
}

/// A peer that answers and whose window stays closed. One that does not answer is
/// [`super::silence`]'s.
fn peer_not_reading(scene: &Scene<'_>, row: Row<'_>) -> Option<Still> {
    let socket = row.socket;
    socket.inode?;
    if socket.protocol != Protocol::Tcp
        || !matches!(
            socket.state,
            State::Established | State::CloseWait | State::FinWait1
        )
    {
        return None;
    }
    let run: Run = scene.watch.track(socket)?.unsent?;
    let lasting = scene.watch.length(&run);
    let detail = socket.detail.as_ref()?;
    let window = detail.tcp.as_ref().and_then(|tcp| tcp.send_window);
    // The persist timer runs while something waits that the window does not allow
    // (net/ipv4/tcp_output.c `tcp_check_probe_timer`).
    let probes = detail.timer.is_some_and(|it| it.kind == TimerKind::Persist);
    if lasting.is_zero() || !(probes || window == Some(0)) || super::silence::is_silent(socket) {
        return None;
    }
    Some(Still {
        bytes: run.last,
        lasting,
        grew: run.grew(),
        full: true,
        dropped: None,
    })
}
