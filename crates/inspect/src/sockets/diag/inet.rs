//! A message about an IP socket: `struct inet_diag_msg` and its attributes
//! (include/uapi/linux/inet_diag.h; filled by net/ipv4/inet_diag.c `inet_sk_diag_fill`,
//! `inet_twsk_diag_fill`, `inet_req_diag_fill`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::{Address, Detail, Socket, Timer, TimerKind};
use super::bytes::{array_at, be16_at, cookie_at, u8_at, u32_at, u64_at};
use super::memory::{memory, shutdown};
use super::message::{Attributes, BadMessage};
use super::{Asked, boxed, inode, tcp_info};
use crate::model::{Cookie, Endpoint, Family, ForeignText, Protocol, State, Uid};

/// `sizeof(struct inet_diag_msg)`: family u8, state u8, timer u8, retransmits u8; the id
/// (ports be16 at 4 and 6, addresses be32[4] at 8 and 24, interface u32 at 40, cookie u32[2] at
/// 44); expires, receive queue, send queue, user, inode, each u32, from 52.
pub(super) const FIXED: usize = 72;

const INFO: u16 = 2;
const CONG: u16 = 4;
const SKMEMINFO: u16 = 7;
const SHUTDOWN: u16 = 8;
const PROTOCOL: u16 = 10;
const SKV6ONLY: u16 = 11;
const MARK: u16 = 15;
const ULP_INFO: u16 = 19;
const CGROUP_ID: u16 = 21;
/// Within ULP_INFO.
const ULP_NAME: u16 = 1;

/// `TCP_ESTABLISHED` and `TCP_CLOSE` (include/net/tcp_states.h): the only states of sockets
/// without connections.
const ESTABLISHED: u8 = 1;
const CLOSE: u8 = 7;

pub(super) fn decode(message: &[u8], asked: &Asked) -> Result<Socket, BadMessage> {
    let fixed = message.get(..FIXED).ok_or(BadMessage::Short)?;
    let short = || BadMessage::Short;
    let byte = |offset| u8_at(fixed, offset).ok_or_else(short);
    let word = |offset| u32_at(fixed, offset).ok_or_else(short);
    let family = match byte(0)? {
        2 => Family::Inet,
        10 => Family::Inet6,
        other => return Err(BadMessage::Family(other)),
    };
    let interface = word(40)?;
    let end = |port, address| endpoint(fixed, family, port, address, interface).ok_or_else(short);
    let (local, remote) = (end(4, 8)?, end(6, 24)?);
    let protocol = asked.scope.table().protocol().unwrap_or(Protocol::Raw);
    let state = state(protocol, byte(1)?, &local, &remote)?;
    let inode = inode(word(68)?);
    let uid = word(64)?;
    Ok(Socket {
        family,
        protocol,
        state,
        address: Address::Inet { local, remote },
        recv_queue: Some(word(56)?),
        send_queue: Some(word(60)?),
        inode,
        cookie: cookie_at(fixed, 44).map(Cookie),
        // Without an inode 0 is written for want of a user: TIME_WAIT and SYN_RECV always, and
        // before Linux 6.17 what is orphaned or not accepted yet (`sock_i_uid`).
        uid: (inode.is_some() || uid != 0).then_some(Uid(uid)),
        netns: asked.netns,
        interface: Some(interface),
        detail: detail(message, protocol, state, asked)?,
    })
}

fn endpoint(
    fixed: &[u8],
    family: Family,
    port: usize,
    address: usize,
    interface: u32,
) -> Option<Endpoint> {
    let address = match family {
        Family::Inet => IpAddr::V4(Ipv4Addr::from(array_at::<4>(fixed, address)?)),
        _ => IpAddr::V6(Ipv6Addr::from(array_at::<16>(fixed, address)?)),
    };
    // A socket with a link-local address is bound to its interface (net/ipv6/af_inet6.c
    // `__inet6_bind`, net/ipv6/tcp_ipv6.c `tcp_v6_connect`).
    let scoped = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    Some(Endpoint {
        address,
        port: be16_at(fixed, port)?,
        scope: (scoped && interface != 0).then_some(interface),
    })
}

fn state(
    protocol: Protocol,
    number: u8,
    local: &Endpoint,
    remote: &Endpoint,
) -> Result<State, BadMessage> {
    if matches!(protocol, Protocol::Tcp | Protocol::Mptcp) {
        return match number {
            // The answer to TCP_BOUND_INACTIVE (Linux 6.8) carries the socket's own state, CLOSE.
            // One that has lost its connection keeps the port it was bound to, and its peer.
            CLOSE if local.port != 0 && remote.is_unspecified() => Ok(State::Bound),
            other => State::from_tcp_number(other).ok_or(BadMessage::State(other)),
        };
    }
    match number {
        ESTABLISHED => Ok(State::Established),
        CLOSE => Ok(State::Unconnected),
        other => Err(BadMessage::State(other)),
    }
}

fn detail(
    message: &[u8],
    protocol: Protocol,
    state: State,
    asked: &Asked,
) -> Result<Option<Box<Detail>>, BadMessage> {
    let wanted = &asked.details;
    let mut detail = Detail::default();
    // What has no lock on its port, because it has no socket, says nothing of who chose it.
    if !matches!(state, State::TimeWait | State::SynRecv) {
        detail.autobound = asked.autobound;
    }
    if wanted.timers && matches!(protocol, Protocol::Tcp | Protocol::Mptcp) {
        detail.timer = timer(message);
    }
    for attribute in Attributes::after(message, FIXED) {
        let (kind, value) = attribute?;
        match kind {
            // Told of listeners and unconnected sockets only: rare enough to keep always, and it
            // decides whom a port belongs to.
            SKV6ONLY => detail.v6_only = u8_at(value, 0).map(|flag| flag != 0),
            // Of a listener it holds the accept queue in the fields of a window.
            INFO if wanted.tcp && protocol == Protocol::Tcp && state != State::Listen => {
                detail.tcp = Some(Box::new(tcp_info::decode(value)));
            }
            CONG if wanted.tcp => detail.congestion = Some(text(value)),
            SKMEMINFO if wanted.memory => detail.memory = Some(memory(value)),
            SHUTDOWN if wanted.extended => detail.shutdown = u8_at(value, 0).map(shutdown),
            PROTOCOL if wanted.extended => detail.raw_protocol = u8_at(value, 0),
            MARK if wanted.extended => detail.mark = u32_at(value, 0),
            CGROUP_ID if wanted.extended => detail.cgroup = u64_at(value, 0),
            ULP_INFO if wanted.extended => detail.rides = rides(value)?,
            _ => {}
        }
    }
    Ok(boxed(detail))
}

/// The kernel subtracts its clock from the time the timer is due, and before Linux 4.16 made a
/// huge number of one that is late.
const LATE: u32 = 1 << 31;

fn timer(message: &[u8]) -> Option<Timer> {
    let kind = match u8_at(message, 2)? {
        0 => TimerKind::Off,
        1 => TimerKind::Retransmit,
        2 => TimerKind::Keepalive,
        3 => TimerKind::TimeWait,
        4 => TimerKind::Persist,
        other => TimerKind::Other(other),
    };
    let expires_ms = u32_at(message, 52)?;
    Some(Timer {
        kind,
        expires_ms: if expires_ms < LATE { expires_ms } else { 0 },
        retransmits: u8_at(message, 3)?,
    })
}

/// The protocol above TCP (net/ipv4/tcp_diag.c `tcp_diag_put_ulp`): of a subflow it is `mptcp`.
fn rides(ulp: &[u8]) -> Result<Option<Protocol>, BadMessage> {
    for attribute in Attributes::after(ulp, 0) {
        let (kind, value) = attribute?;
        if kind == ULP_NAME && text(value).as_bytes() == b"mptcp" {
            return Ok(Some(Protocol::Mptcp));
        }
    }
    Ok(None)
}

/// Text that ends with a NUL byte.
fn text(bytes: &[u8]) -> ForeignText {
    ForeignText::new(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
}
