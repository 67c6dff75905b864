//! A connected stream, and what a person or a program types and reads: one conversation.

use std::ops::ControlFlow;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

use crate::connection::{Ending, Incoming, NotQueued, Outbox, deliver, outbox};
use crate::message::{Framing, encode};
use crate::terminal::console::{Console, Input};

/// Bytes on their way to the server at which no more input is taken.
const QUEUE: usize = 256 * 1024;

/// Silence after which a person is told what is awaited.
const UNEASY: Duration = Duration::from_secs(2);

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
pub(crate) async fn run<R, W>(
    (source, sink): (R, W),
    rules: Rules,
    console: &mut Console,
    stop: impl Future<Output = ()>,
) -> bool
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (outbox, outgoing) = outbox(QUEUE.max(rules.max_message));
    let mut conversation = Conversation {
        incoming: Incoming::new(source, rules.framing, rules.max_message),
        newline: rules.framing != Framing::Raw,
        outbox: Some(outbox),
        writer: tokio::spawn(deliver(sink, outgoing)),
        rules,
        unsent: None,
        uneasy: None,
        well: true,
    };
    console.offer("> ");
    tokio::select! {
        () = stop => {}
        () = conversation.talk(console) => {}
    }
    conversation.leave().await
}

struct Conversation<R> {
    incoming: Incoming<R>,
    /// Whether the server is spoken to with a newline.
    newline: bool,
    /// Dropped when nothing more will be said, which half-closes.
    outbox: Option<Outbox>,
    writer: JoinHandle<std::io::Result<()>>,
    rules: Rules,
    /// A line for which there was no space yet.
    unsent: Option<Vec<u8>>,
    /// After goodbye: when to say what is awaited.
    uneasy: Option<Instant>,
    well: bool,
}

impl<R: AsyncRead + Unpin> Conversation<R> {
    async fn talk(&mut self, console: &mut Console) {
        loop {
            console.room().await;
            let closed = console.closed();
            // Off a terminal the next line waits until the one before it is on its way; a person
            // must not be kept from leaving.
            let full = self.unsent.is_some();
            let listening =
                console.is_interactive() || (self.outbox.is_some() && self.unsent.is_none());
            tokio::select! {
                heard = self.incoming.next() => match heard {
                    Ok(heard) => {
                        self.newline = heard.newline;
                        console.message("server: ", &heard.text);
                    }
                    Err(ending) => return self.ended(&ending, console),
                },
                () = fits(self.outbox.as_ref(), self.unsent.as_deref()), if full => {
                    if let Some(bytes) = self.unsent.take() {
                        self.send(bytes, console);
                    }
                }
                input = console.input(), if listening => {
                    if self.typed(input, console).is_break() {
                        return;
                    }
                }
                () = sleep_until(self.uneasy), if self.uneasy.is_some() => {
                    self.uneasy = None;
                    if console.is_interactive() {
                        console.notice("Waiting for the server to close; Ctrl-C leaves now.");
                    }
                }
                _ = closed => return,
            }
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
                    self.send(bytes, console);
                } else {
                    self.unsent = Some(bytes);
                }
            }
            Input::TooLong(_) => self.too_long(console),
            Input::Emptied => {}
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

    fn send(&mut self, bytes: Vec<u8>, console: &mut Console) {
        let sent = self.outbox.as_ref().map(|outbox| outbox.try_send(bytes));
        if let Some(Err(NotQueued::Full { waiting })) = sent {
            console.trouble(&format!(
                "Not sent: the server is not reading; {waiting} bytes are waiting already."
            ));
            self.well = false;
        }
        // A lost connection is told by the reading side, which knows why.
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
        }
        if self.unsent.is_some() {
            console.trouble("Not everything was sent.");
        }
        self.well &= ending.is_polite() && self.unsent.is_none();
    }

    /// Half-closes after what is queued; does not wait for a server that does not read.
    async fn leave(mut self) -> bool {
        self.outbox = None;
        if tokio::time::timeout(LAST_WORDS, &mut self.writer)
            .await
            .is_err()
        {
            self.writer.abort();
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
