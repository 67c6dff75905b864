//! What was said, without the packets: one line for each line of text.

use memchr::memchr_iter;
use unicode_width::UnicodeWidthStr;

use super::digits::{TimeOfDay, grouped, number};
use super::payload;
use crate::capture::Direction;
use crate::model::Timestamp;
use crate::render::{Escaped, Screen, Style};
use crate::streams::{Part, Why};

/// How a dialogue is written.
#[derive(Debug, Clone)]
pub struct Dialogue {
    /// Where it goes.
    pub screen: Screen,
    /// Below headings, rather than whole lines.
    pub headings: bool,
    /// The clock.
    pub clock: TimeOfDay,
}

/// A part of a stream, with all that is known around it.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// When its packet passed.
    pub time: Timestamp,
    /// The number of its conversation.
    pub number: u64,
    /// Which side said it.
    pub direction: Direction,
    /// The side that opened, as [`super::end_label`] writes it.
    pub client: &'a str,
    /// The other side.
    pub server: &'a str,
    /// What was said.
    pub part: Part<'a>,
}

/// Text that must not be taken for our own words: those begin with a bracket.
const OURS: [&[u8]; 5] = [b"[gap", b"[conflict", b"[late", b"[closed", b"[reset"];

impl Dialogue {
    /// Appends a part of a stream.
    pub fn write(&mut self, out: &mut Vec<u8>, said: &Said<'_>) {
        match said.part {
            Part::Bytes { bytes, .. } => self.text(out, said, bytes),
            Part::Gap { length, why, .. } => {
                let count = count(length);
                let words = match why {
                    Why::NotCaptured => format!("[gap: {count} not captured]"),
                    Why::Cut => format!("[gap: {count} cut off by the snapshot length (-s)]"),
                    Why::Evicted => {
                        format!("[gap: {count} given up, the memory for streams was full]")
                    }
                    Why::NeverCame => format!("[gap: {count} never came]"),
                };
                self.words(out, said, &words);
            }
            Part::Conflict { offset, bytes } => {
                let begin = format!(
                    "[conflict: {} at {}, sent again as ",
                    count(bytes.len() as u64),
                    spelled(offset)
                );
                self.quoting(out, said, &begin, bytes);
            }
            Part::MoreConflicts { count: 1 } => {
                self.words(out, said, "[conflict: 1 more, not shown]");
            }
            Part::MoreConflicts { count } => {
                let words = format!("[conflicts: {} more, not shown]", spelled(count));
                self.words(out, said, &words);
            }
            Part::Late { offset, bytes } => {
                let begin = format!(
                    "[late: {} of a gap, at {}: ",
                    count(bytes.len() as u64),
                    spelled(offset)
                );
                self.quoting(out, said, &begin, bytes);
            }
            Part::Closed => self.ending(out, said, "closed"),
            Part::Reset => self.ending(out, said, "reset"),
        }
    }

    /// Appends what stands before the text; gives its width.
    fn prefix(&mut self, out: &mut Vec<u8>, said: &Said<'_>, arrow: bool) -> usize {
        let from = out.len();
        if self.headings {
            self.clock.write(out, said.time, false);
            out.extend_from_slice(b"  #");
            number(out, said.number);
            let arrow = match (arrow, said.direction) {
                (false, _) => " ",
                (true, Direction::Forth) => self.screen.arrow(),
                (true, Direction::Back) => self.screen.back_arrow(),
            };
            out.push(b' ');
            out.extend_from_slice(arrow.as_bytes());
            out.extend_from_slice(b"  ");
            return out.len() - from - arrow.len() + arrow.width();
        }
        self.clock.write(out, said.time, true);
        out.extend_from_slice(b" #");
        number(out, said.number);
        let (source, destination) = match said.direction {
            Direction::Forth => (said.client, said.server),
            Direction::Back => (said.server, said.client),
        };
        for word in [source, self.screen.arrow(), destination] {
            out.push(b' ');
            out.extend_from_slice(word.as_bytes());
        }
        out.push(b' ');
        0
    }

    fn text(&mut self, out: &mut Vec<u8>, said: &Said<'_>, bytes: &[u8]) {
        let from = out.len();
        let width = self.prefix(out, said, true);
        let prefix = from..out.len();
        let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let mut begin = 0;
        for end in memchr_iter(b'\n', body).chain([body.len()]) {
            if begin > 0 {
                if self.headings {
                    out.resize(out.len() + width, b' ');
                } else {
                    out.extend_from_within(prefix.clone());
                }
            }
            let line = body.get(begin..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.line(out, line, width);
            begin = end + 1;
        }
    }

    /// One line of text; on a terminal broken where it reaches the edge.
    fn line(&self, out: &mut Vec<u8>, line: &[u8], indent: usize) {
        let charset = self.screen.charset;
        let from = out.len();
        if line.first() == Some(&b'[') && OURS.iter().any(|ours| line.starts_with(ours)) {
            out.push(b'\\');
        }
        payload::bare(out, line, charset);
        let room = self.screen.width.filter(|_| self.headings);
        let room = room.map(|width| width.saturating_sub(indent).max(payload::LEAST));
        let fits = room.is_none_or(|room| out.len() - from <= room);
        if !fits || self.screen.colour {
            // What `bare` writes is text.
            let text = String::from_utf8_lossy(&out[from..]).into_owned();
            out.truncate(from);
            for (index, part) in payload::broken(&text, room).enumerate() {
                if index > 0 {
                    out.push(b'\n');
                    out.resize(out.len() + indent, b' ');
                }
                out.extend_from_slice(self.screen.paint(Style::Payload, part).as_bytes());
            }
        }
        if line.is_empty() && self.headings {
            let end = out.iter().rposition(|byte| *byte != b' ');
            out.truncate(end.map_or(0, |end| end + 1));
        }
        out.push(b'\n');
    }

    /// Words of ours that quote bytes: whole in a pipe, as much as fits on a terminal.
    fn quoting(&mut self, out: &mut Vec<u8>, said: &Said<'_>, begin: &str, bytes: &[u8]) {
        let from = out.len();
        let indent = self.prefix(out, said, true);
        out.truncate(from);
        let quoted = match self.screen.width.filter(|_| self.headings) {
            Some(width) => {
                let room = width.saturating_sub(indent + begin.width() + 1);
                payload::fitted(bytes, room, &self.screen)
            }
            None => Escaped::quoted(bytes, self.screen.charset).to_string(),
        };
        self.words(out, said, &format!("{begin}{quoted}]"));
    }

    fn words(&mut self, out: &mut Vec<u8>, said: &Said<'_>, words: &str) {
        self.prefix(out, said, true);
        out.extend_from_slice(self.screen.paint(Style::Error, words).as_bytes());
        out.push(b'\n');
    }

    fn ending(&mut self, out: &mut Vec<u8>, said: &Said<'_>, verb: &str) {
        self.prefix(out, said, false);
        let side = match said.direction {
            Direction::Forth => "client",
            Direction::Back => "server",
        };
        let (style, words) = match (self.headings, said.part) {
            (true, Part::Reset) => (Style::Error, format!("{verb} by {side}")),
            (true, _) => (Style::Dim, format!("{verb} by {side}")),
            (false, _) => (Style::Dim, format!("[{verb} by {side}]")),
        };
        out.extend_from_slice(self.screen.paint(style, &words).as_bytes());
        out.push(b'\n');
    }
}

/// `1 byte`, `1,448 bytes`.
fn count(bytes: u64) -> String {
    let word = if bytes == 1 { "byte" } else { "bytes" };
    format!("{} {word}", spelled(bytes))
}

fn spelled(value: u64) -> String {
    let mut out = Vec::new();
    grouped(&mut out, value);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::render::Charset;

    fn written(screen: Screen, headings: bool, direction: Direction, part: Part<'_>) -> String {
        let mut out = Vec::new();
        let mut dialogue = Dialogue {
            screen,
            headings,
            clock: TimeOfDay::new(TimeZone::UTC),
        };
        let said = Said {
            time: Timestamp::from_parts(43_201, 207_000),
            number: 1,
            direction,
            client: "chat-client[4847] 127.0.0.1:52316",
            server: "chat-server[4845] 127.0.0.1:2345",
            part,
        };
        dialogue.write(&mut out, &said);
        String::from_utf8(out).unwrap()
    }

    fn terminal(width: usize) -> Screen {
        Screen {
            width: Some(width),
            colour: false,
            charset: Charset::Utf8,
        }
    }

    fn bytes(bytes: &[u8]) -> Part<'_> {
        Part::Bytes { offset: 0, bytes }
    }

    #[test]
    fn a_terminal_shows_words_below_the_heading() {
        let shown = |way, part| written(terminal(40), true, way, part);
        let (forth, back) = (Direction::Forth, Direction::Back);
        assert_eq!(shown(forth, bytes(b"hello")), "12:00:01  #1 →  hello\n");
        assert_eq!(
            shown(back, bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
            "12:00:01  #1 ←  GET / HTTP/1.1\n                Host: x\n\n"
        );
        assert_eq!(
            shown(forth, bytes(b"abcdefghijklmnopqrstuvwxyz\x1b[31m")),
            "12:00:01  #1 →  abcdefghijklmnopqrstuvwx\n                yz\\u{1b}[31m\n"
        );
        let gap = Part::Gap {
            offset: 5,
            length: 1448,
            why: Why::NotCaptured,
        };
        assert_eq!(
            shown(forth, gap),
            "12:00:01  #1 →  [gap: 1,448 bytes not captured]\n"
        );
        assert_eq!(
            shown(forth, Part::Closed),
            "12:00:01  #1    closed by client\n"
        );
        assert_eq!(
            shown(back, Part::Reset),
            "12:00:01  #1    reset by server\n"
        );
    }

    #[test]
    fn a_pipe_gets_whole_lines_that_no_payload_can_forge() {
        let shown = |way, part| written(Screen::pipe(Charset::Ascii), false, way, part);
        let before = "12:00:01.000207 #1 chat-client[4847] 127.0.0.1:52316 -> \
                      chat-server[4845] 127.0.0.1:2345 ";
        assert_eq!(
            shown(Direction::Forth, bytes("a\n你\\\n[gap: 1 byte]".as_bytes())),
            format!("{before}a\n{before}\\u{{4f60}}\\\\\n{before}\\[gap: 1 byte]\n")
        );
        let conflict = Part::Conflict {
            offset: 2000,
            bytes: b"L\"L",
        };
        assert_eq!(
            shown(Direction::Forth, conflict),
            format!("{before}[conflict: 3 bytes at 2,000, sent again as \"L\\\"L\"]\n")
        );
        assert_eq!(
            shown(Direction::Forth, Part::Closed),
            format!("{before}[closed by client]\n")
        );
    }
}
