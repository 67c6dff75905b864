//! The loader, and what this kernel and these rights allow.

mod call;
mod kernel_file;
mod life;
mod loader;
mod ring;
mod task_file;
mod tcp;
mod trace;

use std::io;

use rustix::thread::{CapabilitySet, capabilities};

use super::btf::BtfError;
pub use life::{LIFE_RING, Lives};
pub use task_file::{SocketDescriptors, Sockets, socks_of};
pub use tcp::tcp_sockets;
pub use trace::{
    CallFd, LONGEST_PIECE, Layout, Measure, PIECES, TRACE_RING, TraceRequest, Traced, WantedCall,
    WantedPiece,
};

/// The types of the running kernel (Documentation/bpf/btf.rst).
const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// Why the kernel runs no program for us.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process lacks the right.
    #[error("it needs cap_bpf and cap_perfmon")]
    Right,
    /// The kernel does not describe its types.
    #[error("cannot read the kernel's types, {KERNEL_TYPES}: {0}")]
    Types(#[source] io::Error),
    /// The description of the kernel's types, or of the object's, is not understood.
    #[error("cannot understand the kernel's types, {KERNEL_TYPES}: {0}")]
    Btf(#[from] BtfError),
    /// The kernel lacks what the program is attached to.
    #[error("this kernel has no {0} (Linux 5.11 and newer have it)")]
    Lacking(&'static str),
    /// The numbers and arguments of calls are those of another machine.
    #[error("it can read the calls of x86-64 alone, and this is another machine")]
    Machine,
    /// The program was refused.
    #[error("cannot {operation}: {reason}")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// What came back.
        reason: String,
    },
    /// Reading what the program wrote failed.
    #[error("cannot read what the kernel program found: {0}")]
    Read(#[source] io::Error),
}

/// What an error says, on one line.
fn refused<E: std::error::Error>(operation: &'static str) -> impl FnOnce(E) -> Error {
    move |error| Error::Refused {
        operation,
        reason: error.to_string().lines().next().unwrap_or("").to_owned(),
    }
}

/// Whether this process has the rights to try; without them the kernel refuses everything.
///
/// # Errors
/// [`Error::Right`].
pub fn allowed() -> Result<(), Error> {
    let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let enough = [
        CapabilitySet::SYS_ADMIN,
        CapabilitySet::BPF | CapabilitySet::PERFMON,
    ];
    if enough.into_iter().any(|rights| held.contains(rights)) {
        Ok(())
    } else {
        Err(Error::Right)
    }
}
