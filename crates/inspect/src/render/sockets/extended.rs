//! What `-e` adds: of a socket the numbers it is known by, of its owners who they are.

use std::fmt::Write;
use std::sync::Arc;

use super::words::Text;
use crate::listing::{Row, SocketColumn};
use crate::model::{Family, ForeignText, Owner, OwnerStatus, State};
use crate::processes::{About, Placement};
use crate::render::process::{command_words, container_words, process_words};
use crate::render::table::Note;
use crate::render::{Escaped, Screen, Style, facts};
use crate::sockets::Socket;

/// So many kinds of owners are told of below a row.
const KINDS: usize = 3;
/// Lines for a command line on a terminal: it may be megabytes long.
const COMMAND_LINES: usize = 2;
/// Columns that stand before a note, as a rule.
const INDENT: usize = 20;
/// Room for a note, however narrow the screen is.
const LEAST: usize = 30;

/// The room for a note below a row on a terminal of so many columns.
pub(super) fn room(width: usize) -> usize {
    width.saturating_sub(INDENT).max(LEAST).min(width)
}

/// The lines below a row on a terminal of so many columns.
pub(super) fn notes(row: &Row<'_>, text: &Text<'_>, width: usize) -> Vec<Note> {
    let room = room(width);
    let screen = Screen {
        width: Some(room),
        colour: false,
        charset: text.charset,
    };
    let mut lines = facts::wrapped(&socket_words(row.socket, text), Some(room));
    let kinds = kinds(row, text);
    for kind in kinds.iter().take(KINDS) {
        lines.extend(facts::wrapped(&kind.who(row.socket, text), Some(room)));
        let Some(about) = &kind.about else { continue };
        let line = about.command_line.as_deref().unwrap_or_default();
        if !line.is_empty() {
            let words = command_words(line, text.charset);
            let words = facts::cut(&words, room.saturating_sub(2) * COMMAND_LINES, screen);
            lines.extend(indented(&words, room));
        }
        if let Some(directory) = &about.directory {
            let path = Escaped::name(directory, text.charset);
            lines.extend(indented(&format!("in {path}"), room));
        }
    }
    match kinds.len().saturating_sub(KINDS) {
        0 => {}
        1 => lines.push("and 1 process more".to_owned()),
        more => lines.push(format!("and {more} processes more")),
    }
    lines
        .into_iter()
        .filter(|line| !line.is_empty())
        .map(|text| Note {
            text,
            style: Some(Style::Dim),
        })
        .collect()
}

fn indented(words: &str, room: usize) -> Vec<String> {
    let lines = facts::wrapped(words, Some(room.saturating_sub(2)));
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

/// `user student, netns 4026531840, inode 8914, cookie 1a2b`: what is known and not the rule.
fn socket_words(socket: &Socket, text: &Text<'_>) -> String {
    let mut parts = Vec::new();
    let mut part = |name: &str, write: &dyn Fn(&mut String)| {
        let mut words = name.to_owned();
        write(&mut words);
        parts.push(words);
    };
    if let Some(uid) = socket.uid {
        part("user ", &|out| text.user(out, uid));
    }
    if let Some(netns) = socket.netns {
        part("netns ", &|out| text.netns(out, netns));
    }
    if let Some(inode) = socket.inode {
        part("inode ", &|out| {
            let _ = write!(out, "{inode}");
        });
    }
    if let Some(cookie) = socket.cookie {
        part("cookie ", &|out| {
            let _ = write!(out, "{:x}", cookie.0);
        });
    }
    if let Some(index @ 1..) = socket.interface {
        part("bound to ", &|out| text.interface(out, index));
    }
    if let Some(detail) = &socket.detail {
        if detail.v6_only == Some(true) {
            part("IPv6 only", &|_| {});
        }
        if let Some(mark @ 1..) = detail.mark {
            part("mark ", &|out| {
                let _ = write!(out, "0x{mark:x}");
            });
        }
        // Of a connection it may as well be the listener's port.
        let is_end = socket.state == State::Bound
            || socket.state == State::Unconnected
            || socket.state == State::Listen;
        if detail.autobound == Some(true) && is_end {
            part("port chosen by the kernel", &|_| {});
        }
        if let Some(shutdown) = detail.shutdown {
            match (shutdown.receive, shutdown.send) {
                (true, true) => part("shut down both ways", &|_| {}),
                (true, false) => part("shut down for receiving", &|_| {}),
                (false, true) => part("shut down for sending", &|_| {}),
                (false, false) => {}
            }
        }
    }
    parts.join(", ")
}

/// Owners of which the same is to be said.
struct Kind {
    first: Owner,
    /// So many other processes.
    more: usize,
    about: Option<Arc<About>>,
}

fn kinds(row: &Row<'_>, text: &Text<'_>) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    let mut last = None;
    for owner in row.owners {
        // Descriptors of one process stand together.
        if last.replace(owner.pid) == Some(owner.pid) {
            continue;
        }
        let about = text.names.process(&owner);
        let same = kinds.iter_mut().find(|kind| {
            kind.first.command == owner.command && alike(kind.about.as_deref(), about.as_deref())
        });
        match same {
            Some(kind) => kind.more += 1,
            None => kinds.push(Kind {
                first: owner,
                more: 0,
                about,
            }),
        }
    }
    kinds
}

fn alike(one: Option<&About>, other: Option<&About>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return one.is_none() && other.is_none();
    };
    one.command_line == other.command_line
        && one.directory == other.directory
        && one.placement == other.placement
        && one.uid == other.uid
}

impl Kind {
    /// `nginx[701] and 63 more: user www-data, since 11:58:02 (2 min ago), unit nginx.service`.
    /// The user is told where it is not the one who made the socket.
    fn who(&self, socket: &Socket, text: &Text<'_>) -> String {
        let mut words = process_words(&self.first.command, self.first.pid, text.charset);
        if self.more > 0 {
            let _ = write!(words, " and {} more", self.more);
        }
        let Some(about) = &self.about else {
            words += ": nothing more could be read";
            return words;
        };
        let mut parts = Vec::new();
        if let Some(uid) = about.uid.filter(|uid| socket.uid != Some(*uid)) {
            let mut user = "user ".to_owned();
            text.user(&mut user, uid);
            parts.push(user);
        }
        if let Some(started) = about.started {
            parts.push(match text.names.when() {
                Some(when) => when.since(started),
                None => format!("since {started}"),
            });
        }
        if let Some(placement) = &about.placement {
            parts.extend(placed(placement, text));
        }
        if !parts.is_empty() {
            let _ = write!(words, ": {}", parts.join(", "));
        }
        words
    }
}

fn placed(placement: &Placement, text: &Text<'_>) -> Vec<String> {
    let name = |it: &ForeignText| Escaped::name(it, text.charset).to_string();
    let mut parts = Vec::new();
    if let Some(container) = &placement.container {
        let container = container_words(container, true, text.charset);
        parts.push(format!("container {container}"));
    }
    match (&placement.unit, &placement.container) {
        (Some(unit), _) if !placement.unit_is_the_container() => {
            parts.push(format!("unit {}", name(unit)));
        }
        (None, None) if placement.cgroup.as_bytes() != b"/" => {
            parts.push(format!("cgroup {}", name(&placement.cgroup)));
        }
        _ => {}
    }
    parts
}

/// A cell about the socket.
pub(super) fn of_socket(column: SocketColumn, out: &mut String, socket: &Socket) {
    let detail = socket.detail.as_deref();
    match column {
        SocketColumn::V6Only => out.push_str(match detail.and_then(|it| it.v6_only) {
            Some(true) => "yes",
            Some(false) => "no",
            None if socket.family == Family::Inet6 => "?",
            None => "none",
        }),
        _ => match detail.and_then(|it| it.mark) {
            Some(mark) => {
                let _ = write!(out, "0x{mark:x}");
            }
            None => out.push('?'),
        },
    }
}

/// A cell about the owners: what they say, each thing once.
pub(super) fn of_owners(column: SocketColumn, out: &mut String, row: &Row<'_>, text: &Text<'_>) {
    let mut told: Vec<String> = Vec::new();
    let mut last = None;
    for owner in row.owners {
        if last.replace(owner.pid) == Some(owner.pid) {
            continue;
        }
        let words = match text.names.process(&owner) {
            Some(about) => of_process(column, &about, text),
            None => "?".to_owned(),
        };
        if !told.contains(&words) {
            told.push(words);
        }
    }
    if told.is_empty() {
        told.push(match row.owner_status {
            OwnerStatus::Hidden => "hidden".to_owned(),
            _ => "none".to_owned(),
        });
    }
    out.push_str(&told.join(if text.stacked { "\n" } else { ", " }));
}

fn of_process(column: SocketColumn, about: &About, text: &Text<'_>) -> String {
    let name = |it: &ForeignText| Escaped::name(it, text.charset).to_string();
    let placement = about.placement.as_ref();
    // What could not be read is not known; what is not there is none.
    let placed = |of: fn(&Placement) -> Option<&ForeignText>| match placement.map(of) {
        Some(Some(found)) => name(found),
        Some(None) => "none".to_owned(),
        None => "?".to_owned(),
    };
    let unknown = || "?".to_owned();
    match column {
        SocketColumn::Unit => placed(|it| it.unit.as_ref()),
        SocketColumn::Container => placed(|it| it.container.as_ref()),
        SocketColumn::Cgroup => placed(|it| Some(&it.cgroup)),
        SocketColumn::Since => match (about.started, text.names.when()) {
            (Some(started), Some(when)) => when.whole(started),
            (Some(started), None) => started.to_string(),
            (None, _) => unknown(),
        },
        SocketColumn::Directory => about.directory.as_ref().map_or_else(unknown, name),
        _ => match about.command_line.as_deref() {
            Some([]) => "none".to_owned(),
            Some(line) => command_words(line, text.charset),
            None => unknown(),
        },
    }
}
