//! What `life.bpf.c` writes: one record for each change in the life of a socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::{Cookie, Endpoint, Fd, ForeignText, Inode, NetworkNamespace, Pid, Uid};

/// Bytes of a record (`struct record` in life.bpf.c).
pub(super) const LENGTH: usize = 112;

/// TASK_COMM_LEN (include/linux/sched.h).
const NAME_LENGTH: usize = 16;

/// AF_INET and AF_INET6 (include/linux/socket.h).
const V4: u8 = 2;
const V6: u8 = 10;

/// `flags` of a record.
const REUSE: u16 = 1;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifeKind {
    /// TCP changed a socket's state.
    State,
    /// socket(2) returned.
    Socket,
    /// bind(2) returned.
    Bind,
    /// connect(2) returned, with or without success.
    Connect,
    /// accept(2) or accept4(2) returned.
    Accept,
    /// A call that sends returned, the first of this process on this socket.
    Send,
    /// execve(2): another program in the same process.
    Exec,
    /// The last thread of a process has ended.
    Exit,
    /// fork(2) and its like: a process has begun.
    Fork,
}

impl LifeKind {
    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::State,
            2 => Self::Socket,
            3 => Self::Bind,
            4 => Self::Connect,
            5 => Self::Accept,
            6 => Self::Send,
            7 => Self::Exec,
            8 => Self::Exit,
            9 => Self::Fork,
            _ => return None,
        })
    }
}

/// The kernel's words for one moment of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeRecord {
    /// What happened.
    pub kind: LifeKind,
    /// When: nanoseconds of CLOCK_MONOTONIC. Of a call, when it returned.
    pub time_ns: u64,
    /// When the process started: nanoseconds since boot, suspend included; 0 without a process.
    pub started_ns: u64,
    /// The process that did it, as this process's pid namespace numbers it; `None` where that
    /// does not show it, or where it is not told whose doing it was.
    pub pid: Option<Pid>,
    /// The thread.
    pub tid: Pid,
    /// The descriptor that the call was about.
    pub fd: Option<Fd>,
    /// The user of the socket, as of fchown(2); `None` without a socket.
    pub user: Option<Uid>,
    /// Of a process that has begun, the one it comes from; `None` where the pid namespace does
    /// not show that.
    pub parent: Option<Pid>,
    /// The socket, where it has one already.
    pub cookie: Option<Cookie>,
    /// The socket, where a descriptor was made for it.
    pub inode: Option<Inode>,
    /// The network namespace that the socket was made in.
    pub namespace: NetworkNamespace,
    /// IPPROTO_: 6 is TCP, 17 UDP.
    pub protocol: u16,
    /// The ends, as far as they are set. `None` without a socket.
    pub ends: Option<(Endpoint, Endpoint)>,
    /// SO_REUSEADDR or SO_REUSEPORT (socket(7)): others may share its port.
    pub reuse: bool,
    /// TCP's state before (include/net/tcp_states.h).
    pub old_state: u8,
    /// TCP's state after, or at the end of the call.
    pub new_state: u8,
    name: [u8; NAME_LENGTH],
}

impl LifeRecord {
    /// The name of the process: up to 15 bytes that it chose itself.
    pub fn command(&self) -> ForeignText {
        let length = self.name.iter().position(|byte| *byte == 0);
        ForeignText::new(&self.name[..length.unwrap_or(NAME_LENGTH)])
    }

    /// From the bytes that the kernel program wrote, in this machine's byte order. `None` for
    /// what it does not write.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let [kind, family, old_state, new_state] = part(bytes, 52);
        let kind = LifeKind::from_number(kind)?;
        let word = |at| u64::from_ne_bytes(part(bytes, at));
        let number = |at| u32::from_ne_bytes(part(bytes, at));
        let port = |at| u16::from_ne_bytes(part(bytes, at));
        let address = |at| -> Option<IpAddr> {
            match family {
                V4 => Some(Ipv4Addr::from(part::<4>(bytes, at)).into()),
                V6 => Some(Ipv6Addr::from(part::<16>(bytes, at)).into()),
                _ => None,
            }
        };
        let end = |at, at_port| Some(Endpoint::new(address(at)?, port(at_port)));
        let fd = i32::from_ne_bytes(part(bytes, 44));
        let some = |number: u64| (number != 0).then_some(number);
        let is_about_socket = !matches!(kind, LifeKind::Exec | LifeKind::Exit | LifeKind::Fork);
        Some(Self {
            kind,
            time_ns: word(0),
            started_ns: word(8),
            pid: (number(36) != 0).then_some(Pid(number(36))),
            tid: Pid(number(40)),
            fd: u32::try_from(fd).ok().map(Fd),
            user: is_about_socket.then_some(Uid(number(48))),
            parent: (kind == LifeKind::Fork && number(48) != 0).then_some(Pid(number(48))),
            cookie: some(word(16)).map(Cookie),
            inode: some(word(24)).map(Inode),
            namespace: NetworkNamespace(number(32).into()),
            protocol: port(56),
            ends: end(64, 58).zip(end(80, 60)),
            reuse: port(62) & REUSE != 0,
            old_state,
            new_state,
            name: part(bytes, 96),
        })
    }
}

/// `N` bytes from `at`; all callers stay within the record.
fn part<const N: usize>(bytes: &[u8; LENGTH], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(fields: &[(usize, &[u8])]) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        for (at, field) in fields {
            bytes[*at..at + field.len()].copy_from_slice(field);
        }
        bytes
    }

    #[test]
    fn every_field_is_found() {
        let written = bytes(&[
            (0, &1_000u64.to_ne_bytes()),
            (8, &2_000u64.to_ne_bytes()),
            (16, &3u64.to_ne_bytes()),
            (24, &4u64.to_ne_bytes()),
            (32, &5u32.to_ne_bytes()),
            (36, &6u32.to_ne_bytes()),
            (40, &7u32.to_ne_bytes()),
            (44, &8i32.to_ne_bytes()),
            (48, &1_000u32.to_ne_bytes()),
            (52, &[4, V4, 7, 2]),
            (56, &6u16.to_ne_bytes()),
            (58, &40_000u16.to_ne_bytes()),
            (60, &80u16.to_ne_bytes()),
            (62, &1u16.to_ne_bytes()),
            (64, &[127, 0, 0, 1]),
            (80, &[127, 0, 0, 2]),
            (96, b"client"),
        ]);
        let record = LifeRecord::decode(&written).unwrap();
        assert_eq!(
            record,
            LifeRecord {
                kind: LifeKind::Connect,
                time_ns: 1_000,
                started_ns: 2_000,
                pid: Some(Pid(6)),
                tid: Pid(7),
                fd: Some(Fd(8)),
                user: Some(Uid(1_000)),
                parent: None,
                cookie: Some(Cookie(3)),
                inode: Some(Inode(4)),
                namespace: NetworkNamespace(5),
                protocol: 6,
                ends: Some((
                    Endpoint::new([127, 0, 0, 1].into(), 40_000),
                    Endpoint::new([127, 0, 0, 2].into(), 80),
                )),
                reuse: true,
                old_state: 7,
                new_state: 2,
                name: *b"client\0\0\0\0\0\0\0\0\0\0",
            }
        );
        assert_eq!(record.command(), ForeignText::from("client"));
    }

    #[test]
    fn what_is_not_told_is_not_zero() {
        let written = bytes(&[(44, &(-1i32).to_ne_bytes()), (52, &[1, V6, 2, 1])]);
        let record = LifeRecord::decode(&written).unwrap();
        assert_eq!((record.pid, record.fd), (None, None));
        assert_eq!((record.cookie, record.inode), (None, None));
        assert!(record.ends.is_some_and(|(here, _)| here.address.is_ipv6()));
        let exit = LifeRecord::decode(&bytes(&[(52, &[8, 0, 0, 0])])).unwrap();
        assert_eq!((exit.ends, exit.user, exit.parent), (None, None, None));
        let fork = bytes(&[(48, &12u32.to_ne_bytes()), (52, &[9, 0, 0, 0])]);
        let fork = LifeRecord::decode(&fork).unwrap();
        assert_eq!((fork.parent, fork.user), (Some(Pid(12)), None));
        assert_eq!(LifeRecord::decode(&bytes(&[(52, &[10])])), None);
        assert_eq!(LifeRecord::decode(&written[1..]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_none(
            bytes in proptest::collection::vec(any::<u8>(), LENGTH - 1..LENGTH + 2),
            kind in 0u8..11,
        ) {
            let mut bytes = bytes;
            bytes[52] = kind;
            let record = LifeRecord::decode(&bytes);
            let is_one = bytes.len() == LENGTH && (1..=9).contains(&kind);
            prop_assert_eq!(record.is_some(), is_one);
            if let Some(record) = record {
                prop_assert!(record.command().as_bytes().len() <= NAME_LENGTH);
            }
        }
    }
}
