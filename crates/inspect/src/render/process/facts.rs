//! Who a process is, in keys and values.

use super::{Look, Portrait, Sight, process_words};
use crate::model::{ForeignText, Pid};
use crate::privilege::shell_word;
use crate::processes::{Descriptors, Kind};
use crate::render::facts::Fact;
use crate::render::sockets::grouped;
use crate::render::{Charset, Escaped, Style};

/// Lines of a command line on a terminal: it may be megabytes long.
const COMMAND_LINES: usize = 4;
/// A container is known by the first digits of its id (`docker ps`).
const SHORT_ID: usize = 12;

/// What there is to know of a process besides its sockets.
pub(super) fn of(portrait: &Portrait<'_>, look: &Look<'_>) -> Vec<Fact> {
    let charset = look.screen.charset;
    let about = portrait.about;
    let name = |it: &ForeignText| Escaped::name(it, charset).to_string();
    let alive = !portrait.about.has_ended() && about.kernel_thread != Some(true);
    let mut facts = vec![Fact::new("user", user(portrait, look))];
    match &about.command_line {
        Some(words) if !words.is_empty() => {
            let words = command_words(words, charset);
            facts.push(Fact::new("command", words).cut_after(COMMAND_LINES));
        }
        Some(_) if alive => facts.push(Fact::new("command", "erased by the process itself")),
        _ => {}
    }
    for (key, value) in [
        ("program", &about.executable),
        ("directory", &about.directory),
    ] {
        match value {
            Some(path) => facts.push(Fact::new(key, name(path))),
            None if alive && portrait.sight == Sight::Hidden => {
                facts.push(Fact::new(key, "hidden"));
            }
            None => {}
        }
    }
    facts.extend(placement(portrait, look));
    match (about.parent, portrait.parent) {
        (Some(pid), Some(command)) => {
            let words = process_words(command, pid, charset);
            facts.push(Fact::new("parent", words));
        }
        (Some(pid), None) if pid != Pid(0) => facts.push(Fact::new("parent", pid.to_string())),
        _ => {}
    }
    facts.extend(threads(portrait));
    if let Some(namespace) = portrait.elsewhere {
        let inode = namespace.inode;
        let words = match &namespace.name {
            Some(known) => format!("{} ({inode}), not this one", name(known)),
            None => format!("{inode}, not this one"),
        };
        facts.push(Fact::new("namespace", words));
    }
    if alive {
        facts.push(descriptors(portrait));
    }
    if portrait.standing.unlisted > 0 {
        let count = grouped(number(portrait.standing.unlisted));
        let words = format!(
            "{count} more {} held, of another network namespace, or of a family that is not \
             listed here",
            if portrait.standing.unlisted == 1 {
                "is"
            } else {
                "are"
            }
        );
        facts.push(Fact::new("sockets", words));
    }
    facts
}

fn user(portrait: &Portrait<'_>, look: &Look<'_>) -> String {
    let about = portrait.about;
    let mut words = match about.uid {
        Some(uid) => look.words().user(uid),
        None => "not told".to_owned(),
    };
    if let Some(began) = about.started {
        words += &format!(", {}", look.when.since(began));
    }
    words
}

fn placement(portrait: &Portrait<'_>, look: &Look<'_>) -> Vec<Fact> {
    let charset = look.screen.charset;
    let name = |it: &ForeignText| Escaped::name(it, charset).to_string();
    let mut facts = Vec::new();
    let Some(placement) = &portrait.about.placement else {
        return facts;
    };
    if let Some(container) = &placement.container {
        let short = look.screen.is_terminal();
        facts.push(Fact::new(
            "container",
            container_words(container, short, charset),
        ));
    }
    match &placement.unit {
        Some(_) if placement.unit_is_the_container() => {}
        Some(unit) => facts.push(Fact::new("unit", name(unit))),
        None if placement.container.is_none() && placement.cgroup.as_bytes() != b"/" => {
            facts.push(Fact::new("cgroup", name(&placement.cgroup)));
        }
        None => {}
    }
    facts
}

/// The id of a container, as its engine shows it, or its name.
pub(in crate::render) fn container_words(
    container: &ForeignText,
    short: bool,
    charset: Charset,
) -> String {
    let is_id = container.as_bytes().iter().all(u8::is_ascii_hexdigit);
    if short && is_id && container.as_bytes().len() > SHORT_ID {
        let short = ForeignText::new(&container.as_bytes()[..SHORT_ID]);
        return Escaped::name(&short, charset).to_string();
    }
    Escaped::name(container, charset).to_string()
}

/// More than one thread is worth a line, and tables of their own are worth another.
fn threads(portrait: &Portrait<'_>) -> Option<Fact> {
    let about = portrait.about;
    let mut apart: Vec<Pid> = portrait
        .standing
        .held
        .iter()
        .flat_map(|held| held.descriptors.iter().map(|(tid, _)| *tid))
        .filter(|tid| *tid != about.pid)
        .collect();
    apart.sort_unstable();
    apart.dedup();
    let threads = about.threads.filter(|threads| *threads > 1)?;
    let mut words = grouped(threads);
    match apart.as_slice() {
        [] => {}
        [one] => words += &format!("; thread {one} has descriptors of its own"),
        [first, rest @ ..] => {
            words += &format!(
                "; thread {first} and {} more have descriptors of their own",
                rest.len()
            );
        }
    }
    Some(Fact::new("threads", words))
}

/// `14 of 1,024: 5 files, 4 sockets, 2 pipes`.
fn descriptors(portrait: &Portrait<'_>) -> Fact {
    let about = portrait.about;
    let allowed = match about.descriptor_limit {
        Some(limit) => format!("of {} allowed", grouped(limit)),
        None => "and no limit known".to_owned(),
    };
    let Some(descriptors) = &about.descriptors else {
        let words = match about.descriptor_limit {
            Some(limit) => format!("hidden; {} allowed", grouped(limit)),
            None => "hidden".to_owned(),
        };
        return Fact::new("descriptors", words);
    };
    let mut words = format!("{} {allowed}", grouped(descriptors.total));
    let kinds = kinds(descriptors);
    if !kinds.is_empty() {
        words += &format!(": {}", kinds.join(", "));
    }
    let full = nearly_full(descriptors.total, about.descriptor_limit);
    if full {
        words += "; nearly all are used";
    }
    Fact::new("descriptors", words).painted(full.then_some(Style::Notable))
}

/// Nine of ten are in use.
pub(super) fn nearly_full(used: u64, limit: Option<u64>) -> bool {
    limit.is_some_and(|limit| limit > 0 && used >= limit - limit / 10)
}

/// How many there are of each kind, the most frequent first.
fn kinds(descriptors: &Descriptors) -> Vec<String> {
    let mut kinds: Vec<(Kind, u64)> = descriptors
        .by_kind
        .iter()
        .map(|(kind, count)| (*kind, *count))
        .collect();
    kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
    kinds
        .into_iter()
        .map(|(kind, count)| {
            let countable = !matches!(kind, Kind::Epoll | Kind::Inotify | Kind::Bpf | Kind::Other);
            let plural = if count > 1 && countable { "s" } else { "" };
            format!("{} {}{plural}", grouped(count), kind.word())
        })
        .collect()
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The words of a command line as a shell would take them. One word is a title that the process
/// gave itself, or needs no quotes.
pub(in crate::render) fn command_words(words: &[ForeignText], charset: Charset) -> String {
    let shown = |word: &ForeignText| Escaped::name(word, charset).to_string();
    match words {
        [title] => shown(title),
        words => {
            let words: Vec<String> = words.iter().map(|word| shell_word(&shown(word))).collect();
            words.join(" ")
        }
    }
}
