//! Vectors of buffers, and the structures of messages (sendmsg(2), recvmsg(2), cmsg(3)).

use super::super::raw::RawCall;
use super::super::{Bytes, Value, constants};
use super::{LONGEST_LIST, address, bytes_at, place, pointer};
use crate::bpf::Role;

/// Bytes of a `struct msghdr` with 8-byte addresses.
const HEADER: usize = 56;

/// The buffers of a vector that has so many.
pub(super) fn vectors(raw: &RawCall, piece: u8, message: u8, register: u64, count: u64) -> Value {
    if register == 0 {
        return Value::Null;
    }
    let mut buffers = Vec::new();
    for part in 0..LONGEST_LIST {
        let Ok(part) = u16::try_from(part) else { break };
        if u64::from(part) >= count {
            break;
        }
        let Some(memory) = raw.memory.get(&place(piece, message, Role::Part, part)) else {
            break;
        };
        buffers.push(match &memory.bytes {
            Some(bytes) => Value::Bytes(Bytes {
                bytes: bytes.clone(),
                length: memory.length,
            }),
            None => Value::Unread(0),
        });
    }
    let told = u64::try_from(buffers.len()).unwrap_or(u64::MAX);
    match told {
        0 if count > 0 => Value::Pointer(register),
        _ => Value::List(buffers, count.saturating_sub(told)),
    }
}

/// One message.
pub(super) fn one(raw: &RawCall, piece: u8, message: u8, register: u64) -> Value {
    if register == 0 {
        return Value::Null;
    }
    let header = bytes_at(&raw.memory, place(piece, message, Role::Header, 0));
    let Some(header) = header.and_then(|bytes| bytes.first_chunk::<HEADER>()) else {
        return Value::Pointer(register);
    };
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&header[at..at + 8]);
        u64::from_ne_bytes(word)
    };
    let mut fields = Vec::new();
    let name = bytes_at(&raw.memory, place(piece, message, Role::Name, 0));
    fields.push((
        "name",
        match name {
            Some(bytes) => Value::Address(address::of(bytes)),
            None => pointer(word(0)),
        },
    ));
    fields.push(("buffers", vectors(raw, piece, message, word(16), word(24))));
    let ancillary = bytes_at(&raw.memory, place(piece, message, Role::Control, 0));
    if let Some(bytes) = ancillary {
        fields.push(("control", controls(bytes)));
    }
    fields.push(("flags", constants::message_flags(constants::int(word(48)))));
    Value::Fields(fields)
}

/// Those of sendmmsg(2) and recvmmsg(2).
pub(super) fn several(raw: &RawCall, piece: u8, register: u64, count: u64) -> Value {
    if register == 0 {
        return Value::Null;
    }
    let mut messages = Vec::new();
    for message in 0..u8::MAX {
        let header = place(piece, message, Role::Header, 0);
        if u64::from(message) >= count || !raw.memory.contains_key(&header) {
            break;
        }
        messages.push(one(raw, piece, message, register));
    }
    let told = u64::try_from(messages.len()).unwrap_or(u64::MAX);
    match told {
        0 => Value::Pointer(register),
        _ => Value::List(messages, count.saturating_sub(told)),
    }
}

/// Length, level, type; then the bytes, filled up to a multiple of 8.
fn controls(mut bytes: &[u8]) -> Value {
    const BEFORE: usize = 16;
    let mut controls = Vec::new();
    while let Some(head) = bytes.first_chunk::<BEFORE>() {
        let number = |at: usize| {
            let mut number = [0; 4];
            number.copy_from_slice(&head[at..at + 4]);
            i32::from_ne_bytes(number)
        };
        let mut length = [0; 8];
        length.copy_from_slice(&head[..8]);
        let length = usize::try_from(u64::from_ne_bytes(length)).unwrap_or(usize::MAX);
        if length < BEFORE || controls.len() >= LONGEST_LIST {
            break;
        }
        let (level, kind) = (number(8), number(12));
        let end = length.min(bytes.len());
        let content = &bytes[BEFORE..end];
        let is_rights = (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        let content = if is_rights {
            super::list(content, |fd: [u8; 4]| Value::Fd(i32::from_ne_bytes(fd)))
        } else {
            Value::Bytes(Bytes {
                bytes: content.to_vec(),
                length: u64::try_from(length - BEFORE).unwrap_or(u64::MAX),
            })
        };
        controls.push(Value::Fields(vec![
            ("level", constants::level(level.into())),
            ("type", constants::control(level, kind)),
            ("content", content),
        ]));
        bytes = &bytes[end.next_multiple_of(8).min(bytes.len())..];
    }
    Value::List(controls, 0)
}
