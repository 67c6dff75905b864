//! How a view is written that is no table of equal rows: the flags that all of them have.

use clap::{Args, ValueEnum};

use super::Format;

/// The flags as typed.
#[derive(Debug, Clone, Args)]
pub struct PageFlags {
    /// Write for people (table), or json: one record a line.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_possible_values = true,
        help_heading = "How to show them"
    )]
    format: PageFormat,

    /// Short for --format json.
    #[arg(long, conflicts_with = "format", help_heading = "How to show them")]
    json: bool,

    /// No hints: short for --quiet.
    #[arg(short = 'q', id = "hush", help_heading = "How to show them")]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PageFormat {
    /// For people.
    Table,
    /// JSON Lines, for programs.
    Json,
}

impl PageFlags {
    /// Whether records are wanted.
    pub fn json(&self) -> bool {
        self.json || self.format == PageFormat::Json
    }

    /// The same as a format.
    pub fn format(&self) -> Format {
        if self.json() {
            Format::Json
        } else {
            Format::Table
        }
    }
}
