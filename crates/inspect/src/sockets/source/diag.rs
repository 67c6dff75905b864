//! Carries requests and answers of sock_diag over a netlink socket. Needs no rights: every user
//! may ask.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::super::diag::{
    Asked, Dump, Ended, Pass, Pending, Progress, Scope, passes, pending_request, request,
};
use super::super::{Address, Query, Snapshot, Socket, Table};
use crate::model::{Gap, NetworkNamespace, Origin};
use crate::stop::{Stop, wait_for};

/// The kernel writes up to 32 KiB at once, and the more the larger the buffer it is read into
/// (net/netlink/af_netlink.c `netlink_recvmsg`); some room more, so that nothing is cut.
const BUFFER: usize = 1 << 16;

/// The kernel answers a dump while it is read, without waiting for anything. What takes longer
/// does not come any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// The protocol of the channel itself (include/uapi/linux/netlink.h).
const NETLINK_SOCK_DIAG: u8 = 4;

/// A table that changes under the dump is dumped so often before what came last is taken.
const ATTEMPTS: u32 = 4;

/// The name that `begin` records and `--source` understands.
pub(super) const NAME: &str = "diag";

/// A channel to the kernel, for the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
    port_id: u32,
    buffer: Vec<u8>,
    sequence: u32,
}

/// Why a table was not dumped.
#[derive(Debug)]
pub(super) enum Refused {
    /// The kernel said so, with this errno.
    Errno(i32),
    /// It could not be asked, and why.
    Unreachable(String),
    /// sock_diag has no such table.
    NoTable,
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        Self::from(io::Error::from(error))
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// How a dump went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    Well,
    /// The table changed meanwhile.
    Unsteady,
    /// The stop signal was raised.
    Stopped,
}

impl Channel {
    pub(super) fn open() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::SOCK_DIAG),
        )?;
        // Connected to the kernel, it takes nothing from anyone else (netlink(7)).
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
        let own = SocketAddrNetlink::try_from(rustix::net::getsockname(&socket)?)?;
        Ok(Self {
            socket,
            port_id: own.pid(),
            buffer: vec![0; BUFFER],
            sequence: 0,
        })
    }

    /// Takes this channel itself out of what was found: it lives no longer than the look, and two
    /// looks would find a change where there is none.
    pub(super) fn leave_out(&self, sockets: &mut Vec<Socket>) {
        let own = Address::Netlink {
            protocol: NETLINK_SOCK_DIAG,
            port_id: self.port_id,
        };
        sockets.retain(|socket| socket.address != own);
    }

    /// Dumps tables into the snapshot. When it is refused, the snapshot is as it was.
    pub(super) fn dump(
        &mut self,
        scope: Scope,
        query: &Query,
        netns: Option<NetworkNamespace>,
        stop: &Stop,
        snapshot: &mut Snapshot,
    ) -> Result<(), Refused> {
        let asked = Asked {
            scope,
            details: query.details,
            netns,
        };
        let passes = passes(scope, &query.selection);
        let before = snapshot.sockets.len();
        let mut attempt = 1;
        let (dump, went) = loop {
            let mut dump = Dump::new(asked);
            let went = self.attempt(&mut dump, &passes, query, stop, &mut snapshot.sockets);
            match went {
                Ok(Went::Unsteady) if attempt < ATTEMPTS => snapshot.sockets.truncate(before),
                Ok(went) => break (dump, went),
                Err(refused) => {
                    snapshot.sockets.truncate(before);
                    return Err(refused);
                }
            }
            attempt += 1;
        };
        let word = scope.table().word();
        let cut = match went {
            Went::Well => None,
            Went::Unsteady => Some(format!(
                "the table of {word} sockets changed while it was read, {ATTEMPTS} times"
            )),
            Went::Stopped => Some(format!(
                "the table of {word} sockets was left early: stopped"
            )),
        };
        if let Some(reason) = cut {
            snapshot.cut(scope.tables(), reason);
        }
        if let Some(lost) = dump.lost() {
            let messages = if lost.count == 1 {
                "message"
            } else {
                "messages"
            };
            let reason = format!(
                "{messages} of sock_diag about {word} sockets that did not parse; the first: {}",
                lost.first
            );
            let gap = Gap::counted(Origin::Sockets, reason, lost.count);
            snapshot.gaps.push(gap);
            if lost.cut {
                snapshot.cut.extend(scope.tables());
            }
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        dump: &mut Dump,
        passes: &[Pass],
        query: &Query,
        stop: &Stop,
        sockets: &mut Vec<Socket>,
    ) -> Result<Went, Refused> {
        let scope = dump.scope();
        for pass in passes {
            let sequence = self.next_sequence();
            let request = request(scope, pass, &query.details, sequence).ok_or(Refused::NoTable)?;
            self.send(&request)?;
            let went = self.receive(stop, |bytes| dump.take(bytes, sequence, sockets))?;
            if went != Went::Well {
                return Ok(went);
            }
        }
        if scope == Scope::Table(Table::Unix) && dump.pending() == Pending(true) {
            let sequence = self.next_sequence();
            self.send(&pending_request(sequence))?;
            return self.receive(stop, |bytes| dump.take_pending(bytes, sequence, sockets));
        }
        Ok(Went::Well)
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&self, request: &[u8]) -> Result<(), Refused> {
        rustix::net::send(&self.socket, request, SendFlags::empty())?;
        Ok(())
    }

    /// Receives datagrams until the dump has ended.
    fn receive(
        &mut self,
        stop: &Stop,
        mut take: impl FnMut(&[u8]) -> Progress,
    ) -> Result<Went, Refused> {
        loop {
            if stop.is_raised() {
                return Ok(Went::Stopped);
            }
            let received = rustix::net::recv(&self.socket, &mut self.buffer, RecvFlags::empty());
            let length = match received {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    self.wait(stop)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let datagram = self.buffer.get(..length).unwrap_or_default();
            match take(datagram) {
                Progress::More => {}
                Progress::Ended(Ended::Complete) => return Ok(Went::Well),
                Progress::Ended(Ended::Interrupted) => return Ok(Went::Unsteady),
                Progress::Ended(Ended::Refused(errno)) => return Err(Refused::Errno(errno)),
            }
        }
    }

    fn wait(&self, stop: &Stop) -> Result<(), Refused> {
        let mut polled = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        if wait_for(&mut polled, Some(PATIENCE))? == 0 {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        Ok(())
    }
}
