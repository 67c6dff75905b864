//! Reads the settings of the calling thread's network namespace, or of a recorded tree.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Limits, parse_range, parse_reserved, parse_reuse};

/// The settings below a proc root. Below /proc they are those of the network namespace of the
/// calling thread (fs/proc/proc_sysctl.c asks the thread that looks a name up).
pub fn read(root: &Path) -> Limits {
    let text = |name: &str| line(&root.join("sys/net").join(name));
    let number = |name: &str| text(name)?.trim().parse().ok();
    Limits {
        ephemeral: text("ipv4/ip_local_port_range").and_then(|it| parse_range(&it)),
        reserved: text("ipv4/ip_local_reserved_ports").and_then(|it| parse_reserved(&it)),
        time_wait: number("ipv4/tcp_max_tw_buckets"),
        time_wait_reuse: text("ipv4/tcp_tw_reuse").and_then(|it| parse_reuse(&it)),
        accept_queue: number("core/somaxconn"),
        unprivileged_start: number("ipv4/ip_unprivileged_port_start"),
    }
}

/// A range of reserved ports has up to 11 bytes and a comma, and most machines have none.
const LONGEST: usize = 64 * 1024;

/// The one line of a setting, by one read: the kernel answers a second read of reserved ports
/// with nothing, and the first with as much as there is room for
/// (kernel/sysctl.c `proc_do_large_bitmap`). What it did not end with a newline is not whole.
fn line(path: &Path) -> Option<String> {
    let mut bytes = vec![0; LONGEST];
    let length = File::open(path).ok()?.read(&mut bytes).ok()?;
    bytes.truncate(length);
    let text = String::from_utf8(bytes).ok()?;
    text.ends_with('\n').then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_no_setting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sys/net/ipv4");
        std::fs::create_dir_all(&path).unwrap();
        let write =
            |text: &str| std::fs::write(path.join("ip_local_reserved_ports"), text).unwrap();
        write("40000-40001,41000-41001,42000-42");
        assert_eq!(read(folder.path()).reserved, None);
        write("40000-40001,41000-41001,42000-42001,43000\n");
        assert_eq!(read(folder.path()).reserved.unwrap().len(), 4);
        write("\n");
        assert_eq!(read(folder.path()).reserved, Some(Vec::new()));
    }

    #[test]
    fn this_kernel_has_limits() {
        let limits = read(Path::new("/proc"));
        assert!(limits.ephemeral_ports().is_some(), "{limits:?}");
        assert!(limits.time_wait.is_some(), "{limits:?}");
        assert!(limits.time_wait_reuse.is_some(), "{limits:?}");
        assert!(limits.accept_queue.is_some(), "{limits:?}");
        assert!(limits.unprivileged_start.is_some(), "{limits:?}");
        assert_eq!(read(Path::new("/nonexistent")), Limits::default());
    }
}
