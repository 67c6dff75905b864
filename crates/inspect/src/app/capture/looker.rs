//! Looks at sockets and owners beside the capture, so that a slow /proc holds up no packet.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::attribution::Table;
use crate::capture::interfaces;
use crate::owners::{self, ProcWalk, Source as _};
use crate::sockets::{self, ProcTables, Source as _};

/// A thread that looks when it is asked.
pub(super) struct Looker {
    questions: Sender<()>,
    answers: Receiver<(Table, Duration)>,
    table: Arc<Table>,
    generation: u64,
    asked: Option<Instant>,
    waiting: bool,
    rest: Duration,
}

/// Looks are not closer together than this, nor do they take more than a tenth of the time: on
/// a machine with 200,000 descriptors one costs 400 ms.
const REST: Duration = Duration::from_millis(100);
const SHARE: u32 = 10;
/// How long a packet of a new conversation waits for its owners. With the kernel's 20 ms and
/// the time to write, a line is on the screen within 100 ms all the same.
const PATIENCE: Duration = Duration::from_millis(40);

impl Looker {
    /// Starts the thread, and a first look.
    pub(super) fn start() -> io::Result<Self> {
        let (questions, asked) = channel::<()>();
        let (answer, answers) = channel();
        std::thread::Builder::new()
            .name("inspect-owners".to_owned())
            .spawn(move || {
                while asked.recv().is_ok() {
                    let began = Instant::now();
                    let table = look();
                    if answer.send((table, began.elapsed())).is_err() {
                        return;
                    }
                }
            })?;
        let mut looker = Self {
            questions,
            answers,
            table: Arc::default(),
            generation: 0,
            asked: None,
            waiting: false,
            rest: REST,
        };
        looker.ask();
        Ok(looker)
    }

    /// The newest look, and its number; 0 before the first.
    pub(super) fn newest(&mut self) -> (Arc<Table>, u64) {
        self.receive(Duration::ZERO);
        (self.table.clone(), self.generation)
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
        if self.waiting && (!was_waiting || self.generation == 0) {
            self.receive(PATIENCE);
        }
    }

    /// A look from now, waited for.
    pub(super) fn fresh(&mut self) -> Arc<Table> {
        self.ask();
        if self.waiting {
            self.receive(Duration::from_secs(1));
        }
        self.table.clone()
    }

    fn receive(&mut self, patience: Duration) {
        if !self.waiting {
            return;
        }
        match self.answers.recv_timeout(patience) {
            Ok((table, took)) => {
                self.table = Arc::new(table);
                self.generation += 1;
                self.waiting = false;
                self.rest = REST.max(took.saturating_mul(SHARE));
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

fn look() -> Table {
    use sockets::Table::{Tcp, Tcp6, Udp, Udp6};
    // Sockets first: an owner found later may hold one that is gone, never the other way round.
    let sockets = ProcTables::new("/proc", None).look(&[Tcp, Tcp6, Udp, Udp6]);
    let holdings: owners::Holdings = ProcWalk::new("/proc").look();
    let addresses = interfaces().into_iter().flat_map(|it| it.addresses);
    Table::new(&sockets.sockets, holdings, addresses)
}
