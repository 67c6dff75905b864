//! The cells of a listing.

use std::fmt::Write;

use super::extended;
use super::words::Text;
use crate::listing::{Row, SocketColumn};
use crate::model::State;
use crate::render::Style;
use crate::render::table::{Column, Narrow};

/// How a column behaves in a table.
pub(in crate::render) fn layout(column: SocketColumn) -> Column {
    let narrow = match column {
        // `255.255.255.255:65535` has 21 columns; a longer IPv6 address must not widen
        // every row.
        SocketColumn::Local | SocketColumn::Remote => Narrow::Elastic(21),
        // `chat-server[4845] fd 3` has 22 columns: where so much fits, most owners do.
        SocketColumn::Owner => Narrow::Elastic(22),
        // Wanted only beside the rest: alone on a line below, nobody could tell what it is.
        SocketColumn::User | SocketColumn::Peer => Narrow::Dropped,
        _ => Narrow::Below,
    };
    Column {
        title: column.title(),
        right: matches!(
            column,
            SocketColumn::RecvQ | SocketColumn::SendQ | SocketColumn::Inode
        ),
        narrow,
    }
}

/// Writes a cell; of several owners on a terminal, each on a line of its own. Tells how the cell
/// is painted.
pub(in crate::render) fn write(
    column: SocketColumn,
    out: &mut String,
    row: &Row<'_>,
    text: &Text<'_>,
) -> Option<Style> {
    let socket = row.socket;
    match column {
        SocketColumn::Netns => match socket.netns {
            Some(netns) => text.netns(out, netns),
            None => out.push('?'),
        },
        SocketColumn::Family => out.push_str(socket.family.word()),
        SocketColumn::Proto => out.push_str(socket.protocol.word()),
        SocketColumn::State => {
            out.push_str(socket.state.word());
            return Some(match socket.state {
                State::Listen | State::Established | State::Bound | State::Unconnected => {
                    Style::Calm
                }
                _ => Style::Notable,
            });
        }
        SocketColumn::RecvQ => number(out, socket.recv_queue),
        SocketColumn::SendQ => number(out, socket.send_queue),
        SocketColumn::Local => text.local(out, socket),
        SocketColumn::Remote => text.remote(out, row),
        SocketColumn::User => match socket.uid {
            Some(uid) => text.user(out, uid),
            None => out.push('?'),
        },
        SocketColumn::Owner => {
            text.owners(out, row.owners, row.owner_status, socket.uid, socket.state);
        }
        SocketColumn::Peer => {
            if let Some(peer) = row.peer() {
                let status = peer.owner_status;
                text.owners(out, peer.owners, status, None, socket.state);
            }
        }
        SocketColumn::Inode => match socket.inode {
            Some(inode) => number(out, Some(inode.0)),
            None => out.push_str("none"),
        },
        SocketColumn::Cookie => match socket.cookie {
            Some(cookie) => {
                let _ = write!(out, "{:x}", cookie.0);
            }
            None => out.push('?'),
        },
        SocketColumn::Interface => match socket.interface {
            Some(0) => out.push_str("any"),
            Some(index) => text.interface(out, index),
            None => out.push('?'),
        },
        SocketColumn::Timer => match socket.detail.as_ref().and_then(|detail| detail.timer) {
            Some(timer) => super::details::timer(out, timer),
            None => out.push('?'),
        },
        SocketColumn::V6Only | SocketColumn::Mark => extended::of_socket(column, out, socket),
        SocketColumn::Unit
        | SocketColumn::Container
        | SocketColumn::Cgroup
        | SocketColumn::Since
        | SocketColumn::Directory
        | SocketColumn::Command => extended::of_owners(column, out, row, text),
        SocketColumn::Details => super::details::on_one_line(out, socket),
    }
    None
}

fn number(out: &mut String, number: Option<impl Into<u64>>) {
    match number {
        Some(number) => out.push_str(itoa::Buffer::new().format(number.into())),
        None => out.push('?'),
    }
}
