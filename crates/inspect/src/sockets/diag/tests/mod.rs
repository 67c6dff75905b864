//! Decoders on bytes that were recorded from a kernel (`recorded/`), and on any others.

mod dumps;
mod exchanges;
mod families;
mod filters;
mod hostile;

use std::net::IpAddr;

use super::super::{Address, Details, Socket, Table};
use super::message::{BadMessage, SOCK_DIAG_BY_FAMILY};
use super::{Asked, Scope};
use crate::model::{Endpoint, NetworkNamespace};

/// Every message that was recorded, and the table it belongs to.
const RECORDED: [(&str, Table); 18] = [
    (include_str!("recorded/tcp-established.hex"), Table::Tcp),
    (include_str!("recorded/tcp-waiting.hex"), Table::Tcp),
    (include_str!("recorded/tcp-listen.hex"), Table::Tcp),
    (include_str!("recorded/tcp-bound.hex"), Table::Tcp),
    (include_str!("recorded/tcp-time-wait.hex"), Table::Tcp),
    (include_str!("recorded/tcp-syn-recv.hex"), Table::Tcp),
    (include_str!("recorded/tcp-subflow.hex"), Table::Tcp),
    (include_str!("recorded/tcp6-listen.hex"), Table::Tcp6),
    (include_str!("recorded/udp-connected.hex"), Table::Udp),
    (include_str!("recorded/udp6-link-local.hex"), Table::Udp6),
    (include_str!("recorded/mptcp-established.hex"), Table::Mptcp),
    (include_str!("recorded/unix-listen.hex"), Table::Unix),
    (include_str!("recorded/unix-pending.hex"), Table::Unix),
    (include_str!("recorded/unix-abstract.hex"), Table::Unix),
    (include_str!("recorded/unix-connected.hex"), Table::Unix),
    (include_str!("recorded/unix-seqpacket.hex"), Table::Unix),
    (include_str!("recorded/netlink.hex"), Table::Netlink),
    (include_str!("recorded/packet.hex"), Table::Packet),
];

const NAMESPACE: NetworkNamespace = NetworkNamespace(4_026_531_840);

/// The bytes of a recorded message; `#` begins a comment.
fn bytes(hex: &str) -> Vec<u8> {
    hex.lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(str::split_whitespace)
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

/// A machine may have hundreds of thousands.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_socket_is_small() {
    assert!(size_of::<Socket>() <= 152);
}

fn asked(table: Table, details: Details) -> Asked {
    Asked {
        scope: Scope::Table(table),
        details,
        netns: Some(NAMESPACE),
        autobound: None,
    }
}

const NO_DETAILS: Details = Details {
    timers: false,
    memory: false,
    tcp: false,
    extended: false,
};
const ALL_DETAILS: Details = Details {
    timers: true,
    memory: true,
    tcp: true,
    extended: true,
};

fn decode(table: Table, message: &[u8], details: Details) -> Result<Socket, BadMessage> {
    super::decode(message, &asked(table, details))
}

/// A recorded message, without details and with all.
fn recorded(table: Table, hex: &str) -> (Socket, Socket) {
    let message = bytes(hex);
    (
        decode(table, &message, NO_DETAILS).unwrap(),
        decode(table, &message, ALL_DETAILS).unwrap(),
    )
}

fn inet(local: (&str, u16), remote: (&str, u16)) -> Address {
    let end = |(address, port): (&str, u16)| {
        let address: IpAddr = address.parse().unwrap();
        Endpoint::new(address, port)
    };
    Address::Inet {
        local: end(local),
        remote: end(remote),
    }
}

/// A netlink message.
pub(super) fn framed(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).unwrap();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(payload);
    message.resize(message.len().next_multiple_of(4), 0);
    message
}

/// A message about a socket, in the answer to the request 7.
fn about_socket(message: &[u8]) -> Vec<u8> {
    framed(SOCK_DIAG_BY_FAMILY, 2, 7, message)
}

/// An attribute, as it stands behind a message.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
