//! One command, from its start to its end.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, set_child_subreaper, waitid,
    waitpid,
};

/// A command could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {}: {}", command.display(), reason(cause))]
pub struct LaunchError {
    /// Its first word.
    command: OsString,
    cause: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such command".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be run".to_owned(),
        _ => error.to_string(),
    }
}

impl LaunchError {
    /// The exit status for it, as shells, env(1) and timeout(1) have it: 127 for a command that
    /// is not there, 126 for one that cannot be run; 1 where it is the system that refuses.
    pub fn status(&self) -> u8 {
        match self.cause.kind() {
            io::ErrorKind::NotFound => 127,
            io::ErrorKind::PermissionDenied => 126,
            _ if self.cause.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => 126,
            _ => 1,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending(ExitStatus);

impl Ending {
    /// Whether it ended with status 0.
    pub fn is_success(self) -> bool {
        self.0.success()
    }

    /// The exit status of who stands for it, as shells have it: its own, or 128 and the number of
    /// the signal that killed it.
    pub fn status(self) -> u8 {
        let killed = || self.0.signal().map(|signal| signal.saturating_add(128));
        let status = self.0.code().or_else(killed);
        status.map_or(0, |status| u8::try_from(status).unwrap_or(u8::MAX))
    }
}

impl fmt::Display for Ending {
    /// `ended with status 3`, `was killed by signal 9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "ended with status {code}"),
            (None, Some(signal)) => write!(f, "was killed by signal {signal}"),
            (None, None) => write!(f, "ended"),
        }
    }
}

/// A command that was started.
#[derive(Debug, Clone)]
pub struct Launched {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Runs(Pid),
    Ended(Ending),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Launched {
    /// Starts a command with stdin, stdout and stderr of this process, as its user, in the
    /// network namespace of the calling thread. From now on this process is the parent of the
    /// command's orphans, and sees to their ends as to all children of this process. When the
    /// command has ended, and `grace` is over, `ended` is called, on another thread.
    ///
    /// # Errors
    /// When there is no such command, it may not be run, or the system refuses.
    pub fn start(
        words: &[OsString],
        grace: Duration,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Self, LaunchError> {
        let Some((name, arguments)) = words.split_first() else {
            return Err(LaunchError {
                command: OsString::new(),
                cause: io::ErrorKind::NotFound.into(),
            });
        };
        let failed = |cause: io::Error| LaunchError {
            command: name.clone(),
            cause,
        };
        set_child_subreaper(Some(rustix::process::getpid())).map_err(|it| failed(it.into()))?;
        let child = Command::new(name).args(arguments).spawn().map_err(failed)?;
        let pid = Pid::from_child(&child);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::Runs(pid)),
            changed: Condvar::new(),
        });
        let told = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("inspect-command".to_owned())
            .spawn(move || {
                reap(&told, pid);
                std::thread::sleep(grace);
                ended();
                // Orphans of it may live on.
                while let Ok(Some(_)) = waitpid(None, WaitOptions::empty()) {}
            })
            .map_err(failed)?;
        Ok(Self { shared })
    }

    /// Sends it a signal; tells whether it still runs.
    pub fn signal(&self, signal: Signal) -> bool {
        // While this is locked, its number is not given to another.
        match *self.shared.state() {
            State::Runs(pid) => kill_process(pid, signal).is_ok(),
            State::Ended(_) => false,
        }
    }

    /// Waits until it has ended.
    pub fn wait(&self) -> Ending {
        let mut state = self.shared.state();
        loop {
            match *state {
                State::Ended(ending) => return ending,
                State::Runs(_) => {
                    let changed = self.shared.changed.wait(state);
                    state = changed.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// Sees to the end of every child, until the command's own.
fn reap(shared: &Shared, command: Pid) {
    let left = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    loop {
        // Left as it is, so that the number stays the command's while it may be sent a signal.
        let next = match waitid(WaitId::All, left) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {
                let mut state = shared.state();
                match waitpid(None, WaitOptions::NOHANG) {
                    Ok(Some((pid, status))) if pid == command => {
                        let status = ExitStatus::from_raw(status.as_raw());
                        *state = State::Ended(Ending(status));
                        shared.changed.notify_all();
                        return;
                    }
                    Ok(_) | Err(rustix::io::Errno::INTR) => continue,
                    Err(error) => Err(error),
                }
            }
            other => other.map(drop),
        };
        if next.is_err() {
            // There is no child any more, which cannot be: the end of the command was seen.
            *shared.state() = State::Ended(Ending(ExitStatus::from_raw(0)));
            shared.changed.notify_all();
            return;
        }
    }
}
