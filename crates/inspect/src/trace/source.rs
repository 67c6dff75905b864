//! The kernel tells, through a program of ours (`bpf`).

use std::io;
use std::path::Path;

use super::calls::CALLS;
use super::pairs::{Completed, Pairs};
use super::{Event, Request, Source, StateChange, decode};
use crate::bpf::{self, TraceRecord, TraceRequest, Traced, WantedCall};
use crate::clock::{self, Bracket};
use crate::model::{Gap, Origin};
use crate::namespaces::inode_of_link;

pub use crate::bpf::TRACE_RING as RING;

/// The wall clock is set, and slewed by half a millisecond a second at most: after so long it is
/// compared again, nanoseconds.
const COMPARE_EVERY: u64 = 20_000_000;

/// Calls of this machine.
#[derive(Debug)]
pub struct Kernel {
    traced: Traced,
    pairs: Pairs,
    bracket: Bracket,
    compared_ns: u64,
    unknown: u64,
}

impl Kernel {
    /// From now on.
    ///
    /// # Errors
    /// When the rights, the kernel, or a limit do not allow it.
    pub fn open(request: &Request) -> Result<Self, bpf::Error> {
        let link = std::fs::read_link(Path::new("/proc/self/ns/pid")).ok();
        let own = link.and_then(|link| inode_of_link(link.as_os_str()));
        let calls: Vec<WantedCall<'_>> = CALLS
            .iter()
            .filter(|call| request.choice.has(call))
            .map(|call| call.wanted())
            .collect();
        let traced = Traced::open(&TraceRequest {
            pid_namespace: own.unwrap_or(0),
            processes: request.processes.as_deref(),
            launcher: request.launcher,
            everybody: request.everybody,
            name: request.name.as_deref(),
            port: request.port,
            network: request.network,
            limit: request.limit,
            states: request.states,
            calls: &calls,
            room: request.room,
        })?;
        Ok(Self {
            traced,
            pairs: Pairs::default(),
            bracket: Bracket::take(),
            compared_ns: clock::monotonic_ns(),
            unknown: 0,
        })
    }
}

fn event(completed: Completed, bracket: &Bracket) -> Option<Event> {
    Some(match completed {
        Completed::Call(raw) => Event::Call(Box::new(decode::call(*raw, bracket)?)),
        Completed::State(socket, from, to, monotonic_ns) => Event::State(StateChange {
            time: bracket.wall(monotonic_ns),
            monotonic_ns,
            socket,
            from,
            to,
        }),
        Completed::Fork(process, parent) => Event::Fork(process, parent),
        Completed::Exec(process) => Event::Exec(process),
        Completed::Exit(process) => Event::Exit(process),
    })
}

impl Source for Kernel {
    fn drain(&mut self, tell: &mut dyn FnMut(Event)) -> io::Result<()> {
        let now = clock::monotonic_ns();
        if now.saturating_sub(self.compared_ns) > COMPARE_EVERY {
            self.bracket = Bracket::take();
            self.compared_ns = now;
        }
        let (bracket, pairs) = (self.bracket, &mut self.pairs);
        self.unknown += self.traced.drain(|record| match record {
            TraceRecord::Piece(piece) => pairs.piece(&piece),
            TraceRecord::Moment(moment) => pairs.moment(&moment, &mut |completed| {
                if let Some(event) = event(completed, &bracket) {
                    tell(event);
                }
            }),
        });
        Ok(())
    }

    fn finish(&mut self, tell: &mut dyn FnMut(Event)) {
        let bracket = self.bracket;
        self.pairs.finish(&mut |completed| {
            if let Some(event) = event(completed, &bracket) {
                tell(event);
            }
        });
    }

    fn gaps(&mut self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        match self.traced.lost() {
            Ok(0) => {}
            Ok(lost) => gaps.push(Gap::counted(
                Origin::Trace,
                "records of calls lost: the buffer for them was full (--buffer)",
                lost,
            )),
            Err(error) => gaps.push(Gap::uncounted(
                Origin::Trace,
                format!("records of calls, perhaps: {error}"),
            )),
        }
        let counted = [
            (self.unknown, "records of calls not understood"),
            (
                self.pairs.lost(),
                "calls forgotten before they ended: too many at once",
            ),
        ];
        for (count, reason) in counted {
            if count > 0 {
                gaps.push(Gap::counted(Origin::Trace, reason, count));
            }
        }
        gaps
    }
}
