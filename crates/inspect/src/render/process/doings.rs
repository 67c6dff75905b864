//! What one process or several do, gathered from their sockets.

use std::collections::BTreeSet;

use super::process_words;
use super::words::Words;
use crate::listing::{HeldSocket, Part, Party, Side, Standing};
use crate::model::{Protocol, State};
use crate::render::sockets::grouped;

/// So many addresses or parties are named; of more there is a count.
const NAMED: usize = 3;

/// What is done with the sockets of one process, or of several together.
#[derive(Debug, Default)]
pub(super) struct Doings {
    /// Where it can be reached, in words, each once.
    listens: Vec<String>,
    clients: Parties,
    servers: Parties,
    /// Others at the end of connections, of whom it is not known who came to whom.
    others: Parties,
    /// At the end of unix sockets.
    local: Parties,
    tries: Parties,
    /// Unix connections with an end that is not told.
    untold: usize,
    /// Connections that the other side has closed and this one has not.
    left_open: usize,
    /// Connections on the way to their end.
    ending: usize,
    watches: bool,
    asks_kernel: usize,
    idle: usize,
    unlisted: usize,
    itself: bool,
}

/// Who is at the other end of some connections.
#[derive(Debug, Default)]
struct Parties {
    connections: usize,
    parties: BTreeSet<Party>,
}

impl Parties {
    fn add(&mut self, party: Party) {
        self.connections += 1;
        self.parties.insert(party);
    }

    /// `1 client (chat-client[4847])`, `12 clients (40 connections)`; `None` where there is none.
    fn counted(&self, one: &str, many: &str, words: Words<'_>) -> Option<String> {
        let more = (self.connections > self.parties.len())
            .then(|| format!("{} connections", grouped(number(self.connections))));
        match self.parties.len() {
            0 => None,
            1 => {
                let mut told: Vec<String> =
                    self.parties.iter().map(|it| party(it, words)).collect();
                told.extend(more);
                Some(format!("1 {one} ({})", told.join(", ")))
            }
            count => {
                let told = format!("{} {many}", grouped(number(count)));
                Some(match more {
                    Some(more) => format!("{told} ({more})"),
                    None => told,
                })
            }
        }
    }

    /// By name where they are few.
    fn named(&self, many: &str, words: Words<'_>) -> Option<String> {
        match self.parties.len() {
            0 => None,
            1..=NAMED => {
                let told: Vec<String> = self.parties.iter().map(|it| party(it, words)).collect();
                Some(listed(&told))
            }
            count => Some(format!("{} {many}", grouped(number(count)))),
        }
    }
}

fn party(party: &Party, words: Words<'_>) -> String {
    match party {
        Party::Itself => "itself".to_owned(),
        Party::Process(pid, command) => process_words(command, *pid, words.0.charset),
        Party::At(address, None) => words.host(*address),
        Party::At(address, Some(port)) => words.endpoint(*address, *port),
        Party::Unknown => "someone".to_owned(),
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

impl Doings {
    pub(super) fn add(&mut self, standing: &Standing<'_>, words: Words<'_>) {
        self.unlisted += standing.unlisted;
        for held in &standing.held {
            self.add_socket(standing, held, words);
        }
    }

    fn add_socket(&mut self, standing: &Standing<'_>, held: &HeldSocket<'_>, words: Words<'_>) {
        let socket = held.row.socket;
        match held.part {
            Part::Listens => {
                let place = place(held, words);
                if !self.listens.contains(&place) {
                    self.listens.push(place);
                }
            }
            Part::Talks => match (standing.party(held), held.row.side) {
                (Party::Itself, _) => self.itself = true,
                (party, Side::Server) => self.clients.add(party),
                (party, Side::Client) => self.servers.add(party),
                (party, Side::Unknown) => self.others.add(party),
            },
            Part::TalksLocally => match standing.party(held) {
                // It wakes itself up, and talks to nobody.
                Party::Itself => {}
                Party::Unknown => self.untold += 1,
                party => self.local.add(party),
            },
            Part::Tries => self.tries.add(standing.party(held)),
            Part::Ends if socket.state == State::CloseWait => self.left_open += 1,
            Part::Ends => self.ending += 1,
            Part::Watches => self.watches = true,
            Part::AsksKernel => self.asks_kernel += 1,
            Part::Idle => self.idle += 1,
        }
    }

    /// Where it listens, all of it.
    pub(super) fn listens(&self) -> &[String] {
        &self.listens
    }

    /// The same where they are few: `any:80`, `any:443`, `12 more`.
    pub(super) fn listens_on(&self) -> Vec<String> {
        if self.listens.len() <= NAMED {
            return self.listens.clone();
        }
        let (named, more) = self.listens.split_at(NAMED - 1);
        let mut words = named.to_vec();
        words.push(format!("{} more", grouped(number(more.len()))));
        words
    }

    /// To whom it talks, each kind in words.
    pub(super) fn talks(&self, words: Words<'_>) -> Vec<String> {
        let mut told = Vec::new();
        told.extend(self.clients.counted("client", "clients", words));
        told.extend(self.servers.counted("server", "servers", words));
        told.extend(self.others.named("others", words));
        let local = self.local.named("processes", words);
        told.extend(local.map(|who| match self.local.connections {
            1 => format!("{who} over a unix socket"),
            _ => format!("{who} over unix sockets"),
        }));
        if told.is_empty() && self.itself {
            told.push("itself".to_owned());
        }
        told
    }

    /// What it does, each thing for one process and for several: `listens on`, `listen on`.
    pub(super) fn clauses(&self, words: Words<'_>) -> Vec<(String, String)> {
        let mut clauses = Vec::new();
        let mut say = |one: &str, many: &str, rest: String| {
            clauses.push((format!("{one} {rest}"), format!("{many} {rest}")));
        };
        let places = self.listens_on();
        if !places.is_empty() {
            say("listens", "listen", format!("on {}", listed(&places)));
        }
        let talks = self.talks(words);
        if !talks.is_empty() {
            say("talks", "talk", format!("to {}", listed(&talks)));
        }
        if let Some(who) = self.tries.named("others", words) {
            say("is", "are", format!("trying to reach {who}"));
        }
        let connections = |count: usize| match count {
            1 => "1 connection".to_owned(),
            more => format!("{} connections", grouped(number(more))),
        };
        if self.left_open > 0 {
            let count = connections(self.left_open);
            say(
                "has",
                "have",
                format!("{count} that the other side closed (CLOSE_WAIT)"),
            );
        }
        if self.ending > 0 {
            let count = connections(self.ending);
            say("has", "have", format!("{count} on the way to the end"));
        }
        if self.watches {
            say("receives", "receive", "raw packets".to_owned());
        }
        if clauses.is_empty() {
            clauses.push(self.nothing_much());
        }
        clauses
    }

    /// What is said of processes that neither listen nor talk.
    fn nothing_much(&self) -> (String, String) {
        let both = |rest: &str| (format!("holds {rest}"), format!("hold {rest}"));
        // It may well wake itself up with them: that is worth a word only when there is no other.
        match self.untold {
            0 => {}
            1 => return both("1 connected unix socket"),
            more => {
                let count = grouped(number(more));
                return both(&format!("{count} connected unix sockets"));
            }
        }
        let sockets = |count: usize| match count {
            1 => "1 socket".to_owned(),
            more => format!("{} sockets", grouped(number(more))),
        };
        match (self.asks_kernel, self.idle, self.unlisted) {
            (1.., 0, _) => (
                "talks to the kernel only (netlink)".to_owned(),
                "talk to the kernel only (netlink)".to_owned(),
            ),
            (0, 0, 0) => both("no sockets"),
            (_, idle @ 1.., _) => both(&format!(
                "{} that {} not connected",
                sockets(idle),
                if idle == 1 { "is" } else { "are" }
            )),
            (_, _, unlisted) => both(&format!(
                "{} of which nothing more could be read",
                sockets(unlisted)
            )),
        }
    }
}

/// Where a socket can be reached; TCP is not named, as in addresses elsewhere.
fn place(held: &HeldSocket<'_>, words: Words<'_>) -> String {
    let socket = held.row.socket;
    let local = words.local(socket);
    match socket.protocol {
        Protocol::Tcp => local,
        protocol if protocol.is_unix() => local,
        protocol => format!("{} {local}", protocol.word()),
    }
}
