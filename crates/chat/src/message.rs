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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(decoder: &mut Decoder) -> Vec<Result<String, TooLong>> {
        std::iter::from_fn(|| decoder.message())
            .map(|message| message.map(|text| String::from_utf8(text).unwrap()))
            .collect()
    }

    fn heard(framing: Framing, chunks: &[&[u8]]) -> (Decoder, Vec<Result<String, TooLong>>) {
        let mut decoder = Decoder::new(framing, 16);
        let mut messages = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            messages.extend(drain(&mut decoder));
        }
        (decoder, messages)
    }

    fn said(texts: &[&str]) -> Vec<Result<String, TooLong>> {
        texts.iter().map(|&text| Ok(text.to_owned())).collect()
    }

    #[test]
    fn a_newline_ends_a_message_and_a_carriage_return_goes_with_it() {
        let (decoder, messages) = heard(Framing::Auto, &[b"one\ntw", b"o\r\n\nthree"]);
        assert_eq!(messages, said(&["one", "two", ""]));
        assert_eq!(decoder.patience(), Some(QUIET_AMID_LINES));
        assert!(decoder.peer_expects_newline());
    }

    #[test]
    fn a_first_message_without_newline_makes_the_peer_bare() {
        let (mut decoder, messages) = heard(Framing::Auto, &[b"hello"]);
        assert_eq!(messages, said(&[]));
        assert!(decoder.peer_expects_newline(), "not known yet");
        assert_eq!(decoder.patience(), Some(QUIET));
        assert_eq!(decoder.fragment().as_deref(), Some(&b"hello"[..]));
        assert!(!decoder.peer_expects_newline());
        assert_eq!(decoder.patience(), None);
    }

    #[test]
    fn a_late_newline_belongs_to_the_fragment_shown_before_it() {
        let (mut decoder, _) = heard(Framing::Auto, &[b"hel"]);
        assert_eq!(decoder.fragment().as_deref(), Some(&b"hel"[..]));
        decoder.push(b"\nnext\n\n");
        assert_eq!(drain(&mut decoder), said(&["next", ""]));
    }

    #[test]
    fn line_framing_waits_for_the_newline_however_long() {
        let (mut decoder, messages) = heard(Framing::Line, &[b"hello"]);
        assert_eq!((messages, decoder.patience()), (said(&[]), None));
        assert_eq!(
            decoder.fragment().as_deref(),
            Some(&b"hello"[..]),
            "at the end of input"
        );
    }

    #[test]
    fn raw_framing_takes_what_comes_at_once_but_joins_split_characters() {
        let text = "你好".as_bytes();
        let (decoder, messages) = heard(Framing::Raw, &[b"hello", &text[..4], &text[4..]]);
        assert_eq!(messages, said(&["hello", "你好"]));
        assert!(!decoder.peer_expects_newline());

        let (mut decoder, messages) = heard(Framing::Raw, &[b"half \xe4"]);
        assert_eq!(messages, said(&[]));
        assert_eq!(decoder.patience(), Some(QUIET_AMID_CHARACTER));
        assert_eq!(decoder.fragment().as_deref(), Some(&b"half \xe4"[..]));
    }

    #[test]
    fn half_a_character_is_waited_for_longer_than_a_pause_between_turns() {
        let (decoder, _) = heard(Framing::Auto, &[b"ni \xe4\xbd"]);
        assert_eq!(decoder.patience(), Some(QUIET_AMID_CHARACTER));
        let (decoder, _) = heard(Framing::Auto, &[b"bad \xff"]);
        assert_eq!(decoder.patience(), Some(QUIET), "no byte can complete 0xff");
    }

    #[test]
    fn a_message_over_the_limit_is_told_once_and_skipped_to_its_newline() {
        let long = [b'x'; 40];
        let (_, messages) = heard(Framing::Auto, &[&long, &long, b"\nok\n"]);
        let mut expected = vec![Err(TooLong { limit: 16 })];
        expected.extend(said(&["ok"]));
        assert_eq!(messages, expected);

        let (_, messages) = heard(Framing::Line, &[b"0123456789abcdef\r\n"]);
        assert_eq!(
            messages,
            said(&["0123456789abcdef"]),
            "exactly the limit is allowed"
        );
        let (_, messages) = heard(Framing::Raw, &[b"0123456789abcdefg"]);
        assert_eq!(messages, [Err(TooLong { limit: 16 })]);
    }

    fn framing() -> impl Strategy<Value = Framing> {
        prop_oneof![Just(Framing::Auto), Just(Framing::Line), Just(Framing::Raw)]
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_stay_within_bounds(
            framing in framing(),
            pieces in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..64), any::<bool>()), 0..40),
        ) {
            let mut decoder = Decoder::new(framing, 32);
            for (piece, pause) in &pieces {
                decoder.push(piece);
                while let Some(message) = decoder.message() {
                    if let Ok(text) = message {
                        prop_assert!(text.len() <= 32);
                    }
                }
                prop_assert!(decoder.waiting().len() <= 33);
                if *pause && decoder.patience().is_some() {
                    let waiting = decoder.waiting().to_vec();
                    let fragment = decoder.fragment().unwrap();
                    prop_assert!(waiting.starts_with(&fragment));
                    prop_assert!(decoder.patience().is_none());
                }
            }
        }

        #[test]
        fn lines_survive_being_cut_anywhere(
            lines in prop::collection::vec("[^\r\n]{0,10}", 1..8),
            cuts in prop::collection::vec(1usize..9, 1..30),
        ) {
            let mut bytes: Vec<u8> = lines.iter().flat_map(|l| encode(l.as_bytes(), true)).collect();
            let mut decoder = Decoder::new(Framing::Auto, 64);
            let mut messages = Vec::new();
            let mut cuts = cuts.into_iter().cycle();
            while !bytes.is_empty() {
                let cut = cuts.next().unwrap().min(bytes.len());
                decoder.push(&bytes.drain(..cut).collect::<Vec<_>>());
                messages.extend(drain(&mut decoder));
            }
            prop_assert_eq!(messages, lines.into_iter().map(Ok).collect::<Vec<_>>());
        }
    }
}
