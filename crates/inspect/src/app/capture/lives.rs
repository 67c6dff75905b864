//! What the kernel tells of sockets, beside the capture.

use std::time::Duration;

use crate::attribution::{Attribution, Lives, Question, Witness};
use crate::clock;
use crate::launch::Kin;
use crate::life::{Change, Kernel, Source};
use crate::model::{Gap, NetworkNamespace, Timestamp};
use crate::namespaces;
use crate::owners::Choice;

/// A packet may be here before the call that sent it has returned, or the one that accepts its
/// conversation. So nobody is given up before it is this old. A packet that waited in the
/// kernel's ring, as most do, is.
const SETTLED: Duration = Duration::from_millis(3);

/// The lives of sockets, as they are told.
pub(super) struct Watched {
    source: Box<dyn Source>,
    lives: Lives,
    /// That of the packets.
    namespace: NetworkNamespace,
    /// The command whose processes are told of.
    kin: Option<Kin>,
}

/// Starts to watch in the network namespace of the calling thread, so that nothing that is captured
/// after it is missed; or says why not. `buffer_kib` is the room for what is told until it is read.
/// The command of `kin` has not begun yet.
pub(super) fn start(choice: Choice, buffer_kib: u32, kin: Option<Kin>) -> Result<Watched, String> {
    if !matches!(choice, Choice::Auto | Choice::Bpf) {
        return Err("not asked for".to_owned());
    }
    let namespace =
        namespaces::current().ok_or("it is not told which network namespace this is")?;
    let room = buffer_kib.saturating_mul(1024);
    let kernel = Kernel::open(Some(namespace), kin.is_some(), room).map_err(|it| it.to_string())?;
    Ok(Watched::with(Box::new(kernel), namespace, kin))
}

impl Watched {
    /// Watches by other means.
    pub(super) fn with(
        source: Box<dyn Source>,
        namespace: NetworkNamespace,
        kin: Option<Kin>,
    ) -> Self {
        if let Some(kin) = &kin {
            kin.is_told();
        }
        Self {
            kin,
            source,
            lives: Lives::default(),
            namespace,
        }
    }

    /// Takes in what was told since: next to nothing when that is nothing.
    pub(super) fn catch_up(&mut self) {
        if !self.source.is_empty() {
            let (lives, kin) = (&mut self.lives, self.kin.as_ref());
            self.source.drain(&mut |event| {
                if let (Change::Fork(Some(parent)), Some(process), Some(kin)) =
                    (&event.change, &event.process, kin)
                {
                    kin.born(process.pid, process.started, *parent);
                }
                lives.tell(event);
            });
            if self.source.has_lost() {
                self.lives.forget_all();
                if let Some(kin) = &self.kin {
                    kin.may_have_missed();
                }
            }
        }
    }

    /// How often anything changed.
    pub(super) fn changes(&self) -> u64 {
        self.lives.changes()
    }

    /// Whether an answer for this time holds for every later one, until something changes.
    pub(super) fn is_settled(&self, time: Timestamp) -> bool {
        self.lives.latest().is_none_or(|latest| latest < time)
    }

    /// Whether a witness has no more to say than it did.
    pub(super) fn has_all(&self, witness: Option<Witness>) -> bool {
        witness.is_some_and(|witness| !self.lives.has_more(witness))
    }

    /// Whether the answer is still that of this witness.
    pub(super) fn is_still(&self, witness: Option<Witness>, question: &Question) -> bool {
        witness.is_some_and(|witness| self.lives.is_still(witness, question))
    }

    /// Who had an end; see [`Lives::attribute`].
    pub(super) fn attribute(&self, question: &Question) -> Option<(Attribution, Option<Witness>)> {
        self.lives.attribute(question)
    }

    /// The network namespace that packets pass in.
    pub(super) fn namespace(&self) -> NetworkNamespace {
        self.namespace
    }

    /// Waits until a packet of this time is old enough for all about it to be told, which most
    /// are, and takes that in.
    pub(super) fn settle(&mut self, time: Timestamp) {
        let age = clock::now().as_nanos().saturating_sub(time.as_nanos());
        let age = Duration::from_nanos(u64::try_from(age).unwrap_or(0));
        let left = SETTLED.saturating_sub(age);
        if !left.is_zero() {
            std::thread::sleep(left);
        }
        self.catch_up();
    }

    /// What was lost.
    pub(super) fn gaps(&mut self) -> Vec<Gap> {
        self.source.gaps()
    }
}
