//! The choice between the ways.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, statat};

use super::super::{Choice, Holdings, Reason, Source};
use super::{KernelList, ProcWalk};
use crate::bpf;
use crate::model::Inode;
use crate::privilege::{self, Right};
use crate::stop::Stop;

/// From so many descriptors on a kernel program is used. It takes 4 ms to load and 0.3 µs a
/// descriptor, a walk 3 µs a descriptor spread over the processors; below, the difference is not
/// worth a program in the kernel's log.
const MANY_DESCRIPTORS: u64 = 5_000;

/// Finds owners by the way that suits, and by the other where that is refused.
#[derive(Debug, Clone)]
pub struct Finder {
    choice: Choice,
    root: PathBuf,
    stop: Stop,
    only: Option<Vec<Inode>>,
    took: &'static str,
    reason: Reason,
}

impl Finder {
    /// Owners of the processes below `root`: /proc, or a recorded tree. A look ends early, with
    /// a gap, when `stop` is raised.
    pub fn new(choice: Choice, root: impl Into<PathBuf>, stop: Stop) -> Self {
        Self {
            choice,
            root: root.into(),
            stop,
            only: None,
            took: "none",
            reason: Reason::Asked,
        }
    }

    /// Owners of these sockets are enough: those of others may be missing from what is found.
    #[must_use]
    pub fn only(self, sockets: Vec<Inode>) -> Self {
        Self {
            only: Some(sockets),
            ..self
        }
    }

    /// Why the last look was taken the way it was.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    fn by_kernel(&mut self) -> Result<Holdings, bpf::Error> {
        let mut list = KernelList::new(self.stop.clone());
        if let Some(only) = &self.only {
            list = list.only(only.clone());
        }
        let holdings = list.try_look()?;
        self.took = list.name();
        Ok(holdings)
    }

    /// Whether a kernel program is to be tried first; and why, or why not.
    fn kernel_program(&self) -> (bool, Reason) {
        if self.root != Path::new("/proc") {
            return (false, Reason::Recorded);
        }
        if self.choice == Choice::Proc {
            return (false, Reason::Asked);
        }
        if let Err(error) = bpf::allowed() {
            return (false, Reason::Refused(error.to_string()));
        }
        // The kernel numbers processes as this one's namespace does.
        if !super::is_of_our_namespace() {
            let reason = "/proc is that of another pid namespace";
            return (false, Reason::Refused(reason.to_owned()));
        }
        if self.choice == Choice::Bpf {
            return (true, Reason::Asked);
        }
        if privilege::has(Right::ReadOwners) == Some(false) {
            return (true, Reason::Rights);
        }
        match descriptors(&self.root, MANY_DESCRIPTORS) {
            None => (true, Reason::Uncounted),
            Some(count) if count < MANY_DESCRIPTORS => (false, Reason::Few(count)),
            Some(_) => (true, Reason::Many(MANY_DESCRIPTORS)),
        }
    }
}

impl Source for Finder {
    /// The name of the way that the last look took.
    fn name(&self) -> &'static str {
        self.took
    }

    fn look(&mut self) -> Holdings {
        if self.choice == Choice::None {
            self.took = "none";
            self.reason = Reason::Asked;
            return Holdings::not_asked();
        }
        let (by_kernel, reason) = self.kernel_program();
        self.reason = reason;
        if by_kernel {
            match self.by_kernel() {
                Ok(holdings) => return holdings,
                Err(error) => self.reason = Reason::Refused(error.to_string()),
            }
        }
        let mut walk = ProcWalk::new(&self.root, self.stop.clone());
        let walked = walk.look();
        self.took = walk.name();
        // Root too may be refused the descriptors of some process.
        let hidden = walked.unreadable().len();
        if hidden > 0
            && matches!(self.reason, Reason::Few(_))
            && let Ok(holdings) = self.by_kernel()
        {
            self.reason = Reason::Hidden(hidden);
            return holdings;
        }
        walked
    }
}

/// How many descriptors there are in all processes, counted up to `enough`; `None` where the
/// kernel does not tell. Linux 6.2 and newer tell it as the size of the folder.
fn descriptors(root: &Path, enough: u64) -> Option<u64> {
    let mut count = 0u64;
    for pid in super::pids(root).ok()? {
        let folder = root.join(format!("{pid}/fd"));
        // A process that is gone has none.
        let size = statat(CWD, &folder, AtFlags::empty()).map_or(0, |stat| stat.st_size);
        count = count.saturating_add(u64::try_from(size).unwrap_or(0));
        if count >= enough {
            break;
        }
    }
    // This process has some itself.
    (count > 0).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(choice: Choice, root: &str) -> Finder {
        let mut finder = Finder::new(choice, root, Stop::new().unwrap());
        let _ = finder.look();
        finder
    }

    #[test]
    fn what_is_asked_for_is_done_and_a_recorded_tree_is_walked() {
        let finder = look(Choice::Proc, "/proc");
        assert_eq!((finder.name(), finder.reason()), ("proc", &Reason::Asked));
        let finder = look(Choice::None, "/proc");
        assert_eq!((finder.name(), finder.reason()), ("none", &Reason::Asked));
        let finder = look(Choice::Bpf, "/nonexistent");
        assert_eq!(
            (finder.name(), finder.reason()),
            ("proc", &Reason::Recorded)
        );
    }

    #[test]
    fn descriptors_are_counted_as_far_as_it_matters() {
        let Some(some) = descriptors(Path::new("/proc"), 1) else {
            return;
        };
        let all = descriptors(Path::new("/proc"), u64::MAX).unwrap();
        assert!((1..=all.max(some)).contains(&some), "{some} of {all}");
        assert!(all >= 3, "{all}");
        assert_eq!(descriptors(Path::new("/nonexistent"), 1), None);
    }
}
