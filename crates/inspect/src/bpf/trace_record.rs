//! What `trace.bpf.c` writes: moments of calls, sockets and processes, and pieces of memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::{Cookie, Endpoint, Fd, ForeignText, Inode, NetworkNamespace, Pid};

/// Bytes of `struct moment`, and of what stands before the bytes of `struct piece`. No piece is
/// as long as a moment.
pub(super) const MOMENT: usize = 176;
const PIECE: usize = 32;

/// TASK_COMM_LEN (include/linux/sched.h).
const NAME_LENGTH: usize = 16;

/// AF_INET and AF_INET6 (include/linux/socket.h).
const V4: u8 = 2;
const V6: u8 = 10;

/// What a moment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MomentKind {
    /// A call begins.
    Began,
    /// A call returns.
    Ended,
    /// TCP changed a socket's state.
    State,
    /// fork(2) and its like: a process has begun.
    Fork,
    /// execve(2): another program in the same process.
    Exec,
    /// A thread has ended; others of the process live on.
    ThreadExit,
    /// The last thread of a process has ended.
    Exit,
}

/// The kernel's words for a socket at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracedSocket {
    /// What it is known by while it lives.
    pub inode: Option<Inode>,
    /// What it is known by for ever; none until somebody asks for it.
    pub cookie: Option<Cookie>,
    /// AF_ (include/linux/socket.h).
    pub family: u8,
    /// SOCK_ (include/linux/net.h).
    pub kind: u8,
    /// IPPROTO_.
    pub protocol: u16,
    /// TCP's state (include/net/tcp_states.h).
    pub state: u8,
    /// Of a change of states, the one before.
    pub old_state: u8,
    /// The network namespace that it was made in.
    pub namespace: NetworkNamespace,
    /// The ends, as far as they are set. `None` where the family has no ports.
    pub ends: Option<(Endpoint, Endpoint)>,
    /// TCP: the sequence number of the next byte that will be written, and of the next that
    /// will be read.
    pub sequences: (u32, u32),
}

/// One moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What it is of.
    pub kind: MomentKind,
    /// When: nanoseconds of CLOCK_MONOTONIC.
    pub time_ns: u64,
    /// When the process started: nanoseconds since boot, suspend included.
    pub started_ns: u64,
    /// The process, as this process's pid namespace numbers it; `None` where that does not show
    /// it, and of a change of states.
    pub pid: Option<Pid>,
    /// The thread.
    pub tid: Pid,
    /// The number of the call (arch/x86/entry/syscalls/syscall_64.tbl).
    pub number: u16,
    /// Its arguments, as they stand in the registers.
    pub arguments: [u64; 6],
    /// What it returned; of a fork the number of the parent.
    pub result: i64,
    /// The descriptor that it is about, where that is a socket.
    pub fd: Option<Fd>,
    /// The socket.
    pub socket: Option<TracedSocket>,
    name: [u8; NAME_LENGTH],
}

impl Moment {
    /// The name of the process: up to 15 bytes that it chose itself.
    pub fn command(&self) -> ForeignText {
        let length = self.name.iter().position(|byte| *byte == 0);
        ForeignText::new(&self.name[..length.unwrap_or(NAME_LENGTH)])
    }
}

/// What the bytes of a piece are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// All there is to it.
    Whole,
    /// A `struct msghdr`.
    Header,
    /// The address in a message.
    Name,
    /// One buffer of a vector.
    Part,
    /// The ancillary messages of a message (cmsg(3)).
    Control,
}

/// Memory of a program that a call's argument points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The process whose call it is, as in [`Moment`].
    pub pid: Pid,
    /// The thread.
    pub tid: Pid,
    /// Which of the call's pieces, by the order in which they were asked for.
    pub index: u8,
    /// Which of several messages.
    pub message: u8,
    /// Which buffer of a vector.
    pub part: u16,
    /// What it is.
    pub role: Role,
    /// Bytes that there were.
    pub length: u64,
    /// The first of them; `None` when the memory could not be read.
    pub bytes: Option<&'a [u8]>,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceRecord<'a> {
    /// A moment.
    Moment(Moment),
    /// Memory that belongs to the next moment of that thread.
    Piece(Piece<'a>),
}

impl<'a> TraceRecord<'a> {
    /// From the bytes that the kernel program wrote, in this machine's byte order. `None` for
    /// what it does not write.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        match <&[u8; MOMENT]>::try_from(bytes) {
            Ok(bytes) => moment(bytes).map(Self::Moment),
            Err(_) => piece(bytes).map(Self::Piece),
        }
    }
}

fn moment(bytes: &[u8; MOMENT]) -> Option<Moment> {
    let word = |at| u64::from_ne_bytes(part(bytes, at));
    let number = |at| u32::from_ne_bytes(part(bytes, at));
    let [kind, family, socket_type, state, old_state, _] = part(bytes, 114);
    let kind = match kind {
        1 => MomentKind::Began,
        2 => MomentKind::Ended,
        4 => MomentKind::State,
        5 => MomentKind::Fork,
        6 => MomentKind::Exec,
        7 => MomentKind::ThreadExit,
        8 => MomentKind::Exit,
        _ => return None,
    };
    let port = |at| u16::from_ne_bytes(part(bytes, at));
    let address = |at| -> Option<IpAddr> {
        match family {
            V4 => Some(Ipv4Addr::from(part::<4, _>(bytes, at)).into()),
            V6 => Some(Ipv6Addr::from(part::<16, _>(bytes, at)).into()),
            _ => None,
        }
    };
    let end = |at, at_port| Some(Endpoint::new(address(at)?, port(at_port)));
    let some = |number: u64| (number != 0).then_some(number);
    let fd = i32::from_ne_bytes(part(bytes, 104));
    let fd = u32::try_from(fd).ok().map(Fd);
    let is_socket = fd.is_some() || kind == MomentKind::State;
    Some(Moment {
        kind,
        time_ns: word(0),
        started_ns: word(8),
        arguments: std::array::from_fn(|index| word(16 + 8 * index)),
        result: i64::from_ne_bytes(part(bytes, 64)),
        pid: (number(96) != 0).then_some(Pid(number(96))),
        tid: Pid(number(100)),
        number: port(112),
        fd,
        socket: is_socket.then(|| TracedSocket {
            inode: some(word(72)).map(Inode),
            cookie: some(word(80)).map(Cookie),
            family,
            kind: socket_type,
            protocol: port(120),
            state,
            old_state,
            namespace: NetworkNamespace(number(108).into()),
            ends: end(128, 122).zip(end(144, 124)),
            sequences: (number(88), number(92)),
        }),
        name: part(bytes, 160),
    })
}

fn piece(bytes: &[u8]) -> Option<Piece<'_>> {
    let (head, rest) = bytes.split_first_chunk::<PIECE>()?;
    let number = |at| u32::from_ne_bytes(part(head, at));
    let [kind, role, index, message, _, failed] = part(head, 22);
    if kind != 3 {
        return None;
    }
    let role = match role {
        0 => Role::Whole,
        1 => Role::Header,
        2 => Role::Name,
        3 => Role::Part,
        4 => Role::Control,
        _ => return None,
    };
    let captured = usize::try_from(number(16)).ok()?;
    Some(Piece {
        length: u64::from_ne_bytes(part(head, 0)),
        tid: Pid(number(8)),
        pid: Pid(number(12)),
        index,
        message,
        part: u16::from_ne_bytes(part(head, 20)),
        role,
        bytes: match failed {
            0 => Some(rest.get(..captured)?),
            _ => None,
        },
    })
}

/// `N` bytes from `at`; all callers stay within the record.
fn part<const N: usize, const LENGTH: usize>(bytes: &[u8; LENGTH], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(fields: &[(usize, &[u8])]) -> [u8; MOMENT] {
        let mut bytes = [0; MOMENT];
        for (at, field) in fields {
            bytes[*at..at + field.len()].copy_from_slice(field);
        }
        bytes
    }

    #[test]
    fn every_field_of_a_moment_is_found() {
        let written = bytes(&[
            (0, &1_000u64.to_ne_bytes()),
            (8, &2_000u64.to_ne_bytes()),
            (16, &3u64.to_ne_bytes()),
            (56, &4u64.to_ne_bytes()),
            (64, &(-5i64).to_ne_bytes()),
            (72, &6u64.to_ne_bytes()),
            (80, &7u64.to_ne_bytes()),
            (88, &8u32.to_ne_bytes()),
            (92, &9u32.to_ne_bytes()),
            (96, &10u32.to_ne_bytes()),
            (100, &11u32.to_ne_bytes()),
            (104, &12i32.to_ne_bytes()),
            (108, &13u32.to_ne_bytes()),
            (112, &44u16.to_ne_bytes()),
            (114, &[2, V4, 1, 1, 7, 0]),
            (120, &6u16.to_ne_bytes()),
            (122, &40_000u16.to_ne_bytes()),
            (124, &80u16.to_ne_bytes()),
            (128, &[127, 0, 0, 1]),
            (144, &[127, 0, 0, 2]),
            (160, b"client"),
        ]);
        let Some(TraceRecord::Moment(moment)) = TraceRecord::decode(&written) else {
            panic!("no moment");
        };
        assert_eq!(
            moment,
            Moment {
                kind: MomentKind::Ended,
                time_ns: 1_000,
                started_ns: 2_000,
                pid: Some(Pid(10)),
                tid: Pid(11),
                number: 44,
                arguments: [3, 0, 0, 0, 0, 4],
                result: -5,
                fd: Some(Fd(12)),
                socket: Some(TracedSocket {
                    inode: Some(Inode(6)),
                    cookie: Some(Cookie(7)),
                    family: V4,
                    kind: 1,
                    protocol: 6,
                    state: 1,
                    old_state: 7,
                    namespace: NetworkNamespace(13),
                    ends: Some((
                        Endpoint::new([127, 0, 0, 1].into(), 40_000),
                        Endpoint::new([127, 0, 0, 2].into(), 80),
                    )),
                    sequences: (8, 9),
                }),
                name: *b"client\0\0\0\0\0\0\0\0\0\0",
            }
        );
        assert_eq!(moment.command(), ForeignText::from("client"));
    }

    #[test]
    fn a_piece_has_the_bytes_that_were_read() {
        let mut written = vec![0; PIECE + 64];
        written[..8].copy_from_slice(&5_000u64.to_ne_bytes());
        written[8..12].copy_from_slice(&11u32.to_ne_bytes());
        written[12..16].copy_from_slice(&10u32.to_ne_bytes());
        written[16..20].copy_from_slice(&5u32.to_ne_bytes());
        written[20..22].copy_from_slice(&2u16.to_ne_bytes());
        written[22..28].copy_from_slice(&[3, 3, 1, 0, 2, 0]);
        written[PIECE..PIECE + 5].copy_from_slice(b"hello");
        let expected = Piece {
            pid: Pid(10),
            tid: Pid(11),
            index: 1,
            message: 0,
            part: 2,
            role: Role::Part,
            length: 5_000,
            bytes: Some(b"hello"),
        };
        assert_eq!(
            TraceRecord::decode(&written),
            Some(TraceRecord::Piece(expected))
        );
        written[27] = 1;
        let Some(TraceRecord::Piece(unread)) = TraceRecord::decode(&written) else {
            panic!("no piece");
        };
        assert_eq!(unread.bytes, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_none(
            bytes in proptest::collection::vec(any::<u8>(), 0..MOMENT + 2),
        ) {
            if let Some(TraceRecord::Piece(piece)) = TraceRecord::decode(&bytes) {
                prop_assert!(piece.bytes.is_none_or(|piece| piece.len() <= bytes.len() - PIECE));
            }
        }
    }
}
