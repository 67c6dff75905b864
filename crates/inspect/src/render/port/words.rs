//! The words that the lines share.

use std::collections::BTreeSet;

use super::Looks;
use crate::diagnosis::reach::Reach;
use crate::listing::Row;
use crate::model::{OwnerStatus, Pid, Uid};
use crate::render::sockets::ends_words;
use crate::render::{Charset, Escaped};

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The same, with those beyond the first few counted.
pub(super) fn some(words: &[String], most: usize) -> String {
    if words.len() <= most.saturating_add(1) {
        return listed(words);
    }
    let shown = words.get(..most).unwrap_or_default();
    format!(
        "{} and {} more",
        shown.join(", "),
        words.len() - shown.len()
    )
}

/// `name[pid]` of each process, each once, in order of appearance.
pub(super) fn processes<'a>(
    rows: impl IntoIterator<Item = Row<'a>>,
    charset: Charset,
) -> Vec<String> {
    let mut seen: BTreeSet<Pid> = BTreeSet::new();
    let mut names = Vec::new();
    for owner in rows.into_iter().flat_map(|row| row.owners) {
        if seen.insert(owner.pid) {
            let name = Escaped::process(&owner.command, charset);
            names.push(format!("{name}[{}]", owner.pid));
        }
    }
    names
}

/// Who holds these sockets, in words that can follow "taken by".
pub(super) fn holders(rows: &[Row<'_>], looks: &Looks) -> String {
    let charset = looks.screen.charset;
    let mut names = processes(rows.iter().copied(), charset);
    if names.len() > 3 {
        names = vec![some(&names, 1)];
    }
    let mut without: Vec<String> = Vec::new();
    for row in rows.iter().filter(|row| row.owners.is_empty()) {
        let words = match (row.owner_status, row.socket.uid) {
            (OwnerStatus::Hidden, Some(uid)) => {
                format!("a hidden owner (user {})", user(uid, looks))
            }
            (OwnerStatus::Hidden, None) => "a hidden owner".to_owned(),
            (OwnerStatus::NotAsked, _) => "somebody (owners were not looked for)".to_owned(),
            // The kernel's own, on its way between two processes (SCM_RIGHTS), or io_uring's.
            (OwnerStatus::None, _) => "something that no process has a descriptor on".to_owned(),
            _ => "the kernel (no process has it)".to_owned(),
        };
        if !without.contains(&words) {
            without.push(words);
        }
    }
    if rows
        .iter()
        .any(|row| row.owner_status == OwnerStatus::Partial)
    {
        without.push("perhaps others, hidden".to_owned());
    }
    names.extend(without);
    listed(&names)
}

/// The same in fewer words, for a column.
pub(super) fn brief_holders(rows: &[Row<'_>], looks: &Looks) -> String {
    let mut names = processes(rows.iter().copied(), looks.screen.charset);
    if names.len() > 3 {
        names = vec![some(&names, 1)];
    }
    for row in rows.iter().filter(|row| row.owners.is_empty()) {
        let words = match (row.owner_status, row.socket.uid) {
            (OwnerStatus::Hidden, Some(uid)) => format!("hidden (user {})", user(uid, looks)),
            (OwnerStatus::Hidden, None) => "hidden".to_owned(),
            (OwnerStatus::NotAsked, _) => "not looked for".to_owned(),
            _ => "none".to_owned(),
        };
        if !names.contains(&words) {
            names.push(words);
        }
    }
    names.join(", ")
}

/// The name of a user, else the number.
pub(super) fn user(uid: Uid, looks: &Looks) -> String {
    match looks.users.get(&uid.0) {
        Some(name) => escaped(name, looks.screen.charset),
        None => uid.to_string(),
    }
}

pub(super) fn escaped(text: &str, charset: Charset) -> String {
    Escaped::bare(text.as_bytes(), charset).to_string()
}

/// `127.0.0.1:2345`, `any:22`, `[any]:80`.
pub(super) fn local(row: &Row<'_>, charset: Charset) -> String {
    ends_words(row.socket, charset).0
}

/// The two ends of a connection.
pub(super) fn ends(row: &Row<'_>, looks: &Looks) -> String {
    let (local, remote) = ends_words(row.socket, looks.screen.charset);
    format!("{local} {} {remote}", looks.screen.arrow())
}

/// From where, in words that can follow "reachable from".
pub(super) fn reach(reach: &Reach, charset: Charset) -> String {
    if reach.is_this_machine_only() {
        return if reach.alone {
            "this machine only: no interface has another address".to_owned()
        } else {
            "this machine only".to_owned()
        };
    }
    let mut places = Vec::new();
    if reach.every_network {
        places.push("every network".to_owned());
    } else {
        let names: Vec<String> = reach
            .networks
            .iter()
            .map(|name| Escaped::name(name, charset).to_string())
            .collect();
        if !names.is_empty() {
            let networks = if names.len() == 1 {
                "network"
            } else {
                "networks"
            };
            places.push(format!("the {networks} of {}", some(&names, 3)));
        }
        let numbers = |set: &BTreeSet<std::net::IpAddr>| -> Vec<String> {
            set.iter().map(ToString::to_string).collect()
        };
        if !reach.addresses.is_empty() {
            places.push(format!(
                "whoever has a route to {}",
                some(&numbers(&reach.addresses), 3)
            ));
        }
        if !reach.groups.is_empty() {
            places.push(format!("senders to {}", some(&numbers(&reach.groups), 3)));
        }
    }
    let versions = match (reach.v4, reach.v6) {
        (Some(true), Some(true)) => ", IPv4 and IPv6",
        (Some(true), Some(false)) => ", IPv4 only",
        (Some(false), Some(true)) => ", IPv6 only",
        (None, Some(true)) => ", IPv6 and perhaps IPv4",
        (Some(true), None) => ", IPv4 and perhaps IPv6",
        _ => "",
    };
    format!("{}{versions}", listed(&places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_aloud() {
        let words: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(listed(&words[..1]), "a");
        assert_eq!(listed(&words[..3]), "a, b and c");
        assert_eq!(some(&words, 3), "a, b, c and d");
        assert_eq!(some(&words, 2), "a, b and 2 more");
    }
}
