//! What no table tells of sockets: SO_REUSEADDR, SO_REUSEPORT, and more of IPV6_V6ONLY.
//!
//! A descriptor borrowed from an owner tells all; a kernel program tells it without one, also of
//! sockets that nobody holds any more. Each is asked only for what the one before left open; who
//! may do neither is not told.

use std::collections::{HashMap, HashSet};

use crate::app::look::Eyes;
use crate::bpf;
use crate::listing::Row;
use crate::model::{Endpoint, Inode, Protocol, State};
use crate::processes::{SocketOptions, socket_options};
use crate::sockets::Socket;

/// So many descriptors are borrowed, each at the price of some system calls.
const BORROWED: usize = 200;

/// Options of sockets.
#[derive(Debug, Default)]
pub(super) struct Options {
    by_inode: HashMap<Inode, SocketOptions>,
    /// Of TCP, by both ends.
    by_ends: HashMap<(Endpoint, Endpoint), SocketOptions>,
}

impl Options {
    /// Asks for the options of these sockets, of one port each.
    pub(super) fn read(rows: &[Row<'_>], eyes: &Eyes) -> Self {
        let mut options = Self::default();
        if eyes.recorded() {
            return options;
        }
        options.borrow(rows);
        options.ask_for_tcp(rows, eyes);
        options.ask_for_the_rest(rows);
        options
    }

    /// What is known of a socket.
    pub(super) fn of(&self, socket: &Socket) -> SocketOptions {
        self.find(socket).copied().unwrap_or_default()
    }

    fn find(&self, socket: &Socket) -> Option<&SocketOptions> {
        let by_inode = socket.inode.and_then(|inode| self.by_inode.get(&inode));
        by_inode.or_else(|| {
            let ends = socket.endpoints().filter(|_| is_tcp(socket))?;
            self.by_ends.get(&unscoped(ends))
        })
    }

    /// Those of which nothing is known yet, and that matter to a bind().
    fn open<'a>(&self, rows: &'a [Row<'_>]) -> impl Iterator<Item = &'a Socket> {
        rows.iter()
            .map(|row| row.socket)
            .filter(|socket| socket.state != State::SynRecv && self.find(socket).is_none())
    }

    fn borrow(&mut self, rows: &[Row<'_>]) {
        let mut asked: HashSet<Inode> = HashSet::new();
        for row in rows {
            let Some(inode) = row.socket.inode else {
                continue;
            };
            if asked.len() >= BORROWED {
                break;
            }
            if !asked.insert(inode) {
                continue;
            }
            // Any of the owners will do: the socket is the same.
            let mut owners = row.owners;
            let found = owners.find_map(|owner| socket_options(owner.tid, owner.fd, inode));
            self.by_inode.extend(found.map(|options| (inode, options)));
        }
    }

    fn ask_for_tcp(&mut self, rows: &[Row<'_>], eyes: &Eyes) {
        let open = self.open(rows).filter(|socket| is_tcp(socket));
        let ports: HashSet<u16> = open
            .filter_map(|socket| Some(socket.endpoints()?.0.port))
            .collect();
        if ports.is_empty() {
            return;
        }
        let ports: Vec<u16> = ports.into_iter().collect();
        // The kernel lists the namespace of who asks.
        let found = eyes.inside(|_| bpf::tcp_sockets(&ports).unwrap_or_default());
        for socket in found.unwrap_or_default() {
            let options = SocketOptions {
                reuse_address: Some(socket.reuse_address),
                reuse_port: Some(socket.reuse_port),
                v6_only: socket.local.address.is_ipv6().then_some(socket.v6_only),
            };
            let ends = (socket.local, socket.remote);
            // Several listeners may share an address, and be told apart by nothing here.
            self.by_ends
                .entry(ends)
                .and_modify(|known| *known = agreed(*known, options))
                .or_insert(options);
        }
    }

    fn ask_for_the_rest(&mut self, rows: &[Row<'_>]) {
        let inodes: Vec<Inode> = self.open(rows).filter_map(|socket| socket.inode).collect();
        if inodes.is_empty() {
            return;
        }
        for (inode, sock) in bpf::socks_of(&inodes).unwrap_or_default() {
            let options = SocketOptions {
                reuse_address: Some(sock.reuse_address),
                reuse_port: Some(sock.reuse_port),
                v6_only: None,
            };
            self.by_inode.insert(inode, options);
        }
    }
}

fn is_tcp(socket: &Socket) -> bool {
    socket.protocol == Protocol::Tcp
}

/// What is true of both.
fn agreed(one: SocketOptions, other: SocketOptions) -> SocketOptions {
    let same = |one: Option<bool>, other| one.filter(|_| one == other);
    SocketOptions {
        reuse_address: same(one.reuse_address, other.reuse_address),
        reuse_port: same(one.reuse_port, other.reuse_port),
        v6_only: same(one.v6_only, other.v6_only),
    }
}

/// The kernel program knows no scope.
fn unscoped((local, remote): (Endpoint, Endpoint)) -> (Endpoint, Endpoint) {
    let plain = |end: Endpoint| Endpoint::new(end.address, end.port);
    (plain(local), plain(remote))
}

#[cfg(test)]
impl FromIterator<(Inode, SocketOptions)> for Options {
    fn from_iter<T: IntoIterator<Item = (Inode, SocketOptions)>>(known: T) -> Self {
        Self {
            by_inode: known.into_iter().collect(),
            by_ends: HashMap::new(),
        }
    }
}
