//! What could not be seen of the processes, told to people and to programs.

use crate::app::Context;
use crate::app::look::Look;
use crate::app::sockets::told::{NotShown, hidden};
use crate::listing::{Rows, Undecided};
use crate::model::{Gap, Origin, OwnerStatus, Pid};
use crate::privilege::{self, Right};
use crate::render::process::{Portrait, Sight, process_words};

/// What could not be seen of the processes, and of those at the other ends.
pub(super) struct Hidden {
    processes: Vec<Pid>,
    /// Sockets whose other end is in hidden hands.
    peers: usize,
    pub(super) gaps: Vec<Gap>,
}

impl Hidden {
    pub(super) fn of(portraits: &[Portrait<'_>], rows: &Rows<'_>, look: &Look) -> Self {
        let processes: Vec<Pid> = portraits
            .iter()
            .filter(|portrait| portrait.sight != Sight::Whole)
            .map(|portrait| portrait.about.pid)
            .collect();
        let peers = rows
            .iter()
            .filter_map(|row| row.peer())
            .filter(|peer| peer.owner_status == OwnerStatus::Hidden)
            .count();
        let mut gaps = Vec::new();
        if let Ok(count @ 1..) = u64::try_from(processes.len()) {
            let reason = match count {
                1 => "process that was asked for could not be read: what it holds is hidden",
                _ => "processes that were asked for could not be read: what they hold is hidden",
            };
            gaps.push(Gap::counted(Origin::Owners, reason, count));
        }
        gaps.extend(hidden(rows, 0, look.listing.holdings()));
        Self {
            processes,
            peers,
            gaps,
        }
    }

    /// Tells it to a person, with the way to see it.
    pub(super) fn tell(&self, portraits: &[Portrait<'_>], recorded: bool, context: &Context) {
        if self.processes.is_empty() {
            let not_shown = NotShown {
                folded: 0,
                undecided: Undecided::default(),
                hidden: self.peers,
            };
            return not_shown.tell(recorded, context);
        }
        let charset = context.messages.charset;
        let what = match self.processes.as_slice() {
            [one] => {
                let about = portraits.iter().map(|portrait| portrait.about);
                let name = about.filter(|about| about.pid == *one);
                let mut name = name.map(|it| process_words(&it.command, it.pid, charset));
                name.next().unwrap_or_default()
            }
            more => format!("{} of these processes", more.len()),
        };
        if !recorded && privilege::has(Right::ReadOwners) == Some(false) {
            let holds = if self.processes.len() == 1 {
                "holds"
            } else {
                "hold"
            };
            context.hint(&format!("to see what {what} {holds}:"));
            let command = privilege::with_sudo(&context.program, &context.arguments);
            context.hint(&format!("  {command}"));
        } else {
            context.hint(&format!("{what} could not be read (-v says why)."));
        }
    }
}
