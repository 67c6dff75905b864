//! The listing of `inspect sockets` and its summary.

use std::io::{self, Write};
use std::net::IpAddr;

use super::table::{self, Cell, Column, Narrow, Note, TextRow};
use super::{Charset, Escaped, Screen, Style};
use crate::listing::{FamilySummary, Row};
use crate::model::{
    Endpoint, Family, ForeignText, Owner, OwnerStatus, Protocol, State, Uid, UnixAddress,
};
use crate::sockets::{Address, Socket};

/// From this width on, and in a pipe, queues, user and peer have columns of their own.
const WIDE: usize = 100;

/// What the listing is told about numbers.
pub trait Names {
    /// The name of a user.
    fn user(&self, uid: Uid) -> Option<String>;
    /// The name of a host.
    fn host(&self, address: IpAddr) -> Option<String>;
    /// The name of a service.
    fn service(&self, port: u16, protocol: Protocol) -> Option<String>;
}

/// Writes the rows as a table.
///
/// # Errors
/// What the writer answers.
pub fn write_rows(
    out: &mut dyn Write,
    rows: &[Row],
    names: &dyn Names,
    header: bool,
    screen: Screen,
) -> io::Result<()> {
    let wide = screen.width.is_none_or(|width| width >= WIDE);
    let text = Text {
        names,
        charset: screen.charset,
        terminal: screen.is_terminal(),
    };
    let wide_columns = [
        left("PROTO"),
        left("STATE"),
        right("RECV-Q"),
        right("SEND-Q"),
        address("LOCAL"),
        address("REMOTE"),
        beside("USER"),
        owner(),
        beside("PEER"),
    ];
    let wide_row = |index: usize| text.wide_row(&rows[index]);
    // More columns are worth it only while the owner still stands beside them.
    let owner_column = 7;
    let wide = wide
        && table::side_by_side(&wide_columns, rows.len(), &wide_row, header, screen) > owner_column;
    if wide {
        table::write(out, &wide_columns, rows.len(), &wide_row, header, screen)
    } else {
        let columns = [
            left("PROTO"),
            left("STATE"),
            address("LOCAL"),
            address("REMOTE"),
            owner(),
        ];
        let row = |index: usize| text.narrow_row(&rows[index]);
        table::write(out, &columns, rows.len(), &row, header, screen)
    }
}

fn left(title: &'static str) -> Column {
    Column {
        title,
        right: false,
        narrow: Narrow::Below,
    }
}

fn right(title: &'static str) -> Column {
    Column {
        title,
        right: true,
        narrow: Narrow::Below,
    }
}

/// `255.255.255.255:65535` has 21 columns; a longer IPv6 address must not widen every row.
fn address(title: &'static str) -> Column {
    Column {
        narrow: Narrow::Elastic(21),
        ..left(title)
    }
}

/// `chat-server[4845] fd 3` has 22 columns: where so much fits, most owners do.
fn owner() -> Column {
    Column {
        narrow: Narrow::Elastic(22),
        ..left("OWNER")
    }
}

/// Wanted only beside the rest: alone on a line below, nobody could tell what it is.
fn beside(title: &'static str) -> Column {
    Column {
        narrow: Narrow::Dropped,
        ..left(title)
    }
}

/// Turns values into words for one output.
struct Text<'a> {
    names: &'a dyn Names,
    charset: Charset,
    terminal: bool,
}

impl Text<'_> {
    fn narrow_row(&self, row: &Row) -> TextRow {
        let socket = &row.socket;
        let (local, remote) = self.ends(socket);
        TextRow {
            cells: vec![
                Cell::new(socket.protocol.word()),
                state_cell(socket.state),
                Cell::new(local),
                Cell::new(remote),
                self.owner_cell(&row.owners, row.owner_status, socket.uid),
            ],
            notes: queue_notes(socket),
        }
    }

    fn wide_row(&self, row: &Row) -> TextRow {
        let socket = &row.socket;
        let (local, remote) = self.ends(socket);
        let user = match socket.uid {
            Some(uid) => self.user(uid),
            None => "?".to_owned(),
        };
        let peer = match &row.peer {
            Some(peer) => self.owner_cell(&peer.owners, peer.owner_status, None),
            None => Cell::new(""),
        };
        TextRow {
            cells: vec![
                Cell::new(socket.protocol.word()),
                state_cell(socket.state),
                Cell::new(queue(socket.recv_queue)),
                Cell::new(queue(socket.send_queue)),
                Cell::new(local),
                Cell::new(remote),
                Cell::new(user),
                self.owner_cell(&row.owners, row.owner_status, socket.uid),
                peer,
            ],
            notes: Vec::new(),
        }
    }

    fn user(&self, uid: Uid) -> String {
        match self.names.user(uid) {
            Some(name) => Escaped::name(&ForeignText::new(name), self.charset).to_string(),
            None => uid.to_string(),
        }
    }

    /// On a terminal several owners stand one under the other; in a pipe they share the row.
    fn owner_cell(&self, owners: &[Owner], status: OwnerStatus, uid: Option<Uid>) -> Cell {
        let mut lines: Vec<String> = owners
            .iter()
            .map(|owner| owner_words(owner, self.charset))
            .collect();
        if lines.is_empty() {
            lines.push(match (status, uid) {
                (OwnerStatus::Hidden, Some(uid)) => format!("hidden (user {})", self.user(uid)),
                (OwnerStatus::Hidden, None) => "hidden".to_owned(),
                (OwnerStatus::Pending, _) => "waiting for accept()".to_owned(),
                (OwnerStatus::Kernel, _) => "kernel".to_owned(),
                _ => "none".to_owned(),
            });
        } else if status == OwnerStatus::Partial {
            lines.push("perhaps others, hidden".to_owned());
        }
        if !self.terminal {
            lines = vec![lines.join(", ")];
        }
        Cell { lines, style: None }
    }

    fn ends(&self, socket: &Socket) -> (String, String) {
        match &socket.address {
            Address::Inet { local, remote } => {
                let protocol = socket.protocol;
                let local = self.endpoint(*local, protocol);
                let remote = if remote.is_unspecified()
                    || (protocol == Protocol::Raw && remote.address.is_unspecified())
                {
                    "any".to_owned()
                } else {
                    self.endpoint(*remote, protocol)
                };
                (local, remote)
            }
            Address::Unix(address) => {
                let remote = match socket.state {
                    State::Listen | State::Unconnected => "any",
                    State::Closed => "none",
                    // /proc/net/unix does not tell which socket is the other end.
                    _ => "unknown",
                };
                (unix_words(address, self.charset), remote.to_owned())
            }
            Address::Netlink { protocol, port_id } => (
                format!("protocol {protocol}, port id {port_id}"),
                "kernel".to_owned(),
            ),
            Address::Packet {
                ethertype,
                interface,
            } => {
                let interface = if *interface == 0 {
                    "every interface".to_owned()
                } else {
                    format!("interface {interface}")
                };
                let remote = match ethertype {
                    3 => "any".to_owned(), // ETH_P_ALL
                    other => format!("ethertype 0x{other:04x}"),
                };
                (interface, remote)
            }
        }
    }

    fn endpoint(&self, end: Endpoint, protocol: Protocol) -> String {
        let host = if end.address.is_unspecified() {
            match end.address {
                IpAddr::V4(_) => "any".to_owned(),
                IpAddr::V6(_) => "[any]".to_owned(),
            }
        } else if let Some(name) = self.names.host(end.address) {
            Escaped::name(&ForeignText::new(name), self.charset).to_string()
        } else {
            match end.address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => match end.scope {
                    Some(scope) => format!("[{address}%{scope}]"),
                    None => format!("[{address}]"),
                },
            }
        };
        if protocol == Protocol::Raw {
            return format!("{host} protocol {}", end.port);
        }
        match self.names.service(end.port, protocol) {
            Some(name) => {
                let name = ForeignText::new(name);
                format!("{host}:{}", Escaped::name(&name, self.charset))
            }
            None => format!("{host}:{}", end.port),
        }
    }
}

/// Local and remote end of a socket, in numbers.
pub fn ends_words(socket: &Socket, charset: Charset) -> (String, String) {
    struct Numbers;
    impl Names for Numbers {
        fn user(&self, _: Uid) -> Option<String> {
            None
        }
        fn host(&self, _: IpAddr) -> Option<String> {
            None
        }
        fn service(&self, _: u16, _: Protocol) -> Option<String> {
            None
        }
    }
    let text = Text {
        names: &Numbers,
        charset,
        terminal: false,
    };
    text.ends(socket)
}

/// `name[pid] fd N`, everywhere the same; a thread with its own descriptor table adds its id.
pub fn owner_words(owner: &Owner, charset: Charset) -> String {
    let name = Escaped::name(&owner.command, charset);
    if owner.tid == owner.pid {
        format!("{name}[{}] fd {}", owner.pid, owner.fd)
    } else {
        format!("{name}[{}] thread {} fd {}", owner.pid, owner.tid, owner.fd)
    }
}

fn unix_words(address: &UnixAddress, charset: Charset) -> String {
    match address {
        UnixAddress::Path(path) => Escaped::name(path, charset).to_string(),
        UnixAddress::Abstract(name) => format!("@{}", Escaped::name(name, charset)),
        UnixAddress::Unnamed => "unnamed".to_owned(),
    }
}

fn state_cell(state: State) -> Cell {
    let style = match state {
        State::Listen | State::Established | State::Bound | State::Unconnected => Style::Calm,
        _ => Style::Notable,
    };
    Cell::new(state.word()).painted(Some(style))
}

fn queue(length: Option<u64>) -> String {
    length.map_or_else(|| "?".to_owned(), |length| length.to_string())
}

/// What waits, in words and with ss's name for it.
///
/// The kernel counts sequence numbers, and an end of stream (FIN) takes one: a queue that holds
/// it has one byte less (net/ipv4/tcp_ipv4.c: `rcv_nxt - copied_seq`, `write_seq - snd_una`).
fn queue_notes(socket: &Socket) -> Vec<Note> {
    let tcp = socket.protocol == Protocol::Tcp;
    let mut lines = Vec::new();
    if let Some(waiting @ 1..) = socket.recv_queue {
        let ended = matches!(
            socket.state,
            State::CloseWait | State::LastAck | State::Closing
        );
        lines.push(match waiting {
            _ if socket.state == State::Listen => {
                format!("accept queue {}: waiting for accept()", grouped(waiting))
            }
            1 if tcp && ended => "end of stream unread (Recv-Q)".to_owned(),
            _ if tcp && ended => format!("{}, end of stream unread (Recv-Q)", bytes(waiting - 1)),
            _ => format!("{} unread (Recv-Q)", bytes(waiting)),
        });
    }
    if let Some(waiting @ 1..) = socket.send_queue
        && socket.state != State::Listen
    {
        let ended = matches!(
            socket.state,
            State::FinWait1 | State::LastAck | State::Closing
        );
        lines.push(match waiting {
            1 if tcp && ended => "end of stream not acknowledged (Send-Q)".to_owned(),
            _ if tcp && ended => format!(
                "{}, end of stream not acknowledged (Send-Q)",
                bytes(waiting - 1)
            ),
            _ => format!("{} not acknowledged (Send-Q)", bytes(waiting)),
        });
    }
    lines
        .into_iter()
        .map(|text| Note {
            text,
            style: Some(Style::Notable),
        })
        .collect()
}

fn bytes(count: u64) -> String {
    match count {
        1 => "1 byte".to_owned(),
        more => format!("{} bytes", grouped(more)),
    }
}

/// 212992 -> `212,992`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One line of the summary that no table of sockets tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Known(usize),
    /// The kernel has no such family.
    NoFamily,
    /// The kernel has the family, and the source cannot list it.
    Untold,
}

/// Writes the summary: one line a family.
///
/// # Errors
/// What the writer answers.
pub fn write_summary(
    out: &mut dyn Write,
    summaries: &[(FamilySummary, Count)],
    packet_owners: &[Owner],
    screen: Screen,
) -> io::Result<()> {
    let columns = [left("FAMILY"), right("SOCKETS"), left("CARRIES")];
    let row = |index: usize| {
        let (summary, count) = &summaries[index];
        let (number, missing) = match (count, screen.charset) {
            (Count::Known(count), _) => (count.to_string(), ""),
            (Count::NoFamily, Charset::Utf8) => ("–".to_owned(), "; this kernel has none"),
            (Count::NoFamily, Charset::Ascii) => ("-".to_owned(), "; this kernel has none"),
            (Count::Untold, _) => ("?".to_owned(), "; /proc does not list them"),
        };
        TextRow {
            cells: vec![
                Cell::new(summary.family.word()),
                Cell::new(number),
                Cell::new(format!(
                    "{}{missing}",
                    carries(summary, packet_owners, screen.charset)
                )),
            ],
            notes: Vec::new(),
        }
    };
    table::write(out, &columns, summaries.len(), &row, true, screen)
}

fn carries(summary: &FamilySummary, packet_owners: &[Owner], charset: Charset) -> String {
    match summary.family {
        Family::Inet => ip_words("IPv4", summary),
        Family::Inet6 => ip_words("IPv6", summary),
        Family::Unix => "local processes, by a path in the file system or a name".to_owned(),
        Family::Netlink => "programs and the kernel".to_owned(),
        Family::Packet => {
            let mut owners: Vec<String> = packet_owners
                .iter()
                .map(|owner| format!("{}[{}]", Escaped::name(&owner.command, charset), owner.pid))
                .collect();
            owners.dedup();
            match owners.len() {
                0 => "raw frames".to_owned(),
                1..=3 => format!("raw frames: {}", owners.join(", ")),
                more => format!(
                    "raw frames: {} and {} more",
                    owners[..3].join(", "),
                    more - 3
                ),
            }
        }
        Family::Vsock => "a virtual machine and its host".to_owned(),
        Family::Tipc => "cluster services, without addresses".to_owned(),
    }
}

fn ip_words(version: &str, summary: &FamilySummary) -> String {
    let mut parts = Vec::new();
    let tcp = summary.of(Protocol::Tcp);
    if tcp > 0 {
        let listening = summary.in_state(Protocol::Tcp, State::Listen);
        let waiting = summary.in_state(Protocol::Tcp, State::TimeWait);
        let connected = summary.in_state(Protocol::Tcp, State::Established);
        let other = tcp - listening - waiting - connected;
        let states: Vec<String> = [
            (listening, "listening"),
            (connected, "connected"),
            (waiting, "TIME_WAIT"),
            (other, "on the way"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        parts.push(format!("{tcp} tcp ({})", states.join(", ")));
    }
    for (protocol, word) in [(Protocol::Udp, "udp"), (Protocol::Raw, "raw")] {
        let count = summary.of(protocol);
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    if parts.is_empty() {
        version.to_owned()
    } else {
        format!("{version}: {}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(state: State, recv_queue: u64, send_queue: u64) -> Vec<String> {
        let end = Endpoint::new("127.0.0.1".parse().unwrap(), 1);
        let socket = Socket {
            family: Family::Inet,
            protocol: Protocol::Tcp,
            state,
            address: Address::Inet {
                local: end,
                remote: end,
            },
            recv_queue: Some(recv_queue),
            send_queue: Some(send_queue),
            inode: None,
            cookie: None,
            uid: None,
            netns: None,
        };
        let notes = queue_notes(&socket);
        notes.into_iter().map(|note| note.text).collect()
    }

    #[test]
    fn an_end_of_stream_is_not_counted_as_a_byte() {
        assert!(notes(State::Established, 0, 0).is_empty());
        assert_eq!(notes(State::Established, 1, 0), ["1 byte unread (Recv-Q)"]);
        assert_eq!(
            notes(State::CloseWait, 1, 0),
            ["end of stream unread (Recv-Q)"]
        );
        assert_eq!(
            notes(State::CloseWait, 5_001, 0),
            ["5,000 bytes, end of stream unread (Recv-Q)"]
        );
        assert_eq!(
            notes(State::FinWait1, 0, 1),
            ["end of stream not acknowledged (Send-Q)"]
        );
        assert_eq!(
            notes(State::Listen, 3, 128),
            ["accept queue 3: waiting for accept()"]
        );
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (212_992, "212,992"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
