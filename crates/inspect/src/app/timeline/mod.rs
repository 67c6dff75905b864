//! `inspect timeline`: calls, states and packets of conversations, put together.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::signals::stop_on_signals;
use super::{Context, Exit, command, machine};
use crate::capture::{self, Live, OpenError, Options, Source as _, decode, selects};
use crate::cli::timeline::Request;
use crate::clock;
use crate::launch::Descriptors;
use crate::model::{Gap, Pid, Timestamp};
use crate::names::Interfaces;
use crate::namespaces;
use crate::render::json::{self, End, EventRecord, GapRecord, TimelineRecord};
use crate::render::timeline as render;
use crate::selection::{Selection, Test};
use crate::stop::Stop;
use crate::timeline::{Conversation, SegmentSeen, Timeline, What};
use crate::trace::{self, Choice, Event, Kernel, Source as _, Touch};

/// How long both rings are left alone.
const POLL: Duration = Duration::from_millis(10);
/// How often closed conversations are looked for, and how long none of their calls was told by
/// then, nanoseconds: a close may follow the last packet.
const SHOW_EVERY: Duration = Duration::from_millis(500);
const QUIET_NS: i64 = 1_000_000_000;
/// Bytes kept of a payload.
const SHOWN: u32 = 256;
/// Bytes captured of a packet: its headers, and what is shown.
const SNAPLEN: u32 = SHOWN + 192;

pub(super) fn run(request: &Request, context: &Context) -> anyhow::Result<Exit> {
    let stop = match request.command.is_empty() {
        true => stop_on_signals(),
        // Signals are the command's.
        false => Stop::new(),
    };
    let stop = stop.context("cannot listen for Ctrl-C")?;
    let selection = match request.port {
        Some(port) => Selection::Test(Test::Port(port)),
        None => Selection::everything(),
    };
    let options = Options {
        snaplen: SNAPLEN,
        selection: selection.clone(),
        filter: "tcp".to_owned(),
        ..Options::default()
    };
    let inherited = Descriptors::now().context("cannot list the open descriptors")?;
    let live = match Live::open(&options, stop.clone()) {
        Ok(live) => live,
        Err(OpenError::Permission) => {
            context.say(&permission(context));
            return Ok(Exit::Failed);
        }
        Err(error) => return Err(error.into()),
    };
    let kernel = Kernel::open(&calls(request)).context("cannot trace calls by BPF")?;
    let mut run = Run {
        live,
        kernel,
        selection,
        timeline: Timeline::default(),
        touch: request.port.map(Touch::new),
        family: HashSet::new(),
    };
    let mut view = View::new(request, context);
    view.begin()?;
    if context.verbose {
        context.say("Calls and states as the kernel tells them (bpf), packets by libpcap.");
    }
    if !request.quiet && request.command.is_empty() {
        let port = request.port.map(|port| format!(" of port {port}"));
        context.hint(&format!(
            "Following calls, states and packets{}: each conversation is shown when it is over. \
             Ctrl-C ends.",
            port.unwrap_or_default()
        ));
    }
    let launched = match request.command.as_slice() {
        [] => None,
        words => {
            inherited
                .keep_later_ones()
                .context("cannot keep the capture from the command")?;
            let typed = Arc::default();
            Some(command::start(words, command::DRAIN, &stop, &typed)?)
        }
    };
    run.follow(request, &stop, &mut view)?;
    let mut gaps = run.live.gaps();
    gaps.extend(run.kernel.gaps());
    gaps.extend(run.timeline.gaps());
    view.show(&run.timeline.conversations(), &run.family)?;
    view.end(&gaps)?;
    Ok(match launched {
        Some(launched) => command::finish(&launched, &request.command, context),
        None => Exit::Done,
    })
}

fn permission(context: &Context) -> String {
    format!(
        "inspect: cannot capture: permission denied\n  once:    sudo {} {}",
        context.program.display(),
        context.arguments.join(" ")
    )
}

/// Calls of everybody: the other end of a conversation is another's. Whose children are of the
/// command is told beside.
fn calls(request: &Request) -> trace::Request {
    let own = Pid(std::process::id());
    trace::Request {
        launcher: (!request.command.is_empty()).then_some(own),
        everybody: true,
        port: request.port,
        // As the packets are.
        network: namespaces::current(),
        choice: Choice::default(),
        limit: SHOWN,
        states: true,
        room: trace::RING,
        ..trace::Request::default()
    }
}

struct Run {
    live: Live,
    kernel: Kernel,
    selection: Selection,
    timeline: Timeline,
    touch: Option<Touch>,
    /// The command and its children.
    family: HashSet<Pid>,
}

impl Run {
    /// Until the stop signal, or the end of the time.
    fn follow(
        &mut self,
        request: &Request,
        stop: &Stop,
        view: &mut View<'_>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut shown = begun;
        loop {
            if shown.elapsed() >= SHOW_EVERY {
                shown = Instant::now();
                let since = clock::now().as_nanos().saturating_sub(QUIET_NS);
                let closed = self.timeline.take_closed(Timestamp::from_nanos(since));
                view.show(&closed, &self.family)?;
            }
            if request
                .duration
                .is_some_and(|limit| begun.elapsed() >= limit)
            {
                stop.raise();
            }
            let is_last = self.packets()?;
            self.calls()?;
            if is_last {
                break;
            }
            self.live.wait(POLL)?;
        }
        let mut last = Vec::new();
        self.kernel.finish(&mut |event| last.push(event));
        last.into_iter().for_each(|event| self.take(event));
        Ok(())
    }

    /// Those that have come; tells whether there will be no more.
    fn packets(&mut self) -> anyhow::Result<bool> {
        let link = self.live.link();
        loop {
            match self.live.next()? {
                capture::Event::Frame(frame) => {
                    let packet = decode(link, &frame);
                    if selects(&self.selection, &packet) == Some(true)
                        && let Some(segment) = SegmentSeen::of(&packet, SHOWN as usize)
                    {
                        self.timeline.segment(segment);
                    }
                }
                capture::Event::Quiet => return Ok(false),
                capture::Event::End => return Ok(true),
                capture::Event::Comment(_) | capture::Event::Remark(_) => {}
            }
        }
    }

    fn calls(&mut self) -> anyhow::Result<()> {
        let mut events = Vec::new();
        let drained = self.kernel.drain(&mut |event| events.push(event));
        drained.context("cannot read what was traced")?;
        events.into_iter().for_each(|event| self.take(event));
        Ok(())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Call(call) => match &mut self.touch {
                Some(touch) => {
                    let timeline = &mut self.timeline;
                    touch.take(*call, &mut |call| timeline.call(call));
                }
                None => self.timeline.call(*call),
            },
            Event::State(change) => self.timeline.state(change),
            Event::Fork(process, _) => {
                self.family.insert(process.pid);
            }
            Event::Exec(_) | Event::Exit(_) => {}
        }
    }
}

/// What is written.
struct View<'a> {
    out: io::BufWriter<io::StdoutLock<'static>>,
    request: &'a Request,
    context: &'a Context,
    interfaces: Interfaces,
    conversations: usize,
    events: u64,
}

impl<'a> View<'a> {
    fn new(request: &'a Request, context: &'a Context) -> Self {
        Self {
            out: io::BufWriter::new(io::stdout().lock()),
            request,
            context,
            interfaces: Interfaces::new(),
            conversations: 0,
            events: 0,
        }
    }

    /// Before the first is seen: from here on nothing is missed.
    fn begin(&mut self) -> anyhow::Result<()> {
        if self.request.json {
            let sources = vec!["pcap".to_owned(), "bpf".to_owned()];
            json::write(&mut self.out, &machine::begin("timeline", sources))?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// With a command, those in which the command has an end.
    fn show(&mut self, all: &[Conversation], family: &HashSet<Pid>) -> anyhow::Result<()> {
        for conversation in all {
            let is_of_family = |what: &What| match what {
                What::Call(call) => family.contains(&call.process.pid),
                _ => false,
            };
            let mut events = conversation.events.iter();
            if !self.request.command.is_empty() && !events.any(|event| is_of_family(&event.what)) {
                continue;
            }
            self.conversations += 1;
            match self.request.json {
                true => self.records(conversation)?,
                false => self.picture(conversation)?,
            }
        }
        self.out.flush()?;
        Ok(())
    }

    fn records(&mut self, conversation: &Conversation) -> anyhow::Result<()> {
        let number = self.conversations;
        json::write(&mut self.out, &TimelineRecord::new(number, conversation))?;
        for event in &conversation.events {
            json::write(&mut self.out, &EventRecord::new(number, event))?;
            self.events += 1;
        }
        Ok(())
    }

    fn picture(&mut self, conversation: &Conversation) -> anyhow::Result<()> {
        if self.conversations > 1 {
            writeln!(self.out)?;
        }
        let interface = conversation
            .events
            .iter()
            .find_map(|event| match &event.what {
                What::Segment(segment) => segment.interface,
                _ => None,
            });
        let name = interface.and_then(|index| self.interfaces.name(index));
        render::write(&mut self.out, conversation, &self.context.screen, name)?;
        Ok(())
    }

    fn end(&mut self, gaps: &[Gap]) -> anyhow::Result<()> {
        if self.request.json {
            for gap in gaps {
                json::write(&mut self.out, &GapRecord::from(gap))?;
            }
            let count = u64::try_from(self.conversations).unwrap_or(u64::MAX);
            let counts = [("conversations", count), ("events", self.events)];
            json::write(&mut self.out, &End::new(counts, gaps))?;
            self.out.flush()?;
            return Ok(());
        }
        if self.conversations == 0 {
            let whose = match self.request.port {
                Some(port) => format!("Nobody spoke on port {port} over TCP."),
                None => "The command had no TCP conversation.".to_owned(),
            };
            writeln!(self.out, "{whose}")?;
        }
        self.out.flush()?;
        super::sockets::told::tell_gaps(gaps, self.context);
        Ok(())
    }
}
