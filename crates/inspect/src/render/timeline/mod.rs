//! A conversation as a ladder: left what the client called, in the middle what was on the wire,
//! right what the server called.

mod ladder;
mod words;

use std::io::{self, Write};

use super::{Screen, Style};
use crate::model::ForeignText;
use crate::render::call::time_taken;
use crate::timeline::{Conversation, Side, Verdict};
pub use words::{call_in_full, is_shown};

/// Narrower than this there are no three columns, but a list.
const LADDER: usize = 70;
/// What is read so long after it came is worth a sentence, nanoseconds.
const LATE_NS: u64 = 40_000_000;
/// Into a pipe it goes as wide as this.
const PIPE: usize = 100;

/// Writes one conversation, and what there is to say of it. `interface` names the wire.
///
/// # Errors
/// What the writer answers.
pub fn write(
    out: &mut dyn Write,
    conversation: &Conversation,
    screen: &Screen,
    interface: Option<&ForeignText>,
) -> io::Result<()> {
    let width = screen.width.unwrap_or(PIPE);
    let mut text = String::new();
    if width < LADDER {
        ladder::list(&mut text, conversation, screen);
    } else {
        ladder::ladder(&mut text, conversation, screen, width, interface);
    }
    let verdict = Verdict::of(conversation);
    text.push('\n');
    for sentence in sentences(conversation, &verdict, screen) {
        for line in super::facts::wrapped(&sentence, Some(width)) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    out.write_all(text.as_bytes())
}

/// What there is to say, in words.
fn sentences(conversation: &Conversation, verdict: &Verdict, screen: &Screen) -> Vec<String> {
    let mut sentences = Vec::new();
    let name = |side: Side| match side {
        Side::Client => "Client",
        Side::Server => "Server",
    };
    match (verdict.reset_by, verdict.closed_first) {
        (Some(side), _) => sentences.push(format!("{} broke off (RST).", name(side))),
        (None, Some(side)) => sentences.push(format!("{} closed first.", name(side))),
        (None, None) => sentences.push("Not closed yet.".to_owned()),
    }
    if let Some(answer) = verdict.slowest {
        let time = |nanoseconds| time_taken(nanoseconds, screen);
        let slowest = match verdict.answers {
            1 => "",
            _ => ", at the slowest",
        };
        let read = match answer.before_read_ns {
            Some(nanoseconds) => format!(", {} of them before it read", time(nanoseconds)),
            None => String::new(),
        };
        sentences.push(format!(
            "{} answered in {}{read}{slowest}.",
            name(answer.side),
            time(answer.whole_ns)
        ));
    }
    for (side, bytes) in [Side::Client, Side::Server].into_iter().zip(verdict.unread) {
        if bytes > 0 {
            sentences.push(format!(
                "{bytes} bytes from the {} were never read.",
                side.word()
            ));
        }
    }
    if let Some(late) = verdict.latest_read.filter(|late| late.late_ns >= LATE_NS) {
        sentences.push(format!(
            "{} read what had come {} before.",
            name(late.side),
            time_taken(late.late_ns, screen)
        ));
    }
    let sides = [Side::Client, Side::Server];
    for (side, held) in sides.into_iter().zip(verdict.held_back) {
        let times = match held.segments {
            0 => continue,
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        sentences.push(format!(
            "{} was held back {times}, {} in all: Nagle waited for an acknowledgement that the {} \
             put off (TCP_NODELAY avoids it).",
            name(side),
            time_taken(held.whole_ns, screen),
            side.other().word()
        ));
    }
    match verdict.retransmissions {
        0 => {}
        1 => sentences.push("1 segment was sent again.".to_owned()),
        count => sentences.push(format!("{count} segments were sent again.")),
    }
    let acks = words::bare_acks(conversation);
    if acks > 0 {
        let plural = if acks == 1 { "" } else { "s" };
        sentences.push(format!(
            "{acks} acknowledgement{plural} without payload not shown."
        ));
    }
    vec![sentences.join(" ")]
}

/// A cell in a style, whatever it holds is escaped already.
fn dim(screen: &Screen, text: &str) -> String {
    screen.paint(Style::Dim, text)
}
