//! The labelled facts: sockets, processes, connections, binds.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::words::{ago, clock, ends, escaped, local, processes, some, user};
use super::{Holder, Looks, Port, Use, bind, stands_alone, waits};
use crate::listing::Row;
use crate::model::{ForeignText, OwnerStatus, Pid, Protocol, State};
use crate::privilege::shell_word;
use crate::render::sockets::{ends_words, grouped, owner_words};
use crate::render::{Charset, Escaped, Screen, sheet};

/// So many processes, and sockets, are shown whole on a terminal.
const SHOWN: usize = 8;

pub(super) fn write(out: &mut dyn Write, port: &Port<'_>, looks: &Looks) -> io::Result<()> {
    let screen = looks.screen;
    let alone = only_owner(port);
    let most = if screen.is_terminal() {
        SHOWN
    } else {
        usize::MAX
    };
    for one in &port.uses {
        let label = match one.protocol {
            Protocol::Tcp => "listener",
            _ => "udp socket",
        };
        let waiting: Vec<_> = one.sockets().filter(|(row, _)| waits(row)).collect();
        for (row, bound) in waiting.iter().take(most) {
            let words = waiting_words(row, bound.v6_only, alone, looks);
            sheet::fact(out, label, &words, screen)?;
        }
        rest(out, waiting.len(), most, screen)?;
    }
    // Those that no listener stands for: what is bound, and connections of clients.
    for one in &port.uses {
        let own = one.sockets().filter(|(_, bound)| stands_alone(bound));
        let own: Vec<Row<'_>> = own.map(|(row, _)| row).collect();
        for row in own.iter().take(most) {
            let label = match row.socket.state {
                State::Bound | State::Closed => "bound",
                _ => "connection",
            };
            sheet::fact(out, label, &own_words(row, alone, looks), screen)?;
        }
        rest(out, own.len(), most, screen)?;
    }
    for holder in port.processes.iter().take(most) {
        write_holder(out, holder, looks)?;
    }
    if port.processes.len() > most {
        let others: Vec<String> = port.processes[most..]
            .iter()
            .map(|it| process_words(it, screen.charset))
            .collect();
        let words = format!("{} more: {}", others.len(), some(&others, 3));
        sheet::fact(out, "processes", &words, screen)?;
    }
    for one in &port.uses {
        if let Some(words) = connections(one, looks) {
            sheet::fact(out, "connections", &words, screen)?;
        }
    }
    let binds = port.uses.iter().filter_map(|one| bind::words(one, looks));
    let mut told: Vec<String> = Vec::new();
    for words in binds {
        if !told.contains(&words) {
            sheet::fact(out, "bind()", &words, screen)?;
            told.push(words);
        }
    }
    Ok(())
}

fn rest(out: &mut dyn Write, count: usize, most: usize, screen: Screen) -> io::Result<()> {
    if count > most {
        let words = format!("and {} more", count - most);
        sheet::fact(out, "", &words, screen)?;
    }
    Ok(())
}

/// The process that has all of it, where it is one: its name need not be repeated.
fn only_owner(port: &Port<'_>) -> Option<Pid> {
    let sockets = || port.uses.iter().flat_map(Use::sockets);
    let told = || {
        let told = sockets().filter(|(row, bound)| waits(row) || stands_alone(bound));
        told.map(|(row, _)| row)
    };
    if told().any(|row| row.owners.is_empty() || row.owner_status == OwnerStatus::Partial) {
        return None;
    }
    let mut pids = told().flat_map(|row| row.owners).map(|owner| owner.pid);
    let first = pids.next()?;
    pids.all(|pid| pid == first).then_some(first)
}

fn owners(row: &Row<'_>, alone: Option<Pid>, looks: &Looks) -> String {
    let charset = looks.screen.charset;
    let mut words: Vec<String> = row
        .owners
        .map(|owner| match alone {
            Some(_) if owner.tid == owner.pid => format!("fd {}", owner.fd),
            Some(_) => format!("thread {} fd {}", owner.tid, owner.fd),
            None => owner_words(&owner, charset),
        })
        .collect();
    let hidden = match (row.owner_status, row.socket.uid) {
        (OwnerStatus::Hidden, Some(uid)) => Some(format!("hidden (user {})", user(uid, looks))),
        (OwnerStatus::Hidden, None) => Some("hidden".to_owned()),
        (OwnerStatus::Partial, _) => Some("perhaps others, hidden".to_owned()),
        (OwnerStatus::NotAsked, _) => Some("owners were not looked for".to_owned()),
        (OwnerStatus::None, _) => Some("no owner".to_owned()),
        (OwnerStatus::Kernel, _) => Some("closed by its process".to_owned()),
        (OwnerStatus::Pending, _) => Some("waiting for accept()".to_owned()),
        (OwnerStatus::Known, _) => None,
    };
    words.extend(hidden);
    let most = if looks.screen.is_terminal() {
        SHOWN
    } else {
        usize::MAX - 1
    };
    some(&words, most)
}

fn waiting_words(
    row: &Row<'_>,
    v6_only: Option<bool>,
    alone: Option<Pid>,
    looks: &Looks,
) -> String {
    let socket = row.socket;
    let mut parts = vec![local(row, looks.screen.charset)];
    if let Some((end, _)) = socket.endpoints()
        && end.address.is_ipv6()
        && end.address.is_unspecified()
    {
        parts.extend(match v6_only {
            Some(true) => Some("IPv6 only".to_owned()),
            Some(false) => Some("IPv4 as well".to_owned()),
            None => None,
        });
    }
    parts.push(owners(row, alone, looks));
    match (socket.protocol, socket.recv_queue) {
        (Protocol::Tcp, Some(waiting)) => parts.push(accept_queue(waiting, socket.send_queue)),
        (Protocol::Tcp, None) | (_, None | Some(0)) => {}
        (_, Some(waiting)) => parts.push(format!(
            "{} bytes of receive buffer in use",
            grouped(waiting.into())
        )),
    }
    parts.join(", ")
}

/// The kernel refuses a connection when the queue is longer than its limit
/// (include/net/sock.h `sk_acceptq_is_full`), so a full one holds one more.
fn accept_queue(waiting: u32, limit: Option<u32>) -> String {
    let number = grouped(waiting.into());
    match limit {
        Some(limit) => {
            let full = if waiting > limit {
                ": full, the server is not accepting"
            } else {
                ""
            };
            format!("accept queue {number} of {}{full}", grouped(limit.into()))
        }
        None => format!("accept queue {number}"),
    }
}

fn own_words(row: &Row<'_>, alone: Option<Pid>, looks: &Looks) -> String {
    let place = match row.socket.state {
        State::Bound | State::Closed => local(row, looks.screen.charset),
        state => format!("{}, {}", ends(row, looks), state.word()),
    };
    format!("{place}, {}", owners(row, alone, looks))
}

fn process_words(holder: &Holder, charset: Charset) -> String {
    let about = &holder.about;
    format!("{}[{}]", Escaped::name(&about.command, charset), about.pid)
}

fn write_holder(out: &mut dyn Write, holder: &Holder, looks: &Looks) -> io::Result<()> {
    let (screen, charset) = (looks.screen, looks.screen.charset);
    let about = &holder.about;
    let mut words = process_words(holder, charset);
    match (&holder.user, about.uid) {
        (Some(name), _) => words += &format!(", user {}", escaped(name, charset)),
        (None, Some(uid)) => words += &format!(", user {uid}"),
        (None, None) => {}
    }
    if let Some(started) = about.started
        && let Some(time) = clock(started, looks.now, &looks.zone)
    {
        words += &format!(", since {time}");
        if !looks.recorded {
            words += &format!(" ({})", ago(started, looks.now));
        }
    }
    sheet::fact(out, "process", &words, screen)?;
    match about.command_line.as_deref() {
        Some([]) => sheet::fact(out, "command", "none, or erased by the process", screen)?,
        Some(line) => sheet::line(out, "command", &command(line, charset), screen)?,
        None => sheet::fact(out, "command", "cannot be read", screen)?,
    }
    match &about.directory {
        Some(path) => {
            let path = Escaped::name(path, charset).to_string();
            sheet::line(out, "directory", &path, screen)
        }
        None => sheet::fact(out, "directory", "cannot be read", screen),
    }
}

/// The words of a command line, so that a shell would read them back.
fn command(words: &[ForeignText], charset: Charset) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| shell_word(&Escaped::name(word, charset).to_string()))
        .collect();
    words.join(" ")
}

/// `1 ESTABLISHED (chat-client[4847]), 3 TIME_WAIT`.
fn connections(one: &Use<'_>, looks: &Looks) -> Option<String> {
    let mut by_state: BTreeMap<(State, bool), Vec<Row<'_>>> = BTreeMap::new();
    for (row, bound) in one.sockets() {
        if waits(&row) || stands_alone(bound) {
            continue;
        }
        let state = row.socket.state;
        let waiting = row.owner_status == OwnerStatus::Pending && state != State::SynRecv;
        by_state.entry((state, waiting)).or_default().push(row);
    }
    if by_state.is_empty() {
        return None;
    }
    let parts: Vec<String> = by_state
        .into_iter()
        .map(|((state, waiting), rows)| {
            let mut words = format!("{} {}", grouped_count(rows.len()), state.word());
            if waiting {
                words += " waiting for accept()";
            }
            if state != State::TimeWait {
                words += &format!(" ({})", others(&rows, looks.screen.charset));
            }
            words
        })
        .collect();
    Some(parts.join(", "))
}

fn grouped_count(count: usize) -> String {
    grouped(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Who is at the other ends: processes of this machine, else addresses.
fn others(rows: &[Row<'_>], charset: Charset) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for row in rows {
        let peers = processes(row.peer(), charset);
        let words = if peers.is_empty() {
            let remote = row.socket.endpoints().map(|(_, remote)| remote.address);
            remote
                .map(|it| it.to_canonical().to_string())
                .into_iter()
                .collect()
        } else {
            peers
        };
        for word in words {
            if seen.insert(word.clone()) {
                names.push(word);
            }
        }
    }
    some(&names, 3)
}

/// Sockets of other namespaces.
pub(super) fn write_elsewhere(
    out: &mut dyn Write,
    port: &Port<'_>,
    screen: Screen,
) -> io::Result<()> {
    if port.elsewhere.is_empty() {
        return Ok(());
    }
    let charset = screen.charset;
    writeln!(out)?;
    sheet::paragraph(
        out,
        "Seen elsewhere, where it is in nobody's way here:",
        screen,
    )?;
    for other in &port.elsewhere {
        let owners = processes([other.row], charset);
        let owners = match (owners.is_empty(), other.row.owner_status) {
            (false, _) => some(&owners, 3),
            (true, OwnerStatus::Hidden) => "hidden".to_owned(),
            (true, OwnerStatus::NotAsked) => "owners were not looked for".to_owned(),
            (true, _) => "no owner".to_owned(),
        };
        let namespace = match (&other.name, other.inode) {
            (Some(name), _) => format!("network namespace {}", Escaped::name(name, charset)),
            (None, Some(inode)) => format!("network namespace {inode}"),
            (None, None) => "another network namespace".to_owned(),
        };
        let place = ends_words(other.row.socket, charset).0;
        let label = other.row.socket.protocol.word();
        let words = format!("{place}, {owners}, in {namespace}");
        sheet::fact(out, label, &words, screen)?;
    }
    Ok(())
}
