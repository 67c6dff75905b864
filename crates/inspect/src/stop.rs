//! The one stop signal of a run: raised once, seen by every source.
//!
//! It is an eventfd, so that a source waiting in poll() for its own descriptor waits for the
//! end in the same call. It is never read back: raised stays raised.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

/// A handle on the stop signal; clones share it.
#[derive(Debug, Clone)]
pub struct Stop {
    event: Arc<OwnedFd>,
}

impl Stop {
    /// A signal that is not raised.
    ///
    /// # Errors
    /// When the kernel refuses an eventfd (descriptor limit).
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            event: Arc::new(event),
        })
    }

    /// Raises it; more than once is the same as once.
    pub fn raise(&self) {
        // The only failure is a full counter, which is a raised signal already.
        let _ = rustix::io::write(&*self.event, &1u64.to_ne_bytes());
    }

    /// Whether it has been raised.
    pub fn is_raised(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits until it is raised, or for `limit`; tells whether it is raised.
    pub fn wait(&self, limit: Duration) -> bool {
        let mut polled = [PollFd::new(&*self.event, PollFlags::IN)];
        wait_for(&mut polled, Some(limit)).is_ok() && !polled[0].revents().is_empty()
    }
}

impl AsFd for Stop {
    /// Becomes readable when the signal is raised; for poll() only.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Calls poll() until something is ready or `limit` is over, over interruptions.
///
/// # Errors
/// Whatever poll(2) answers, EINTR apart.
pub fn wait_for(polled: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<usize> {
    let deadline = limit.map(|limit| std::time::Instant::now() + limit);
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(std::time::Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        match poll(polled, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raised_once_is_raised_for_every_handle_and_for_ever() {
        let stop = Stop::new().unwrap();
        let other = stop.clone();
        assert!(!other.is_raised());
        stop.raise();
        stop.raise();
        assert!(other.is_raised());
        assert!(other.wait(Duration::from_secs(60)));
    }
}
