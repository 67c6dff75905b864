//! An input that may block, as a pipe that ends with the stop signal.
//!
//! libpcap reads files with stdio, which waits in read(2) for as long as a writer stays silent.
//! So a thread waits in its place, for the input and for the stop signal at once, and hands on
//! what came; when the signal is raised it closes the pipe, which libpcap takes for the end. What
//! the input begins with it tells beforehand: from a pipe nobody can read it twice.

use std::fs;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::stop::{Stop, wait_for};

/// After the stop signal: what a writer that got the same Ctrl-C still hands over.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Bytes taken over at once.
const BATCH: usize = 1 << 16;

/// How many bytes tell the format of a file.
pub(super) const MAGIC: usize = 4;

/// The reading end, and what became of the thread.
pub(super) struct Relay {
    /// The same pipe as is read, to ask whether something is in it.
    pipe: PipeReader,
    failure: Arc<OnceLock<io::Error>>,
    magic: Receiver<[u8; MAGIC]>,
}

impl Relay {
    /// Begins to copy an input.
    pub(super) fn start(input: fs::File, stop: Stop) -> io::Result<(Self, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        let pipe = reader.try_clone()?;
        let failure = Arc::new(OnceLock::new());
        let result = Arc::clone(&failure);
        let (telling, magic) = channel();
        std::thread::Builder::new()
            .name("capture-input".to_owned())
            .spawn(move || {
                if let Err(error) = copy(&input, &writer, &stop, &telling) {
                    // Before the writer is dropped, so that it is known when the end is read.
                    let _ = result.set(error);
                }
            })?;
        let relay = Self {
            pipe,
            failure,
            magic,
        };
        Ok((relay, reader))
    }

    /// What the input begins with, waited for; `None` when it ends before.
    pub(super) fn magic(&self) -> Option<[u8; MAGIC]> {
        self.magic.recv().ok()
    }

    /// Whether nothing is in the pipe: who reads it may have to wait.
    pub(super) fn is_quiet(&self) -> bool {
        let mut polled = [PollFd::new(&self.pipe, PollFlags::IN)];
        matches!(wait_for(&mut polled, Some(Duration::ZERO)), Ok(0))
    }

    /// Whether the input ended by a failure.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    /// Why the input ended, when it was not its end.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failure.get()
    }
}

fn copy(
    input: &fs::File,
    writer: &PipeWriter,
    stop: &Stop,
    telling: &Sender<[u8; MAGIC]>,
) -> io::Result<()> {
    let mut buffer = vec![0; BATCH];
    let mut first = Vec::with_capacity(MAGIC);
    let mut until = None;
    loop {
        if until.is_none() && stop.is_raised() {
            until = Some(Instant::now() + LAST_WORDS);
        }
        let left = until.map(|at: Instant| at.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok(());
        }
        let gone;
        let ready;
        {
            let mut polled = [
                PollFd::new(input, PollFlags::IN),
                // Says nothing but that there is no reader any more.
                PollFd::new(writer, PollFlags::empty()),
                PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
            ];
            let waited = if until.is_some() { 2 } else { 3 };
            wait_for(&mut polled[..waited], left)?;
            ready = !polled[0].revents().is_empty();
            gone = !polled[1].revents().is_empty();
        }
        if gone {
            return Ok(());
        }
        if !ready {
            continue;
        }
        match rustix::io::read(input, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                if first.len() < MAGIC {
                    let missing = (MAGIC - first.len()).min(count);
                    first.extend_from_slice(&buffer[..missing]);
                    if let Some(magic) = first.first_chunk() {
                        // Whoever does not want to know has gone.
                        let _ = telling.send(*magic);
                    }
                }
                if !hand_on(writer, &buffer[..count])? {
                    return Ok(());
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells whether there is still a reader.
fn hand_on(writer: &PipeWriter, mut bytes: &[u8]) -> io::Result<bool> {
    while !bytes.is_empty() {
        match rustix::io::write(writer, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::PIPE) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}
