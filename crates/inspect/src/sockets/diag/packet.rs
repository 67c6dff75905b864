//! A message about a packet socket: `struct packet_diag_msg` and its attributes
//! (include/uapi/linux/packet_diag.h; filled by net/packet/diag.c `sk_diag_fill`).

use super::super::{Address, Detail, Socket};
use super::bytes::{cookie_at, u8_at, u16_at, u32_at};
use super::memory::memory;
use super::message::{Attributes, BadMessage};
use super::{Asked, boxed, inode};
use crate::model::{Cookie, Family, Protocol, State, Uid};

/// `sizeof(struct packet_diag_msg)`: family u8, type u8, ethertype u16 (in the machine's byte
/// order); inode u32; cookie u32[2].
const FIXED: usize = 16;

/// `struct packet_diag_info`, of which the first u32 is the interface.
const INFO: u16 = 0;
const UID: u16 = 5;
const MEMINFO: u16 = 6;

const AF_PACKET: u8 = 17;

pub(super) fn decode(message: &[u8], asked: &Asked) -> Result<Socket, BadMessage> {
    let short = || BadMessage::Short;
    let fixed = message.get(..FIXED).ok_or_else(short)?;
    let byte = |offset| u8_at(fixed, offset).ok_or_else(short);
    if byte(0)? != AF_PACKET {
        return Err(BadMessage::Family(byte(0)?));
    }
    let protocol = match byte(1)? {
        // 10 is SOCK_PACKET, which gets whole frames as well.
        3 | 10 => Protocol::PacketRaw,
        2 => Protocol::PacketDatagram,
        other => return Err(BadMessage::SocketType(other)),
    };
    let (mut interface, mut uid, mut buffers) = (None, None, None);
    for attribute in Attributes::after(message, FIXED) {
        let (kind, value) = attribute?;
        match kind {
            INFO => interface = u32_at(value, 0),
            UID => uid = u32_at(value, 0).map(Uid),
            MEMINFO => buffers = Some(memory(value)),
            _ => {}
        }
    }
    Ok(Socket {
        family: Family::Packet,
        protocol,
        state: State::Unconnected,
        address: Address::Packet {
            ethertype: u16_at(fixed, 2).ok_or_else(short)?,
            interface: interface.ok_or_else(short)?,
        },
        recv_queue: buffers.and_then(|memory| memory.receive_used),
        send_queue: buffers.and_then(|memory| memory.send_used),
        inode: inode(u32_at(fixed, 4).ok_or_else(short)?),
        cookie: cookie_at(fixed, 8).map(Cookie),
        uid,
        netns: asked.netns,
        interface: None,
        detail: boxed(Detail {
            memory: buffers.filter(|_| asked.details.memory),
            ..Detail::default()
        }),
    })
}
