//! What the tour shows: values in, lines out. Pure.

use std::io::{self, Write};

use inspect::listing::Rows;
use inspect::model::{State, Timestamp};
use inspect::render::call::time_taken;
use inspect::render::packet::TimeOfDay;
use inspect::render::sockets::{ends_words, owner_words};
use inspect::render::table::{self, Cell, Column, Narrow, TextRow};
use inspect::render::timeline::{self, call_in_full, is_shown};
use inspect::render::{Escaped, Screen, Style};
use inspect::timeline::{Conversation, Side, What};

use jiff::tz::TimeZone;

use super::talk::Said;

/// The text below a heading begins here.
const INDENT: usize = 5;
/// Headings name the tools they replace at the right, at this column at the furthest.
const RIGHT_EDGE: usize = 78;

/// One packet of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// When the kernel saw it.
    pub(super) time: Timestamp,
    /// Whether the client sent it.
    pub(super) by_client: bool,
    /// Its TCP flags, as words: `PSH ACK`.
    pub(super) flags: String,
    /// What it carries.
    pub(super) payload: Vec<u8>,
}

impl Seen {
    fn is_bare_acknowledgement(&self) -> bool {
        self.payload.is_empty() && self.flags == "ACK"
    }

    fn ends_a_stream(&self) -> bool {
        self.flags.split(' ').any(|flag| flag == "FIN")
    }
}

/// Writes pages to one screen.
pub(super) struct Pages<'a> {
    out: &'a mut dyn Write,
    screen: Screen,
    clock: TimeOfDay,
}

impl<'a> Pages<'a> {
    pub(super) fn new(out: &'a mut dyn Write, screen: Screen, zone: TimeZone) -> Self {
        Self {
            out,
            screen,
            clock: TimeOfDay::new(zone),
        }
    }

    pub(super) fn title(&mut self) -> io::Result<()> {
        writeln!(self.out, "One hello/hi conversation, seen from every side.")
    }

    fn heading(&mut self, number: u8, title: &str, tools: &str) -> io::Result<()> {
        writeln!(self.out)?;
        let left = format!("{number}  {title}");
        let edge = self.screen.width.unwrap_or(RIGHT_EDGE).min(RIGHT_EDGE);
        let painted = self.screen.paint(Style::Heading, &left);
        match edge.checked_sub(left.len() + tools.len()) {
            _ if tools.is_empty() => writeln!(self.out, "{painted}"),
            Some(space @ 2..) => {
                let tools = self.screen.paint(Style::Dim, tools);
                writeln!(self.out, "{painted}{:space$}{tools}", "")
            }
            _ => {
                writeln!(self.out, "{painted}")?;
                let tools = self.screen.paint(Style::Dim, tools);
                writeln!(self.out, "   {tools}")
            }
        }
    }

    /// Writes a paragraph below a heading, filled to the width of the screen.
    pub(super) fn paragraph(&mut self, text: &str) -> io::Result<()> {
        let width = self.screen.width.unwrap_or(RIGHT_EDGE).min(RIGHT_EDGE);
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && INDENT + line.chars().count() + 1 + word.chars().count() > width
            {
                writeln!(self.out, "{:INDENT$}{line}", "")?;
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        writeln!(self.out, "{:INDENT$}{line}", "")
    }

    pub(super) fn said(&mut self, said: &[Said]) -> io::Result<()> {
        self.heading(1, "What was said", "")?;
        for Said { by_client, word } in said {
            let who = if *by_client { "client" } else { "server" };
            let word = Escaped::bare(word.as_bytes(), self.screen.charset).to_string();
            let word = self.screen.paint(Style::Payload, &word);
            writeln!(self.out, "{:INDENT$}{who}  {word}", "")?;
        }
        Ok(())
    }

    pub(super) fn sockets(&mut self, rows: &Rows<'_>) -> io::Result<()> {
        self.heading(
            2,
            "The sockets, and who holds them",
            "netstat, ss -p, lsof -i",
        )?;
        let column = |narrow| Column {
            title: "",
            right: false,
            narrow,
        };
        let columns = [
            column(Narrow::Below),
            column(Narrow::Below),
            column(Narrow::Below),
            column(Narrow::Elastic(22)),
        ];
        let charset = self.screen.charset;
        let text = |index: usize| {
            let Some(row) = rows.get(index) else {
                return TextRow::default();
            };
            let (local, remote) = ends_words(row.socket, charset);
            let mut owners: Vec<String> = row
                .owners
                .map(|owner| owner_words(&owner, charset))
                .collect();
            if owners.is_empty() {
                owners.push(format!("owner {}", row.owner_status.word()));
            }
            TextRow {
                cells: vec![
                    Cell::new(row.socket.state.word()).painted(Some(Style::Calm)),
                    Cell::new(local),
                    Cell::new(remote),
                    Cell {
                        lines: owners,
                        style: None,
                    },
                ],
                notes: Vec::new(),
            }
        };
        let mut screen = self.screen;
        screen.width = screen.width.map(|width| width.saturating_sub(INDENT));
        let mut lines = Vec::new();
        table::write(&mut lines, &columns, rows.len(), &text, false, screen)?;
        for line in String::from_utf8_lossy(&lines).lines() {
            writeln!(self.out, "{:INDENT$}{line}", "")?;
        }
        match connection_descriptors(rows) {
            Some((server, client)) if server != client => self.paragraph(&format!(
                "The server holds two: one to listen, one for this client. The client holds \
                 one. Descriptor numbers count within a process, so {server} and {client} are \
                 two ends of the same connection."
            )),
            Some(_) => self.paragraph(
                "The server holds two: one to listen, one for this client. The client holds \
                 one. Descriptor numbers count within a process: the same number in both is \
                 not the same descriptor.",
            ),
            None => Ok(()),
        }
    }

    /// The packets cannot be shown: why, and the two ways out.
    pub(super) fn no_packets(&mut self, reason: &str, ways_out: &[String; 2]) -> io::Result<()> {
        self.heading(3, "The packets", "tcpdump")?;
        self.paragraph(reason)?;
        for command in ways_out {
            writeln!(self.out, "{:INDENT$}  {command}", "")?;
        }
        Ok(())
    }

    pub(super) fn packets(&mut self, seen: &[Seen], lost: u64, port: u16) -> io::Result<()> {
        self.heading(3, "The packets", &format!("tcpdump port {port}"))?;
        let arrow = self.screen.arrow();
        let narrow = self.screen.width.is_some_and(|width| width < 70);
        // The handshake is shown whole; after it, acknowledgements and ends are counted.
        let handshake = seen
            .iter()
            .position(|packet| !packet.payload.is_empty())
            .unwrap_or(seen.len());
        let (mut acknowledgements, mut ends) = (0, 0);
        for (index, packet) in seen.iter().enumerate() {
            if index >= handshake && packet.ends_a_stream() && packet.payload.is_empty() {
                ends += 1;
                continue;
            }
            if index >= handshake && packet.is_bare_acknowledgement() {
                acknowledgements += 1;
                continue;
            }
            let mut line = vec![b' '; INDENT];
            self.clock.write(&mut line, packet.time, !narrow);
            self.out.write_all(&line)?;
            let direction = if packet.by_client {
                format!("client {arrow} server")
            } else {
                format!("server {arrow} client")
            };
            write!(self.out, "  {direction}  {}", packet.flags)?;
            if !packet.payload.is_empty() {
                let words = Escaped::quoted(&packet.payload, self.screen.charset).to_string();
                let words = self.screen.paint(Style::Payload, &words);
                write!(self.out, "  {} bytes  {words}", packet.payload.len())?;
            }
            writeln!(self.out)?;
        }
        let plural = if acknowledgements == 1 { "" } else { "s" };
        let lost = match lost {
            0 => "None lost.".to_owned(),
            lost => format!("{lost} lost."),
        };
        self.paragraph(&format!(
            "and {acknowledgements} acknowledgement{plural} without payload, {ends} FIN. {lost}"
        ))
    }

    /// The calls cannot be shown: why, and the way out.
    pub(super) fn no_calls(&mut self, reason: &str) -> io::Result<()> {
        self.heading(4, "The calls", "strace, both ends")?;
        self.paragraph(&format!(
            "Not shown: this user may not have the kernel tell them ({reason}). As root they \
             are: sudo make demo"
        ))
    }

    /// The calls of both ends, until the first answer was heard.
    pub(super) fn calls(&mut self, conversation: &Conversation) -> io::Result<()> {
        self.heading(4, "The calls", "strace, both ends")?;
        for event in &conversation.events {
            let What::Call(call) = &event.what else {
                continue;
            };
            if !is_shown(call) {
                continue;
            }
            let words = call_in_full(call, self.screen.charset);
            let late = conversation
                .late_ns(event)
                .map(|late| format!("{} after it was sent", time_taken(late, &self.screen)));
            let remark = match call.name {
                "accept" | "accept4" => "the second descriptor".to_owned(),
                _ => late.clone().unwrap_or_default(),
            };
            let line = format!("{}  {words}", event.side.word());
            let edge = self.screen.width.unwrap_or(RIGHT_EDGE).min(RIGHT_EDGE);
            let used = INDENT + line.chars().count() + remark.chars().count();
            let space = edge.saturating_sub(used).max(2);
            let remark = self.screen.paint(Style::Dim, &remark);
            let line = format!("{:INDENT$}{line}{:space$}{remark}", "", "");
            writeln!(self.out, "{}", line.trim_end())?;
            if event.side == Side::Client && late.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Calls, states and packets in one picture.
    pub(super) fn picture(&mut self, conversation: &Conversation) -> io::Result<()> {
        self.heading(5, "All of it, one picture", "nothing else shows this")?;
        let mut screen = self.screen;
        let edge = screen.width.unwrap_or(RIGHT_EDGE + INDENT);
        screen.width = Some(edge.min(96).saturating_sub(INDENT));
        let mut lines = Vec::new();
        timeline::write(&mut lines, conversation, &screen, None)?;
        for line in String::from_utf8_lossy(&lines).lines() {
            writeln!(self.out, "{}", format!("{:INDENT$}{line}", "").trim_end())?;
        }
        Ok(())
    }

    /// Where to go from here: commands that work when pasted.
    pub(super) fn try_it(&mut self, commands: &[String], install: bool) -> io::Result<()> {
        writeln!(self.out, "\nTry it yourself, two terminals:")?;
        for command in commands {
            writeln!(self.out, "{:INDENT$}{command}", "")?;
        }
        if install {
            writeln!(self.out, "Put them on your PATH:  make install")?;
        }
        Ok(())
    }
}

/// The descriptors that server and client hold on their connection.
fn connection_descriptors(rows: &Rows<'_>) -> Option<(u32, u32)> {
    let listener = rows.iter().find(|row| row.socket.state == State::Listen)?;
    let port = listener.socket.endpoints()?.0.port;
    let end = |at_server: bool| {
        rows.iter()
            .filter(|row| row.socket.state == State::Established)
            .find(|row| {
                row.socket
                    .endpoints()
                    .is_some_and(|(local, _)| (local.port == port) == at_server)
            })
            .and_then(|row| row.owners.into_iter().next())
            .map(|owner| owner.fd.0)
    };
    Some((end(true)?, end(false)?))
}

#[cfg(test)]
mod tests {
    use inspect::render::Charset;

    use super::*;

    fn shown(width: Option<usize>, charset: Charset, write: impl Fn(&mut Pages<'_>)) -> String {
        let mut out = Vec::new();
        let screen = Screen {
            width,
            colour: false,
            charset,
        };
        write(&mut Pages::new(&mut out, screen, TimeZone::UTC));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tools_stand_at_the_right_or_below_where_there_is_no_room() {
        let page = |width| shown(width, Charset::Utf8, |pages| pages.said(&[]).unwrap());
        assert_eq!(page(None), "\n1  What was said\n");
        let page = |width| {
            shown(width, Charset::Utf8, |pages| {
                pages.packets(&[], 0, 2345).unwrap();
            })
        };
        let right =
            "\n3  The packets                                               tcpdump port 2345\n";
        assert!(page(None).starts_with(right), "{}", page(None));
        assert!(page(Some(200)).starts_with(right));
        assert!(page(Some(24)).starts_with("\n3  The packets\n   tcpdump port 2345\n"));
        for width in [24, 60, 80] {
            let page = page(Some(width));
            assert!(
                page.lines().all(|line| line.chars().count() <= width),
                "{page}"
            );
        }
    }

    #[test]
    fn a_hostile_word_is_inert() {
        let said = [Said {
            by_client: true,
            word: "\u{1b}[31m你".to_owned(),
        }];
        let page = shown(None, Charset::Ascii, |pages| pages.said(&said).unwrap());
        assert!(page.contains("client  \\u{1b}[31m\\u{4f60}"), "{page}");
    }

    #[test]
    fn acknowledgements_and_ends_are_counted_after_the_handshake() {
        let packet = |by_client, flags: &str, payload: &str| Seen {
            time: Timestamp::from_nanos(0),
            by_client,
            flags: flags.to_owned(),
            payload: payload.into(),
        };
        let seen = [
            packet(true, "SYN", ""),
            packet(false, "SYN ACK", ""),
            packet(true, "ACK", ""),
            packet(true, "PSH ACK", "hello"),
            packet(false, "ACK", ""),
            packet(true, "FIN ACK", ""),
        ];
        let page = shown(None, Charset::Ascii, |pages| {
            pages.packets(&seen, 2, 2345).unwrap()
        });
        assert!(
            page.contains("client -> server  PSH ACK  5 bytes  \"hello\""),
            "{page}"
        );
        assert!(
            page.ends_with("and 1 acknowledgement without payload, 1 FIN. 2 lost.\n"),
            "{page}"
        );
        assert_eq!(page.matches("ACK").count(), 3, "{page}");
    }
}
