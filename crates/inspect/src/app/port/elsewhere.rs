//! What waits on the same number in other namespaces.

use super::super::Context;
use super::super::look::{Eyes, Look};
use super::gather;
use crate::cli::port::Request;
use crate::listing::{Listing, Row};
use crate::model::ForeignText;
use crate::namespaces::Namespace;
use crate::render::Escaped;
use crate::render::port::{Elsewhere, waits};
use crate::sockets::Query;

/// Looks into the other namespaces; only what was found is kept. One that may not be entered is
/// said.
pub(super) fn look(
    eyes: &Eyes,
    look: &Look,
    query: &Query,
    context: &Context,
) -> Vec<(Option<ForeignText>, Listing)> {
    let mut found = Vec::new();
    let mut closed: Vec<String> = Vec::new();
    for namespace in eyes.others() {
        let there = eyes.look_there(&namespace, query);
        if there.sockets.is_empty() {
            if !there.cut.is_empty() {
                closed.push(words(&namespace, context));
            }
            continue;
        }
        let listing = Listing::new(there.sockets, look.listing.holdings().clone());
        found.push((namespace.name, listing));
    }
    if !closed.is_empty() && !context.quiet {
        let count = closed.len();
        let shown = closed.into_iter().take(3).collect::<Vec<_>>().join(", ");
        let more = if count > 3 { ", ..." } else { "" };
        let (noun, verb) = if count == 1 {
            ("namespace", "was")
        } else {
            ("namespaces", "were")
        };
        context.say(&format!(
            "{count} other network {noun} {verb} not looked into, for want of the right: \
             {shown}{more}"
        ));
    }
    found
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
    others: &'a [(Option<ForeignText>, Listing)],
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
    for (name, listing) in others {
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
