//! How binds would end, in words.

use super::words::{listed, user};
use super::{Looks, Standing, Use};
use crate::diagnosis::bind::{Asked, Cause, Place};
use crate::model::Protocol;

/// `fails on 127.0.0.1, 0.0.0.0 and [::]; other addresses are free`. Nothing where nobody has
/// the port.
pub(super) fn words(one: &Use<'_>, looks: &Looks) -> Option<String> {
    if one.standing() == Standing::Free {
        return None;
    }
    let failing = |fails: Option<bool>| -> Vec<&Asked> {
        one.asked.iter().filter(|it| it.fails == fails).collect()
    };
    let (fails, open) = (failing(Some(true)), failing(None));
    let mut parts = Vec::new();
    if !fails.is_empty() {
        parts.push(format!("fails on {}", places(one, &fails)));
    }
    if !open.is_empty() {
        parts.push(format!("may fail on {}", places(one, &open)));
    }
    if let Some(free) = free(one) {
        parts.push(free);
    }
    // Of TCP the answer says it already, where it is so.
    let helps = |it: &&Asked| it.fails_with_reuse_address == Some(false);
    if one.standing() == Standing::Taken && !fails.is_empty() && fails.iter().all(helps) {
        parts.push("with SO_REUSEADDR it succeeds".to_owned());
    }
    let mut untold = Vec::new();
    if one.standing() == Standing::Taken
        && one.protocol != Protocol::Tcp
        && fails.iter().any(|it| it.fails_with_reuse_address.is_none())
    {
        untold.push("SO_REUSEADDR");
    }
    match sharing(one, looks) {
        Some(Sharing::Told(words)) => parts.push(words),
        Some(Sharing::Untold) => untold.push("SO_REUSEPORT"),
        None => {}
    }
    if !untold.is_empty() {
        let options = untold.join(" or ");
        parts.push(format!(
            "whether one with {options} may join cannot be told"
        ));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn is(one: &Use<'_>, wanted: impl Fn(&Asked) -> bool, fails: Option<bool>) -> bool {
    one.asked
        .iter()
        .filter(|it| wanted(it))
        .all(|it| it.fails == fails)
}

/// The addresses, as few words as say it exactly.
fn places(one: &Use<'_>, these: &[&Asked]) -> String {
    let fails = these.first().and_then(|it| it.fails);
    if is(one, |_| true, fails) {
        return "every address".to_owned();
    }
    let all_v4 = is(one, |it| it.place.is_v4(), fails);
    let all_v6 = is(one, |it| !it.place.is_v4(), fails);
    let mut words = Vec::new();
    if all_v4 {
        words.push("every IPv4 address".to_owned());
    }
    if all_v6 {
        words.push("every IPv6 address".to_owned());
    }
    // Where `::` fails, `::` for IPv6 alone is told only if it differs.
    let dual = these.iter().any(|it| it.place == DUAL);
    let mut singles: Vec<&&Asked> = these
        .iter()
        .filter(|it| if it.place.is_v4() { !all_v4 } else { !all_v6 })
        .filter(|it| !(it.place == Place::OnlyV6 && dual))
        .collect();
    // What a socket has comes before what includes it.
    singles.sort_by_key(|it| match it.place {
        Place::Address(address) => (address.is_unspecified(), false),
        _ => (true, true),
    });
    words.extend(singles.into_iter().map(|it| place(it.place)));
    listed(&words)
}

const DUAL: Place = Place::Address(std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED));

fn place(place: Place) -> String {
    match place {
        Place::Address(std::net::IpAddr::V4(address)) => address.to_string(),
        Place::Address(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        Place::OnlyV6 => "[::] with IPV6_V6ONLY".to_owned(),
        Place::OtherV4 => "other IPv4 addresses".to_owned(),
        Place::OtherV6 => "other IPv6 addresses".to_owned(),
    }
}

/// What is left to others.
fn free(one: &Use<'_>) -> Option<String> {
    let free = |wanted: Place| {
        one.asked
            .iter()
            .any(|it| it.place == wanted && it.fails == Some(false))
    };
    let other = match (free(Place::OtherV4), free(Place::OtherV6)) {
        (true, true) => Some("other addresses are free"),
        (true, false) => Some("IPv4 addresses are free"),
        (false, true) => Some("IPv6 addresses are free"),
        (false, false) => None,
    };
    let only = free(Place::OnlyV6)
        && !one
            .asked
            .iter()
            .any(|it| it.place == DUAL && it.fails == Some(false));
    match (other, only) {
        (Some(other), true) => Some(format!("{other}, and [::] with IPV6_V6ONLY")),
        (None, true) => Some("[::] is free with IPV6_V6ONLY".to_owned()),
        (other, false) => other.map(str::to_owned),
    }
}

/// Who may share a port by SO_REUSEPORT.
enum Sharing {
    /// In words.
    Told(String),
    /// It is not known who has set it.
    Untold,
}

/// Whether a second server may join by SO_REUSEPORT; nothing where none has set it.
fn sharing(one: &Use<'_>, looks: &Looks) -> Option<Sharing> {
    if one.standing() != Standing::Taken {
        return None;
    }
    let us = one.asked.first()?.ask.uid;
    let waiting = || {
        let waiting = one.bound.iter().filter(|it| super::waits_in(it.state));
        // Another user's may not be joined, whatever it has set.
        waiting.filter(|it| match it.reuse_port {
            Some(shares) => shares,
            None => it.uid.is_none_or(|uid| uid == us),
        })
    };
    waiting().next()?;
    if waiting().any(|it| it.reuse_port.is_none()) {
        return Some(Sharing::Untold);
    }
    let mut users: Vec<String> = Vec::new();
    for uid in waiting().filter_map(|it| it.uid) {
        let name = user(uid, looks);
        if !users.contains(&name) {
            users.push(name);
        }
    }
    let whose = if users.is_empty() {
        "the same user".to_owned()
    } else {
        format!("user {}", listed(&users))
    };
    let of_another = one
        .obstacles
        .iter()
        .any(|it| it.cause == Cause::ReusePortOfAnotherUser);
    let not = if of_another { ", yours may not" } else { "" };
    let what = match one.protocol {
        Protocol::Tcp => "servers",
        _ => "sockets",
    };
    Some(Sharing::Told(format!(
        "{what} of {whose} may share it by SO_REUSEPORT{not}"
    )))
}
