//! `inspect capture`: frames in; lines, records or a file out.

mod chooser;
mod command;
mod follow;
mod lives;
mod looker;
mod messages;
mod output;
mod overview;
mod patient;
mod recalled;
mod savefile;
mod show;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::{Context, Exit, Usage, look, names, signals};
use crate::capture::{
    self, Conversations, Event, Fault, File, FileError, FilterError, Fragments, Frame, Live,
    OpenError, Options, Source, SourceError, decode, selects,
};
use crate::cli::capture::{From, Request};
use crate::clock;
use crate::launch::{self, Account, Descriptors, Kin};
use crate::model::{Gap, Origin};
use crate::namespaces;
use crate::owners::Choice;
use crate::render::packet::Totals;
use crate::selection::{Selection, Test};
use crate::stop::Stop;
use chooser::{Chooser, Verdict};
use lives::Watched;
use looker::Looker;
use output::Output;
use patient::Patient;
use show::Known;

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

pub(crate) fn run(request: &Request, context: &Context) -> anyhow::Result<Exit> {
    let account = match &request.run_as {
        None => None,
        Some(word) => {
            let account = Account::named(word)
                .ok_or_else(|| Usage(format!("no user {word:?} on this machine")))?;
            // Before there is another thread.
            launch::forbid_new_rights().context("cannot forbid new rights")?;
            Some(account)
        }
    };
    let account = account.as_ref();
    let stop = if request.command.is_empty() {
        signals::stop_on_signals()
    } else {
        // Signals are the command's.
        Stop::new()
    };
    let stop = stop.context("cannot listen for Ctrl-C")?;
    match (&request.from, &request.netns) {
        (From::File(path), _) => {
            match File::open(path, &request.selection, &request.filter, stop.clone()) {
                Ok(mut file) => {
                    shed(account, false)?;
                    Run::new(request, context, &stop, &mut file, None)?.run()
                }
                Err(FileError::Filter(error)) => Ok(wrong_filter(&error, context)),
                Err(error) => Err(error.into()),
            }
        }
        (_, None) => on_the_spot(request, context, account, &stop),
        // Every thread that is started there stays there, so that the interfaces, the sockets
        // and the addresses that are looked at are those of that namespace.
        (_, Some(word)) => {
            let namespace = look::named(word)?;
            namespaces::on_thread_in(&namespace, || on_the_spot(request, context, account, &stop))?
        }
    }
}

/// What is done in the network namespace of the calling thread.
fn on_the_spot(
    request: &Request,
    context: &Context,
    account: Option<&Account>,
    stop: &Stop,
) -> anyhow::Result<Exit> {
    let From::Interface(interface) = &request.from else {
        return messages::list_interfaces(&capture::interfaces(), context.screen.charset)
            .map(|()| Exit::Done);
    };
    let kin = (!request.command.is_empty()).then(Kin::of_this_process);
    let chooser = chooser(request, kin.clone())?;
    let options = Options {
        interface: interface.clone(),
        snaplen: request.snaplen,
        buffer_kib: request.buffer_kib,
        promiscuous: request.promiscuous,
        selection: request.selection.clone(),
        filter: request.filter.clone(),
    };
    let inherited = Descriptors::now().context("cannot list the open descriptors")?;
    // A file has no owners, and needs nobody to watch.
    let choice = match request.wants_owners() {
        true => request.owners,
        false => Choice::None,
    };
    let watched = lives::start(choice, request.owners_buffer_kib);
    match Live::open(&options, stop.clone()) {
        Ok(mut live) => {
            // Threads, files and the command come after it, and have its rights.
            shed(account, request.wants_owners())?;
            let mut looker = Looker::start(request, kin.clone())?;
            say_owners(context, request, watched.as_ref().err());
            looker.lives = watched.ok();
            let mut run = Run::new(request, context, stop, &mut live, Some(looker))?;
            run.chooser = chooser;
            if request.command.is_empty() {
                return run.run();
            }
            inherited
                .keep_later_ones()
                .context("cannot keep the capture from the command")?;
            let launched = command::start(request, stop)?;
            if let Some(kin) = &kin {
                let command = launched.clone();
                kin.watch(launched.pid(), move || command.runs())
                    .context("cannot start a thread for the command's children")?;
            }
            let done = run.run();
            command::finish(&launched, request, context);
            done
        }
        Err(OpenError::Filter(error)) => Ok(wrong_filter(&error, context)),
        Err(OpenError::Permission) => {
            context.say(&messages::permission(context));
            Ok(Exit::Failed)
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives up the rights that opening a capture took, where that is asked for.
fn shed(account: Option<&Account>, sees_owners: bool) -> anyhow::Result<()> {
    match account {
        Some(account) => Ok(launch::run_as(account, sees_owners)?),
        None => Ok(()),
    }
}

/// What chooses packets by the owners of their ends, where that is asked for.
fn chooser(request: &Request, kin: Option<Kin>) -> anyhow::Result<Option<Chooser>> {
    if !request.chooses_by_owner() {
        return Ok(None);
    }
    for test in request.owned.tests() {
        if let Test::Pid(pid) = test
            && !Path::new("/proc").join(pid.to_string()).exists()
        {
            anyhow::bail!("cannot capture for process {pid}: there is no such process");
        }
    }
    let users = Selection::one_of(names::users(&request.users)?);
    let wanted = Selection::All(vec![request.owned.clone(), users]);
    Ok(Some(Chooser::new(wanted, kin)))
}

/// Where owners come from, and why not from where one knows more.
fn say_owners(context: &Context, request: &Request, refused: Option<&String>) {
    match (request.owners, refused) {
        (Choice::Bpf, Some(reason)) if request.wants_owners() => context.say(&format!(
            "inspect: owners from /proc: the kernel does not tell of sockets as they come and \
             go: {reason}"
        )),
        _ if !context.verbose || !request.wants_owners() => {}
        (Choice::None, _) => context.say("Owners are not looked for."),
        (_, None) => context.say(
            "Owners as the kernel tells of sockets (bpf), and from tables for those from before.",
        ),
        (Choice::Proc, _) => context.say("Owners from /proc, as asked."),
        (_, Some(reason)) => context.say(&format!(
            "Owners from /proc: who is gone within some milliseconds is missed. The kernel does \
             not tell of sockets as they come and go: {reason}."
        )),
    }
}

fn wrong_filter(error: &FilterError, context: &Context) -> Exit {
    // What a cooked link of all interfaces does not have, one interface may.
    let elsewhere = if error.reason.contains("cooked") {
        " (-i NAME captures on one interface alone, as its link is)"
    } else {
        ""
    };
    context.say(&format!("inspect: {error}{elsewhere}"));
    Exit::WrongUsage
}

/// One capture from beginning to end.
struct Run<'a> {
    request: &'a Request,
    context: &'a Context,
    stop: &'a Stop,
    source: &'a mut dyn Source,
    looker: Option<Looker>,
    output: Output,
    conversations: Conversations<Known>,
    fragments: Fragments,
    chooser: Option<Chooser>,
    totals: Totals,
    /// Packets of which it cannot be told whether they were wanted.
    undecided: u64,
    began: Instant,
    silence_said: bool,
    out_of_time: bool,
}

impl<'a> Run<'a> {
    fn new(
        request: &'a Request,
        context: &'a Context,
        stop: &'a Stop,
        source: &'a mut dyn Source,
        looker: Option<Looker>,
    ) -> anyhow::Result<Self> {
        let stdout =
            Patient::stdout(stop.clone(), request.duration).context("cannot write to stdout")?;
        let (stdout, zone) = (Box::new(stdout), TimeZone::system());
        let output = Output::open(request, context, source.link(), stop, stdout, zone)?;
        Ok(Self::with(request, context, stop, source, looker, output))
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
            context,
            stop,
            source,
            looker,
            output,
            conversations: Conversations::new(),
            fragments: Fragments::default(),
            chooser: None,
            totals: Totals::default(),
            undecided: 0,
            began: Instant::now(),
            silence_said: false,
            out_of_time: false,
        }
    }

    fn run(mut self) -> anyhow::Result<Exit> {
        if self.context.verbose {
            let (origin, link) = (self.source.origin(), self.source.link().word());
            self.context.say(&format!("Packets {origin}, link {link}."));
        }
        if self.is_live() && !self.request.brief {
            self.context.hint(&messages::capturing(self.request));
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
        if self.context.messages.is_terminal() && self.stop.is_raised() && !self.out_of_time {
            // The terminal has written ^C, and stands behind it.
            self.context.say("");
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

    /// Reads to the end. `Some`: the source broke off, which is an error after all that it gave.
    fn read(&mut self) -> anyhow::Result<Option<SourceError>> {
        let link = self.source.link();
        let everything = self.request.selection == Selection::everything();
        let mut frames = 0u64;
        loop {
            // The frame borrows the source, so what is beside it is borrowed field by field.
            match self.source.next() {
                Ok(Event::Comment(comment)) => self.output.comment(comment),
                Ok(Event::Remark(remark)) => self.output.remark(remark, &mut self.conversations),
                Ok(Event::Frame(mut frame)) => {
                    // The kernel has cut what is live; a file may hold more than is asked for.
                    let kept = frame.bytes.len().min(self.request.snaplen as usize);
                    frame.bytes = &frame.bytes[..kept];
                    let took = Step {
                        everything,
                        request: self.request,
                        looker: &mut self.looker,
                        output: &mut self.output,
                        conversations: &mut self.conversations,
                        fragments: &mut self.fragments,
                        chooser: &mut self.chooser,
                        totals: &mut self.totals,
                        undecided: &mut self.undecided,
                    }
                    .take(link, &frame)?;
                    match took {
                        Took::Over => return Ok(None),
                        Took::Shown if self.is_enough() => return Ok(None),
                        Took::Shown | Took::PassedOver => {}
                    }
                    frames += 1;
                    if frames.is_multiple_of(LOOK_EVERY) && self.is_live() {
                        self.look_at_clock()?;
                        if self.is_enough() {
                            return Ok(None);
                        }
                    }
                }
                Ok(Event::Quiet) => {
                    self.output.flush()?;
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
        Step {
            everything: false,
            request: self.request,
            looker: &mut self.looker,
            output: &mut self.output,
            conversations: &mut self.conversations,
            fragments: &mut self.fragments,
            chooser: &mut self.chooser,
            totals: &mut self.totals,
            undecided: &mut self.undecided,
        }
        .release(self.source.link(), end)?;
        Ok(())
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
            self.output.settle()?;
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
        gaps.extend(self.chooser.iter().flat_map(Chooser::gaps));
        gaps.extend(self.output.recalled_gaps());
        if self.looker.as_ref().is_some_and(Looker::has_ended) {
            gaps.push(Gap::uncounted(Origin::Owners, "owners, from some point on"));
        }
        let lives = self.looker.as_mut().and_then(|it| it.lives.as_mut());
        gaps.extend(lives.map(Watched::gaps).unwrap_or_default());
        gaps
    }
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Took {
    /// It is shown, or written.
    Shown,
    /// It is not wanted, or nobody can tell.
    PassedOver,
    /// It comes after all the files that were asked for.
    Over,
}

/// What is needed for one frame.
struct Step<'s> {
    everything: bool,
    request: &'s Request,
    looker: &'s mut Option<Looker>,
    output: &'s mut Output,
    conversations: &'s mut Conversations<Known>,
    fragments: &'s mut Fragments,
    chooser: &'s mut Option<Chooser>,
    totals: &'s mut Totals,
    undecided: &'s mut u64,
}

impl Step<'_> {
    /// Shows a frame, if it is wanted, and those that waited before it; tells what
    /// became of it.
    fn take(mut self, link: capture::Link, frame: &Frame<'_>) -> io::Result<Took> {
        let packet = decode(link, frame);
        if !self.everything {
            let answer = selects(&self.request.selection, &packet);
            match self.fragments.decide(&packet, answer) {
                Some(true) => {}
                Some(false) => return Ok(Took::PassedOver),
                None => {
                    *self.undecided += 1;
                    return Ok(Took::PassedOver);
                }
            }
        }
        let Some(chooser) = self.chooser else {
            return self.show(frame, &packet, None);
        };
        match chooser.take(frame, &packet, self.looker.as_mut()) {
            Verdict::Leave => Ok(Took::PassedOver),
            Verdict::Show(known) => self.show(frame, &packet, Some(&known)),
            Verdict::Hold => self.release(link, false),
        }
    }

    /// Shows those that have waited and are wanted; tells what became of the last.
    fn release(&mut self, link: capture::Link, end: bool) -> io::Result<Took> {
        let mut took = Took::PassedOver;
        while self.request.count != Some(self.totals.packets) {
            let Some(chooser) = self.chooser else { break };
            let Some(held) = chooser.release(self.looker.as_mut(), end) else {
                break;
            };
            let frame = held.frame();
            took = self.show(&frame, &decode(link, &frame), Some(&held.known))?;
            if took == Took::Over {
                break;
            }
        }
        Ok(took)
    }

    /// Shows a frame; `known` is what is known of its conversation already.
    fn show(
        &mut self,
        frame: &Frame<'_>,
        packet: &capture::Packet<'_>,
        known: Option<&Known>,
    ) -> io::Result<Took> {
        if self.output.is_over_at(frame.time) {
            return Ok(Took::Over);
        }
        self.totals.packets += 1;
        self.totals.payload += u64::from(packet.said());
        if packet.fault.is_some_and(|fault| fault != Fault::Cut) {
            self.totals.malformed += 1;
        }
        let seen = self.conversations.see(packet);
        if seen.as_ref().is_some_and(|seen| seen.is_new) {
            self.totals.conversations += 1;
        }
        if let (Some(seen), Some(known)) = (&seen, known)
            && seen.is_new
        {
            seen.conversation.note.borrow_mut().earlier = Some(Rc::clone(known));
        }
        if let Some(old) = seen.as_ref().and_then(|seen| seen.displaced.as_ref()) {
            self.totals.troubles.unanswered += old.borrow().course.troubles().unanswered;
        }
        let mark = self.output.packet(
            self.totals.packets,
            frame,
            packet,
            seen,
            self.looker.as_mut(),
        )?;
        if let Some(mark) = mark {
            self.totals.troubles.count(mark);
        }
        Ok(Took::Shown)
    }
}

/// Whether what is read and what is written are one file, or one FIFO; `-` is what the shell
/// has opened.
fn same_file(read: &Path, written: &Path) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let of = |path: &Path, standard: BorrowedFd<'_>| {
        if path != Path::new("-") {
            return fs::metadata(path);
        }
        fs::File::from(standard.try_clone_to_owned()?).metadata()
    };
    match (
        of(read, io::stdin().as_fd()),
        of(written, io::stdout().as_fd()),
    ) {
        (Ok(read), Ok(written)) => {
            (read.dev(), read.ino()) == (written.dev(), written.ino())
                && (read.is_file() || read.file_type().is_fifo())
        }
        _ => false,
    }
}
