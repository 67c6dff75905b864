//! One process: what it took. Several: how they compare.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::tools::Tool;

/// What a process took, from its start to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) cpu: Duration,
    /// The most memory it had at once, KiB; at least what we had when we started it, because
    /// fork and exec carry that over.
    pub(crate) peak: u64,
}

/// Runs a tool with its output thrown away.
pub(crate) fn run(tool: &Tool) -> anyhow::Result<Cost> {
    let begun = Instant::now();
    let child = command(tool)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", tool.line()))?;
    let (code, mut cost) = reap_with_code(child.id()).with_context(|| tool.line())?;
    cost.wall = begun.elapsed();
    // lsof says 1 of a listing in which it could not read everything.
    if !matches!(code, Some(0 | 1)) {
        bail!("{} ended with {code:?}", tool.line());
    }
    Ok(cost)
}

/// Waits for the end of a child; what it took, without its time.
#[allow(dead_code, reason = "the captures' benchmark uses it")]
pub(crate) fn reap(child: &Child) -> anyhow::Result<Cost> {
    match reap_with_code(child.id())? {
        (Some(0), cost) => Ok(cost),
        (code, _) => bail!("it ended with {code:?}"),
    }
}

fn reap_with_code(pid: u32) -> anyhow::Result<(Option<i32>, Cost)> {
    let (code, usage) = wait(pid)?;
    let cost = Cost {
        wall: Duration::ZERO,
        cpu: duration(usage.ru_utime)? + duration(usage.ru_stime)?,
        peak: u64::try_from(usage.ru_maxrss)?,
    };
    Ok((code, cost))
}

/// How many lines a tool prints: that it is fast is worth something only if it answers.
pub(crate) fn lines(tool: &Tool) -> anyhow::Result<usize> {
    let mut child = command(tool)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", tool.line()))?;
    let mut out = child.stdout.take().context("no output")?;
    let mut buffer = vec![0; 1 << 16];
    let mut lines = 0;
    loop {
        match out.read(&mut buffer)? {
            0 => break,
            length => lines += buffer[..length].iter().filter(|b| **b == b'\n').count(),
        }
    }
    child.wait()?;
    Ok(lines)
}

fn command(tool: &Tool) -> Command {
    let mut command = Command::new(&tool.program);
    command.args(&tool.arguments).stdin(Stdio::null());
    command
}

/// Waits for a child: its exit code, and what it used.
#[expect(unsafe_code, reason = "only wait4 tells what one child used")]
fn wait(pid: u32) -> anyhow::Result<(Option<i32>, libc::rusage)> {
    let pid = libc::pid_t::try_from(pid)?;
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to memory of ours of the types that wait4 writes.
        let ended = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        if ended == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error.into());
        }
    }
    // SAFETY: a rusage is numbers only, so all zeros is one; and wait4 has written it.
    let usage = unsafe { usage.assume_init() };
    let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    Ok((code, usage))
}

fn duration(time: libc::timeval) -> anyhow::Result<Duration> {
    Ok(Duration::from_secs(u64::try_from(time.tv_sec)?)
        + Duration::from_micros(u64::try_from(time.tv_usec)?))
}

/// A median, and how far the values reach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(*values.get(middle.checked_sub(1)?)?, *values.get(middle)?)
        } else {
            *values.get(middle)?
        };
        Some(Self {
            median,
            least: *values.first()?,
            most: *values.last()?,
        })
    }
}

/// What one tool took in each round.
#[derive(Debug, Clone)]
pub(crate) struct Costs(pub(crate) Vec<Cost>);

impl Costs {
    pub(crate) fn wall(&self) -> Option<Spread> {
        Spread::of(self.0.iter().map(|cost| cost.wall.as_secs_f64()))
    }

    pub(crate) fn cpu(&self) -> Option<Spread> {
        Spread::of(self.0.iter().map(|cost| cost.cpu.as_secs_f64()))
    }

    pub(crate) fn peak(&self) -> Option<u64> {
        self.0.iter().map(|cost| cost.peak).max()
    }

    /// The ratios of what this took to what the other took in the same rounds.
    pub(crate) fn to(&self, other: &Self, what: impl Fn(&Cost) -> Duration) -> Option<Spread> {
        Spread::of(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(ours, theirs)| what(ours).as_secs_f64() / what(theirs).as_secs_f64()),
        )
    }
}
