//! What waits on the same number in other namespaces.

use super::super::Context;
use super::super::look::{Eyes, Look};
use super::gather;
use crate::cli::port::Request;
use crate::listing::{Listing, Row};
use crate::model::{ForeignText, Gap, Origin, State};
use crate::namespaces::Namespace;
use crate::owners::Holdings;
use crate::render::Escaped;
use crate::render::port::{Elsewhere, waits};
use crate::selection::{Selection, Test};
use crate::sockets::{Query, Socket};

/// What other namespaces hold.
pub(super) struct Others {
    /// Where something was found.
    found: Vec<(Option<ForeignText>, Listing)>,
    /// Those that may not be entered.
    closed: Vec<Namespace>,
}

/// Sockets of other namespaces, before anybody looked for their owners.
pub(super) struct Sockets {
    found: Vec<(Option<ForeignText>, Vec<Socket>)>,
    closed: Vec<Namespace>,
}

/// Looks into the other namespaces for sockets that wait.
pub(super) fn look(eyes: &Eyes, query: &Query) -> Sockets {
    let waiting = Query {
        selection: Selection::All(vec![
            query.selection.clone(),
            Selection::one_of([Test::State(State::Listen), Test::State(State::Unconnected)]),
        ]),
        ..query.clone()
    };
    let mut sockets = Sockets {
        found: Vec::new(),
        closed: Vec::new(),
    };
    for namespace in eyes.others() {
        let there = eyes.look_there(&namespace, &waiting);
        // A source may list more than is selected, listeners above all.
        let listing = Listing::new(there.sockets, Holdings::not_asked());
        let mut rows = listing.rows();
        rows.select(&waiting.selection);
        if !rows.is_empty() {
            let found = rows.iter().map(|row| row.socket.clone()).collect();
            sockets.found.push((namespace.name, found));
        } else if !there.cut.is_empty() {
            sockets.closed.push(namespace);
        }
    }
    sockets
}

impl Sockets {
    /// All of them.
    pub(super) fn all(&self) -> Vec<Socket> {
        let found = self.found.iter().flat_map(|(_, sockets)| sockets);
        found.cloned().collect()
    }

    /// Joins them with their owners.
    pub(super) fn owned(self, holdings: &Holdings) -> Others {
        let found = self.found.into_iter();
        let joined = found.map(|(name, sockets)| (name, Listing::new(sockets, holdings.clone())));
        Others {
            found: joined.collect(),
            closed: self.closed,
        }
    }
}

impl Others {
    /// Says which may not be entered.
    pub(super) fn tell_closed(&self, context: &Context) {
        const NAMED: usize = 3;
        if self.closed.is_empty() || context.quiet {
            return;
        }
        let mut names: Vec<String> = self
            .closed
            .iter()
            .take(NAMED)
            .map(|it| words(it, context))
            .collect();
        let count = self.closed.len();
        if count > NAMED {
            names.push(format!("{} more", count - NAMED));
        }
        let namespaces = if count == 1 {
            "a network namespace"
        } else {
            "network namespaces"
        };
        context.say(&format!(
            "inspect: {namespaces} could not be looked into: {}",
            names.join(", ")
        ));
    }

    /// The same for the records.
    pub(super) fn closed_gap(&self) -> Option<Gap> {
        let count = u64::try_from(self.closed.len()).ok().filter(|it| *it > 0)?;
        Some(Gap::counted(
            Origin::Sockets,
            "other network namespaces could not be looked into",
            count,
        ))
    }
}

fn words(namespace: &Namespace, context: &Context) -> String {
    match &namespace.name {
        Some(name) => Escaped::name(name, context.messages.charset).to_string(),
        None => namespace.inode.to_string(),
    }
}

/// The sockets of other namespaces that wait on a number.
pub(super) fn of<'a>(
    number: u16,
    request: &Request,
    (eyes, look): (&Eyes, &'a Look),
    others: &'a Others,
) -> Vec<Elsewhere<'a>> {
    let own = eyes.namespace();
    let wanted = |row: &Row<'a>| {
        waits(row)
            && request
                .protocols
                .iter()
                .any(|protocol| gather::has_port(row, *protocol, number))
    };
    let mut found = Vec::new();
    for (name, listing) in &others.found {
        for row in listing.rows().iter().filter(wanted) {
            found.push(Elsewhere {
                row,
                name: name.clone(),
                inode: row.socket.netns,
            });
        }
    }
    // With --netns all they came with the look itself.
    if eyes.several() {
        for row in look.listing.rows().iter().filter(wanted) {
            let inode = row.socket.netns;
            if inode == own {
                continue;
            }
            let namespace = eyes.namespaces.iter().find(|it| Some(it.inode) == inode);
            found.push(Elsewhere {
                row,
                name: namespace.and_then(|it| it.name.clone()),
                inode,
            });
        }
    }
    found
}
