//! Where packets go: lines, records, or a file.

mod ending;
mod files;
mod written;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags};

use super::follow::{Follow, Paper};
use super::looker::Looker;
use super::overview::Overview;
use super::recalled::Recalled;
use super::savefile::{self, Savefile};
use super::show::{self, Known, Late, Watch, Witnesses};
use crate::app::{Context, machine};
use crate::capture::{Frame, Link, Packet, Seen};
use crate::cli::capture::{From, Request, Shape};
use crate::model::{ForeignText, Gap, Timestamp};
use crate::names::{Interfaces, Users};
use crate::render::Charset;
use crate::render::json;
use crate::render::packet::{Dialogue, Dump, Lines, TimeOfDay};
use crate::stop::{Stop, wait_for};
use crate::streams::Mark;
use written::{News, course_of, lines_of, record_of};

/// Bytes that are written at once when there is no pause.
const BATCH: usize = 1 << 16;

/// Where packets go.
pub(super) struct Output {
    shape: Shown,
    savefile: Option<Savefile>,
    stdout: Box<dyn Write>,
    out: Vec<u8>,
    oldest: Option<Instant>,
    charset: Charset,
    users: Users,
    interfaces: Interfaces,
    interface: Option<ForeignText>,
    watch: Watch,
    /// What a file says of owners.
    pub(super) recalled: Recalled,
    late: Late,
    /// What could not be written of the lines.
    unwritten: Vec<u8>,
    /// A write failed, and what would close the output is not in it.
    is_cut: bool,
}

/// What is written whole, at the end.
impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        if self.out.len() >= BATCH {
            Self::flush(self)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self)
    }
}

enum Shown {
    Lines(Box<Lines>),
    Json,
    Follow(Box<Follow>),
    Overview(Box<Overview>),
    /// They go into a file alone.
    Nothing,
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
        let savefile = match &request.write {
            Some(path) => {
                let out = (path == Path::new("-"))
                    .then(|| std::mem::replace(&mut stdout, Box::new(io::sink())));
                Some(savefile::open(
                    path, request, context, link, stop, &zone, out,
                )?)
            }
            None => None,
        };
        let shape = match request.shape {
            _ if savefile.is_some() && !request.saving.print => Shown::Nothing,
            Shape::Json if request.follow => {
                Shown::Follow(Box::new(Follow::new(request.stream_memory, None)))
            }
            Shape::Lines { heading, .. } if request.follow => {
                let dialogue = Dialogue {
                    screen: context.screen,
                    headings: heading.unwrap_or(context.screen.is_terminal()),
                    clock: TimeOfDay::new(zone),
                };
                Shown::Follow(Box::new(Follow::new(request.stream_memory, Some(dialogue))))
            }
            shape if request.summary => {
                let screen = (shape != Shape::Json).then_some(context.screen);
                Shown::Overview(Box::new(Overview::new(screen, context.screen.charset)))
            }
            Shape::Json => Shown::Json,
            Shape::Lines {
                heading,
                whole_payloads,
                dump,
            } => Shown::Lines(Box::new(Lines {
                screen: context.screen,
                headings: heading.unwrap_or(context.screen.is_terminal()),
                whole_payloads,
                dump: dump.map(|dump| Dump {
                    ascii: dump.ascii,
                    link_header: dump.link_header,
                }),
                brief: request.brief,
                all_options: context.verbose,
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
            savefile,
            stdout,
            out: Vec::with_capacity(2 * BATCH),
            oldest: None,
            charset: context.screen.charset,
            users: Users::of_this_machine(),
            interfaces,
            interface,
            watch: Watch::default(),
            recalled: Recalled::default(),
            late: Late::default(),
            unwritten: Vec::new(),
            is_cut: false,
        })
    }

    /// Writes what opens the output.
    pub(super) fn begin(&mut self, sources: &[String]) -> io::Result<()> {
        if self.is_json() {
            json::write(&mut self.out, &machine::begin("capture", sources.to_vec()))?;
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
        is_copy: bool,
    ) -> io::Result<Option<Mark>> {
        let notes = self.notes_owners();
        let recorded = frame.recorded.interface.and_then(|it| it.name.as_ref());
        let name = match (self.interface.as_ref().or(recorded), packet.interface) {
            (None, Some(index)) => self.interfaces.name(index),
            (name, _) => name,
        };
        let shows = !matches!(self.shape, Shown::Nothing);
        let mut seen = seen;
        if let Some(seen) = &mut seen
            && (shows || notes)
        {
            show::attribute(
                seen.conversation,
                seen.is_new,
                packet,
                Witnesses {
                    looker,
                    recalled: &mut self.recalled,
                },
                &mut self.watch,
                &mut self.users,
                self.charset,
            );
        }
        if let Some(savefile) = &mut self.savefile {
            if savefile.is_turn_at(frame.time) {
                files::note_late(savefile, &mut self.late);
                savefile.turn(frame.time)?;
            }
            let file = savefile.files();
            let comment = match &seen {
                Some(seen) if notes => seen.conversation.note.borrow_mut().comment(file),
                _ => None,
            };
            savefile.write(frame, packet, name, comment.as_deref())?;
        }
        if !shows {
            return Ok(None);
        }
        let mark = seen
            .as_ref()
            .and_then(|seen| course_of(seen, packet, is_copy));
        let unnamed;
        let interface = match (name, packet.interface) {
            (None, Some(index)) => {
                unnamed = ForeignText::new(format!("if{index}"));
                Some(&unnamed)
            }
            (name, _) => name,
        };
        match &mut self.shape {
            Shown::Lines(lines) => {
                lines_of(
                    lines,
                    &mut self.out,
                    frame,
                    packet,
                    mark,
                    seen.as_ref(),
                    interface,
                );
            }
            Shown::Json => {
                record_of(
                    &mut self.out,
                    number,
                    packet,
                    mark,
                    seen.as_ref(),
                    interface,
                )?;
            }
            Shown::Overview(overview) => {
                if let Some(seen) = &seen {
                    overview.packet(seen);
                }
            }
            Shown::Follow(follow) => {
                // What a copy says was said.
                if let Some(seen) = seen.as_ref().filter(|_| !is_copy) {
                    let paper = &mut Paper {
                        out: &mut self.out,
                        interfaces: &mut self.interfaces,
                        interface: self.interface.as_ref(),
                    };
                    follow.packet(packet, seen, paper)?;
                }
            }
            Shown::Nothing => {}
        }
        if self.out.len() >= BATCH {
            self.flush()?;
        } else if self.oldest.is_none() {
            self.oldest = Some(Instant::now());
        }
        Ok(mark)
    }

    /// Whether the next look of the looker may tell more than was written.
    pub(super) fn awaits_owners(&self) -> bool {
        self.watch.waits()
    }

    /// Asks who is not known yet, and writes below the headings who has become known.
    pub(super) fn tend_owners(&mut self, looker: &mut Looker) -> io::Result<()> {
        let before = self.out.len();
        let notes = self.notes_owners();
        let mut news = News {
            shape: &self.shape,
            late: notes.then_some(&mut self.late),
            out: &mut self.out,
        };
        self.watch
            .tend(looker, &mut self.users, self.charset, |known, ends| {
                news.tell(known, ends)
            });
        if self.out.len() > before {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands everything on.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.oldest = None;
        if let Some(savefile) = &mut self.savefile {
            savefile.flush()?;
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
        let is_used = match &self.savefile {
            Some(savefile) => savefile.is_stdout() || !matches!(self.shape, Shown::Nothing),
            None => true,
        };
        if !is_used {
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

    fn is_json(&self) -> bool {
        match &self.shape {
            Shown::Json => true,
            Shown::Follow(follow) => follow.dialogue().is_none(),
            Shown::Overview(overview) => overview.is_json(),
            _ => false,
        }
    }

    /// What time brings for streams that are followed; every packet from before `now` was shown.
    pub(super) fn settle(&mut self, now: Timestamp) -> io::Result<()> {
        self.streams(|follow, paper| follow.settle(now, paper))
    }

    /// Writes what streams that are followed still have; gives what they lack.
    pub(super) fn finish_streams(&mut self) -> io::Result<Vec<Gap>> {
        self.streams(Follow::finish)?;
        // Many rows are handed on as they are made.
        let shape = std::mem::replace(&mut self.shape, Shown::Nothing);
        let gaps = match &shape {
            Shown::Follow(follow) => Ok(follow.gaps()),
            Shown::Overview(overview) => overview.write(self).map(|()| overview.gaps()),
            _ => Ok(Vec::new()),
        };
        self.shape = shape;
        gaps
    }

    fn streams(
        &mut self,
        act: impl FnOnce(&mut Follow, &mut Paper<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Shown::Follow(follow) = &mut self.shape else {
            return Ok(());
        };
        let before = self.out.len();
        let paper = &mut Paper {
            out: &mut self.out,
            interfaces: &mut self.interfaces,
            interface: self.interface.as_ref(),
        };
        act(follow, paper)?;
        if self.out.len() > before && self.oldest.is_none() {
            self.oldest = Some(Instant::now());
        }
        Ok(())
    }
}
