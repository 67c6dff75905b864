//! Writes to standard output and error from a thread of its own, so that a stuck terminal or a
//! slow pipe holds up neither signals nor politeness.

use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// Bytes written for and not yet taken by the terminal, at which listening to clients pauses.
const PLENTY: usize = 256 * 1024;

/// How long the last words may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why standard output takes no more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Closed {
    /// The reader of the pipe left, as `head` does: no error.
    Reader,
    /// Writing failed.
    Failed(String),
}

enum Job {
    Output(Vec<u8>),
    Error(Vec<u8>),
}

/// The way to standard output and standard error, in order.
#[derive(Debug)]
pub(crate) struct Printer {
    queue: mpsc::UnboundedSender<Job>,
    waiting: watch::Sender<usize>,
    closed: watch::Receiver<Option<Closed>>,
}

impl Printer {
    /// Starts the thread.
    pub(crate) fn start() -> Self {
        let (queue, jobs) = mpsc::unbounded_channel();
        let (waiting, _) = watch::channel(0);
        let (close, closed) = watch::channel(None);
        let counter = waiting.clone();
        std::thread::spawn(move || write_all(jobs, &counter, &close));
        Self {
            queue,
            waiting,
            closed,
        }
    }

    /// Queues text for standard output.
    pub(crate) fn output(&self, text: impl Into<Vec<u8>>) {
        self.queue(Job::Output(text.into()));
    }

    /// Queues text for standard error.
    pub(crate) fn error(&self, text: impl Into<Vec<u8>>) {
        self.queue(Job::Error(text.into()));
    }

    /// Waits until little is left to write.
    pub(crate) async fn room(&self) {
        // The sender lives in self: this cannot fail.
        let _ = self
            .waiting
            .subscribe()
            .wait_for(|&waiting| waiting < PLENTY)
            .await;
    }

    /// Waits until standard output takes no more.
    pub(crate) fn closed(&self) -> impl Future<Output = Closed> + use<> {
        let mut closed = self.closed.clone();
        async move {
            let reason = closed.wait_for(Option::is_some).await.ok();
            match reason.and_then(|reason| reason.clone()) {
                Some(reason) => reason,
                // The thread ended without a word: it has nothing left to do.
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until everything is written, though not for ever; tells whether the output was
    /// refused.
    pub(crate) async fn finish(self) -> Option<Closed> {
        let drained = self.waiting.subscribe();
        let empty = async move {
            let mut drained = drained;
            let _ = drained.wait_for(|&waiting| waiting == 0).await;
        };
        let _ = tokio::time::timeout(LAST_WORDS, empty).await;
        self.closed.borrow().clone()
    }

    fn queue(&self, job: Job) {
        let (Job::Output(text) | Job::Error(text)) = &job;
        let length = text.len();
        self.waiting.send_modify(|waiting| *waiting += length);
        if self.queue.send(job).is_err() {
            self.waiting.send_modify(|waiting| *waiting -= length);
        }
    }
}

fn write_all(
    mut jobs: mpsc::UnboundedReceiver<Job>,
    waiting: &watch::Sender<usize>,
    close: &watch::Sender<Option<Closed>>,
) {
    while let Some(job) = jobs.blocking_recv() {
        let length = match job {
            Job::Output(text) => {
                if close.borrow().is_none()
                    && let Err(error) = write(&mut io::stdout().lock(), &text)
                {
                    let reader_left = error.kind() == io::ErrorKind::BrokenPipe;
                    let failed = || Closed::Failed(crate::endpoint::reason(&error));
                    close.send_replace(Some(if reader_left {
                        Closed::Reader
                    } else {
                        failed()
                    }));
                }
                text.len()
            }
            Job::Error(text) => {
                // Nowhere is left to complain to.
                let _ = write(&mut io::stderr().lock(), &text);
                text.len()
            }
        };
        waiting.send_modify(|waiting| *waiting -= length);
    }
}

fn write(stream: &mut impl io::Write, text: &[u8]) -> io::Result<()> {
    stream.write_all(text)?;
    stream.flush()
}
