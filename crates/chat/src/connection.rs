//! One connection: any byte stream in, messages out, and the other way round, both bounded.
//!
//! Reading and writing are separate, because each runs in a task of its own: a peer that does not
//! read must not keep its own words from being heard.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{tcp, unix};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::message::{Decoder, Framing, TooLong};

/// Bytes asked for in one read.
const CHUNK: usize = 16 * 1024;

/// What a queued message costs beside its words, so that a flood of tiny ones is bounded as well.
const OVERHEAD: usize = 64;

/// Why nothing more will be heard.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The peer closed, or half-closed, politely.
    Closed,
    /// The peer broke off: it crashed, or closed with words unread.
    Reset,
    /// The peer stopped answering.
    TimedOut,
    /// The peer sent more than one message may hold.
    TooLong(TooLong),
    /// The connection broke in another way.
    Failed(io::Error),
}

impl Ending {
    /// What an error of the connection means for the conversation.
    pub(crate) fn from_error(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Failed(error),
        }
    }

    /// Whether the peer left the way one should.
    pub(crate) fn is_polite(&self) -> bool {
        matches!(self, Self::Closed)
    }
}

/// What the peer did, to stand after its name.
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed the connection"),
            Self::Reset => f.write_str("reset the connection"),
            Self::TimedOut => f.write_str("stopped answering; the connection timed out"),
            Self::TooLong(too_long) => {
                write!(
                    f,
                    "sent {too_long}; conversation closed (--max-message sets the limit)"
                )
            }
            Self::Failed(error) => {
                write!(f, "lost the connection: {}", crate::endpoint::reason(error))
            }
        }
    }
}

/// A message and what it tells about its sender.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Heard {
    /// The words, without what ended them.
    pub text: Vec<u8>,
    /// Whether the sender wants to be answered with a newline.
    pub newline: bool,
}

/// The hearing half.
#[derive(Debug)]
pub(crate) struct Incoming<R> {
    source: R,
    decoder: Decoder,
    chunk: Box<[u8]>,
    /// When what waits in the decoder counts as a message.
    due: Option<Instant>,
    ended: Option<Ending>,
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    /// Hears messages of at most `limit` bytes from `source`.
    pub(crate) fn new(source: R, framing: Framing, limit: usize) -> Self {
        Self {
            source,
            decoder: Decoder::new(framing, limit),
            chunk: vec![0; CHUNK].into_boxed_slice(),
            due: None,
            ended: None,
        }
    }

    /// The next message. Nothing is lost when the future is dropped before it is done.
    ///
    /// # Errors
    /// The [`Ending`], after every message before it. Not to be called again.
    pub(crate) async fn next(&mut self) -> Result<Heard, Ending> {
        loop {
            match self.decoder.message() {
                Some(Ok(text)) => return Ok(self.heard(text)),
                Some(Err(too_long)) => return Err(Ending::TooLong(too_long)),
                None => {}
            }
            if let Some(ending) = self.ended.take() {
                return Err(ending);
            }
            let read = match self.due {
                None => self.source.read(&mut self.chunk).await,
                Some(due) => {
                    let read = self.source.read(&mut self.chunk);
                    match tokio::time::timeout_at(due, read).await {
                        Ok(read) => read,
                        Err(_silence) => {
                            self.due = None;
                            match self.decoder.fragment() {
                                Some(text) => return Ok(self.heard(text)),
                                None => continue,
                            }
                        }
                    }
                }
            };
            let ending = match read {
                Ok(0) => Ending::Closed,
                Ok(length) => {
                    self.decoder
                        .push(self.chunk.get(..length).unwrap_or_default());
                    if let Some(message) = self.decoder.message() {
                        self.due = self
                            .decoder
                            .patience()
                            .map(|patience| Instant::now() + patience);
                        return match message {
                            Ok(text) => Ok(self.heard(text)),
                            Err(too_long) => Err(Ending::TooLong(too_long)),
                        };
                    }
                    self.due = self
                        .decoder
                        .patience()
                        .map(|patience| Instant::now() + patience);
                    continue;
                }
                Err(error) => Ending::from_error(error),
            };
            self.ended = Some(ending);
            if let Some(text) = self.decoder.fragment() {
                return Ok(self.heard(text));
            }
        }
    }

    /// Where it hears from.
    pub(crate) fn source(&self) -> &R {
        &self.source
    }

    fn heard(&self, text: Vec<u8>) -> Heard {
        Heard {
            text,
            newline: self.decoder.peer_expects_newline(),
        }
    }
}

/// Half of a connection that can tell whether the peer took what was written.
///
/// To write to a peer that has closed succeeds, once: its refusal comes afterwards, and of all
/// calls only another write would fail.
pub(crate) trait Reached {
    /// False when the peer has refused something. True is no promise: a refusal may be on its way.
    fn reached(&self) -> bool;
}

impl Reached for tcp::OwnedReadHalf {
    fn reached(&self) -> bool {
        !matches!(self.as_ref().take_error(), Ok(Some(_)))
    }
}

impl Reached for unix::OwnedReadHalf {
    fn reached(&self) -> bool {
        !matches!(self.as_ref().take_error(), Ok(Some(_)))
    }
}

/// A message that could not be queued.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotQueued {
    /// The peer reads too slowly.
    #[error("{waiting} bytes are waiting already")]
    Full {
        /// Bytes queued and not taken.
        waiting: usize,
    },
    /// The connection is gone.
    #[error("the connection is gone")]
    Gone,
}

/// The speaking half, as those see it who speak: a queue bounded in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    queue: mpsc::UnboundedSender<(Vec<u8>, usize)>,
    space: Arc<Space>,
}

/// The speaking half, as the task sees it that writes.
#[derive(Debug)]
pub(crate) struct Outgoing {
    queue: mpsc::UnboundedReceiver<(Vec<u8>, usize)>,
    space: Arc<Space>,
}

/// How full a queue is. Not a semaphore: one who waits for half of a semaphore gathers what is
/// freed meanwhile, and to everybody else the queue then looks full when it is not.
#[derive(Debug)]
struct Space {
    capacity: usize,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    bytes: usize,
    /// Nobody empties the queue any more.
    gone: bool,
}

impl Space {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that holds the lock can panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no more than `bytes` are queued, or nobody empties the queue any more.
    async fn at_most(&self, bytes: usize) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Counts from here: what changes after the look below wakes us.
            changed.as_mut().enable();
            let now = *self.waiting();
            if now.gone || now.bytes <= bytes {
                return;
            }
            changed.await;
        }
    }
}

/// A queue for about `capacity` bytes on their way to one peer.
pub(crate) fn outbox(capacity: usize) -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let space = Arc::new(Space {
        capacity: capacity.max(OVERHEAD),
        waiting: Mutex::new(Waiting {
            bytes: 0,
            gone: false,
        }),
        changed: Notify::new(),
    });
    let outgoing = Outgoing {
        queue: receiver,
        space: Arc::clone(&space),
    };
    let outbox = Outbox {
        queue: sender,
        space,
    };
    (outbox, outgoing)
}

impl Outbox {
    /// Queues `bytes` at once or not at all.
    ///
    /// # Errors
    /// [`NotQueued`], when the queue is full or nobody empties it any more.
    pub(crate) fn try_send(&self, bytes: Vec<u8>) -> Result<(), NotQueued> {
        let cost = self.cost(bytes.len());
        {
            let mut waiting = self.space.waiting();
            if waiting.gone {
                return Err(NotQueued::Gone);
            }
            if waiting.bytes + cost > self.space.capacity {
                return Err(NotQueued::Full {
                    waiting: waiting.bytes,
                });
            }
            waiting.bytes += cost;
        }
        self.queue.send((bytes, cost)).map_err(|_| NotQueued::Gone)
    }

    /// Waits until `length` bytes would be queued at once, or nobody empties the queue any more.
    pub(crate) async fn fits(&self, length: usize) {
        self.space
            .at_most(self.space.capacity - self.cost(length))
            .await;
    }

    /// Waits until half the queue is free: a peer that is answered without end, and does not read
    /// the answers, is then not listened to either, which costs only itself.
    pub(crate) async fn half_empty(&self) {
        self.space.at_most(self.space.capacity / 2).await;
    }

    fn cost(&self, length: usize) -> usize {
        // A message larger than the whole queue passes when the queue is empty.
        length.saturating_add(OVERHEAD).min(self.space.capacity)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.space.waiting().gone = true;
        self.space.changed.notify_waiters();
    }
}

/// Writes what is queued until every [`Outbox`] is dropped, then half-closes.
///
/// # Errors
/// The first failed write.
pub(crate) async fn deliver<W>(mut sink: W, mut outgoing: Outgoing) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    while let Some((bytes, cost)) = outgoing.queue.recv().await {
        sink.write_all(&bytes).await?;
        sink.flush().await?;
        outgoing.space.waiting().bytes -= cost;
        outgoing.space.changed.notify_waiters();
    }
    sink.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::duplex;

    #[test]
    fn each_ending_is_told_in_its_own_words() {
        let told = |kind: io::ErrorKind| Ending::from_error(kind.into()).to_string();
        assert_eq!(told(io::ErrorKind::ConnectionReset), "reset the connection");
        assert_eq!(told(io::ErrorKind::BrokenPipe), "reset the connection");
        let timed_out = "stopped answering; the connection timed out";
        assert_eq!(told(io::ErrorKind::TimedOut), timed_out);
        let lost = "lost the connection: no route to that machine";
        assert_eq!(told(io::ErrorKind::HostUnreachable), lost);
        assert_eq!(Ending::Closed.to_string(), "closed the connection");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fragment_is_heard_after_a_short_silence_and_the_ending_last() {
        let (near, mut far) = duplex(1024);
        let mut incoming = Incoming::new(near, Framing::Auto, 100);
        far.write_all(b"hello").await.unwrap();
        let before = Instant::now();
        let heard = incoming.next().await.unwrap();
        assert_eq!(
            heard,
            Heard {
                text: b"hello".to_vec(),
                newline: false
            }
        );
        assert!(before.elapsed() < Duration::from_millis(500));

        far.write_all(b"bye").await.unwrap();
        drop(far);
        assert_eq!(incoming.next().await.unwrap().text, b"bye");
        assert!(incoming.next().await.unwrap_err().is_polite());
    }

    #[tokio::test(start_paused = true)]
    async fn asking_again_does_not_restart_the_silence() {
        let (near, mut far) = duplex(1024);
        let mut incoming = Incoming::new(near, Framing::Auto, 100);
        far.write_all(b"hello").await.unwrap();
        let before = Instant::now();
        let heard = loop {
            let asked = tokio::time::timeout(Duration::from_millis(30), incoming.next()).await;
            if let Ok(heard) = asked {
                break heard.unwrap();
            }
        };
        assert_eq!(heard.text, b"hello");
        assert!(before.elapsed() < Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_takes_what_fits_and_frees_what_is_written() {
        let (near, mut far) = duplex(16);
        let (outbox, outgoing) = outbox(2 * OVERHEAD + 20);
        outbox.try_send(vec![b'x'; 20]).unwrap();
        let refused = outbox.try_send(vec![b'y'; 20]);
        assert_eq!(
            refused,
            Err(NotQueued::Full {
                waiting: OVERHEAD + 20
            })
        );

        let writer = tokio::spawn(deliver(near, outgoing));
        let mut text = vec![0; 20];
        far.read_exact(&mut text).await.unwrap();
        outbox.fits(20).await;
        outbox.try_send(vec![b'y'; 20]).unwrap();
        drop(outbox);
        far.read_to_end(&mut text).await.unwrap();
        writer.await.unwrap().unwrap();
        assert_eq!(text.len(), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_waits_for_space_takes_none_from_those_who_speak() {
        let (near, mut far) = duplex(16);
        let (outbox, outgoing) = outbox(10 * (OVERHEAD + 20));
        let writer = tokio::spawn(deliver(near, outgoing));
        for _ in 0..8 {
            outbox.try_send(vec![b'x'; 20]).unwrap();
        }
        let other = outbox.clone();
        let patient = tokio::spawn(async move { other.half_empty().await });
        // One is written and frees its place, and the patient one goes on waiting.
        let mut text = vec![0; 20];
        far.read_exact(&mut text).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!patient.is_finished());
        for _ in 0..3 {
            outbox.try_send(vec![b'y'; 20]).unwrap();
        }
        let mut rest = vec![0; 10 * 20];
        far.read_exact(&mut rest).await.unwrap();
        patient.await.unwrap();
        drop(outbox);
        writer.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_reads_holds_nobody_up() {
        let (near, _far) = duplex(16);
        let (outbox, outgoing) = outbox(1000);
        let writer = tokio::spawn(deliver(near, outgoing));
        let full = std::iter::repeat_with(|| outbox.try_send(vec![b'x'; 100]))
            .take(20)
            .find_map(Result::err);
        assert!(matches!(full, Some(NotQueued::Full { .. })));
        writer.abort();
        let _ = writer.await;
        outbox.fits(100).await;
        assert_eq!(outbox.try_send(vec![b'x']), Err(NotQueued::Gone));
    }
}
