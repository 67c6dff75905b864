//! The map of all ports: the three ranges, and what waits in each.

use std::collections::BTreeMap;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::Looks;
use super::words::{brief_holders, reach};
use crate::diagnosis::reach::Reach;
use crate::limits::Limits;
use crate::listing::Row;
use crate::model::Protocol;
use crate::ports::Class;
use crate::render::Style;
use crate::render::facts::{wrapped, write_sentence};
use crate::render::json::RangeRecord;

/// A port that is waited on.
#[derive(Debug)]
pub struct Listening<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// The sockets that wait on it.
    pub rows: Vec<Row<'a>>,
    /// From where they can be reached.
    pub reach: Reach,
}

/// All ports that are waited on.
#[derive(Debug)]
pub struct Map<'a> {
    /// By port, then protocol.
    pub listening: Vec<Listening<'a>>,
    /// What the namespace does with port numbers.
    pub limits: &'a Limits,
    /// Where that is, in words that can follow "No port is open".
    pub place: String,
}

impl Map<'_> {
    /// The records of the three ranges.
    pub fn records(&self) -> Vec<RangeRecord> {
        let ports = |class: Class, protocol: Protocol| -> Vec<u16> {
            self.of(class)
                .filter(|it| it.protocol == protocol)
                .map(|it| it.port)
                .collect()
        };
        let record = |class| {
            let (tcp, udp) = (ports(class, Protocol::Tcp), ports(class, Protocol::Udp));
            RangeRecord::new(class, self.limits, tcp, udp)
        };
        Class::ALL.map(record).to_vec()
    }

    fn of(&self, class: Class) -> impl Iterator<Item = &Listening<'_>> {
        let all = self.listening.iter();
        all.filter(move |it| Class::of(it.port) == class)
    }

    fn answer(&self) -> String {
        let count = self.listening.len();
        if count == 0 {
            return format!("No port is open {}.", self.place);
        }
        let outward = self
            .listening
            .iter()
            .filter(|it| !it.reach.is_this_machine_only())
            .count();
        let ports = if count == 1 {
            "1 port is open".to_owned()
        } else {
            format!("{count} ports are open")
        };
        match outward {
            0 => format!("{ports}, to this machine only."),
            _ if outward == count => format!("{ports} to other machines."),
            some => format!("{ports}, {some} of them to other machines."),
        }
    }
}

/// One line of the map.
struct Line {
    class: Class,
    ports: String,
    owner: String,
    reach: String,
}

/// On a terminal more ports than this with one owner share a line.
const FOLDED: usize = 3;
/// The widest owner that keeps the columns.
const OWNER: usize = 28;

/// Writes the map: the answer first.
///
/// # Errors
/// What the writer answers.
pub fn write_map(out: &mut dyn Write, map: &Map<'_>, looks: &Looks) -> io::Result<()> {
    let screen = looks.screen;
    write_sentence(out, &map.answer(), screen)?;
    let lines: Vec<Line> = Class::ALL
        .into_iter()
        .flat_map(|class| lines(map, class, looks))
        .collect();
    let widest = |width: fn(&Line) -> usize, most: usize| {
        let fitting = lines.iter().map(width).filter(|it| *it <= most);
        fitting.max().unwrap_or(0)
    };
    let ports = widest(|it| it.ports.width(), OWNER);
    let owner = widest(|it| it.owner.width(), OWNER);
    if screen.is_terminal() {
        for class in Class::ALL {
            writeln!(out)?;
            for title in wrapped(&title(class, map.limits), screen.width) {
                writeln!(out, "{}", screen.paint(Style::Heading, &title))?;
            }
            let mut any = false;
            for line in lines.iter().filter(|it| it.class == class) {
                any = true;
                write_line(out, line, (ports, owner), looks)?;
            }
            if !any {
                writeln!(out, "  {}", screen.paint(Style::Dim, "nothing"))?;
            }
        }
        if let Some(words) = settings_words(map.limits) {
            writeln!(out)?;
            write_sentence(out, &words, screen)?;
        }
        return Ok(());
    }
    for line in &lines {
        writeln!(
            out,
            "{:10}  {:ports$}  {:owner$}  {}",
            line.class.word(),
            line.ports,
            line.owner,
            line.reach
        )?;
    }
    match settings_words(map.limits) {
        Some(words) => writeln!(out, "{words}"),
        None => Ok(()),
    }
}

fn title(class: Class, limits: &Limits) -> String {
    let range = class.range();
    let mut title = format!("{}, {}-{}", class.word(), range.start(), range.end());
    if let Some(start) = limits.unprivileged_start
        && class == Class::WellKnown
    {
        title += &format!(": below {start} a bind() needs CAP_NET_BIND_SERVICE");
    }
    title
}

fn settings_words(limits: &Limits) -> Option<String> {
    let range = limits.ephemeral.as_ref()?;
    let mut words = format!(
        "This kernel hands out {}-{} to clients",
        range.start(),
        range.end()
    );
    if let Some(reserved) = limits.reserved.as_ref().filter(|it| !it.is_empty()) {
        let spans: Vec<String> = reserved
            .iter()
            .map(|it| span(*it.start(), *it.end()))
            .collect();
        words += &format!(
            ", but not {} (ip_local_reserved_ports)",
            super::words::some(&spans, 6)
        );
    }
    Some(words + ".")
}

fn span(first: u16, last: u16) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// The lines of a range, by their first port.
fn lines(map: &Map<'_>, class: Class, looks: &Looks) -> Vec<Line> {
    let words = |it: &Listening<'_>| {
        (
            brief_holders(&it.rows, looks),
            reach(&it.reach, looks.screen.charset),
        )
    };
    let mut lines: Vec<(u16, Line)> = Vec::new();
    let mut alike: BTreeMap<(Protocol, String, String), Vec<u16>> = BTreeMap::new();
    for one in map.of(class) {
        let (owner, reach) = words(one);
        alike
            .entry((one.protocol, owner, reach))
            .or_default()
            .push(one.port);
    }
    for ((protocol, owner, reach), ports) in alike {
        let fold = looks.screen.is_terminal() && ports.len() > FOLDED;
        let groups: Vec<Vec<u16>> = if fold {
            vec![ports]
        } else {
            ports.into_iter().map(|port| vec![port]).collect()
        };
        for group in groups {
            let line = Line {
                class,
                ports: format!("{} {}", protocol.word(), spans(&group)),
                owner: owner.clone(),
                reach: reach.clone(),
            };
            lines.push((group.first().copied().unwrap_or(0), line));
        }
    }
    lines.sort_by(|(one, first), (other, second)| {
        one.cmp(other).then_with(|| first.ports.cmp(&second.ports))
    });
    lines.into_iter().map(|(_, line)| line).collect()
}

/// `3000-3009, 8080 and 5 more`: ports in a row as one.
fn spans(ports: &[u16]) -> String {
    let mut spans: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match spans.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*port) => *last = *port,
            _ => spans.push((*port, *port)),
        }
    }
    let shown: Vec<String> = spans
        .iter()
        .take(FOLDED)
        .map(|(first, last)| span(*first, *last))
        .collect();
    let rest: usize = spans
        .iter()
        .skip(FOLDED)
        .map(|(first, last)| usize::from(last - first) + 1)
        .sum();
    match rest {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// On a terminal that is too narrow, from where it can be reached stands below.
fn write_line(
    out: &mut dyn Write,
    line: &Line,
    (ports, owner): (usize, usize),
    looks: &Looks,
) -> io::Result<()> {
    let pad = |text: &str, width: usize| {
        let gap = width.saturating_sub(text.width());
        format!("{text}{:gap$}", "")
    };
    let text = format!(
        "  {}  {}  {}",
        pad(&line.ports, ports),
        pad(&line.owner, owner),
        line.reach
    );
    let width = looks.screen.width.unwrap_or(usize::MAX);
    if text.width() <= width {
        return writeln!(out, "{text}");
    }
    let start = format!("  {}  ", pad(&line.ports, ports));
    let indent = start.width();
    let room = width.saturating_sub(indent).max(20);
    let mut start = start;
    for words in [&line.owner, &line.reach] {
        for part in wrapped(words, Some(room)) {
            let start = std::mem::take(&mut start);
            let gap = indent.saturating_sub(start.width());
            writeln!(out, "{start}{:gap$}{part}", "")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_a_row_are_one_span() {
        for (ports, words) in [
            (&[80][..], "80"),
            (&[80, 81, 82], "80-82"),
            (&[1, 3, 5, 7, 8, 9], "1, 3, 5 and 3 more"),
            (&[65_534, 65_535], "65534-65535"),
        ] {
            assert_eq!(spans(ports), words);
        }
    }
}
