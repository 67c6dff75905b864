//! Rows of a port -> who has it, and what that means for a bind().

use std::collections::HashMap;

use super::Surroundings;
use super::options::Options;
use crate::app::look::Eyes;
use crate::diagnosis::bind::{self, Bound};
use crate::diagnosis::reach::{Reach, Waiting};
use crate::listing::{Row, Side};
use crate::model::{Protocol, State};
use crate::processes::SocketOptions;
use crate::render::port::{Use, waits};
use crate::sockets::Socket;

/// Whether a socket has the port on its side.
pub(super) fn has_port(row: &Row<'_>, protocol: Protocol, port: u16) -> bool {
    row.socket.protocol == protocol
        && row
            .socket
            .endpoints()
            .is_some_and(|(local, _)| local.port == port)
}

/// Those that wait first: they matter most.
pub(super) fn sort(rows: &mut [Row<'_>]) {
    rows.sort_by_key(|row| (!waits(row), row.socket.state, row.socket.endpoints()));
}

/// Who has a port of one protocol: its sockets in order, and what no table tells of them.
pub(super) fn use_of<'a>(
    number: u16,
    protocol: Protocol,
    rows: Vec<Row<'a>>,
    options: &Options,
    surroundings: &Surroundings,
) -> Use<'a> {
    let mut places: HashMap<Bound, usize> = HashMap::new();
    let mut bound: Vec<Bound> = Vec::new();
    let mut bound_of = Vec::with_capacity(rows.len());
    for row in &rows {
        let one = as_bound(row, options.of(row.socket));
        let place = *places.entry(one.clone()).or_insert_with(|| {
            bound.push(one);
            bound.len() - 1
        });
        bound_of.push(place);
    }
    let waiting = rows
        .iter()
        .zip(&bound_of)
        .filter(|(row, _)| waits(row))
        .filter_map(|(_, place)| bound.get(*place));
    let reach = reach(waiting, surroundings);
    let asked = bind::usual(protocol, surroundings.uid, &bound);
    let asks: Vec<bind::Ask> = asked.iter().map(|it| it.ask).collect();
    let obstacles = bind::obstacles(
        &asks,
        number,
        &bound,
        &surroundings.limits,
        surroundings.may_bind_low,
    );
    Use {
        protocol,
        rows,
        bound,
        bound_of,
        reach,
        asked,
        obstacles,
    }
}

fn reach<'a>(waiting: impl Iterator<Item = &'a Bound>, surroundings: &Surroundings) -> Reach {
    let waiting = waiting.map(|bound| Waiting {
        address: bound.address,
        interface: bound.interface,
        v6_only: bound.v6_only,
    });
    Reach::of(waiting, surroundings.addresses.as_deref())
}

/// From where sockets that wait can be reached.
pub(super) fn reach_of(rows: &[Row<'_>], eyes: &Eyes, surroundings: &Surroundings) -> Reach {
    // Options matter here only where it is not told whether `::` is of IPv4 as well.
    let open = rows.iter().any(|row| {
        let bound = as_bound(row, SocketOptions::default());
        bound.v6_only.is_none()
    });
    let options = if open {
        Options::read(rows, eyes)
    } else {
        Options::default()
    };
    let bound: Vec<Bound> = rows
        .iter()
        .map(|row| as_bound(row, options.of(row.socket)))
        .collect();
    reach(bound.iter(), surroundings)
}

fn as_bound(row: &Row<'_>, options: SocketOptions) -> Bound {
    let socket = row.socket;
    let local = socket.endpoints().map(|(local, _)| local);
    let address = local.map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |it| it.address);
    Bound {
        protocol: socket.protocol,
        address,
        state: socket.state,
        interface: socket.interface,
        v6_only: v6_only(socket, address, options),
        reuse_address: options.reuse_address,
        reuse_port: options.reuse_port,
        uid: socket.uid,
        outgoing: outgoing(row),
    }
}

fn v6_only(socket: &Socket, address: std::net::IpAddr, options: SocketOptions) -> Option<bool> {
    if address.to_canonical().is_ipv4() {
        return Some(false);
    }
    let told = socket.detail.as_ref().and_then(|detail| detail.v6_only);
    told.or(options.v6_only).or_else(|| {
        // The kernel sets it for every bind() to one address of IPv6 (net/ipv6/af_inet6.c).
        let by_bind = matches!(
            socket.state,
            State::Listen | State::Bound | State::Unconnected
        );
        (by_bind && !address.is_unspecified()).then_some(true)
    })
}

/// Whether this machine opened the connection.
fn outgoing(row: &Row<'_>) -> Option<bool> {
    let socket = row.socket;
    if waits(row) {
        return Some(false);
    }
    match (socket.state, row.side) {
        (State::SynSent, _) | (_, Side::Client) => Some(true),
        (State::SynRecv, _) | (_, Side::Server) => Some(false),
        _ => None,
    }
}
