//! `inspect sockets --watch`: looks again and again, and shows what changed.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::told::{hidden, tell_gaps, untold, write_gaps};
use super::{Context, Exit, Eyes, Look, Query, Request, Resolved, Stop, View, rows_of};
use crate::app::machine;
use crate::cli::Format;
use crate::cli::sources::Netns;
use crate::listing::{Change, Rows, difference, lacks, passed_over};
use crate::model::{Gap, Timestamp};
use crate::render::json::{self, ChangeRecord, End, SocketRecord};
use crate::render::packet::TimeOfDay;
use crate::render::sockets::{Names, write_change};
use crate::sockets::{Reading, Table};

pub(super) fn run(
    request: &Request,
    query: &Query,
    interval: Duration,
    stop: Stop,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut eyes = Eyes::new(&request.sources, Stop::new()?)?;
    eyes.follow(&super::processes(&query.selection));
    let mut names = names(request, &eyes);
    let mut out = BufWriter::new(io::stdout().lock());
    let json = request.format == Format::Json;
    let mut before = eyes.look(query)?;
    if context.verbose {
        before.tell_sources(eyes.root(), context);
    }
    if json {
        let begin = machine::begin_at(eyes.root(), "sockets", before.sources());
        json::write(&mut out, &begin)?;
    } else {
        tell_gaps(&before.gaps, context);
    }
    if !context.quiet && !request.quiet {
        let every = words(interval);
        let count = chosen(&before, request, query, &eyes).0.len();
        let sockets = if count == 1 { "socket" } else { "sockets" };
        context.say(&format!(
            "Watching {count} {sockets}, a look every {every}. Ctrl-C ends."
        ));
    }
    let mut told = Told {
        gaps: before.gaps.clone(),
        ..Told::default()
    };
    let (_, left_out) = chosen(&before, request, query, &eyes);
    told.hear(&left_out, json, context);
    let mut clock = TimeOfDay::new(TimeZone::system());
    out.flush()?;
    while !stop.wait(interval) {
        if request.sources.netns == Netns::All {
            // There may be new ones.
            eyes = Eyes::new(&request.sources, Stop::new()?)?;
            names = self::names(request, &eyes);
        }
        let after = look_after(&before, query, request, &mut eyes)?;
        told.hear(&after.gaps, json, context);
        {
            let (old, _) = chosen(&before, request, query, &eyes);
            let (new, left_out) = chosen(&after, request, query, &eyes);
            told.hear(&left_out, json, context);
            if request.resolve {
                names = names.with_hosts_of(&new);
            }
            let view = View {
                request,
                eyes: &eyes,
                names: &names,
            };
            let changes = difference(&old, &new);
            told.count(&changes);
            for change in &changes {
                if json {
                    view.write_change_record(&mut out, change, after.at)?;
                } else {
                    let time = time_words(&mut clock, after.at);
                    write_change(
                        &mut out,
                        &time,
                        change,
                        &names,
                        request.extended,
                        context.screen,
                    )?;
                }
            }
            out.flush()?;
        }
        before = after;
    }
    if json {
        write_gaps(&mut out, &told.gaps)?;
        json::write(&mut out, &End::new(told.counts(), &told.gaps))?;
        out.flush()?;
    } else if !context.quiet && !request.quiet {
        let [opened, changed, closed] = told.changes;
        context.say(&format!(
            "{opened} opened, {changed} changed, {closed} closed. What lived between two looks \
             was not seen."
        ));
    }
    Ok(Exit::Done)
}

fn names(request: &Request, eyes: &Eyes) -> Resolved {
    let names = Resolved::new(eyes);
    if request.processes {
        names.with_processes(eyes)
    } else {
        names
    }
}

/// The next look. What seems to have closed is looked for once more.
fn look_after(
    before: &Look,
    query: &Query,
    request: &Request,
    eyes: &mut Eyes,
) -> anyhow::Result<Look> {
    let mut after = eyes.look(query)?;
    // What could not be read did not close; and what two sources tell of one socket, its cookie
    // above all, differs.
    let mut unread = after.cut.clone();
    unread.extend(read_otherwise(&before.readings, &after.readings));
    if !unread.is_empty() {
        let listing = std::mem::take(&mut after.listing);
        after.listing = listing.with_tables_of(&before.listing, &unread);
        after.readings.clone_from(&before.readings);
    }
    if lacks(&after.listing, &chosen(before, request, query, eyes).0) {
        let again = eyes.look(query)?;
        after.gaps.extend(again.gaps.iter().cloned());
        let found = passed_over(&before.listing, &after.listing, &again.listing);
        if !found.is_empty() {
            let listing = std::mem::take(&mut after.listing);
            after.listing = listing.with(found, again.listing.into_holdings());
        }
    }
    Ok(after)
}

/// The tables that another source listed than before.
fn read_otherwise(before: &[Reading], after: &[Reading]) -> Vec<Table> {
    let differs = |now: &&Reading| {
        let known = before.iter().find(|it| it.table == now.table);
        known.is_none_or(|before| before.source != now.source)
    };
    after.iter().filter(differs).map(|it| it.table).collect()
}

impl View<'_> {
    fn write_change_record(
        &self,
        out: &mut dyn Write,
        change: &Change<'_>,
        at: Timestamp,
    ) -> io::Result<()> {
        let row = change.row();
        let user = row.socket.uid.and_then(|uid| self.names.user(uid));
        let interface = self.names.bound_to(row.socket);
        let state_before = match change {
            Change::Changed { before, after } if before.socket.state != after.socket.state => {
                Some(before.socket.state.word())
            }
            _ => None,
        };
        let socket = SocketRecord::new(&row, at, user.as_deref(), interface);
        json::write(
            out,
            &ChangeRecord {
                kind: change.word(),
                socket: self.extended(socket, &row),
                state_before,
            },
        )
    }
}

/// The rows wanted, and what was left out although it may be wanted.
fn chosen<'a>(
    look: &'a Look,
    request: &Request,
    query: &Query,
    eyes: &Eyes,
) -> (Rows<'a>, Vec<Gap>) {
    let (mut rows, undecided) = rows_of(look, query, eyes);
    let left_out = hidden(&rows, undecided.by_owner, look.listing.holdings())
        .into_iter()
        .chain(untold(&undecided))
        .collect();
    if request.fold_time_wait {
        rows.fold_time_wait();
    }
    rows.sort(request.sort);
    (rows, left_out)
}

/// What was told so far.
#[derive(Default)]
struct Told {
    /// Opened, changed, closed.
    changes: [u64; 3],
    /// Each reason once, with the most that any look lacked: looks that all lack the same would
    /// fill the screen with it.
    gaps: Vec<Gap>,
}

/// So many reasons are kept: some hold a number that differs from look to look.
const MOST_REASONS: usize = 64;

impl Told {
    fn count(&mut self, changes: &[Change<'_>]) {
        for change in changes {
            let kind = match change {
                Change::Opened(_) => 0,
                Change::Changed { .. } => 1,
                Change::Closed(_) => 2,
            };
            self.changes[kind] += 1;
        }
    }

    fn counts(&self) -> [(&'static str, u64); 3] {
        let [opened, changed, closed] = self.changes;
        [("opened", opened), ("changed", changed), ("closed", closed)]
    }

    fn hear(&mut self, gaps: &[Gap], json: bool, context: &Context) {
        for gap in gaps {
            let full = self.gaps.len() >= MOST_REASONS;
            match self.gaps.iter_mut().find(|it| it.reason == gap.reason) {
                Some(known) => known.count = known.count.max(gap.count),
                None if !full => {
                    if !json {
                        tell_gaps(std::slice::from_ref(gap), context);
                    }
                    self.gaps.push(gap.clone());
                }
                // Enough was told to know that not everything was seen.
                None => {}
            }
        }
    }
}

fn time_words(clock: &mut TimeOfDay, at: Timestamp) -> String {
    let mut text = Vec::new();
    clock.write(&mut text, at, false);
    String::from_utf8(text).unwrap_or_default()
}

fn words(interval: Duration) -> String {
    match (interval.as_secs(), interval.subsec_millis()) {
        (1, 0) => "second".to_owned(),
        (seconds, 0) => format!("{seconds} seconds"),
        _ => format!("{} ms", interval.as_millis()),
    }
}
