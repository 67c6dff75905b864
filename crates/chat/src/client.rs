//! A connected stream, and what a person or a program types and reads: one conversation.

use std::io;
use std::ops::ControlFlow;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Duration, Instant};

use crate::connection::{Ending, Incoming, NotQueued, Outbox, Reached, deliver, outbox};
use crate::message::{Framing, encode};
use crate::terminal::console::{Console, Input};

/// Bytes on their way to the server at which no more input is taken.
const QUEUE: usize = 256 * 1024;

/// Silence after which a person is told what is awaited.
const UNEASY: Duration = Duration::from_secs(2);

/// Silence of a program's input after which a server that closed is left, though the input is still
/// open: whether it closed or only half-closed, nobody can tell without sending.
const STILL_TALKING: Duration = Duration::from_secs(1);

/// How long the last words may take when the user leaves at once.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How messages are cut and how long they may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// What ends a message.
    pub framing: Framing,
    /// The longest message, in bytes.
    pub max_message: usize,
}

/// Talks until a side leaves or breaks, or `stop` is done. True when all went well: every line was
/// sent, and the server left politely if it left first.
///
/// A server that closes may have closed only its own side. A person is told and leaves; what a
/// program has to say is sent all the same, for as long as it goes on saying it.
pub(crate) async fn run<R, W>(
    (source, sink): (R, W),
    rules: Rules,
    console: &mut Console,
    stop: impl Future<Output = ()>,
) -> bool
where
    R: AsyncRead + Unpin + Reached,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (outbox, outgoing) = outbox(QUEUE.max(rules.max_message));
    let mut conversation = Conversation {
        incoming: Incoming::new(source, rules.framing, rules.max_message),
        newline: rules.framing != Framing::Raw,
        outbox: Some(outbox),
        writer: tokio::spawn(deliver(sink, outgoing)),
        written: None,
        rules,
        unsent: None,
        uneasy: None,
        closed: None,
        broken: false,
        unheard: false,
        well: true,
    };
    console.offer("> ");
    tokio::select! {
        () = stop => {}
        () = conversation.talk(console) => {}
    }
    conversation.leave(console).await
}

/// How writing ended.
type Written = Result<io::Result<()>, JoinError>;

struct Conversation<R> {
    incoming: Incoming<R>,
    /// Whether the server is spoken to with a newline.
    newline: bool,
    /// Dropped when nothing more will be said, which half-closes.
    outbox: Option<Outbox>,
    writer: JoinHandle<io::Result<()>>,
    /// How it ended, once that was waited for.
    written: Option<Written>,
    rules: Rules,
    /// A line for which there was no space yet.
    unsent: Option<Vec<u8>>,
    /// After goodbye: when to say what is awaited.
    uneasy: Option<Instant>,
    /// After the server closed: until when the input may be silent.
    closed: Option<Instant>,
    /// The connection broke, which was told.
    broken: bool,
    /// Nobody reads the output any more, which is no reason to complain.
    unheard: bool,
    well: bool,
}

impl<R: AsyncRead + Unpin + Reached> Conversation<R> {
    async fn talk(&mut self, console: &mut Console) {
        loop {
            console.room().await;
            let closed = console.closed();
            // Off a terminal the next line waits until the one before it is on its way; a person
            // must not be kept from leaving.
            let full = self.unsent.is_some();
            let listening =
                console.is_interactive() || (self.outbox.is_some() && self.unsent.is_none());
            // Everything was said to a server that says no more.
            let saying_last = self.closed.is_some() && self.outbox.is_none();
            let silence = self.closed.filter(|_| listening);
            tokio::select! {
                heard = self.incoming.next(), if self.closed.is_none() => match heard {
                    Ok(heard) => {
                        self.newline = heard.newline;
                        console.message("server: ", &heard.text);
                    }
                    Err(ending) => {
                        self.ended(&ending, console);
                        if self.broken || console.is_interactive() {
                            return;
                        }
                        self.closed = Some(Instant::now() + STILL_TALKING);
                    }
                },
                () = fits(self.outbox.as_ref(), self.unsent.as_deref()), if full => {
                    if let Some(bytes) = self.unsent.take()
                        && self.send(bytes, console).is_break()
                    {
                        return;
                    }
                    self.still_talking();
                }
                input = console.input(), if listening => {
                    if self.typed(input, console).is_break() {
                        return;
                    }
                    self.still_talking();
                }
                written = &mut self.writer, if saying_last => {
                    self.written = Some(written);
                    return;
                }
                () = sleep_until(silence), if silence.is_some() => return,
                () = sleep_until(self.uneasy), if self.uneasy.is_some() => {
                    self.uneasy = None;
                    if console.is_interactive() {
                        console.notice("Waiting for the server to close; Ctrl-C leaves now.");
                    }
                }
                _ = closed => {
                    self.unheard = true;
                    return;
                }
            }
        }
    }

    /// Takes note of a sign of life from the input.
    fn still_talking(&mut self) {
        if self.closed.is_some() {
            self.closed = Some(Instant::now() + STILL_TALKING);
        }
    }

    /// Does what the user wants; a break means to leave.
    fn typed(&mut self, input: Input, console: &mut Console) -> ControlFlow<()> {
        match input {
            Input::Line(text) if text.is_empty() => console.notice("Nothing to send."),
            Input::Line(_) if self.outbox.is_none() => {
                console.notice("Not sent: you have said goodbye.");
            }
            Input::Line(text) if text.len() > self.rules.max_message => self.too_long(console),
            Input::Line(text) => {
                let bytes = encode(&text, self.newline);
                if console.is_interactive() {
                    return self.send(bytes, console);
                } else {
                    self.unsent = Some(bytes);
                }
            }
            Input::TooLong(_) => self.too_long(console),
            Input::Emptied => {}
            Input::Unreadable(reason) => {
                console.trouble(&format!("Cannot read the input: {reason}."));
                self.well = false;
            }
            Input::Interrupt => return ControlFlow::Break(()),
            // Said twice, goodbye means now.
            Input::End if self.outbox.is_none() => return ControlFlow::Break(()),
            Input::End => {
                self.outbox = None;
                self.uneasy = Some(Instant::now() + UNEASY);
            }
        }
        ControlFlow::Continue(())
    }

    /// Queues a message; a break when the server that closed takes no more.
    fn send(&mut self, bytes: Vec<u8>, console: &mut Console) -> ControlFlow<()> {
        let sent = self.outbox.as_ref().map(|outbox| outbox.try_send(bytes));
        match sent {
            Some(Err(NotQueued::Full { waiting })) => {
                console.trouble(&format!(
                    "Not sent: the server is not reading; {waiting} bytes are waiting already."
                ));
                self.well = false;
            }
            // Told on leaving, with the reason.
            Some(Err(NotQueued::Gone)) if self.closed.is_some() => return ControlFlow::Break(()),
            // Any other loss of the connection is told by the reading side, which knows why.
            Some(Err(NotQueued::Gone) | Ok(())) | None => {}
        }
        ControlFlow::Continue(())
    }

    fn too_long(&mut self, console: &mut Console) {
        let limit = self.rules.max_message;
        console.trouble(&format!(
            "Not sent: over {limit} bytes (--max-message sets the limit)."
        ));
        self.well = false;
    }

    fn ended(&mut self, ending: &Ending, console: &mut Console) {
        if ending.is_polite() {
            console.notice(&format!("Server {ending}."));
        } else {
            console.trouble(&format!("Server {ending}."));
            self.broken = true;
            self.well = false;
        }
    }

    /// Half-closes after what is queued; does not wait for a server that does not read, but tells
    /// what that costs.
    async fn leave(mut self, console: &mut Console) -> bool {
        self.outbox = None;
        let written = match self.written.take() {
            Some(written) => Ok(written),
            None => tokio::time::timeout(LAST_WORDS, &mut self.writer).await,
        };
        let why = match written {
            Ok(Ok(Ok(()))) if self.closed.is_none() || self.incoming.source().reached() => "",
            Ok(_) if self.broken => "",
            Ok(_) => ": the server reads no more",
            Err(_late) => {
                self.writer.abort();
                ": the server is not reading"
            }
        };
        if !self.unheard && (self.unsent.is_some() || !why.is_empty()) {
            console.trouble(&format!("Not everything was sent{why}."));
            self.well = false;
        }
        self.well
    }
}

async fn fits(outbox: Option<&Outbox>, bytes: Option<&[u8]>) {
    if let (Some(outbox), Some(bytes)) = (outbox, bytes) {
        outbox.fits(bytes.len()).await;
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline).await;
    }
}
