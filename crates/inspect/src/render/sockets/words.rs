//! Sockets and owners in words.

use std::net::IpAddr;

use super::queues::queue_notes;
use crate::listing::Row;
use crate::model::{Endpoint, ForeignText, Owner, OwnerStatus, Protocol, State, Uid, UnixAddress};
use crate::owners::Owners;
use crate::render::table::{Cell, TextRow};
use crate::render::{Charset, Escaped, Style};
use crate::sockets::{Address, Socket};

/// What the listing is told about numbers.
pub trait Names {
    /// The name of a user.
    fn user(&self, uid: Uid) -> Option<String>;
    /// The name of a host.
    fn host(&self, address: IpAddr) -> Option<String>;
    /// The name of a service.
    fn service(&self, port: u16, protocol: Protocol) -> Option<String>;
}

/// Turns values into words for one output.
pub(super) struct Text<'a> {
    pub(super) names: &'a dyn Names,
    pub(super) charset: Charset,
    pub(super) terminal: bool,
}

impl Text<'_> {
    pub(super) fn narrow_row(&self, row: Option<Row<'_>>) -> TextRow {
        let Some(row) = row else {
            return TextRow::default();
        };
        let socket = row.socket;
        let (local, remote) = self.ends(socket);
        TextRow {
            cells: vec![
                Cell::new(socket.protocol.word()),
                state_cell(socket.state),
                Cell::new(local),
                Cell::new(remote),
                self.owner_cell(row.owners, row.owner_status, socket.uid, socket.state),
            ],
            notes: queue_notes(socket),
        }
    }

    pub(super) fn wide_row(&self, row: Option<Row<'_>>) -> TextRow {
        let Some(row) = row else {
            return TextRow::default();
        };
        let socket = row.socket;
        let (local, remote) = self.ends(socket);
        let user = match socket.uid {
            Some(uid) => self.user(uid),
            None => "?".to_owned(),
        };
        let peer = match row.peer() {
            Some(peer) => self.owner_cell(peer.owners, peer.owner_status, None, socket.state),
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
                self.owner_cell(row.owners, row.owner_status, socket.uid, socket.state),
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
    fn owner_cell(
        &self,
        owners: Owners<'_>,
        status: OwnerStatus,
        uid: Option<Uid>,
        state: State,
    ) -> Cell {
        let mut lines: Vec<String> = owners
            .map(|owner| owner_words(&owner, self.charset))
            .collect();
        if lines.is_empty() {
            lines.push(match (status, uid) {
                (OwnerStatus::Hidden, Some(uid)) => format!("hidden (user {})", self.user(uid)),
                (OwnerStatus::Hidden, None) => "hidden".to_owned(),
                (OwnerStatus::Pending, _) if state == State::SynRecv => {
                    "none before the handshake ends".to_owned()
                }
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
            Address::Unix { name, .. } => {
                let remote = match socket.state {
                    State::Listen | State::Unconnected => "any",
                    State::Closed => "none",
                    // /proc/net/unix does not tell which socket is the other end.
                    _ => "unknown",
                };
                (unix_words(name, self.charset), remote.to_owned())
            }
            Address::Netlink { protocol, port_id } => (
                match netlink_name(*protocol) {
                    Some(name) => format!("{name}:{port_id}"),
                    None => format!("protocol {protocol}:{port_id}"),
                },
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
            Address::Vsock { local, remote } => (vsock_words(*local), vsock_words(*remote)),
            Address::Tipc { reference } => (format!("reference {reference}"), "any".to_owned()),
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
        if protocol == Protocol::Icmp {
            return format!("{host} id {}", end.port);
        }
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

/// The name of a netlink protocol (include/uapi/linux/netlink.h, without its NETLINK_).
fn netlink_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        0 => "route",
        2 => "usersock",
        3 => "firewall",
        4 => "sock_diag",
        5 => "nflog",
        6 => "xfrm",
        7 => "selinux",
        8 => "iscsi",
        9 => "audit",
        10 => "fib_lookup",
        11 => "connector",
        12 => "netfilter",
        15 => "kobject_uevent",
        16 => "generic",
        18 => "scsitransport",
        19 => "ecryptfs",
        20 => "rdma",
        21 => "crypto",
        22 => "smc",
        _ => return None,
    })
}

/// Context and port; `VMADDR_CID_ANY` and `VMADDR_PORT_ANY` are all ones
/// (include/uapi/linux/vm_sockets.h).
fn vsock_words((context, port): (u32, u32)) -> String {
    match (context, port) {
        (u32::MAX, u32::MAX) => "any".to_owned(),
        (u32::MAX, port) => format!("any:{port}"),
        (context, u32::MAX) => format!("{context}:any"),
        (context, port) => format!("{context}:{port}"),
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

fn queue(length: Option<u32>) -> String {
    length.map_or_else(|| "?".to_owned(), |length| length.to_string())
}
