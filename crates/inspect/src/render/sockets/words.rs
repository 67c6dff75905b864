//! Sockets and owners in words.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use crate::listing::{Row, Rows};
use crate::model::{
    Endpoint, ForeignText, NetworkNamespace, Owner, OwnerRef, OwnerStatus, Protocol, State, Uid,
    UnixAddress,
};
use crate::owners::Owners;
use crate::processes::About;
use crate::render::{Charset, Escaped, When};
use crate::sockets::{Address, Socket};

/// What the listing is told about numbers. What is not told stays a number.
pub trait Names: Sync {
    /// The name of a user.
    fn user(&self, _uid: Uid) -> Option<String> {
        None
    }
    /// The name of a host.
    fn host(&self, _address: IpAddr) -> Option<String> {
        None
    }
    /// The name of a service.
    fn service(&self, _port: u16, _protocol: Protocol) -> Option<String> {
        None
    }
    /// The name of a network namespace.
    fn netns(&self, _netns: NetworkNamespace) -> Option<String> {
        None
    }
    /// The name of an interface.
    fn interface(&self, _index: u32) -> Option<String> {
        None
    }
    /// What the process says of itself, where it was asked.
    fn process(&self, _owner: &Owner) -> Option<Arc<About>> {
        None
    }
    /// How moments are told.
    fn when(&self) -> Option<&When> {
        None
    }
}

/// Turns values into words for one output.
#[derive(Clone, Copy)]
pub(in crate::render) struct Text<'a> {
    pub(in crate::render) names: &'a dyn Names,
    pub(in crate::render) charset: Charset,
    /// Whether several owners stand one under the other; else they share the line.
    pub(in crate::render) stacked: bool,
    /// The words for some users: in a long table a few users are told again and again.
    users: &'a [(Uid, String)],
}

impl<'a> Text<'a> {
    pub(in crate::render) fn new(names: &'a dyn Names, charset: Charset, stacked: bool) -> Self {
        Self {
            names,
            charset,
            stacked,
            users: &[],
        }
    }

    /// The words for the users of these rows.
    pub(super) fn users_of(self, rows: &Rows<'_>) -> Vec<(Uid, String)> {
        let mut uids: Vec<Uid> = rows.iter().filter_map(|row| row.socket.uid).collect();
        uids.sort_unstable();
        uids.dedup();
        let known = uids.into_iter().map(|uid| {
            let mut words = String::new();
            self.user(&mut words, uid);
            (uid, words)
        });
        known.collect()
    }

    /// The same, with these words at hand.
    pub(super) fn with_users(self, users: &'a [(Uid, String)]) -> Self {
        Self { users, ..self }
    }
}

impl Text<'_> {
    pub(in crate::render) fn user(&self, out: &mut String, uid: Uid) {
        if let Ok(place) = self.users.binary_search_by_key(&uid, |known| known.0)
            && let Some((_, words)) = self.users.get(place)
        {
            out.push_str(words);
            return;
        }
        match self.names.user(uid) {
            Some(name) => self.foreign(out, name),
            None => number(out, uid.0),
        }
    }

    pub(super) fn netns(&self, out: &mut String, netns: NetworkNamespace) {
        match self.names.netns(netns) {
            Some(name) => self.foreign(out, name),
            None => {
                let _ = write!(out, "{netns}");
            }
        }
    }

    pub(super) fn interface(&self, out: &mut String, index: u32) {
        match self.names.interface(index) {
            Some(name) => self.foreign(out, name),
            None => {
                let _ = write!(out, "interface {index}");
            }
        }
    }

    fn foreign(&self, out: &mut String, name: String) {
        let name = ForeignText::new(name);
        let _ = write!(out, "{}", Escaped::name(&name, self.charset));
    }

    /// Several owners are separated by newlines where they are stacked, else by commas.
    pub(super) fn owners(
        &self,
        out: &mut String,
        owners: Owners<'_>,
        status: OwnerStatus,
        uid: Option<Uid>,
        state: State,
    ) {
        if owners.is_empty() {
            match status {
                OwnerStatus::Hidden => {
                    out.push_str("hidden");
                    if let Some(uid) = uid {
                        out.push_str(" (user ");
                        self.user(out, uid);
                        out.push(')');
                    }
                }
                OwnerStatus::Pending if state == State::SynRecv => {
                    out.push_str("none before the handshake ends");
                }
                OwnerStatus::Pending => out.push_str("waiting for accept()"),
                OwnerStatus::Kernel => out.push_str("kernel"),
                OwnerStatus::NotAsked => out.push_str("not asked for"),
                OwnerStatus::Known | OwnerStatus::Partial | OwnerStatus::None => {
                    out.push_str("none");
                }
            }
            return;
        }
        let separator = if self.stacked { "\n" } else { ", " };
        for (index, owner) in owners.refs().enumerate() {
            if index > 0 {
                out.push_str(separator);
            }
            write_owner(out, owner, self.charset);
        }
        if status == OwnerStatus::Partial {
            out.push_str(separator);
            out.push_str("perhaps others, hidden");
        }
    }

    pub(in crate::render) fn local(&self, out: &mut String, socket: &Socket) {
        match &socket.address {
            Address::Inet { local, .. } => self.endpoint(out, *local, socket.protocol),
            Address::Unix { name, .. } => unix_words(out, name, self.charset),
            Address::Netlink { protocol, port_id } => {
                let _ = match netlink_name(*protocol) {
                    Some(name) => write!(out, "{name}:{port_id}"),
                    None => write!(out, "protocol {protocol}:{port_id}"),
                };
            }
            Address::Packet { interface, .. } => match interface {
                0 => out.push_str("every interface"),
                index => self.interface(out, *index),
            },
            Address::Vsock { local, .. } => vsock_words(out, *local),
            Address::Tipc { reference } => {
                let _ = write!(out, "reference {reference}");
            }
        }
    }

    pub(super) fn remote(&self, out: &mut String, row: &Row<'_>) {
        // A unix socket's peer has the name that this side connected to.
        if matches!(row.socket.address, Address::Unix { .. })
            && let Some(peer) = row.peer()
        {
            self.local(out, peer.socket);
        } else {
            self.remote_of(out, row.socket);
        }
    }

    fn remote_of(&self, out: &mut String, socket: &Socket) {
        match &socket.address {
            Address::Inet { remote, .. } => {
                let protocol = socket.protocol;
                if remote.is_unspecified()
                    || (protocol == Protocol::Raw && remote.address.is_unspecified())
                {
                    out.push_str("any");
                } else {
                    self.endpoint(out, *remote, protocol);
                }
            }
            Address::Unix { peer, .. } => match (socket.state, peer) {
                (_, Some(inode)) => {
                    let _ = write!(out, "socket {inode}");
                }
                (State::Listen | State::Unconnected, None) => out.push_str("any"),
                (State::Closed, None) => out.push_str("none"),
                // /proc/net/unix does not tell which socket is the other end.
                (_, None) => out.push_str("unknown"),
            },
            Address::Netlink { .. } => out.push_str("kernel"),
            Address::Packet { ethertype, .. } => match ethertype {
                3 => out.push_str("any"), // ETH_P_ALL
                other => {
                    let _ = write!(out, "ethertype 0x{other:04x}");
                }
            },
            Address::Vsock { remote, .. } => vsock_words(out, *remote),
            Address::Tipc { .. } => out.push_str("any"),
        }
    }

    /// The address alone.
    pub(in crate::render) fn host(&self, out: &mut String, end: Endpoint) {
        match end.address {
            IpAddr::V4(address) if address.is_unspecified() => out.push_str("any"),
            IpAddr::V6(address) if address.is_unspecified() => out.push_str("[any]"),
            address => match (self.names.host(address), address) {
                (Some(name), _) => self.foreign(out, name),
                (None, IpAddr::V4(address)) => {
                    // Written out: the most common cell of all, and `Display` is slower.
                    for (index, octet) in address.octets().into_iter().enumerate() {
                        if index > 0 {
                            out.push('.');
                        }
                        number(out, octet.into());
                    }
                }
                (None, IpAddr::V6(address)) => {
                    let _ = match end.scope {
                        Some(scope) => write!(out, "[{address}%{scope}]"),
                        None => write!(out, "[{address}]"),
                    };
                }
            },
        }
    }

    pub(in crate::render) fn endpoint(&self, out: &mut String, end: Endpoint, protocol: Protocol) {
        self.host(out, end);
        out.push_str(match protocol {
            Protocol::Icmp => " id ",
            Protocol::Raw => " protocol ",
            _ => ":",
        });
        match self.names.service(end.port, protocol) {
            Some(name) => self.foreign(out, name),
            None => number(out, end.port.into()),
        }
    }
}

fn number(out: &mut String, number: u32) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Local and remote end of a socket, in numbers.
pub fn ends_words(socket: &Socket, charset: Charset) -> (String, String) {
    let text = Text::new(&Numbers, charset, false);
    let (mut local, mut remote) = (String::new(), String::new());
    text.local(&mut local, socket);
    text.remote_of(&mut remote, socket);
    (local, remote)
}

/// No names at all.
#[derive(Debug, Clone, Copy)]
pub struct Numbers;

impl Names for Numbers {}

/// `name[pid] fd N`, everywhere the same; a thread with its own descriptor table adds its id.
pub fn owner_words(owner: &Owner, charset: Charset) -> String {
    let mut text = String::new();
    write_owner(&mut text, owner.by_ref(), charset);
    text
}

fn write_owner(out: &mut String, owner: OwnerRef<'_>, charset: Charset) {
    let _ = write!(out, "{}", Escaped::process(owner.command, charset));
    out.push('[');
    number(out, owner.pid.0);
    out.push(']');
    if owner.tid != owner.pid {
        out.push_str(" thread ");
        number(out, owner.tid.0);
    }
    out.push_str(" fd ");
    number(out, owner.fd.0);
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
fn vsock_words(out: &mut String, (context, port): (u32, u32)) {
    let part = |out: &mut String, value: u32| match value {
        u32::MAX => out.push_str("any"),
        value => number(out, value),
    };
    part(out, context);
    if (context, port) != (u32::MAX, u32::MAX) {
        out.push(':');
        part(out, port);
    }
}

fn unix_words(out: &mut String, address: &UnixAddress, charset: Charset) {
    let _ = match address {
        UnixAddress::Path(path) => write!(out, "{}", Escaped::name(path, charset)),
        UnixAddress::Abstract(name) => write!(out, "@{}", Escaped::name(name, charset)),
        UnixAddress::Unnamed => write!(out, "unnamed"),
    };
}
