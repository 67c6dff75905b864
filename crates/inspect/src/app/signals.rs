//! Ctrl-C and SIGTERM -> the stop signal.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::stop::Stop;

/// A stop signal that Ctrl-C and SIGTERM raise. A second one ends the process as it would
/// without us: whoever asks twice does not want to wait.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn stop_on_signals() -> io::Result<Stop> {
    let stop = Stop::new()?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let raised = stop.clone();
    std::thread::spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            if asked {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
            asked = true;
            raised.raise();
        }
    });
    Ok(stop)
}
