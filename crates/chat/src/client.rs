//! A connected stream, and what a person or a program types and reads: one conversation.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

use crate::connection::{Ending, Incoming, Outbox, deliver, outbox};
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
    well: bool,
}

impl<R: AsyncRead + Unpin> Conversation<R> {
    async fn talk(&mut self, console: &mut Console) {
        let mut unsent: Option<Vec<u8>> = None;
        let mut uneasy: Option<Instant> = None;
        loop {
            console.room().await;
            let closed = console.closed();
            let sending = unsent.is_some();
            tokio::select! {
                heard = self.incoming.next() => match heard {
                    Ok(heard) => {
                        self.newline = heard.newline;
                        console.message("server: ", &heard.text);
                    }
                    Err(ending) => return self.ended(&ending, console),
                },
                () = fits(self.outbox.as_ref(), unsent.as_deref()), if sending => {
                    if let (Some(outbox), Some(bytes)) = (&self.outbox, unsent.take()) {
                        // A lost connection is told by the reading side, which knows why.
                        let _ = outbox.try_send(bytes);
                    }
                }
                input = console.input(), if !sending && (self.outbox.is_some() || console.is_interactive()) => {
                    match input {
                        Input::Line(text) if text.is_empty() => console.notice("Nothing to send."),
                        Input::Line(text) if self.outbox.is_none() => {
                            drop(text);
                            console.notice("Not sent: you have said goodbye.");
                        }
                        Input::Line(text) if text.len() > self.rules.max_message => {
                            self.not_sent(console);
                        }
                        Input::Line(text) => unsent = Some(encode(&text, self.newline)),
                        Input::TooLong(_) => self.not_sent(console),
                        Input::Emptied => {}
                        Input::Interrupt => return,
                        Input::End if self.outbox.is_none() => return,
                        Input::End => {
                            self.outbox = None;
                            uneasy = Some(Instant::now() + UNEASY);
                        }
                    }
                }
                () = sleep_until(uneasy), if uneasy.is_some() => {
                    uneasy = None;
                    if console.is_interactive() {
                        console.notice("Waiting for the server to close; Ctrl-C leaves now.");
                    }
                }
                _ = closed => return,
            }
        }
    }

    fn not_sent(&mut self, console: &mut Console) {
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
            self.well = false;
        }
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
