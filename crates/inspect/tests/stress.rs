//! Looks at sockets and processes that come and go meanwhile: what stays is there each time,
//! once, with its owner.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod load;
mod support;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use load::{Load, private_network};
use serde::Deserialize;
use support::{have_program, inspect};

/// A `socket` record, as far as it is judged here.
#[derive(Debug, Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    state: &'a str,
    local: End<'a>,
    remote: End<'a>,
    inode: Option<u64>,
    owners: Vec<Owner<'a>>,
}

#[derive(Debug, PartialEq, Eq, Hash, Deserialize)]
struct End<'a> {
    address: &'a str,
    port: u16,
}

#[derive(Debug, Deserialize)]
struct Owner<'a> {
    pid: u32,
    fd: u32,
    #[serde(borrow)]
    command: Cow<'a, str>,
}

/// What `load.py --report` says of itself.
#[derive(Debug, Deserialize)]
struct Standing {
    sockets: Vec<Stable>,
}

/// A socket that stays.
#[derive(Debug, Deserialize)]
struct Stable {
    pid: u32,
    fd: u32,
    inode: u64,
    local: String,
    remote: String,
}

#[derive(Debug, Deserialize)]
struct Went {
    churned: u64,
    started: u64,
}

/// The program, looking; its answer is read while the next look may already run.
struct Look(Child);

impl Look {
    fn start(arguments: &[&str]) -> Self {
        let child = inspect()
            .args(["sockets", "-ta", "--json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Its answer, which is complete but for processes that nobody may read.
    fn answer(self) -> String {
        let output = self.0.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let answer = String::from_utf8(output.stdout).unwrap();
        for line in answer.lines() {
            assert!(
                !line.starts_with("{\"type\":\"gap\"") || line.contains("owners are hidden"),
                "{line}"
            );
        }
        assert!(answer.lines().last().unwrap().contains("\"type\":\"end\""));
        answer
    }
}

fn rows(answer: &str) -> Vec<Row<'_>> {
    answer
        .lines()
        .filter(|line| line.starts_with("{\"type\":\"socket\""))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// No socket is shown twice, by its inode or by its ends.
fn expect_no_duplicate(rows: &[Row]) {
    let mut inodes = HashSet::new();
    let mut ends = HashSet::new();
    for row in rows {
        assert!(
            row.inode.is_none_or(|inode| inodes.insert(inode)),
            "twice: {row:?}"
        );
        // Listeners may share an address (SO_REUSEPORT).
        let apart = row.state == "LISTEN" || ends.insert((&row.local, &row.remote));
        assert!(apart, "twice: {row:?}");
    }
}

/// Every socket that stays is there, with its ends and its one owner.
fn expect_stable(rows: &[Row], stable: &[Stable]) {
    let by_inode: HashMap<u64, &Row> = rows
        .iter()
        .filter_map(|row| Some((row.inode?, row)))
        .collect();
    let missing: Vec<&Stable> = stable
        .iter()
        .filter(|socket| !by_inode.contains_key(&socket.inode))
        .collect();
    assert!(
        missing.is_empty(),
        "{} stable sockets are missing, the first is {:?}",
        missing.len(),
        missing[0]
    );
    for socket in stable {
        let row = by_inode[&socket.inode];
        let told = |end: &End| format!("{}:{}", end.address, end.port);
        assert_eq!(told(&row.local), socket.local, "{row:?}");
        assert_eq!(told(&row.remote), socket.remote, "{row:?}");
        assert!(
            ["ESTABLISHED", "LISTEN"].contains(&row.state),
            "{row:?} is not as it stands"
        );
        let owners: Vec<(u32, u32)> = row.owners.iter().map(|it| (it.pid, it.fd)).collect();
        assert_eq!(owners, [(socket.pid, socket.fd)], "{row:?}");
        assert!(row.owners[0].command.starts_with("load-"), "{row:?}");
    }
}

/// As root in a network that is nobody else's, where connections may end in TIME_WAIT.
fn churn() -> &'static str {
    if rustix::process::geteuid().is_root() {
        private_network().unwrap();
        "churn=3000:10"
    } else {
        "churn=3000:0"
    }
}

fn tell(words: &str) {
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// Looks at 20,000 sockets that stay, while 3,000 connections a second come and go. A machine
/// that is too busy for all looks takes fewer, and says so.
#[test]
fn stable_sockets_are_there_once_whatever_comes_and_goes() {
    const LOOKS: usize = 40;
    const ENOUGH: Duration = Duration::from_secs(60);
    const LEAST: usize = 5;
    if !have_program("python3", "stable_sockets_are_there_once") {
        return;
    }
    let load = Load::start(&["--report", "hold=10000:4000", churn()]).unwrap();
    let stable: Standing = serde_json::from_str(&load.standing).unwrap();
    assert!(stable.sockets.len() > 20_000);
    let begun = Instant::now();
    let mut churned = 0;
    let mut looks = 0;
    let mut next = Some(Look::start(&[]));
    while let Some(this) = next.take() {
        let answer = this.answer();
        looks += 1;
        if looks < LOOKS && (begun.elapsed() < ENOUGH || looks < LEAST) {
            next = Some(Look::start(&[]));
        }
        let rows = rows(&answer);
        expect_no_duplicate(&rows);
        expect_stable(&rows, &stable.sockets);
        for row in &rows {
            if row.local.address.starts_with("127.79.") {
                churned += 1;
                assert!(
                    row.owners.iter().all(|owner| owner.command == "load-churn"),
                    "{row:?}"
                );
            }
        }
    }
    let went: Went = serde_json::from_str(&load.end().unwrap()).unwrap();
    assert!(went.churned > 1_000, "next to nothing came and went");
    assert!(churned > 0, "nothing that came and went was seen");
    tell(&format!(
        "{looks} looks at {} sockets while {} connections came and went",
        stable.sockets.len(),
        went.churned
    ));
}

/// Processes exit while they are looked at: that is no error, and nobody else is taken for the
/// owner of what they held.
#[test]
fn no_wrong_owner_while_processes_come_and_go() {
    if !have_program("python3", "no_wrong_owner") {
        return;
    }
    if rustix::process::geteuid().is_root() {
        private_network().unwrap();
    }
    let load = Load::start(&["--report", "hold=50:4002", "flux=60"]).unwrap();
    let stable: Standing = serde_json::from_str(&load.standing).unwrap();
    let mut known: [BTreeSet<u32>; 2] = Default::default();
    let mut unknown = 0;
    for look in 0..20 {
        let way = ["bpf", "proc"][look % 2];
        let answer = Look::start(&["--owners", way]).answer();
        let rows = rows(&answer);
        expect_no_duplicate(&rows);
        expect_stable(&rows, &stable.sockets);
        for row in rows {
            let Some(lower) = row.local.address.strip_prefix("127.88.") else {
                continue;
            };
            let (b, a) = lower.split_once('.').unwrap();
            let lower: u32 = b.parse::<u32>().unwrap() << 8 | a.parse::<u32>().unwrap();
            unknown += usize::from(row.owners.is_empty());
            for owner in &row.owners {
                assert_eq!(owner.pid & 0xffff, lower, "{row:?}");
                assert_eq!(owner.command, format!("flux-{}", owner.pid), "{row:?}");
                known[look % 2].insert(owner.pid);
            }
        }
    }
    let went: Went = serde_json::from_str(&load.end().unwrap()).unwrap();
    assert!(went.started > 100, "hardly a process came");
    assert!(
        known.iter().all(|seen| !seen.is_empty()),
        "no owner was ever seen"
    );
    let [bpf, proc] = known.map(|seen| seen.len());
    tell(&format!(
        "of {} processes that came, {bpf} were seen as owners by bpf and {proc} by proc; {unknown} \
         sockets had none any more",
        went.started,
    ));
}
