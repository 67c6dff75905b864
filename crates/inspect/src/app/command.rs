//! `-- COMMAND`: a command that lives as long as the view that follows it.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::raw::WithRawSiginfo;

use super::{Context, Exit};
use crate::launch::Launched;
use crate::stop::Stop;

/// The last packets of a command may follow its end.
pub(super) const DRAIN: Duration = Duration::from_millis(200);
/// `si_code` of what the terminal sends (sigaction(2)): to the command as well, as both are in
/// its foreground.
const SI_KERNEL: i32 = 0x80;

/// Starts a command. Its end, and what may follow it within `drain`, raises the stop signal; `typed`
/// becomes true when Ctrl-C is typed.
pub(super) fn start(
    words: &[OsString],
    drain: Duration,
    stop: &Stop,
    typed: &Arc<AtomicBool>,
) -> anyhow::Result<Launched> {
    // This, and not the handlers of `app::signals`: who has sent a signal matters here.
    let mut signals = SignalsInfo::<WithRawSiginfo>::new([SIGINT, SIGTERM])
        .context("cannot listen for Ctrl-C")?;
    let ended = stop.clone();
    let launched = Launched::start(words, drain, move || ended.raise())?;
    let (command, stop, typed) = (launched.clone(), stop.clone(), Arc::clone(typed));
    std::thread::Builder::new()
        .name("inspect-signals".to_owned())
        .spawn(move || {
            for (index, told) in signals.forever().enumerate() {
                let signal = match (index, told.si_signo) {
                    // Whoever asks twice does not want to wait.
                    (1.., _) => Signal::KILL,
                    (0, SIGTERM) => Signal::TERM,
                    (0, _) => Signal::INT,
                };
                let by_terminal = told.si_code == SI_KERNEL;
                typed.fetch_or(by_terminal, Ordering::Relaxed);
                if index == 0 && by_terminal {
                    continue;
                }
                if !command.signal(signal) {
                    stop.raise();
                }
            }
        })
        .context("cannot start a thread for signals")?;
    Ok(launched)
}

/// Waits for the end of the command, which may outlive a view that was ended by a count, a time or
/// an error; and says how it ended, if not well. Gives its exit status.
pub(super) fn finish(launched: &Launched, words: &[OsString], context: &Context) -> Exit {
    let ending = launched.wait();
    if !ending.is_success() {
        let name = words.first().map(|name| name.to_string_lossy());
        context.say(&format!("inspect: {} {ending}", name.unwrap_or_default()));
    }
    Exit::Command(ending.status())
}
