//! Connections that nobody accepts.
//!
//! A burst may fill a queue for a moment. It is a finding when the queue is full now and was
//! nearly full at the look before: then connections are turned away all the time, whether the
//! server accepts too slowly or not at all. A queue that is nearly full is one only when the
//! connection that waits longest has waited through all looks.

use std::time::Duration;

use super::{Evidence, Finding, Holders, Scene, Severity, plain};
use crate::listing::Row;
use crate::model::{OwnerStatus, State};

/// A queue of fewer places is nearly full as soon as anybody waits.
const SHORTEST_NEARLY_FULL: u32 = 10;

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let rows = scene.listing.rows();
    let listeners = rows.iter().filter(|row| row.socket.state == State::Listen);
    listeners.filter_map(|row| judge(scene, row)).collect()
}

fn judge(scene: &Scene<'_>, row: Row<'_>) -> Option<Finding> {
    let socket = row.socket;
    let lasting = scene.watch.pressed(socket)?;
    if lasting.is_zero() {
        return None;
    }
    let (waiting, limit) = (socket.recv_queue?, socket.send_queue?);
    // The kernel refuses when the queue is longer than its limit (include/net/sock.h
    // `sk_acceptq_is_full`, net/unix/af_unix.c `unix_recvq_full`), so a full one holds one more.
    let full = waiting > limit;
    let waited = longest_wait(scene, row);
    let span = scene.watch.span();
    let stuck = waited.map(|waited| waited == span);
    let nearly = stuck == Some(true) && lasting == span && limit >= SHORTEST_NEARLY_FULL;
    if !full && !nearly {
        return None;
    }
    Some(Finding {
        severity: if full {
            Severity::Critical
        } else {
            Severity::Warning
        },
        holders: Holders::of(&row),
        evidence: Evidence::AcceptQueue {
            listener: plain(socket).into(),
            waiting,
            limit,
            lasting,
            waited: waited.unwrap_or_default(),
            stuck,
        },
    })
}

/// For how long the connection that waits longest has been seen waiting. `None` where that is not
/// told: a unix socket's waiting peers do not say whom they wait for.
fn longest_wait(scene: &Scene<'_>, listener: Row<'_>) -> Option<Duration> {
    let here = listener.socket.endpoints()?.0.on_the_wire();
    let longest = scene
        .listing
        .rows()
        .iter()
        .filter(|row| {
            // SYN_RECV is not in the accept queue yet.
            row.owner_status == OwnerStatus::Pending
                && row.socket.state != State::SynRecv
                && row.socket.netns == listener.socket.netns
        })
        .filter(|row| {
            row.socket.endpoints().is_some_and(|(local, _)| {
                let local = local.on_the_wire();
                local.port == here.port
                    && (here.address.is_unspecified() || local.address == here.address)
            })
        })
        .map(|row| scene.watch.in_state(row.socket))
        .max();
    Some(longest.unwrap_or_default())
}
