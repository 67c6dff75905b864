//! `--follow`: what each side said, in order.

use std::io;

use super::show::{Ends, Known};
use crate::capture::{Direction, Packet, Seen};
use crate::model::{ForeignText, Gap, Origin, Timestamp};
use crate::names::Interfaces;
use crate::render::json::{self, StreamRecord};
use crate::render::packet::{Dialogue, Heading, Said};
use crate::streams::{Part, Streams};

/// The streams of all conversations, and how they are written.
pub(super) struct Follow {
    streams: Streams<Known>,
    written: Written,
    /// The latest time that a packet had.
    now: Timestamp,
    /// SYNs amid conversations.
    amid: u64,
}

enum Written {
    Lines(Box<Dialogue>),
    Json,
}

/// What is needed beside the streams to write a part.
pub(super) struct Paper<'p> {
    pub(super) out: &'p mut Vec<u8>,
    pub(super) interfaces: &'p mut Interfaces,
    /// The one interface, where there is one.
    pub(super) interface: Option<&'p ForeignText>,
}

impl Follow {
    /// As text; without a dialogue, as records.
    pub(super) fn new(memory: usize, dialogue: Option<Dialogue>) -> Self {
        Self {
            streams: Streams::new(memory),
            written: dialogue.map_or(Written::Json, |dialogue| Written::Lines(Box::new(dialogue))),
            now: Timestamp::from_nanos(i64::MIN),
            amid: 0,
        }
    }

    /// How the lines are written, where there are lines.
    pub(super) fn dialogue(&self) -> Option<&Dialogue> {
        match &self.written {
            Written::Lines(dialogue) => Some(dialogue),
            Written::Json => None,
        }
    }

    /// Takes a packet, and writes what it completes.
    pub(super) fn packet(
        &mut self,
        packet: &Packet<'_>,
        seen: &Seen<'_, Known>,
        paper: &mut Paper<'_>,
    ) -> io::Result<()> {
        self.now = self.now.max(packet.time);
        self.settle(self.now, paper)?;
        let Self {
            streams,
            written,
            now,
            amid,
        } = self;
        let mut pen = Pen::new(written, paper);
        let mut emit = |known: &Known, way, time, part: Part<'_>| pen.write(known, way, time, part);
        if let Some(stream) = seen.displaced.as_ref().and_then(|old| old.borrow().stream) {
            streams.finish(stream, *now, &mut emit);
        }
        // A piece is said when the datagram is whole.
        let Some(segment) = packet.segment().filter(|it| it.fragment.is_none()) else {
            return pen.end();
        };
        // Its receiver takes nothing of it either.
        if seen.is_amid {
            *amid += 1;
            return pen.end();
        }
        let known = &seen.conversation.note;
        let stream = known.borrow().stream;
        let stream = match stream {
            Some(stream) => stream,
            None => {
                let stream = streams.open(Known::clone(known));
                let mut ends = known.borrow_mut();
                ends.stream = Some(stream);
                ends.began_earlier = segment.tcp.is_some() && !seen.conversation.opening_seen();
                stream
            }
        };
        let direction = seen.conversation.direction(seen.source);
        streams.segment(stream, direction, packet.time, segment, &mut emit);
        pen.end()
    }

    /// What time brings.
    pub(super) fn settle(&mut self, now: Timestamp, paper: &mut Paper<'_>) -> io::Result<()> {
        let mut pen = Pen::new(&mut self.written, paper);
        self.streams
            .settle(now, &mut |known: &Known, way, time, part| {
                pen.write(known, way, time, part);
            });
        pen.end()
    }

    /// The capture is over: what waits is written.
    pub(super) fn finish(&mut self, paper: &mut Paper<'_>) -> io::Result<()> {
        let mut pen = Pen::new(&mut self.written, paper);
        self.streams
            .finish_all(self.now, &mut |known: &Known, way, time, part| {
                pen.write(known, way, time, part);
            });
        pen.end()
    }

    /// What the streams lack, in all.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let counts = self.streams.counts();
        let holes = if counts.gaps == 1 { "gap" } else { "gaps" };
        let all = [
            (
                counts.missing,
                format!("bytes missing in what was said, in {} {holes}", counts.gaps),
            ),
            (
                counts.evicted,
                "gaps because the memory for streams was full (--stream-memory)".to_owned(),
            ),
            (
                counts.conflicts,
                "places where what was sent again differs: the first is shown".to_owned(),
            ),
            (
                counts.uncompared,
                "bytes sent again that could not be compared with the first".to_owned(),
            ),
            (
                counts.before,
                "bytes sent again from before the capture, not shown".to_owned(),
            ),
            (
                counts.swapped,
                "bytes that belong before the first segment captured, not shown".to_owned(),
            ),
            (
                counts.late_untold,
                "bytes that came too late, perhaps of one of very many gaps, not shown".to_owned(),
            ),
            (
                counts.strays,
                "segments outside of any window, not shown".to_owned(),
            ),
            (
                self.amid,
                "SYNs amid a conversation, taken for no part of it".to_owned(),
            ),
        ];
        all.into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, reason)| Gap::counted(Origin::Capture, reason, count))
            .collect()
    }
}

/// Writes parts; remembers what went wrong, as its callers cannot break off.
struct Pen<'a, 'p> {
    written: &'a mut Written,
    paper: &'a mut Paper<'p>,
    failed: io::Result<()>,
}

impl<'a, 'p> Pen<'a, 'p> {
    fn new(written: &'a mut Written, paper: &'a mut Paper<'p>) -> Self {
        Self {
            written,
            paper,
            failed: Ok(()),
        }
    }

    fn end(self) -> io::Result<()> {
        self.failed
    }

    fn write(&mut self, known: &Known, direction: Direction, time: Timestamp, part: Part<'_>) {
        match self.written {
            Written::Lines(dialogue) => {
                let mut ends = known.borrow_mut();
                if dialogue.headings {
                    head(&mut ends, dialogue, self.paper);
                }
                let [client, server] = &ends.labels;
                let said = Said {
                    time,
                    number: ends.number,
                    direction,
                    client,
                    server,
                    part,
                };
                dialogue.write(self.paper.out, &said);
            }
            Written::Json => {
                let ends = known.borrow();
                let [client, server] = &ends.sides;
                let sides = match direction {
                    Direction::Forth => (client, server),
                    Direction::Back => (server, client),
                };
                let record = StreamRecord::new(
                    ends.number,
                    time,
                    ends.from(direction),
                    sides,
                    ends.began_earlier,
                    part,
                );
                let done = json::append(self.paper.out, &record);
                if self.failed.is_ok() {
                    self.failed = done;
                }
            }
        }
    }
}

/// Writes the heading before the first part, and who has become known before a later one.
fn head(ends: &mut Ends, dialogue: &Dialogue, paper: &mut Paper<'_>) {
    let is_first = !std::mem::replace(&mut ends.is_headed, true);
    if !is_first && !ends.has_news() {
        return;
    }
    let interface = match (paper.interface, ends.interface) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(index)) => paper.interfaces.name(index).cloned(),
        (None, None) => None,
    };
    let [client, server] = &ends.labels;
    let heading = Heading {
        number: ends.number,
        client,
        server,
        interface: interface.as_ref(),
        began_earlier: ends.began_earlier,
    };
    if is_first {
        heading.write(paper.out, &dialogue.screen);
    } else {
        heading.write_again(paper.out, &dialogue.screen);
    }
    ends.is_told();
}
