//! A message about a vsock socket: `struct vsock_diag_msg`, which has no attributes
//! (include/uapi/linux/vm_sockets_diag.h; filled by net/vmw_vsock/diag.c `sk_diag_fill`).

use super::super::{Address, Detail, Socket};
use super::bytes::{cookie_at, u8_at, u32_at};
use super::memory::shutdown;
use super::message::BadMessage;
use super::{Asked, boxed, inode};
use crate::model::{Cookie, Family, Protocol, State};

/// `sizeof(struct vsock_diag_msg)`: family u8, type u8, state u8, shutdown u8; context and port
/// of this side and of the other, inode, each u32; cookie u32[2].
const FIXED: usize = 32;

const AF_VSOCK: u8 = 40;

pub(super) fn decode(message: &[u8], asked: &Asked) -> Result<Socket, BadMessage> {
    let short = || BadMessage::Short;
    let fixed = message.get(..FIXED).ok_or_else(short)?;
    let byte = |offset| u8_at(fixed, offset).ok_or_else(short);
    let word = |offset| u32_at(fixed, offset).ok_or_else(short);
    if byte(0)? != AF_VSOCK {
        return Err(BadMessage::Family(byte(0)?));
    }
    let protocol = match byte(1)? {
        1 => Protocol::VsockStream,
        2 => Protocol::VsockDatagram,
        5 => Protocol::VsockSeqpacket,
        other => return Err(BadMessage::SocketType(other)),
    };
    let state = match (byte(2)?, protocol) {
        (7, Protocol::VsockDatagram) => State::Unconnected,
        // TCP's numbers (include/net/tcp_states.h; net/vmw_vsock/af_vsock.c).
        (number, _) => State::from_tcp_number(number).ok_or(BadMessage::State(number))?,
    };
    Ok(Socket {
        family: Family::Vsock,
        protocol,
        state,
        address: Address::Vsock {
            local: (word(4)?, word(8)?),
            remote: (word(12)?, word(16)?),
        },
        recv_queue: None,
        send_queue: None,
        inode: inode(word(20)?),
        cookie: cookie_at(fixed, 24).map(Cookie),
        uid: None,
        netns: asked.netns,
        interface: None,
        detail: boxed(Detail {
            shutdown: asked
                .details
                .extended
                .then(|| shutdown(u8_at(fixed, 3).unwrap_or(0))),
            ..Detail::default()
        }),
    })
}
