//! Which machine this is: the opening record.

use std::path::Path;

use crate::clock;
use crate::render::json::{Begin, SCHEMA};

/// The `begin` record of a view on this machine.
pub(crate) fn begin(view: &'static str, sources: Vec<String>) -> Begin {
    begin_at(Path::new("/proc"), view, sources)
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
