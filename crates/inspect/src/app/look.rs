//! One look at sockets and their owners, as every view of sockets takes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, bail};

use super::{Context, Usage};
use crate::cli::sources::{Netns, Sources};
use crate::clock;
use crate::limits::{self, Limits};
use crate::listing::Listing;
use crate::model::{Family, Gap, Inode, NetworkNamespace, Origin, OwnerStatus, Pid, Timestamp};
use crate::namespaces::{self, EnterError, Namespace};
use crate::owners::{Finder, Reason, Source as _};
use crate::render::Escaped;
use crate::selection::{Selection, Test};
use crate::sockets::{Query, Reading, Snapshot, Socket, Source as _, Table, Tables};
use crate::stop::Stop;

/// What takes the looks: made once, and asked as often as a view wants.
pub(super) struct Eyes {
    root: PathBuf,
    /// Whether the tree is a recorded one.
    recorded: bool,
    sources: Sources,
    places: Vec<Place>,
    /// What is known of other namespaces; empty unless they were asked for.
    pub(super) namespaces: Vec<Namespace>,
    /// What the search for namespaces could not see.
    gaps: Vec<Gap>,
    stop: Stop,
}

/// One network namespace to look into.
enum Place {
    /// The one we are in, or that of the recorded tree.
    Here(Option<NetworkNamespace>),
    /// Another.
    There(Namespace),
}

/// What one look found.
pub(super) struct Look {
    /// Sockets and owners.
    pub(super) listing: Listing,
    /// When the look began.
    pub(super) at: Timestamp,
    /// What could not be seen.
    pub(super) gaps: Vec<Gap>,
    /// Tables of which an unknown part is missing.
    pub(super) cut: Vec<Table>,
    /// How each table was read, in the first place looked into.
    pub(super) readings: Vec<Reading>,
    /// How owners were found.
    pub(super) owners_from: &'static str,
    /// Why that way.
    pub(super) owners_why: Reason,
}

/// The network namespace that a word means.
pub(super) fn named(word: &str) -> anyhow::Result<Namespace> {
    if let Some(namespace) = namespaces::find(word) {
        return Ok(namespace);
    }
    if word.parse::<u32>().is_ok() && Path::new("/proc").join(word).is_dir() {
        bail!(
            "cannot tell the network namespace of process {word}: permission denied (needs root, \
             or CAP_SYS_PTRACE)"
        );
    }
    Err(Usage(format!(
        "no network namespace {word:?}: it is neither a name of ip netns, nor a process, nor an \
         inode, nor a path of one"
    ))
    .into())
}

impl Eyes {
    pub(super) fn new(sources: &Sources, stop: Stop) -> anyhow::Result<Self> {
        let recorded = sources.proc_root.is_some();
        let root = sources
            .proc_root
            .clone()
            .unwrap_or_else(|| PathBuf::from("/proc"));
        if !root.join("net").is_dir() {
            bail!("cannot read {}: it has no net folder", root.display());
        }
        let own = namespaces::of_proc_root(&root);
        let mut eyes = Self {
            root,
            recorded,
            sources: sources.clone(),
            places: vec![Place::Here(own)],
            namespaces: Vec::new(),
            gaps: Vec::new(),
            stop,
        };
        match &sources.netns {
            Netns::Own => {}
            Netns::Named(word) => {
                let namespace = named(word)?;
                if Some(namespace.inode) != own {
                    eyes.places = vec![Place::There(namespace.clone())];
                }
                eyes.namespaces = vec![namespace];
            }
            Netns::All => {
                let all = namespaces::all();
                if all.unreadable > 0 {
                    let hidden = match all.unreadable {
                        1 => "namespace of 1 process is hidden".to_owned(),
                        count => format!("namespaces of {count} processes are hidden"),
                    };
                    eyes.gaps.push(Gap::uncounted(
                        Origin::Sockets,
                        format!("the network {hidden}: there may be more of them"),
                    ));
                }
                eyes.namespaces = all.found;
                let others = eyes.namespaces.iter().filter(|it| Some(it.inode) != own);
                eyes.places.extend(others.cloned().map(Place::There));
            }
        }
        Ok(eyes)
    }

    /// Looks into the namespaces of these processes as well, where nobody chose which: a process
    /// is asked about, wherever its sockets are.
    pub(super) fn follow(&mut self, pids: &[Pid]) {
        if self.recorded || self.sources.netns != Netns::Own {
            return;
        }
        for pid in pids {
            let path = self.root.join(pid.to_string()).join("ns/net");
            let Some(mut namespace) = path.to_str().and_then(namespaces::find) else {
                continue;
            };
            namespace.pid = Some(*pid);
            let known = self.places.iter().any(|place| match place {
                Place::Here(inode) => *inode == Some(namespace.inode),
                Place::There(other) => other.inode == namespace.inode,
            });
            if !known {
                self.places.push(Place::There(namespace));
            }
        }
    }

    /// Whether a recorded tree is looked at.
    pub(super) fn recorded(&self) -> bool {
        self.recorded
    }

    /// The proc tree.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the kernel has sockets of a family at all; `None` where that cannot be told.
    pub(super) fn has_family(&self, family: Family) -> Option<bool> {
        Tables::recorded(&self.root, None, self.stop.clone()).has_family(family)
    }

    /// The limits of each namespace that is looked into. One that cannot be entered has none.
    pub(super) fn limits(&self) -> BTreeMap<Option<NetworkNamespace>, Limits> {
        let places = self.places.iter().filter_map(|place| match place {
            Place::Here(inode) => Some((*inode, limits::read(&self.root))),
            Place::There(namespace) => {
                let read = || limits::read(Path::new("/proc"));
                let found = namespaces::on_thread_in(namespace, read).ok()?;
                Some((Some(namespace.inode), found))
            }
        });
        places.collect()
    }

    /// The namespace that is looked into first; `None` where it is not known.
    pub(super) fn namespace(&self) -> Option<NetworkNamespace> {
        match self.places.first()? {
            Place::Here(inode) => *inode,
            Place::There(namespace) => Some(namespace.inode),
        }
    }

    /// Does something in the namespace that is looked into first, with the proc tree to read
    /// there. `None` where it may not be entered.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce(&Path) -> T + Send) -> Option<T> {
        match self.places.first()? {
            Place::Here(_) => Some(work(&self.root)),
            Place::There(namespace) => {
                let root = Path::new("/proc");
                namespaces::on_thread_in(namespace, || work(root)).ok()
            }
        }
    }

    /// Whether several namespaces are looked into.
    pub(super) fn several(&self) -> bool {
        self.places.len() > 1
    }

    /// Looks once. Sockets and owners are read at the same time, on two threads; where only some
    /// sockets are wanted, one after the other, so that only their owners need be listed.
    pub(super) fn look(&mut self, query: &Query) -> anyhow::Result<Look> {
        self.look_for(query, &[])
    }

    /// The same; the owners of `others` are looked for too.
    pub(super) fn look_for(&mut self, query: &Query, others: &[Socket]) -> anyhow::Result<Look> {
        let at = clock::now();
        let finder = Finder::new(self.sources.owners, &self.root, self.stop.clone());
        let (mut snapshot, finder, listing) = if narrow(&query.selection) {
            let mut snapshot = self.tables(query)?;
            let sockets = snapshot.sockets.iter().chain(others);
            let wanted = sockets.filter_map(|socket| socket.inode);
            let mut finder = finder.only(wanted.collect());
            let holdings = finder.look();
            let sockets = std::mem::take(&mut snapshot.sockets);
            (snapshot, finder, Listing::new(sockets, holdings))
        } else {
            self.look_at_once(query, finder)?
        };
        let listing = self.settled(listing, &finder, query)?;
        let mut gaps = self.gaps.clone();
        gaps.append(&mut snapshot.gaps);
        gaps.extend(listing.holdings().gaps().iter().cloned());
        Ok(Look {
            listing,
            at,
            gaps,
            cut: snapshot.cut,
            readings: snapshot.readings,
            owners_from: finder.name(),
            owners_why: finder.reason().clone(),
        })
    }

    /// Sockets that nobody was seen to hold may have been closed before their process was looked
    /// at: nothing is said of who held them, then.
    fn settled(&self, listing: Listing, finder: &Finder, query: &Query) -> anyhow::Result<Listing> {
        if self.recorded || !asks_again(&listing, finder) || listing.orphans().next().is_none() {
            return Ok(listing);
        }
        let later = self.tables(query)?;
        if !later.cut.is_empty() {
            return Ok(listing);
        }
        Ok(listing.settled(&later.sockets))
    }

    fn look_at_once(
        &self,
        query: &Query,
        mut finder: Finder,
    ) -> anyhow::Result<(Snapshot, Finder, Listing)> {
        thread::scope(|scope| {
            let tables = thread::Builder::new()
                .name("inspect-tables".to_owned())
                .spawn_scoped(scope, || self.tables(query))
                .context("cannot start a thread for the socket tables")?;
            let holdings = finder.look();
            let mut snapshot = tables
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            let listing = Listing::new(std::mem::take(&mut snapshot.sockets), holdings);
            let (finder, listing) = look_again(finder, listing);
            Ok((snapshot, finder, listing))
        })
    }

    /// The tables of every namespace that is looked into. One of several that cannot be entered
    /// is a gap; where it is the only one, there is no answer.
    fn tables(&self, query: &Query) -> anyhow::Result<Snapshot> {
        let mut all = Snapshot::default();
        for (index, place) in self.places.iter().enumerate() {
            let found = match self.look_into(place, query) {
                Ok(found) => found,
                Err(error) if self.places.len() == 1 => return Err(error.into()),
                Err(error) => not_entered(&error, query),
            };
            if index == 0 {
                all = found;
            } else {
                all.sockets.extend(found.sockets);
                all.gaps.extend(found.gaps);
                all.cut.extend(found.cut);
            }
        }
        Ok(all)
    }

    fn look_into(&self, place: &Place, query: &Query) -> Result<Snapshot, EnterError> {
        let choice = self.sources.tables;
        match place {
            Place::Here(inode) if self.recorded => {
                Ok(Tables::recorded(&self.root, *inode, self.stop.clone()).look(query))
            }
            Place::Here(inode) => Ok(Tables::new(choice, *inode, self.stop.clone()).look(query)),
            Place::There(namespace) => {
                let inode = Some(namespace.inode);
                namespaces::on_thread_in(namespace, || {
                    Tables::new(choice, inode, self.stop.clone()).look(query)
                })
                .or_else(|error| match namespace.pid {
                    // Who may not enter a namespace may still read the tables of a process in it
                    // (fs/proc/proc_net.c asks for no right).
                    Some(pid) if error.is_denied() => {
                        let root = Path::new("/proc").join(pid.to_string());
                        let found = Tables::recorded(&root, inode, self.stop.clone()).look(query);
                        // The process may have ended, and another have its id.
                        if namespaces::of_process(&root) == inode {
                            Ok(found)
                        } else {
                            Err(error)
                        }
                    }
                    _ => Err(error),
                })
            }
        }
    }

    /// The namespaces other than those looked into, for a hint; empty where that is no question.
    pub(super) fn others(&self) -> Vec<Namespace> {
        if self.recorded || self.sources.netns != Netns::Own {
            return Vec::new();
        }
        let own = namespaces::of_proc_root(&self.root);
        let mut found = namespaces::all().found;
        found.retain(|namespace| Some(namespace.inode) != own);
        found
    }

    /// The sockets of another namespace, where it may be entered.
    pub(super) fn look_there(&self, namespace: &Namespace, query: &Query) -> Snapshot {
        self.look_into(&Place::There(namespace.clone()), query)
            .unwrap_or_else(|error| not_entered(&error, query))
    }
}

fn not_entered(error: &EnterError, query: &Query) -> Snapshot {
    Snapshot {
        gaps: vec![Gap::uncounted(Origin::Sockets, error.to_string())],
        cut: query.tables.clone(),
        ..Snapshot::default()
    }
}

/// Sockets that nobody seemed to hold may have been opened after their process was looked at:
/// they are asked for once more, where a look at some costs less than one at all, or where the
/// answer would be that they are nobody's.
fn look_again(finder: Finder, listing: Listing) -> (Finder, Listing) {
    if !asks_again(&listing, &finder) {
        return (finder, listing);
    }
    let orphans: Vec<Inode> = listing.orphans().collect();
    if orphans.is_empty() {
        return (finder, listing);
    }
    let mut finder = finder.only(orphans);
    let later = finder.look();
    (finder, listing.and(later))
}

/// Whether more is to be done for sockets that nobody was seen to hold: not where most owners
/// are hidden anyway.
fn asks_again(listing: &Listing, finder: &Finder) -> bool {
    let holdings = listing.holdings();
    let nobodys = holdings.unreadable().is_empty() && holdings.unlisted().is_none();
    let asked = holdings.status(0..0) != OwnerStatus::NotAsked;
    asked && (nobodys || finder.name() == "bpf" || holdings.unreadable().len() <= FEW)
}

/// So few processes could not be read: most sockets have an owner that can be seen.
const FEW: usize = 3;

/// Whether a selection asks for some ends: what sources can leave out.
fn narrow(selection: &Selection) -> bool {
    let names_an_end = |test: &Test| {
        matches!(
            test,
            Test::Port(_) | Test::Host(_) | Test::EndPort { .. } | Test::EndAddress { .. }
        )
    };
    selection.decidable_by(&names_an_end) != Selection::everything()
}

impl Look {
    /// The names of what was read, for `begin`.
    pub(super) fn sources(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.readings.iter().filter_map(|reading| reading.source) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        if !names.iter().any(|known| known == self.owners_from) && self.owners_from != "none" {
            names.push(self.owners_from.to_owned());
        }
        names
    }

    /// Says how tables and owners were read: `-v`.
    pub(super) fn tell_sources(&self, root: &Path, context: &Context) {
        self.tell_tables(root, context);
        let holdings = self.listing.holdings();
        let walk = match self.owners_from {
            "none" => "owners: not asked for".to_owned(),
            "proc" => format!("owners: a walk over {}", root.join("PID/fd").display()),
            "bpf" => "owners: a kernel program lists descriptors (bpf)".to_owned(),
            other => format!("owners: {other}"),
        };
        let walk = match self.owners_why {
            Reason::Asked | Reason::Recorded => walk,
            _ => format!("{walk}: {}", self.owners_why),
        };
        let unreadable = holdings.unreadable();
        match (holdings.unlisted(), unreadable.len()) {
            (Some(reason), _) => context.say(&format!("{walk}; {reason}")),
            (None, 0) if self.owners_from != "none" => {
                context.say(&format!("{walk}; every process could be read"));
            }
            _ => context.say(&walk),
        }
        match holdings.untold_threads() {
            0 => {}
            count => context.say(&format!(
                "owners: whether {count} threads have descriptors of their own is not told: \
                 kcmp(2) needs cap_sys_ptrace"
            )),
        }
        if !unreadable.is_empty() {
            let mut named: Vec<String> = unreadable
                .iter()
                .take(NAMED)
                .map(|process| match &process.command {
                    Some(command) => {
                        let name = Escaped::process(command, context.messages.charset);
                        format!("{name}[{}]", process.pid)
                    }
                    None => process.pid.to_string(),
                })
                .collect();
            if unreadable.len() > NAMED {
                named.push(format!("{} more", unreadable.len() - NAMED));
            }
            context.say(&format!("owners: could not read {}", named.join(", ")));
        }
    }

    fn tell_tables(&self, root: &Path, context: &Context) {
        let mut told: Vec<(&str, Vec<&str>)> = Vec::new();
        for reading in &self.readings {
            let Some(source) = reading.source else {
                continue;
            };
            let name = reading.table.word();
            match told.iter_mut().find(|(known, _)| *known == source) {
                Some((_, tables)) => tables.push(name),
                None => told.push((source, vec![name])),
            }
        }
        for (source, tables) in told {
            let from = match source {
                "proc" => root.join("net").display().to_string(),
                other => other.to_owned(),
            };
            context.say(&format!("sockets: {from} ({})", tables.join(" ")));
        }
        let mut reasons: Vec<String> = Vec::new();
        for reading in &self.readings {
            if let Some(reason) = &reading.instead
                && !reasons.contains(reason)
            {
                context.say(&format!("sockets: {}: {reason}", reading.table.word()));
                reasons.push(reason.clone());
            }
        }
    }
}

/// So many unreadable processes are named; a machine may have thousands.
const NAMED: usize = 5;
