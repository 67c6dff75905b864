//! Framing: where one message ends and the next begins.
//!
//! TCP carries bytes, not messages, and the peers met here do not agree on a mark: `nc` ends a
//! message with a newline, a classroom script sends bare text and waits for its turn. So the
//! decoder is told the time that passes in silence, as [`Decoder::patience`] asks, and never looks
//! at a clock or a socket itself.

use std::time::Duration;

/// Longest message spoken or heard unless `--max-message` says otherwise, in bytes.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;

/// Silence after which text without a newline counts as a message. Longer than the pause between
/// two segments of one `sendall`, shorter than a person notices.
const QUIET: Duration = Duration::from_millis(100);

/// The same for a peer that has used newlines so far: it probably is about to send one, and a lost
/// segment takes the kernel 200 ms or more to repeat.
const QUIET_AMID_LINES: Duration = Duration::from_secs(1);

/// How long half a UTF-8 character may wait for its other half before it is shown as it is.
const QUIET_AMID_CHARACTER: Duration = Duration::from_secs(2);

/// What separates two messages on the wire.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Framing {
    /// A newline; but bare text to a peer whose first message came without one
    #[default]
    Auto,
    /// A newline, always; text without one waits for it
    Line,
    /// Nothing: what arrives together is a message, and words are sent exactly
    Raw,
}

/// A message longer than allowed, of which the bytes are gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a message over {limit} bytes")]
pub(crate) struct TooLong {
    /// The longest allowed, in bytes.
    pub limit: usize,
}

/// How the peer has been ending its messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Habit {
    Unknown,
    Lines,
    Bare,
}

/// Bytes in, messages out. Holds at most one message and one pushed chunk.
#[derive(Debug)]
pub(crate) struct Decoder {
    framing: Framing,
    limit: usize,
    pending: Vec<u8>,
    /// Where the first undelivered byte stands in `pending`.
    start: usize,
    /// Up to where `pending` is known to hold no newline.
    scanned: usize,
    habit: Habit,
    /// Inside a message that was too long, until its newline.
    skipping: bool,
    /// A fragment was delivered, so a newline that follows at once belongs to it.
    after_fragment: bool,
}

impl Decoder {
    /// A decoder for messages of at most `limit` bytes.
    pub(crate) fn new(framing: Framing, limit: usize) -> Self {
        Self {
            framing,
            limit,
            pending: Vec::new(),
            start: 0,
            scanned: 0,
            habit: Habit::Unknown,
            skipping: false,
            after_fragment: false,
        }
    }

    /// Takes what a read returned. To keep memory bounded, call [`Decoder::message`] until it
    /// gives `None` before pushing more.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// The next message that is known to be whole.
    ///
    /// # Errors
    /// [`TooLong`], once a message; its remaining bytes up to the next newline are skipped.
    pub(crate) fn message(&mut self) -> Option<Result<Vec<u8>, TooLong>> {
        match self.framing {
            Framing::Raw => self.chunk(),
            Framing::Auto | Framing::Line => self.line(),
        }
    }

    /// How long to wait for more bytes before [`Decoder::fragment`] is due; `None` to wait for
    /// ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let waiting = self.waiting();
        if waiting.is_empty() || self.skipping || self.framing == Framing::Line {
            None
        } else if ends_inside_character(waiting) {
            Some(QUIET_AMID_CHARACTER)
        } else if self.habit == Habit::Lines {
            Some(QUIET_AMID_LINES)
        } else {
            Some(QUIET)
        }
    }

    /// Whatever waits, as a message of its own: the peer fell silent, or left.
    pub(crate) fn fragment(&mut self) -> Option<Vec<u8>> {
        if self.waiting().is_empty() || self.skipping {
            return None;
        }
        let mut text = self.take_all();
        if self.framing == Framing::Raw {
            strip_newline(&mut text);
            return Some(text);
        }
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        if self.habit == Habit::Unknown {
            self.habit = Habit::Bare;
        }
        self.after_fragment = true;
        Some(text)
    }

    /// Whether this peer should be spoken to with a newline after each message.
    pub(crate) fn peer_expects_newline(&self) -> bool {
        match self.framing {
            Framing::Line => true,
            Framing::Raw => false,
            Framing::Auto => self.habit != Habit::Bare,
        }
    }

    fn waiting(&self) -> &[u8] {
        self.pending.get(self.start..).unwrap_or_default()
    }

    fn take_all(&mut self) -> Vec<u8> {
        let text = self.waiting().to_vec();
        self.forget_all();
        text
    }

    fn forget_all(&mut self) {
        self.pending.clear();
        self.start = 0;
        self.scanned = 0;
    }

    fn chunk(&mut self) -> Option<Result<Vec<u8>, TooLong>> {
        let waiting = self.waiting();
        if waiting.is_empty() {
            return None;
        }
        if waiting.len() <= self.limit && ends_inside_character(waiting) {
            return None;
        }
        let mut text = self.take_all();
        strip_newline(&mut text);
        Some(self.checked(text))
    }

    fn line(&mut self) -> Option<Result<Vec<u8>, TooLong>> {
        loop {
            let unseen = self.pending.get(self.scanned..).unwrap_or_default();
            let Some(offset) = unseen.iter().position(|&byte| byte == b'\n') else {
                self.scanned = self.pending.len();
                return self.overflow().map(Err);
            };
            let end = self.scanned + offset + 1;
            let mut text = self
                .pending
                .get(self.start..end)
                .unwrap_or_default()
                .to_vec();
            self.start = end;
            self.scanned = end;
            strip_newline(&mut text);

            let ends_fragment = std::mem::take(&mut self.after_fragment) && text.is_empty();
            let ends_overflow = std::mem::take(&mut self.skipping);
            if ends_fragment || ends_overflow {
                continue;
            }
            if self.habit == Habit::Unknown {
                self.habit = Habit::Lines;
            }
            return Some(self.checked(text));
        }
    }

    /// Drops a message that outgrew the limit before its end was seen.
    fn overflow(&mut self) -> Option<TooLong> {
        // One byte more, for a carriage return that may belong to the newline.
        if self.waiting().len() <= self.limit + 1 && !self.skipping {
            return None;
        }
        self.forget_all();
        let first = !std::mem::replace(&mut self.skipping, true);
        first.then_some(TooLong { limit: self.limit })
    }

    fn checked(&self, text: Vec<u8>) -> Result<Vec<u8>, TooLong> {
        if text.len() > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        Ok(text)
    }
}

/// The bytes that carry `text` to a peer.
pub(crate) fn encode(text: &[u8], newline: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 1);
    bytes.extend_from_slice(text);
    if newline {
        bytes.push(b'\n');
    }
    bytes
}

fn strip_newline(text: &mut Vec<u8>) {
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
}

/// Whether `bytes` stop in the middle of a UTF-8 character that could still be completed.
fn ends_inside_character(bytes: &[u8]) -> bool {
    let tail = bytes
        .get(bytes.len().saturating_sub(3)..)
        .unwrap_or_default();
    let Some(lead) = tail.iter().rposition(|&byte| byte >= 0xc0) else {
        return false;
    };
    let last = tail.get(lead..).unwrap_or_default();
    matches!(std::str::from_utf8(last), Err(error) if error.error_len().is_none())
}

#[cfg(test)]
mod tests;
