//! `inspect doctor`: looks in, findings out.
//!
//! Two looks or more are folded into what stands still, the last one is judged. What else the
//! rules want to know is asked after it, and only of those it is about: limits of each network
//! namespace, descriptors of processes with sockets, the standing of those that listen.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::look::{Eyes, Look};
use super::names::Resolved;
use super::sockets::told::{NotShown, hidden, hidden_rows, tell_gaps, write_gaps};
use super::{Context, Exit, machine, signals};
use crate::cli::Format;
use crate::cli::doctor::Request;
use crate::clock;
use crate::diagnosis::{self, Finding, Scene, Severity, Watch};
use crate::limits::Limits;
use crate::listing::{Listing, Undecided};
use crate::model::{Fd, Gap, Inode, NetworkNamespace, Origin, Pid, State};
use crate::namespaces;
use crate::privilege::{self, Right};
use crate::processes::{self, Attention, Effort, Standing, Usage};
use crate::render::doctor::{Looked, words, write_findings};
use crate::render::json::{self, End, FindingRecord};
use crate::render::sockets::grouped;
use crate::render::{Charset, Escaped, Screen};
use crate::selection::Selection;
use crate::sockets::{Details, Query, Table};
use crate::stop::Stop;

/// After so long without a word, one says what is awaited.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at what a process does.
const MOMENT: Duration = Duration::from_millis(100);

/// So long one may still ask what processes do when there was a Ctrl-C: a common machine is asked
/// in a few milliseconds.
const AFTER_CTRL_C: Duration = Duration::from_millis(500);

pub(super) fn run(request: &Request, context: &Context) -> anyhow::Result<Exit> {
    let stop = signals::stop_on_signals().context("cannot listen for Ctrl-C")?;
    // Ctrl-C ends the watch, not a look: what has been seen is judged.
    let mut eyes = Eyes::new(&request.sources, Stop::new()?)?;
    let (look, watch) = look_on(request, &mut eyes, &stop, context)?;
    let facts = Facts::about(&look.listing, &eyes, &stop);
    let scene = Scene {
        listing: &look.listing,
        watch: &watch,
        limits: &facts.limits,
        usage: &facts.usage,
        standing: &facts.standing,
        attention: &facts.attention,
        notices: context.verbose,
    };
    let findings = diagnosis::diagnose(&scene);
    let mut gaps = look.gaps.clone();
    if !eyes.recorded() {
        gaps.extend(
            diagnosis::unseen(&scene)
                .into_iter()
                .chain(facts.unseen())
                .map(|reason| Gap::uncounted(Origin::Sockets, format!("not looked for: {reason}"))),
        );
    }
    if context.verbose {
        look.tell_sources(eyes.root(), context);
        facts.tell(&eyes, context);
    }
    let rows = look.listing.rows();
    let owners_gap = hidden(&rows, 0, look.listing.holdings());
    let trouble = findings.iter().any(|it| it.severity != Severity::Notice);
    let names = Resolved::new(&eyes);
    let looked = Looked {
        sockets: rows.len(),
        complete: gaps.is_empty() && owners_gap.is_none(),
        recorded: eyes.recorded(),
        several_netns: eyes.several(),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    if request.format == Format::Json {
        gaps.extend(owners_gap);
        let begin = machine::begin_at(eyes.root(), "doctor", look.sources());
        json::write(&mut out, &begin)?;
        write_records(&mut out, findings, &gaps, looked, &names)?;
        out.flush()?;
    } else {
        write_findings(&mut out, &findings, looked, &names, context.screen)?;
        out.flush()?;
        tell_gaps(&gaps, context);
        if !context.quiet && !request.quiet {
            let not_shown = NotShown {
                folded: 0,
                undecided: Undecided::default(),
                hidden: hidden_rows(&rows),
            };
            not_shown.tell(eyes.recorded(), context);
        }
    }
    Ok(if trouble { Exit::Failed } else { Exit::Done })
}

/// Looks as often as asked for, or until the signal; at least twice, but once at a recording,
/// in which nothing can move.
fn look_on(
    request: &Request,
    eyes: &mut Eyes,
    stop: &Stop,
    context: &Context,
) -> anyhow::Result<(Look, Watch)> {
    let query = Query {
        tables: vec![
            Table::Tcp,
            Table::Tcp6,
            Table::Udp,
            Table::Udp6,
            Table::Unix,
            Table::Mptcp,
            Table::Mptcp6,
        ],
        selection: Selection::everything(),
        details: Details {
            timers: true,
            memory: true,
            tcp: true,
            extended: false,
        },
    };
    let mut watch = Watch::default();
    let mut see = |eyes: &mut Eyes| -> anyhow::Result<Look> {
        let look = eyes.look(&query)?;
        watch.see(&look.listing, Duration::from_nanos(clock::monotonic_ns()));
        Ok(look)
    };
    let mut look = see(eyes)?;
    if !eyes.recorded() {
        let whole = request.interval.saturating_mul(request.looks);
        if whole >= PATIENCE && !request.quiet {
            context.hint(&format!(
                "Watching for {} s; Ctrl-C ends it earlier.",
                whole.as_secs()
            ));
        }
        for _ in 0..request.looks {
            // Only the last look and what moved are kept.
            drop(look);
            let stopped = stop.wait(request.interval);
            look = see(eyes)?;
            if stopped {
                break;
            }
        }
    }
    Ok((look, watch))
}

fn write_records(
    out: &mut dyn Write,
    findings: Vec<Finding>,
    gaps: &[Gap],
    looked: Looked,
    names: &Resolved,
) -> anyhow::Result<()> {
    let count = u64::try_from(findings.len())?;
    for finding in findings {
        let screen = Screen::pipe(Charset::Utf8);
        let text = words(&finding, looked.several_netns, names, screen).line();
        json::write(out, &FindingRecord::new(finding, text))?;
    }
    write_gaps(out, gaps)?;
    let counts = [
        ("findings", count),
        ("sockets", u64::try_from(looked.sockets)?),
    ];
    Ok(json::write(out, &End::new(counts, gaps))?)
}

/// What the rules want to know beside the sockets.
struct Facts {
    limits: BTreeMap<Option<NetworkNamespace>, Limits>,
    usage: BTreeMap<Pid, Usage>,
    standing: BTreeMap<Pid, Standing>,
    attention: BTreeMap<(Pid, Fd), Attention>,
    /// Of how many processes it was too much to read.
    given_up: u64,
}

impl Facts {
    fn about(listing: &Listing, eyes: &Eyes, stop: &Stop) -> Self {
        let root = eyes.root();
        let rows = listing.rows();
        // Not every process of the machine: those whose sockets were looked at.
        let holders: BTreeSet<Pid> = rows
            .iter()
            .flat_map(|row| row.owners.map(|owner| owner.pid))
            .collect();
        let usage = holders
            .into_iter()
            .filter_map(|pid| Some((pid, processes::usage(root, pid)?)))
            .collect();
        let mut listeners: BTreeMap<Pid, BTreeSet<(Fd, Inode)>> = BTreeMap::new();
        for row in rows.iter() {
            if row.socket.state == State::Listen
                && row.socket.endpoints().is_some()
                && let Some(inode) = row.socket.inode
            {
                for owner in row.owners {
                    let its = listeners.entry(owner.pid).or_default();
                    its.insert((owner.fd, inode));
                }
            }
        }
        let standing: BTreeMap<Pid, Standing> = listeners
            .keys()
            .filter_map(|pid| Some((*pid, processes::standing(root, *pid)?)))
            .collect();
        listeners.retain(|pid, _| {
            let standing = standing.get(pid);
            standing.and_then(|it| it.is_orphan(*pid)) == Some(true)
        });
        let (attention, given_up) = attention(root, &listeners, stop);
        Self {
            limits: eyes.limits(),
            usage,
            standing,
            attention,
            given_up,
        }
    }

    /// What could not be judged for want of them: words that can follow "not looked for: ".
    fn unseen(&self) -> Option<String> {
        let processes = match self.given_up {
            0 => return None,
            1 => "1 process".to_owned(),
            more => format!("{} processes", grouped(more)),
        };
        Some(format!(
            "listeners that outlived their server: of {processes} not everything was read"
        ))
    }

    /// Says what may be seen here, and why not more: `-v`.
    fn tell(&self, eyes: &Eyes, context: &Context) {
        if let Some(limits) = self.limits.values().next() {
            let number = |number: Option<u32>| {
                number.map_or_else(|| "?".to_owned(), |number| grouped(number.into()))
            };
            context.say(&format!(
                "limits: {} ports towards one destination, {} TIME_WAIT, accept queues of {}",
                number(limits.ephemeral_ports()),
                number(limits.time_wait),
                number(limits.accept_queue)
            ));
        }
        if eyes.recorded() {
            return;
        }
        context.say(match privilege::has(Right::ReadOwners) {
            Some(true) => "rights: the descriptors of every process may be read",
            Some(false) => {
                "rights: only the descriptors of this user's processes may be read (all: root, or \
                 cap_sys_ptrace,cap_dac_read_search)"
            }
            None => "rights: unknown",
        });
        tell_namespaces(eyes, context);
    }
}

/// What orphans do with their listeners, and of how many of them that was too much to read.
fn attention(
    root: &Path,
    orphans: &BTreeMap<Pid, BTreeSet<(Fd, Inode)>>,
    stop: &Stop,
) -> (BTreeMap<(Pid, Fd), Attention>, u64) {
    // Ctrl-C has ended the watch, perhaps, and is not for this; but this shall end soon then.
    let stopped = OnceCell::new();
    let goes_on =
        || !stop.is_raised() || stopped.get_or_init(Instant::now).elapsed() < AFTER_CTRL_C;
    let mut effort = Effort::new(&goes_on);
    let mut seen: BTreeMap<(Pid, Fd), Attention> = BTreeMap::new();
    for (pid, listeners) in orphans {
        let listeners: Vec<_> = listeners.iter().copied().collect();
        let its = processes::attention(root, *pid, &listeners, &mut effort);
        seen.extend(its.into_iter().map(|(fd, it)| ((*pid, fd), it)));
    }
    let given_up = effort.given_up();
    if seen.values().any(|it| it.awaited == Some(false)) {
        // Who was busy with something else for a moment is back by now.
        std::thread::sleep(MOMENT);
        let mut effort = Effort::new(&goes_on);
        for (pid, listeners) in orphans {
            let idle = |(fd, _): &&(Fd, Inode)| {
                let first = seen.get(&(*pid, *fd));
                first.is_some_and(|it| it.awaited == Some(false))
            };
            let idle: Vec<_> = listeners.iter().filter(idle).copied().collect();
            if idle.is_empty() {
                continue;
            }
            let later: BTreeMap<Fd, Attention> =
                processes::attention(root, *pid, &idle, &mut effort)
                    .into_iter()
                    .collect();
            for (fd, _) in idle {
                let awaited = later.get(&fd).and_then(|it| it.awaited);
                if let Some(first) = seen.get_mut(&(*pid, fd))
                    && awaited != Some(false)
                {
                    first.awaited = awaited;
                }
            }
        }
        return (seen, given_up.max(effort.given_up()));
    }
    (seen, given_up)
}

/// Says which other network namespaces there are, and which of them may not be looked into.
fn tell_namespaces(eyes: &Eyes, context: &Context) {
    /// So many are named; a machine of containers may have hundreds.
    const NAMED: usize = 5;
    let others = eyes.others();
    let untold = namespaces::all().unreadable;
    let mut named: Vec<String> = others
        .iter()
        .take(NAMED)
        .map(|namespace| match (&namespace.name, namespace.pid) {
            (Some(name), _) => Escaped::name(name, context.messages.charset).to_string(),
            (None, Some(pid)) => format!("that of process {pid}"),
            (None, None) => namespace.inode.to_string(),
        })
        .collect();
    if others.len() > NAMED {
        named.push(format!("{} more", others.len() - NAMED));
    }
    if !named.is_empty() {
        context.say(&format!(
            "namespaces: not looked into: {} (--netns all)",
            named.join(", ")
        ));
    }
    if untold > 0 {
        context.say(&format!(
            "namespaces: {untold} {} not tell theirs, so that others may exist",
            if untold == 1 {
                "process does"
            } else {
                "processes do"
            }
        ));
    }
    if named.is_empty() && untold == 0 {
        context.say("namespaces: there is no other");
    }
}
