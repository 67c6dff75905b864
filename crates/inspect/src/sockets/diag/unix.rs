//! A message about a unix socket: `struct unix_diag_msg` and its attributes
//! (include/uapi/linux/unix_diag.h; filled by net/unix/diag.c `sk_diag_fill`).

use super::super::{Address, Detail, Socket};
use super::bytes::{cookie_at, u8_at, u32_at};
use super::memory::{memory, shutdown};
use super::message::{Attributes, BadMessage};
use super::{Asked, boxed, inode};
use crate::model::{Cookie, Family, ForeignText, Inode, Protocol, State, Uid, UnixAddress};

/// `sizeof(struct unix_diag_msg)`: family u8, type u8, state u8, padding; inode u32; cookie
/// u32[2].
const FIXED: usize = 16;

const NAME: u16 = 0;
const PEER: u16 = 2;
const ICONS: u16 = 3;
const RQLEN: u16 = 4;
const MEMINFO: u16 = 5;
const SHUTDOWN: u16 = 6;
const UID: u16 = 7;

const AF_UNIX: u8 = 1;

pub(super) fn decode(message: &[u8], asked: &Asked) -> Result<Socket, BadMessage> {
    let short = || BadMessage::Short;
    let fixed = message.get(..FIXED).ok_or_else(short)?;
    let byte = |offset| u8_at(fixed, offset).ok_or_else(short);
    if byte(0)? != AF_UNIX {
        return Err(BadMessage::Family(byte(0)?));
    }
    let protocol = match byte(1)? {
        1 => Protocol::UnixStream,
        2 => Protocol::UnixDatagram,
        5 => Protocol::UnixSeqpacket,
        other => return Err(BadMessage::SocketType(other)),
    };
    let mut name = UnixAddress::Unnamed;
    let mut peer = None;
    let mut connected = false;
    let (mut recv_queue, mut send_queue, mut uid) = (None, None, None);
    let mut detail = Detail::default();
    for attribute in Attributes::after(message, FIXED) {
        let (kind, value) = attribute?;
        match kind {
            NAME => name = address(value),
            PEER => {
                connected = true;
                peer = inode(u32_at(value, 0).ok_or_else(short)?);
            }
            RQLEN => {
                recv_queue = Some(u32_at(value, 0).ok_or_else(short)?);
                send_queue = Some(u32_at(value, 4).ok_or_else(short)?);
            }
            UID => uid = Some(Uid(u32_at(value, 0).ok_or_else(short)?)),
            MEMINFO if asked.details.memory => detail.memory = Some(memory(value)),
            SHUTDOWN if asked.details.extended => {
                detail.shutdown = u8_at(value, 0).map(shutdown);
            }
            _ => {}
        }
    }
    Ok(Socket {
        family: Family::Unix,
        protocol,
        state: state(protocol, byte(2)?, connected)?,
        address: Address::Unix { name, peer },
        recv_queue,
        send_queue,
        inode: inode(u32_at(fixed, 4).ok_or_else(short)?),
        cookie: cookie_at(fixed, 8).map(Cookie),
        uid,
        netns: asked.netns,
        interface: None,
        detail: boxed(detail),
    })
}

/// The kernel borrows TCP's numbers (include/net/tcp_states.h), of which it uses these. Until
/// Linux 5.14 a datagram socket with a peer was in CLOSE too.
fn state(protocol: Protocol, number: u8, connected: bool) -> Result<State, BadMessage> {
    Ok(match (number, protocol) {
        (1, _) => State::Established,
        (10, _) => State::Listen,
        (7, Protocol::UnixDatagram) if connected => State::Established,
        (7, Protocol::UnixDatagram) => State::Unconnected,
        (7, _) => State::Closed,
        // `unix_stream_connect` while it waits for room in the listener's queue.
        (2, _) => State::SynSent,
        (other, _) => return Err(BadMessage::State(other)),
    })
}

/// `sun_path` (unix(7)): a path ends with a NUL byte, and may hold anything else; a name that
/// begins with one is abstract, and may hold more of them.
fn address(sun_path: &[u8]) -> UnixAddress {
    match sun_path {
        [] => UnixAddress::Unnamed,
        [0, name @ ..] => UnixAddress::Abstract(ForeignText::new(name)),
        path => {
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            UnixAddress::Path(ForeignText::new(path))
        }
    }
}

/// The clients that wait for a listener's accept(): the server's ends of their connections have
/// no inode yet, and so are in no dump. Told with the listener's inode. They carry the listener's name (net/unix/af_unix.c
/// `unix_stream_connect`), and are what /proc/net/unix shows with inode 0.
pub(super) fn waiting(
    message: &[u8],
    asked: &Asked,
) -> Result<(Option<Inode>, Vec<Socket>), BadMessage> {
    let listener = decode(message, asked)?;
    let Address::Unix { name, .. } = listener.address else {
        return Ok((None, Vec::new()));
    };
    let mut waiting = Vec::new();
    for attribute in Attributes::after(message, FIXED) {
        let (kind, value) = attribute?;
        if kind != ICONS {
            continue;
        }
        let clients = value.chunks_exact(4).map(|word| u32_at(word, 0));
        waiting.extend(clients.map(|client| Socket {
            family: Family::Unix,
            protocol: listener.protocol,
            state: State::Established,
            address: Address::Unix {
                name: name.clone(),
                peer: client.and_then(inode),
            },
            recv_queue: None,
            send_queue: None,
            inode: None::<Inode>,
            cookie: None,
            uid: None,
            netns: asked.netns,
            interface: None,
            detail: None,
        }));
    }
    Ok((listener.inode, waiting))
}
