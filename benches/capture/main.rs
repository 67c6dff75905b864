//! `make bench`: inspect capture beside the tools that it replaces, on the same packets in one
//! run.
//!
//! Whole processes are measured, from their start to their end, ours and theirs by turns, with
//! what they print thrown away. A number that is missed is said, and is no failure.

mod files;
mod live;
#[allow(dead_code, reason = "the sockets' benchmark uses all of it")]
#[path = "../sockets/measure.rs"]
mod measure;
#[allow(dead_code, reason = "the sockets' benchmark uses all of it")]
#[path = "../sockets/tools.rs"]
mod tools;
mod traffic;

#[path = "../../crates/inspect/tests/load/mod.rs"]
mod load;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Parser, ValueEnum};

/// Compares inspect capture with tcpdump, tcpflow and tshark. Needs root.
#[derive(Debug, Parser)]
#[command(bin_name = "make bench-capture ARGS=...")]
struct Options {
    /// How many packets the files have
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    packets: u64,
    /// How often each comparison is made
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long live packets are sent, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
    /// How many live packets are sent a second at most; 0 for flat out
    #[arg(long, value_name = "N", default_value_t = 0)]
    rate: u64,
    /// Only this one; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<Work>,
    /// The program to measure, in place of the one built beside this
    #[arg(long, value_name = "PATH")]
    inspect: Option<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Send to this port instead, and tell how many: for the live comparisons
    #[arg(long, hide = true)]
    send_to: Option<u16>,
}

/// What can be asked for with `--only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    /// Recorded packets as text, against tcpdump -A
    Text,
    /// Recorded packets put together, against tcpdump, tcpflow and tshark
    Follow,
    /// A file in which each conversation has new hosts, against one with a few
    Hosts,
    /// Small messages flat out, as text into a file
    Live,
    /// The same packets into a capture file, against tcpdump -w
    Write,
}

const ALL: [Work; 5] = [
    Work::Text,
    Work::Follow,
    Work::Hosts,
    Work::Live,
    Work::Write,
];

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(port) = options.send_to {
        return live::send(port, options.seconds, options.rate);
    }
    if !rustix::process::geteuid().is_root() {
        bail!("the benchmark needs root: it captures in a network of its own");
    }
    let inspect = options.inspect.clone().unwrap_or_else(|| {
        Path::new(env!("CARGO_BIN_EXE_net-companion")).with_file_name("inspect")
    });
    if !inspect.is_file() {
        bail!(
            "{} is not built: cargo build --release --workspace",
            inspect.display()
        );
    }
    let works = if options.only.is_empty() {
        &ALL[..]
    } else {
        &options.only
    };
    let mut report = Vec::new();
    machine(&mut report)?;
    files::run_all(&options, &inspect, works, &mut report)?;
    live::run_all(&options, &inspect, works, &mut report)?;
    let mut out = io::stdout().lock();
    out.write_all(&report)?;
    out.flush()?;
    Ok(())
}

fn machine(out: &mut Vec<u8>) -> io::Result<()> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let version = |program: &str| {
        let output = std::process::Command::new(program)
            .arg("--version")
            .output();
        let text = output
            .map(|output| [output.stdout, output.stderr].concat())
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().next().unwrap_or("?").trim().to_owned()
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    writeln!(
        out,
        "\nLinux {}, {processors} processors; {}; {}; {}",
        read("/proc/sys/kernel/osrelease").trim(),
        version("tcpdump"),
        version("tcpflow"),
        version("tshark"),
    )
}

/// What is going on, to who waits.
fn say(words: &str) {
    let _ = writeln!(io::stderr(), "{words}");
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "no" }
}
