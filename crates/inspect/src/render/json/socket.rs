//! The `socket` record.

use serde::Serialize;

use super::detail::DetailRecord;
use super::{EndpointRecord, OwnerRecord, Time, exact};
use crate::listing::Row;
use crate::model::{Timestamp, UnixAddress};
use crate::sockets::Address;

/// One socket with its owners.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "socket")]
pub struct SocketRecord<'a> {
    time: Time,
    family: &'static str,
    protocol: &'static str,
    state: &'static str,
    #[serde(flatten)]
    address: AddressRecord<'a>,
    interface: Option<String>,
    recv_queue: Option<u32>,
    send_queue: Option<u32>,
    inode: Option<u64>,
    cookie: Option<Hexadecimal>,
    uid: Option<u32>,
    user: Option<&'a str>,
    netns: Option<u64>,
    pub(super) owners: Vec<OwnerRecord<'a>>,
    owner_status: &'static str,
    peer: Option<PeerRecord<'a>>,
    #[serde(flatten)]
    detail: DetailRecord,
}

/// A change between two looks: `opened`, `changed` or `closed`.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeRecord<'a> {
    /// The kind of change.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The socket, as it was last seen.
    pub socket: SocketRecord<'a>,
    /// Its state before, where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_before: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum AddressRecord<'a> {
    Inet {
        local: EndpointRecord,
        remote: EndpointRecord,
    },
    Unix {
        kind: &'static str,
        path: Option<std::borrow::Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        path_base64: Option<String>,
    },
    Netlink {
        netlink_protocol: u8,
        port_id: u32,
    },
    Packet {
        ethertype: u16,
        interface_index: Option<u32>,
    },
    Vsock {
        local_context: u32,
        local_port: u32,
        remote_context: u32,
        remote_port: u32,
    },
    Tipc {
        reference: u32,
    },
}

/// The other end of a connection within this machine.
#[derive(Debug, Clone, Serialize)]
pub struct PeerRecord<'a> {
    inode: Option<u64>,
    owners: Vec<OwnerRecord<'a>>,
    owner_status: &'static str,
}

impl<'a> SocketRecord<'a> {
    /// A row seen at `at`, with the names of its user and of the interface it is bound to.
    pub fn new(
        row: &Row<'a>,
        at: Timestamp,
        user: Option<&'a str>,
        interface: Option<String>,
    ) -> Self {
        let socket = row.socket;
        Self {
            time: Time(at),
            family: socket.family.word(),
            protocol: socket.protocol.word(),
            state: socket.state.word(),
            address: (&socket.address).into(),
            interface,
            recv_queue: socket.recv_queue,
            send_queue: socket.send_queue,
            inode: socket.inode.map(|inode| inode.0),
            cookie: socket.cookie.map(|cookie| Hexadecimal(cookie.0)),
            uid: socket.uid.map(|uid| uid.0),
            user,
            netns: socket.netns.map(|netns| netns.0),
            owners: row.owners.refs().map(Into::into).collect(),
            owner_status: row.owner_status.word(),
            peer: row.peer().map(Into::into),
            detail: socket.detail.as_deref().map(Into::into).unwrap_or_default(),
        }
    }
}

/// As text: it may exceed what a number of JSON can be.
#[derive(Debug, Clone, Copy)]
struct Hexadecimal(u64);

impl Serialize for Hexadecimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:x}", self.0))
    }
}

impl<'a> From<&'a Address> for AddressRecord<'a> {
    fn from(address: &'a Address) -> Self {
        let (kind, path) = match address {
            Address::Inet { local, remote } => {
                return Self::Inet {
                    local: (*local).into(),
                    remote: (*remote).into(),
                };
            }
            Address::Netlink { protocol, port_id } => {
                return Self::Netlink {
                    netlink_protocol: *protocol,
                    port_id: *port_id,
                };
            }
            Address::Packet {
                ethertype,
                interface,
            } => {
                return Self::Packet {
                    ethertype: *ethertype,
                    interface_index: (*interface != 0).then_some(*interface),
                };
            }
            Address::Vsock { local, remote } => {
                return Self::Vsock {
                    local_context: local.0,
                    local_port: local.1,
                    remote_context: remote.0,
                    remote_port: remote.1,
                };
            }
            Address::Tipc { reference } => {
                return Self::Tipc {
                    reference: *reference,
                };
            }
            Address::Unix { name, .. } => match name {
                UnixAddress::Path(path) => ("path", Some(path)),
                UnixAddress::Abstract(name) => ("abstract", Some(name)),
                UnixAddress::Unnamed => ("unnamed", None),
            },
        };
        Self::Unix {
            kind,
            path: path.map(|path| path.to_lossy()),
            path_base64: path.and_then(exact),
        }
    }
}

impl<'a> From<Row<'a>> for PeerRecord<'a> {
    fn from(peer: Row<'a>) -> Self {
        Self {
            inode: peer.socket.inode.map(|inode| inode.0),
            owners: peer.owners.refs().map(Into::into).collect(),
            owner_status: peer.owner_status.word(),
        }
    }
}
