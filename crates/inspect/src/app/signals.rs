//! Ctrl-C, SIGTERM and SIGHUP -> the stop signal; SIGUSR1 -> a question.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{flag, low_level};

use crate::stop::Stop;

/// A stop signal that Ctrl-C, SIGTERM and SIGHUP raise, the last unless it is ignored, as nohup(1)
/// has it. A second one ends the process as it would
/// without us: whoever asks twice does not want to wait.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn stop_on_signals() -> io::Result<Stop> {
    let stop = Stop::new()?;
    let asked = Arc::new(AtomicBool::new(false));
    // A pipe, and not signal-hook's own iterator: that has two unix sockets, which every view of
    // sockets would show.
    let (mut told, tell) = io::pipe()?;
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up) {
        flag::register_conditional_default(signal, Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
        low_level::pipe::register(signal, tell.try_clone()?)?;
    }
    let raised = stop.clone();
    std::thread::spawn(move || {
        let mut byte = [0];
        // Interrupted by the very signal, it is read again.
        if told.read_exact(&mut byte).is_ok() {
            raised.raise();
        }
    });
    Ok(stop)
}

/// Becomes true when somebody sends SIGUSR1: counts are wanted, and nothing shall end. tcpdump has
/// that signal for it.
///
/// # Errors
/// When the handler cannot be installed.
pub(crate) fn counts_on_signal() -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    flag::register(SIGUSR1, Arc::clone(&asked))?;
    Ok(asked)
}

/// Whether a signal was ignored when this process began (proc_pid_status(5), SigIgn).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
