//! What the owners of sockets say of themselves: each process is asked once, and only those whose
//! sockets are shown.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;

use super::look::Eyes;
use crate::clock;
use crate::model::{Owner, Pid, Timestamp};
use crate::processes::{self, About};
use crate::render::When;

/// The processes that were asked.
pub(super) struct Abouts {
    root: PathBuf,
    asked: Mutex<HashMap<Asked, Option<Arc<About>>>>,
    /// How their times are told.
    pub(super) when: When,
}

/// A process: an id may be another's tomorrow.
type Asked = (Pid, Option<Timestamp>);

impl Abouts {
    pub(super) fn new(eyes: &Eyes) -> Self {
        let now = (!eyes.recorded()).then(clock::now);
        Self {
            root: eyes.root().to_owned(),
            asked: Mutex::default(),
            when: When::new(TimeZone::system(), now),
        }
    }

    /// What the process of an owner says; `None` when it has ended, be it that another has its id
    /// now.
    pub(super) fn of(&self, owner: &Owner) -> Option<Arc<About>> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry((owner.pid, owner.started))
            .or_insert_with(|| {
                let about = processes::about_but_descriptors(&self.root, owner.pid)?;
                (!another(owner.started, about.started)).then(|| Arc::new(about))
            })
            .clone()
    }
}

/// Whether these are the starts of two processes. Ways to tell when a process started round
/// differently.
fn another(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    const ROUNDING: u64 = 2_000_000_000;
    match (one, other) {
        (Some(one), Some(other)) => one.as_nanos().abs_diff(other.as_nanos()) > ROUNDING,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::model::{Fd, ForeignText};

    fn owner(started: Option<i64>) -> Owner {
        Owner {
            pid: Pid(7),
            tid: Pid(7),
            fd: Fd(3),
            command: ForeignText::from("it"),
            started: started.map(|seconds| Timestamp::from_parts(seconds, 0)),
        }
    }

    fn abouts(root: &Path) -> Abouts {
        Abouts {
            root: root.to_owned(),
            asked: Mutex::default(),
            when: When::new(TimeZone::UTC, None),
        }
    }

    #[test]
    fn a_process_is_asked_once() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("7");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("comm"), "it\n").unwrap();
        fs::write(folder.join("cmdline"), "it\0-v\0").unwrap();
        let abouts = abouts(tree.path());
        let first = abouts.of(&owner(None)).unwrap();
        assert_eq!(first.command_line.as_ref().unwrap().len(), 2);
        // Nobody looks again: there would be nothing to see.
        fs::remove_dir_all(&folder).unwrap();
        let again = abouts.of(&owner(None)).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let later = self::abouts(tree.path());
        assert_eq!(later.of(&owner(None)), None);
    }

    #[test]
    fn another_process_with_the_same_id_is_not_asked_in_its_place() {
        let us = Pid(std::process::id());
        let about = processes::about(Path::new("/proc"), us).unwrap();
        let abouts = abouts(Path::new("/proc"));
        let mut owner = owner(None);
        owner.pid = us;
        owner.started = about.started;
        assert!(abouts.of(&owner).is_some());
        let earlier = about.started.unwrap().as_nanos() - 60_000_000_000;
        owner.started = Some(Timestamp::from_nanos(earlier));
        assert_eq!(abouts.of(&owner), None);
    }
}
