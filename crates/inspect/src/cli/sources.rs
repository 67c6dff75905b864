//! Where a look at sockets comes from: the flags that every view of sockets has.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{owners, sockets};

/// The flags as typed.
#[derive(Debug, Clone, Default, Args)]
pub struct SourceFlags {
    /// In which network namespaces: all, a name (as in ip netns), a process id, an inode or a
    /// path. Without it, this one.
    #[arg(long, value_name = "NETNS", help_heading = "Where from")]
    netns: Option<String>,

    /// Read sockets from diag (sock_diag), from proc (/proc/net), or auto: sock_diag, and
    /// /proc/net for what it does not list.
    #[arg(
        long,
        value_name = "SOURCE",
        hide_possible_values = true,
        help_heading = "Where from"
    )]
    source: Option<Source>,

    /// Find owners by bpf (a kernel program), proc (a walk over /proc), auto (the faster of
    /// those allowed) or none.
    #[arg(
        long,
        value_name = "WAY",
        hide_possible_values = true,
        help_heading = "Where from"
    )]
    owners: Option<Owners>,

    /// Do not look for owners, which costs most of the time: short for --owners none.
    #[arg(long, conflicts_with = "owners", help_heading = "Where from")]
    no_owners: bool,

    /// Read a recorded tree instead of /proc.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["netns", "source", "owners"],
        help_heading = "Where from"
    )]
    proc_root: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    /// sock_diag, else /proc/net.
    Auto,
    /// sock_diag.
    Diag,
    /// /proc/net.
    Proc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Owners {
    /// The faster way that is allowed.
    Auto,
    /// A kernel program.
    Bpf,
    /// A walk over /proc.
    Proc,
    /// Not at all.
    None,
}

impl From<Owners> for owners::Choice {
    fn from(way: Owners) -> Self {
        match way {
            Owners::Auto => Self::Auto,
            Owners::Bpf => Self::Bpf,
            Owners::Proc => Self::Proc,
            Owners::None => Self::None,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Which network namespaces.
    pub netns: Netns,
    /// Where sockets are read from.
    pub tables: sockets::Choice,
    /// How owners are found.
    pub owners: owners::Choice,
    /// The tree to read; `None` is /proc.
    pub proc_root: Option<PathBuf>,
}

/// Which network namespaces are looked into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Netns {
    /// That of this process.
    #[default]
    Own,
    /// All that can be found.
    All,
    /// The one that a word means.
    Named(String),
}

impl From<SourceFlags> for Sources {
    fn from(flags: SourceFlags) -> Self {
        Self {
            netns: match flags.netns.as_deref() {
                None => Netns::Own,
                Some("all") => Netns::All,
                Some(word) => Netns::Named(word.to_owned()),
            },
            tables: match flags.source {
                None | Some(Source::Auto) => sockets::Choice::Auto,
                Some(Source::Diag) => sockets::Choice::Diag,
                Some(Source::Proc) => sockets::Choice::Proc,
            },
            owners: match flags.owners {
                _ if flags.no_owners => owners::Choice::None,
                None => owners::Choice::Auto,
                Some(way) => way.into(),
            },
            proc_root: flags.proc_root,
        }
    }
}
