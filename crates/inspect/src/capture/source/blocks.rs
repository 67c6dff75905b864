//! Frames of a pcapng file, block by block.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{self, Read};
use std::rc::Rc;

use super::program::{FilterError, Program, whole_program};
use crate::capture::pcapng::{Damage, Held, Reader};
use crate::capture::{Event, Frame, Link, Recorded, SourceError};
use crate::model::{Gap, Origin};
use crate::selection::Selection;

/// Bytes read at once.
const BATCH: usize = 1 << 18;

/// A pcapng file being read.
pub(super) struct Blocks {
    input: fs::File,
    /// What was read and not given yet stands from `start` to `end`. It grows with what really
    /// comes, not with what a block says of itself.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_over: bool,
    reader: Reader,
    filters: Filters,
    /// By interface of the section.
    passing: Vec<Passing>,
    comments: VecDeque<Vec<u8>>,
    comment: Vec<u8>,
    /// They are on no frame.
    is_remark: bool,
    /// The frame whose comments are given first, and whose block is the one before `start`.
    held: Option<(Held, usize)>,
    /// Frames of link types that the filter cannot be about.
    undecided: u64,
}

/// Which frames of an interface are wanted.
#[derive(Clone)]
enum Passing {
    All,
    Those(Rc<Program>),
    /// The filter cannot be used with such a link.
    Undecided,
}

/// The filter, compiled for every link type that is met.
struct Filters {
    selection: Selection,
    user: String,
    compiled: HashMap<Link, Passing>,
}

/// What stops the reading of a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{}", super::plain(.0))]
    Read(#[from] io::Error),
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error("it ends within a block")]
    Cut,
    #[error("it describes no interface")]
    NoInterface,
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// What stands at the front.
enum Front {
    Comment,
    Remark,
    Frame(Held, usize),
    /// A block that is no frame, or one that is not wanted.
    Passed,
    /// More is to be read first.
    Unfinished,
    End,
}

impl Blocks {
    /// Begins to read: up to the first interface, which is to be known from the beginning.
    pub(super) fn open(
        input: fs::File,
        selection: &Selection,
        filter: &str,
    ) -> Result<Self, Broken> {
        let mut blocks = Self {
            input,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            is_over: false,
            reader: Reader::default(),
            filters: Filters {
                selection: selection.clone(),
                user: filter.to_owned(),
                compiled: HashMap::new(),
            },
            passing: Vec::new(),
            comments: VecDeque::new(),
            comment: Vec::new(),
            is_remark: false,
            held: None,
            undecided: 0,
        };
        while blocks.reader.interfaces() == 0 {
            match blocks.front()? {
                Front::Unfinished => blocks.fill()?,
                Front::End => return Err(Broken::NoInterface),
                Front::Comment | Front::Remark | Front::Frame(..) | Front::Passed => {}
            }
        }
        Ok(blocks)
    }

    /// The link type of the first interface.
    pub(super) fn link(&self) -> Link {
        self.reader.link(0).unwrap_or(Link::Other(-1))
    }

    /// Whether the next event can be given without reading on.
    pub(super) fn is_ready(&self) -> bool {
        let front = &self.buffer[self.start..self.end];
        self.held.is_some()
            || !self.comments.is_empty()
            || self.is_over
            || match self.reader.length(front) {
                Ok(length) => length.is_some_and(|length| front.len() >= length),
                Err(_) => true,
            }
    }

    /// The next event. Waits for the input where it blocks.
    pub(super) fn next(&mut self) -> Result<Event<'_>, Broken> {
        let (held, block) = loop {
            match self.front()? {
                Front::Comment => return Ok(Event::Comment(&self.comment)),
                Front::Remark => return Ok(Event::Remark(&self.comment)),
                Front::Frame(held, block) => break (held, block),
                Front::Passed => {}
                Front::Unfinished => self.fill()?,
                Front::End => return Ok(Event::End),
            }
        };
        Ok(Event::Frame(self.lend(&held, block)))
    }

    /// What the file says was lost.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let mut gaps = self.reader.gaps();
        if self.undecided > 0 {
            gaps.push(Gap::counted(
                Origin::Capture,
                "packets not shown: the filter cannot be used with their link type",
                self.undecided,
            ));
        }
        gaps
    }

    fn lend(&self, held: &Held, block: usize) -> Frame<'_> {
        let bytes = block + held.bytes.start..block + held.bytes.end;
        Frame {
            time: held.time,
            bytes: self.buffer.get(bytes).unwrap_or_default(),
            original_length: held.original_length,
            recorded: Recorded {
                link: self.reader.link(held.interface),
                interface: self.reader.interface(held.interface),
                direction: held.direction,
            },
        }
    }

    fn front(&mut self) -> Result<Front, Broken> {
        if let Some(comment) = self.comments.pop_front() {
            self.comment = comment;
            return Ok(if self.is_remark {
                Front::Remark
            } else {
                Front::Comment
            });
        }
        if let Some((held, block)) = self.held.take() {
            return Ok(Front::Frame(held, block));
        }
        let front = &self.buffer[self.start..self.end];
        let length = self.reader.length(front)?;
        let Some(length) = length.filter(|length| *length <= front.len()) else {
            return match (self.is_over, front.is_empty()) {
                (false, _) => Ok(Front::Unfinished),
                (true, true) => Ok(Front::End),
                (true, false) => Err(Broken::Cut),
            };
        };
        let comments = &mut self.comments;
        let held = self.reader.block(&front[..length], &mut |comment| {
            comments.push_back(comment.to_vec())
        })?;
        self.is_remark = held.is_none();
        let block = self.start;
        self.start += length;
        // Another section begins anew.
        self.passing.truncate(self.reader.interfaces());
        while let Some(link) = self.reader.link(self.passing.len()) {
            let passing = self.filters.passing(link)?;
            self.passing.push(passing);
        }
        // A comment on what is left out may be about what is not.
        if let Some(held) = held {
            let frame = self.lend(&held, block);
            let passes = match self.passing.get(held.interface) {
                Some(Passing::Those(program)) => {
                    program.passes_cut(frame.bytes, frame.original_length)
                }
                Some(Passing::Undecided) => {
                    self.undecided += 1;
                    false
                }
                Some(Passing::All) | None => true,
            };
            self.held = passes.then_some((held, block));
        }
        Ok(Front::Passed)
    }

    /// Reads on, once.
    fn fill(&mut self) -> io::Result<()> {
        if self.buffer.len() - self.end < BATCH / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() - self.end < BATCH / 2 {
                self.buffer.resize(self.end + BATCH, 0);
            }
        }
        match self.input.read(&mut self.buffer[self.end..]) {
            Ok(0) => self.is_over = true,
            Ok(count) => self.end += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Filters {
    /// What of a link type is wanted. The first tells whether the filter can be used at all.
    fn passing(&mut self, link: Link) -> Result<Passing, FilterError> {
        if let Some(passing) = self.compiled.get(&link) {
            return Ok(passing.clone());
        }
        let passing = match whole_program(link, &self.selection, &self.user) {
            Ok(Some(program)) => Passing::Those(Rc::new(program)),
            Ok(None) => Passing::All,
            Err(error) if self.compiled.is_empty() => return Err(error),
            Err(_) => Passing::Undecided,
        };
        self.compiled.insert(link, passing.clone());
        Ok(passing)
    }
}

impl From<Broken> for SourceError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken.to_string())
    }
}
