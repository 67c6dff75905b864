//! The network namespaces of this machine.

mod known;
mod private;

use std::path::Path;

use crate::model::NetworkNamespace;

pub use known::{EnterError, all, find, on_thread_in};
pub use private::{PrivateNetworkError, unshare_private_loopback};

/// The network namespace of the calling thread.
pub fn current() -> Option<NetworkNamespace> {
    namespace_at(Path::new("/proc/thread-self/ns/net"))
}

/// The network namespace whose tables a proc root shows: its `self/ns/net`.
pub fn of_proc_root(root: &Path) -> Option<NetworkNamespace> {
    namespace_at(&root.join("self/ns/net"))
}

/// The network namespace of the process whose folder this is, where we may know it.
pub fn of_process(folder: &Path) -> Option<NetworkNamespace> {
    namespace_at(&folder.join("ns/net"))
}

fn namespace_at(path: &Path) -> Option<NetworkNamespace> {
    let link = std::fs::read_link(path).ok()?;
    super::inode_of_link(link.as_os_str()).map(NetworkNamespace)
}
