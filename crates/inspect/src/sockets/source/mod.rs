//! Asks the running kernel for its socket tables, or reads a recorded tree.
//!
//! [`Tables`] asks sock_diag first and reads /proc/net for what it does not list. In containers
//! and under seccomp filters netlink is often forbidden, and a kernel may be built without a
//! table's diag module.

mod diag;
mod proc;

use std::path::PathBuf;

use super::diag::{Exchange, Refused, Scope, Share, divides};
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
    /// From how many TCP sockets on two threads dump them.
    many: u64,
}

/// So many sockets have room in what the kernel writes at once (32 KiB, and less than 1 KiB for
/// each), and what is written at once is whole.
const ONE_MESSAGE: usize = 32;

/// So many sockets are dumped in 20 ms, of which half can be spared.
const MANY: u64 = 20_000;

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
            many: MANY,
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
            many: MANY,
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
        let open = match exchange {
            Some(open) => open,
            None => exchange.insert(Exchange::new(Channel::open(self.stop.clone())?)),
        };
        let in_halves = divides(scope, &query.selection) && self.is_worth_two_threads();
        let mut dump = |snapshot: &mut Snapshot| {
            if in_halves {
                self.dump_on_two_threads(query, open, snapshot)
            } else {
                open.dump((scope, Share::Whole), query, self.netns, snapshot)
            }
        };
        // Where sockets went meanwhile the kernel may have passed over others, see `diag::dump`:
        // a second dump has them.
        let before = (scope == Scope::Tcp)
            .then(|| self.proc.tcp_turnover())
            .flatten();
        let first = snapshot.sockets.len();
        let done = dump(snapshot);
        let mut unreachable = matches!(done, Err(Refused::Unreachable(_)));
        if done.is_ok()
            && let Some(before) = before
            && snapshot.sockets.len() - first > ONE_MESSAGE
            && self.proc.tcp_turnover() != Some(before)
        {
            let mut again = Snapshot::default();
            match dump(&mut again) {
                Ok(()) => snapshot.add_passed_over(again, first),
                Err(refused) => unreachable = matches!(refused, Refused::Unreachable(_)),
            }
        }
        if unreachable {
            // The kernel may still be at the dump that was left: the next begins anew.
            *exchange = None;
        }
        done?;
        for table in scope.tables() {
            snapshot.readings.push(Reading {
                table: *table,
                source: Some(diag::NAME),
                instead: None,
            });
        }
        Ok(())
    }

    /// Whether the kernel has so many TCP sockets that two dumps at once end sooner than one.
    fn is_worth_two_threads(&self) -> bool {
        self.proc.tcp_sockets() >= self.many
            && std::thread::available_parallelism().is_ok_and(|threads| threads.get() > 1)
    }

    /// The kernel lets two sockets dump at the same time (since Linux 6.9 from the first message
    /// on; before that, from the second).
    fn dump_on_two_threads(
        &self,
        query: &Query,
        exchange: &mut Exchange<Channel>,
        snapshot: &mut Snapshot,
    ) -> Result<(), Refused> {
        let high = || {
            let mut snapshot = Snapshot::default();
            Exchange::new(Channel::open(self.stop.clone())?).dump(
                (Scope::Tcp, Share::High),
                query,
                self.netns,
                &mut snapshot,
            )?;
            Ok::<_, Refused>(snapshot)
        };
        let before = snapshot.sockets.len();
        let both = std::thread::scope(|scope| {
            let high = std::thread::Builder::new()
                .name("inspect-tables-2".to_owned())
                .spawn_scoped(scope, high)?;
            let low = exchange.dump((Scope::Tcp, Share::Low), query, self.netns, snapshot);
            let high = high
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            low.map(|()| high)
        });
        match both {
            Ok(high) => snapshot.add_share(high, before),
            Err(refused) => {
                snapshot.sockets.truncate(before);
                return Err(refused);
            }
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::model::{Cookie, State};
    use crate::sockets::Socket;

    fn tables(many: u64) -> Tables {
        Tables {
            many,
            ..Tables::new(Choice::Diag, None, Stop::new().unwrap())
        }
    }

    /// The sockets with this port at an end, by cookie.
    fn of_port(sockets: &[Socket], port: u16) -> Vec<(Option<Cookie>, State)> {
        let mut found: Vec<_> = sockets
            .iter()
            .filter(|socket| {
                socket
                    .endpoints()
                    .is_some_and(|(local, remote)| local.port == port || remote.port == port)
            })
            .map(|socket| (socket.cookie, socket.state))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn two_threads_find_what_one_does() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections: Vec<_> = (0..50)
            .map(|_| {
                let client = TcpStream::connect(address).unwrap();
                (client, listener.accept().unwrap())
            })
            .collect();
        let query = Query::all_of([Table::Tcp, Table::Tcp6]);
        let [one, two] = [u64::MAX, 0].map(|many| {
            let look = tables(many).look(&query);
            assert_eq!(look.gaps, []);
            assert_eq!(look.readings.len(), 2);
            of_port(&look.sockets, address.port())
        });
        assert_eq!(one.len(), 101);
        assert_eq!(two, one);
        drop(connections);
    }

    #[test]
    fn what_one_dump_passed_over_is_taken_from_another() {
        use crate::model::{Endpoint, Family, Protocol};
        let socket = |client: u16, cookie| Socket {
            family: Family::Inet,
            protocol: Protocol::Tcp,
            state: State::Established,
            address: crate::sockets::Address::Inet {
                local: Endpoint::new("127.0.0.1".parse().unwrap(), 80),
                remote: Endpoint::new("127.0.0.1".parse().unwrap(), client),
            },
            recv_queue: Some(0),
            send_queue: Some(0),
            inode: None,
            cookie: Some(Cookie(cookie)),
            uid: None,
            netns: None,
            interface: Some(0),
            detail: None,
        };
        let snapshot = |sockets| Snapshot {
            sockets,
            ..Snapshot::default()
        };
        let other = socket(9, 9);
        let mut one = snapshot(vec![other, socket(1, 1), socket(2, 2), socket(4, 4)]);
        // The second was closed, and another has its ends; the third had been passed over.
        let again = vec![socket(1, 1), socket(2, 5), socket(3, 3), socket(4, 4)];
        one.add_passed_over(snapshot(again), 1);
        let cookies: Vec<u64> = one.sockets.iter().map(|it| it.cookie.unwrap().0).collect();
        assert_eq!(cookies, [9, 1, 4, 5, 3]);
    }

    #[test]
    fn a_stop_ends_both_threads_with_a_gap_each() {
        let mut tables = tables(0);
        tables.stop.raise();
        let look = tables.look(&Query::all_of([Table::Tcp, Table::Tcp6]));
        assert_eq!(look.sockets, []);
        assert!(look.cut.contains(&Table::Tcp) && look.cut.contains(&Table::Tcp6));
    }
}
