//! What sock_diag(7) says: bytes of netlink <-> sockets. Pure; `source/diag.rs` carries the
//! bytes.
//!
//! | file | |
//! |---|---|
//! | `message` | how netlink frames messages and attributes |
//! | `request` | what is sent to the kernel for a table |
//! | `filter`, `bytecode` | the part of a selection that the kernel can decide, and how it is told |
//! | `exchange` | a table is asked for, again where it changed meanwhile, and told of where it is not whole |
//! | `share` | the same, divided between two threads |
//! | `dump` | the answers to one request -> sockets, each once, and what went wrong |
//! | `inet`, `unix`, `netlink`, `packet`, `vsock` | one message of each family -> a socket |
//! | `tcp_info`, `memory` | the structures that some attributes hold |

mod bytecode;
mod bytes;
mod dump;
mod exchange;
mod filter;
mod inet;
mod memory;
mod message;
mod netlink;
mod packet;
mod request;
mod share;
mod tcp_info;
mod unix;
mod vsock;

#[cfg(test)]
mod tests;

use super::{Detail, Details, Socket, Table};
use crate::model::{Inode, NetworkNamespace};
use message::BadMessage;

pub(super) use exchange::{Exchange, Refused, Wire};
pub(super) use share::{Share, divides};

/// What one dump lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One table.
    Table(Table),
    /// TCP over both versions of IP. The kernel keeps them in one hash table, and goes through
    /// it for each dump: asking once instead of twice spares a quarter of the time of 100,000
    /// sockets.
    Tcp,
}

impl Scope {
    /// The tables it lists.
    pub(super) fn tables(&self) -> &[Table] {
        match self {
            Self::Table(table) => std::slice::from_ref(table),
            Self::Tcp => &[Table::Tcp, Table::Tcp6],
        }
    }

    /// The first of its tables; the others are of the same protocol.
    pub(super) fn table(&self) -> Table {
        match self {
            Self::Table(table) => *table,
            Self::Tcp => Table::Tcp,
        }
    }
}

/// What was asked, as far as the answer has to know it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// What is dumped.
    pub(super) scope: Scope,
    /// The details that are kept.
    pub(super) details: Details,
    /// The namespace that answers.
    pub(super) netns: Option<NetworkNamespace>,
    /// [`Detail::autobound`] of each socket, where the request divided them by it.
    pub(super) autobound: Option<bool>,
}

/// One message -> the socket it describes.
fn decode(message: &[u8], asked: &Asked) -> Result<Socket, BadMessage> {
    match asked.scope.table() {
        Table::Unix => unix::decode(message, asked),
        Table::Netlink => netlink::decode(message, asked),
        Table::Packet => packet::decode(message, asked),
        Table::Vsock => vsock::decode(message, asked),
        _ => inet::decode(message, asked),
    }
}

/// sock_diag has 32 bits for an inode number, and 0 for none.
fn inode(number: u32) -> Option<Inode> {
    (number != 0).then(|| Inode(number.into()))
}

/// A box only for a socket of which there is something to say.
fn boxed(detail: Detail) -> Option<Box<Detail>> {
    (detail != Detail::default()).then(|| Box::new(detail))
}
