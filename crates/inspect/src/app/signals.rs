//! Ctrl-C and SIGTERM -> the stop signal.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::stop::Stop;

/// A stop signal that Ctrl-C and SIGTERM raise. A second one ends the process as it would
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
    for signal in [SIGINT, SIGTERM] {
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
