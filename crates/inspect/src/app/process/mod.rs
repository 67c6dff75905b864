//! `inspect process`: a process or those of a name, the sockets they hold, and who is at the
//! other end.

mod found;
mod unseen;

use std::collections::{HashMap, HashSet};
use std::io::{self, BufWriter, Write};

use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::look::{Eyes, Look};
use super::names::Resolved;
use super::sockets::told::{tell_gaps, write_gaps};
use super::{Context, Exit, machine};
use crate::cli::Format;
use crate::cli::process::Request;
use crate::clock;
use crate::listing::{Rows, SortKey, Standing};
use crate::model::{NetworkNamespace, Pid};
use crate::namespaces::{self, Namespace};
use crate::privilege;
use crate::processes::About;
use crate::render::When;
use crate::render::json::{self, End, ProcessRecord, SocketRecord};
use crate::render::process::{self, Portrait, Sight};
use crate::render::sockets::Names;
use crate::sockets::{Details, Query, Table};
use crate::stop::Stop;
use found::Found;
use unseen::Hidden;

pub(super) fn run(request: &Request, context: &Context) -> anyhow::Result<Exit> {
    let stop = Stop::new().context("cannot make a stop signal")?;
    let mut eyes = Eyes::new(&request.sources, stop)?;
    let mut found = Found::look_for(&request.wanted, &eyes, context)?;
    eyes.follow(&found.pids);
    let look = match found.pids.is_empty() {
        true => None,
        false => Some(eyes.look(&everything())?),
    };
    let abouts = found.ask(&eyes);
    let Some(look) = look.filter(|_| !abouts.is_empty()) else {
        return none_found(request, &eyes, &found, context);
    };
    if context.verbose {
        look.tell_sources(eyes.root(), context);
    }
    let mut rows = look.listing.rows();
    let pids: HashSet<Pid> = abouts.iter().map(|about| about.pid).collect();
    rows.retain(|row| {
        let mut owners = row.owners;
        owners.any(|owner| pids.contains(&owner.pid))
    });
    rows.sort(SortKey::Conversation);
    let mut names = Resolved::new(&eyes);
    if request.resolve {
        names = names.with_hosts_of(&rows);
    }
    let elsewhere = elsewhere(&abouts, &eyes);
    let portraits = portraits(&abouts, &rows, &look, &found, &elsewhere);
    let hidden = Hidden::of(&portraits, &rows, &look);
    let mut out = BufWriter::new(io::stdout().lock());
    match request.format {
        Format::Json => {
            let mut gaps = look.gaps.clone();
            gaps.extend(hidden.gaps.iter().cloned());
            let begin = machine::begin_at(eyes.root(), "process", look.sources());
            json::write(&mut out, &begin)?;
            write_records(&mut out, &portraits, &rows, &look, &names)?;
            write_gaps(&mut out, &gaps)?;
            let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            let counts = [
                ("processes", count(portraits.len())),
                ("sockets", count(rows.len())),
            ];
            json::write(&mut out, &End::new(counts, &gaps))?;
            out.flush()?;
        }
        _ => {
            let shown = process::Look {
                names: &names,
                when: When::new(TimeZone::system(), (!eyes.recorded()).then(clock::now)),
                all: request.all,
                screen: context.screen,
            };
            match portraits.as_slice() {
                [one] => process::write_one(&mut out, one, &shown)?,
                several => process::write_several(&mut out, found.asked(), several, &shown)?,
            }
            for missing in found.missing() {
                writeln!(out, "{}", found.none_words(missing, context))?;
            }
            out.flush()?;
            tell_gaps(&look.gaps, context);
            if !request.quiet {
                hidden.tell(&portraits, eyes.recorded(), context);
                one_of_them(&portraits, context);
            }
        }
    }
    Ok(match found.missing().next() {
        None => Exit::Done,
        Some(_) => Exit::Failed,
    })
}

/// Whatever a process may hold, and whatever may be at the other end.
fn everything() -> Query {
    Query {
        details: Details {
            extended: true,
            ..Details::default()
        },
        ..Query::all_of(Table::ALL)
    }
}

fn none_found(
    request: &Request,
    eyes: &Eyes,
    found: &Found,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut out = BufWriter::new(io::stdout().lock());
    match request.format {
        Format::Json => {
            let begin = machine::begin_at(eyes.root(), "process", vec!["proc".to_owned()]);
            json::write(&mut out, &begin)?;
            json::write(&mut out, &End::new([("processes", 0), ("sockets", 0)], &[]))?;
        }
        _ => {
            for missing in found.missing() {
                writeln!(out, "{}", found.none_words(missing, context))?;
            }
        }
    }
    out.flush()?;
    Ok(Exit::Failed)
}

/// The network namespaces of processes that are not in ours, with their names.
fn elsewhere(abouts: &[About], eyes: &Eyes) -> HashMap<NetworkNamespace, Namespace> {
    let own = namespaces::of_proc_root(eyes.root());
    let foreign: HashSet<NetworkNamespace> = abouts
        .iter()
        .filter_map(|about| about.netns)
        .filter(|netns| Some(*netns) != own)
        .collect();
    if foreign.is_empty() || eyes.recorded() {
        return HashMap::new();
    }
    let all = namespaces::all().found.into_iter();
    all.filter(|namespace| foreign.contains(&namespace.inode))
        .map(|namespace| (namespace.inode, namespace))
        .collect()
}

fn portraits<'a>(
    abouts: &'a [About],
    rows: &Rows<'a>,
    look: &Look,
    found: &'a Found,
    elsewhere: &'a HashMap<NetworkNamespace, Namespace>,
) -> Vec<Portrait<'a>> {
    let pids: Vec<Pid> = abouts.iter().map(|about| about.pid).collect();
    let unreadable = look.listing.holdings().unreadable();
    let unreadable: HashSet<Pid> = unreadable.iter().map(|process| process.pid).collect();
    let standings = rows.standings(&pids);
    abouts
        .iter()
        .zip(standings)
        .map(|(about, standing)| Portrait {
            about,
            parent: about.parent.and_then(|pid| found.names.get(&pid)),
            elsewhere: about.netns.and_then(|netns| elsewhere.get(&netns)),
            sight: sight(about, unreadable.contains(&about.pid), &standing),
            standing,
        })
        .collect()
}

/// Whether the descriptors of a process could be read. Whose list is refused to us, and of whom
/// no other source lists one either, is hidden: a kernel program may be kept from a process as a
/// walk is (seen here with process 1).
fn sight(about: &About, unreadable: bool, standing: &Standing<'_>) -> Sight {
    let nothing = standing.held.is_empty() && standing.unlisted == 0;
    let refused = about.descriptors.is_none() && about.kernel_thread != Some(true);
    match (unreadable, nothing) {
        _ if about.has_ended() => Sight::Whole,
        (true, false) => Sight::Partly,
        (true, true) => Sight::Hidden,
        (false, true) if refused => Sight::Hidden,
        (false, _) => Sight::Whole,
    }
}

fn write_records(
    out: &mut dyn Write,
    portraits: &[Portrait<'_>],
    rows: &Rows<'_>,
    look: &Look,
    names: &Resolved,
) -> anyhow::Result<()> {
    for portrait in portraits {
        let user = portrait.about.uid.and_then(|uid| names.user(uid));
        let text = process::sentence(portrait, names);
        json::write(out, &ProcessRecord::new(portrait, user.as_deref(), text))?;
    }
    for row in rows.iter() {
        let user = row.socket.uid.and_then(|uid| names.user(uid));
        let interface = names.bound_to(row.socket);
        let record = SocketRecord::new(&row, look.at, user.as_deref(), interface);
        json::write(out, &record)?;
    }
    Ok(())
}

/// How to see one of several whole.
fn one_of_them(portraits: &[Portrait<'_>], context: &Context) {
    if portraits.len() > 1 {
        // One of which there is something to see, where there is one.
        let seen = portraits.iter().find(|it| it.sight == Sight::Whole);
        let Some(first) = seen.or(portraits.first()) else {
            return;
        };
        let words = ["process".to_owned(), first.about.pid.to_string()];
        let program = privilege::shell_word(&context.program.to_string_lossy());
        context.hint(&format!("one of them whole: {program} {}", words.join(" ")));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_list_that_is_refused_is_hidden_whatever_a_kernel_program_did_not_see() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/proc-pool");
        let with = |pid: u32, unreadable: bool, unlisted: usize| {
            let about = crate::processes::about(&tree, Pid(pid)).unwrap();
            let standing = Standing {
                pid: Pid(pid),
                held: Vec::new(),
                unlisted,
            };
            sight(&about, unreadable, &standing)
        };
        const SSHD: u32 = 600; // Its descriptors are not in the tree.
        assert_eq!(with(SSHD, true, 0), Sight::Hidden);
        assert_eq!(with(SSHD, false, 0), Sight::Hidden);
        assert_eq!(with(SSHD, false, 1), Sight::Whole);
        const SLEEP: u32 = 970;
        assert_eq!(with(SLEEP, false, 0), Sight::Whole);
        assert_eq!(with(SLEEP, true, 1), Sight::Partly);
        const ENDED: u32 = 960;
        assert_eq!(with(ENDED, false, 0), Sight::Whole);
        const KERNEL_THREAD: u32 = 2;
        assert_eq!(with(KERNEL_THREAD, false, 0), Sight::Whole);
    }
}
