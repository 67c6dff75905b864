//! Programs that the kernel runs for us: their C sources and compiled objects, the one loader,
//! and why this kernel or these rights do not allow them. Prints nothing.
//!
//! The objects are built by `make bpf` and committed beside their sources, so that building
//! needs no clang. aya-obj reads them and fits them to the types of the running kernel (CO-RE).
//! The rest of aya is not used: its loader always reads all types of the kernel, which takes
//! 20 ms and 25 MB here, half of what the programs save; the few types that an object names are
//! picked out in 1.5 ms (`kernel_types`), and loading is five system calls (`source/call.rs`).

mod btf;
mod kernel_types;
mod life_record;
mod record;
mod source;
mod tcp_record;
mod trace_record;

pub use life_record::{LifeKind, LifeRecord};
pub use record::{DescriptorTable, Record, Sock};
pub use source::{
    CallFd, Error, LIFE_RING, LONGEST_PIECE, Layout, Lives, Measure, PIECES, SocketDescriptors,
    Sockets, TRACE_RING, TraceRequest, Traced, WantedCall, WantedPiece, allowed, socks_of,
    tcp_sockets,
};
pub use tcp_record::TcpSocket;
pub use trace_record::{Moment, MomentKind, Piece, Role, TraceRecord, TracedSocket};

/// Made-up records, for tests of the rooms above.
#[cfg(test)]
pub(crate) mod tests_support {
    use super::record::{LENGTH, Record};

    /// Pid, thread, start in nanoseconds, table.
    pub(crate) type Holder = (u32, u32, u64, u64);

    pub(crate) fn record((pid, tid, started, table): Holder, fd: u32, inode: u64) -> Record {
        let mut bytes = [0; LENGTH];
        for (at, number) in [(0, inode), (8, started), (16, table)] {
            bytes[at..at + 8].copy_from_slice(&number.to_ne_bytes());
        }
        for (at, number) in [(24, pid), (28, tid), (32, fd), (36, 1)] {
            bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        }
        bytes[48..51].copy_from_slice(b"who");
        Record::decode(&bytes)
    }
}
