//! Reads the tables below a proc root: /proc, or a recorded tree.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::super::proc_row::{self, BadRow};
use super::super::{Address, Query, Reading, Snapshot, Socket, Source, Table};
use crate::model::{Endpoint, Family, Gap, Inode, NetworkNamespace, Origin, Protocol, UnixAddress};
use crate::stop::Stop;

/// The /proc/net tables of one network namespace.
#[derive(Debug, Clone)]
pub struct ProcTables {
    root: PathBuf,
    netns: Option<NetworkNamespace>,
    stop: Stop,
}

/// A newline in an abstract unix name ends the row early and begins another; no row is longer
/// than a path of 108 bytes, escaped, and the columns before it.
const LONGEST_ROW: u64 = 4096;

/// A look at the stop signal is a system call, as dear as a row or two.
const ROWS_BETWEEN_LOOKS_AT_STOP: u64 = 256;

impl ProcTables {
    /// Tables below `root`; `netns` is the namespace they describe, where that is known. A look
    /// ends early, with a gap, when `stop` is raised.
    pub fn new(root: impl Into<PathBuf>, netns: Option<NetworkNamespace>, stop: Stop) -> Self {
        Self {
            root: root.into(),
            netns,
            stop,
        }
    }

    /// Whether the kernel has sockets of a family at all, by its list of protocols; `None`
    /// where that cannot be told.
    pub fn has_family(&self, family: Family) -> Option<bool> {
        match family {
            Family::Vsock => self.has_table(Table::Vsock),
            Family::Tipc => self.has_table(Table::Tipc),
            _ => Some(true),
        }
    }

    /// Whether the kernel has sockets of a table: by its file, or where there is none by the list
    /// of protocols; `None` where that cannot be told.
    pub(super) fn has_table(&self, table: Table) -> Option<bool> {
        let net = self.root.join("net");
        if let Some(file) = table.file_name() {
            return net.join(file).try_exists().ok();
        }
        let name = match table {
            Table::Vsock => "AF_VSOCK",
            Table::Tipc => "TIPC",
            Table::Mptcp => "MPTCP",
            Table::Mptcp6 => "MPTCPv6",
            _ => return None,
        };
        let protocols = std::fs::read_to_string(net.join("protocols")).ok()?;
        Some(
            protocols
                .lines()
                .any(|line| line.split_whitespace().next() == Some(name)),
        )
    }

    /// How many TCP sockets there are, by the kernel's count; 0 where it does not tell.
    pub(super) fn tcp_sockets(&self) -> u64 {
        let net = self.root.join("net");
        ["sockstat", "sockstat6"]
            .iter()
            .filter_map(|file| std::fs::read_to_string(net.join(file)).ok())
            .map(|text| proc_row::tcp_in_use(&text))
            .sum()
    }

    /// What changes when TCP sockets come or go: equal at two moments when none did between them.
    /// `None` where it is not told.
    pub(super) fn tcp_turnover(&self) -> Option<(u64, [u64; 6])> {
        let net = self.root.join("net");
        let read = |name| std::fs::read_to_string(net.join(name)).ok();
        let counters = proc_row::turnover(&(read("snmp")? + &read("netstat")?))?;
        Some((self.tcp_sockets(), counters))
    }

    /// Reads one table, where /proc/net has it. `instead` says why it is not read from a better
    /// source.
    pub(super) fn look_at(&self, table: Table, instead: Option<String>, snapshot: &mut Snapshot) {
        let Some(name) = table.file_name() else {
            return;
        };
        let path = self.root.join("net").join(name);
        let reading = Reading {
            table,
            source: Some(self.name()),
            instead,
        };
        match File::open(&path) {
            Ok(file) => {
                read(
                    table,
                    BufReader::with_capacity(1 << 18, file),
                    &path,
                    self.netns,
                    &self.stop,
                    snapshot,
                );
                snapshot.readings.push(reading);
            }
            // A kernel without the family has no file: nothing is missing then.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                snapshot.cut(
                    &[table],
                    format!("{} cannot be read: {error}", path.display()),
                );
                snapshot.readings.push(Reading {
                    source: None,
                    ..reading
                });
            }
        }
    }
}

impl Source for ProcTables {
    fn name(&self) -> &'static str {
        "proc"
    }

    fn look(&mut self, query: &Query) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for table in &query.tables {
            self.look_at(*table, None, &mut snapshot);
        }
        snapshot
    }
}

fn read(
    table: Table,
    mut rows: impl BufRead,
    path: &Path,
    netns: Option<NetworkNamespace>,
    stop: &Stop,
    snapshot: &mut Snapshot,
) {
    let mut row = Vec::new();
    let mut number = 0u64;
    let mut bad = 0u64;
    let mut first_bad: Option<(u64, BadRow)> = None;
    let mut seen = Seen::default();
    loop {
        row.clear();
        match io::Read::take(&mut rows, LONGEST_ROW).read_until(b'\n', &mut row) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                let reason = format!("{} broke off after line {number}: {error}", path.display());
                snapshot.cut(&[table], reason);
                break;
            }
        }
        number += 1;
        if number.is_multiple_of(ROWS_BETWEEN_LOOKS_AT_STOP) && stop.is_raised() {
            let reason = format!("{} was left at line {number}: stopped", path.display());
            snapshot.cut(&[table], reason);
            break;
        }
        if row.last() == Some(&b'\n') {
            row.pop();
        }
        if number == 1 || row.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match proc_row::parse(table, &row, netns) {
            Ok(socket) => {
                if seen.is_new(&socket) {
                    snapshot.sockets.push(socket);
                }
            }
            Err(error) => {
                bad += 1;
                first_bad.get_or_insert((number, error));
            }
        }
    }
    if seen.contradictions > 0 {
        snapshot.gaps.push(Gap::counted(
            Origin::Sockets,
            format!(
                "{} of {} repeated an inode under another name: a name that holds a newline may \
                 forge rows",
                rows_word(seen.contradictions),
                path.display()
            ),
            seen.contradictions,
        ));
    }
    if let Some((line, error)) = first_bad {
        snapshot.gaps.push(Gap::counted(
            Origin::Sockets,
            format!(
                "{} of {} that did not parse; the first is line {line}: {error}",
                rows_word(bad),
                path.display()
            ),
            bad,
        ));
    }
}

fn rows_word(count: u64) -> &'static str {
    if count == 1 { "row" } else { "rows" }
}

/// The rows of one table so far, to tell a row that is shown twice.
///
/// While connections come and go the kernel restarts inside a changed hash bucket and shows a
/// socket twice (measured: in 14 of 40 looks at 20k sockets).
#[derive(Default)]
struct Seen {
    inodes: HashMap<Inode, Option<Box<UnixAddress>>>,
    ends: HashSet<(Endpoint, Endpoint)>,
    /// Rows with the inode of another and a different name.
    contradictions: u64,
}

impl Seen {
    fn is_new(&mut self, socket: &Socket) -> bool {
        match (socket.inode, &socket.address) {
            (Some(inode), Address::Unix { name, .. }) => {
                match self.inodes.insert(inode, Some(Box::new(name.clone()))) {
                    None => true,
                    Some(before) => {
                        // A newline in an abstract name ends its row and forges the next: of two
                        // rows with one inode nobody can tell here which is true. Both are kept.
                        let differs = before.as_deref() != Some(name);
                        self.contradictions += u64::from(differs);
                        differs
                    }
                }
            }
            (Some(inode), _) => self.inodes.insert(inode, None).is_none(),
            // Without an inode (TIME_WAIT, SYN_RECV, waiting for accept) the two ends identify a
            // TCP socket: a namespace has no two with the same.
            (None, Address::Inet { local, remote }) if socket.protocol == Protocol::Tcp => {
                self.ends.insert((*local, *remote))
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const HEADER: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n";
    const ROW: &str = "   0: 0100007F:0929 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1124 1 0 100 0 0 10 0\n";

    fn look(text: &str) -> Snapshot {
        look_until(text, &Stop::new().unwrap())
    }

    fn look_until(text: &str, stop: &Stop) -> Snapshot {
        let mut snapshot = Snapshot::default();
        read(
            Table::Tcp,
            Cursor::new(text.to_owned()),
            Path::new("net/tcp"),
            None,
            stop,
            &mut snapshot,
        );
        snapshot
    }

    #[test]
    fn a_bad_row_is_counted_and_the_good_ones_stay() {
        let bad = ROW.replace(" 0A ", " ZZ ");
        let snapshot = look(&format!("{HEADER}{bad}{ROW}{bad}"));
        assert_eq!(snapshot.sockets.len(), 1);
        assert_eq!(snapshot.gaps.len(), 1);
        assert_eq!(snapshot.gaps[0].count, Some(2));
        assert!(
            snapshot.gaps[0]
                .reason
                .contains("rows of net/tcp that did not parse; the first is line 2"),
            "{:?}",
            snapshot.gaps[0]
        );
    }

    #[test]
    fn a_socket_shown_twice_is_kept_once() {
        assert_eq!(look(&format!("{HEADER}{ROW}{ROW}")).sockets.len(), 1);
    }

    #[test]
    fn a_forged_unix_row_hides_nobody_and_is_reported() {
        let mut snapshot = Snapshot::default();
        let row = |name: &str| {
            format!("0000000000000000: 00000002 00000000 00010000 0001 01  9001 {name}\n")
        };
        read(
            Table::Unix,
            Cursor::new(format!("Num\n{}{0}{}", row("/run/fake"), row("@victim"))),
            Path::new("net/unix"),
            None,
            &Stop::new().unwrap(),
            &mut snapshot,
        );
        assert_eq!(
            snapshot.sockets.len(),
            2,
            "the row shown twice is one, the other stays"
        );
        assert_eq!(snapshot.gaps.len(), 1);
        assert!(
            snapshot.gaps[0].reason.contains("forge"),
            "{:?}",
            snapshot.gaps
        );
    }

    #[test]
    fn a_row_without_an_end_is_bounded() {
        let endless = format!("{HEADER}{}", "x".repeat(1 << 20));
        let snapshot = look(&endless);
        assert!(snapshot.sockets.is_empty());
        assert_eq!(snapshot.gaps[0].count, Some((1 << 20) / LONGEST_ROW));
    }

    #[test]
    fn a_raised_stop_signal_ends_a_long_look_with_a_gap() {
        let stop = Stop::new().unwrap();
        stop.raise();
        let snapshot = look_until(&format!("{HEADER}{}", ROW.repeat(1_000)), &stop);
        assert_eq!(snapshot.gaps.len(), 1);
        assert!(snapshot.gaps[0].reason.ends_with("line 256: stopped"));
    }

    #[test]
    fn an_empty_table_is_empty_and_complete() {
        assert_eq!(look(HEADER), Snapshot::default());
        assert_eq!(look(""), Snapshot::default());
    }
}
