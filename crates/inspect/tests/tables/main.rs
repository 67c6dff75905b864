//! The kernel's socket tables, read by sock_diag and from /proc/net, on real sockets in a
//! network namespace that holds nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod agree;
mod crowd;
mod fallback;
mod filtered;
mod lsof;
mod netstat;
mod ss;
mod steady;
#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use inspect::namespaces::{find, on_thread_in};
use inspect::sockets::{Choice, Details, Query, Snapshot, Source as _, Table, Tables};
use inspect::stop::Stop;
use support::{have_program, have_root};

/// Sockets of every family and state (`world.py`), in a network namespace of their own.
pub(crate) struct World {
    namespace: String,
    process: Child,
    /// Where the unix sockets have their names.
    folder: tempfile::TempDir,
}

impl World {
    /// `None`, with a word about it, where this cannot be made.
    pub(crate) fn new(test: &str) -> Option<Self> {
        Self::of("world.py", test)
    }

    /// The same with the sockets of another script.
    pub(crate) fn of(script: &str, test: &str) -> Option<Self> {
        if !have_root(test) || !have_program("python3", test) || !have_program("ip", test) {
            return None;
        }
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("inspect-tables-{}-{number}", std::process::id());
        ip(&["netns", "add", &namespace]);
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new("ip")
            .args(["netns", "exec", &namespace, "python3"])
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/tables")
                    .join(script),
            )
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        let world = Self {
            namespace,
            process,
            folder,
        };
        assert_eq!(said, "ready\n");
        Some(world)
    }

    /// The process that holds the sockets: `ip netns exec` becomes it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs on a thread inside the namespace.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = find(&self.namespace).unwrap();
        on_thread_in(&namespace, work).unwrap()
    }

    pub(crate) fn look(&self, choice: Choice, query: &Query) -> Snapshot {
        self.within(|| tables(choice).look(query))
    }

    /// What a program prints inside the namespace.
    pub(crate) fn output(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.namespace, program])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
        output.stdout
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = Command::new("ip")
            .args(["netns", "del", &self.namespace])
            .status();
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

pub(crate) fn tables(choice: Choice) -> Tables {
    Tables::new(choice, inspect::namespaces::current(), Stop::new().unwrap())
}

pub(crate) const ALL_DETAILS: Details = Details {
    timers: true,
    memory: true,
    tcp: true,
    extended: true,
};

/// How a table was read in a look.
pub(crate) fn source_of(snapshot: &Snapshot, table: Table) -> Option<&'static str> {
    let reading = snapshot
        .readings
        .iter()
        .find(|reading| reading.table == table);
    reading?.source
}
