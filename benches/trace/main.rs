//! `make bench`: what following a program costs it, and everybody else, beside strace.
//!
//! Two ends of one connection say hello and hi in turns, pinned to one processor: unpinned the
//! time of a turn has two humps. Each comparison is made by turns, and its median counts. A number
//! that is missed is said, and is no failure.

mod loads;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;

/// Compares inspect trace and timeline with strace. Needs root.
#[derive(Debug, Parser)]
#[command(bin_name = "make bench-trace ARGS=...")]
struct Options {
    /// How often each comparison is made
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Turns of hello and hi in each round
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    turns: u32,
    /// Calls of the untraced process, and of the flood
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    calls: u32,
    /// The program to measure, in place of the one built beside this
    #[arg(long, value_name = "PATH")]
    inspect: Option<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Be one of the programs that are followed
    #[arg(long, hide = true)]
    load: Option<loads::Load>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(load) = options.load {
        return load.run(&options);
    }
    if !rustix::process::geteuid().is_root() {
        bail!("the benchmark needs root: it has the kernel tell of calls");
    }
    let inspect = options.inspect.clone().unwrap_or_else(|| {
        Path::new(env!("CARGO_BIN_EXE_net-companion")).with_file_name("inspect")
    });
    let mut report = Vec::new();
    turns(&options, &inspect, &mut report)?;
    others(&options, &inspect, &mut report)?;
    flood(&options, &inspect, &mut report)?;
    let mut out = io::stdout().lock();
    out.write_all(&report)?;
    out.flush()?;
    Ok(())
}

/// One of the programs that are followed, as words.
fn load(name: &str, options: &Options) -> anyhow::Result<Vec<String>> {
    let program = std::env::current_exe()?.display().to_string();
    Ok(vec![
        program,
        "--load".to_owned(),
        name.to_owned(),
        "--turns".to_owned(),
        options.turns.to_string(),
        "--calls".to_owned(),
        options.calls.to_string(),
    ])
}

/// Runs a load, under something or alone; the nanoseconds of a turn or a call, as it says on
/// stderr.
fn measured(under: &[&str], load: &[String]) -> anyhow::Result<f64> {
    let mut words = under
        .iter()
        .map(|word| (*word).to_owned())
        .chain(load.iter().cloned());
    let program = words.next().context("nothing to run")?;
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix("took ")?.parse().ok());
    number.with_context(|| format!("{under:?} said: {text}"))
}

/// The middle one, and the outermost.
fn spread(mut numbers: Vec<f64>) -> (f64, f64, f64) {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN);
    let ends = [numbers.first(), numbers.last()].map(|it| it.copied().unwrap_or(f64::NAN));
    (middle, ends[0], ends[1])
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "no" }
}

fn say(words: &str) {
    let _ = writeln!(io::stderr(), "{words}");
}

/// What being followed costs the one that is.
fn turns(options: &Options, inspect: &Path, out: &mut Vec<u8>) -> anyhow::Result<()> {
    let inspect = inspect.display().to_string();
    let load = load("turns", options)?;
    let trace = [inspect.as_str(), "trace", "-o", "/dev/null", "--"];
    let timeline = [inspect.as_str(), "timeline", "--json", "--"];
    let strace = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-e",
        "trace=network",
        "-o",
        "/dev/null",
    ];
    let mut ratios: [Vec<f64>; 4] = Default::default();
    let mut alone = Vec::new();
    for round in 1..=options.rounds {
        say(&format!("{round}/{} turns", options.rounds));
        let plain = measured(&[], &load)?;
        let by_trace = measured(&trace, &load)?;
        let by_timeline = measured(&timeline, &load)?;
        let by_strace = measured(&strace, &load)?;
        alone.push(plain);
        ratios[0].push(by_trace / plain);
        ratios[1].push((by_trace - plain) / (by_strace - plain));
        ratios[2].push(by_timeline / plain);
        ratios[3].push(by_strace / plain);
    }
    let (middle, ..) = spread(alone);
    writeln!(
        out,
        "\nA turn of hello and hi takes {middle:.0} ns alone.\n"
    )?;
    writeln!(
        out,
        "| work | ratio (min-max) | at most | met? |\n|---|---|---|---|"
    )?;
    for (name, numbers, limit) in [
        ("traced, to untraced", &ratios[0], Some(2.0)),
        (
            "what it adds, to what strace --seccomp-bpf adds",
            &ratios[1],
            Some(0.125),
        ),
        (
            "timeline: calls, states, packets, to untraced",
            &ratios[2],
            Some(2.5),
        ),
        ("strace --seccomp-bpf, to untraced", &ratios[3], None),
    ] {
        let (middle, least, most) = spread(numbers.clone());
        let (limit, met) = match limit {
            Some(limit) => (format!("{limit}"), yes(middle <= limit)),
            None => ("-".to_owned(), "-"),
        };
        writeln!(
            out,
            "| {name} | {middle:.3} ({least:.3}-{most:.3}) | {limit} | {met} |"
        )?;
    }
    Ok(())
}

/// What it costs a process that is not followed.
fn others(options: &Options, inspect: &Path, out: &mut Vec<u8>) -> anyhow::Result<()> {
    let load = load("again", options)?;
    let mut added = Vec::new();
    for round in 1..=options.rounds {
        say(&format!("{round}/{} an untraced process", options.rounds));
        let plain = measured(&[], &load)?;
        let mut child = Command::new(inspect)
            .args(["trace", "-o", "/dev/null", "--", "sleep", "60"])
            .stdin(Stdio::null())
            .spawn()?;
        // It says nothing: attaching takes a third of a second at most.
        std::thread::sleep(Duration::from_secs(1));
        let meanwhile = measured(&[], &load);
        let pid = rustix::process::Pid::from_child(&child);
        // The first ends the command, and with it the trace.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        child.wait()?;
        added.push(meanwhile? - plain);
    }
    let (middle, least, most) = spread(added);
    writeln!(
        out,
        "| an untraced process meanwhile, recv with EAGAIN: ns more a call | {middle:.0} \
         ({least:.0}-{most:.0}) | 90 | {} |",
        yes(middle <= 90.0)
    )?;
    Ok(())
}

/// Calls as fast as they go: none may be lost.
fn flood(options: &Options, inspect: &Path, out: &mut Vec<u8>) -> anyhow::Result<()> {
    say("a flood of calls");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("calls.json");
    let path = file.display().to_string();
    let inspect = inspect.display().to_string();
    let words = [
        "trace", "--json", "-s", "16", "-e", "sendto", "-o", &path, "--",
    ];
    let under: Vec<&str> = std::iter::once(inspect.as_str()).chain(words).collect();
    let nanoseconds = measured(&under, &load("flood", options)?)?;
    let text = std::fs::read(&file)?;
    let last = text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    let last: serde_json::Value = serde_json::from_slice(last.context("no records")?)?;
    let (told, lost) = (&last["counts"]["calls"], &last["lost"]);
    // Its beginning and its end, and the memory that it points to.
    let events = 3e9 / nanoseconds;
    writeln!(
        out,
        "| {events:.0} events a second ({} calls): told {told}, lost {lost} | - | none lost at \
         300,000 | {} |",
        options.calls,
        yes(told == options.calls && lost == 0 && events >= 300_000.0)
    )?;
    Ok(())
}
