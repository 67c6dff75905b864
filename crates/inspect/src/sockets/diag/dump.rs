//! The answers to the requests for one table -> its sockets, each once, and what went wrong.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::super::{Address, Socket, Table};
use super::message::{BadMessage, Messages, Said};
use super::{Asked, Scope, decode, unix};
use crate::model::{Cookie, Inode, Protocol, State};

/// Whether a dump goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More datagrams follow.
    More,
    /// It is over.
    Ended(Ended),
}

/// How a dump ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With everything.
    Complete,
    /// The table changed in a way that the dump may contradict itself, or messages were lost.
    Interrupted,
    /// With this errno.
    Refused(i32),
}

/// The sockets of one table while they arrive. One dump lists a table, or several do, each of
/// some states.
#[derive(Debug)]
pub(super) struct Dump {
    asked: Asked,
    seen: Seen,
    interrupted: bool,
    /// Messages that were kept out, and why the first was.
    bad: u64,
    first_bad: Option<BadMessage>,
    /// A datagram was cut short.
    cut: bool,
    /// Unix listeners that clients wait for, and how many do: those of which the dump of clients
    /// has not told yet.
    pending: BTreeMap<Inode, u32>,
}

/// Messages that were kept out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// How many.
    pub(super) count: u64,
    /// Why the first was.
    pub(super) first: String,
    /// Whether more may be missing than was counted.
    pub(super) cut: bool,
}

impl Dump {
    pub(super) fn new(asked: Asked) -> Self {
        Self {
            asked,
            seen: Seen::default(),
            interrupted: false,
            bad: 0,
            first_bad: None,
            cut: false,
            pending: BTreeMap::new(),
        }
    }

    /// What follows is the answer to a request for sockets whose port was chosen so.
    pub(super) fn begin(&mut self, autobound: Option<bool>) {
        self.asked.autobound = autobound;
    }

    /// What it lists.
    pub(super) fn scope(&self) -> Scope {
        self.asked.scope
    }

    /// Takes one datagram of the answer to the request with this sequence number; its sockets
    /// are added.
    pub(super) fn take(
        &mut self,
        datagram: &[u8],
        sequence: u32,
        sockets: &mut Vec<Socket>,
    ) -> Progress {
        self.take_each(datagram, sequence, |dump, message| {
            let socket = decode(message, &dump.asked)?;
            let is_listener = socket.state == State::Listen;
            if dump.asked.scope == Scope::Table(Table::Unix)
                && is_listener
                && let (Some(inode), Some(clients @ 1..)) = (socket.inode, socket.recv_queue)
            {
                dump.pending.insert(inode, clients);
            }
            dump.seen.add(socket, sockets);
            Ok(())
        })
    }

    /// Takes one datagram of the answer to [`super::pending_request`].
    pub(super) fn take_pending(
        &mut self,
        datagram: &[u8],
        sequence: u32,
        sockets: &mut Vec<Socket>,
    ) -> Progress {
        self.take_each(datagram, sequence, |dump, message| {
            let (listener, waiting) = unix::waiting(message, &dump.asked)?;
            if let Some(listener) = listener {
                dump.pending.remove(&listener);
            }
            sockets.extend(waiting);
            Ok(())
        })
    }

    fn take_each(
        &mut self,
        datagram: &[u8],
        sequence: u32,
        mut socket: impl FnMut(&mut Self, &[u8]) -> Result<(), BadMessage>,
    ) -> Progress {
        for message in Messages::new(datagram, sequence) {
            let message = match message {
                Ok(message) => message,
                Err(error) => {
                    self.cut = true;
                    self.count(error);
                    break;
                }
            };
            self.interrupted |= message.interrupted;
            match message.said {
                Said::Socket(bytes) => {
                    if let Err(error) = socket(self, bytes) {
                        self.count(error);
                    }
                }
                Said::Done(None) if self.interrupted => {
                    self.interrupted = false;
                    return Progress::Ended(Ended::Interrupted);
                }
                Said::Done(None) => return Progress::Ended(Ended::Complete),
                Said::Done(Some(errno)) | Said::Refused(errno) => {
                    return Progress::Ended(Ended::Refused(errno));
                }
                Said::Overrun => self.interrupted = true,
                Said::Nothing => {}
                Said::Unknown(kind) => self.count(BadMessage::Kind(kind)),
            }
        }
        Progress::More
    }

    fn count(&mut self, error: BadMessage) {
        self.bad += 1;
        self.first_bad.get_or_insert(error);
    }

    /// Whether a unix listener has clients that wait for it.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// How many clients wait for unix listeners of which the dump of clients did not tell.
    pub(super) fn untold_pending(&self) -> u64 {
        self.pending.values().copied().map(u64::from).sum()
    }

    /// The messages that were kept out, where there are any.
    pub(super) fn lost(&self) -> Option<Lost> {
        Some(Lost {
            count: self.bad,
            first: self.first_bad.as_ref()?.to_string(),
            cut: self.cut,
        })
    }
}

/// The sockets of one table so far, to tell one that is listed twice.
///
/// The kernel fills a buffer, lets go of its locks, and goes on at the same place of a hash
/// bucket by counting: what was put in front meanwhile moves what it has listed behind that
/// place. A socket that changes its state may also move to a part of the table that is listed
/// later, and a netlink socket in a multicast group is in two lists at any time
/// (net/netlink/diag.c). Either way it has its cookie still: 8 bytes a socket tell it.
///
/// What is taken out in front of the place moves another before it, and that is passed over. It
/// shows in nothing here; the source dumps again where sockets went meanwhile.
#[derive(Debug, Default)]
struct Seen {
    cookies: HashTable<u64>,
    lately: Lately,
}

impl Seen {
    /// Adds a socket, unless it is listed already.
    fn add(&mut self, socket: Socket, sockets: &mut Vec<Socket>) {
        if let Some(Cookie(cookie)) = socket.cookie {
            let same = |other: &u64| *other == cookie;
            match self
                .cookies
                .entry(spread(cookie), same, |other| spread(*other))
            {
                Entry::Occupied(_) => return,
                Entry::Vacant(free) => free.insert(cookie),
            };
        }
        if self.lately.is_new(&socket, sockets) {
            sockets.push(socket);
        }
    }
}

/// Cookies are counted up (include/linux/cookie.h): multiplied by an odd number, each bit of one
/// moves those above it. Nobody outside the kernel chooses them, so no secret is needed.
fn spread(cookie: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    cookie.wrapping_mul(ODD).rotate_left(32)
}

/// The ports of the connections that were listed last.
///
/// A half-open connection and the socket that comes of it are two objects, as are a connection
/// and its TIME_WAIT. The second has the first one's cookie (net/ipv4/inet_timewait_sock.c
/// `inet_twsk_alloc`), but where nobody had asked for that before: then each has its own. But one
/// takes the place of the other in the same hash bucket: if both are listed, they stand close to
/// each other.
#[derive(Debug, Default)]
struct Lately {
    ports: [u32; LATELY],
    next: usize,
}

/// As many as the kernel takes out of a bucket at once (net/ipv4/tcp_diag.c `SKARR_SZ`).
const LATELY: usize = 16;

impl Lately {
    fn is_new(&mut self, socket: &Socket, sockets: &[Socket]) -> bool {
        let Address::Inet { local, remote } = socket.address else {
            return true;
        };
        if socket.protocol != Protocol::Tcp || remote.is_unspecified() {
            return true;
        }
        let ports = u32::from(local.port) << 16 | u32::from(remote.port);
        if self.ports.contains(&ports) {
            let same = |other: &Socket| {
                (&other.address, other.interface) == (&socket.address, socket.interface)
            };
            if sockets.iter().rev().take(LATELY).any(same) {
                return false;
            }
        }
        if let Some(place) = self.ports.get_mut(self.next) {
            *place = ports;
        }
        self.next = (self.next + 1) % LATELY;
        true
    }
}
