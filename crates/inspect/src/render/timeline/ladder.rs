//! Events to rows, rows to lines.

use super::{dim, words};
use crate::model::{ForeignText, State};
use crate::render::call::time_taken;
use crate::render::{Charset, Escaped, Screen, Style};
use crate::timeline::{Conversation, Event, Side, What};
use crate::trace::Outcome;

/// What stands in one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Row {
    /// By side: a call, and the state that its socket went into.
    call: [Option<String>; 2],
    state: [Option<&'static str>; 2],
    /// Who sent what.
    wire: Option<(Side, String)>,
    /// How long the side's call came after the segment that it took.
    late: Option<(Side, String)>,
}

fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Row {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn has_nothing_of(&self, side: Side) -> bool {
        let side = index(side);
        self.call[side].is_none() && self.state[side].is_none()
    }

    /// Whether a segment of this side can stand beside what is there: it, or nothing.
    fn can_send(&self, side: Side) -> bool {
        self.wire.is_none() && self.late.is_none() && self.has_nothing_of(side.other())
    }
}

/// The rows of a conversation, for columns of this width in the middle.
fn rows(conversation: &Conversation, screen: &Screen, middle: usize) -> Vec<Row> {
    let mut rows = vec![Row::default()];
    let own = [Side::Client, Side::Server].map(|side| conversation.owner(side).map(|(_, fd)| fd));
    let mut connecting = false;
    for event in &conversation.events {
        let side = index(event.side);
        let is_fresh = rows.last().is_some_and(Row::is_empty);
        let mut row = Row::default();
        match &event.what {
            What::Call(call) if words::is_shown(call) => {
                row.call[side] = Some(words::call(call, own[side], screen.charset));
                row.late = late(conversation, event, screen).map(|late| (event.side, late));
                connecting |= call.name == "connect" && call.outcome == Outcome::Returned(0);
            }
            What::State(change) => {
                let word = change.to.word();
                if event.side == Side::Client && connecting && change.to == State::Established {
                    connecting = false;
                    row.call[side] = Some("  = 0".to_owned());
                    row.state[side] = Some(word);
                } else if let Some(last) = rows.last_mut().filter(|last| {
                    let of_sender = last
                        .wire
                        .as_ref()
                        .is_none_or(|(from, _)| *from == event.side);
                    last.state[side].is_none()
                        && (last.call[side].is_some() && of_sender && last.late.is_none()
                            || last.call[side].is_none() && last.wire.is_some())
                }) {
                    last.state[side] = Some(word);
                    continue;
                } else {
                    row.state[side] = Some(word);
                }
            }
            What::Segment(segment) => {
                if words::is_bare_ack(conversation, event) {
                    continue;
                }
                let said = words::segment(segment, event.is_again, middle - 8, screen.charset);
                match rows.last_mut().filter(|last| last.can_send(event.side)) {
                    Some(last) => {
                        last.wire = Some((event.side, said));
                        continue;
                    }
                    None => row.wire = Some((event.side, said)),
                }
            }
            What::Call(_) => continue,
        }
        match rows.last_mut().filter(|_| is_fresh) {
            Some(last) => *last = row,
            None => rows.push(row),
        }
    }
    rows.retain(|row| !row.is_empty());
    rows
}

/// How long after the segment that it took a call returned.
fn late(conversation: &Conversation, event: &Event, screen: &Screen) -> Option<String> {
    Some(time_taken(conversation.late_ns(event)?, screen))
}

/// `chat-client[4847] fd 3`.
fn owner(conversation: &Conversation, side: Side, screen: &Screen) -> String {
    match conversation.owner(side) {
        Some((process, fd)) => {
            let name = Escaped::process(&process.command, screen.charset);
            format!("{name}[{}] fd {fd}", process.pid)
        }
        None => format!("{} (not seen)", side.word()),
    }
}

pub(super) fn ladder(
    text: &mut String,
    conversation: &Conversation,
    screen: &Screen,
    width: usize,
    interface: Option<&ForeignText>,
) {
    let side = width * 2 / 5;
    let middle = width - side - width * 13 / 40;
    let heading = [Side::Client, Side::Server].map(|side| owner(conversation, side, screen));
    let ports = format!(
        "{}:{} {} :{}",
        interface
            .map(|name| format!("{} ", Escaped::name(name, screen.charset)))
            .unwrap_or_default(),
        conversation.client.port,
        screen.arrow(),
        conversation.server.port
    );
    let line = format!(
        "{}{}  {}",
        padded(&cut(&heading[0], side.saturating_sub(2), screen), side),
        padded(&ports, middle),
        cut(&heading[1], width.saturating_sub(side + middle + 2), screen)
    );
    text.push_str(&screen.paint(Style::Heading, line.trim_end()));
    text.push('\n');
    for row in rows(conversation, screen, middle) {
        let mut line = String::new();
        left(&mut line, &row, side, screen);
        wire(&mut line, &row, middle, screen);
        line.push_str("  ");
        let rest = width.saturating_sub(side + middle + 2);
        let below = right(&mut line, &row, rest, screen);
        text.push_str(line.trim_end());
        text.push('\n');
        if let Some(state) = below {
            text.push_str(&" ".repeat(side + middle + 2));
            text.push_str(&screen.paint(Style::Calm, state));
            text.push('\n');
        }
    }
}

fn left(line: &mut String, row: &Row, width: usize, screen: &Screen) {
    let call = row.call[0].clone().unwrap_or_default();
    let late = match &row.late {
        Some((Side::Client, late)) => format!("  {late}"),
        _ => String::new(),
    };
    let state = row.state[0].unwrap_or_default();
    let room = width.saturating_sub(2);
    let call = cut(
        &call,
        room.saturating_sub(columns(&late) + columns(state)),
        screen,
    );
    let gap = room.saturating_sub(columns(&call) + columns(&late) + columns(state));
    line.push_str(&call);
    line.push_str(&dim(screen, &late));
    line.push_str(&" ".repeat(gap));
    line.push_str(&screen.paint(Style::Calm, state));
    line.push_str("  ");
}

fn wire(line: &mut String, row: &Row, width: usize, screen: &Screen) {
    let Some((from, said)) = &row.wire else {
        let late = match &row.late {
            Some((Side::Server, late)) => late.as_str(),
            _ => "",
        };
        line.push_str(&" ".repeat(width.saturating_sub(columns(late))));
        line.push_str(&dim(screen, late));
        return;
    };
    let dash = match screen.charset {
        Charset::Utf8 => "─",
        Charset::Ascii => "-",
    };
    let (head, tail) = match from {
        Side::Client => ("", screen.arrow()),
        Side::Server => (screen.back_arrow(), ""),
    };
    let rest = width.saturating_sub(columns(said) + columns(head) + columns(tail) + 4);
    let (before, after) = match from {
        Side::Client => (2, rest),
        Side::Server => (rest, 2),
    };
    line.push_str(&dim(screen, &format!("{head}{}", dash.repeat(before))));
    line.push(' ');
    line.push_str(said);
    line.push(' ');
    line.push_str(&dim(screen, &format!("{}{tail}", dash.repeat(after))));
}

/// Gives the state where there is no room for it.
fn right(line: &mut String, row: &Row, room: usize, screen: &Screen) -> Option<&'static str> {
    let call = cut(row.call[1].as_deref().unwrap_or_default(), room, screen);
    line.push_str(&call);
    let state = row.state[1]?;
    if call.is_empty() {
        line.push_str(&screen.paint(Style::Calm, state));
        return None;
    }
    if columns(&call) + 2 + columns(state) > room {
        return Some(state);
    }
    line.push_str("  ");
    line.push_str(&screen.paint(Style::Calm, state));
    None
}

fn columns(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

fn padded(text: &str, width: usize) -> String {
    let gap = width.saturating_sub(columns(text));
    format!("{text}{}", " ".repeat(gap))
}

/// As much as fits.
fn cut(text: &str, room: usize, screen: &Screen) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let ellipsis = screen.ellipsis();
    let mut fitting = String::new();
    for c in text.chars() {
        let mut next = fitting.clone();
        next.push(c);
        if columns(&next) + columns(ellipsis) > room {
            break;
        }
        fitting = next;
    }
    fitting.push_str(ellipsis);
    fitting
}

/// For narrow terminals: one thing a line, whose it is before it.
pub(super) fn list(text: &mut String, conversation: &Conversation, screen: &Screen) {
    for side in [Side::Client, Side::Server] {
        let owner = owner(conversation, side, screen);
        let end = match side {
            Side::Client => conversation.client,
            Side::Server => conversation.server,
        };
        let end = std::net::SocketAddr::new(end.address, end.port);
        let line = format!("{}  {owner}  {end}", side.word());
        text.push_str(&screen.paint(Style::Heading, &line));
        text.push('\n');
    }
    for row in rows(conversation, screen, 60) {
        let mut put = |whose: &str, what: &str| {
            text.push_str(&format!("{whose:6}  {what}\n"));
        };
        let of = |side: Side| {
            let (call, state) = (&row.call[index(side)], row.state[index(side)]);
            let late = match &row.late {
                Some((of, late)) if *of == side => Some(late.as_str()),
                _ => None,
            };
            let parts = [call.as_deref(), state, late];
            let parts: Vec<&str> = parts.into_iter().flatten().map(str::trim).collect();
            (!parts.is_empty()).then(|| parts.join("  "))
        };
        let sender = row.wire.as_ref().map_or(Side::Client, |(from, _)| *from);
        if let Some(words) = of(sender) {
            put(sender.word(), &words);
        }
        if let Some((from, said)) = &row.wire {
            let arrow = match from {
                Side::Client => screen.arrow(),
                Side::Server => screen.back_arrow(),
            };
            put("", &format!("{arrow} {said}"));
        }
        if let Some(words) = of(sender.other()) {
            put(sender.other().word(), &words);
        }
    }
}
