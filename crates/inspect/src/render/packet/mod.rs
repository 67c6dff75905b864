//! A packet as a line: below a heading on a terminal, whole in a pipe.
//!
//! Everything is appended to a buffer that the caller reuses. On a terminal the fields are
//! chosen by its width alone, never by a payload's length, so that columns stay where they are.

mod dialogue;
mod digits;
mod dump;
mod heading;
mod options;
mod payload;
mod talks;
mod words;

pub use dialogue::{Dialogue, Said};
pub use digits::TimeOfDay;
pub use dump::Dump;
pub use heading::{Heading, Totals, end_label, summary};
pub use talks::{Talk, write_talks};

use std::io::Write as _;

use unicode_width::UnicodeWidthChar;

use crate::capture::{Direction, Flags, Packet, Relative};
use crate::model::ForeignText;
use crate::render::{Escaped, Screen, Style};
use crate::streams::Mark;
use options::Told;

/// How lines are written.
#[derive(Debug, Clone)]
pub struct Lines {
    /// Where they go.
    pub screen: Screen,
    /// Below headings, rather than whole.
    pub headings: bool,
    /// Payloads on lines of their own.
    pub whole_payloads: bool,
    /// The bytes of each packet below its line; in the place of its payload there.
    pub dump: Option<Dump>,
    /// Without sequence numbers, windows and options.
    pub brief: bool,
    /// The options of every TCP segment, not only of those that open.
    pub all_options: bool,
    /// The clock.
    pub clock: TimeOfDay,
}

/// A packet with all that is known around it.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The packet.
    pub packet: &'a Packet<'a>,
    /// Its bytes, from the link header on.
    pub bytes: &'a [u8],
    /// Its numbers from the beginning of the conversation.
    pub relative: Relative,
    /// The number of its conversation, and its direction there.
    pub conversation: Option<(u64, Direction)>,
    /// The name of its interface; below a heading only where it differs from the heading's.
    pub interface: Option<&'a ForeignText>,
    /// What it means after those before it.
    pub mark: Option<Mark>,
    /// Who sent it and to whom, as [`end_label`] writes them, where there are ends.
    pub ends: Option<(&'a str, &'a str)>,
}

/// From which widths on a terminal's line has a field.
const MICROSECONDS_FROM: usize = 56;
const SEQ_FROM: usize = 72;
const ACK_FROM: usize = 100;
const WINDOW_FROM: usize = 120;

/// The columns of `12:00:01` and of `.000113`.
const SECONDS: usize = 8;
const MICROSECONDS: usize = 7;

impl Lines {
    /// Appends a packet's line, and its payload's where they are apart.
    pub fn write(&mut self, out: &mut Vec<u8>, line: &Line<'_>) {
        if self.headings {
            self.below_heading(out, line);
        } else {
            self.whole(out, line);
        }
        let (payload, _) = in_line(line.packet);
        let width = self.screen.width.filter(|_| self.headings);
        if let Some(dump) = self.dump {
            dump.write(out, line.bytes, line.packet.network, width);
        } else if self.whole_payloads && !payload.is_empty() {
            payload::block(out, payload, self.screen.charset, width);
        }
    }

    /// `12:00:01.000207 lo NAME[1] 127.0.0.1:1 → NAME[2] 127.0.0.1:2 PSH,ACK seq 1 ack 1 …`
    fn whole(&mut self, out: &mut Vec<u8>, line: &Line<'_>) {
        self.clock.write(out, line.packet.time, true);
        out.push(b' ');
        self.interface(out, line, b" ");
        if let Some((source, destination)) = line.ends {
            out.extend_from_slice(source.as_bytes());
            out.push(b' ');
            out.extend_from_slice(self.screen.arrow().as_bytes());
            out.push(b' ');
            out.extend_from_slice(destination.as_bytes());
            out.push(b' ');
        }
        words::deed(out, line.packet, b',', self.screen.arrow());
        let (payload, length) = in_line(line.packet);
        if let Some(tcp) = line
            .packet
            .segment()
            .and_then(|segment| segment.tcp)
            .filter(|_| !self.brief)
        {
            field(out, b" seq ", line.relative.seq.unwrap_or(tcp.seq).into());
            if let Some(ack) = line.relative.ack {
                field(out, b" ack ", ack.into());
            }
            field(out, b" win ", tcp.window.into());
            if let Some(told) = self.options(line) {
                out.extend_from_slice(b" options ");
                told.write(out);
            }
        }
        if let Some(length) = length {
            field(out, b" len ", length.into());
        }
        words::notes(out, line.packet, line.mark, b" ");
        if !payload.is_empty() && !self.is_below() {
            out.push(b' ');
            self.paint(out, Style::Payload, |out, charset| {
                payload::quoted(out, payload, charset)
            });
        }
        out.push(b'\n');
    }

    /// `12:00:01.000207  #1 →  PSH ACK  seq 1  len 5  "hello"`
    fn below_heading(&mut self, out: &mut Vec<u8>, line: &Line<'_>) {
        let from = out.len();
        let width = self.screen.width;
        let wide = |columns: usize| width.is_none_or(|width| width >= columns);
        self.clock
            .write(out, line.packet.time, wide(MICROSECONDS_FROM));
        out.extend_from_slice(b"  ");
        if let Some((number, direction)) = line.conversation {
            field(out, b"#", number);
            out.push(b' ');
            let arrow = match direction {
                Direction::Forth => self.screen.arrow(),
                Direction::Back => self.screen.back_arrow(),
            };
            out.extend_from_slice(arrow.as_bytes());
            out.extend_from_slice(b"  ");
        }
        self.interface(out, line, b"  ");
        let (payload, length) = in_line(line.packet);
        let length = length.unwrap_or(0);
        let tcp = line.packet.segment().and_then(|segment| segment.tcp);
        let flags = tcp.map_or(Flags::default(), |tcp| tcp.flags);
        let arrow = self.screen.arrow();
        let style = match tcp {
            Some(_) if flags.has(Flags::RST) => Some(Style::Error),
            Some(_) if length == 0 && flags == Flags::ACK => Some(Style::Dim),
            _ => None,
        };
        match style {
            Some(style) => self.paint(out, style, |out, _| {
                words::deed(out, line.packet, b' ', arrow)
            }),
            None => words::deed(out, line.packet, b' ', arrow),
        }
        let mut fields = b"  ".as_slice();
        if let Some(tcp) = tcp.filter(|_| !self.brief && (length > 0 || wide(ACK_FROM))) {
            if wide(SEQ_FROM) {
                out.extend_from_slice(std::mem::take(&mut fields));
                column(out, b"seq ", line.relative.seq.unwrap_or(tcp.seq));
            }
            if let Some(ack) = line.relative.ack.filter(|_| wide(ACK_FROM)) {
                column(out, b"ack ", ack);
            }
            if wide(WINDOW_FROM) {
                column(out, b"win ", tcp.window.into());
            }
        }
        if length > 0 {
            out.extend_from_slice(fields);
            field(out, b"len ", length.into());
        }
        trim(out);
        words::notes(out, line.packet, line.mark, b"  ");
        let told = self.options(line);
        if let Some(told) = told.filter(|_| !self.all_options) {
            let room = width.map(|width| width.saturating_sub(visible(&out[from..]) + 2));
            if let Some(text) = told.fitted(room.unwrap_or(usize::MAX), &self.screen) {
                out.extend_from_slice(b"  ");
                out.extend_from_slice(&text);
            }
        }
        if !payload.is_empty() && !self.is_below() {
            out.extend_from_slice(b"  ");
            match width {
                None => self.paint(out, Style::Payload, |out, charset| {
                    payload::quoted(out, payload, charset);
                }),
                Some(width) => {
                    let mut room = width.saturating_sub(visible(&out[from..]));
                    if room < payload::LEAST && wide(MICROSECONDS_FROM) {
                        out.drain(from + SECONDS..from + SECONDS + MICROSECONDS);
                        room += MICROSECONDS;
                    }
                    let text = payload::fitted(payload, room, &self.screen);
                    out.extend_from_slice(self.screen.paint(Style::Payload, &text).as_bytes());
                }
            }
        }
        trim(out);
        if let Some(width) = width {
            break_at_words(out, from, width);
        }
        out.push(b'\n');
        // Of every segment they would take the place of its words: they have a line of their own.
        if let Some(told) = told.filter(|_| self.all_options) {
            let from = out.len();
            out.extend_from_slice(b"    options ");
            let before = out.len() - from;
            told.wrapped(out, before, width);
            out.push(b'\n');
        }
    }

    /// The options that are to be shown: of what opens a conversation, or of all.
    fn options<'a>(&self, line: &Line<'a>) -> Option<Told<'a>> {
        let segment = line.packet.segment()?;
        let opens = segment.tcp?.flags.has(Flags::SYN);
        let wanted = !self.brief && (opens || self.all_options);
        wanted.then(|| Told::of(segment, line.relative))?
    }

    /// Whether a payload has lines of its own, and so no place in the packet's.
    fn is_below(&self) -> bool {
        self.whole_payloads && self.dump.is_none()
    }

    /// Appends the name of the interface, if there is one to say, and what stands behind it.
    fn interface(&self, out: &mut Vec<u8>, line: &Line<'_>, behind: &[u8]) {
        if let Some(name) = line.interface {
            // A Vec takes everything.
            let _ = write!(out, "{}", Escaped::name(name, self.screen.charset));
            out.extend_from_slice(behind);
        }
    }

    /// Appends in a style, where colour is wanted.
    fn paint(
        &self,
        out: &mut Vec<u8>,
        style: Style,
        write: impl Fn(&mut Vec<u8>, crate::render::Charset),
    ) {
        if !self.screen.colour {
            return write(out, self.screen.charset);
        }
        let mut plain = Vec::new();
        write(&mut plain, self.screen.charset);
        // What is written here is text already: deeds, and payloads escaped.
        let text = String::from_utf8_lossy(&plain);
        out.extend_from_slice(self.screen.paint(style, &text).as_bytes());
    }
}

/// The payload that a line shows: of an error the words say more than the packet it quotes.
fn in_line<'a>(packet: &Packet<'a>) -> (&'a [u8], Option<u32>) {
    match packet.icmp_error() {
        Some(_) => (&[], None),
        None => (packet.payload(), packet.payload_length()),
    }
}

fn field(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    digits::number(out, value);
}

/// A number of one digit takes the place of two: `seq 1  len 5`, `seq 12 len 9`.
fn column(out: &mut Vec<u8>, name: &[u8], value: u32) {
    field(out, name, value.into());
    out.extend_from_slice(if value < 10 { b"  " } else { b" " });
}

fn trim(out: &mut Vec<u8>) {
    while out.last() == Some(&b' ') {
        out.pop();
    }
}

/// Breaks the line that begins at `from` where a terminal would, but between words.
fn break_at_words(out: &mut Vec<u8>, from: usize, width: usize) {
    if visible(&out[from..]) <= width {
        return;
    }
    let text = String::from_utf8_lossy(&out[from..]).into_owned();
    out.truncate(from);
    let mut columns = 0;
    for (index, word) in text.split(' ').enumerate() {
        let taken = visible(word.as_bytes());
        let gap = usize::from(index > 0);
        if columns > payload::INDENT && columns + gap + taken > width {
            trim(out);
            out.push(b'\n');
            out.resize(out.len() + payload::INDENT, b' ');
            columns = payload::INDENT;
        } else if columns == payload::INDENT && word.is_empty() {
            // The second of two spaces where the line was broken.
        } else {
            out.resize(out.len() + gap, b' ');
            columns += gap;
        }
        out.extend_from_slice(word.as_bytes());
        columns += taken;
    }
    trim(out);
}

/// The columns of a line so far: colours take none, and all else but the arrow is ASCII or an
/// interface's name.
fn visible(line: &[u8]) -> usize {
    let mut columns = 0;
    let mut in_colour = false;
    for c in String::from_utf8_lossy(line).chars() {
        match c {
            '\u{1b}' => in_colour = true,
            'm' if in_colour => in_colour = false,
            _ if in_colour => {}
            _ => columns += c.width().unwrap_or(0),
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::capture::{Frame, Link, crafted, decode};
    use crate::model::Timestamp;
    use crate::render::Charset;
    use crate::render::json::PacketRecord;

    fn printed(name: &ForeignText, headings: bool) -> String {
        let bytes = crafted::ethernet(0x0800, &crafted::ipv4(17, &crafted::udp((1, 2), b"x")));
        let frame = Frame {
            time: Timestamp::from_nanos(0),
            bytes: &bytes,
            original_length: 43,
            recorded: crate::capture::Recorded::default(),
        };
        let packet = decode(Link::Ethernet, &frame);
        let screen = Screen {
            width: None,
            colour: false,
            charset: Charset::Utf8,
        };
        let mut lines = Lines {
            screen,
            headings,
            whole_payloads: false,
            dump: None,
            brief: false,
            all_options: false,
            clock: TimeOfDay::new(TimeZone::UTC),
        };
        let mut out = Vec::new();
        let heading = Heading {
            number: 1,
            client: "a",
            server: "b",
            interface: Some(name),
            began_earlier: false,
        };
        if headings {
            heading.write(&mut out, &screen);
        }
        let line = Line {
            mark: None,
            packet: &packet,
            bytes: &bytes,
            relative: Relative::default(),
            conversation: None,
            interface: Some(name),
            ends: None,
        };
        lines.write(&mut out, &line);
        let record = PacketRecord::new(
            1,
            &packet,
            Some(name),
            None,
            Relative::default(),
            None,
            None,
        );
        out.extend(serde_json::to_vec(&record).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_breaks_between_words_and_colours_take_no_room() {
        let broken = |text: &str, width: usize| {
            let mut out = b"before ".to_vec();
            out.extend_from_slice(text.as_bytes());
            break_at_words(&mut out, 7, width);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(broken("one two", 7), "before one two");
        assert_eq!(broken("one  two  three", 9), "before one  two\n    three");
        assert_eq!(broken("three  two", 9), "before three\n    two");
        assert_eq!(
            broken("\u{1b}[31mone\u{1b}[0m two", 7),
            "before \u{1b}[31mone\u{1b}[0m two"
        );
        assert_eq!(broken("averylongword b", 8), "before averylongword\n    b");
    }

    #[test]
    fn a_terminal_obeys_no_name_of_an_interface() {
        let name = ForeignText::new(b"\x1b[31m\xff");
        let whole = printed(&name, false);
        assert!(
            whole.starts_with("00:00:00.000000 \\u{1b}[31m\\xff UDP len 1"),
            "{whole}"
        );
        let below = printed(&name, true);
        assert!(!below.contains('\u{1b}'), "{below}");
        assert!(below.contains("#1 a → b  (\\u{1b}[31m\\xff)\n"), "{below}");
        assert!(below.contains("  \\u{1b}[31m\\xff  UDP"), "{below}");
        // A script gets the exact bytes.
        let exact = "\"interface\":\"\\u001b[31m\u{fffd}\",\"interface_base64\":\"G1szMW3/\"";
        assert!(below.contains(exact), "{below}");
    }
}
