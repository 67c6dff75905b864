//! The findings of `inspect doctor`: what it is, where, whose; below it what that means.

mod text;
mod words;

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::facts::wrapped;
use super::sockets::{Names, grouped};
use super::{Screen, Style};
use crate::diagnosis::{Finding, Severity};
pub use words::{Words, words};

/// Where what is said of a finding begins: beside the longest title.
const INDENT: usize = 22;

/// On a narrower screen it stands below the title instead.
const NARROWEST: usize = 70;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// How many sockets.
    pub sockets: usize,
    /// Whether all of them, with everything that is to be known about them.
    pub complete: bool,
    /// Whether they are a recording.
    pub recorded: bool,
    /// Whether they are in several network namespaces.
    pub several_netns: bool,
}

/// Writes the findings, the most urgent first as they are given. On a terminal what a finding
/// means stands below it; in a pipe each finding is one line.
///
/// # Errors
/// What the writer answers.
pub fn write_findings(
    out: &mut dyn Write,
    findings: &[Finding],
    looked: Looked,
    names: &dyn Names,
    screen: Screen,
) -> io::Result<()> {
    writeln!(out, "{}", answer(findings, looked))?;
    let told = findings
        .iter()
        .map(|finding| (finding, words(finding, looked.several_netns, names, screen)));
    let Some(width) = screen.width else {
        for (_, words) in told {
            writeln!(out, "{}", words.line())?;
        }
        return Ok(());
    };
    if !findings.is_empty() {
        writeln!(out)?;
    }
    for (finding, words) in told {
        let style = match finding.severity {
            Severity::Critical => Style::Error,
            Severity::Warning => Style::Notable,
            Severity::Notice => Style::Dim,
        };
        let title = screen.paint(style, words.title);
        let indent = if width < NARROWEST { 2 } else { INDENT };
        let mut lines = std::iter::once(words.subject.as_str())
            .chain(words.meaning.iter().map(String::as_str))
            .flat_map(|text| wrapped(text, Some(width.saturating_sub(indent).max(1))));
        if width < NARROWEST {
            writeln!(out, "{title}")?;
        } else {
            let space = " ".repeat(indent.saturating_sub(words.title.width()));
            let line = lines.next().unwrap_or_default();
            writeln!(out, "{title}{space}{}", line.trim_end())?;
        }
        for line in lines {
            // Two spaces separate parts of a line; where it is broken they are not seen.
            writeln!(out, "{:indent$}{}", "", line.trim_end())?;
        }
    }
    Ok(())
}

/// The answer first, as it can be read aloud.
fn answer(findings: &[Finding], looked: Looked) -> String {
    let troubles = findings
        .iter()
        .filter(|finding| finding.severity != Severity::Notice)
        .count();
    let many = |count: usize| grouped(u64::try_from(count).unwrap_or(u64::MAX));
    let sockets = match looked.sockets {
        1 => "1 socket".to_owned(),
        more => format!("{} sockets", many(more)),
    };
    let place = match (looked.recorded, looked.several_netns) {
        (true, _) => " of the recorded tree",
        (false, true) => " in these network namespaces",
        (false, false) => "",
    };
    match troubles {
        0 if looked.complete => format!("Nothing wrong among {sockets}{place}."),
        0 => format!("Nothing wrong among {sockets}{place}, as far as can be seen."),
        1 => format!("1 finding among {sockets}{place}."),
        more => format!("{} findings among {sockets}{place}.", many(more)),
    }
}

#[cfg(test)]
mod tests;
