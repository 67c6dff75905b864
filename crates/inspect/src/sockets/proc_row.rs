//! One row of a /proc/net table -> a socket. Pure.
//!
//! The procfs crate parses the rows, but fails a whole table on one bad row, so it is fed a row
//! at a time. Of a unix row it gets only the columns before the path: it cuts a path at its
//! first space and fails on one that is not UTF-8.
//!
//! Layouts: net/ipv4/tcp_ipv4.c `get_tcp4_sock`, net/ipv4/udp.c `udp4_format_sock`,
//! net/unix/af_unix.c `unix_seq_show`; proc_net(5).

use std::io::Cursor;
use std::net::SocketAddr;

use procfs::net::{TcpNetEntries, UdpNetEntries, UnixNetEntries, UnixState};
use procfs::{FromBufRead, FromBufReadSI};

use super::{Address, Socket, Table};
use crate::model::{
    Endpoint, Family, ForeignText, Inode, NetworkNamespace, Protocol, State, Uid, UnixAddress,
};

/// Why a row was kept out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadRow(pub(super) String);

/// Parses one row, without its newline, of the given table.
pub(super) fn parse(
    table: Table,
    row: &[u8],
    netns: Option<NetworkNamespace>,
) -> Result<Socket, BadRow> {
    match table {
        Table::Unix => unix(row, netns),
        Table::Netlink => netlink(row, netns),
        Table::Packet => packet(row, netns),
        Table::Mptcp | Table::Mptcp6 | Table::Vsock | Table::Tipc => {
            Err(BadRow("not a table of /proc/net".to_owned()))
        }
        Table::Tcp | Table::Tcp6 => {
            let entry = one(TcpNetEntries::from_buf_read(
                headed(row),
                procfs::current_system_info(),
            )
            .map(|entries| entries.0))?;
            let state = State::from_tcp_number(entry.state.to_u8())
                .ok_or_else(|| BadRow("no such state".to_owned()))?;
            Ok(inet(
                table,
                state,
                (entry.local_address, entry.remote_address),
                (entry.rx_queue, entry.tx_queue),
                (entry.uid, entry.inode),
                netns,
            ))
        }
        Table::Udp
        | Table::Udp6
        | Table::UdpLite
        | Table::UdpLite6
        | Table::Raw
        | Table::Raw6
        | Table::Icmp
        | Table::Icmp6 => {
            let entry = one(UdpNetEntries::from_buf_read(
                headed(row),
                procfs::current_system_info(),
            )
            .map(|entries| entries.0))?;
            let state = match entry.state {
                procfs::net::UdpState::Established => State::Established,
                procfs::net::UdpState::Close => State::Unconnected,
            };
            Ok(inet(
                table,
                state,
                (entry.local_address, entry.remote_address),
                (entry.rx_queue, entry.tx_queue),
                (entry.uid, entry.inode),
                netns,
            ))
        }
    }
}

/// procfs expects a header line before the rows.
fn headed(row: &[u8]) -> Cursor<Vec<u8>> {
    let mut text = Vec::with_capacity(row.len() + 2);
    text.push(b'\n');
    text.extend_from_slice(row);
    text.push(b'\n');
    Cursor::new(text)
}

fn one<T>(entries: procfs::ProcResult<Vec<T>>) -> Result<T, BadRow> {
    let mut entries = entries.map_err(reason)?;
    match entries.pop() {
        Some(entry) if entries.is_empty() => Ok(entry),
        _ => Err(BadRow("not exactly one row".to_owned())),
    }
}

/// procfs calls a row it does not understand a bug of its own, with the place in its source.
fn reason(error: procfs::ProcError) -> BadRow {
    match error {
        procfs::ProcError::InternalError(_) => BadRow("not a row of this table".to_owned()),
        other => BadRow(
            other
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        ),
    }
}

fn inet(
    table: Table,
    state: State,
    (local, remote): (SocketAddr, SocketAddr),
    (recv_queue, send_queue): (u32, u32),
    (uid, inode): (u32, u64),
    netns: Option<NetworkNamespace>,
) -> Socket {
    Socket {
        family: table.family(),
        protocol: table.protocol().unwrap_or(Protocol::Raw),
        state,
        address: Address::Inet {
            local: Endpoint::new(local.ip(), local.port()),
            remote: Endpoint::new(remote.ip(), remote.port()),
        },
        recv_queue: Some(recv_queue),
        // A listener's row always has 0 there; its backlog is told by sock_diag only.
        send_queue: (state != State::Listen).then_some(send_queue),
        inode: self::inode(inode),
        cookie: None,
        uid: known_uid(state, uid, inode),
        netns,
        interface: None,
        detail: None,
    }
}

/// The user, where the row can know it. A socket without an inode has 0 there for want of a
/// user: TIME_WAIT always, and before Linux 6.17 what is orphaned or not accepted yet
/// (`sock_i_uid`). A half-open connection has its listener's user (`get_openreq4`).
fn known_uid(state: State, uid: u32, inode: u64) -> Option<Uid> {
    let told = inode != 0 || state == State::SynRecv || (uid != 0 && state != State::TimeWait);
    told.then_some(Uid(uid))
}

/// The columns of a unix row before the path.
const UNIX_COLUMNS: usize = 7;
/// `__SO_ACCEPTCON` (include/uapi/linux/net.h): the socket listens.
const SO_ACCEPTCON: u32 = 1 << 16;

fn unix(row: &[u8], netns: Option<NetworkNamespace>) -> Result<Socket, BadRow> {
    let (columns, path) = split_unix(row);
    let entry = one(UnixNetEntries::from_buf_read(headed(columns)).map(|entries| entries.0))?;
    let flags = columns
        .split(u8::is_ascii_whitespace)
        .filter(|column| !column.is_empty())
        .nth(3)
        .and_then(|column| u32::from_str_radix(std::str::from_utf8(column).ok()?, 16).ok())
        .ok_or_else(|| BadRow("flags are no number".to_owned()))?;
    let protocol = match entry.socket_type {
        1 => Protocol::UnixStream,
        2 => Protocol::UnixDatagram,
        5 => Protocol::UnixSeqpacket,
        other => return Err(BadRow(format!("socket type {other}"))),
    };
    let state = match entry.state {
        _ if flags & SO_ACCEPTCON != 0 => State::Listen,
        // `unix_seq_show` writes "connecting" for a connected socket that nobody has accepted
        // yet: it has no inode, and waits in the listener's queue.
        UnixState::CONNECTED | UnixState::CONNECTING => State::Established,
        // The kernel writes "unconnected" for both; a datagram socket is none the less ready.
        UnixState::UNCONNECTED if protocol == Protocol::UnixDatagram => State::Unconnected,
        UnixState::UNCONNECTED | UnixState::DISCONNECTING => State::Closed,
    };
    Ok(Socket {
        family: Family::Unix,
        protocol,
        state,
        address: Address::Unix {
            name: unix_address(path),
            peer: None,
        },
        recv_queue: None,
        send_queue: None,
        inode: inode(entry.inode),
        cookie: None,
        uid: None,
        netns,
        interface: None,
        detail: None,
    })
}

/// The seven columns, and the path with its first separating space taken off.
fn split_unix(row: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut position = 0;
    for _ in 0..UNIX_COLUMNS {
        position += row[position..]
            .iter()
            .take_while(|byte| **byte == b' ')
            .count();
        position += row[position..]
            .iter()
            .take_while(|byte| **byte != b' ')
            .count();
    }
    let path = row[position..].strip_prefix(b" ");
    (&row[..position], path.filter(|path| !path.is_empty()))
}

/// An abstract name is shown with `@` for its leading NUL; so is every other NUL inside it, and
/// that cannot be undone here.
fn unix_address(path: Option<&[u8]>) -> UnixAddress {
    match path {
        None => UnixAddress::Unnamed,
        Some([b'@', name @ ..]) => UnixAddress::Abstract(ForeignText::new(name)),
        Some(path) => UnixAddress::Path(ForeignText::new(path)),
    }
}

/// net/netlink/af_netlink.c `netlink_native_seq_show`: sk, protocol, port id, groups, receive
/// and send memory, dump, locks, drops, inode. procfs has no such table.
fn netlink(row: &[u8], netns: Option<NetworkNamespace>) -> Result<Socket, BadRow> {
    let columns = Columns::of(row)?;
    Ok(Socket {
        family: Family::Netlink,
        protocol: Protocol::Netlink,
        state: State::Unconnected,
        address: Address::Netlink {
            protocol: columns.number(1, 10)?,
            port_id: columns.number(2, 10)?,
        },
        recv_queue: Some(columns.number(4, 10)?),
        send_queue: Some(columns.number(5, 10)?),
        inode: inode(columns.number(9, 10)?),
        cookie: None,
        uid: None,
        netns,
        interface: None,
        detail: None,
    })
}

/// net/packet/af_packet.c `packet_seq_show`: sk, references, type, protocol, interface, running,
/// receive memory, user, inode. procfs has no such table.
fn packet(row: &[u8], netns: Option<NetworkNamespace>) -> Result<Socket, BadRow> {
    let columns = Columns::of(row)?;
    Ok(Socket {
        family: Family::Packet,
        protocol: match columns.number::<u16>(2, 10)? {
            // 10 is SOCK_PACKET, which gets whole frames as well.
            3 | 10 => Protocol::PacketRaw,
            2 => Protocol::PacketDatagram,
            other => return Err(BadRow(format!("socket type {other}"))),
        },
        state: State::Unconnected,
        address: Address::Packet {
            ethertype: columns.number(3, 16)?,
            interface: columns.number(4, 10)?,
        },
        recv_queue: Some(columns.number(6, 10)?),
        send_queue: None,
        inode: inode(columns.number(8, 10)?),
        cookie: None,
        uid: Some(Uid(columns.number(7, 10)?)),
        netns,
        interface: None,
        detail: None,
    })
}

fn inode(number: u64) -> Option<Inode> {
    (number != 0).then_some(Inode(number))
}

/// Counters that rise when TCP sockets come, go or change their state: by the protocol's line and
/// the name of the column, in /proc/net/snmp and netstat (proc_pid_net(5), RFC 4022).
const TURNOVER: [(&str, &str); 6] = [
    ("Tcp:", "ActiveOpens"),
    ("Tcp:", "PassiveOpens"),
    ("Tcp:", "AttemptFails"),
    ("Tcp:", "EstabResets"),
    ("Tcp:", "CurrEstab"),
    ("TcpExt:", "TW"),
];

/// The values of [`TURNOVER`]; `None` where one is not told.
pub(super) fn turnover(text: &str) -> Option<[u64; TURNOVER.len()]> {
    let mut values = [0; TURNOVER.len()];
    for (value, (protocol, name)) in values.iter_mut().zip(TURNOVER) {
        // A line of names, then one of values.
        let mut lines = text.lines().filter(|line| line.starts_with(protocol));
        let place = lines
            .next()?
            .split_whitespace()
            .position(|word| word == name)?;
        *value = lines.next()?.split_whitespace().nth(place)?.parse().ok()?;
    }
    Some(values)
}

/// The TCP sockets in use, by /proc/net/sockstat or sockstat6 (net/ipv4/proc.c
/// `sockstat_seq_show`): `TCP: inuse 4 orphan 1 ...`.
pub(super) fn tcp_in_use(sockstat: &str) -> u64 {
    sockstat
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let of_tcp = matches!(words.next(), Some("TCP:" | "TCP6:"));
            (of_tcp && words.next() == Some("inuse")).then(|| words.next())?
        })
        .filter_map(|number| number.parse::<u64>().ok())
        .sum()
}

/// The columns of a row of numbers.
struct Columns<'a>(Vec<&'a str>);

impl<'a> Columns<'a> {
    fn of(row: &'a [u8]) -> Result<Self, BadRow> {
        let text = std::str::from_utf8(row).map_err(|_| BadRow("not text".to_owned()))?;
        Ok(Self(text.split_ascii_whitespace().collect()))
    }

    fn number<N: TryFrom<u64>>(&self, column: usize, radix: u32) -> Result<N, BadRow> {
        let bad = || BadRow(format!("column {} is no such number", column + 1));
        let text = self.0.get(column).ok_or_else(bad)?;
        let number = u64::from_str_radix(text, radix).map_err(|_| bad())?;
        N::try_from(number).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_counters_of_coming_and_going_are_found_by_their_names() {
        let snmp = "Ip: Forwarding\nIp: 1\nTcp: RtoMin ActiveOpens PassiveOpens AttemptFails \
                    EstabResets CurrEstab\nTcp: 200 1 2 3 4 5\nUdp: x\nUdp: 0\n";
        let netstat = "TcpExt: SyncookiesSent TW TWKilled\nTcpExt: 0 6 0\n";
        let text = [snmp, netstat].concat();
        assert_eq!(turnover(&text), Some([1, 2, 3, 4, 5, 6]));
        assert_eq!(turnover(snmp), None);
        assert_eq!(turnover("Tcp: ActiveOpens\n"), None);
        assert_eq!(turnover("Tcp: ActiveOpens\nTcp: x\n"), None);
    }

    #[test]
    fn a_tcp_row_gives_ends_queues_user_and_inode() {
        let row = b"   1: 0100007F:0929 0100007F:CC5C 01 00000002:00034000 00:00000000 00000000  1000        0 8916 1 0000000035d84452 20 4 30 10 -1";
        let socket = parse(Table::Tcp, row, Some(NetworkNamespace(4_026_531_840))).unwrap();
        assert_eq!(socket.state, State::Established);
        let (local, remote) = socket.endpoints().unwrap();
        assert_eq!((local.port, remote.port), (2345, 52316));
        assert!(local.is_loopback());
        assert_eq!(socket.recv_queue, Some(212_992));
        assert_eq!(socket.send_queue, Some(2));
        assert_eq!(socket.uid, Some(Uid(1000)));
        assert_eq!(socket.inode, Some(Inode(8916)));
    }

    #[test]
    fn the_kernels_count_of_tcp_sockets_is_read() {
        let sockstat = "sockets: used 24\nTCP: inuse 41 orphan 1 tw 463 alloc 20008 mem 145\n\
                        UDP: inuse 7 mem 256\nTCP6: inuse 2\n";
        assert_eq!(tcp_in_use(sockstat), 43);
        assert_eq!(tcp_in_use("TCP: inuse\nTCP: inuse x\nTCP: orphan 3\n"), 0);
    }

    #[test]
    fn a_row_without_inode_has_none() {
        let row = b"   1: 0100007F:0929 0100007F:CC5C 06 00000000:00000000 03:00001760 00000000     0        0 0 3 0000000035d84452";
        let socket = parse(Table::Tcp, row, None).unwrap();
        assert_eq!((socket.inode, socket.uid), (None, None));
        assert_eq!(socket.state, State::TimeWait);
    }

    #[test]
    fn a_user_is_known_only_where_the_kernel_had_one() {
        for (state, uid, inode, known) in [
            (State::Established, 0, 5, Some(Uid(0))),
            (State::Established, 0, 0, None),
            (State::Established, 1234, 0, Some(Uid(1234))),
            (State::SynRecv, 0, 0, Some(Uid(0))),
            (State::SynRecv, 1234, 0, Some(Uid(1234))),
            (State::TimeWait, 0, 0, None),
            (State::FinWait2, 0, 0, None),
        ] {
            assert_eq!(
                known_uid(state, uid, inode),
                known,
                "{state:?} {uid} {inode}"
            );
        }
    }

    #[test]
    fn a_unix_connection_that_nobody_accepted_is_connected_and_has_no_inode() {
        let row = b"0000000000000000: 00000002 00000000 00000000 0001 02     0 /run/room";
        let socket = parse(Table::Unix, row, None).unwrap();
        assert_eq!((socket.state, socket.inode), (State::Established, None));
    }

    #[test]
    fn a_v6_row_is_read_word_by_word() {
        let row = b"   0: 00000000000000000000000001000000:0929 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0";
        let socket = parse(Table::Tcp6, row, None).unwrap();
        let (local, _) = socket.endpoints().unwrap();
        assert_eq!(local.address.to_string(), "::1");
        assert_eq!(socket.family, Family::Inet6);
    }

    #[test]
    fn a_unix_path_keeps_spaces_and_bytes_that_are_not_text() {
        let row =
            b"0000000000000000: 00000002 00000000 00010000 0001 01 31415 /run/my \xff socket ";
        let socket = parse(Table::Unix, row, None).unwrap();
        assert_eq!(socket.state, State::Listen);
        assert_eq!(
            socket.address,
            Address::Unix {
                name: UnixAddress::Path(ForeignText::new(&b"/run/my \xff socket "[..])),
                peer: None,
            }
        );
    }

    #[test]
    fn an_abstract_name_loses_only_its_marker() {
        let row = b"0: 00000002 00000000 00000000 0002 01 5 @a@b";
        let socket = parse(Table::Unix, row, None).unwrap();
        assert_eq!(
            socket.address,
            Address::Unix {
                name: UnixAddress::Abstract(ForeignText::from("a@b")),
                peer: None,
            }
        );
        assert_eq!(socket.state, State::Unconnected);
    }

    #[test]
    fn netlink_and_packet_rows_are_read() {
        let socket = parse(
            Table::Netlink,
            b"0000000063e9a2c6 15  4294963001 00000002 512 0 0 2 0 499     ",
            None,
        )
        .unwrap();
        assert_eq!(
            socket.address,
            Address::Netlink {
                protocol: 15,
                port_id: 4_294_963_001
            }
        );
        assert_eq!(
            (socket.inode, socket.recv_queue),
            (Some(Inode(499)), Some(512))
        );
        let socket = parse(
            Table::Packet,
            b"00000000a1b2c3d4 3      3    0003   2     1 0      1000   777",
            None,
        )
        .unwrap();
        assert_eq!(
            socket.address,
            Address::Packet {
                ethertype: 3,
                interface: 2
            }
        );
        assert_eq!(socket.uid, Some(Uid(1000)));
    }

    #[test]
    fn an_unlisted_state_is_a_bad_row_with_a_one_line_reason() {
        let row = b"   1: 0100007F:0929 0100007F:CC5C 7F 00000000:00000000 00:00000000 00000000 0 0 1 1 0";
        let error = parse(Table::Tcp, row, None).unwrap_err();
        assert!(!error.0.contains('\n'), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_socket_or_a_bad_row(row in proptest::collection::vec(any::<u8>(), 0..200)) {
            for table in Table::ALL {
                let _ = parse(table, &row, None);
            }
        }

        #[test]
        fn a_row_with_one_byte_changed_does_not_panic(at in 0usize..150, byte: u8) {
            for (table, row) in [
                (Table::Tcp, &b"   1: 0100007F:0929 0100007F:CC5C 01 00000002:00034000 00:00000000 00000000  1000        0 8916 1 0000000035d84452 20 4 30 10 -1"[..]),
                (Table::Udp6, &b"   0: 00000000000000000000000001000000:0929 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 1 0"[..]),
                (Table::Unix, &b"0000000000000000: 00000002 00000000 00010000 0001 01 31415 /run/my socket"[..]),
            ] {
                let mut row = row.to_vec();
                let at = at % row.len();
                row[at] = byte;
                let _ = parse(table, &row, None);
            }
        }
    }
}
