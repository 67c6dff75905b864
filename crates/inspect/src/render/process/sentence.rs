//! The answer, such that it can be read aloud.

use super::doings::{Doings, listed};
use super::words::Words;
use super::{Portrait, Sight, process_words};
use crate::model::{ForeignText, Pid};
use crate::render::Escaped;
use crate::render::sockets::grouped;

/// `chat-server[4845] listens on 127.0.0.1:2345 and talks to 1 client (chat-client[4847]).`
pub(super) fn of_one(portrait: &Portrait<'_>, words: Words<'_>) -> String {
    let about = portrait.about;
    let name = process_words(&about.command, about.pid, words.0.charset);
    if about.kernel_thread == Some(true) {
        return format!("{name} is a thread of the kernel: it holds no descriptors.");
    }
    if portrait.about.has_ended() {
        let parent = match (about.parent, portrait.parent) {
            (Some(pid), Some(command)) => process_words(command, pid, words.0.charset),
            (Some(pid), None) if pid != Pid(0) => format!("process {pid}"),
            _ => "its parent".to_owned(),
        };
        return format!("{name} has ended and waits for {parent} to notice: it holds nothing.");
    }
    if portrait.sight == Sight::Hidden && portrait.standing.held.is_empty() {
        let user = match about.uid {
            Some(uid) => format!(" of user {}", words.user(uid)),
            None => String::new(),
        };
        return format!("{name} is a process{user}: which sockets it holds is hidden.");
    }
    let mut doings = Doings::default();
    doings.add(&portrait.standing, words);
    let clauses: Vec<String> = doings.clauses(words).into_iter().map(|it| it.0).collect();
    let hidden = match portrait.sight {
        Sight::Partly => " What some of its threads hold is hidden.",
        _ => "",
    };
    format!("{name} {}.{hidden}", listed(&clauses))
}

/// `65 processes are named nginx. They listen on any:80 and talk to 12 clients.`
pub(super) fn of_several(
    asked: Option<&ForeignText>,
    portraits: &[Portrait<'_>],
    words: Words<'_>,
) -> String {
    let count = grouped(u64::try_from(portraits.len()).unwrap_or(u64::MAX));
    let mut sentence = match asked {
        Some(name) => format!(
            "{count} processes are named {}.",
            Escaped::name(name, words.0.charset)
        ),
        None => format!("{count} processes."),
    };
    let mut doings = Doings::default();
    let (mut hidden, mut ended) = (0usize, 0usize);
    for portrait in portraits {
        doings.add(&portrait.standing, words);
        if portrait.about.has_ended() {
            ended += 1;
        } else if portrait.sight != Sight::Whole {
            hidden += 1;
        }
    }
    if hidden + ended < portraits.len() {
        let clauses: Vec<String> = doings.clauses(words).into_iter().map(|it| it.1).collect();
        sentence += &format!(" They {}.", listed(&clauses));
    }
    match hidden {
        0 => {}
        all if all == portraits.len() => sentence += " Which sockets they hold is hidden.",
        1 => sentence += " What 1 of them holds is hidden.",
        more => sentence += &format!(" What {more} of them hold is hidden."),
    }
    match ended {
        0 => {}
        1 => sentence += " 1 has ended and waits for its parent to notice.",
        more => sentence += &format!(" {more} have ended and wait for their parents to notice."),
    }
    sentence
}
