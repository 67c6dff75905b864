//! Which machine this is: the opening record.

use std::path::Path;

use crate::clock;
use crate::render::json::{Begin, SCHEMA};

/// The `begin` record of a view on this machine.
pub(crate) fn begin(view: &'static str, sources: Vec<String>) -> Begin {
    begin_at(Path::new("/proc"), view, sources)
}

/// Whether the kernel is of this version or a later one: `6.18.44-name`. `None` where it does not
/// say.
pub(crate) fn kernel_is_at_least(root: &Path, wanted: (u32, u32)) -> Option<bool> {
    let text = std::fs::read_to_string(root.join("sys/kernel/osrelease")).ok()?;
    version(&text).map(|version| version >= wanted)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The `begin` record of a view on the machine whose proc tree is at `root`. The times are
/// those of the run.
pub(crate) fn begin_at(root: &Path, view: &'static str, sources: Vec<String>) -> Begin {
    let read = |name: &str| {
        let text = std::fs::read_to_string(root.join("sys/kernel").join(name)).ok()?;
        Some(text.trim_end().to_owned())
    };
    Begin {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        view,
        host: read("hostname"),
        boot_id: read("random/boot_id"),
        time: clock::now().to_string(),
        monotonic_ns: clock::monotonic_ns().to_string(),
        sources,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_begins_with_two_numbers() {
        assert_eq!(version("6.18.44-fc\n"), Some((6, 18)));
        assert_eq!(version("5.15-rc1"), Some((5, 15)));
        assert_eq!(version("six"), None);
        assert_eq!(kernel_is_at_least(Path::new("/proc"), (2, 6)), Some(true));
        assert_eq!(
            kernel_is_at_least(Path::new("/proc"), (900, 0)),
            Some(false)
        );
        assert_eq!(kernel_is_at_least(Path::new("/nonexistent"), (2, 6)), None);
    }
}
