//! The line that says what is awaited, where opening takes so long that nobody knows why.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;

use super::SILENCE;
use crate::app::Context;
use crate::cli::capture::Request;

/// While this lives, something is awaited; said once, after [`SILENCE`].
pub(super) struct Awaiting(Option<(Sender<()>, JoinHandle<()>)>);

impl Awaiting {
    /// Says `words` if they are still true then, and nothing to who wants to be told nothing.
    pub(super) fn begin(context: &Context, request: &Request, words: String) -> Self {
        if context.quiet || request.brief {
            return Self(None);
        }
        let (over, told) = channel();
        let context = context.clone();
        let said = std::thread::Builder::new()
            .name("inspect-awaiting".to_owned())
            .spawn(move || {
                if told.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
                    context.say(&words);
                }
            });
        // Without a thread there is no line, and no harm.
        Self(said.ok().map(|thread| (over, thread)))
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        if let Some((over, thread)) = self.0.take() {
            drop(over);
            // Gone before rights are shed, or a command is started.
            let _ = thread.join();
        }
    }
}
