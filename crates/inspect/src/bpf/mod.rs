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
mod record;
mod source;

pub use record::{DescriptorTable, Record, Sock};
pub use source::{Error, SocketDescriptors, Sockets, allowed};
