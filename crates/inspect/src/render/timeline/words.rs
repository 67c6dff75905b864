//! Short words for calls and segments: what the columns beside them say is left out.

use crate::capture::Flags;
use crate::model::Fd;
use crate::render::{Charset, Escaped};
use crate::timeline::{Conversation, Event, SegmentSeen, What};
use crate::trace::{Address, Call, Outcome, Value, error_name};

/// Bytes of text that are shown of a buffer in a call.
const SHOWN: usize = 24;

/// `sendto("hello") = 5`; the descriptor only where it is not `own`. What a connect returns stands
/// where it returns, and that an end succeeded needs no word.
pub(super) fn call(call: &Call, own: Option<Fd>, charset: Charset) -> String {
    let fd = call.before.map(|(fd, _)| fd);
    let mut words = deed(call, fd.filter(|fd| Some(*fd) != own), false, charset);
    if matches!(call.name, "connect" | "close" | "shutdown") && call.outcome == Outcome::Returned(0)
    {
        return words;
    }
    words.push_str(&result(call, charset));
    words
}

/// `connect(3, 127.0.0.1:2345) = 0`: with descriptor, address and result.
pub fn call_in_full(call: &Call, charset: Charset) -> String {
    let fd = call.before.map(|(fd, _)| fd);
    let mut words = deed(call, fd, true, charset);
    words.push_str(&result(call, charset));
    words
}

fn deed(call: &Call, fd: Option<Fd>, has_address: bool, charset: Charset) -> String {
    let mut said: Vec<String> = fd.map(|fd| fd.to_string()).into_iter().collect();
    if is_sending(call.name) {
        said.extend(buffer(call, charset));
    }
    for (name, value) in &call.arguments {
        match value {
            Value::Constant(how) if *name == "how" => said.push((*how).to_owned()),
            Value::Address(Address::Internet(end)) if has_address && call.name == "connect" => {
                said.push(std::net::SocketAddr::new(end.address, end.port).to_string());
            }
            _ => {}
        }
    }
    format!("{}({})", call.name, said.join(", "))
}

fn result(call: &Call, charset: Charset) -> String {
    let mut words = format!(" = {}", outcome(&call.outcome));
    if !is_sending(call.name)
        && let Some(text) = buffer(call, charset)
    {
        words.push(' ');
        words.push_str(&text);
    }
    words
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Returned(number) => number.to_string(),
        Outcome::Failed(number) => match error_name(*number) {
            Some(name) => name.to_owned(),
            None => format!("error {number}"),
        },
        Outcome::ThreadEnded => "? killed".to_owned(),
        Outcome::StillWaits => "? waits".to_owned(),
        Outcome::Lost => "? lost".to_owned(),
    }
}

fn is_sending(name: &str) -> bool {
    matches!(name, "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg")
}

/// The first text in a call's arguments.
fn buffer(call: &Call, charset: Charset) -> Option<String> {
    fn first(value: &Value) -> Option<(&[u8], u64)> {
        match value {
            Value::Bytes(bytes) => Some((&bytes.bytes, bytes.length)),
            Value::List(values, _) => values.iter().find_map(first),
            Value::Fields(fields) => fields.iter().find_map(|(_, value)| first(value)),
            _ => None,
        }
    }
    let named = call.arguments.iter();
    let named =
        named.filter(|(name, _)| matches!(*name, "buffer" | "buffers" | "message" | "messages"));
    let (bytes, length) = named.map(|(_, value)| value).find_map(first)?;
    Some(text(bytes, length, SHOWN, charset))
}

/// Bytes in quotes, so many columns of them.
pub(super) fn text(bytes: &[u8], length: u64, most: usize, charset: Charset) -> String {
    let shown = &bytes[..bytes.len().min(most)];
    let quoted = Escaped::quoted(shown, charset).to_string();
    let is_cut = u64::try_from(shown.len()).unwrap_or(u64::MAX) < length;
    let cut = match charset {
        Charset::Utf8 => "…",
        Charset::Ascii => "...",
    };
    match is_cut {
        true => format!("{quoted}{cut}"),
        false => quoted,
    }
}

/// `SYN ACK`, `5 "hello"`, `FIN`.
pub(super) fn segment(
    segment: &SegmentSeen,
    is_again: bool,
    most: usize,
    charset: Charset,
) -> String {
    let mut words = String::new();
    if is_again {
        words.push_str("again ");
    }
    let is_plain = segment.length > 0 || segment.flags.has(Flags::FIN);
    let left_out = |word: &&str| !(is_plain && matches!(*word, "ACK" | "PSH"));
    let flags: Vec<&str> = segment.flags.words().filter(left_out).collect();
    words.push_str(&flags.join(" "));
    if segment.length > 0 {
        if !flags.is_empty() {
            words.push(' ');
        }
        words.push_str(&segment.length.to_string());
        let room = most.saturating_sub(words.chars().count() + 4);
        let quoted = text(&segment.payload, segment.length.into(), room, charset);
        // What is escaped is wider than it was.
        let mut fitting = room;
        let mut quoted = quoted;
        while quoted.chars().count() > room + 3 && fitting > 0 {
            fitting -= 1;
            quoted = text(&segment.payload, segment.length.into(), fitting, charset);
        }
        words.push(' ');
        words.push_str(&quoted);
    }
    words
}

/// Whether a segment says nothing but that something came; that of the handshake is shown.
pub(super) fn is_bare_ack(conversation: &Conversation, event: &Event) -> bool {
    let What::Segment(segment) = &event.what else {
        return false;
    };
    let says_more = [Flags::SYN, Flags::FIN, Flags::RST];
    if segment.length > 0 || says_more.into_iter().any(|flags| segment.flags.has(flags)) {
        return false;
    }
    let before = conversation.events[..event.id].iter();
    let mut before = before.filter_map(|event| match &event.what {
        What::Segment(segment) => Some(segment.flags),
        _ => None,
    });
    let is_third = before
        .by_ref()
        .last()
        .is_some_and(|last| last.has(Flags::SYN));
    !is_third
}

/// How many of them there are.
pub(super) fn bare_acks(conversation: &Conversation) -> usize {
    let events = conversation.events.iter();
    events
        .filter(|event| is_bare_ack(conversation, event))
        .count()
}

/// Whether a call is shown: what only asks is not, nor what came for nothing.
pub fn is_shown(call: &Call) -> bool {
    let asks = matches!(
        call.name,
        "getsockopt" | "setsockopt" | "getsockname" | "getpeername" | "fcntl" | "epoll_ctl"
    );
    !asks && call.outcome != Outcome::Failed(libc::EAGAIN)
}
