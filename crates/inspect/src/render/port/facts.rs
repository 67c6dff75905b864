//! The labelled facts: sockets, processes, connections, binds.

use std::collections::BTreeMap;

use super::words::{ends, escaped, local, processes, some, user};
use super::{Elsewhere, Holder, Looks, Port, Use, bind, stands_alone, waits};
use crate::listing::Row;
use crate::model::{OwnerStatus, Pid, Protocol, State};
use crate::render::facts::Fact;
use crate::render::process::command_words;
use crate::render::sockets::{grouped, owner_words};
use crate::render::{Charset, Escaped, Screen};

/// So many processes, and sockets, are shown whole on a terminal.
const SHOWN: usize = 8;

/// All that stands between the answer and the number.
pub(super) fn of(port: &Port<'_>, looks: &Looks) -> Vec<Fact> {
    let screen = looks.screen;
    let alone = only_owner(port);
    let most = if screen.is_terminal() {
        SHOWN
    } else {
        usize::MAX
    };
    let mut facts = Vec::new();
    for one in &port.uses {
        let key = match one.protocol {
            Protocol::Tcp => "listener",
            _ => "udp socket",
        };
        let waiting: Vec<_> = one.sockets().filter(|(row, _)| waits(row)).collect();
        facts.extend(waiting.iter().take(most).map(|(row, bound)| {
            let words = waiting_words(row, bound.v6_only, alone, looks);
            Fact::new(key, words)
        }));
        facts.extend(rest(waiting.len(), most));
    }
    // Those that no listener stands for: what is bound, and connections of clients.
    for one in &port.uses {
        let own = one.sockets().filter(|(_, bound)| stands_alone(bound));
        let own: Vec<Row<'_>> = own.map(|(row, _)| row).collect();
        facts.extend(own.iter().take(most).map(|row| {
            let key = match row.socket.state {
                State::Bound | State::Closed => "bound",
                _ => "connection",
            };
            Fact::new(key, own_words(row, alone, looks))
        }));
        facts.extend(rest(own.len(), most));
    }
    for holder in port.processes.iter().take(most) {
        facts.extend(process_facts(holder, looks));
    }
    if let Some(others) = port.processes.get(most..).filter(|it| !it.is_empty()) {
        let names: Vec<String> = others
            .iter()
            .map(|it| process_words(it, screen.charset))
            .collect();
        let words = format!("{} more: {}", others.len(), some(&names, 3));
        facts.push(Fact::new("processes", words));
    }
    for one in &port.uses {
        facts.extend(connections(one, looks).map(|words| Fact::new("connections", words)));
    }
    let mut told: Vec<String> = Vec::new();
    for words in port.uses.iter().filter_map(|one| bind::words(one, looks)) {
        if !told.contains(&words) {
            told.push(words);
        }
    }
    facts.extend(told.into_iter().map(|words| Fact::new("bind()", words)));
    facts
}

fn rest(count: usize, most: usize) -> Option<Fact> {
    let more = count.checked_sub(most).filter(|more| *more > 0)?;
    Some(Fact::new("", format!("and {more} more")))
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
                ": full, new clients wait or time out"
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
    format!(
        "{}[{}]",
        Escaped::process(&about.command, charset),
        about.pid
    )
}

fn process_facts(holder: &Holder, looks: &Looks) -> [Fact; 3] {
    let charset = looks.screen.charset;
    let about = &holder.about;
    let mut words = process_words(holder, charset);
    match (&holder.user, about.uid) {
        (Some(name), _) => words += &format!(", user {}", escaped(name, charset)),
        (None, Some(uid)) => words += &format!(", user {uid}"),
        (None, None) => {}
    }
    if let Some(started) = about.started {
        words += &format!(", {}", looks.when.since(started));
    }
    let command = match about.command_line.as_deref() {
        Some([]) => "erased by the process itself".to_owned(),
        Some(line) => command_words(line, charset),
        None => "hidden".to_owned(),
    };
    let directory = about.directory.as_ref();
    let directory = directory.map(|path| Escaped::name(path, charset).to_string());
    [
        Fact::new("process", words),
        Fact::new("command", command).cut_after(1),
        Fact::new(
            "directory",
            directory.unwrap_or_else(|| "hidden".to_owned()),
        )
        .cut_after(1),
    ]
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
pub(super) fn elsewhere(port: &Port<'_>, screen: Screen) -> Vec<Fact> {
    let charset = screen.charset;
    let fact = |other: &Elsewhere<'_>| {
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
        let place = local(&other.row, charset);
        let key = other.row.socket.protocol.word();
        Fact::new(key, format!("{place}, {owners}, in {namespace}"))
    };
    port.elsewhere.iter().map(fact).collect()
}
