//! `inspect capture`: frames in; lines, records or a file out.

mod awaiting;
mod chooser;
mod follow;
mod lives;
mod looker;
mod messages;
mod open;
mod output;
mod overview;
mod patient;
mod recalled;
mod savefile;
mod show;
mod step;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::{Context, Exit, signals};
use crate::capture::{Conversations, Copies, Datagrams, Event, Fragments, Source, SourceError};
use crate::cli::capture::{From, Request};
use crate::clock;
use crate::model::{Gap, Origin};
use crate::render::packet::{Totals, summary};
use crate::selection::Selection;
use crate::stop::Stop;
use chooser::Chooser;
use lives::Watched;
use looker::Looker;
pub(super) use open::run;
use output::Output;
use patient::Patient;
use show::Known;
use step::{Step, Took};

/// Nothing on the screen for so long means a line saying what is awaited.
const SILENCE: Duration = Duration::from_secs(2);
/// How often a busy capture looks at the clock: after so many frames.
const LOOK_EVERY: u64 = 64;
/// How often packets that are held back are looked after.
const HELD_EVERY: Duration = Duration::from_millis(50);
/// A line waits for others to be written together at most this long.
const FLUSH_EVERY: Duration = Duration::from_millis(40);
/// How often a quiet capture sees whether its reader is still there.
const READER_EVERY: Duration = Duration::from_millis(500);
/// How often a quiet capture takes in what the kernel tells of sockets.
const LIVES_EVERY: Duration = Duration::from_millis(100);

/// One capture from beginning to end.
struct Run<'a> {
    request: &'a Request,
    /// Nothing is passed over.
    everything: bool,
    context: &'a Context,
    stop: &'a Stop,
    source: &'a mut dyn Source,
    looker: Option<Looker>,
    output: Output,
    conversations: Conversations<Known>,
    fragments: Fragments,
    datagrams: Datagrams,
    copies: Copies,
    chooser: Option<Chooser>,
    totals: Totals,
    /// Packets of which it cannot be told whether they were wanted.
    undecided: u64,
    began: Instant,
    silence_said: bool,
    out_of_time: bool,
    /// Somebody wants to know how much there is so far.
    asked: Arc<AtomicBool>,
    /// Ctrl-C was typed while a command ran.
    typed: Arc<AtomicBool>,
}

impl<'a> Run<'a> {
    fn new(
        request: &'a Request,
        context: &'a Context,
        stop: &'a Stop,
        source: &'a mut dyn Source,
        looker: Option<Looker>,
    ) -> anyhow::Result<Self> {
        // Before anything is waited for.
        let asked = signals::counts_on_signal().context("cannot listen for SIGUSR1")?;
        let stdout =
            Patient::stdout(stop.clone(), request.duration).context("cannot write to stdout")?;
        let (stdout, zone) = (Box::new(stdout), TimeZone::system());
        let output = Output::open(request, context, source.link(), stop, stdout, zone)?;
        Ok(Self {
            asked,
            ..Self::with(request, context, stop, source, looker, output)
        })
    }

    fn with(
        request: &'a Request,
        context: &'a Context,
        stop: &'a Stop,
        source: &'a mut dyn Source,
        looker: Option<Looker>,
        output: Output,
    ) -> Self {
        Self {
            request,
            everything: request.selection == Selection::everything(),
            context,
            stop,
            source,
            looker,
            output,
            conversations: Conversations::new(),
            fragments: Fragments::default(),
            datagrams: Datagrams::default(),
            copies: Copies::default(),
            chooser: None,
            totals: Totals::default(),
            undecided: 0,
            began: Instant::now(),
            silence_said: false,
            out_of_time: false,
            asked: Arc::default(),
            typed: Arc::default(),
        }
    }

    /// Says what is captured: before a command says anything.
    fn announce(&self) {
        if self.is_live() && !self.request.brief {
            self.context.hint(&messages::capturing(self.request));
        }
    }

    fn run(mut self) -> anyhow::Result<Exit> {
        if self.context.verbose {
            let (origin, link) = (self.source.origin(), self.source.link().word());
            self.context.say(&format!("Packets {origin}, link {link}."));
        }
        if let Some(flag) = self
            .request
            .without_effect()
            .filter(|_| !self.context.quiet)
        {
            self.context.say(&messages::without_effect(flag));
        }
        if self.request.command.is_empty() {
            self.announce();
        }
        let done = self
            .output
            .begin(&self.sources())
            .map_err(Into::into)
            .and_then(|()| self.read());
        let (broken, mut failed) = match done {
            Ok(broken) => (broken, None),
            Err(error) => (None, Some(error)),
        };
        let by_key = match self.request.command.is_empty() {
            true => self.stop.is_raised() && !self.out_of_time,
            false => self.typed.load(Ordering::Relaxed),
        };
        if self.context.messages.is_terminal() && by_key {
            // The terminal has written ^C, and stands behind it.
            self.context.say("");
        }
        let unanswered = self
            .conversations
            .notes()
            .map(|known| known.borrow().course.troubles().unanswered);
        self.totals.troubles.unanswered += unanswered.sum::<u64>();
        let mut gaps = self.gaps();
        if failed.is_none() {
            match self.output.finish_streams() {
                Ok(missing) => gaps.extend(missing),
                Err(error) => failed = Some(error.into()),
            }
        }
        // What the source still had is in no count.
        let unread = failed.is_some();
        if failed.is_none() {
            let broken = broken.as_ref().map(|error| {
                Gap::uncounted(Origin::Capture, format!("the source broke off: {error}"))
            });
            let gaps: Vec<Gap> = gaps.iter().cloned().chain(broken).collect();
            failed = self.output.end(&self.totals, &gaps).err();
        }
        if failed.as_ref().is_some_and(super::is_closed_pipe) {
            // The reader has what it wanted: the run ends as it would have, without a word.
            return match self.output.end_file(&gaps) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    Err(self.output.explain(error.into()))
                }
                _ => Ok(Exit::Done),
            };
        }
        if failed.is_some() {
            gaps.extend(self.output.close(&self.totals));
            if unread {
                gaps.push(Gap::uncounted(Origin::Capture, "what came after that"));
            }
        }
        if self.context.verbose {
            self.output.say_whose_owners(self.context);
        }
        // What ended it is said once, and last.
        let all_seen = self.is_live() && broken.is_none() && failed.is_none();
        self.output
            .summary(self.context, &self.totals, &gaps, all_seen);
        if let Some(error) = failed {
            return Err(self.output.explain(error));
        }
        let is_told = self.chooser.is_none() || self.output.recalled.knows_owners();
        if !self.is_live() && !is_told {
            self.context.say(&messages::no_owners(self.request));
            return Ok(Exit::Failed);
        }
        let Some(error) = broken else {
            return Ok(Exit::Done);
        };
        let name = match &self.request.from {
            From::File(path) => path.display().to_string(),
            _ => "the capture".to_owned(),
        };
        self.context
            .say(&format!("inspect: {name} broke off: {error}"));
        Ok(Exit::Failed)
    }

    /// What the output is from, for its opening record.
    fn sources(&self) -> Vec<String> {
        let Some(looker) = &self.looker else {
            return vec!["file".to_owned()];
        };
        let owners = [
            looker.lives.is_some().then_some("bpf"),
            (!looker.is_off).then_some("proc"),
        ];
        std::iter::once("pcap")
            .chain(owners.into_iter().flatten())
            .map(str::to_owned)
            .collect()
    }

    fn is_live(&self) -> bool {
        self.looker.is_some()
    }

    /// The source, and what is needed for a frame that it lends.
    fn step(&mut self) -> (&mut dyn Source, Step<'_>) {
        let step = Step {
            everything: self.everything,
            request: self.request,
            looker: &mut self.looker,
            output: &mut self.output,
            conversations: &mut self.conversations,
            fragments: &mut self.fragments,
            datagrams: &mut self.datagrams,
            copies: &mut self.copies,
            chooser: &mut self.chooser,
            totals: &mut self.totals,
            undecided: &mut self.undecided,
        };
        (self.source, step)
    }

    /// Reads to the end. `Some`: the source broke off, which is an error after all that it gave.
    fn read(&mut self) -> anyhow::Result<Option<SourceError>> {
        let link = self.source.link();
        let mut frames = 0u64;
        loop {
            let (source, step) = self.step();
            match source.next() {
                Ok(Event::Comment(comment)) => step.output.comment(comment),
                Ok(Event::Remark(remark)) => {
                    step.output
                        .remark(remark, step.conversations, step.chooser.as_mut())
                }
                Ok(Event::Frame(mut frame)) => {
                    // The kernel has cut what is live; a file may hold more than is asked for.
                    let kept = frame.bytes.len().min(step.request.snaplen as usize);
                    frame.bytes = &frame.bytes[..kept];
                    let took = step.take(link, &frame)?;
                    match took {
                        Took::Over => return Ok(None),
                        Took::Shown if self.is_enough() => return Ok(None),
                        Took::Shown | Took::PassedOver => {}
                    }
                    frames += 1;
                    if frames.is_multiple_of(LOOK_EVERY) {
                        self.answer();
                        if self.is_live() {
                            self.look_at_clock()?;
                        }
                        if self.is_enough() {
                            return Ok(None);
                        }
                    }
                }
                Ok(Event::Quiet) => {
                    self.output.flush()?;
                    self.answer();
                    self.look_at_clock()?;
                    if self.is_enough() {
                        return Ok(None);
                    }
                    if let Err(error) = self.source.wait(self.patience()) {
                        return Ok(Some(error));
                    }
                }
                Ok(Event::End) => {
                    self.release(true)?;
                    return Ok(None);
                }
                Err(error) => {
                    self.release(true)?;
                    return Ok(Some(error));
                }
            }
        }
    }

    /// Whether as many were shown as were asked for.
    fn is_enough(&self) -> bool {
        self.request.count == Some(self.totals.packets)
    }

    /// Shows what has waited and is wanted; at the `end`, as far as can be told then.
    fn release(&mut self, end: bool) -> anyhow::Result<()> {
        let Some(chooser) = &mut self.chooser else {
            return Ok(());
        };
        if let Some(looker) = &mut self.looker {
            if end && chooser.waits() {
                looker.last();
            }
            chooser.tend(looker);
        }
        let (source, mut step) = self.step();
        step.release(source.link(), end)?;
        Ok(())
    }

    /// SIGUSR1: says how much there is so far, and goes on.
    fn answer(&mut self) {
        // Looked at before it is taken, as taking it costs more.
        if self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::Relaxed) {
            let gaps = self.source.gaps();
            let counts = summary(&self.totals, &gaps, self.is_live());
            self.context.say(&format!("So far {counts}"));
        }
    }

    /// What time brings: the end, a line about silence, lines that have waited.
    fn look_at_clock(&mut self) -> anyhow::Result<()> {
        let running = self.began.elapsed();
        let has_files = self.is_live() && self.output.is_over_at(clock::now());
        if has_files || self.request.duration.is_some_and(|limit| running >= limit) {
            self.out_of_time = true;
            self.stop.raise();
        }
        if self.totals.packets == 0 && !self.silence_said && running >= SILENCE {
            self.silence_said = true;
            if !self.context.quiet && !self.request.brief {
                let table = self.looker.as_mut().map(Looker::fresh);
                self.context
                    .say(&messages::awaited(self.request, table.as_deref()));
            }
        }
        if let Some(looker) = &mut self.looker {
            if let Some(lives) = &mut looker.lives {
                lives.catch_up();
            }
            self.output.tend_owners(looker)?;
            if looker.has_just_ended() {
                self.context.say(messages::NO_OWNERS);
            }
        }
        self.release(false)?;
        if self.is_live() {
            // What waits may fill what is missing in a stream.
            let held = self.chooser.as_ref().and_then(Chooser::waits_since);
            self.output.settle(held.unwrap_or_else(clock::now))?;
        }
        if self.output.asks_for_gaps() {
            let gaps = self.source.gaps();
            self.output.tell_gaps(&gaps);
        }
        self.output.flush_after(FLUSH_EVERY)?;
        self.output.see_reader()?;
        Ok(())
    }

    /// How long nothing can become due.
    fn patience(&self) -> Duration {
        let running = self.began.elapsed();
        let mut patience = READER_EVERY;
        if let Some(limit) = self.request.duration {
            patience = patience.min(limit.saturating_sub(running));
        }
        if self.totals.packets == 0 && !self.silence_said {
            patience = patience.min(SILENCE.saturating_sub(running));
        }
        if self.looker.as_ref().is_some_and(|it| it.lives.is_some()) {
            patience = patience.min(LIVES_EVERY);
        }
        let held = self.chooser.as_ref().is_some_and(Chooser::waits);
        if held {
            patience = patience.min(HELD_EVERY);
        }
        if held || self.output.awaits_owners() {
            let due = self.looker.as_ref().and_then(Looker::due);
            patience = due.map_or(patience, |due| patience.min(due));
        }
        patience
    }

    fn gaps(&mut self) -> Vec<Gap> {
        let mut gaps = self.source.gaps();
        if self.undecided > 0 {
            gaps.push(Gap::counted(
                Origin::Capture,
                "packets not shown: the ports are in another fragment, or were cut off",
                self.undecided,
            ));
        }
        let broken = self.datagrams.lost() + self.datagrams.waiting() as u64;
        if broken > 0 {
            gaps.push(Gap::counted(
                Origin::Capture,
                "datagrams not put together: fragments are missing, or contradict each other",
                broken,
            ));
        }
        gaps.extend(self.output.recalled_gaps());
        gaps.extend(self.chooser.iter().flat_map(Chooser::gaps));
        if self.looker.as_ref().is_some_and(Looker::has_ended) {
            gaps.push(Gap::uncounted(Origin::Owners, "owners, from some point on"));
        }
        let lives = self.looker.as_mut().and_then(|it| it.lives.as_mut());
        gaps.extend(lives.map(Watched::gaps).unwrap_or_default());
        gaps
    }
}
