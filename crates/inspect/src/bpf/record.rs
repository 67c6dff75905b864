//! What `task_file.bpf.c` writes: one record for each descriptor on a socket.

use crate::model::{Fd, ForeignText, Inode, NetworkNamespace, Pid};

/// Bytes of a record (`struct record` in task_file.bpf.c).
pub(super) const LENGTH: usize = 64;

/// TASK_COMM_LEN (include/linux/sched.h).
const NAME_LENGTH: usize = 16;

// `flags` of a record.
const REUSE_ADDRESS: u32 = 1;
const REUSE_PORT: u32 = 2;
const WITHOUT_SOCK: u32 = 4;

/// A descriptor on a socket, and the process that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The socket.
    pub inode: Inode,
    /// When the process started: nanoseconds since boot, suspend included.
    pub started_ns: u64,
    /// The descriptor table that the descriptor stands in.
    pub table: DescriptorTable,
    /// The process, as this process's pid namespace numbers it.
    pub pid: Pid,
    /// The thread whose table it is; the kernel lists first threads, and those of the others
    /// whose table is not their first thread's.
    pub tid: Pid,
    /// The descriptor.
    pub fd: Fd,
    /// The parent of the process; 0 where that is outside of this pid namespace.
    pub parent: Pid,
    /// What the network knows of the socket; `None` when it is just being closed, or when every
    /// socket was asked for: this lies far from the rest, and costs a tenth of the look.
    pub sock: Option<Sock>,
    name: [u8; NAME_LENGTH],
}

/// Which descriptor table: equal where two tasks share one. Never shown: it is an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DescriptorTable(u64);

/// What the network knows of a socket (`struct sock_common`, include/net/sock.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sock {
    /// The network namespace it was made in.
    pub namespace: NetworkNamespace,
    /// SO_REUSEADDR (socket(7)).
    pub reuse_address: bool,
    /// SO_REUSEPORT (socket(7)).
    pub reuse_port: bool,
}

impl Record {
    /// The name of the process: up to 15 bytes that it chose itself.
    pub fn command(&self) -> ForeignText {
        let length = self.name.iter().position(|byte| *byte == 0);
        ForeignText::new(&self.name[..length.unwrap_or(NAME_LENGTH)])
    }

    /// From the bytes that the kernel program wrote, in this machine's byte order.
    pub(super) fn decode(bytes: &[u8; LENGTH]) -> Self {
        let flags = u32::from_ne_bytes(part(bytes, 44));
        Self {
            inode: Inode(u64::from_ne_bytes(part(bytes, 0))),
            started_ns: u64::from_ne_bytes(part(bytes, 8)),
            table: DescriptorTable(u64::from_ne_bytes(part(bytes, 16))),
            pid: Pid(u32::from_ne_bytes(part(bytes, 24))),
            tid: Pid(u32::from_ne_bytes(part(bytes, 28))),
            fd: Fd(u32::from_ne_bytes(part(bytes, 32))),
            parent: Pid(u32::from_ne_bytes(part(bytes, 36))),
            sock: (flags & WITHOUT_SOCK == 0).then(|| Sock {
                namespace: NetworkNamespace(u32::from_ne_bytes(part(bytes, 40)).into()),
                reuse_address: flags & REUSE_ADDRESS != 0,
                reuse_port: flags & REUSE_PORT != 0,
            }),
            name: part(bytes, 48),
        }
    }
}

/// `N` bytes from `at`; all callers stay within the record.
fn part<const N: usize>(bytes: &[u8; LENGTH], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

/// The whole records in `bytes`; what is left over is the beginning of one.
pub(super) fn records(bytes: &[u8]) -> (impl Iterator<Item = Record>, usize) {
    let (whole, rest) = bytes.as_chunks::<LENGTH>();
    (whole.iter().map(Record::decode), rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As read from a kernel (little-endian), with pid, tid and parent made to differ.
    const RECORDED: [u8; LENGTH] = [
        0xd5, 0x15, 0x05, 0, 0, 0, 0, 0, // inode 333269
        0x49, 0x5f, 0x5c, 0xee, 0xa8, 0, 0, 0, // started 725.5 s after boot
        0xc0, 0x18, 0x76, 0xcb, 0x81, 0x88, 0xff, 0xff, // descriptor table
        0xd8, 0x3a, 0, 0, // pid 15064
        0xd9, 0x3a, 0, 0, // tid 15065
        5, 0, 0, 0, // fd 5
        0xaf, 0x3a, 0, 0, // parent 15023
        0x51, 0x01, 0, 0xf0, // network namespace 4026532177
        2, 0, 0, 0, // SO_REUSEPORT
        b'l', b'o', b'a', b'd', b'-', b's', b'e', b'r', b'v', b'e', b'r', 0, 0, 0, 0, 0,
    ];

    #[cfg(target_endian = "little")]
    #[test]
    fn every_field_of_a_recorded_record_is_found() {
        let record = Record::decode(&RECORDED);
        assert_eq!(
            record,
            Record {
                inode: Inode(333_269),
                started_ns: 725_553_536_841,
                table: DescriptorTable(0xffff_8881_cb76_18c0),
                pid: Pid(15_064),
                tid: Pid(15_065),
                fd: Fd(5),
                parent: Pid(15_023),
                sock: Some(Sock {
                    namespace: NetworkNamespace(4_026_532_177),
                    reuse_address: false,
                    reuse_port: true,
                }),
                name: *b"load-server\0\0\0\0\0",
            }
        );
        assert_eq!(record.command(), ForeignText::from("load-server"));
    }

    #[test]
    fn a_socket_that_is_being_closed_has_no_network() {
        let mut bytes = RECORDED;
        bytes[44..48].copy_from_slice(&WITHOUT_SOCK.to_ne_bytes());
        assert_eq!(Record::decode(&bytes).sock, None);
    }

    #[test]
    fn a_name_may_fill_all_its_bytes_and_hold_any() {
        let mut bytes = RECORDED;
        bytes[48..].copy_from_slice(b"a)\n\xff b\x1b[c d e\0f\0");
        let command = Record::decode(&bytes).command();
        assert_eq!(command.as_bytes(), b"a)\n\xff b\x1b[c d e");
        bytes[48..].copy_from_slice(b"0123456789abcdef");
        let command = Record::decode(&bytes).command();
        assert_eq!(command.as_bytes(), b"0123456789abcdef");
    }

    proptest! {
        #[test]
        fn any_bytes_are_records_and_a_rest(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (found, rest) = records(&bytes);
            let found: Vec<Record> = found.collect();
            prop_assert_eq!(found.len() * LENGTH + rest, bytes.len());
            prop_assert!(rest < LENGTH);
            for (index, record) in found.iter().enumerate() {
                let at = index * LENGTH;
                let inode = u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
                prop_assert_eq!(record.inode, Inode(inode));
                prop_assert!(record.command().as_bytes().len() <= NAME_LENGTH);
                prop_assert!(!record.command().as_bytes().contains(&0));
            }
        }
    }
}
