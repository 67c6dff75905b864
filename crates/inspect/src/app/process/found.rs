//! Which processes are meant.

use std::collections::HashMap;

use anyhow::Context as _;

use crate::app::Context;
use crate::app::look::Eyes;
use crate::cli::process::Wanted;
use crate::model::{ForeignText, Pid};
use crate::processes::{self, About};
use crate::render::Escaped;
use crate::render::process::process_words;

/// The processes that were asked for.
pub(super) struct Found {
    /// What was asked for, and which processes it means.
    asked: Vec<(Wanted, Vec<Pid>)>,
    /// Those that are there.
    pub(super) pids: Vec<Pid>,
    /// The name that was asked for, where nothing else was.
    name: Option<ForeignText>,
    /// Every process that is listed.
    pub(super) names: HashMap<Pid, ForeignText>,
}

impl Found {
    pub(super) fn look_for(
        wanted: &[Wanted],
        eyes: &Eyes,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let root = eyes.root();
        let names = processes::names(root)
            .with_context(|| format!("cannot list processes in {}", root.display()))?;
        let mut found = Self {
            asked: Vec::new(),
            pids: Vec::new(),
            name: None,
            names: names.into_iter().collect(),
        };
        for word in wanted {
            let pids = match word {
                Wanted::Pid(pid) => found.with_id(*pid, eyes, context).into_iter().collect(),
                Wanted::Name(name) => processes::named(root, name)?,
                Wanted::PidOrName(pid, name) => match found.with_id(*pid, eyes, context) {
                    Some(pid) => vec![pid],
                    None => processes::named(root, name)?,
                },
            };
            found.pids.extend(&pids);
            found.asked.push((word.clone(), pids));
        }
        if let [Wanted::Name(_) | Wanted::PidOrName(..)] = wanted
            && let [first, ..] = found.pids.as_slice()
        {
            found.name = found.names.get(first).cloned();
        }
        found.pids.sort_unstable();
        found.pids.dedup();
        Ok(found)
    }

    /// The process with an id, be it that of one of its threads.
    fn with_id(&self, pid: Pid, eyes: &Eyes, context: &Context) -> Option<Pid> {
        let process = processes::process_of(eyes.root(), pid)?;
        if process != pid
            && let Some(name) = self.names.get(&process)
        {
            let name = process_words(name, process, context.messages.charset);
            context.say(&format!("inspect: {pid} is a thread of {name}"));
        }
        Some(process)
    }

    /// What the processes say of themselves, those that have not ended since.
    pub(super) fn ask(&mut self, eyes: &Eyes) -> Vec<About> {
        let abouts: Vec<About> = self
            .pids
            .iter()
            .filter_map(|pid| processes::about(eyes.root(), *pid))
            .collect();
        self.pids = abouts.iter().map(|about| about.pid).collect();
        abouts
    }

    /// What was asked for and is not there, not even one of several.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Wanted> {
        self.asked
            .iter()
            .filter(|(_, pids)| !pids.iter().any(|pid| self.pids.contains(pid)))
            .map(|(wanted, _)| wanted)
    }

    pub(super) fn asked(&self) -> Option<&ForeignText> {
        self.name.as_ref()
    }

    /// `No process is named chat.`, as far as that can be told, and what is named so in part.
    pub(super) fn none_words(&self, missing: &Wanted, context: &Context) -> String {
        let charset = context.screen.charset;
        let word = missing.word();
        let name = Escaped::name(&word, charset);
        let mut words = match missing {
            Wanted::Pid(pid) => format!("There is no process {pid}"),
            Wanted::Name(_) => format!("No process is named {name}"),
            Wanted::PidOrName(..) => format!("There is no process {name}, and none of that name"),
        };
        // Every pid namespace has a process 1.
        if !self.names.contains_key(&Pid(1)) {
            words += ", as far as /proc lists them (hidepid)";
        }
        words.push('.');
        let mut similar: Vec<String> = Vec::new();
        if !matches!(missing, Wanted::Pid(_)) {
            let contains = |name: &ForeignText| {
                let (name, part) = (name.as_bytes(), word.as_bytes());
                // Every name has something in common with a short one.
                part.len() > 2 && name.windows(part.len().max(1)).any(|window| window == part)
            };
            similar = self
                .names
                .values()
                .filter(|name| contains(name))
                .map(|name| Escaped::name(name, charset).to_string())
                .collect();
            similar.sort_unstable();
            similar.dedup();
        }
        match similar.len() {
            0 => {}
            1..=SIMILAR => words += &format!(" Similar: {}.", similar.join(", ")),
            more => {
                let named = similar[..SIMILAR].join(", ");
                words += &format!(" Similar: {named} and {} more.", more - SIMILAR);
            }
        }
        words
    }
}

/// So many similar names are told.
const SIMILAR: usize = 3;
