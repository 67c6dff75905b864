//! `inspect sockets`: tables and owners in, a listing out.

mod elsewhere;
mod families;
pub(super) mod told;
mod watch;

use std::io::{self, BufWriter, Write};

use anyhow::Context as _;

use super::look::{Eyes, Look};
use super::names::{Placements, Resolved, users};
use super::workers::{Threads, both};
use super::{Context, Exit, machine, signals};
use crate::cli::Format;
use crate::cli::sockets::Request;
use crate::listing::{Row, Rows, Undecided};
use crate::model::{Gap, Pid, Uid};
use crate::owners;
use crate::render::Workers as _;
use crate::render::json::{self, End, SocketRecord};
use crate::render::sockets::{self as screens, Names, write_csv, write_rows};
use crate::selection::{Selection, Test};
use crate::sockets::{Details, Query};
use crate::stop::Stop;
use families::write_families;
use told::{NotShown, hidden, hidden_rows, tell_gaps, untold, write_gaps};

pub(super) fn run(request: &Request, context: &Context) -> anyhow::Result<Exit> {
    let selection = Selection::All(vec![
        request.selection.clone(),
        Selection::one_of(users(&request.users)?),
    ]);
    if let Some(understood) = &request.understood {
        context.hint(&format!(
            "Read from left to right, as ss does: {understood}"
        ));
    }
    let query = Query {
        tables: request.tables.clone(),
        selection,
        details: with(request.details, request.details_to_decide),
    };
    if let Some(interval) = request.watch {
        let stop = signals::stop_on_signals().context("cannot listen for Ctrl-C")?;
        return watch::run(request, &query, interval, stop, context);
    }
    // Ctrl-C ends the program as it ends any: half a table is no answer.
    let stop = Stop::new().context("cannot make a stop signal")?;
    let mut eyes = Eyes::new(&request.sources, stop)?;
    eyes.follow(&processes(&query.selection));
    let look = eyes.look(&query)?;
    if context.verbose {
        look.tell_sources(eyes.root(), context);
    }
    let (mut rows, undecided) = rows_of(&look, &query, &eyes);
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    if request.summary {
        write_families(&mut out, request, &rows, &look, &eyes, context)?;
        return Ok(Exit::Done);
    }
    let folded = if request.fold_time_wait {
        rows.fold_time_wait()
    } else {
        0
    };
    sort(&mut rows, &look, request);
    let mut names = Resolved::new(&eyes);
    if request.resolve {
        names = names.with_hosts_of(&rows);
    }
    if request.processes {
        names = names.with_processes(&eyes);
    }
    let view = View {
        request,
        eyes: &eyes,
        names: &names,
    };
    // Told to people with its cure, and so apart from the others.
    let left_out: Vec<Gap> = hidden(&rows, undecided.by_owner, look.listing.holdings())
        .into_iter()
        .chain(untold(&undecided))
        .collect();
    if request.format == Format::Json {
        view.write_json(&mut out, &rows, &look, left_out)?;
        return Ok(Exit::Done);
    }
    if request.format == Format::Csv {
        write_csv(&mut out, &rows, &names, &view.screens())?;
    } else if rows.is_empty() {
        let incomplete = !left_out.is_empty() || !look.gaps.is_empty();
        writeln!(out, "{}", view.nothing(folded, incomplete))?;
    } else {
        let screens = view.screens();
        let workers = Threads::new();
        write_rows(&mut out, &rows, &names, &screens, context.screen, &workers)?;
    }
    out.flush()?;
    tell_gaps(&look.gaps, context);
    if !context.quiet && !request.quiet {
        let not_shown = NotShown {
            folded: if rows.is_empty() { 0 } else { folded },
            undecided,
            hidden: hidden_rows(&rows),
        };
        not_shown.tell(eyes.recorded(), context);
        elsewhere::tell(&eyes, &query, &rows, context);
    }
    Ok(Exit::Done)
}

/// The processes of which sockets are wanted, where only those of some are.
fn processes(selection: &Selection) -> Vec<Pid> {
    let pid = |test: &Test| match test {
        Test::Pid(pid) => Some(*pid),
        _ => None,
    };
    if selection.decidable_by(&|test| pid(test).is_some()) == Selection::everything() {
        return Vec::new();
    }
    selection.tests().into_iter().filter_map(pid).collect()
}

/// So many records are made by one thread before others have their turn.
const PIECE: usize = 512;

/// About so many bytes a record has.
const RECORD: usize = 768;

/// So many rows are sorted in the time that a thread takes to begin.
const FEW: usize = 5_000;

/// Sorts the rows. Where the other ends of many are shown, they are looked for meanwhile.
fn sort(rows: &mut Rows<'_>, look: &Look, request: &Request) {
    let with_peers =
        request.format == Format::Json || request.sources.owners != owners::Choice::None;
    if with_peers && rows.len() > FEW {
        both(|| look.listing.find_peers(), || rows.sort(request.sort));
    } else {
        rows.sort(request.sort);
    }
}

/// The rows that are wanted, and how many more may be.
fn rows_of<'a>(look: &'a Look, query: &Query, eyes: &Eyes) -> (Rows<'a>, Undecided) {
    let mut rows = look.listing.rows();
    let mut placements = Placements::new(eyes.root());
    let undecided = rows.select_by(&query.selection, &mut |pid| placements.of(pid));
    (rows, undecided)
}

/// Both.
fn with(one: Details, other: Details) -> Details {
    Details {
        timers: one.timers || other.timers,
        memory: one.memory || other.memory,
        tcp: one.tcp || other.tcp,
        extended: one.extended || other.extended,
    }
}

/// What a listing is written with.
struct View<'a> {
    request: &'a Request,
    eyes: &'a Eyes,
    names: &'a Resolved,
}

impl View<'_> {
    fn screens(&self) -> screens::Look {
        let details = self.request.details;
        screens::Look {
            columns: self.request.columns.clone(),
            header: self.request.header,
            several_netns: self.eyes.several(),
            owners: self.request.sources.owners != owners::Choice::None,
            details: details.timers || details.memory || details.tcp,
            extended: self.request.extended,
        }
    }

    fn write_json(
        &self,
        out: &mut dyn Write,
        rows: &Rows<'_>,
        look: &Look,
        left_out: Vec<Gap>,
    ) -> anyhow::Result<()> {
        let begin = machine::begin_at(self.eyes.root(), "sockets", look.sources());
        json::write(out, &begin)?;
        let pieces = rows.len().div_ceil(PIECE);
        let records = |piece| self.records(rows, piece, look);
        Threads::new().in_order(pieces, &records, &mut |records| out.write_all(&records))?;
        let mut gaps = look.gaps.clone();
        gaps.extend(left_out);
        write_gaps(out, &gaps)?;
        let count = u64::try_from(rows.len())?;
        json::write(out, &End::new([("sockets", count)], &gaps))?;
        Ok(out.flush()?)
    }

    /// The records of a piece of the rows.
    fn records(&self, rows: &Rows<'_>, piece: usize, look: &Look) -> io::Result<Vec<u8>> {
        let first = piece * PIECE;
        let mut records = Vec::with_capacity(PIECE * RECORD);
        // Most of a piece are one user's.
        let mut last: Option<(Uid, Option<String>)> = None;
        for index in first..rows.len().min(first + PIECE) {
            if let Some(row) = rows.get(index) {
                let uid = row.socket.uid;
                if last.as_ref().map(|known| known.0) != uid {
                    last = uid.map(|uid| (uid, self.names.user(uid)));
                }
                let user = last.as_ref().and_then(|known| known.1.as_deref());
                let interface = self.names.bound_to(row.socket);
                let record = SocketRecord::new(&row, look.at, user, interface);
                json::append(&mut records, &self.extended(record, &row))?;
            }
        }
        Ok(records)
    }

    fn extended<'r>(&self, record: SocketRecord<'r>, row: &Row<'_>) -> SocketRecord<'r> {
        if self.request.processes {
            record.extended(row, self.names)
        } else {
            record
        }
    }

    /// "Nothing" is said only of what could be read.
    fn nothing(&self, folded: usize, incomplete: bool) -> String {
        let place = if self.eyes.recorded() {
            "in the recorded tree"
        } else if self.eyes.several() {
            "in these network namespaces"
        } else {
            "in this network namespace"
        };
        let place = if incomplete {
            format!("{place}, as far as it could be read")
        } else {
            place.to_owned()
        };
        let nothing = &self.request.nothing;
        match folded {
            0 => format!("Nothing {nothing} {place}."),
            1 => format!("Nothing {nothing} {place} but 1 TIME_WAIT (-a shows it)."),
            more => format!("Nothing {nothing} {place} but {more} TIME_WAIT (-a shows them)."),
        }
    }
}
