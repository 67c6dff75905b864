//! Recorded packets: how fast they are read, shown and put together.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;

use crate::measure::{Costs, Spread, lines, run};
use crate::tools::Tool;
use crate::traffic::{self, Plan, Truth};
use crate::{Options, Work, say, yes};

/// The most that any of ours may have at once.
const PEAK_KIB: u64 = 64 * 1024;

/// A tool, and which of ours it is compared with: at most this ratio.
struct Column {
    tool: Tool,
    name: String,
    costs: Costs,
}

pub(crate) fn run_all(
    options: &Options,
    inspect: &Path,
    works: &[Work],
    out: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let from_files = [Work::Text, Work::Follow, Work::Hosts];
    if !works.iter().any(|work| from_files.contains(work)) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let few = folder.path().join("few.pcap");
    let many = folder.path().join("many.pcap");
    let truth = record(options, &few, false)?;
    let wants = |work| works.contains(&work);
    if wants(Work::Hosts) {
        record(options, &many, true)?;
    }
    writeln!(
        out,
        "{} packets, {} conversations, {} % of the packets on port 2345, {} segments sent again \
         or with more, {} out of order; {} rounds",
        truth.packets,
        truth.conversations,
        truth.on_2345 * 100 / truth.packets.max(1),
        truth.again,
        truth.swapped,
        options.rounds,
    )?;
    let ours = |file: &Path, more: &[&str], name: &str| {
        let words = ["capture", "-r"].into_iter().map(str::to_owned);
        let file = std::iter::once(file.display().to_string());
        let more = more.iter().map(|word| (*word).to_owned());
        Column::new(
            Tool {
                program: inspect.to_owned(),
                arguments: words.chain(file).chain(more).collect(),
            },
            name,
        )
    };
    let theirs = |line: &str, name: &str| Column::new(Tool::typed(line), name);
    let path = few.display();
    let mut columns = Vec::new();
    let mut pairs: Vec<(&str, &str, f64)> = Vec::new();
    let tcpdump = "tcpdump -nAr";
    let (text, follow) = ("inspect capture -r", "inspect capture -r --follow");
    let (text_many, follow_many) = ("the same, new hosts", "the same with --follow, new hosts");
    if wants(Work::Text) || wants(Work::Follow) {
        columns.push(theirs(&format!("tcpdump -nAr {path}"), tcpdump));
    }
    if wants(Work::Text) || wants(Work::Hosts) {
        columns.push(ours(&few, &[], text));
    }
    if wants(Work::Follow) || wants(Work::Hosts) {
        columns.push(ours(&few, &["--follow"], follow));
    }
    if wants(Work::Text) {
        pairs.push((text, tcpdump, 0.08));
    }
    if wants(Work::Follow) {
        let (tcpflow, tshark) = ("tcpflow -c", "tshark -T fields");
        columns.push(theirs(
            // It leaves a report where it is started, unless told where.
            &format!("tcpflow -o {} -c -r {path}", folder.path().display()),
            tcpflow,
        ));
        columns.push(theirs(
            &format!(
                "tshark -n -r {path} -T fields -e frame.time_epoch -e ip.src -e tcp.srcport \
                 -e ip.dst -e tcp.dstport -e tcp.payload"
            ),
            tshark,
        ));
        pairs.push((follow, tcpdump, 0.10));
        pairs.push((follow, tcpflow, 0.35));
        pairs.push((follow, tshark, 0.03));
    }
    if wants(Work::Hosts) {
        columns.push(ours(&many, &[], text_many));
        columns.push(ours(&many, &["--follow"], follow_many));
        pairs.push((text_many, text, 1.3));
        pairs.push((follow_many, follow, 1.3));
    }
    for column in &columns {
        // For the caches' sake, and to see that there is an answer.
        let printed = lines(&column.tool)? as u64;
        let says_all = printed >= truth.packets / 2;
        anyhow::ensure!(says_all, "{} printed {printed} lines", column.name);
    }
    for round in 1..=options.rounds {
        for column in &mut columns {
            let cost = run(&column.tool)?;
            say(&format!(
                "{round}/{} {:.2?} {}",
                options.rounds, cost.wall, column.name
            ));
            column.costs.0.push(cost);
        }
    }
    compared(out, &columns, &pairs)?;
    peaks(out, &columns)
}

impl Column {
    fn new(tool: Tool, name: &str) -> Self {
        Self {
            tool,
            name: name.to_owned(),
            costs: Costs(Vec::new()),
        }
    }
}

fn record(options: &Options, path: &Path, new_hosts: bool) -> anyhow::Result<Truth> {
    say(&format!("making {} packets", options.packets));
    let plan = Plan {
        packets: options.packets,
        new_hosts,
        seed: 1,
    };
    let mut file = BufWriter::new(File::create(path)?);
    let truth = traffic::write(&plan, &mut file)?;
    file.flush()?;
    Ok(truth)
}

fn compared(
    out: &mut Vec<u8>,
    columns: &[Column],
    pairs: &[(&str, &str, f64)],
) -> anyhow::Result<()> {
    writeln!(
        out,
        "\n| ours | theirs | ratio median (min-max) | limit | met? | ratio of CPU time |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    let of = |name: &str| columns.iter().find(|column| column.name == name);
    for (ours, theirs, limit) in pairs {
        let (ours, theirs) = of(ours).zip(of(theirs)).context("not measured")?;
        let wall = ours.costs.to(&theirs.costs, |cost| cost.wall);
        let cpu = ours.costs.to(&theirs.costs, |cost| cost.cpu);
        let (wall, cpu) = wall.zip(cpu).context("not measured")?;
        let seconds = |column: &Column| column.costs.wall().map_or(0.0, |wall| wall.median);
        writeln!(
            out,
            "| {}: {:.3} s | {}: {:.3} s | {} | {limit:.2} | {} | {} |",
            ours.name,
            seconds(ours),
            theirs.name,
            seconds(theirs),
            spread(wall),
            yes(wall.median <= *limit),
            spread(cpu),
        )?;
    }
    Ok(())
}

fn spread(spread: Spread) -> String {
    format!(
        "{:.3} ({:.3}-{:.3})",
        spread.median, spread.least, spread.most
    )
}

fn peaks(out: &mut Vec<u8>, columns: &[Column]) -> anyhow::Result<()> {
    writeln!(out, "\n| peak memory | MiB | limit | met? |")?;
    writeln!(out, "|---|---|---|---|")?;
    for column in columns {
        let kib = column.costs.peak().context("not measured")?;
        let is_ours = column.tool.program.ends_with("inspect");
        let (limit, met) = if is_ours {
            ("64", yes(kib <= PEAK_KIB))
        } else {
            ("-", "-")
        };
        let (whole, tenth) = (kib / 1024, kib % 1024 * 10 / 1024);
        writeln!(
            out,
            "| {} | {whole}.{tenth} | {limit} | {met} |",
            column.name
        )?;
    }
    Ok(())
}
