//! `inspect sockets`: tables and owners in, a listing out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::look::{Eyes, Look};
use super::{Context, Exit, Usage, machine};
use crate::cli::Format;
use crate::cli::sockets::Request;
use crate::listing::{self, Rows};
use crate::model::{Family, Gap, Origin, OwnerStatus, Protocol, Uid};
use crate::names::{Hosts, Services, Users};
use crate::owners::Holdings;
use crate::privilege::{self, Right};
use crate::render::json::{self, End, GapRecord, SocketRecord};
use crate::render::sockets::{Count, Names, write_rows, write_summary};
use crate::selection::{Selection, Test};
use crate::sockets::{Details, Query};
use crate::stop::Stop;

/// How long names may take: a name server that does not answer costs no more.
const RESOLVE_LIMIT: Duration = Duration::from_secs(2);

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

/// Ids for the users as typed: an id, or the name of a user of this machine.
fn users(words: &[String]) -> anyhow::Result<Vec<Test>> {
    words
        .iter()
        .map(|word| {
            let id = word.parse().ok().map(Uid).or_else(|| Users::id(word));
            match id {
                Some(uid) => Ok(Test::User(uid)),
                None => Err(Usage(format!("no user {word:?} on this machine")).into()),
            }
        })
        .collect()
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

fn hidden_rows(rows: &Rows<'_>) -> usize {
    rows.iter()
        .filter(|row| row.owner_status == OwnerStatus::Hidden)
        .count()
}

/// What the answer lacks because processes could not be read; nothing when it lacks nothing.
fn hidden(rows: &Rows<'_>, undecided: usize, holdings: &Holdings) -> Option<Gap> {
    let lacking = |status| matches!(status, OwnerStatus::Hidden | OwnerStatus::Partial);
    let affected = rows.iter().any(|row| {
        lacking(row.owner_status) || row.peer().is_some_and(|peer| lacking(peer.owner_status))
    });
    if !affected && undecided == 0 {
        return None;
    }
    let mut reason = match holdings.unreadable().len() {
        0 => "processes were not listed, so that owners are hidden".to_owned(),
        1 => "process could not be read, so that owners are hidden".to_owned(),
        _ => "processes could not be read, so that owners are hidden".to_owned(),
    };
    if undecided > 0 {
        reason += &format!(
            "; {undecided} {} with a hidden owner may match",
            if undecided == 1 { "socket" } else { "sockets" }
        );
    }
    Some(match u64::try_from(holdings.unreadable().len()) {
        Ok(count @ 1..) => Gap::counted(Origin::Owners, reason, count),
        _ => Gap::uncounted(Origin::Owners, reason),
    })
}

fn write_gaps(out: &mut dyn Write, gaps: &[Gap]) -> io::Result<()> {
    for gap in gaps {
        json::write(out, &GapRecord::from(gap))?;
    }
    Ok(())
}

fn tell_gaps(gaps: &[Gap], context: &Context) {
    for gap in gaps {
        match gap.count {
            Some(count) => context.say(&format!("inspect: lost {count} {}", gap.reason)),
            None => context.say(&format!("inspect: {}", gap.reason)),
        }
    }
}

/// What was left out for brevity, and what could not be seen.
struct NotShown {
    /// TIME_WAIT sockets.
    folded: usize,
    /// Sockets that may match, if their hidden owners do.
    undecided: usize,
    /// Rows that are shown with a hidden owner.
    hidden: usize,
}

impl NotShown {
    /// Tells it, with the way to see it; why owners are hidden only to a person.
    fn tell(&self, recorded: bool, context: &Context) {
        let mut words = Vec::new();
        if self.folded > 0 {
            words.push(format!("{} TIME_WAIT not shown (-a).", self.folded));
        }
        match self.undecided {
            0 => {}
            1 => words.push("1 socket with a hidden owner may match.".to_owned()),
            more => words.push(format!("{more} sockets with hidden owners may match.")),
        }
        let hidden = self.hidden + self.undecided;
        let curable = !recorded && privilege::has(Right::ReadOwners) == Some(false);
        if hidden == 0 || !context.messages.is_terminal() {
            if !words.is_empty() {
                context.say(&words.join(" "));
            }
            return;
        }
        let count = match hidden {
            1 => "1 owner hidden".to_owned(),
            more => format!("{more} owners hidden"),
        };
        if curable {
            let them = if hidden == 1 { "it" } else { "them" };
            words.push(format!("{count}; to see {them}:"));
            context.hint(&words.join(" "));
            let command = privilege::with_sudo(&context.program, &context.arguments);
            context.hint(&format!("  {command}"));
        } else {
            words.push(format!("{count} (-v says why)."));
            context.hint(&words.join(" "));
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "family")]
struct FamilyRecord {
    family: &'static str,
    /// `null` when the kernel has the family and the source cannot list it.
    sockets: Option<usize>,
    supported: bool,
    states: BTreeMap<String, BTreeMap<&'static str, usize>>,
}

fn write_families(
    out: &mut dyn Write,
    request: &Request,
    rows: &Rows<'_>,
    look: &Look,
    (eyes, gaps): (&Eyes, &[Gap]),
    context: &Context,
) -> anyhow::Result<()> {
    let sockets = rows.iter().map(|row| row.socket);
    let summaries: Vec<_> = listing::summarise(sockets, &request.families)
        .into_iter()
        .map(|summary| {
            let count = match summary.family {
                Family::Vsock | Family::Tipc => match eyes.has_family(summary.family) {
                    Some(false) => Count::NoFamily,
                    _ => Count::Untold,
                },
                family if look.cut.iter().any(|table| table.family() == family) => Count::Untold,
                _ => Count::Known(summary.total()),
            };
            (summary, count)
        })
        .collect();
    if request.format == Format::Json {
        let begin = machine::begin_at(eyes.root(), "sockets", look.sources());
        json::write(out, &begin)?;
        for (summary, count) in &summaries {
            let mut states: BTreeMap<String, BTreeMap<&'static str, usize>> = BTreeMap::new();
            for ((protocol, state), number) in &summary.counts {
                let protocol = states.entry(protocol.word().to_owned()).or_default();
                protocol.insert(state.word(), *number);
            }
            let record = FamilyRecord {
                family: summary.family.word(),
                sockets: match count {
                    Count::Known(number) => Some(*number),
                    Count::NoFamily => Some(0),
                    Count::Untold => None,
                },
                supported: *count != Count::NoFamily,
                states,
            };
            json::write(out, &record)?;
        }
        write_gaps(out, gaps)?;
        let families = u64::try_from(summaries.len())?;
        json::write(out, &End::new([("families", families)], gaps))?;
    } else {
        let packet_owners: Vec<_> = rows
            .iter()
            .filter(|row| row.socket.family == Family::Packet)
            .flat_map(|row| row.owners)
            .collect();
        write_summary(out, &summaries, &packet_owners, context.screen)?;
        out.flush()?;
        tell_gaps(gaps, context);
    }
    Ok(())
}

/// Names asked for while writing.
struct Resolved {
    users: RefCell<Users>,
    hosts: Option<Hosts>,
    services: Option<Services>,
}

impl Resolved {
    fn new(recorded: bool) -> Self {
        let users = if recorded {
            Users::of_another_machine()
        } else {
            Users::of_this_machine()
        };
        Self {
            users: RefCell::new(users),
            hosts: None,
            services: None,
        }
    }

    fn with_hosts_of(mut self, rows: &Rows<'_>) -> Self {
        let addresses = rows
            .iter()
            .filter_map(|row| row.socket.endpoints())
            .flat_map(|(local, remote)| [local.address, remote.address])
            .filter(|address| !address.is_unspecified());
        self.hosts = Some(Hosts::resolve(addresses, RESOLVE_LIMIT));
        self.services = Some(Services::read());
        self
    }
}

impl Names for Resolved {
    fn user(&self, uid: Uid) -> Option<String> {
        self.users.borrow_mut().name(uid).map(str::to_owned)
    }

    fn host(&self, address: IpAddr) -> Option<String> {
        self.hosts.as_ref()?.name(address).map(str::to_owned)
    }

    fn service(&self, port: u16, protocol: Protocol) -> Option<String> {
        self.services
            .as_ref()?
            .name(port, protocol)
            .map(str::to_owned)
    }
}
