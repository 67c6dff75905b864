//! Whether other network namespaces have what was asked for: a hint for people.

use super::{Eyes, Query, Rows};
use crate::app::Context;
use crate::listing::Listing;
use crate::model::{ForeignText, Pid};
use crate::owners::Holdings;
use crate::render::Escaped;
use crate::render::process::process_words;
use crate::selection::Test;

/// So many other namespaces are looked into; a machine of containers may have hundreds.
const MOST: usize = 64;

/// Hints at other namespaces that hold matching sockets: only to a person, who asked for
/// something in particular.
pub(super) fn tell(eyes: &Eyes, query: &Query, rows: &Rows<'_>, context: &Context) {
    if !context.messages.is_terminal() || !rows.is_empty() && !asks_for_something(query) {
        return;
    }
    if rows.is_empty() && tell_processes(eyes, query, context) {
        return;
    }
    let others = eyes.others();
    let mut matching = Vec::new();
    for namespace in others.iter().take(MOST) {
        let found = eyes.look_there(namespace, query);
        let listing = Listing::new(found.sockets, Holdings::not_asked());
        let mut rows = listing.rows();
        rows.select(&query.selection);
        rows.fold_time_wait();
        if !rows.is_empty() {
            matching.push((namespace, rows.len()));
        }
    }
    let Some((first, count)) = matching.first() else {
        return;
    };
    let name = match (&first.name, first.pid) {
        (Some(name), _) => Escaped::name(name, context.messages.charset).to_string(),
        // The second process is that of the kernel's threads, which live in the first namespace.
        (None, Some(Pid(2))) => "the machine's first".to_owned(),
        (None, Some(pid)) => {
            let command = std::fs::read(eyes.root().join(format!("{pid}/comm")));
            match command {
                Ok(command) => {
                    let name = command.strip_suffix(b"\n").unwrap_or(&command);
                    let name = ForeignText::new(name);
                    let charset = context.messages.charset;
                    format!("that of {}", process_words(&name, pid, charset))
                }
                Err(_) => format!("that of process {pid}"),
            }
        }
        (None, None) => first.inode.to_string(),
    };
    let sockets = if *count == 1 { "socket" } else { "sockets" };
    let more = match matching.len() - 1 {
        0 => String::new(),
        1 => ", 1 other too".to_owned(),
        more => format!(", {more} others too"),
    };
    context.hint(&format!(
        "Another network namespace ({name}) has {count} such {sockets}{more}: --netns all"
    ));
}

/// Tells of processes that were asked for by their id, and are not there.
fn tell_processes(eyes: &Eyes, query: &Query, context: &Context) -> bool {
    let mut told = false;
    for test in query.selection.tests() {
        let Test::Pid(pid) = test else { continue };
        let folder = eyes.root().join(pid.to_string());
        if !folder.exists() {
            context.hint(&format!("There is no process {pid}."));
            told = true;
        }
    }
    told
}

/// A bare listing asks for nothing in particular: that others have sockets too is no news.
fn asks_for_something(query: &Query) -> bool {
    !query.selection.tests().is_empty()
}
