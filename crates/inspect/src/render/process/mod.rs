//! What `inspect process` shows: the answer in a sentence, who the process is, and its sockets;
//! several processes one below the other.

mod doings;
mod facts;
mod held;
mod pool;
mod sentence;
#[cfg(test)]
mod tests;
mod words;

use std::io::{self, Write};

use super::facts::{write_facts, write_sentence};
use super::sockets::{Names, Text};
use super::{Charset, Escaped, Screen, When};
use crate::listing::Standing;
use crate::model::{ForeignText, Pid};
use crate::namespaces::Namespace;
use crate::processes::About;
pub(in crate::render) use facts::{command_words, container_words};
use words::Words;

/// One process as it is shown.
#[derive(Debug, Clone)]
pub struct Portrait<'a> {
    /// What it says of itself.
    pub about: &'a About,
    /// The name of its parent, where it has one.
    pub parent: Option<&'a ForeignText>,
    /// The network namespace it is in, where that is not ours.
    pub elsewhere: Option<&'a Namespace>,
    /// What it holds.
    pub standing: Standing<'a>,
    /// Whether its descriptors could be read.
    pub sight: Sight,
}

/// How much of a process's descriptors could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// All of them.
    Whole,
    /// Those of some of its threads.
    Partly,
    /// None of them.
    Hidden,
}

impl Sight {
    /// The word used in records; those of `owner_status`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Whole => "known",
            Self::Partly => "partial",
            Self::Hidden => "hidden",
        }
    }
}

/// How it is shown.
#[derive(Clone)]
pub struct Look<'a> {
    /// Names for numbers.
    pub names: &'a dyn Names,
    /// How moments are told.
    pub when: When,
    /// Every socket on a terminal too, where else a few stand for many that are alike.
    pub all: bool,
    /// Where it goes.
    pub screen: Screen,
}

impl<'a> Look<'a> {
    fn words(&self) -> Words<'a> {
        let screen = self.screen;
        Words(Text::new(self.names, screen.charset, screen.is_terminal()))
    }
}

/// Writes one process whole.
///
/// # Errors
/// What the writer answers.
pub fn write_one(out: &mut dyn Write, portrait: &Portrait<'_>, look: &Look<'_>) -> io::Result<()> {
    write_sentence(out, &sentence::of_one(portrait, look.words()), look.screen)?;
    writeln!(out)?;
    write_facts(out, &facts::of(portrait, look), look.screen)?;
    if portrait.standing.held.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    held::write(out, portrait, look)
}

/// Writes several, compactly: on a terminal those that do the same share a row. `asked` is the
/// name they were asked for by, where it was one.
///
/// # Errors
/// What the writer answers.
pub fn write_several(
    out: &mut dyn Write,
    asked: Option<&ForeignText>,
    portraits: &[Portrait<'_>],
    look: &Look<'_>,
) -> io::Result<()> {
    let sentence = sentence::of_several(asked, portraits, look.words());
    write_sentence(out, &sentence, look.screen)?;
    writeln!(out)?;
    pool::write(out, portraits, look)
}

/// The answer for one process, in words; for records.
pub fn sentence(portrait: &Portrait<'_>, names: &dyn Names) -> String {
    let words = Words(Text::new(names, Charset::Utf8, false));
    sentence::of_one(portrait, words)
}

/// `name[pid]`, everywhere the same.
pub fn process_words(command: &ForeignText, pid: Pid, charset: Charset) -> String {
    format!("{}[{pid}]", Escaped::process(command, charset))
}
