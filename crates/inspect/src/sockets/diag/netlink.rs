//! A message about a netlink socket: `struct netlink_diag_msg` and its attributes
//! (include/uapi/linux/netlink_diag.h; filled by net/netlink/diag.c `sk_diag_fill`).

use super::super::{Address, Detail, Socket};
use super::bytes::{cookie_at, u8_at, u32_at};
use super::memory::memory;
use super::message::{Attributes, BadMessage};
use super::{Asked, boxed, inode};
use crate::model::{Cookie, Family, Protocol, State};

/// `sizeof(struct netlink_diag_msg)`: family u8, type u8, protocol u8, state u8; port id, peer's
/// port id, peer's group, inode, each u32; cookie u32[2].
const FIXED: usize = 28;

const MEMINFO: u16 = 0;

const AF_NETLINK: u8 = 16;

pub(super) fn decode(message: &[u8], asked: &Asked) -> Result<Socket, BadMessage> {
    let short = || BadMessage::Short;
    let fixed = message.get(..FIXED).ok_or_else(short)?;
    let byte = |offset| u8_at(fixed, offset).ok_or_else(short);
    let word = |offset| u32_at(fixed, offset).ok_or_else(short);
    if byte(0)? != AF_NETLINK {
        return Err(BadMessage::Family(byte(0)?));
    }
    let mut buffers = None;
    for attribute in Attributes::after(message, FIXED) {
        let (kind, value) = attribute?;
        if kind == MEMINFO {
            buffers = Some(memory(value));
        }
    }
    Ok(Socket {
        family: Family::Netlink,
        protocol: Protocol::Netlink,
        // Every netlink socket may send to any port id: the fixed peer of connect(2) is a default
        // only, and its state stays CLOSE.
        state: State::Unconnected,
        address: Address::Netlink {
            protocol: byte(2)?,
            port_id: word(4)?,
        },
        recv_queue: buffers.and_then(|memory| memory.receive_used),
        send_queue: buffers.and_then(|memory| memory.send_used),
        inode: inode(word(16)?),
        cookie: cookie_at(fixed, 20).map(Cookie),
        uid: None,
        netns: asked.netns,
        interface: None,
        detail: boxed(Detail {
            memory: buffers.filter(|_| asked.details.memory),
            ..Detail::default()
        }),
    })
}
