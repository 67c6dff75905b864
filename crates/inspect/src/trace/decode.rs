//! A raw call -> a call with names and values. Pure.

use std::collections::HashMap;

use super::calls::{self, Kind};
use super::raw::{Finish, Held, Memory, Place, RawCall};
use super::{Address, Bytes, Call, Outcome, Value, constants};
use crate::bpf::Role;
use crate::clock::Bracket;

mod address;
mod message;

/// Of lists in an argument so many are told.
const LONGEST_LIST: usize = 32;

/// A whole call; `None` for the number of a call that is not ours.
pub(super) fn call(raw: RawCall, bracket: &Bracket) -> Option<Call> {
    let signature = calls::by_number(raw.number)?;
    let arguments = signature.parameters.iter().enumerate();
    let arguments = arguments
        .map(|(index, parameter)| (parameter.name, value(&raw, index, parameter.kind)))
        .collect();
    let monotonic_ns = raw.began_ns.or(raw.ended_ns)?;
    let outcome = match raw.finish {
        Finish::Returned(result) => match i32::try_from(result) {
            Ok(number @ -4095..=-1) => Outcome::Failed(-number),
            _ => Outcome::Returned(result),
        },
        Finish::ThreadEnded => Outcome::ThreadEnded,
        Finish::StillWaits => Outcome::StillWaits,
        Finish::Lost => Outcome::Lost,
    };
    let pair = |held: Held| (held.fd, held.socket);
    Some(Call {
        time: bracket.wall(monotonic_ns),
        monotonic_ns,
        duration_ns: raw
            .began_ns
            .zip(raw.ended_ns)
            .map(|(began, ended)| ended.saturating_sub(began)),
        process: raw.process,
        tid: raw.tid,
        name: signature.name,
        before: raw.before.map(pair),
        after: raw.after.map(pair),
        arguments,
        outcome,
    })
}

/// What one argument says.
fn value(raw: &RawCall, index: usize, kind: Kind) -> Value {
    let register = raw.arguments[index];
    let int = constants::int(register);
    let memory = |piece: u8| raw.memory.get(&Place::whole(piece));
    match kind {
        Kind::Fd => Value::Fd(i32::try_from(int).unwrap_or(-1)),
        Kind::Int | Kind::Milliseconds => Value::Number(int),
        Kind::Size => size(register),
        Kind::Pointer => pointer(register),
        Kind::Domain => constants::domain(int),
        Kind::SocketType => constants::socket_type(int),
        Kind::Protocol => constants::protocol(constants::int(raw.arguments[0]), int),
        Kind::SocketFlags => constants::socket_flags(int),
        Kind::MessageFlags => constants::message_flags(int),
        Kind::How => constants::how(int),
        Kind::Level => constants::level(int),
        Kind::OptionName => constants::option(constants::int(raw.arguments[1]), int),
        Kind::OptionValue(piece) => pointed(register, memory(piece), |it| {
            option_value(raw, it).unwrap_or_else(|| Value::Bytes(it.clone()))
        }),
        Kind::Buffer(piece) => match (memory(piece), raw.finish) {
            // Nothing came, and nothing is what there is to tell.
            (None, Finish::Returned(0)) if register != 0 => Value::Bytes(Bytes {
                bytes: Vec::new(),
                length: 0,
            }),
            (memory, _) => pointed(register, memory, |it| Value::Bytes(it.clone())),
        },
        Kind::Vectors(piece) => message::vectors(raw, piece, 0, register, raw.arguments[2]),
        Kind::Message(piece) => message::one(raw, piece, 0, register),
        Kind::Messages(piece) => message::several(raw, piece, register, raw.arguments[2]),
        Kind::Address(piece) => pointed(register, memory(piece), |it| {
            Value::Address(address::of(&it.bytes))
        }),
        Kind::AddressLength(piece) => match memory(piece) {
            _ if register == 0 => Value::Null,
            Some(memory) => Value::List(vec![size(memory.length)], 0),
            None => Value::Pointer(register),
        },
        Kind::Pair(piece) => pointed(register, memory(piece), |it| {
            list(&it.bytes, |fd: [u8; 4]| Value::Fd(i32::from_ne_bytes(fd)))
        }),
        Kind::PollFds(piece) => pointed(register, memory(piece), |it| {
            list(&it.bytes, |fd: [u8; 8]| {
                let events = |at: usize| u16::from_ne_bytes([fd[at], fd[at + 1]]);
                Value::Fields(vec![
                    (
                        "fd",
                        Value::Fd(i32::from_ne_bytes([fd[0], fd[1], fd[2], fd[3]])),
                    ),
                    ("events", constants::poll_events(events(4))),
                    ("revents", constants::poll_events(events(6))),
                ])
            })
        }),
        Kind::FdSet(piece) => pointed(register, memory(piece), |it| {
            fd_set(&it.bytes, constants::int(raw.arguments[0]))
        }),
        Kind::EpollEvents(piece) => pointed(register, memory(piece), |it| {
            list(&it.bytes, |event: [u8; 12]| {
                let (events, rest) = event.split_at(4);
                let number = |bytes: &[u8]| {
                    let low = bytes.iter().rev();
                    low.fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
                };
                let events = u32::try_from(number(events)).unwrap_or(0);
                Value::Fields(vec![
                    ("events", constants::epoll_events(events)),
                    ("data", Value::Hex(number(rest))),
                ])
            })
        }),
        Kind::EpollOperation => constants::epoll_operation(int),
        Kind::FcntlCommand => constants::fcntl_command(int),
        Kind::FcntlArgument => fcntl_argument(constants::int(raw.arguments[1]), register),
        Kind::SpliceFlags => constants::splice_flags(int),
        Kind::DupFlags => constants::dup_flags(int),
    }
}

fn size(register: u64) -> Value {
    i64::try_from(register).map_or(Value::Hex(register), Value::Number)
}

fn pointer(register: u64) -> Value {
    match register {
        0 => Value::Null,
        _ => Value::Pointer(register),
    }
}

/// What lies at an address, where it was told.
fn pointed(register: u64, memory: Option<&Memory>, read: impl FnOnce(&Bytes) -> Value) -> Value {
    match memory {
        _ if register == 0 => Value::Null,
        // Nothing was asked for: a call that failed has written nothing.
        None => Value::Pointer(register),
        Some(Memory {
            length,
            bytes: Some(bytes),
        }) => read(&Bytes {
            bytes: bytes.clone(),
            length: *length,
        }),
        Some(Memory { bytes: None, .. }) => Value::Unread(register),
    }
}

/// Elements of `N` bytes, one behind the other.
fn list<const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> Value) -> Value {
    let elements = bytes.chunks_exact(N);
    let more = elements.len().saturating_sub(LONGEST_LIST);
    let shown = elements.take(LONGEST_LIST);
    let shown = shown.filter_map(|bytes| bytes.try_into().ok().map(&element));
    Value::List(shown.collect(), u64::try_from(more).unwrap_or(u64::MAX))
}

/// The descriptors below `count` that are set.
fn fd_set(bytes: &[u8], count: i64) -> Value {
    let limit = usize::try_from(count).unwrap_or(0).min(bytes.len() * 8);
    let set = (0..limit).filter(|fd| bytes[fd / 8] >> (fd % 8) & 1 == 1);
    let fds: Vec<Value> = set
        .filter_map(|fd| i32::try_from(fd).ok().map(Value::Fd))
        .collect();
    Value::List(fds, 0)
}

/// An int, a `struct timeval` of a limit in time, or a `struct linger`; others stay bytes.
fn option_value(raw: &RawCall, value: &Bytes) -> Option<Value> {
    let (level, option) = (
        constants::int(raw.arguments[1]),
        constants::int(raw.arguments[2]),
    );
    let is_of_socket = level == i64::from(libc::SOL_SOCKET);
    let is = |wanted: libc::c_int| is_of_socket && option == i64::from(wanted);
    if let Ok(bytes) = <[u8; 4]>::try_from(value.bytes.as_slice()) {
        let number = i32::from_ne_bytes(bytes);
        if is(libc::SO_ERROR) && number != 0 {
            return constants::error_name(number).map(Value::Constant);
        }
        return Some(Value::List(vec![Value::Number(number.into())], 0));
    }
    let halves = |at: usize| -> Option<i64> {
        let half: [u8; 8] = value.bytes.get(at..at + 8)?.try_into().ok()?;
        Some(i64::from_ne_bytes(half))
    };
    if is(libc::SO_RCVTIMEO) || is(libc::SO_SNDTIMEO) {
        return Some(Value::Fields(vec![
            ("tv_sec", Value::Number(halves(0)?)),
            ("tv_usec", Value::Number(halves(8)?)),
        ]));
    }
    if is(libc::SO_LINGER) {
        let [on, seconds] = [0, 4].map(|at| value.bytes.get(at..at + 4));
        let number = |bytes: Option<&[u8]>| -> Option<i64> {
            Some(i32::from_ne_bytes(bytes?.try_into().ok()?).into())
        };
        return Some(Value::Fields(vec![
            ("l_onoff", Value::Number(number(on)?)),
            ("l_linger", Value::Number(number(seconds)?)),
        ]));
    }
    None
}

fn fcntl_argument(command: i64, register: u64) -> Value {
    let int = constants::int(register);
    match i32::try_from(command) {
        Ok(libc::F_SETFL) => constants::file_flags(int),
        Ok(libc::F_SETFD) => constants::descriptor_flags(int),
        Ok(libc::F_DUPFD | libc::F_DUPFD_CLOEXEC | libc::F_SETOWN) => Value::Number(int),
        // They take none, and the register holds anything.
        Ok(libc::F_GETFL | libc::F_GETFD | libc::F_GETOWN | libc::F_GETPIPE_SZ) => Value::Null,
        _ => Value::Hex(register),
    }
}

/// Memory of a message or a vector.
fn place(piece: u8, message: u8, role: Role, part: u16) -> Place {
    Place {
        piece,
        message,
        role,
        part,
    }
}

fn bytes_at(memory: &HashMap<Place, Memory>, at: Place) -> Option<&[u8]> {
    memory.get(&at)?.bytes.as_deref()
}

#[cfg(test)]
mod tests;
