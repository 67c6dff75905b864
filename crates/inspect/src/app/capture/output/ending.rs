//! How the output ends: well, after a failed write, and with what was lost.

use std::io;

use super::Output;
use crate::app::Context;
use crate::app::capture::messages::owners_missed;
use crate::app::capture::savefile::Savefile;
use crate::app::capture::show::Tally;
use crate::capture::plain;
use crate::model::{Gap, Origin};
use crate::render::json::{self, End, GapRecord};
use crate::render::packet::{Totals, summary};

impl Output {
    /// Writes what closes the output.
    pub(in crate::app::capture) fn end(
        &mut self,
        totals: &Totals,
        gaps: &[Gap],
    ) -> anyhow::Result<()> {
        self.end_file(gaps)?;
        if self.is_json() {
            // Whose owners are not known stands in each packet; the packets are complete.
            for gap in gaps.iter().chain(&self.owners_missed()) {
                json::write(&mut self.out, &GapRecord::from(gap))?;
            }
            let counts = [
                ("packet", totals.packets),
                ("conversation", totals.conversations),
                ("payload_bytes", totals.payload),
                ("malformed", totals.malformed),
            ];
            let rare = [("copy", totals.copies), ("forgotten", totals.forgotten)];
            let rare = rare.into_iter().filter(|(_, count)| *count > 0);
            let troubles = totals.troubles.counts().into_iter();
            let counts = counts
                .into_iter()
                .chain(rare)
                .chain(troubles.filter(|(_, count)| *count > 0));
            json::write(&mut self.out, &End::new(counts, gaps))?;
        }
        self.flush()?;
        Ok(())
    }

    /// Conversations on this machine whose owners were not seen.
    fn owners_missed(&self) -> Option<Gap> {
        let Tally { here, known } = self.watch.tally;
        let missed = here.saturating_sub(known);
        (missed > 0).then(|| {
            let reason = format!("conversations of {here} on this machine without an owner seen");
            Gap::counted(Origin::Owners, reason, missed)
        })
    }

    /// After a failed write: leaves a capture file that can be read, and tells how many of the
    /// packets did not get into it.
    pub(in crate::app::capture) fn close(&mut self, totals: &Totals) -> Option<Gap> {
        self.is_cut = true;
        let savefile = self.savefile.as_mut()?;
        match totals.packets.saturating_sub(savefile.close()) {
            0 => None,
            count => Some(Gap::counted(Origin::Capture, "packets not written", count)),
        }
    }

    /// A failed write, with its object and in plain words.
    pub(in crate::app::capture) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(cause) = error.downcast_ref::<io::Error>() else {
            return error;
        };
        let path = self.savefile.as_ref().and_then(Savefile::path);
        let name = match path {
            Some(path) => path.display().to_string(),
            None => "to stdout".to_owned(),
        };
        if cause.kind() != io::ErrorKind::TimedOut {
            return anyhow::anyhow!("cannot write {name}: {}", plain(cause));
        }
        let lines = self.unwritten.split(|byte| *byte == b'\n').count() - 1;
        let what = match (lines, self.unwritten.len()) {
            (_, 0) => String::new(),
            (1, bytes) => format!(" (1 line, {bytes} bytes not written)"),
            (lines, bytes) => format!(" ({lines} lines, {bytes} bytes not written)"),
        };
        anyhow::anyhow!("cannot write {name}: its reader does not read{what}")
    }

    /// Says on stderr what was shown and what was lost; of records, which say it themselves,
    /// only what was lost.
    pub(in crate::app::capture) fn summary(
        &self,
        context: &Context,
        totals: &Totals,
        gaps: &[Gap],
        live: bool,
    ) {
        let is_json = self.is_json() && !self.is_cut;
        if let Some(missed) = self.owners_missed() {
            context.say(&owners_missed(self.watch.tally.here, missed.count));
        }
        if gaps.is_empty() && (is_json || context.quiet) {
            return;
        }
        context.say(&summary(totals, gaps, live));
    }
}
