//! What is compared with what, on which sockets, and how fast it shall be.

use std::io::Write as _;
use std::ops::RangeInclusive;
use std::time::Instant;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::load::{Load, private_network};
use crate::measure::{Cost, Costs, Spread, lines, run};
use crate::tools::{Inspect, Owners, Tool};

/// What can be asked for with `--only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// All sockets with their owners, against lsof and ss
    Attributed,
    /// All sockets without owners, against ss
    Unattributed,
    /// One port with few sockets among all, against lsof
    Port,
    /// The most memory at all sockets
    Memory,
    /// 2,000 sockets among 40,000 other descriptors, against ss
    Idle,
    /// How the cost grows with the number of sockets
    Curve,
}

impl Work {
    /// Those with the same load after each other.
    pub(crate) const ALL: [Self; 6] = [
        Self::Attributed,
        Self::Unattributed,
        Self::Port,
        Self::Memory,
        Self::Idle,
        Self::Curve,
    ];
}

/// A comparison that was made, or could not be made yet.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) work: String,
    pub(crate) ours: String,
    pub(crate) theirs: String,
    pub(crate) result: Option<Ratios>,
    /// At most this ratio of wall time; `None` where it is only told.
    pub(crate) limit: Option<f64>,
}

/// What came of a comparison.
#[derive(Debug)]
pub(crate) struct Ratios {
    pub(crate) ours: Spread,
    pub(crate) theirs: Spread,
    pub(crate) wall: Spread,
    pub(crate) cpu: Spread,
}

/// The most memory that a process had at once.
#[derive(Debug)]
pub(crate) struct Peak {
    pub(crate) tool: String,
    pub(crate) kib: u64,
    /// What is measured of a process that needs nothing.
    pub(crate) floor_kib: u64,
    /// At most so much; `None` for the tools of others.
    pub(crate) limit_kib: Option<u64>,
}

/// What one tool took at one number of sockets.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) tool: String,
    pub(crate) sockets: u32,
    pub(crate) wall: Spread,
    pub(crate) cpu: Spread,
}

/// The run, and what it has found so far.
pub(crate) struct Bench {
    inspect: Inspect,
    pub(crate) sockets: u32,
    pub(crate) rounds: u32,
    load: Option<(Vec<String>, Load)>,
    pub(crate) lines: Vec<Line>,
    pub(crate) peaks: Vec<Peak>,
    pub(crate) curve: Vec<Point>,
}

/// Which tool of a round is compared with which: ours, theirs, at most.
type Pair = (usize, usize, Option<f64>);

impl Bench {
    pub(crate) fn new(inspect: Inspect, sockets: u32, rounds: u32) -> Self {
        Self {
            inspect,
            sockets,
            rounds,
            load: None,
            lines: Vec::new(),
            peaks: Vec::new(),
            curve: Vec::new(),
        }
    }

    pub(crate) fn run(&mut self, work: Work) -> anyhow::Result<()> {
        match work {
            Work::Attributed => self.attributed(),
            Work::Unattributed => self.unattributed(),
            Work::Port => self.port(),
            Work::Memory => self.memory(),
            Work::Idle => self.idle(),
            Work::Curve => self.curve(),
        }
    }

    fn attributed(&mut self) -> anyhow::Result<()> {
        self.all_sockets()?;
        let work = format!("{} sockets with owners", self.sockets);
        for (owners, lsof, ss) in [(Owners::Bpf, 0.20, 0.10), (Owners::Proc, 0.45, 0.20)] {
            let tools = [
                self.inspect.sockets(&["-ta"], owners),
                Some(Tool::typed("ss -tanp")),
                self.inspect.sockets(&["-ta", "--json"], owners),
                Some(Tool::typed("lsof -nP -i")),
            ];
            let pairs = [
                (0, 3, Some(lsof)),
                (2, 3, Some(lsof)),
                (0, 1, Some(ss)),
                (2, 1, Some(ss)),
            ];
            let printed = around(self.sockets)?;
            self.compare(&work, owners, &tools, &pairs, &printed)?;
        }
        Ok(())
    }

    fn unattributed(&mut self) -> anyhow::Result<()> {
        self.all_sockets()?;
        let work = format!("{} sockets without owners", self.sockets);
        let tools = [
            self.inspect.sockets(&["-ta"], Owners::None),
            Some(Tool::typed("ss -tan")),
            self.inspect.sockets(&["-ta", "--json"], Owners::None),
        ];
        let pairs = [(0, 1, Some(0.75)), (2, 1, None)];
        let printed = around(self.sockets)?;
        self.compare(&work, Owners::None, &tools, &pairs, &printed)
    }

    fn port(&mut self) -> anyhow::Result<()> {
        self.all_sockets()?;
        let work = format!("port 2345 among {} sockets", self.sockets);
        let tools = [
            Some(self.inspect.port("2345")),
            Some(Tool::typed("lsof -nP -iTCP:2345")),
        ];
        self.compare(
            &work,
            Owners::Auto,
            &tools,
            &[(0, 1, Some(0.10))],
            &(1..=50),
        )
    }

    fn memory(&mut self) -> anyhow::Result<()> {
        self.all_sockets()?;
        let mut tools = Vec::new();
        for owners in [Owners::Bpf, Owners::Proc, Owners::None] {
            for arguments in [&["-ta"][..], &["-ta", "--json"]] {
                tools.extend(self.inspect.sockets(arguments, owners));
            }
        }
        let ours = tools.len();
        let floor = run(&Tool::typed("true"))?.peak;
        tools.extend(["ss -tanp", "ss -tan", "lsof -nP -i"].map(Tool::typed));
        for (index, tool) in tools.iter().enumerate() {
            say(&format!("memory of {}", tool.line()));
            let costs = Costs(vec![run(tool)?, run(tool)?]);
            self.peaks.push(Peak {
                tool: tool.line(),
                kib: costs.peak().context("no measurement")?,
                floor_kib: floor,
                limit_kib: (index < ours).then_some(40_000_000 / 1024),
            });
        }
        Ok(())
    }

    fn idle(&mut self) -> anyhow::Result<()> {
        self.stand(&["idle=200:200:5"])?;
        let work = "2000 sockets among 40000 other descriptors of 200 processes";
        for (owners, limit) in [(Owners::Bpf, 0.40), (Owners::Proc, 0.90)] {
            let tools = [
                self.inspect.sockets(&["-ta"], owners),
                Some(Tool::typed("ss -tanp")),
            ];
            self.compare(
                work,
                owners,
                &tools,
                &[(0, 1, Some(limit))],
                &around(2_000)?,
            )?;
        }
        Ok(())
    }

    fn curve(&mut self) -> anyhow::Result<()> {
        let largest = self.sockets;
        for part in [100, 33, 10, 3, 1] {
            let sockets = largest / part;
            self.stand(&[&format!("hold={}:4000", sockets / 2)])?;
            let tools: Vec<Tool> = [Owners::Bpf, Owners::Proc, Owners::None]
                .into_iter()
                .filter_map(|owners| self.inspect.sockets(&["-ta"], owners))
                .collect();
            let costs = self.rounds(&tools, &around(sockets)?)?;
            for (tool, costs) in tools.iter().zip(costs) {
                self.curve.push(Point {
                    tool: tool.line(),
                    sockets,
                    wall: costs.wall().context("no measurement")?,
                    cpu: costs.cpu().context("no measurement")?,
                });
            }
        }
        Ok(())
    }

    /// The large load, with a few sockets on port 2345 among the others.
    fn all_sockets(&mut self) -> anyhow::Result<()> {
        let many = format!("hold={}:4000", self.sockets / 2);
        self.stand(&[&many, "hold=3:2345"])
    }

    /// Has these sockets there, and no others.
    fn stand(&mut self, tasks: &[&str]) -> anyhow::Result<()> {
        if self.load.as_ref().is_some_and(|(there, _)| there == tasks) {
            return Ok(());
        }
        // The old go first: both together may be more than the machine can hold. The namespace
        // goes with them, and so do the TIME_WAIT sockets they leave.
        self.load = None;
        private_network().context("cannot make a network namespace")?;
        say(&format!("making sockets: {}", tasks.join(" ")));
        let load = Load::start(tasks).context("cannot make the sockets to look at")?;
        let tasks = tasks.iter().map(|task| (*task).to_owned()).collect();
        self.load = Some((tasks, load));
        Ok(())
    }

    /// Runs the tools in rounds, in this order, and notes the pairs. A tool that is not there
    /// yet is said to be missing, with what it would have been compared with.
    fn compare(
        &mut self,
        work: &str,
        owners: Owners,
        tools: &[Option<Tool>],
        pairs: &[Pair],
        printed: &RangeInclusive<usize>,
    ) -> anyhow::Result<()> {
        let there = |index: &usize| tools[*index].is_some();
        let comparable = pairs
            .iter()
            .any(|(ours, theirs, _)| there(ours) && there(theirs));
        let present: Vec<usize> = (0..tools.len()).filter(there).collect();
        let costs = if comparable {
            let present: Vec<Tool> = tools.iter().flatten().cloned().collect();
            self.rounds(&present, printed)?
        } else {
            Vec::new()
        };
        let of = |index: usize| {
            let place = present.iter().position(|present| *present == index)?;
            costs.get(place)
        };
        for (ours, theirs, limit) in pairs {
            let name = |index: usize| match &tools[index] {
                Some(tool) => tool.line(),
                None => format!("inspect with owners by {}", owners.word()),
            };
            let result = match (of(*ours), of(*theirs)) {
                (Some(ours), Some(theirs)) => Ratios::of(ours, theirs),
                _ => None,
            };
            self.lines.push(Line {
                work: work.to_owned(),
                ours: name(*ours),
                theirs: name(*theirs),
                result,
                limit: *limit,
            });
        }
        Ok(())
    }

    /// What each tool takes in each round. Before, each runs once for the caches' sake, and is
    /// seen to answer with so many lines: fewer are no answer, more are not from our sockets.
    fn rounds(&self, tools: &[Tool], wanted: &RangeInclusive<usize>) -> anyhow::Result<Vec<Costs>> {
        let mut costs: Vec<Costs> = Vec::new();
        for tool in tools {
            let printed = lines(tool)?;
            anyhow::ensure!(
                wanted.contains(&printed),
                "{} printed {printed} lines, not {wanted:?}",
                tool.line()
            );
            costs.push(Costs(Vec::new()));
        }
        for round in 1..=self.rounds {
            for (tool, costs) in tools.iter().zip(&mut costs) {
                let begun = Instant::now();
                let cost: Cost = run(tool)?;
                let rounds = self.rounds;
                let line = tool.line();
                say(&format!("{round}/{rounds} {:.2?} {line}", begun.elapsed()));
                costs.0.push(cost);
            }
        }
        Ok(costs)
    }
}

impl Ratios {
    fn of(ours: &Costs, theirs: &Costs) -> Option<Self> {
        Some(Self {
            ours: ours.wall()?,
            theirs: theirs.wall()?,
            wall: ours.to(theirs, |cost| cost.wall)?,
            cpu: ours.to(theirs, |cost| cost.cpu)?,
        })
    }
}

/// How many lines a listing of so many sockets has, with listeners and headings.
fn around(sockets: u32) -> anyhow::Result<RangeInclusive<usize>> {
    let sockets = usize::try_from(sockets)?;
    Ok(sockets..=sockets + sockets / 10 + 50)
}

/// What is going on, to who waits.
fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}
