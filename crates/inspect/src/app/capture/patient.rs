//! Writing to a reader that may not read: a pipe, a FIFO, a socket.
//!
//! A blocked write(2) would hear neither the stop signal nor the end of `--duration`. So the
//! reader is waited for together with both, and gets a little time after them.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::stop::{Stop, wait_for};

/// After the end, a reader that takes nothing for so long is given up.
const GRACE: Duration = Duration::from_millis(500);
/// And one that takes a little at a time after so long.
const LAST: Duration = Duration::from_secs(5);
/// What a pipe that is ready takes without blocking (PIPE_BUF).
const CHUNK: usize = 4096;

/// A descriptor to write to, until the end.
pub(super) struct Patient {
    to: OwnedFd,
    may_block: bool,
    stop: Stop,
    deadline: Option<Instant>,
    last: Option<Instant>,
    given_up: bool,
}

impl Patient {
    /// Writes to a descriptor; the end is the stop signal, or this time from now.
    pub(super) fn new(to: OwnedFd, stop: Stop, duration: Option<Duration>) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&to)?.st_mode);
        Ok(Self {
            may_block: matches!(kind, FileType::Fifo | FileType::Socket),
            to,
            stop,
            deadline: duration.map(|duration| Instant::now() + duration),
            last: None,
            given_up: false,
        })
    }

    /// Writes to the standard output.
    pub(super) fn stdout(stop: Stop, duration: Option<Duration>) -> io::Result<Self> {
        Self::new(io::stdout().as_fd().try_clone_to_owned()?, stop, duration)
    }

    /// Waits until something can be written.
    fn wait(&mut self) -> io::Result<()> {
        if self.given_up {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        let (ready, stopped) = {
            let mut polled = [
                PollFd::new(&self.to, PollFlags::OUT),
                PollFd::from_borrowed_fd(self.stop.as_fd(), PollFlags::IN),
            ];
            wait_for(&mut polled, self.deadline.map(left))?;
            (
                !polled[0].revents().is_empty(),
                !polled[1].revents().is_empty(),
            )
        };
        let late = self.deadline.is_some_and(|at| Instant::now() >= at);
        if !stopped && !late {
            return Ok(());
        }
        let last = *self.last.get_or_insert_with(|| Instant::now() + LAST);
        let grace = left(last).min(GRACE);
        if ready && !grace.is_zero() {
            return Ok(());
        }
        let mut polled = [PollFd::new(&self.to, PollFlags::OUT)];
        if grace.is_zero() || wait_for(&mut polled, Some(grace))? == 0 {
            self.given_up = true;
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut chunk = bytes;
        if self.may_block {
            self.wait()?;
            chunk = &bytes[..bytes.len().min(CHUNK)];
        }
        loop {
            match rustix::io::write(&self.to, chunk) {
                Err(Errno::INTR) => {}
                // Someone else who has it may have made it non-blocking.
                Err(Errno::AGAIN) => self.wait()?,
                other => return Ok(other?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
