//! Reads the settings of the calling thread's network namespace, or of a recorded tree.

use std::path::Path;

use super::{Limits, parse_reuse};
use crate::ports;

/// The settings below a proc root. Below /proc they are those of the network namespace of the
/// calling thread (fs/proc/proc_sysctl.c asks the thread that looks a name up).
pub fn read(root: &Path) -> Limits {
    let text = |name: &str| std::fs::read_to_string(root.join("sys/net").join(name)).ok();
    let number = |name: &str| text(name)?.trim().parse().ok();
    Limits {
        ports: ports::read(root),
        time_wait: number("ipv4/tcp_max_tw_buckets"),
        time_wait_reuse: text("ipv4/tcp_tw_reuse").and_then(|it| parse_reuse(&it)),
        accept_queue: number("core/somaxconn"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_limits() {
        let limits = read(Path::new("/proc"));
        assert!(limits.ephemeral_ports().is_some(), "{limits:?}");
        assert!(limits.time_wait.is_some(), "{limits:?}");
        assert!(limits.time_wait_reuse.is_some(), "{limits:?}");
        assert!(limits.accept_queue.is_some(), "{limits:?}");
        assert_eq!(read(Path::new("/nonexistent")), Limits::default());
    }
}
