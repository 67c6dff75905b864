//! Connections that nobody accepts.
//!
//! A burst may fill a queue for a moment. It is a finding when the queue is full now and was
//! nearly full at the look before: then connections are turned away all the time, whether the
//! server accepts too slowly or not at all. A queue that is nearly full is one only when the
//! connection that waits longest has waited through all looks.
//!
//! Which listener a connection waits for is told by its address and port only. Where several share
//! them (SO_REUSEPORT) it may be any of these, so none of them is said not to accept.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{Evidence, Finding, Holders, Mptcp, Scene, Severity, plain};
use crate::listing::Row;
use crate::model::{Endpoint, NetworkNamespace, OwnerStatus, State};
use crate::sockets::Socket;

/// A queue of fewer places is nearly full as soon as anybody waits.
const SHORTEST_NEARLY_FULL: u32 = 10;

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let mptcp = Mptcp::of(scene.listing);
    let rows = scene.listing.rows();
    let listeners: Vec<Row<'_>> = rows
        .iter()
        .filter(|row| row.socket.state == State::Listen && !mptcp.is_above(row.socket))
        .collect();
    let waits = Waits::of(scene, &listeners);
    let found = listeners.into_iter();
    found.filter_map(|row| judge(scene, &waits, row)).collect()
}

fn judge(scene: &Scene<'_>, waits: &Waits, row: Row<'_>) -> Option<Finding> {
    let socket = row.socket;
    let lasting = scene.watch.pressed(socket)?;
    if lasting.is_zero() {
        return None;
    }
    let (waiting, limit) = (socket.recv_queue?, socket.send_queue?);
    // The kernel refuses when the queue is longer than its limit (include/net/sock.h
    // `sk_acceptq_is_full`, net/unix/af_unix.c `unix_recvq_full`), so a full one holds one more.
    let full = waiting > limit;
    let wait = waits.at(socket);
    let span = scene.watch.span();
    let stuck = wait.and_then(|wait| wait.is_stuck(span));
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
            waited: wait.map_or(Duration::ZERO, |wait| wait.longest),
            stuck,
        },
    })
}

/// Where connections wait.
type Place = (Option<NetworkNamespace>, Endpoint);

/// For how long connections have been seen waiting at each place. Not told of unix sockets: waiting
/// peers do not say whom they wait for.
struct Waits(HashMap<Place, Wait>);

#[derive(Clone, Copy, Default)]
struct Wait {
    /// How many listeners there are.
    listeners: usize,
    /// For how long the connection that waits longest has been seen waiting.
    longest: Duration,
}

impl Waits {
    fn of(scene: &Scene<'_>, listeners: &[Row<'_>]) -> Self {
        let mut waits: HashMap<Place, Wait> = HashMap::new();
        for row in listeners {
            if let Some(place) = place(row.socket) {
                waits.entry(place).or_default().listeners += 1;
            }
        }
        for row in scene.listing.rows().iter() {
            // SYN_RECV is not in the accept queue yet.
            if row.owner_status != OwnerStatus::Pending || row.socket.state == State::SynRecv {
                continue;
            }
            let Some((netns, local)) = place(row.socket) else {
                continue;
            };
            // The kernel prefers the listener that is bound most closely
            // (net/ipv4/inet_hashtables.c `compute_score`).
            let any_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let any_v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            let addresses = if local.address.is_ipv4() {
                [local.address, any_v4, any_v6]
            } else {
                [local.address, any_v6, any_v6]
            };
            let places = addresses.map(|address| (netns, Endpoint::new(address, local.port)));
            let listens = places.into_iter().find(|place| waits.contains_key(place));
            if let Some(wait) = listens.and_then(|place| waits.get_mut(&place)) {
                wait.longest = wait.longest.max(scene.watch.in_state(row.socket));
            }
        }
        Self(waits)
    }

    fn at(&self, listener: &Socket) -> Option<Wait> {
        self.0.get(&place(listener)?).copied()
    }
}

impl Wait {
    /// Whether nobody was accepted in all of this time; `None` where that may be so of one of
    /// several listeners.
    fn is_stuck(self, span: Duration) -> Option<bool> {
        let waited = self.longest == span;
        (!waited || self.listeners == 1).then_some(waited)
    }
}

fn place(socket: &Socket) -> Option<Place> {
    Some((socket.netns, socket.endpoints()?.0.on_the_wire()))
}
