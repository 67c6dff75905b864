//! What an answer lacks, told to people and to programs.

use std::io::{self, Write};

use crate::app::Context;
use crate::listing::{Rows, Undecided};
use crate::model::{Gap, Origin, OwnerStatus};
use crate::owners::Holdings;
use crate::privilege::{self, Right};
use crate::render::json::{self, GapRecord};

pub(in crate::app) fn hidden_rows(rows: &Rows<'_>) -> usize {
    rows.iter()
        .filter(|row| row.owner_status == OwnerStatus::Hidden)
        .count()
}

/// What the answer lacks because processes could not be read; nothing when it lacks nothing.
pub(in crate::app) fn hidden(
    rows: &Rows<'_>,
    undecided: usize,
    holdings: &Holdings,
) -> Option<Gap> {
    // Where every process was read nothing lacks, and the other ends need not be looked for.
    if holdings.unreadable().is_empty() && holdings.unlisted().is_none() {
        return None;
    }
    let lacking = |status| matches!(status, OwnerStatus::Hidden | OwnerStatus::Partial);
    let affected = rows.iter().any(|row| {
        lacking(row.owner_status) || row.peer().is_some_and(|peer| lacking(peer.owner_status))
    });
    if !affected && undecided == 0 {
        return None;
    }
    let mut reason = match holdings.unreadable().len() {
        0 => "processes were not listed, so that owners are hidden".to_owned(),
        1 => "process could not be read, so that owners are hidden".to_owned(),
        _ => "processes could not be read, so that owners are hidden".to_owned(),
    };
    if undecided > 0 {
        reason += &format!(
            "; {undecided} {} with a hidden owner may match",
            if undecided == 1 { "socket" } else { "sockets" }
        );
    }
    Some(match u64::try_from(holdings.unreadable().len()) {
        Ok(count @ 1..) => Gap::counted(Origin::Owners, reason, count),
        _ => Gap::uncounted(Origin::Owners, reason),
    })
}

/// What the answer lacks because the source does not tell what was asked.
pub(super) fn untold(undecided: &Undecided) -> Option<Gap> {
    let count = u64::try_from(undecided.by_source).ok()?;
    (count > 0).then(|| Gap::counted(Origin::Sockets, may_match(undecided), count))
}

/// What can follow a count: `sockets may match: rtt is not told of them`.
fn may_match(undecided: &Undecided) -> String {
    let words: Vec<&str> = undecided.untold.iter().copied().collect();
    let (are, them) = (
        if words.len() == 1 { "is" } else { "are" },
        if undecided.by_source == 1 {
            "it"
        } else {
            "them"
        },
    );
    let sockets = if undecided.by_source == 1 {
        "socket"
    } else {
        "sockets"
    };
    format!(
        "{sockets} may match: {} {are} not told of {them}",
        words.join(", ")
    )
}

pub(in crate::app) fn write_gaps(out: &mut dyn Write, gaps: &[Gap]) -> io::Result<()> {
    for gap in gaps {
        json::write(out, &GapRecord::from(gap))?;
    }
    Ok(())
}

pub(in crate::app) fn tell_gaps(gaps: &[Gap], context: &Context) {
    for gap in gaps {
        match gap.count {
            // Of owners it tells what could not be seen; nothing of that was there to lose.
            Some(count) if gap.source == Origin::Owners => {
                context.say(&format!("inspect: {count} {}", gap.reason));
            }
            Some(count) => context.say(&format!("inspect: lost {count} {}", gap.reason)),
            None => context.say(&format!("inspect: {}", gap.reason)),
        }
    }
}

/// What was left out for brevity, and what could not be seen.
pub(in crate::app) struct NotShown {
    /// TIME_WAIT sockets.
    pub(in crate::app) folded: usize,
    /// Sockets that may match, if their hidden owners do, or if more were told of them.
    pub(in crate::app) undecided: Undecided,
    /// Rows that are shown with a hidden owner.
    pub(in crate::app) hidden: usize,
}

impl NotShown {
    /// Tells it, with the way to see it; why owners are hidden only to a person.
    pub(in crate::app) fn tell(&self, recorded: bool, context: &Context) {
        let mut words = Vec::new();
        if self.folded > 0 {
            words.push(format!("{} TIME_WAIT not shown (-a).", self.folded));
        }
        if self.undecided.by_source > 0 {
            let count = self.undecided.by_source;
            words.push(format!("{count} {}.", may_match(&self.undecided)));
        }
        match self.undecided.by_owner {
            0 => {}
            1 => words.push("1 socket with a hidden owner may match.".to_owned()),
            more => words.push(format!("{more} sockets with hidden owners may match.")),
        }
        let hidden = self.hidden + self.undecided.by_owner;
        let curable = !recorded && privilege::has(Right::ReadOwners) == Some(false);
        if hidden == 0 || !context.messages.is_terminal() {
            if !words.is_empty() {
                context.say(&words.join(" "));
            }
            return;
        }
        let count = match hidden {
            1 => "1 owner hidden".to_owned(),
            more => format!("{more} owners hidden"),
        };
        if curable {
            let them = if hidden == 1 { "it" } else { "them" };
            words.push(format!("{count}; to see {them}:"));
            context.hint(&words.join(" "));
            let command = privilege::with_sudo(&context.program, &context.arguments);
            context.hint(&format!("  {command}"));
        } else {
            words.push(format!("{count} (-v says why)."));
            context.hint(&words.join(" "));
        }
    }
}
