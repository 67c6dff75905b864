//! Looks at sockets and owners beside the capture, so that a slow /proc holds up no packet.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::lives::Watched;
use crate::attribution::Table;

use crate::capture::interfaces;
use crate::cli::capture::Request;
use crate::clock;
use crate::launch::Kin;
use crate::model::Timestamp;
use crate::owners::{self, Finder, Source as _};
use crate::sockets::{self, Choice, Query, Source as _, Tables};
use crate::stop::Stop;

/// A thread that looks when it is asked.
pub(super) struct Looker {
    questions: Sender<()>,
    answers: Receiver<Answer>,
    newest: Look,
    asked: Option<Instant>,
    /// When a new conversation was last worth a look of its own.
    hurried: Option<Instant>,
    waiting: bool,
    /// The answer that is under way was waited for already, in vain.
    vain: bool,
    rest: Duration,
    health: Health,
    /// What the kernel tells meanwhile, where it does.
    pub(super) lives: Option<Watched>,
    /// Nobody asked for owners.
    pub(super) is_off: bool,
}

/// Whether the thread is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Looking,
    /// It has ended, which it never should, and nobody knows yet.
    Ended,
    EndedAndSaid,
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
/// a machine with 200,000 descriptors one costs 400 ms. New conversations have another tenth,
/// so that a look for the sake of an old one does not leave them without.
const REST: Duration = Duration::from_millis(100);
const SHARE: u32 = 10;
/// How long a packet of a new conversation waits for its owners. With the kernel's 20 ms and
/// the time to write, a line is on the screen within 100 ms all the same.
const PATIENCE: Duration = Duration::from_millis(40);
/// How long the first look may take before the capture goes on without it.
const FIRST: Duration = Duration::from_secs(1);
/// An answer that is under way is fetched after so long, when no packet comes meanwhile.
const FETCH: Duration = Duration::from_millis(15);

impl Looker {
    /// Starts the thread, and waits for a first look: it knows the listeners. Meanwhile the
    /// kernel keeps the packets. A capture into a pcap file, which has no owners, begins at once,
    /// unless packets are chosen by them.
    pub(super) fn start(request: &Request, kin: Option<Kin>) -> io::Result<Self> {
        // Never raised: the last look is for the words at the end of the capture.
        let stop = Stop::new()?;
        let choice = request.owners;
        let mut looker = Self::with(move || look(choice, &stop, kin.as_ref()))?;
        looker.is_off = choice == owners::Choice::None;
        if request.needs_owners() && !looker.is_off {
            looker.ask();
            looker.receive(FIRST);
        }
        Ok(looker)
    }

    /// Looks by other means.
    pub(super) fn with(mut look: impl FnMut() -> Table + Send + 'static) -> io::Result<Self> {
        let (questions, asked) = channel::<()>();
        let (answer, answers) = channel();
        std::thread::Builder::new()
            .name("inspect-owners".to_owned())
            .spawn(move || {
                while asked.recv().is_ok() {
                    let (began, start) = (clock::now(), Instant::now());
                    let table = look();
                    let took = start.elapsed();
                    let given = Answer { table, began, took };
                    if answer.send(given).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            questions,
            answers,
            newest: Look::default(),
            asked: None,
            hurried: None,
            waiting: false,
            vain: false,
            rest: REST,
            health: Health::Looking,
            lives: None,
            is_off: false,
        })
    }

    /// The newest look.
    pub(super) fn newest(&mut self) -> Look {
        self.receive(Duration::ZERO);
        self.newest.clone()
    }

    /// Asks for a new look, if one is due, without waiting.
    pub(super) fn ask(&mut self) {
        self.receive(Duration::ZERO);
        if self.asked.is_none_or(|asked| asked.elapsed() >= self.rest) {
            self.send();
        }
    }

    /// Asks for the sake of a new conversation, and waits a little for the answer.
    pub(super) fn ask_and_wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let left = || deadline.saturating_duration_since(Instant::now());
        self.receive(Duration::ZERO);
        if self.waiting {
            // Who has waited in vain does not wait for the same answer again.
            if self.vain && self.newest.number > 0 {
                return;
            }
            // It may have begun too early.
            self.receive(left());
        }
        if !self.waiting
            && self
                .hurried
                .is_none_or(|hurried| hurried.elapsed() >= self.rest)
        {
            self.hurried = Some(Instant::now());
            self.send();
            self.receive(left());
        }
        self.vain = self.waiting;
    }

    /// A look from now, waited for.
    pub(super) fn fresh(&mut self) -> Arc<Table> {
        self.ask();
        if self.waiting {
            self.receive(Duration::from_secs(1));
        }
        self.newest.table.clone()
    }

    /// A look from now, due or not, waited for: at the end nothing else waits any more.
    pub(super) fn last(&mut self) {
        const LIMIT: Duration = Duration::from_secs(1);
        // The one that is under way may have begun too early.
        self.receive(LIMIT);
        self.send();
        self.receive(LIMIT);
    }

    /// After how long there may be an answer, or the next question is due; never, when nobody
    /// looks any more.
    pub(super) fn due(&self) -> Option<Duration> {
        if self.health != Health::Looking {
            return None;
        }
        if self.waiting {
            return Some(FETCH);
        }
        let since = self.asked.map_or(self.rest, |asked| asked.elapsed());
        // Not at once: poll(2) counts whole milliseconds.
        Some(self.rest.saturating_sub(since) + Duration::from_millis(1))
    }

    /// Whether the thread has ended; said once.
    pub(super) fn has_just_ended(&mut self) -> bool {
        let news = self.health == Health::Ended;
        if news {
            self.health = Health::EndedAndSaid;
        }
        news
    }

    /// Whether the thread has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.health != Health::Looking
    }

    fn send(&mut self) {
        if self.waiting || self.has_ended() {
            return;
        }
        if self.questions.send(()).is_err() {
            self.health = Health::Ended;
            return;
        }
        self.waiting = true;
        self.vain = false;
        self.asked = Some(Instant::now());
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
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                self.waiting = false;
                self.health = Health::Ended;
            }
        }
    }
}

fn look(choice: owners::Choice, stop: &Stop, kin: Option<&Kin>) -> Table {
    use sockets::Table::{Tcp, Tcp6, Udp, Udp6};
    // Sockets first: an owner found later may hold one that is gone, never the other way round.
    let sockets =
        Tables::new(Choice::Auto, None, stop.clone()).look(&Query::all_of([Tcp, Tcp6, Udp, Udp6]));
    let holdings = Finder::new(choice, "/proc", stop.clone()).look();
    // While they live: later nobody could tell whose children they were.
    if let Some(kin) = kin {
        for process in holdings.processes() {
            kin.has(process.pid, process.started);
        }
    }
    let addresses = interfaces().into_iter().flat_map(|it| it.addresses);
    Table::new(&sockets.sockets, holdings, addresses)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, View};
    use crate::selection::Numbers;

    #[test]
    fn a_new_conversation_has_a_look_of_its_own_soon_after_another() {
        let mut looker = Looker::with(Table::default).unwrap();
        looker.ask();
        looker.receive(FIRST);
        assert_eq!(looker.newest().number, 1);
        looker.ask();
        assert!(!looker.waiting, "not due");
        looker.ask_and_wait();
        assert_eq!(looker.newest().number, 2, "the first conversation");
        looker.ask_and_wait();
        assert_eq!(looker.newest().number, 2, "the next does not wait");
        let due = looker.due().unwrap();
        assert!(due <= REST + Duration::from_millis(1), "{due:?}");
    }

    #[test]
    fn a_capture_into_a_pcap_file_does_not_wait_for_owners() {
        for (words, looks) in [
            (&["-w", "file"][..], 0),
            (&["-w", "file.pcapng"], 1),
            (&[][..], 1),
        ] {
            let typed = ["inspect", "capture"].iter().chain(words);
            let View::Capture(flags) = Cli::try_parse_from(typed).unwrap().view else {
                panic!("another view")
            };
            let mut looker = Looker::start(&flags.validate(&Numbers).unwrap(), None).unwrap();
            assert_eq!(looker.asked.is_some(), looks == 1, "{words:?}");
            // The line about silence has its look all the same.
            looker.rest = Duration::ZERO;
            looker.fresh();
            assert_eq!(looker.newest().number, looks + 1);
        }
    }

    #[test]
    fn an_end_of_the_thread_is_told_once_and_nobody_waits_for_it() {
        // As a panic would end it, without its words.
        let mut looker = Looker::with(|| std::panic::resume_unwind(Box::new(()))).unwrap();
        assert!(!looker.has_just_ended());
        looker.fresh();
        assert!(!looker.waiting);
        assert!(looker.has_just_ended());
        assert!(!looker.has_just_ended());
        assert!(looker.has_ended());
        looker.asked = None;
        looker.ask();
        assert!(!looker.waiting);
        assert_eq!(looker.due(), None);
    }
}
