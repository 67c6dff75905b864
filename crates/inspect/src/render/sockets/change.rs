//! A change between two looks, in a line.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::words::Text;
use super::{Names, columns, owner_words};
use crate::listing::{Change, SocketColumn, owners_beyond};
use crate::model::OwnerStatus;
use crate::render::{Screen, Style};

/// Writes one change: when, what happened to which socket, and whose it is.
///
/// With `extended`, what is known of the socket and its owners stands below. `time` is the time
/// of day, as text. On a terminal that is too narrow the owner stands on a
/// line below.
///
/// # Errors
/// What the writer answers.
pub fn write_change(
    out: &mut dyn Write,
    time: &str,
    change: &Change<'_>,
    names: &dyn Names,
    extended: bool,
    screen: Screen,
) -> io::Result<()> {
    let text = Text::new(names, screen.charset, false);
    let row = change.row();
    let cell = |column: SocketColumn| {
        let mut cell = String::new();
        let style = columns::write(column, &mut cell, &row, &text);
        (cell, style)
    };
    let (state, style) = cell(SocketColumn::State);
    let (word, what) = match change {
        Change::Opened(_) => ("opened ", state),
        Change::Closed(_) => ("closed ", state),
        Change::Changed { before, after } => {
            let mut news = Vec::new();
            if before.socket.state != after.socket.state {
                news.push(format!(
                    "{} {} {}",
                    before.socket.state.word(),
                    screen.arrow(),
                    after.socket.state.word()
                ));
            } else {
                news.push(state);
            }
            for (title, old, new) in [
                ("Recv-Q", before.socket.recv_queue, after.socket.recv_queue),
                ("Send-Q", before.socket.send_queue, after.socket.send_queue),
            ] {
                if let (Some(old), Some(new)) = (old, new)
                    && (old == 0) != (new == 0)
                {
                    news.push(format!("{title} {old} {} {new}", screen.arrow()));
                }
            }
            for owner in owners_beyond(before, after) {
                news.push(format!("left by {}", owner_words(&owner, screen.charset)));
            }
            ("changed", news.join(", "))
        }
    };
    let (protocol, _) = cell(SocketColumn::Proto);
    let (local, _) = cell(SocketColumn::Local);
    let (remote, _) = cell(SocketColumn::Remote);
    let (owner, _) = cell(SocketColumn::Owner);
    let plain_width = what.width();
    let what = match (change, style) {
        (Change::Changed { .. }, _) => screen.paint(Style::Notable, &what),
        (_, Some(style)) => screen.paint(style, &what),
        (_, None) => what,
    };
    let head = format!("{time}  {word}  {protocol:<4}  ");
    let ends = format!("{local} {} {remote}", screen.arrow());
    let owner = match row.owner_status {
        OwnerStatus::NotAsked => String::new(),
        _ => owner,
    };
    let long = head.width() + ends.width() + owner.width() + plain_width + 4;
    if screen.width.is_some_and(|width| long > width) {
        writeln!(out, "{head}{what}")?;
        writeln!(out, "          {ends}")?;
        if !owner.is_empty() {
            writeln!(out, "          {owner}")?;
        }
    } else {
        let gap = if owner.is_empty() { "" } else { "  " };
        writeln!(out, "{head}{what}  {ends}{gap}{owner}")?;
    }
    if extended {
        for note in super::extended::notes(&row, &text, screen.width.unwrap_or(PIPE)) {
            writeln!(out, "          {}", screen.paint(Style::Dim, &note.text))?;
        }
    }
    Ok(())
}

/// Columns of a line of details in a pipe.
const PIPE: usize = 120;
