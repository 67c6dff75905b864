//! The answer, in sentences that can be read aloud.

use super::words::{ends, holders, listed, local, processes, reach, some, user};
use super::{Looks, Port, Standing, Use};
use crate::diagnosis::bind::{Cause, Obstacle};
use crate::listing::Row;
use crate::model::{Protocol, State};

pub(super) fn sentences(port: &Port<'_>, looks: &Looks) -> String {
    let number = port.number;
    let sentence = |one: &Use<'_>| {
        let name = one.protocol.word();
        format!("{name} {number} is {}.", predicate(one, looks))
    };
    let [one, other] = &port.uses[..] else {
        let alone: Vec<String> = port.uses.iter().map(sentence).collect();
        return alone.join(" ");
    };
    let both = predicate(one, looks);
    if both == predicate(other, looks) {
        let names = format!("{} and {}", one.protocol.word(), other.protocol.word());
        return format!("{names} {number} are {both}.");
    }
    let mut uses = [one, other];
    uses.sort_by_key(|it| it.standing());
    // Nobody who finds a TCP server asks for UDP; who finds UDP may mean TCP.
    let only_first = uses[0].protocol == one.protocol && uses[1].standing() == Standing::Free;
    let told = if only_first { &uses[..1] } else { &uses[..] };
    let told: Vec<String> = told.iter().map(|one| sentence(one)).collect();
    told.join(" ")
}

/// What the port is: the same is said of both protocols once.
fn predicate(one: &Use<'_>, looks: &Looks) -> String {
    match one.standing() {
        Standing::Taken => {
            let waiting: Vec<Row<'_>> = one.waiting().collect();
            format!(
                "taken by {}, reachable from {}",
                holders(&waiting, looks),
                reach(&one.reach, looks.screen.charset)
            )
        }
        Standing::InTheWay => in_the_way(one, looks),
        Standing::Free => match one.told_obstacles().next() {
            Some(forbidden) => format!(
                "free, but bind() {} fail: {}",
                would(forbidden.certain),
                cause_words(one, forbidden, looks)
            ),
            None if looks.incomplete => "free, as far as it could be read".to_owned(),
            None => "free".to_owned(),
        },
    }
}

fn would(certain: bool) -> &'static str {
    if certain { "would" } else { "may" }
}

fn in_the_way(one: &Use<'_>, looks: &Looks) -> String {
    let obstacles: Vec<&Obstacle> = one.told_obstacles().collect();
    let causes: Vec<String> = obstacles
        .iter()
        .map(|it| cause_words(one, it, looks))
        .collect();
    let not = match one.protocol {
        Protocol::Tcp => "not listening",
        _ => "not waiting for anybody",
    };
    let mut words = format!(
        "{not}, but bind() {} fail: {}",
        would(obstacles.iter().any(|it| it.certain)),
        causes.join("; ")
    );
    if let Some(remedy) = remedy(&obstacles) {
        words += ". ";
        words += remedy;
    }
    words
}

/// What a socket is in the way with.
pub(super) fn cause_words(one: &Use<'_>, obstacle: &Obstacle, looks: &Looks) -> String {
    let rows = one.rows_of(obstacle);
    let who = holders(&rows, looks);
    let charset = looks.screen.charset;
    match obstacle.cause {
        Cause::Listener | Cause::WildcardOverlap | Cause::DualStackOverlap => {
            let places: Vec<String> = rows.iter().map(|row| local(row, charset)).collect();
            let verb = if who_is_many(&rows) {
                "listen"
            } else {
                "listens"
            };
            format!("{who} {verb} on {}", some(&places, 3))
        }
        Cause::Datagram => {
            let places: Vec<String> = rows
                .iter()
                .map(|row| match row.socket.state {
                    State::Unconnected => local(row, charset),
                    _ => ends(row, looks),
                })
                .collect();
            let verb = if who_is_many(&rows) { "have" } else { "has" };
            format!("{who} {verb} {}", some(&places, 3))
        }
        Cause::ReusePortOfAnotherUser => {
            let mut users: Vec<String> = Vec::new();
            for uid in rows.iter().filter_map(|row| row.socket.uid) {
                let name = user(uid, looks);
                if !users.contains(&name) {
                    users.push(name);
                }
            }
            format!(
                "{who} shares it by SO_REUSEPORT, and only with processes of user {}",
                listed(&users)
            )
        }
        Cause::BoundOnly => {
            let places: Vec<String> = rows.iter().map(|row| local(row, charset)).collect();
            let verb = if who_is_many(&rows) { "have" } else { "has" };
            let not = if who_is_many(&rows) { "do" } else { "does" };
            format!(
                "{who} {verb} bound {} and {not} not listen",
                some(&places, 3)
            )
        }
        Cause::Outgoing => {
            let verb = if who_is_many(&rows) { "use" } else { "uses" };
            let places: Vec<String> = rows.iter().map(|row| ends(row, looks)).collect();
            format!(
                "{} {verb} it for {} of {} own, {}",
                or_nobody(&rows, &who),
                plural(rows.len(), "a connection", "connections"),
                if who_is_many(&rows) { "their" } else { "its" },
                some(&places, 2)
            )
        }
        Cause::Connection => connection_words(&rows, looks),
        Cause::TimeWait => time_wait_words(&rows),
        Cause::Privileged => {
            "an ordinary user may not have it (it needs CAP_NET_BIND_SERVICE)".to_owned()
        }
    }
}

fn who_is_many(rows: &[Row<'_>]) -> bool {
    let mut pids = rows.iter().flat_map(|row| row.owners).map(|it| it.pid);
    let first = pids.next();
    first.is_some_and(|first| pids.any(|pid| pid != first))
}

/// A connection may have lost its process.
fn or_nobody(rows: &[Row<'_>], who: &str) -> String {
    if rows.iter().all(|row| row.socket.inode.is_none()) {
        "a process that has closed it".to_owned()
    } else {
        who.to_owned()
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 {
        one.to_owned()
    } else {
        format!("{count} {many}")
    }
}

fn connection_words(rows: &[Row<'_>], looks: &Looks) -> String {
    let mut states: Vec<State> = rows.iter().map(|row| row.socket.state).collect();
    states.sort_unstable();
    states.dedup();
    let parts: Vec<String> = states
        .into_iter()
        .map(|state| {
            let of: Vec<Row<'_>> = rows
                .iter()
                .copied()
                .filter(|row| row.socket.state == state)
                .collect();
            let names = processes(of.iter().copied(), looks.screen.charset);
            let who = if names.is_empty() {
                String::new()
            } else {
                format!(" of {}", some(&names, 2))
            };
            format!("{} {}{who}", of.len(), state.word())
        })
        .collect();
    listed(&parts)
}

/// `2 TIME_WAIT, the last ends in 43 s`.
fn time_wait_words(rows: &[Row<'_>]) -> String {
    let count = rows.len();
    match last_end(rows) {
        Some(ms) => format!(
            "{count} TIME_WAIT, {} in {} s",
            if count == 1 {
                "which ends"
            } else {
                "the last ends"
            },
            ms.div_ceil(1_000)
        ),
        // TCP_TIMEWAIT_LEN (include/net/tcp.h).
        None => format!("{count} TIME_WAIT, each a minute long"),
    }
}

/// When the last of them ends, in milliseconds, where that is known of all.
pub(super) fn last_end(rows: &[Row<'_>]) -> Option<u32> {
    rows.iter()
        .map(|row| Some(row.socket.detail.as_ref()?.timer?.expires_ms))
        .collect::<Option<Vec<u32>>>()?
        .into_iter()
        .max()
}

/// What a server can do about it; its last period is the sentence's.
fn remedy(obstacles: &[&Obstacle]) -> Option<&'static str> {
    let answers = || obstacles.iter().map(|it| it.with_reuse_address);
    if answers().any(|answer| answer == Some(false)) {
        return None;
    }
    Some(if answers().all(|answer| answer == Some(true)) {
        "A server that sets SO_REUSEADDR may bind now"
    } else if obstacles.iter().all(|it| it.cause == Cause::TimeWait) {
        "A server that sets SO_REUSEADDR may bind now if the one before it had set it too, which \
         cannot be told"
    } else {
        "A server that sets SO_REUSEADDR may bind now if those who hold the port have set it too, \
         which cannot be told"
    })
}
