//! Recorded frames: the usual pcap files and pcapng, read by ourselves, and the rest by libpcap.
//!
//! The file is opened here, once, and libpcap is given the descriptor: a FIFO opened twice loses
//! its writer, and a name need not be UTF-8. What is no regular file goes through a [`Relay`].

// libpcap is given a descriptor to own.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap::{Capture, Offline, Precision};

use super::blocks::{Blocks, Broken};
use super::program::{FilterError, Program, reason, whole_program};
use super::records::{self, Records};
use super::relay::{MAGIC, Relay};
use crate::capture::{Event, Link, Source, SourceError};
use crate::model::Gap;
use crate::selection::Selection;
use crate::stop::Stop;

/// A capture file.
pub struct File {
    format: Format,
    link: Link,
    stop: Stop,
    asked: u32,
    /// Between us and an input that may block.
    relay: Option<Relay>,
    /// It has been said that nothing is there now; the next read may wait.
    quiet_said: bool,
}

enum Format {
    /// Read here.
    Records(Records),
    /// Read by libpcap.
    Pcap(Capture<Offline>),
    Pcapng(Box<Blocks>),
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

/// A file cannot be read as a capture.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened, or is no capture.
    #[error("cannot read {}: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system or libpcap says.
        reason: String,
    },
    /// The filter is not understood.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// Frames between two looks at the stop signal, which is a system call.
const LOOK_EVERY: u32 = 1024;

impl File {
    /// Whether its format has a place for comments.
    pub fn may_have_comments(&self) -> bool {
        matches!(self.format, Format::Pcapng(_))
    }

    /// Opens a file; `-` is the standard input. Only what passes the filter, and may be
    /// selected, is given.
    ///
    /// # Errors
    /// When it cannot be opened, is no capture, or the filter is not understood.
    pub fn open(
        path: &Path,
        selection: &Selection,
        filter: &str,
        stop: Stop,
    ) -> Result<Self, FileError> {
        let failed = |reason| FileError::Open {
            path: path.to_owned(),
            reason,
        };
        let refused = |error: io::Error| failed(super::plain(&error));
        // libpcap says what the file is not, but not why the system refused it.
        let input = open(path).map_err(refused)?;
        let metadata = input.metadata().map_err(refused)?;
        if metadata.is_dir() {
            return Err(failed("it is a directory".to_owned()));
        }
        let (relay, descriptor) = if metadata.is_file() {
            (None, OwnedFd::from(input))
        } else {
            let (relay, pipe) = Relay::start(input, stop.clone()).map_err(refused)?;
            (Some(relay), OwnedFd::from(pipe))
        };
        let no_capture = |error: &dyn std::fmt::Display| {
            failed(if relay.is_some() && stop.is_raised() {
                "it was ended before the header of a capture file came".to_owned()
            } else {
                format!("it is no capture file ({error})")
            })
        };
        let descriptor = fs::File::from(descriptor);
        let magic = match &relay {
            Some(relay) => relay.magic(),
            None => magic(&descriptor).map_err(refused)?,
        };
        let (format, link) = if magic == Some(PCAPNG) {
            let blocks = match Blocks::open(descriptor, selection, filter) {
                Ok(blocks) => blocks,
                Err(Broken::Filter(error)) => return Err(error.into()),
                Err(error) => return Err(no_capture(&error)),
            };
            let link = blocks.link();
            (Format::Pcapng(Box::new(blocks)), link)
        } else if relay.is_none()
            && let Some(style) = style(&descriptor).map_err(refused)?
        {
            let filter = whole_program(style.link, selection, filter)?;
            let place = rustix::fs::tell(&descriptor).map_err(|it| refused(it.into()))?;
            let behind = rustix::fs::SeekFrom::Start(place + records::HEADER as u64);
            rustix::fs::seek(&descriptor, behind).map_err(|it| refused(it.into()))?;
            let records = Records::new(descriptor, style, filter);
            (Format::Records(records), style.link)
        } else {
            // SAFETY: the descriptor is ours, open, and given away here: nobody else closes it.
            let capture = unsafe {
                Capture::from_raw_fd_with_precision(descriptor.into_raw_fd(), Precision::Nano)
            };
            let mut capture = capture.map_err(|error| no_capture(&reason(&error)))?;
            let link = Link::from_dlt(capture.get_datalink().0);
            set_filter(&mut capture, link, selection, filter)?;
            (Format::Pcap(capture), link)
        };
        Ok(Self {
            format,
            link,
            stop,
            asked: 0,
            relay,
            quiet_said: true,
        })
    }
}

fn set_filter(
    capture: &mut Capture<Offline>,
    link: Link,
    selection: &Selection,
    filter: &str,
) -> Result<(), FilterError> {
    if !filter.is_empty() {
        Program::compile(link, filter)?;
    }
    let whole = super::whole_filter([super::selection_filter(selection, link), None], filter);
    if whole.is_empty() {
        return Ok(());
    }
    capture
        .filter(&whole, true)
        .map_err(|error| FilterError::new(&whole, &error))
}

/// What a pcapng file begins with, in either byte order.
const PCAPNG: [u8; MAGIC] = [0x0a, 0x0d, 0x0d, 0x0a];

/// What a file begins with, from where it stands: the shell may have read some of it.
fn magic(file: &fs::File) -> io::Result<Option<[u8; MAGIC]>> {
    let place = rustix::fs::tell(file)?;
    let mut magic = [0; MAGIC];
    match file.read_exact_at(&mut magic, place) {
        Ok(()) => Ok(Some(magic)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// How a file is written, where it is one of those that are read here.
fn style(file: &fs::File) -> io::Result<Option<records::Style>> {
    let place = rustix::fs::tell(file)?;
    let mut header = [0; records::HEADER];
    match file.read_exact_at(&mut header, place) {
        Ok(()) => Ok(records::Style::of(&header)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The end of the file, unless its input failed.
fn end(relay: Option<&Relay>) -> Result<Event<'static>, SourceError> {
    match relay.and_then(Relay::failure) {
        Some(error) => Err(SourceError::Broken(super::plain(error))),
        None => Ok(Event::End),
    }
}

/// Opens a file to read. A FIFO is opened without waiting for its writer, which is waited for
/// together with the stop signal.
fn open(path: &Path) -> io::Result<fs::File> {
    if path == Path::new("-") {
        return Ok(io::stdin().as_fd().try_clone_to_owned()?.into());
    }
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

impl Source for File {
    fn link(&self) -> Link {
        self.link
    }

    fn origin(&self) -> &'static str {
        match self.format {
            Format::Records(_) => "from a pcap file",
            Format::Pcap(_) => "by libpcap",
            Format::Pcapng(_) => "from a pcapng file",
        }
    }

    fn next(&mut self) -> Result<Event<'_>, SourceError> {
        if let Some(relay) = &self.relay {
            let is_ready = match &self.format {
                Format::Records(_) | Format::Pcap(_) => false,
                Format::Pcapng(blocks) => blocks.is_ready(),
            };
            if !self.quiet_said && !is_ready && relay.is_quiet() {
                self.quiet_said = true;
                return Ok(Event::Quiet);
            }
            self.quiet_said = false;
        } else {
            self.asked = self.asked.wrapping_add(1);
            if self.asked.is_multiple_of(LOOK_EVERY) && self.stop.is_raised() {
                return Ok(Event::End);
            }
        }
        let capture = match &mut self.format {
            Format::Records(records) => return records.next(),
            Format::Pcap(capture) => capture,
            Format::Pcapng(blocks) => {
                return match blocks.next() {
                    Ok(Event::End) => end(self.relay.as_ref()),
                    // The relay ends where the stop signal finds it, or its failure.
                    Err(Broken::Cut) if self.relay.is_some() && self.stop.is_raised() => {
                        Ok(Event::End)
                    }
                    Err(Broken::Cut) if self.relay.as_ref().is_some_and(Relay::has_failed) => {
                        end(self.relay.as_ref())
                    }
                    other => Ok(other?),
                };
            }
        };
        match capture.next_packet() {
            Ok(packet) => Ok(Event::Frame(super::frame(packet.header, packet.data))),
            Err(pcap::Error::NoMorePackets) => end(self.relay.as_ref()),
            // The relay ends where the stop signal finds it, also within a frame.
            Err(_) if self.relay.is_some() && self.stop.is_raised() => Ok(Event::End),
            Err(error) => Err(SourceError::Broken(reason(&error))),
        }
    }

    /// Does not wait: what is quiet may have a frame in libpcap's buffer. The next read waits.
    fn wait(&mut self, _limit: Duration) -> Result<(), SourceError> {
        Ok(())
    }

    fn gaps(&mut self) -> Vec<Gap> {
        match &self.format {
            Format::Records(_) | Format::Pcap(_) => Vec::new(),
            Format::Pcapng(blocks) => blocks.gaps(),
        }
    }
}
