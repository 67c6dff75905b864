//! The sockets of one process: descriptor, ends, and who holds the other end.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use super::doings::listed;
use super::words::Words;
use super::{Look, Portrait, process_words};
use crate::listing::{HeldSocket, Part, Party, Side, SocketColumn, Standing};
use crate::model::{Endpoint, Pid, Protocol, State};
use crate::render::Style;
use crate::render::sockets::{columns, grouped, left, queue_notes};
use crate::render::table::{self, Cell, Column, Narrow, Note, TextRow};

/// So many sockets that do the same are shown on a terminal; of more there is a count.
const ALIKE: usize = 10;
/// So many other holders of a socket are named.
const HOLDERS: usize = 2;

/// The columns that the listing has as well.
const NARROW: [SocketColumn; 4] = [
    SocketColumn::Proto,
    SocketColumn::State,
    SocketColumn::Local,
    SocketColumn::Remote,
];
const PIPED: [SocketColumn; 6] = [
    SocketColumn::Proto,
    SocketColumn::State,
    SocketColumn::RecvQ,
    SocketColumn::SendQ,
    SocketColumn::Local,
    SocketColumn::Remote,
];

/// Writes the table.
pub(super) fn write(
    out: &mut dyn Write,
    portrait: &Portrait<'_>,
    look: &Look<'_>,
) -> io::Result<()> {
    let standing = &portrait.standing;
    let words = look.words();
    let peer = Column {
        narrow: Narrow::Elastic(22),
        ..left("PEER")
    };
    if look.screen.is_terminal() {
        let shown = shown(standing, look.all, words);
        let mut layout = vec![left("FD")];
        layout.extend(NARROW.map(columns::layout));
        layout.push(peer);
        let row = |index: usize| shown.get(index).cloned().unwrap_or_default();
        return table::write(out, &layout, shown.len(), &row, true, look.screen);
    }
    let mut layout = vec![left("PROCESS"), left("FD")];
    layout.extend(PIPED.map(columns::layout));
    layout.extend([peer, left("ALSO HELD BY")]);
    let about = portrait.about;
    let name = process_words(&about.command, about.pid, look.screen.charset);
    let row = |index: usize| match standing.held.get(index) {
        Some(held) => piped_row(&name, standing, held, words),
        None => TextRow::default(),
    };
    table::write(out, &layout, standing.held.len(), &row, true, look.screen)
}

/// The rows for a terminal: of those that are alike the first, and how many more there are.
fn shown(standing: &Standing<'_>, all: bool, words: Words<'_>) -> Vec<TextRow> {
    let mut rows: Vec<TextRow> = Vec::new();
    let mut alike: HashMap<Kind, Alike> = HashMap::new();
    for held in &standing.held {
        let seen = alike.entry(Kind::of(held)).or_default();
        if seen.shown < ALIKE || all {
            seen.shown += 1;
            seen.last = rows.len();
            rows.push(terminal_row(standing, held, words));
        } else {
            seen.more += 1;
            seen.parties.insert(standing.party(held));
        }
    }
    for seen in alike.into_values().filter(|seen| seen.more > 0) {
        if let Some(row) = rows.get_mut(seen.last) {
            row.notes.push(Note {
                text: seen.words(),
                style: None,
            });
        }
    }
    rows
}

/// What sockets have in common that are alike.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    protocol: Protocol,
    state: State,
    part: Part,
    side: Side,
    /// The end that they share: a server's own, a client's other one.
    end: Option<Endpoint>,
}

impl Kind {
    fn of(held: &HeldSocket<'_>) -> Self {
        let row = &held.row;
        Self {
            protocol: row.socket.protocol,
            state: row.socket.state,
            part: held.part,
            side: row.side,
            end: row
                .socket
                .endpoints()
                .map(|(local, remote)| match row.side {
                    Side::Server => local.on_the_wire(),
                    Side::Client => remote.on_the_wire(),
                    Side::Unknown => Endpoint::new(remote.on_the_wire().address, 0),
                }),
        }
    }
}

#[derive(Default)]
struct Alike {
    shown: usize,
    /// The row of the last that is shown.
    last: usize,
    more: usize,
    parties: BTreeSet<Party>,
}

impl Alike {
    fn words(&self) -> String {
        let number = |count: usize| grouped(u64::try_from(count).unwrap_or(u64::MAX));
        let told = self.parties.iter().filter(|it| **it != Party::Unknown);
        match told.count() {
            0 | 1 => format!("and {} more like it (-a)", number(self.more)),
            count => format!(
                "and {} more like it, with {} others (-a)",
                number(self.more),
                number(count)
            ),
        }
    }
}

fn terminal_row(standing: &Standing<'_>, held: &HeldSocket<'_>, words: Words<'_>) -> TextRow {
    let mut notes = queue_notes(held.row.socket);
    let holders = holders(standing.pid, held, words, HOLDERS);
    if !holders.is_empty() {
        notes.push(Note {
            text: format!("also held by {}", listed(&holders)),
            style: None,
        });
    }
    let mut cells = vec![Cell::new(descriptors(standing.pid, held))];
    cells.extend(NARROW.map(|column| words.cell(column, &held.row)));
    cells.push(peer(standing, held, words));
    TextRow { cells, notes }
}

fn piped_row(
    name: &str,
    standing: &Standing<'_>,
    held: &HeldSocket<'_>,
    words: Words<'_>,
) -> TextRow {
    let holders = holders(standing.pid, held, words, usize::MAX);
    let mut cells = vec![Cell::new(name), Cell::new(descriptors(standing.pid, held))];
    cells.extend(PIPED.map(|column| words.cell(column, &held.row)));
    cells.extend([peer(standing, held, words), Cell::new(holders.join(", "))]);
    TextRow {
        cells,
        notes: Vec::new(),
    }
}

/// `3`, `3,4` for two descriptors on one socket, `thread 4850 fd 3` in a table of its own.
fn descriptors(pid: Pid, held: &HeldSocket<'_>) -> String {
    let mut words = String::new();
    let mut table = pid;
    for (tid, fd) in &held.descriptors {
        if !words.is_empty() {
            words.push(',');
        }
        if *tid != table {
            words += &format!("thread {tid} fd ");
            table = *tid;
        }
        words += &fd.to_string();
    }
    words
}

/// Who holds the other end; empty where that is elsewhere.
fn peer(standing: &Standing<'_>, held: &HeldSocket<'_>, words: Words<'_>) -> Cell {
    let Some(peer) = held.row.peer() else {
        return Cell::new("");
    };
    // Its own end of a pair is no news.
    if standing.party(held) == Party::Itself
        && let Some(owner) = peer.owners.into_iter().find(|it| it.pid == standing.pid)
    {
        return Cell::new(format!("itself fd {}", owner.fd)).painted(Some(Style::Dim));
    }
    words.cell(SocketColumn::Peer, &held.row)
}

/// The other processes that hold the socket.
fn holders(pid: Pid, held: &HeldSocket<'_>, words: Words<'_>, most: usize) -> Vec<String> {
    let mut named: Vec<String> = Vec::new();
    let mut more = 0usize;
    let mut last = None;
    for owner in held.row.owners.filter(|owner| owner.pid != pid) {
        if last.replace(owner.pid) == Some(owner.pid) {
            continue;
        }
        if named.len() < most {
            named.push(process_words(&owner.command, owner.pid, words.0.charset));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named
}
