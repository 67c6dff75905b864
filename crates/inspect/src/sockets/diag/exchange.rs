//! Requests and answers over a wire, until a table is in the snapshot or refused.

use std::fmt;
use std::io;

use super::super::{Query, Snapshot, Socket, Table};
use super::dump::{Dump, Ended, Progress};
use super::filter::{Pass, passes};
use super::request::{pending_request, request};
use super::share::Share;
use super::{Asked, Scope};
use crate::model::{Gap, NetworkNamespace, Origin};

/// Carries datagrams to the kernel and back.
pub(in super::super) trait Wire {
    /// Sends a request.
    fn send(&mut self, request: &[u8]) -> io::Result<()>;

    /// The next datagram of the answer; `None` when the look is to end early.
    fn receive(&mut self) -> io::Result<Option<&[u8]>>;
}

/// Why a table was not dumped.
#[derive(Debug)]
pub(in super::super) enum Refused {
    /// The kernel said so, with this errno.
    Errno(i32),
    /// It could not be asked.
    Unreachable(io::Error),
    /// sock_diag has no such table.
    NoTable,
}

/// `ENOENT`: the kernel has nobody who answers for such a table.
const NO_ENTRY: i32 = 2;

impl Refused {
    /// Whether the kernel, or sock_diag altogether, does not know the table.
    pub(in super::super) fn is_for_want_of_a_table(&self) -> bool {
        matches!(self, Self::NoTable | Self::Errno(NO_ENTRY))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable => f.write_str("sock_diag has no such table"),
            Self::Errno(NO_ENTRY) => f.write_str("this kernel's sock_diag has no such table"),
            Self::Errno(errno) => {
                let error = io::Error::from_raw_os_error(*errno);
                write!(f, "sock_diag refused: {error}")
            }
            Self::Unreachable(error) => write!(f, "sock_diag cannot be asked: {error}"),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error)
    }
}

/// How a dump went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    Well,
    /// The table changed meanwhile.
    Unsteady,
    Stopped,
}

/// A table that changes under the dump is dumped so often before what came last is taken.
const ATTEMPTS: u32 = 4;

/// One dump after the other over one wire.
#[derive(Debug)]
pub(in super::super) struct Exchange<W> {
    wire: W,
    sequence: u32,
}

impl<W: Wire> Exchange<W> {
    pub(in super::super) fn new(wire: W) -> Self {
        Self { wire, sequence: 0 }
    }

    pub(in super::super) fn wire(&self) -> &W {
        &self.wire
    }

    /// Dumps tables into the snapshot. When that is refused, the snapshot is as it was.
    pub(in super::super) fn dump(
        &mut self,
        (scope, share): (Scope, Share),
        query: &Query,
        netns: Option<NetworkNamespace>,
        snapshot: &mut Snapshot,
    ) -> Result<(), Refused> {
        let autobound = query.details.extended;
        let passes = share.of(passes(scope, &query.selection, autobound));
        let asked = Asked {
            scope,
            details: query.details,
            netns,
            autobound: None,
        };
        let before = snapshot.sockets.len();
        let mut attempt = 1;
        let (dump, went) = loop {
            let mut dump = Dump::new(asked);
            match self.attempt(&mut dump, &passes, query, &mut snapshot.sockets) {
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
        // A message about a listener has the inodes of all that wait for it. One that is too long
        // for what the kernel puts together at once ends the dump without a word
        // (net/unix/diag.c `sk_diag_dump_icons`), and no later listener is told of.
        if went == Went::Well
            && let untold @ 1.. = dump.untold_pending()
        {
            let reason = "unix sockets that wait for accept(): the kernel does not list so many";
            snapshot
                .gaps
                .push(Gap::counted(Origin::Sockets, reason, untold));
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
        sockets: &mut Vec<Socket>,
    ) -> Result<Went, Refused> {
        let scope = dump.scope();
        for pass in passes {
            dump.begin(pass.autobound);
            let sequence = self.next_sequence();
            let request = request(scope, pass, &query.details, sequence).ok_or(Refused::NoTable)?;
            self.wire.send(&request)?;
            let went = self.receive(|bytes| dump.take(bytes, sequence, sockets))?;
            if went != Went::Well {
                return Ok(went);
            }
        }
        if scope == Scope::Table(Table::Unix) && dump.has_pending() {
            let sequence = self.next_sequence();
            self.wire.send(&pending_request(sequence))?;
            return self.receive(|bytes| dump.take_pending(bytes, sequence, sockets));
        }
        Ok(Went::Well)
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn receive(&mut self, mut take: impl FnMut(&[u8]) -> Progress) -> Result<Went, Refused> {
        while let Some(datagram) = self.wire.receive()? {
            match take(datagram) {
                Progress::More => {}
                Progress::Ended(Ended::Complete) => return Ok(Went::Well),
                Progress::Ended(Ended::Interrupted) => return Ok(Went::Unsteady),
                Progress::Ended(Ended::Refused(errno)) => return Err(Refused::Errno(errno)),
            }
        }
        Ok(Went::Stopped)
    }
}
