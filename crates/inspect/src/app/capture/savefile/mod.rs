//! The files that a capture is written into, one after the other.
//!
//! At a seam the old file is finished, then the next is opened and has its header, and only then
//! the old one is closed; the frame that came meanwhile is the first of the next. Nothing is lost,
//! and where the next cannot be opened the old one can be read.

mod names;
mod target;
mod writing;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::patient::Patient;
use crate::capture::{Described, Frame, Link, Packet, WritingProgram};
use crate::cli::capture::{From, Request};
use crate::cli::savefile::{Format, Rotation};
use crate::clock;
use crate::model::{ForeignText, Gap, Timestamp};
use crate::stop::Stop;
use names::Names;
pub(super) use target::open;
use writing::{Writing, Written};

/// Opens a file to write, by its name. What it takes for that beside the name is its own: the
/// rights that opened the first may be gone.
pub(super) type Open = Box<dyn FnMut(&Path) -> io::Result<fs::File>>;

/// Where the frames of a capture go.
pub(super) struct Savefile {
    how: How,
    names: Names,
    open: Open,
    current: Option<Writing>,
    is_stdout: bool,
    /// When the file of this name began, in seconds.
    began: Option<i64>,
    /// Of the files begun by size.
    number: u32,
    /// Files ended by time.
    turns: u32,
    /// Files begun.
    files: u64,
    /// Frames in the files before.
    before: u64,
    lost: Lost,
    /// What a failure is about, where that is not the file being written.
    blamed: Option<PathBuf>,
}

/// How each file is written.
struct How {
    format: Format,
    rotation: Rotation,
    whole: Described,
    is_live: bool,
    program: WritingProgram,
    stop: Stop,
    duration: Option<Duration>,
}

/// What was lost so far, and how much of that the files before have said.
#[derive(Debug, Default)]
struct Lost {
    known: Vec<Gap>,
    said: Vec<Gap>,
    asked: Option<Instant>,
}

/// How often it is asked what was lost, so that each file has its own.
const ASK_EVERY: Duration = Duration::from_millis(40);

impl Savefile {
    /// Opens the first file; `stdout` is taken for `-`.
    pub(super) fn open(
        path: &Path,
        request: &Request,
        link: Link,
        stop: &Stop,
        zone: TimeZone,
        stdout: Option<Box<dyn Write>>,
        open: Open,
    ) -> anyhow::Result<Self> {
        let saving = request.saving;
        let name = match &request.from {
            From::Interface(Some(name)) => Some(ForeignText::from(name.as_str())),
            From::Interface(None) => Some(ForeignText::from(crate::capture::INTERFACES)),
            From::File(_) | From::List => None,
        };
        let mut savefile = Self {
            how: How {
                format: saving.format,
                rotation: saving.rotation,
                whole: Described {
                    link,
                    snaplen: request.snaplen,
                    name,
                },
                is_live: matches!(request.from, From::Interface(_)),
                program: program(),
                stop: stop.clone(),
                duration: request.duration,
            },
            names: Names::new(path, saving.rotation, zone),
            open,
            current: None,
            is_stdout: stdout.is_some(),
            began: None,
            number: 0,
            turns: 0,
            files: 0,
            before: 0,
            lost: Lost::default(),
            blamed: None,
        };
        if let Some(stdout) = stdout {
            savefile.current = Some(savefile.how.begin(stdout));
            savefile.files = 1;
        } else if savefile.how.is_live || saving.rotation.seconds.is_none() {
            let now = clock::now();
            savefile
                .next(now)
                .map_err(|error| savefile.explain(&error))?;
        }
        Ok(savefile)
    }

    /// Whether it is stdout.
    pub(super) fn is_stdout(&self) -> bool {
        self.is_stdout
    }

    /// Counts the files; what a file is to say once is said again when this changes.
    pub(super) fn files(&self) -> u64 {
        self.files
    }

    /// Whether owners are of use.
    pub(super) fn has_owners(&self) -> bool {
        self.how.format == Format::Pcapng
    }

    /// Whether a frame of this time comes after all the files that were asked for: `-G` with `-W`.
    pub(super) fn is_over_at(&self, time: Timestamp) -> bool {
        let rotation = self.how.rotation;
        match (rotation.count, rotation.size) {
            (Some(count), None) => self.turns + 1 >= count && self.is_late(time),
            _ => false,
        }
    }

    fn is_late(&self, time: Timestamp) -> bool {
        let age = self.began.map(|began| time.seconds().saturating_sub(began));
        let limit = self.how.rotation.seconds.map(i64::from);
        age.zip(limit).is_some_and(|(age, limit)| age >= limit)
    }

    /// Whether another file begins with a frame of this time.
    pub(super) fn is_turn_at(&self, time: Timestamp) -> bool {
        self.current
            .as_ref()
            .is_none_or(|current| self.is_late(time) || self.is_large(current))
    }

    fn is_large(&self, current: &Writing) -> bool {
        let limit = self.how.rotation.size;
        limit.is_some_and(|limit| current.length() > limit)
    }

    /// Begins another file with a frame of this time.
    pub(super) fn turn(&mut self, time: Timestamp) -> io::Result<()> {
        if self.current.is_some() {
            if self.is_late(time) {
                self.turns += 1;
                self.number = 0;
            } else {
                self.number += 1;
            }
            // With -G too, -W is about names alone, as in tcpdump.
            if let (Some(count), None) = (self.how.rotation.count, self.how.rotation.seconds) {
                self.number %= count;
            }
        }
        self.next(time)
    }

    pub(super) fn write(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        interface: Option<&ForeignText>,
        comment: Option<&str>,
    ) -> io::Result<()> {
        match &mut self.current {
            Some(current) => current.write(&Written {
                frame,
                packet,
                interface,
                comment,
            }),
            None => Ok(()),
        }
    }

    /// Writes a comment on what was written before.
    pub(super) fn remark(&mut self, comment: &str) {
        if let Some(current) = &mut self.current {
            current.remark(clock::now(), comment);
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), Writing::flush)
    }

    /// Whether it should be told what was lost so far.
    pub(super) fn asks_for_gaps(&mut self) -> bool {
        let rotates = self
            .how
            .rotation
            .size
            .or(self.how.rotation.seconds.map(u64::from));
        let asks = self.has_owners()
            && rotates.is_some()
            && self
                .lost
                .asked
                .is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if asks {
            self.lost.asked = Some(Instant::now());
        }
        asks
    }

    /// What was lost so far.
    pub(super) fn tell_gaps(&mut self, gaps: &[Gap]) {
        self.lost.known = gaps.to_vec();
    }

    /// Ends the last file.
    pub(super) fn end(&mut self, gaps: &[Gap]) -> io::Result<()> {
        if self.current.is_none() {
            self.next(clock::now())?;
        }
        self.tell_gaps(gaps);
        self.finish()
    }

    /// After a failed write: leaves files that can be read, and tells how many frames they have.
    pub(super) fn close(&mut self) -> u64 {
        let Some(current) = &self.current else {
            return self.before;
        };
        current.cut();
        self.before + current.frames()
    }

    /// The file that a failure is about; `None` is stdout.
    pub(super) fn path(&self) -> Option<&Path> {
        let current = self.current.as_ref().and_then(|it| it.path.as_deref());
        self.blamed.as_deref().or(current)
    }

    fn explain(&self, error: &io::Error) -> anyhow::Error {
        let path = self.path().unwrap_or(Path::new("-"));
        anyhow::anyhow!(
            "cannot write {}: {}",
            path.display(),
            crate::capture::plain(error)
        )
    }

    /// Finishes the file being written; it stays open.
    fn finish(&mut self) -> io::Result<()> {
        let gaps = self.lost.not_said();
        match &mut self.current {
            Some(current) => current.finish(clock::now(), &gaps),
            None => Ok(()),
        }
    }

    /// Finishes the file being written, and begins the next.
    fn next(&mut self, time: Timestamp) -> io::Result<()> {
        let may_turn = self.how.rotation.size.is_some() || self.how.rotation.seconds.is_some();
        self.finish()?;
        let path = self.names.name(time, self.number);
        self.blamed = Some(path.clone());
        let file = (self.open)(&path)?;
        if let Some(current) = &mut self.current {
            // It may be the same file, which is empty now.
            current.file = None;
        }
        let metadata = file.metadata()?;
        let cut = metadata.is_file().then(|| file.try_clone()).transpose()?;
        let out = Patient::new(file.into(), self.how.stop.clone(), self.how.duration)?;
        let mut next = self.how.begin(Box::new(out));
        if may_turn && self.current.is_some() {
            // A file of which not even the header has room is no file.
            next.flush().inspect_err(|_| {
                if metadata.is_file() {
                    let _ = fs::remove_file(&path);
                }
            })?;
        }
        next.path = Some(path);
        next.file = cut;
        if let Some(done) = self.current.replace(next) {
            self.before += done.frames();
        }
        self.blamed = None;
        if self.number == 0 && (self.began.is_none() || self.is_late(time)) {
            self.began = Some(time.seconds());
        }
        self.files += 1;
        Ok(())
    }
}

impl How {
    fn begin(&self, out: Box<dyn Write>) -> Writing {
        match self.format {
            Format::Pcap => Writing::pcap(out, self.whole.link, self.whole.snaplen),
            Format::Pcapng => Writing::pcapng(out, &self.program, self.whole.clone(), self.is_live),
        }
    }
}

impl Lost {
    /// What the file being finished is to say.
    fn not_said(&mut self) -> Vec<Gap> {
        let mut news = Vec::new();
        for gap in &self.known {
            let said = self
                .said
                .iter()
                .find(|said| said.source == gap.source && said.reason == gap.reason);
            match (said, gap.count) {
                (None, _) => news.push(gap.clone()),
                (Some(_), None) => {}
                (Some(said), Some(count)) => {
                    let more = count.saturating_sub(said.count.unwrap_or(0));
                    if more > 0 {
                        news.push(Gap::counted(gap.source, gap.reason.clone(), more));
                    }
                }
            }
        }
        self.said.clone_from(&self.known);
        news
    }
}

fn program() -> WritingProgram {
    let system = rustix::system::uname();
    WritingProgram {
        system: format!(
            "{} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy()
        ),
        application: concat!("inspect ", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}
