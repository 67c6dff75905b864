//! `inspect sockets`: tables and owners in, a listing out.

mod families;
pub(super) mod told;

use std::io::{self, BufWriter, Write};

use anyhow::Context as _;

use super::look::Eyes;
use super::names::{Resolved, users};
use super::{Context, Exit, machine};
use crate::cli::Format;
use crate::cli::sockets::Request;
use crate::render::json::{self, End, SocketRecord};
use crate::render::sockets::{Names, write_rows};
use crate::selection::Selection;
use crate::sockets::{Details, Query};
use crate::stop::Stop;
use families::write_families;
use told::{NotShown, hidden, hidden_rows, tell_gaps, write_gaps};

pub(super) fn run(request: &Request, context: &Context) -> anyhow::Result<Exit> {
    // Ctrl-C ends the program as it ends any: half a table is no answer.
    let stop = Stop::new().context("cannot make a stop signal")?;
    let mut eyes = Eyes::new(&request.sources, stop)?;
    let recorded = eyes.recorded();
    let names = Resolved::new(recorded);
    let selection = Selection::All(vec![
        request.selection.clone(),
        Selection::one_of(users(&request.users)?),
    ]);

    let query = Query {
        tables: request.tables.clone(),
        selection: selection.clone(),
        details: Details::default(),
    };
    let look = eyes.look(&query)?;
    if context.verbose {
        look.tell_sources(eyes.root(), context);
    }
    let mut gaps = look.gaps.clone();
    let listing = &look.listing;
    let mut rows = listing.rows();
    let undecided = rows.select(&selection);
    // Told to people with its cure, and so apart from the others.
    let told_gaps = gaps.len();
    gaps.extend(hidden(&rows, undecided, listing.holdings()));
    let mut out = BufWriter::new(io::stdout().lock());
    if request.summary {
        let gaps = &gaps[..told_gaps];
        write_families(&mut out, request, &rows, &look, (&eyes, gaps), context)?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    let folded = if request.fold_time_wait {
        rows.fold_time_wait()
    } else {
        0
    };
    rows.sort(request.sort);
    let names = if request.resolve {
        names.with_hosts_of(&rows)
    } else {
        names
    };

    match request.format {
        Format::Json => {
            let begin = machine::begin_at(eyes.root(), "sockets", look.sources());
            json::write(&mut out, &begin)?;
            for row in rows.iter() {
                let user = row.socket.uid.and_then(|uid| names.user(uid));
                json::write(&mut out, &SocketRecord::new(&row, look.at, user.as_deref()))?;
            }
            write_gaps(&mut out, &gaps)?;
            let count = u64::try_from(rows.len())?;
            json::write(&mut out, &End::new([("sockets", count)], &gaps))?;
            out.flush()?;
        }
        Format::Table => {
            if rows.is_empty() {
                writeln!(
                    out,
                    "{}",
                    nothing(request, folded, recorded, !gaps.is_empty())
                )?;
            } else {
                write_rows(&mut out, &rows, &names, request.header, context.screen)?;
            }
            out.flush()?;
            tell_gaps(&gaps[..told_gaps], context);
            let not_shown = NotShown {
                folded: if rows.is_empty() { 0 } else { folded },
                undecided,
                hidden: hidden_rows(&rows),
            };
            if !context.quiet && !request.quiet {
                not_shown.tell(recorded, context);
            }
        }
    }
    Ok(Exit::Done)
}

/// "Nothing" is said only of what could be read.
fn nothing(request: &Request, folded: usize, recorded: bool, incomplete: bool) -> String {
    let place = if recorded {
        "in the recorded tree"
    } else {
        "in this network namespace"
    };
    let place = if incomplete {
        format!("{place}, as far as it could be read")
    } else {
        place.to_owned()
    };
    let nothing = &request.nothing;
    match folded {
        0 => format!("Nothing {nothing} {place}."),
        1 => format!("Nothing {nothing} {place} but 1 TIME_WAIT (-a shows it)."),
        more => format!("Nothing {nothing} {place} but {more} TIME_WAIT (-a shows them)."),
    }
}
