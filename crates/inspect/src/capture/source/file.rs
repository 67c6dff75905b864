//! Recorded frames: pcap and pcapng files, read by libpcap.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap::{Capture, Offline, Precision};

use super::program::{FilterError, Program, reason};
use crate::capture::{Event, Link, Source, SourceError};
use crate::model::Gap;
use crate::selection::Selection;
use crate::stop::Stop;

/// A capture file.
pub struct File {
    capture: Capture<Offline>,
    link: Link,
    stop: Stop,
    asked: u32,
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
        // libpcap says what the file is not, but not why the system refused it.
        if path != Path::new("-") {
            std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
            if path.is_dir() {
                return Err(failed("it is a directory".to_owned()));
            }
        }
        if path.to_str().is_none() {
            return Err(failed("libpcap takes only names that are UTF-8".to_owned()));
        }
        let mut capture = Capture::from_file_with_precision(path, Precision::Nano)
            .map_err(|error| failed(format!("it is no capture file ({})", reason(&error))))?;
        let link = Link::from_dlt(capture.get_datalink().0);
        if !filter.is_empty() {
            Program::compile(link, filter)?;
        }
        let whole = super::whole_filter([super::selection_filter(selection, link), None], filter);
        if !whole.is_empty() {
            capture
                .filter(&whole, true)
                .map_err(|error| FilterError::new(&whole, &error))?;
        }
        Ok(Self {
            capture,
            link,
            stop,
            asked: 0,
        })
    }
}

impl Source for File {
    fn link(&self) -> Link {
        self.link
    }

    fn next(&mut self) -> Result<Event<'_>, SourceError> {
        self.asked = self.asked.wrapping_add(1);
        if self.asked.is_multiple_of(LOOK_EVERY) && self.stop.is_raised() {
            return Ok(Event::End);
        }
        match self.capture.next_packet() {
            Ok(packet) => Ok(Event::Frame(super::frame(packet.header, packet.data))),
            Err(pcap::Error::NoMorePackets) => Ok(Event::End),
            Err(error) => Err(SourceError::Broken(reason(&error))),
        }
    }

    fn wait(&mut self, _limit: Duration) -> Result<(), SourceError> {
        Ok(())
    }

    fn gaps(&mut self) -> Vec<Gap> {
        Vec::new()
    }
}
