//! The ways to see who holds what, and the choice between them.

mod finder;
mod kernel;
mod walk;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::proc_text;
use crate::clock::Boot;
pub use finder::Finder;
pub use kernel::KernelList;
pub use walk::ProcWalk;

/// The inode of the first pid namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
/// What is read here is smaller; /proc/stat has a number for each interrupt of a machine.
const LONGEST_FILE: u64 = 1024 * 1024;

/// What a file below a proc root says.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?
        .take(LONGEST_FILE)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// When the machine booted, as a proc root tells it.
fn boot(root: &Path) -> Boot {
    let stat = read(&root.join("stat")).unwrap_or_default();
    Boot::from_stat(&stat, procfs::ticks_per_second())
}

/// Why there may be processes that are not for us to see at all.
fn beyond_this_namespace(root: &Path) -> Option<String> {
    let namespace = std::fs::read_link(root.join("self/ns/pid")).ok();
    match namespace.and_then(|link| crate::namespaces::inode_of_link(link.as_os_str())) {
        Some(FIRST_PID_NAMESPACE) => None,
        Some(_) => {
            Some("this pid namespace is not the machine's first: others are not seen".to_owned())
        }
        None => Some("it is not told whether there are other pid namespaces".to_owned()),
    }
}

/// Whether /proc numbers processes as this process's pid namespace does, and not as that of who
/// mounted it.
fn is_of_our_namespace() -> bool {
    std::fs::read_link("/proc/self")
        .is_ok_and(|own| own == Path::new(&std::process::id().to_string()))
}

/// Processes below a proc root, in ascending order.
fn pids(root: &Path) -> io::Result<Vec<u32>> {
    use std::os::unix::ffi::OsStrExt;
    let mut pids = Vec::new();
    for entry in std::fs::read_dir(root)? {
        pids.extend(proc_text::number::<u32>(entry?.file_name().as_bytes()));
    }
    pids.sort_unstable();
    Ok(pids)
}
