//! The tables at the end, to be pasted.

use std::io::{self, Write};
use std::process::Command;

use crate::measure::Spread;
use crate::works::{Bench, Line, Peak, Point};

pub(crate) fn write(out: &mut impl Write, bench: &Bench) -> io::Result<()> {
    writeln!(out)?;
    machine(out, bench)?;
    if !bench.lines.is_empty() {
        compared(out, &bench.lines)?;
    }
    if !bench.peaks.is_empty() {
        memory(out, &bench.peaks, bench.sockets)?;
    }
    if !bench.curve.is_empty() {
        curve(out, &bench.curve)?;
    }
    Ok(())
}

fn machine(out: &mut impl Write, bench: &Bench) -> io::Result<()> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| {
            Some(
                line.strip_prefix("model name")?
                    .split_once(':')?
                    .1
                    .trim()
                    .to_owned(),
            )
        })
        .unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        output
            .map(|output| {
                let text = [output.stdout, output.stderr].concat();
                String::from_utf8_lossy(&text).into_owned()
            })
            .unwrap_or_default()
    };
    let ss = said("ss", "-V");
    let ss = ss
        .split_whitespace()
        .find(|word| word.starts_with("iproute2"))
        .unwrap_or("ss");
    let lsof = said("lsof", "-v");
    let lsof = lsof
        .lines()
        .find_map(|line| line.trim().strip_prefix("revision: "))
        .unwrap_or("?");
    writeln!(
        out,
        "Linux {}, {processors} x {processor}, {ss}, lsof {lsof}; {} rounds; load average {} at \
         the end",
        read("/proc/sys/kernel/osrelease").trim(),
        bench.rounds,
        read("/proc/loadavg")
            .split_whitespace()
            .next()
            .unwrap_or("?"),
    )
}

fn compared(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    writeln!(out)?;
    writeln!(
        out,
        "| work | ours | theirs | ratio median (min-max) | limit | met? | ratio of CPU time |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for line in lines {
        let limit = line
            .limit
            .map_or("-".to_owned(), |limit| format!("{limit:.2}"));
        let (work, ours, theirs) = (&line.work, &line.ours, &line.theirs);
        match &line.result {
            None => writeln!(
                out,
                "| {work} | {ours} | {theirs} | not here | {limit} | - | - |"
            )?,
            Some(ratios) => {
                let met = line
                    .limit
                    .map_or("-", |limit| yes(ratios.wall.median <= limit));
                writeln!(
                    out,
                    "| {work} | {ours}: {:.3} s | {theirs}: {:.3} s | {} | {limit} | {met} | {} |",
                    ratios.ours.median,
                    ratios.theirs.median,
                    spread(ratios.wall),
                    spread(ratios.cpu),
                )?;
            }
        }
    }
    Ok(())
}

fn memory(out: &mut impl Write, peaks: &[Peak], sockets: u32) -> io::Result<()> {
    writeln!(out)?;
    writeln!(
        out,
        "| peak memory at {sockets} sockets | MB | limit | met? |"
    )?;
    writeln!(out, "|---|---|---|---|")?;
    for peak in peaks {
        let (limit, met) = match peak.limit_kib {
            Some(limit) => (megabytes(limit), yes(peak.kib <= limit)),
            None => ("-".to_owned(), "-"),
        };
        let at_most = if peak.kib <= peak.floor_kib {
            "at most "
        } else {
            ""
        };
        writeln!(
            out,
            "| {} | {at_most}{} | {limit} | {met} |",
            peak.tool,
            megabytes(peak.kib)
        )?;
    }
    Ok(())
}

/// A curve is straight when each further socket costs the same as the one before it. The least
/// of the rounds is told: what disturbs a run only ever lengthens it.
fn curve(out: &mut impl Write, points: &[Point]) -> io::Result<()> {
    writeln!(out)?;
    writeln!(
        out,
        "| cost as sockets grow | sockets | wall | CPU | CPU a socket | CPU of each further socket |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    let mut tools: Vec<&str> = points.iter().map(|point| point.tool.as_str()).collect();
    tools.sort_unstable();
    tools.dedup();
    for tool in tools {
        let mut before: Option<&Point> = None;
        for point in points.iter().filter(|point| point.tool == tool) {
            let each = point.cpu.least / f64::from(point.sockets);
            let further = before.map_or("-".to_owned(), |before| {
                let more = f64::from(point.sockets) - f64::from(before.sockets);
                microseconds((point.cpu.least - before.cpu.least) / more)
            });
            writeln!(
                out,
                "| {tool} | {} | {:.3} s | {:.3} s | {} | {further} |",
                point.sockets,
                point.wall.least,
                point.cpu.least,
                microseconds(each),
            )?;
            before = Some(point);
        }
    }
    Ok(())
}

fn spread(spread: Spread) -> String {
    format!(
        "{:.2} ({:.2}-{:.2})",
        spread.median, spread.least, spread.most
    )
}

fn microseconds(seconds: f64) -> String {
    format!("{:.1} µs", seconds * 1e6)
}

fn megabytes(kib: u64) -> String {
    let bytes = kib * 1024;
    format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "no" }
}
