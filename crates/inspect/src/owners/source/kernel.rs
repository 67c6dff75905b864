//! A kernel program lists every descriptor on a socket (`bpf`).

use std::path::Path;

use super::super::gather::Gather;
use super::super::{Holdings, Seen, Source};
use super::ProcWalk;
use crate::bpf::{self, SocketDescriptors, Sockets};
use crate::model::{Gap, Inode, Origin, Pid};
use crate::stop::Stop;

/// To ask for more sockets than this takes the time that it saves.
const MOST_ASKED_FOR: usize = 10_000;

/// Has the kernel list who holds what. It sees every process of this process's pid namespace,
/// whatever /proc hides.
#[derive(Debug, Clone)]
pub struct KernelList {
    /// `None`: all sockets.
    only: Option<Vec<Inode>>,
    stop: Stop,
}

impl KernelList {
    /// A look ends early, with a gap, when `stop` is raised.
    pub fn new(stop: Stop) -> Self {
        Self { only: None, stop }
    }

    /// These sockets are enough: others may be missing from what is found.
    #[must_use]
    pub fn only(self, sockets: Vec<Inode>) -> Self {
        Self {
            only: Some(sockets),
            ..self
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// When the kernel or the rights of this process do not allow it.
    pub fn try_look(&self) -> Result<Holdings, bpf::Error> {
        let proc = Path::new("/proc");
        let sockets = match &self.only {
            Some(only) if only.len() <= MOST_ASKED_FOR => Sockets::These(only),
            _ => Sockets::Every,
        };
        let mut descriptors = SocketDescriptors::open(sockets)?;
        let mut gather = Gather::new(super::boot(proc));
        let mut stopped = None;
        while let Some(records) = descriptors.next_records()? {
            records.for_each(|record| gather.add(&record));
            if self.stop.is_raised() {
                stopped = Some("some processes were not looked at: stopped".to_owned());
                break;
            }
        }
        let mut seen = gather.finish();
        seen.unlisted = super::beyond_this_namespace(proc);
        if seen.processes.iter().all(|process| process.pid != Pid(1)) {
            let walk = ProcWalk::new(proc, self.stop.clone());
            seen.unreadable.extend(walk.guarded_init());
        }
        if let Some(reason) = stopped {
            seen.unlisted = Some(reason.clone());
            seen.gaps.push(Gap::uncounted(Origin::Owners, reason));
        }
        Ok(seen.into())
    }
}

impl Source for KernelList {
    fn name(&self) -> &'static str {
        "bpf"
    }

    fn look(&mut self) -> Holdings {
        self.try_look().unwrap_or_else(|error| {
            let reason = error.to_string();
            let seen = Seen {
                unlisted: Some(reason.clone()),
                gaps: vec![Gap::uncounted(Origin::Owners, reason)],
                ..Seen::default()
            };
            seen.into()
        })
    }
}
