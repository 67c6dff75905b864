//! What is remembered from one look to the next: how long nothing has moved.
//!
//! A queue that is not empty says little: every busy server has some. What is wrong stays. So
//! each look is folded into what is known of the sockets with something waiting, and what moves
//! begins anew. Only they are remembered, not the looks.

use std::collections::HashMap;
use std::time::Duration;

use crate::listing::{Listing, Row};
use crate::model::{
    Cookie, Endpoint, Inode, NetworkNamespace, OwnerStatus, Protocol, State, UnixAddress,
};
use crate::sockets::{Address, Socket};

/// What the looks so far have shown.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    looks: u32,
    /// The time of the first look and of the last, on one clock.
    first: Duration,
    last: Duration,
    tracks: HashMap<Key, Track>,
}

/// A socket, from one look to the next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// Never used twice.
    Cookie(Cookie),
    /// Where there are no cookies.
    Ends(
        Protocol,
        Option<NetworkNamespace>,
        Endpoint,
        Endpoint,
        Option<Inode>,
    ),
    /// A unix socket that listens: its name tells it apart from another with its inode.
    Named(Option<NetworkNamespace>, UnixAddress, Option<Inode>),
}

impl Key {
    fn of(socket: &Socket) -> Option<Self> {
        if let Some(cookie) = socket.cookie {
            return Some(Self::Cookie(cookie));
        }
        match &socket.address {
            Address::Inet { local, remote } => Some(Self::Ends(
                socket.protocol,
                socket.netns,
                *local,
                *remote,
                socket.inode,
            )),
            Address::Unix { name, .. } => {
                Some(Self::Named(socket.netns, name.clone(), socket.inode))
            }
            _ => None,
        }
    }
}

/// What is known of one socket. The times are those of looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Track {
    state: State,
    /// Since when it has been seen in this state, in every look.
    since: Duration,
    /// Nothing has been read.
    pub(super) unread: Option<Run>,
    /// Nothing has been acknowledged.
    pub(super) unsent: Option<Run>,
    /// How much has been sent and how much of that acknowledged, where that is told.
    sent: (Option<u64>, Option<u64>),
    /// Since when nothing has been sent, and nothing has waited to be.
    quiet: Duration,
    /// A listener: since when its accept queue has been full, or nearly.
    pressed: Option<Duration>,
    /// Datagrams dropped, and what waited meanwhile.
    pub(super) drops: Option<Drops>,
}

/// What a datagram socket has dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drops {
    since: Duration,
    /// At the first look.
    first: u32,
    now: u32,
    /// The most that was seen waiting at any look.
    pub(super) fullest: u32,
}

impl Drops {
    /// Whether nothing was taken out in all the looks that they were counted in.
    pub(super) fn are_all_in(&self, run: &Run) -> bool {
        run.since == self.since
    }

    /// How many were dropped between the looks.
    pub(super) fn count(&self) -> u32 {
        self.now.wrapping_sub(self.first)
    }

    fn next(before: Option<Self>, socket: &Socket, at: Duration) -> Option<Self> {
        let now = socket.detail.as_ref()?.memory?.drops?;
        let waits = socket.recv_queue.unwrap_or(0);
        Some(match before {
            Some(before) => Self {
                now,
                fullest: before.fullest.max(waits),
                ..before
            },
            None => Self {
                since: at,
                first: now,
                now,
                fullest: waits,
            },
        })
    }
}

/// Looks in a row during which a queue was not emptied by a single byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    since: Duration,
    /// What was in the queue at the first of them.
    pub(super) first: u32,
    /// What is in it now.
    pub(super) last: u32,
    /// How much had left it when the run began; of datagrams, a part of that. `None` where that is not told: then the queue
    /// only did not shrink.
    pub(super) moved: Option<u64>,
}

impl Run {
    pub(super) fn grew(&self) -> bool {
        self.last > self.first
    }
}

/// From this share of its limit on, an accept queue is nearly full.
pub(super) const NEARLY_FULL_PERCENT: u64 = 90;

impl Watch {
    /// Takes a look in. `at` is its time on any clock that does not jump.
    pub fn see(&mut self, listing: &Listing, at: Duration) {
        if self.looks == 0 {
            self.first = at;
        }
        self.looks += 1;
        self.last = at;
        let mut before = std::mem::take(&mut self.tracks);
        for row in listing.rows().iter().filter(is_watched) {
            if let Some(key) = Key::of(row.socket) {
                let track = Track::next(before.remove(&key), row.socket, at);
                self.tracks.insert(key, track);
            }
        }
    }

    /// How many looks there were.
    pub fn looks(&self) -> u32 {
        self.looks
    }

    /// The time from the first look to the last.
    pub fn span(&self) -> Duration {
        self.last.saturating_sub(self.first)
    }

    pub(super) fn track(&self, socket: &Socket) -> Option<&Track> {
        self.tracks.get(&Key::of(socket)?)
    }

    /// For how long it has been in its state; zero for a socket of the last look only.
    pub(super) fn in_state(&self, socket: &Socket) -> Duration {
        self.track(socket)
            .map_or(Duration::ZERO, |track| self.last - track.since)
    }

    /// Whether it has been in its state for some time, and nothing was sent or waited to be in all
    /// of it. Where what was sent is not told, only what waits counts.
    pub(super) fn is_quiet(&self, socket: &Socket) -> bool {
        self.track(socket)
            .is_some_and(|track| track.quiet == track.since && track.since < self.last)
    }

    /// For how long its drops have been counted.
    pub(super) fn counted(&self, drops: &Drops) -> Duration {
        self.last.saturating_sub(drops.since)
    }

    /// For how long nothing moved.
    pub(super) fn length(&self, run: &Run) -> Duration {
        self.last.saturating_sub(run.since)
    }

    /// For how long its accept queue has been full, or nearly.
    pub(super) fn pressed(&self, listener: &Socket) -> Option<Duration> {
        let since = self.track(listener)?.pressed?;
        Some(self.last.saturating_sub(since))
    }
}

/// Whether anything about the socket may be wrong.
fn is_watched(row: &Row<'_>) -> bool {
    let socket = row.socket;
    let waits = socket.recv_queue.is_some_and(|length| length > 0)
        || socket.send_queue.is_some_and(|length| length > 0);
    match socket.protocol {
        Protocol::Tcp | Protocol::Mptcp => {
            waits
                || matches!(socket.state, State::CloseWait | State::SynSent)
                || row.owner_status == OwnerStatus::Pending
        }
        // One that is empty now may have dropped much since the look before.
        Protocol::Udp | Protocol::UdpLite => {
            let memory = socket.detail.as_ref().and_then(|detail| detail.memory);
            waits || memory.is_some_and(|memory| memory.drops.is_some())
        }
        _ => socket.state == State::Listen && waits,
    }
}

impl Track {
    fn next(before: Option<Self>, socket: &Socket, at: Duration) -> Self {
        // A datagram socket is the same whether it has a peer or not.
        let drops = Drops::next(before.and_then(|track| track.drops), socket, at);
        let before = before.filter(|track| track.state == socket.state);
        let tcp = socket
            .detail
            .as_ref()
            .and_then(|detail| detail.tcp.as_ref());
        let listens = socket.state == State::Listen;
        let queue = |length: Option<u32>| length.filter(|length| *length > 0 && !listens);
        let read = match tcp {
            Some(tcp) => tcp.bytes_received.and_then(|received| {
                // Both count the end of the stream as a byte.
                Some(received.wrapping_sub(u64::from(socket.recv_queue?)))
            }),
            None => given_back_late(socket),
        };
        let sent = tcp.map_or((None, None), |tcp| (tcp.bytes_sent, tcp.bytes_acknowledged));
        let waits = sent != (None, None) && socket.send_queue.is_some_and(|length| length > 0);
        Self {
            state: socket.state,
            since: before.map_or(at, |track| track.since),
            sent,
            quiet: before
                .filter(|track| track.sent == sent && !waits)
                .map_or(at, |track| track.quiet),
            unread: queue(socket.recv_queue)
                .map(|length| Run::next(before.and_then(|it| it.unread), length, read, at)),
            unsent: queue(socket.send_queue).map(|length| {
                let acknowledged = tcp.and_then(|tcp| tcp.bytes_acknowledged);
                Run::next(before.and_then(|it| it.unsent), length, acknowledged, at)
            }),
            pressed: is_pressed(socket)
                .then(|| before.and_then(|track| track.pressed).unwrap_or(at)),
            drops,
        }
    }
}

/// What a datagram socket has read and not given back to its buffer yet. The kernel does that for
/// a quarter of the buffer at once (net/ipv4/udp.c `udp_rmem_release`) and leaves it out of the
/// queue that it tells. Nobody counts what is read, but nothing is while this stands still.
fn given_back_late(socket: &Socket) -> Option<u64> {
    let used = socket.detail.as_ref()?.memory?.receive_used?;
    Some(used.saturating_sub(socket.recv_queue?).into())
}

impl Run {
    fn next(before: Option<Self>, length: u32, moved: Option<u64>, at: Duration) -> Self {
        match before {
            Some(before) if before.moved == moved && length >= before.last => Self {
                last: length,
                ..before
            },
            _ => Self {
                since: at,
                first: length,
                last: length,
                moved,
            },
        }
    }
}

fn is_pressed(socket: &Socket) -> bool {
    let (Some(waiting), Some(limit)) = (socket.recv_queue, socket.send_queue) else {
        return false;
    };
    socket.state == State::Listen
        && waiting > 0
        && u64::from(waiting) * 100 >= u64::from(limit) * NEARLY_FULL_PERCENT
}
