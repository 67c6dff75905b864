//! Any bytes as frames of any link: decoded, put into conversations, and shown in every way.

#![no_main]

use inspect::capture::{Conversations, Frame, Link, Recorded, Relative, decode, selects};
use inspect::model::Timestamp;
use inspect::render::json::PacketRecord;
use inspect::render::packet::{Dump, Line, Lines, TimeOfDay};
use inspect::render::{Charset, Screen};
use inspect::selection::{Selection, Test};
use inspect::streams::Course;
use libfuzzer_sys::fuzz_target;

/// The link of a DLT number; its last has no name.
const LINKS: [i32; 8] = [1, 113, 276, 12, 0, 108, 101, 147];

fuzz_target!(|bytes: &[u8]| {
    let [link, cut, frames @ ..] = bytes else {
        return;
    };
    let link = Link::from_dlt(LINKS[usize::from(*link) % LINKS.len()]);
    let mut conversations: Conversations<()> = Conversations::new();
    let mut course = Course::default();
    let mut out = Vec::new();
    // A frame ends where the next begins: two bytes tell its length.
    let mut rest = frames;
    let mut number = 0;
    while let [a, b, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*a, *b])).min(after.len());
        let (one, next) = after.split_at(length);
        rest = next;
        number += 1;
        let frame = frame(number, one, u32::from(*cut));
        let packet = decode(link, &frame);
        let _ = selects(&Selection::Test(Test::Port(2345)), &packet);
        let seen = conversations.see(&packet);
        let relative = seen
            .as_ref()
            .map_or(Relative::default(), |seen| seen.relative);
        let mark = seen.as_ref().and_then(|seen| {
            let direction = seen.conversation.direction(seen.source);
            course.segment(direction, packet.time, packet.segment()?)
        });
        let place = seen.as_ref().map(|seen| {
            (
                seen.conversation.number,
                seen.conversation.direction(seen.source),
            )
        });
        for (width, charset) in [(Some(60), Charset::Utf8), (None, Charset::Ascii)] {
            let mut lines = lines(width, charset);
            let line = line(&packet, one, relative, place, mark);
            out.clear();
            lines.write(&mut out, &line);
            let text = std::str::from_utf8(&out).expect("what is shown is text");
            // The tab is what a dump begins with, as tcpdump's does; a payload's is escaped.
            let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
            assert!(text.chars().all(harmless), "{text:?}");
        }
        let record = PacketRecord::new(number, &packet, None, None, relative, mark, None);
        serde_json::to_vec(&record).expect("a record can be written");
    }
});

fn frame(number: u64, bytes: &[u8], more: u32) -> Frame<'_> {
    let length = u32::try_from(bytes.len()).unwrap_or(0);
    Frame {
        time: Timestamp::from_nanos(i64::try_from(number).unwrap_or(0) * 1_000_000),
        bytes,
        original_length: length + more,
        recorded: Recorded::default(),
    }
}

fn lines(width: Option<usize>, charset: Charset) -> Lines {
    Lines {
        screen: Screen {
            width,
            colour: false,
            charset,
        },
        headings: width.is_some(),
        whole_payloads: width.is_none(),
        brief: false,
        all_options: true,
        dump: width.is_none().then_some(Dump {
            ascii: true,
            link_header: true,
        }),
        clock: TimeOfDay::new(jiff::tz::TimeZone::UTC),
    }
}

fn line<'a>(
    packet: &'a inspect::capture::Packet<'a>,
    bytes: &'a [u8],
    relative: Relative,
    conversation: Option<(u64, inspect::capture::Direction)>,
    mark: Option<inspect::streams::Mark>,
) -> Line<'a> {
    Line {
        packet,
        bytes,
        relative,
        conversation,
        interface: None,
        mark,
        ends: None,
    }
}
