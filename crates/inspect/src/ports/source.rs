//! Reads the settings of the calling thread's network namespace, or of a recorded tree.

use std::path::Path;

use super::{Settings, parse_range, parse_reserved};

/// The settings below a proc root. Below /proc they are those of the network namespace of the
/// calling thread (fs/proc/proc_sysctl.c asks the thread that looks a name up).
pub fn read(root: &Path) -> Settings {
    let text = |name: &str| {
        let path = root.join("sys/net/ipv4").join(name);
        std::fs::read_to_string(path).ok()
    };
    Settings {
        ephemeral: text("ip_local_port_range").and_then(|it| parse_range(&it)),
        reserved: text("ip_local_reserved_ports").and_then(|it| parse_reserved(&it)),
        unprivileged_start: text("ip_unprivileged_port_start")
            .and_then(|it| it.trim().parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_settings() {
        let settings = read(Path::new("/proc"));
        assert!(settings.ephemeral.is_some(), "{settings:?}");
        assert!(settings.reserved.is_some(), "{settings:?}");
        assert!(settings.unprivileged_start.is_some(), "{settings:?}");
        assert_eq!(read(Path::new("/nonexistent")), Settings::default());
    }
}
