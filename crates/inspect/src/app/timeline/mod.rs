//! `inspect timeline`: calls, states and packets of conversations, put together.

use std::collections::HashSet;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::signals::stop_on_signals;
use super::{Context, Exit, machine};
use crate::capture::{self, Live, OpenError, Options, Source as _, decode, selects};
use crate::cli::timeline::Request;
use crate::launch::{Descriptors, Launched};
use crate::model::{Gap, Pid};
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
/// What a command did last, and what it sent, may be told after its end.
const DRAIN: Duration = Duration::from_millis(200);
/// Bytes kept of a payload.
const SHOWN: u32 = 256;
/// Bytes captured of a packet: its headers, and what is shown.
const SNAPLEN: u32 = SHOWN + 192;

pub(super) fn run(request: &Request, context: &Context) -> anyhow::Result<Exit> {
    let stop = stop_on_signals().context("cannot listen for Ctrl-C")?;
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
    let mut out = io::BufWriter::new(io::stdout().lock());
    if request.json {
        // Before the first is seen: from here on nothing is missed.
        let sources = vec!["pcap".to_owned(), "bpf".to_owned()];
        json::write(&mut out, &machine::begin("timeline", sources))?;
        out.flush()?;
    }
    if !request.quiet && request.command.is_empty() {
        let port = request.port.map(|port| format!(" of port {port}"));
        context.hint(&format!(
            "Following calls, states and packets{}. Ctrl-C ends.",
            port.unwrap_or_default()
        ));
    }
    let launched = match request.command.as_slice() {
        [] => None,
        words => {
            inherited
                .keep_later_ones()
                .context("cannot keep the capture from the command")?;
            let ended = stop.clone();
            Some(Launched::start(words, DRAIN, move || ended.raise())?)
        }
    };
    run.follow(request, &stop)?;
    let mut gaps = run.live.gaps();
    gaps.extend(run.kernel.gaps());
    gaps.extend(run.timeline.gaps());
    let conversations = chosen(run.timeline.conversations(), request, &run.family);
    show(&mut out, &conversations, &gaps, request, context)?;
    if let Some(launched) = launched {
        let ending = launched.wait();
        if !ending.is_success() {
            let name = request.command.first().map(|name| name.to_string_lossy());
            context.say(&format!("inspect: {} {ending}", name.unwrap_or_default()));
        }
    }
    Ok(Exit::Done)
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
    fn follow(&mut self, request: &Request, stop: &Stop) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
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

/// With a command, those in which it has an end.
fn chosen(
    mut conversations: Vec<Conversation>,
    request: &Request,
    family: &HashSet<Pid>,
) -> Vec<Conversation> {
    if !request.command.is_empty() {
        conversations.retain(|conversation| {
            conversation.events.iter().any(|event| match &event.what {
                What::Call(call) => family.contains(&call.process.pid),
                _ => false,
            })
        });
    }
    conversations
}

fn show(
    out: &mut dyn Write,
    conversations: &[Conversation],
    gaps: &[Gap],
    request: &Request,
    context: &Context,
) -> anyhow::Result<()> {
    if request.json {
        let mut events = 0;
        for (index, conversation) in conversations.iter().enumerate() {
            let number = index + 1;
            json::write(out, &TimelineRecord::new(number, conversation))?;
            for event in &conversation.events {
                json::write(out, &EventRecord::new(number, event))?;
                events += 1;
            }
        }
        for gap in gaps {
            json::write(out, &GapRecord::from(gap))?;
        }
        let count = u64::try_from(conversations.len()).unwrap_or(u64::MAX);
        let counts = [("conversations", count), ("events", events)];
        json::write(out, &End::new(counts, gaps))?;
        out.flush()?;
        return Ok(());
    }
    let mut interfaces = Interfaces::new();
    for (index, conversation) in conversations.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let interface = conversation
            .events
            .iter()
            .find_map(|event| match &event.what {
                What::Segment(segment) => interfaces.name(segment.interface?).cloned(),
                _ => None,
            });
        render::write(out, conversation, &context.screen, interface.as_ref())?;
    }
    if conversations.is_empty() {
        let whose = match request.port {
            Some(port) => format!("Nobody spoke on port {port} over TCP."),
            None => "The command had no TCP conversation.".to_owned(),
        };
        writeln!(out, "{whose}")?;
    }
    out.flush()?;
    super::sockets::told::tell_gaps(gaps, context);
    Ok(())
}
