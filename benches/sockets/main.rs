//! `make bench`: inspect beside the tools that it replaces, on the same sockets in one run.
//!
//! Whole processes are measured, from their start to their end, ours and theirs by turns, with
//! what they print thrown away. A number that is missed is said, and is no failure: other work on
//! the machine moves times, and less so their ratios.

mod measure;
mod report;
mod tools;
mod works;

#[path = "../../crates/inspect/tests/load/mod.rs"]
mod load;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Parser;

use tools::Inspect;
use works::{Bench, Work};

/// Compares inspect with ss and lsof. Needs root.
#[derive(Debug, Parser)]
#[command(bin_name = "make bench-sockets ARGS=...")]
struct Options {
    /// How many sockets the largest load has
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    sockets: u32,
    /// How often each comparison is made
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only this one; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<Work>,
    /// The program to measure, in place of the one built beside this
    #[arg(long, value_name = "PATH")]
    inspect: Option<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if !rustix::process::geteuid().is_root() {
        bail!("the benchmark needs root: it makes its sockets in a network of their own");
    }
    let inspect = options.inspect.unwrap_or_else(|| {
        Path::new(env!("CARGO_BIN_EXE_net-companion")).with_file_name("inspect")
    });
    let inspect = Inspect::find(inspect)?;

    let works = if options.only.is_empty() {
        Work::ALL.to_vec()
    } else {
        options.only
    };
    let mut bench = Bench::new(inspect, options.sockets, options.rounds);
    for work in works {
        bench.run(work)?;
    }
    let mut out = io::stdout().lock();
    report::write(&mut out, &bench)?;
    out.flush()?;
    Ok(())
}
