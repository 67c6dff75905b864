//! Where packets go: lines, records, or a file.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::looker::Looker;
use super::patient::Patient;
use super::show::{self, Ends, Known, Watch};
use crate::app::{Context, machine};
use crate::capture::{Direction, Frame, Link, Packet, Relative, Seen, Writer, plain};
use crate::cli::capture::{From, Request, Shape};
use crate::model::{ForeignText, Gap, Origin};
use crate::names::{Interfaces, Users};
use crate::render::Charset;
use crate::render::json::{self, End, GapRecord, PacketRecord};
use crate::render::packet::{Dump, Heading, Line, Lines, TimeOfDay, Totals, summary};
use crate::stop::{Stop, wait_for};

/// Bytes that are written at once when there is no pause.
const BATCH: usize = 1 << 16;

/// Where packets go.
pub(super) struct Output {
    shape: Written,
    stdout: Box<dyn Write>,
    out: Vec<u8>,
    oldest: Option<Instant>,
    charset: Charset,
    users: Users,
    interfaces: Interfaces,
    interface: Option<ForeignText>,
    watch: Watch,
    /// What could not be written of the lines.
    unwritten: Vec<u8>,
    /// A write failed, and what would close the output is not in it.
    is_cut: bool,
}

enum Written {
    Lines(Box<Lines>),
    Json,
    File(Packets),
}

/// A capture file.
struct Packets {
    writer: Writer<Box<dyn Write>>,
    /// `None` is stdout.
    path: Option<PathBuf>,
    /// The same file, where it can be cut.
    file: Option<fs::File>,
}

impl Output {
    /// Opens what is asked for.
    pub(super) fn open(
        request: &Request,
        context: &Context,
        link: Link,
        stop: &Stop,
        stdout: Box<dyn Write>,
        zone: TimeZone,
    ) -> anyhow::Result<Self> {
        let mut stdout = stdout;
        let shape = match (&request.write, request.shape) {
            (Some(path), _) => {
                let out = std::mem::replace(&mut stdout, Box::new(io::sink()));
                Written::File(file(path, request, link, stop, out)?)
            }
            (None, Shape::Json) => Written::Json,
            (
                None,
                Shape::Lines {
                    heading,
                    whole_payloads,
                    dump,
                },
            ) => Written::Lines(Box::new(Lines {
                screen: context.screen,
                headings: heading.unwrap_or(context.screen.is_terminal()),
                whole_payloads,
                dump: dump.map(|dump| Dump {
                    ascii: dump.ascii,
                    link_header: dump.link_header,
                }),
                brief: request.brief,
                clock: TimeOfDay::new(zone),
            })),
        };
        let (interfaces, interface) = match &request.from {
            From::Interface(interface) => {
                let name = interface.as_deref().map(ForeignText::from);
                (Interfaces::new(), name)
            }
            _ => (Interfaces::of_another_machine(), None),
        };
        Ok(Self {
            shape,
            stdout,
            out: Vec::with_capacity(2 * BATCH),
            oldest: None,
            charset: context.screen.charset,
            users: Users::of_this_machine(),
            interfaces,
            interface,
            watch: Watch::default(),
            unwritten: Vec::new(),
            is_cut: false,
        })
    }

    /// Writes what opens the output.
    pub(super) fn begin(&mut self, live: bool) -> io::Result<()> {
        if let Written::Json = self.shape {
            let source = if live { "pcap" } else { "file" };
            let mut sources = vec![source.to_owned()];
            if live {
                sources.push("proc".to_owned());
            }
            json::write(&mut self.out, &machine::begin("capture", sources))?;
            self.flush()?;
        }
        Ok(())
    }

    /// Writes one packet. What the reader does not get at once it gets with
    /// [`Self::flush`].
    pub(super) fn packet(
        &mut self,
        number: u64,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        seen: Option<Seen<'_, Known>>,
        looker: Option<&mut Looker>,
    ) -> io::Result<()> {
        if let Written::File(packets) = &mut self.shape {
            return packets.writer.write(frame);
        }
        let unnamed;
        let interface = match (&self.interface, packet.interface) {
            (Some(name), _) => Some(name),
            (None, Some(index)) => Some(match self.interfaces.name(index) {
                Some(name) => name,
                None => {
                    unnamed = ForeignText::new(format!("if{index}"));
                    &unnamed
                }
            }),
            (None, None) => None,
        };
        let mut seen = seen;
        if let Some(seen) = &mut seen {
            show::attribute(
                seen.conversation,
                seen.is_new,
                packet,
                looker,
                &mut self.watch,
                &mut self.users,
                self.charset,
            );
        }
        match &mut self.shape {
            Written::Lines(lines) => lines_of(
                lines,
                &mut self.out,
                frame,
                packet,
                seen.as_ref(),
                interface,
            ),
            Written::Json => record_of(&mut self.out, number, packet, seen.as_ref(), interface)?,
            Written::File(_) => {}
        }
        if self.out.len() >= BATCH {
            self.flush()?;
        } else if self.oldest.is_none() {
            self.oldest = Some(Instant::now());
        }
        Ok(())
    }

    /// Whether the next look of the looker may tell more than was written.
    pub(super) fn awaits_owners(&self) -> bool {
        self.watch.waits()
    }

    /// Asks who is not known yet, and writes below the headings who has become known.
    pub(super) fn tend_owners(&mut self, looker: &mut Looker) -> io::Result<()> {
        let (out, shape) = (&mut self.out, &self.shape);
        let before = out.len();
        self.watch
            .tend(looker, &mut self.users, self.charset, |ends| {
                if let Written::Lines(lines) = shape {
                    news_of(lines, out, ends);
                }
            });
        if self.out.len() > before {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands everything on.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.oldest = None;
        if let Written::File(packets) = &mut self.shape {
            return packets.writer.flush();
        }
        let mut taken = 0;
        while taken < self.out.len() {
            match self.stdout.write(&self.out[taken..]) {
                Ok(0) => return self.give_up(taken, io::ErrorKind::WriteZero.into()),
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.give_up(taken, error),
            }
        }
        self.out.clear();
        self.stdout.flush()
    }

    /// What could not be written once will not be tried again.
    fn give_up(&mut self, taken: usize, error: io::Error) -> io::Result<()> {
        self.out.drain(..taken);
        self.unwritten = std::mem::take(&mut self.out);
        Err(error)
    }

    /// Hands everything on, if something has waited for long.
    pub(super) fn flush_after(&mut self, patience: Duration) -> io::Result<()> {
        if self
            .oldest
            .is_some_and(|oldest| oldest.elapsed() >= patience)
        {
            self.flush()?;
        }
        Ok(())
    }

    /// Whether the reader of stdout is still there: without traffic, no write would tell.
    pub(super) fn see_reader(&self) -> io::Result<()> {
        if let Written::File(Packets { path: Some(_), .. }) = self.shape {
            return Ok(());
        }
        let stdout = io::stdout();
        let mut polled = [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty())];
        wait_for(&mut polled, Some(Duration::ZERO))?;
        if polled[0].revents().contains(PollFlags::ERR) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    /// Writes what closes the output.
    pub(super) fn end(&mut self, totals: &Totals, gaps: &[Gap]) -> anyhow::Result<()> {
        if let Written::Json = self.shape {
            for gap in gaps {
                json::write(&mut self.out, &GapRecord::from(gap))?;
            }
            let counts = [
                ("packet", totals.packets),
                ("conversation", totals.conversations),
                ("payload_bytes", totals.payload),
                ("malformed", totals.malformed),
            ];
            json::write(&mut self.out, &End::new(counts, gaps))?;
        }
        self.flush()?;
        Ok(())
    }

    /// After a failed write: leaves a capture file that can be read, and tells how many of the
    /// packets did not get into it.
    pub(super) fn close(&mut self, totals: &Totals) -> Option<Gap> {
        self.is_cut = true;
        let Written::File(packets) = &self.shape else {
            return None;
        };
        if let Some(file) = &packets.file {
            // It is an error already; a file that cannot be cut is one that ends within a packet.
            let _ = file.set_len(packets.writer.whole());
        }
        match totals.packets.saturating_sub(packets.writer.written()) {
            0 => None,
            count => Some(Gap::counted(Origin::Capture, "packets not written", count)),
        }
    }

    /// A failed write, with its object and in plain words.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(cause) = error.downcast_ref::<io::Error>() else {
            return error;
        };
        let name = match &self.shape {
            Written::File(Packets {
                path: Some(path), ..
            }) => path.display().to_string(),
            _ => "to stdout".to_owned(),
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
    pub(super) fn summary(&self, context: &Context, totals: &Totals, gaps: &[Gap], live: bool) {
        let is_json = matches!(self.shape, Written::Json) && !self.is_cut;
        if gaps.is_empty() && (is_json || context.quiet) {
            return;
        }
        context.say(&summary(totals, gaps, live));
    }
}

/// What has become known since the heading.
fn news_of(lines: &Lines, out: &mut Vec<u8>, ends: &Ends) {
    if !lines.headings {
        return;
    }
    let [client, server] = &ends.labels;
    let heading = Heading {
        number: ends.number,
        client,
        server,
        interface: None,
        began_earlier: false,
    };
    heading.write_again(out, &lines.screen);
}

fn lines_of(
    lines: &mut Lines,
    out: &mut Vec<u8>,
    frame: &Frame<'_>,
    packet: &Packet<'_>,
    seen: Option<&Seen<'_, Known>>,
    interface: Option<&ForeignText>,
) {
    let mut line = Line {
        packet,
        bytes: frame.bytes,
        relative: Relative::default(),
        conversation: None,
        interface,
        ends: None,
    };
    let known = seen.map(|seen| Known::clone(&seen.conversation.note));
    let mut note = known.as_ref().map(|known| known.borrow_mut());
    if let Some(note) = &mut note
        && note.has_news()
    {
        news_of(lines, out, note);
        note.is_told();
    }
    if let (Some(seen), Some(note)) = (seen, &note) {
        let conversation = &seen.conversation;
        let [client, server] = &note.labels;
        if seen.is_new && lines.headings {
            let is_tcp = packet
                .segment()
                .is_some_and(|segment| segment.tcp.is_some());
            let heading = Heading {
                number: conversation.number,
                client,
                server,
                interface,
                began_earlier: is_tcp && !conversation.opening_seen(),
            };
            heading.write(out, &lines.screen);
        }
        line.relative = seen.relative;
        let direction = conversation.direction(seen.source);
        line.conversation = Some((conversation.number, direction));
        line.ends = Some(match direction {
            Direction::Forth => (client, server),
            Direction::Back => (server, client),
        });
        if lines.headings && packet.interface == note.interface {
            line.interface = None;
        }
    }
    lines.write(out, &line);
}

fn record_of(
    out: &mut Vec<u8>,
    number: u64,
    packet: &Packet<'_>,
    seen: Option<&Seen<'_, Known>>,
    interface: Option<&ForeignText>,
) -> io::Result<()> {
    let mut owners = None;
    let note = seen.map(|seen| seen.conversation.note.borrow());
    if let (Some(seen), Some(note)) = (seen, &note) {
        let [client, server] = &note.sides;
        owners = Some(match seen.conversation.direction(seen.source) {
            Direction::Forth => (client, server),
            Direction::Back => (server, client),
        });
    }
    let relative = seen.map_or(Relative::default(), |seen| seen.relative);
    let conversation = seen.map(|seen| seen.conversation.number);
    let record = PacketRecord::new(number, packet, interface, conversation, relative, owners);
    json::write(out, &record)
}

fn file(
    path: &Path,
    request: &Request,
    link: Link,
    stop: &Stop,
    stdout: Box<dyn Write>,
) -> anyhow::Result<Packets> {
    if matches!(&request.from, From::File(from) if super::same_file(from, path)) {
        anyhow::bail!("cannot write {}: it is the file to read", path.display());
    }
    let begin = |out| Writer::begin(out, link, request.snaplen);
    if path == Path::new("-") {
        if io::stdout().is_terminal() {
            anyhow::bail!("a capture file is not for a terminal (-w FILE, or a pipe behind -w -)");
        }
        return Ok(Packets {
            writer: begin(stdout),
            path: None,
            file: None,
        });
    }
    let failed =
        |error: io::Error| anyhow::anyhow!("cannot write {}: {}", path.display(), plain(&error));
    let file = create(path, stop).map_err(failed)?;
    let is_file = file.metadata().map_err(failed)?.is_file();
    let cut = is_file
        .then(|| file.try_clone())
        .transpose()
        .map_err(failed)?;
    let out = Patient::new(file.into(), stop.clone(), request.duration).map_err(failed)?;
    Ok(Packets {
        writer: begin(Box::new(out)),
        path: Some(path.to_owned()),
        file: cut,
    })
}

/// How often it is seen whether a FIFO has a reader.
const READER_SOON: Duration = Duration::from_millis(50);

/// Creates a file. The reader of a FIFO is waited for as long as the stop signal is not raised.
fn create(path: &Path, stop: &Stop) -> io::Result<fs::File> {
    let is_fifo = fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo());
    if !is_fifo {
        return fs::File::create(path);
    }
    loop {
        let opened = fs::OpenOptions::new()
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(path);
        match opened {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => {
                if stop.wait(READER_SOON) {
                    return Err(io::Error::other("nobody reads it"));
                }
            }
            other => return other,
        }
    }
}
