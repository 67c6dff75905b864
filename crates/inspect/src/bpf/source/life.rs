//! Runs `life.bpf.c`.

use std::os::fd::{AsFd, OwnedFd};

use super::super::life_record::LifeRecord;
use super::loader::{Attached, Loader};
use super::ring::Ring;
use super::task_file::Aligned;
use super::{Error, allowed, call, refused};
use crate::model::NetworkNamespace;

/// Built from its source by `make bpf`.
static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../life.bpf.o"));

/// What is attached where.
const PROGRAMS: [&str; 5] = [
    "state_changed",
    "call_ended",
    "program_begun",
    "process_ended",
    "process_begun",
];
const TRACEPOINTS: [&str; 5] = [
    "btf_trace_inet_sock_set_state",
    "btf_trace_sys_exit",
    "btf_trace_sched_process_exec",
    "btf_trace_sched_process_exit",
    "btf_trace_sched_process_fork",
];

/// Bytes of the ring: some 35,000 records, which is a second of 6,000 new conversations.
pub const LIFE_RING: u32 = 4 * 1024 * 1024;
/// Pairs of process and socket of which the kernel remembers that they were told.
const USES: u32 = 65_536;
/// Processes, likewise.
const PROCESSES: u32 = 16_384;

/// Lives of sockets, from now on until it is dropped; then nothing of it is left in the kernel.
#[derive(Debug)]
pub struct Lives {
    ring: Ring,
    lost: OwnedFd,
    #[allow(dead_code, reason = "the programs run as long as it is there")]
    attached: Attached,
}

impl Lives {
    /// Has the kernel tell what happens from now on.
    ///
    /// `pid_namespace` is the inode of the pid namespace whose numbers are wanted, `network` the
    /// only network namespace that matters, `forks` whether it matters which process begins which,
    /// `room` the bytes of the ring: a power of two, and of whole pages.
    ///
    /// # Errors
    /// When the rights, the kernel, or a limit do not allow it, and on a machine whose calls this
    /// program cannot read.
    pub fn open(
        pid_namespace: u64,
        network: Option<NetworkNamespace>,
        forks: bool,
        room: u32,
    ) -> Result<Self, Error> {
        if !cfg!(target_arch = "x86_64") {
            return Err(Error::Machine);
        }
        allowed()?;
        let mut loader = Loader::new(&OBJECT.0, &TRACEPOINTS)?;
        let number = |wanted: u64| u32::try_from(wanted).unwrap_or(0).to_ne_bytes();
        let mut settings = [0; 12];
        settings[..4].copy_from_slice(&number(pid_namespace));
        settings[4..8].copy_from_slice(&number(network.map_or(0, |it| it.0)));
        settings[8..].copy_from_slice(&u32::from(forks).to_ne_bytes());
        let table = loader.make("settings", 1)?;
        call::set_first(table, settings).map_err(refused("set what the kernel program tells"))?;
        loader.make("lost", 1)?;
        loader.make("used", USES)?;
        loader.make("told", PROCESSES)?;
        loader.make("events", room)?;
        let mut attached = loader.attach(&PROGRAMS)?;
        let read = "read the ring of the kernel program";
        let [ring, lost] = ["events", "lost"].map(|name| attached.take(name));
        let (Some(ring), Some(lost)) = (ring, lost) else {
            return Err(Error::Refused {
                operation: read,
                reason: "it was not made".to_owned(),
            });
        };
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        Ok(Self {
            ring: Ring::new(ring, room).map_err(refused(read))?,
            lost,
            attached,
        })
    }

    /// Whether nothing has happened since: costs next to nothing, and no call.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// What has happened since, in the order in which the kernel began to write it; what is not
    /// understood is counted.
    pub fn drain(&mut self, mut tell: impl FnMut(LifeRecord)) -> u64 {
        let mut unknown = 0;
        self.ring.drain(|bytes| match LifeRecord::decode(bytes) {
            Some(record) => tell(record),
            None => unknown += 1,
        });
        unknown
    }

    /// How many records the ring had no room for, from the beginning.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn lost(&self) -> Result<u64, Error> {
        call::first(self.lost.as_fd())
            .map(u64::from_ne_bytes)
            .map_err(Error::Read)
    }
}
