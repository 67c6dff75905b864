//! How one packet is written, and who has become known beside the packets.

use std::io;

use super::Shown;
use crate::app::capture::show::{Ends, Known, Late};
use crate::capture::{Direction, Frame, Packet, Relative, Seen};
use crate::model::ForeignText;
use crate::render::Screen;
use crate::render::json::{self, PacketRecord};
use crate::render::packet::{Heading, Line, Lines};
use crate::streams::Mark;

/// Where it is told what has become known beside the packets.
pub(super) struct News<'a> {
    pub(super) shape: &'a Shown,
    /// Where those wait whom a file is to tell of.
    pub(super) late: Option<&'a mut Late>,
    pub(super) out: &'a mut Vec<u8>,
}

impl News<'_> {
    pub(super) fn tell(&mut self, known: &Known, ends: &mut Ends) {
        let headed = match self.shape {
            Shown::Lines(lines) => lines.headings.then_some(&lines.screen),
            // Who has said nothing yet has no heading.
            Shown::Follow(follow) if ends.is_headed => follow
                .dialogue()
                .filter(|dialogue| dialogue.headings)
                .map(|dialogue| &dialogue.screen),
            _ => None,
        };
        if let Some(screen) = headed {
            news_of(screen, self.out, ends);
        }
        if let Some(late) = &mut self.late {
            late.add(known, ends);
        }
    }
}

/// What has become known since the heading.
fn news_of(screen: &Screen, out: &mut Vec<u8>, ends: &Ends) {
    let [client, server] = &ends.labels;
    let heading = Heading {
        number: ends.number,
        client,
        server,
        interface: None,
        began_earlier: false,
    };
    heading.write_again(out, screen);
}

/// What a packet means after those before it.
pub(super) fn course_of(
    seen: &Seen<'_, Known>,
    packet: &Packet<'_>,
    is_copy: bool,
) -> Option<Mark> {
    if is_copy {
        return Some(Mark::Copy);
    }
    let direction = seen.conversation.direction(seen.source);
    let mut ends = seen.conversation.note.borrow_mut();
    if seen.is_amid {
        return Some(ends.course.syn_amid(direction, packet.time));
    }
    if let Some(opening) = seen.opening {
        ends.course.opened(opening);
    }
    match packet.segment().filter(|it| it.fragment.is_none()) {
        Some(segment) => ends.course.segment(direction, packet.time, segment),
        None => {
            // What is in pieces counts when it is whole.
            let said = match packet.fragment() {
                Some(_) => 0,
                None => packet.said(),
            };
            ends.course.packet(direction, packet.time, said);
            None
        }
    }
}

pub(super) fn lines_of(
    lines: &mut Lines,
    out: &mut Vec<u8>,
    frame: &Frame<'_>,
    packet: &Packet<'_>,
    mark: Option<Mark>,
    seen: Option<&Seen<'_, Known>>,
    interface: Option<&ForeignText>,
) {
    let mut line = Line {
        packet,
        mark,
        bytes: frame.bytes,
        relative: Relative::default(),
        conversation: None,
        interface,
        ends: None,
    };
    let known = seen.map(|seen| Known::clone(&seen.conversation.note));
    let mut note = known.as_ref().map(|known| known.borrow_mut());
    if let Some(note) = &mut note
        && note.has_news()
    {
        if lines.headings {
            news_of(&lines.screen, out, note);
        }
        note.is_told();
    }
    if let (Some(seen), Some(note)) = (seen, &note) {
        let conversation = &seen.conversation;
        let [client, server] = &note.labels;
        if seen.is_new && lines.headings {
            let is_tcp = packet
                .segment()
                .is_some_and(|segment| segment.tcp.is_some());
            let heading = Heading {
                number: conversation.number,
                client,
                server,
                interface,
                began_earlier: is_tcp && !conversation.opening_seen(),
            };
            heading.write(out, &lines.screen);
        }
        line.relative = seen.relative;
        let direction = conversation.direction(seen.source);
        line.conversation = Some((conversation.number, direction));
        line.ends = Some(match direction {
            Direction::Forth => (client, server),
            Direction::Back => (server, client),
        });
        if lines.headings && packet.interface == note.interface {
            line.interface = None;
        }
    }
    lines.write(out, &line);
}

pub(super) fn record_of(
    out: &mut Vec<u8>,
    number: u64,
    packet: &Packet<'_>,
    mark: Option<Mark>,
    seen: Option<&Seen<'_, Known>>,
    interface: Option<&ForeignText>,
) -> io::Result<()> {
    let mut owners = None;
    let note = seen.map(|seen| seen.conversation.note.borrow());
    if let (Some(seen), Some(note)) = (seen, &note) {
        let [client, server] = &note.sides;
        owners = Some(match seen.conversation.direction(seen.source) {
            Direction::Forth => (client, server),
            Direction::Back => (server, client),
        });
    }
    let relative = seen.map_or(Relative::default(), |seen| seen.relative);
    let conversation = seen.map(|seen| seen.conversation.number);
    let record = PacketRecord::new(
        number,
        packet,
        interface,
        conversation,
        relative,
        mark,
        owners,
    );
    json::write(out, &record)
}
