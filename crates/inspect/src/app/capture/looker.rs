//! Looks at sockets and owners beside the capture, so that a slow /proc holds up no packet.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::attribution::Table;

use crate::capture::interfaces;
use crate::clock;
use crate::model::Timestamp;
use crate::owners::{self, ProcWalk, Source as _};
use crate::sockets::{self, ProcTables, Source as _};
use crate::stop::Stop;

/// A thread that looks when it is asked.
pub(super) struct Looker {
    questions: Sender<()>,
    answers: Receiver<Answer>,
    newest: Look,
    asked: Option<Instant>,
    waiting: bool,
    rest: Duration,
}

/// What one look found.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    /// The sockets and their owners.
    pub(super) table: Arc<Table>,
    /// Counts from 1; 0 before the first.
    pub(super) number: u64,
    /// When it began, on the clock of the packets.
    pub(super) began: Option<Timestamp>,
}

struct Answer {
    table: Table,
    began: Timestamp,
    took: Duration,
}

/// Looks are not closer together than this, nor do they take more than a tenth of the time: on
/// a machine with 200,000 descriptors one costs 400 ms.
const REST: Duration = Duration::from_millis(100);
const SHARE: u32 = 10;
/// How long a packet of a new conversation waits for its owners. With the kernel's 20 ms and
/// the time to write, a line is on the screen within 100 ms all the same.
const PATIENCE: Duration = Duration::from_millis(40);
/// How long the first look may take before the capture goes on without it.
const FIRST: Duration = Duration::from_secs(1);

impl Looker {
    /// Starts the thread, and waits for a first look: it knows the listeners. Meanwhile the
    /// kernel keeps the packets.
    pub(super) fn start() -> io::Result<Self> {
        // Never raised: the last look is for the words at the end of the capture.
        let stop = Stop::new()?;
        let (questions, asked) = channel::<()>();
        let (answer, answers) = channel();
        std::thread::Builder::new()
            .name("inspect-owners".to_owned())
            .spawn(move || {
                while asked.recv().is_ok() {
                    let (began, start) = (clock::now(), Instant::now());
                    let table = look(&stop);
                    let took = start.elapsed();
                    let given = Answer { table, began, took };
                    if answer.send(given).is_err() {
                        return;
                    }
                }
            })?;
        let mut looker = Self {
            questions,
            answers,
            newest: Look::default(),
            asked: None,
            waiting: false,
            rest: REST,
        };
        looker.ask();
        looker.receive(FIRST);
        Ok(looker)
    }

    /// The newest look.
    pub(super) fn newest(&mut self) -> Look {
        self.receive(Duration::ZERO);
        self.newest.clone()
    }

    /// Asks for a new look, if one is due, without waiting.
    pub(super) fn ask(&mut self) {
        self.receive(Duration::ZERO);
        let due = self.asked.is_none_or(|asked| asked.elapsed() >= self.rest);
        if !self.waiting && due && self.questions.send(()).is_ok() {
            self.waiting = true;
            self.asked = Some(Instant::now());
        }
    }

    /// Asks, and waits a little for the answer.
    pub(super) fn ask_and_wait(&mut self) {
        let was_waiting = self.waiting;
        self.ask();
        // Who has waited in vain does not wait for the same answer again.
        if self.waiting && (!was_waiting || self.newest.number == 0) {
            self.receive(PATIENCE);
        }
    }

    /// A look from now, waited for.
    pub(super) fn fresh(&mut self) -> Arc<Table> {
        self.ask();
        if self.waiting {
            self.receive(Duration::from_secs(1));
        }
        self.newest.table.clone()
    }

    fn receive(&mut self, patience: Duration) {
        if !self.waiting {
            return;
        }
        match self.answers.recv_timeout(patience) {
            Ok(Answer { table, began, took }) => {
                self.newest = Look {
                    table: Arc::new(table),
                    number: self.newest.number + 1,
                    began: Some(began),
                };
                self.waiting = false;
                self.rest = REST.max(took.saturating_mul(SHARE));
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

fn look(stop: &Stop) -> Table {
    use sockets::Table::{Tcp, Tcp6, Udp, Udp6};
    // Sockets first: an owner found later may hold one that is gone, never the other way round.
    let sockets = ProcTables::new("/proc", None, stop.clone()).look(&[Tcp, Tcp6, Udp, Udp6]);
    let holdings: owners::Holdings = ProcWalk::new("/proc", stop.clone()).look();
    let addresses = interfaces().into_iter().flat_map(|it| it.addresses);
    Table::new(&sockets.sockets, holdings, addresses)
}
