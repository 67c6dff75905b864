//! `inspect trace`: the calls of processes on their sockets, as they end.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::signals::stop_on_signals;
use super::{Context, Exit, command, machine};
use crate::bpf;
use crate::cli::trace::{Language, Request};
use crate::model::{Gap, Pid};
use crate::render::Screen;
use crate::render::call::{Calls, Explained, Library, summary};
use crate::render::json::{self, CallRecord, CallsRecord, DescriptorRecord, End, GapRecord};
use crate::stop::Stop;
use crate::trace::{self, Call, Event, Kernel, Source, Tally, Touch};

/// How long the ring is left alone. Waking somebody for each record is what tracing costs most.
const POLL: Duration = Duration::from_millis(10);
/// What a command did last may be told after its end.
const DRAIN: Duration = Duration::from_millis(20);

pub(super) fn run(request: &Request, context: &Context) -> anyhow::Result<Exit> {
    let stop = match request.command.is_empty() {
        true => stop_on_signals(),
        // Signals are the command's.
        false => Stop::new(),
    };
    let stop = stop.context("cannot listen for Ctrl-C")?;
    for pid in &request.pids {
        if !Path::new("/proc").join(pid.to_string()).exists() {
            anyhow::bail!("cannot trace process {pid}: there is no such process");
        }
    }
    let mut source = match open(request) {
        Ok(source) => source,
        Err(error @ bpf::Error::Right) => {
            context.say(&format!(
                "inspect: cannot trace: {error}\n  once:    sudo {} {}",
                context.program.display(),
                context.arguments.join(" ")
            ));
            return Ok(Exit::Failed);
        }
        Err(error) => return Err(error).context("cannot trace by BPF"),
    };
    let mut view = View::new(request, context)?;
    view.begin(context)?;
    let launched = match request.command.as_slice() {
        [] => {
            if !request.quiet && !request.json {
                context.hint("Tracing by BPF. Ctrl-C ends, and leaves the programs as they were.");
            }
            None
        }
        words => Some(command::start(words, DRAIN, &stop, &Arc::default())?),
    };
    follow(&mut source, &mut view, request, &stop)?;
    source.finish(&mut |event| view.take(event));
    view.written()?;
    let gaps = source.gaps();
    view.end(&gaps, context)?;
    Ok(match launched {
        Some(launched) => command::finish(&launched, &request.command, context),
        None => Exit::Done,
    })
}

fn open(request: &Request) -> Result<Kernel, bpf::Error> {
    let is_by_number = !request.pids.is_empty();
    let own = Pid(std::process::id());
    let wanted = trace::Request {
        processes: is_by_number.then(|| request.pids.clone()),
        launcher: (!request.command.is_empty()).then_some(own),
        everybody: false,
        name: request
            .process
            .as_ref()
            .map(|name| name.clone().into_bytes()),
        port: request.port,
        network: None,
        choice: request.choice.clone(),
        limit: request.limit,
        states: false,
        room: request.buffer,
    };
    Kernel::open(&wanted)
}

/// Until the stop signal, or the end of the time.
fn follow(
    source: &mut Kernel,
    view: &mut View<'_>,
    request: &Request,
    stop: &Stop,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    // Those that were asked for, and their children.
    let mut alive: HashSet<Pid> = request.pids.iter().copied().collect();
    let is_by_number = !alive.is_empty();
    loop {
        let is_over = stop.wait(POLL) || request.duration.is_some_and(|it| begun.elapsed() >= it);
        source
            .drain(&mut |event| {
                match &event {
                    Event::Fork(process, _) => _ = alive.insert(process.pid),
                    Event::Exit(process) => _ = alive.remove(&process.pid),
                    _ => {}
                }
                view.take(event);
            })
            .context("cannot read what was traced")?;
        view.written()?;
        if is_over || is_by_number && alive.is_empty() {
            return Ok(());
        }
    }
}

/// What is written, and where.
struct View<'a> {
    out: Box<dyn Write + 'a>,
    lines: Calls,
    explained: Option<Explained>,
    tally: Option<Tally>,
    screen: Screen,
    is_json: bool,
    touch: Option<Touch>,
    calls: u64,
    buffer: Vec<u8>,
    failed: Option<io::Error>,
}

impl View<'_> {
    fn new(request: &Request, context: &Context) -> anyhow::Result<Self> {
        let out: Box<dyn Write> = match &request.output {
            None => Box::new(io::stdout().lock()),
            Some(path) => {
                let file = File::create(path);
                let file = file.with_context(|| format!("cannot write {}", path.display()))?;
                Box::new(BufWriter::new(file))
            }
        };
        let mut screen = context.screen;
        if request.output.is_some() {
            screen = Screen::pipe(screen.charset);
        }
        let headings = request.heading.unwrap_or(screen.is_terminal());
        Ok(Self {
            out,
            explained: request.explain.map(|language| {
                let library = match language {
                    Language::Python => Library::Python,
                    Language::C => Library::C,
                };
                Explained::new(screen, library)
            }),
            tally: request.summary.then(Tally::default),
            screen,
            lines: Calls::new(screen, TimeZone::system(), headings),
            is_json: request.json,
            touch: request.port.map(Touch::new),
            calls: 0,
            buffer: Vec::new(),
            failed: None,
        })
    }

    fn begin(&mut self, _context: &Context) -> anyhow::Result<()> {
        if self.is_json {
            let begin = machine::begin("trace", vec!["bpf".to_owned()]);
            json::write(&mut self.out, &begin)?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        let Event::Call(call) = event else { return };
        match self.touch.take() {
            None => self.show(&call),
            Some(mut touch) => {
                touch.take(*call, &mut |call| self.show(&call));
                self.touch = Some(touch);
            }
        }
    }

    fn show(&mut self, call: &Call) {
        self.calls += 1;
        if let Some(tally) = &mut self.tally {
            tally.add(call);
        } else if self.is_json {
            if let Err(error) = json::append(&mut self.buffer, &CallRecord::from(call)) {
                self.failed = Some(error);
            }
        } else if let Some(explained) = &mut self.explained {
            explained.write(&mut self.buffer, call);
        } else {
            self.lines.write(&mut self.buffer, call);
        }
    }

    fn written(&mut self) -> anyhow::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        if !self.buffer.is_empty() {
            self.out.write_all(&self.buffer)?;
            self.out.flush()?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn end(&mut self, gaps: &[Gap], context: &Context) -> anyhow::Result<()> {
        if self.is_json {
            if let Some(tally) = &self.tally {
                for (name, sum) in tally.names() {
                    json::write(&mut self.out, &CallsRecord::new(name, sum))?;
                }
                for on in tally.descriptors() {
                    json::write(&mut self.out, &DescriptorRecord::from(on))?;
                }
            }
            for gap in gaps {
                json::write(&mut self.out, &GapRecord::from(gap))?;
            }
            json::write(&mut self.out, &End::new([("calls", self.calls)], gaps))?;
            self.out.flush()?;
        } else {
            if let Some(tally) = &self.tally {
                summary::write(&mut self.out, tally, self.screen)?;
                self.out.flush()?;
            }
            if let Some(explained) = &self.explained {
                explained.end(&mut self.buffer);
                self.written()?;
            }
            super::sockets::told::tell_gaps(gaps, context);
        }
        Ok(())
    }
}
