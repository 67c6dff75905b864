//! The table of conversations: how much, how long, and how it went.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::digits::grouped;
use super::heading::troubles;
use crate::capture::Direction;
use crate::render::facts::wrapped;
use crate::render::table::{self, Cell, Column, Narrow, Note, TextRow};
use crate::render::{Charset, Screen, Style};
use crate::streams::{Course, Ending, Troubles};

/// A conversation, for its row.
#[derive(Debug, Clone)]
pub struct Talk {
    /// Its number.
    pub number: u64,
    /// The side that opened and the other, as [`super::end_label`] writes them.
    pub labels: [String; 2],
    /// Whether it has a beginning and an end to be told.
    pub is_tcp: bool,
    /// What passed.
    pub course: Course,
}

const fn column(title: &'static str, right: bool, narrow: Narrow) -> Column {
    Column {
        title,
        right,
        narrow,
    }
}

/// In a pipe a row says everything. On a terminal the two ends stand below the row: they are as
/// long as all else together.
const ENDS: [Column; 3] = [
    column("#", true, Narrow::Below),
    column("CLIENT", false, Narrow::Below),
    column("SERVER", false, Narrow::Below),
];
const FACTS: [Column; 5] = [
    column("PACKETS", true, Narrow::Below),
    column("BYTES OUT", true, Narrow::Below),
    column("BYTES IN", true, Narrow::Below),
    column("DURATION", true, Narrow::Below),
    column("HOW IT WENT", false, Narrow::Elastic("HOW IT WENT".len())),
];

/// Writes the table; `talk` gives a row's conversation, and may be asked twice.
///
/// # Errors
/// What the writer answers.
pub fn write_talks(
    out: &mut dyn Write,
    count: usize,
    talk: &dyn Fn(usize) -> Talk,
    screen: Screen,
) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let ends = if screen.is_terminal() {
        &ENDS[..1]
    } else {
        &ENDS[..]
    };
    let columns = [ends, &FACTS].concat();
    // Numbers grow.
    let last = talk(count - 1).number.to_string();
    let room = screen
        .width
        .map(|width| width.saturating_sub(last.len() + 2));
    let row = |index| row(talk(index), screen, room);
    table::write(out, &columns, count, &row, true, screen)
}

/// A row; `room` is what stands below it has, beginning under the second column.
fn row(talk: Talk, screen: Screen, room: Option<usize>) -> TextRow {
    let course = &talk.course;
    let number = |value: u64| {
        let mut text = Vec::new();
        grouped(&mut text, value);
        Cell::new(String::from_utf8_lossy(&text).into_owned())
    };
    let [said, heard] = course.bytes();
    let style = is_wrong(course).then_some(Style::Error);
    let facts = [
        number(course.packets().iter().sum()),
        number(said),
        number(heard),
        Cell::new(span(course.duration(), screen.charset)),
        Cell {
            lines: wrapped(&verdict(&talk, screen.charset), room),
            style,
        },
    ];
    let mut cells = vec![Cell::new(talk.number.to_string())];
    let mut notes = Vec::new();
    let [client, server] = &talk.labels;
    match room {
        None => cells.extend([Cell::new(client), Cell::new(server)]),
        Some(room) => {
            let both = format!("{client} {} {server}", screen.arrow());
            let lines = if both.width() <= room {
                vec![both]
            } else {
                vec![client.clone(), format!("{} {server}", screen.arrow())]
            };
            let lines = lines.iter().flat_map(|line| wrapped(line, Some(room)));
            notes.extend(lines.map(|text| Note { text, style: None }));
        }
    }
    cells.extend(facts);
    TextRow { cells, notes }
}

/// Whether its end is one that nobody wants.
fn is_wrong(course: &Course) -> bool {
    matches!(
        course.ending(),
        Ending::Unanswered(_) | Ending::Refused | Ending::Reset(_)
    )
}

/// `closed by client, handshake 15 µs; 3 retransmissions`.
fn verdict(talk: &Talk, charset: Charset) -> String {
    let course = &talk.course;
    let side = |direction| match direction {
        Direction::Forth => "client",
        Direction::Back => "server",
    };
    let mut words = match course.ending() {
        _ if !talk.is_tcp => String::new(),
        Ending::Open => "open".to_owned(),
        Ending::Unanswered(1) => "no answer to its SYN".to_owned(),
        Ending::Unanswered(tries) => format!("no answer to {tries} SYN"),
        Ending::Refused => "refused".to_owned(),
        Ending::HalfClosed(first) => format!("closed by {} alone", side(first)),
        Ending::Closed(first) => format!("closed by {}", side(first)),
        Ending::Reset(by) => format!("reset by {}", side(by)),
    };
    if let Some(took) = course.handshake() {
        words.push_str(&format!(", handshake {}", span(took, charset)));
    }
    // What the ending says already is not said twice.
    let rest = troubles(&Troubles {
        refused: 0,
        unanswered: 0,
        retries: 0,
        ..course.troubles()
    });
    if !rest.is_empty() {
        words.push_str(&format!("; {}", rest.join(", ")));
    }
    words
}

/// `15 µs`, `1.2 ms`, `2.003 s`, `3 min 20 s`.
fn span(nanos: u64, charset: Charset) -> String {
    let micro = match charset {
        Charset::Utf8 => "µs",
        Charset::Ascii => "us",
    };
    match nanos {
        0..1_000_000 => format!("{} {micro}", nanos / 1_000),
        1_000_000..1_000_000_000 => {
            format!("{}.{} ms", nanos / 1_000_000, nanos / 100_000 % 10)
        }
        1_000_000_000..120_000_000_000 => {
            format!(
                "{}.{:03} s",
                nanos / 1_000_000_000,
                nanos / 1_000_000 % 1_000
            )
        }
        _ => {
            let seconds = nanos / 1_000_000_000;
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_terminal_the_ends_stand_below_in_one_place_and_nothing_is_too_wide() {
        let talk = |index: usize| Talk {
            number: u64::try_from(index + 1).unwrap(),
            labels: [
                "chat-client[4847] 127.0.0.1:52316".to_owned(),
                "chat-server[4845] [2001:db8::1234:5678:9abc]:2345".to_owned(),
            ],
            is_tcp: index > 0,
            course: Course::default(),
        };
        for width in [40, 60, 80, 200] {
            let screen = Screen {
                width: Some(width),
                colour: false,
                charset: Charset::Utf8,
            };
            let mut out = Vec::new();
            write_talks(&mut out, 12, &talk, screen).unwrap();
            let text = String::from_utf8(out).unwrap();
            let mut lines = text.lines();
            let titles = lines.next().unwrap();
            assert!(
                width < 60 || titles.ends_with("DURATION  HOW IT WENT"),
                "{text}"
            );
            for line in lines {
                assert!(line.width() <= width, "{width}: {text}");
                let below = width >= 60 && line.starts_with("    ");
                assert!(
                    !below || line[4..].starts_with(['c', 'o', '→', '1', '[']),
                    "{width}: {text}"
                );
            }
        }
    }

    #[test]
    fn spans_have_units_that_fit() {
        for (nanos, text) in [
            (15_400, "15 µs"),
            (1_250_000, "1.2 ms"),
            (2_003_000_000, "2.003 s"),
            (200_000_000_000, "3 min 20 s"),
        ] {
            assert_eq!(span(nanos, Charset::Utf8), text);
        }
    }
}
