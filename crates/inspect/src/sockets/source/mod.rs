//! Asks the running kernel for its socket tables, or reads a recorded tree.
//!
//! [`Tables`] asks sock_diag first and reads /proc/net for what it does not list. In containers
//! and under seccomp filters netlink is often forbidden, and a kernel may be built without a
//! table's diag module.

mod diag;
mod proc;

use std::path::PathBuf;

use super::diag::{Exchange, Refused, Scope};
use super::{Choice, Query, Reading, Snapshot, Source, Table};
use crate::model::{Family, NetworkNamespace};
use crate::stop::Stop;
use diag::Channel;

pub use proc::ProcTables;

/// The socket tables of one network namespace, by the best source for each.
///
/// Of the running kernel it reads those of the network namespace that the thread is in which
/// calls [`Source::look`].
#[derive(Debug, Clone)]
pub struct Tables {
    choice: Choice,
    proc: ProcTables,
    netns: Option<NetworkNamespace>,
    stop: Stop,
}

impl Tables {
    /// The tables of the running kernel; `netns` is the namespace that the looking thread is in,
    /// where that is known. A look ends early, with a gap, when `stop` is raised.
    pub fn new(choice: Choice, netns: Option<NetworkNamespace>, stop: Stop) -> Self {
        Self {
            choice,
            // /proc/net is that of the process's first thread, whatever namespace this one is in.
            proc: ProcTables::new("/proc/thread-self", netns, stop.clone()),
            netns,
            stop,
        }
    }

    /// The tables below a proc root that is not this machine's own, such as a recorded one:
    /// nobody but its files can tell of it.
    pub fn recorded(root: impl Into<PathBuf>, netns: Option<NetworkNamespace>, stop: Stop) -> Self {
        Self {
            choice: Choice::Proc,
            proc: ProcTables::new(root, netns, stop.clone()),
            netns,
            stop,
        }
    }

    /// Whether the kernel has sockets of a family at all; `None` where that cannot be told.
    pub fn has_family(&self, family: Family) -> Option<bool> {
        self.proc.has_family(family)
    }

    /// Dumps tables, where that is allowed and possible.
    fn dump(
        &self,
        scope: Scope,
        query: &Query,
        exchange: &mut Option<Exchange<Channel>>,
        snapshot: &mut Snapshot,
    ) -> Result<(), Refused> {
        let exchange = match exchange {
            Some(open) => open,
            None => exchange.insert(Exchange::new(Channel::open(self.stop.clone())?)),
        };
        exchange.dump(scope, query, self.netns, snapshot)?;
        for table in scope.tables() {
            snapshot.readings.push(Reading {
                table: *table,
                source: Some(diag::NAME),
                instead: None,
            });
        }
        Ok(())
    }

    /// Reads a table that was not dumped, where that is allowed.
    fn look_elsewhere(&self, table: Table, refused: &Refused, snapshot: &mut Snapshot) {
        let reason = refused.to_string();
        if self.choice == Choice::Auto {
            self.read_proc(table, Some(reason), snapshot);
            return;
        }
        let has_table = self.proc.has_table(table) != Some(false);
        // A table that another choice would not list either is no loss of this one.
        if has_table && (table.file_name().is_some() || !refused.is_for_want_of_a_table()) {
            let reason = format!("{} sockets were not listed: {reason}", table.word());
            snapshot.cut(&[table], reason);
        }
        self.not_listed(table, Some(reason), snapshot);
    }

    fn read_proc(&self, table: Table, instead: Option<String>, snapshot: &mut Snapshot) {
        if table.file_name().is_none() {
            self.not_listed(table, instead, snapshot);
        } else {
            self.proc.look_at(table, instead, snapshot);
        }
    }

    /// Nothing is said of a table that the kernel does not have.
    fn not_listed(&self, table: Table, reason: Option<String>, snapshot: &mut Snapshot) {
        if self.proc.has_table(table) != Some(false) {
            snapshot.readings.push(Reading {
                table,
                source: None,
                instead: reason.or_else(|| Some("/proc/net has no such table".to_owned())),
            });
        }
    }
}

impl Source for Tables {
    fn name(&self) -> &'static str {
        match self.choice {
            Choice::Auto => "auto",
            Choice::Diag => diag::NAME,
            Choice::Proc => "proc",
        }
    }

    fn look(&mut self, query: &Query) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut tables = query.tables.clone();
        if self.choice == Choice::Proc {
            for table in tables {
                self.read_proc(table, None, &mut snapshot);
            }
            return snapshot;
        }
        // Opened anew for every look: it belongs to the namespace of the thread that opens it.
        let mut exchange = None;
        let both = Scope::Tcp.tables();
        if both.iter().all(|table| tables.contains(table))
            && self
                .dump(Scope::Tcp, query, &mut exchange, &mut snapshot)
                .is_ok()
        {
            tables.retain(|table| !both.contains(table));
        }
        for table in tables {
            if let Err(refused) =
                self.dump(Scope::Table(table), query, &mut exchange, &mut snapshot)
            {
                self.look_elsewhere(table, &refused, &mut snapshot);
            }
        }
        if let Some(exchange) = &exchange
            && query.tables.contains(&Table::Netlink)
        {
            exchange.wire().leave_out(&mut snapshot.sockets);
        }
        snapshot
    }
}
