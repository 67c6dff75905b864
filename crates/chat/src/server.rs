//! A bound listener and a signal to stop: every conversation in between.
//!
//! One task decides (who is here, who gets what, what is shown); each client has a task that
//! listens to it and one that writes to it, so that a silent or slow client delays nobody. What
//! waits for one client is bounded: it is dropped when it takes nothing any more, and is not
//! listened to while the answers to it pile up.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::Instant;

pub(crate) use self::arrival::Listener;
use self::arrival::{Arrival, Source};
use crate::connection::{Ending, Heard, Incoming, NotQueued, Outbox, deliver, outbox};
use crate::endpoint;
use crate::message::{Framing, encode};
use crate::room::{ClientId, Recipient, Room, address};
use crate::terminal::console::{Console, Input};

mod arrival;

/// Bytes that may wait for one client, if its messages may not be longer.
const QUEUE: usize = 256 * 1024;

/// How long a client that left may take to read the last words.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The same when the server itself ends.
const LAST_WORDS_OF_ALL: Duration = Duration::from_secs(1);

/// How long a client that was refused may take to read why.
const REFUSAL: Duration = Duration::from_secs(1);

/// Refused clients told why at the same time; more are closed without a word.
const REFUSALS: usize = 64;

/// What the server allows and answers.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// What ends a message.
    pub framing: Framing,
    /// The longest message, in bytes.
    pub max_message: usize,
    /// The most clients at once.
    pub max_clients: usize,
    /// The answer to every message.
    pub reply: Option<Vec<u8>>,
}

impl Rules {
    /// Bytes that may wait for one client. Whoever is listened to has half of it free, and that is
    /// more than one answer.
    fn queue(&self) -> usize {
        let reply = self.reply.as_ref().map_or(0, Vec::len);
        QUEUE.max(2 * self.max_message).max(3 * reply)
    }
}

/// Serves until `stop` is done, the user leaves, or nobody reads the output any more. True when
/// its own input could be read.
pub(crate) async fn run(
    listener: Listener,
    rules: Rules,
    console: &mut Console,
    stop: impl Future<Output = ()>,
) -> bool {
    let (sender, events) = mpsc::channel(64);
    let mut server = Server {
        room: Room::new(rules.max_clients),
        rules,
        clients: BTreeMap::new(),
        prompted: None,
        sender,
        goodbyes: JoinSet::new(),
        refusals: JoinSet::new(),
        accept_trouble: None,
        well: true,
    };
    server.waiting(console);
    server.prompt(console);
    tokio::select! {
        () = stop => {}
        () = server.serve(&listener, events, console) => {}
    }
    let well = server.well;
    server.close().await;
    well
}

/// What a client's listening task tells.
struct Event {
    id: ClientId,
    what: Result<Heard, Ending>,
    /// Dropped once the answer is queued. The listening task waits for that before it looks at how
    /// full the queue is: words on their way here would bring answers it cannot see there yet.
    _answered: oneshot::Sender<()>,
}

struct Client {
    outbox: Outbox,
    reader: AbortHandle,
    writer: JoinHandle<io::Result<()>>,
}

struct Server {
    rules: Rules,
    room: Room,
    clients: BTreeMap<ClientId, Client>,
    /// Whom the prompt names, and the line being typed goes to.
    prompted: Option<ClientId>,
    sender: mpsc::Sender<Event>,
    /// Clients that left and may still read what was said to them.
    goodbyes: JoinSet<()>,
    refusals: JoinSet<()>,
    /// After a failed attempt to accept: how long to wait, and until when.
    accept_trouble: Option<(Duration, Instant)>,
    well: bool,
}

impl Server {
    async fn serve(
        &mut self,
        listener: &Listener,
        mut events: mpsc::Receiver<Event>,
        console: &mut Console,
    ) {
        let mut listening_to_user = true;
        loop {
            console.room().await;
            let closed = console.closed();
            // Off a terminal a line waits until somebody is there to hear it.
            let wanted = listening_to_user && (console.is_interactive() || !self.room.is_empty());
            tokio::select! {
                Some(event) = events.recv() => self.event(event, console),
                arrival = accept(listener, self.accept_trouble) => self.arrived(arrival, console),
                input = console.input(), if wanted => match input {
                    Input::Line(line) => self.typed(&line, console),
                    Input::TooLong(_) => self.not_sent(console),
                    // The prompt below is for this.
                    Input::Emptied => {}
                    Input::Unreadable(reason) => {
                        console.trouble(&format!("Cannot read the input: {reason}."));
                        self.well = false;
                    }
                    Input::Interrupt => return,
                    // A person who ends the input leaves; a script has merely said everything.
                    Input::End if console.is_interactive() => return,
                    Input::End => listening_to_user = false,
                },
                _ = closed => return,
                Some(_) = self.goodbyes.join_next() => {}
                Some(_) = self.refusals.join_next() => {}
            }
            self.prompt(console);
        }
    }

    fn arrived(&mut self, arrival: io::Result<Arrival>, console: &mut Console) {
        let arrival = match arrival {
            Ok(arrival) => arrival,
            Err(error) => return self.not_accepted(&error, console),
        };
        self.accept_trouble = None;
        let from = arrival
            .from
            .clone()
            .map(|from| format!(" {from}"))
            .unwrap_or_default();
        let newline = self.rules.framing != Framing::Raw;
        let Some(id) = self.room.join(newline) else {
            console.trouble(&format!(
                "Refused{from}: {} clients are here (--max-clients).",
                self.rules.max_clients
            ));
            return self.refuse(arrival, newline);
        };
        let (outbox, outgoing) = outbox(self.rules.queue());
        let incoming = Incoming::new(arrival.source, self.rules.framing, self.rules.max_message);
        let reader = tokio::spawn(listen(id, incoming, outbox.clone(), self.sender.clone()));
        let writer = tokio::spawn(deliver(arrival.sink, outgoing));
        self.clients.insert(
            id,
            Client {
                outbox,
                reader: reader.abort_handle(),
                writer,
            },
        );
        console.notice(&format!("{id} {from} joined"));
    }

    fn not_accepted(&mut self, error: &io::Error, console: &mut Console) {
        // A client that left the queue before its turn is no trouble.
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        let wait = self
            .accept_trouble
            .map_or(Duration::from_millis(50), |(wait, _)| wait * 2);
        let wait = wait.min(Duration::from_secs(1));
        if self.accept_trouble.is_none() {
            let reason = endpoint::reason(error);
            console.trouble(&format!("Cannot accept a client: {reason}; trying on."));
        }
        self.accept_trouble = Some((wait, Instant::now() + wait));
    }

    fn refuse(&mut self, arrival: Arrival, newline: bool) {
        if self.refusals.len() >= REFUSALS {
            return;
        }
        let words = format!(
            "No room: {} clients are here already.",
            self.rules.max_clients
        );
        self.refusals.spawn(async move {
            let Arrival {
                mut source,
                mut sink,
                ..
            } = arrival;
            let goodbye = async {
                sink.write_all(&encode(words.as_bytes(), newline)).await?;
                sink.shutdown().await?;
                // Closing with words unread would be a reset, which can overtake the refusal.
                tokio::io::copy(&mut source, &mut tokio::io::sink()).await
            };
            // A client that does not take it is closed all the same.
            let _ = tokio::time::timeout(REFUSAL, goodbye).await;
        });
    }

    fn event(&mut self, event: Event, console: &mut Console) {
        let id = event.id;
        if !self.clients.contains_key(&id) {
            return;
        }
        match event.what {
            Ok(heard) => {
                self.room.spoke(id, heard.newline);
                if console.is_interactive() {
                    let text = told_from_notices(&heard.text);
                    console.message(&format!("{id}  "), &text);
                } else {
                    console.message(&format!("{}: ", id.name()), &heard.text);
                }
                if let Some(reply) = self.rules.reply.clone() {
                    self.send(id, &reply, heard.newline, console);
                }
            }
            Err(ending) => {
                if ending.is_polite() {
                    console.notice(&format!("{id}  left"));
                } else {
                    console.trouble(&format!("{id}  {ending}"));
                }
                self.part(id, console);
            }
        }
    }

    fn typed(&mut self, line: &[u8], console: &mut Console) {
        let (recipient, text) = address(line);
        if text.len() > self.rules.max_message {
            return self.not_sent(console);
        }
        let prompted = self.prompted.filter(|_| recipient == Recipient::Prompted);
        match self.room.recipients(recipient, prompted, text) {
            Ok(recipients) => {
                for (id, newline) in recipients {
                    self.send(id, text, newline, console);
                }
            }
            Err(undelivered) => console.notice(&undelivered.to_string()),
        }
    }

    fn not_sent(&self, console: &mut Console) {
        let limit = self.rules.max_message;
        console.trouble(&format!(
            "Not sent: over {limit} bytes (--max-message sets the limit)."
        ));
    }

    fn send(&mut self, id: ClientId, text: &[u8], newline: bool, console: &mut Console) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        if let Err(NotQueued::Full { waiting }) = client.outbox.try_send(encode(text, newline)) {
            console.trouble(&format!(
                "{id}  is not reading; dropped with {waiting} bytes waiting"
            ));
            client.writer.abort();
            self.part(id, console);
        }
        // One that is gone is told of by its reader, which knows how it ended.
    }

    /// Takes a client out of the room; what was said to it may still be read.
    fn part(&mut self, id: ClientId, console: &mut Console) {
        self.room.leave(id);
        if let Some(client) = self.clients.remove(&id) {
            self.goodbyes.spawn(client.goodbye(LAST_WORDS));
        }
        self.waiting(console);
    }

    fn waiting(&self, console: &mut Console) {
        if self.room.is_empty() && console.is_interactive() {
            console.notice("Waiting for a client.");
        }
    }

    fn prompt(&mut self, console: &mut Console) {
        let target = self.room.target();
        let prompt = target.map(|id| format!("to {id}> ")).unwrap_or_default();
        if console.offer(&prompt) {
            self.prompted = target;
        }
    }

    async fn close(mut self) {
        for client in std::mem::take(&mut self.clients).into_values() {
            self.goodbyes.spawn(client.goodbye(LAST_WORDS_OF_ALL));
        }
        let all = async { while self.goodbyes.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORDS_OF_ALL, all).await;
    }
}

impl Client {
    async fn goodbye(mut self, patience: Duration) {
        self.reader.abort();
        drop(self.outbox);
        if tokio::time::timeout(patience, &mut self.writer)
            .await
            .is_err()
        {
            self.writer.abort();
        }
    }
}

/// A client's words as they stand behind its number, where notices about it stand as well: in
/// quotes if they are worded like one.
fn told_from_notices(text: &[u8]) -> Cow<'_, [u8]> {
    const NOTICES: [&[u8]; 6] = [
        b"is not reading; dropped",
        b"closed the connection",
        b"reset the connection",
        b"stopped answering; ",
        b"sent a message over ",
        b"lost the connection: ",
    ];
    let lossy = String::from_utf8_lossy(text);
    let words = lossy.trim().as_bytes();
    let alike = words == b"left"
        || words.ends_with(b"joined")
        || NOTICES.iter().any(|notice| words.starts_with(notice));
    if alike {
        Cow::Owned([b"\"", text, b"\""].concat())
    } else {
        Cow::Borrowed(text)
    }
}

async fn accept(listener: &Listener, trouble: Option<(Duration, Instant)>) -> io::Result<Arrival> {
    if let Some((_, until)) = trouble {
        tokio::time::sleep_until(until).await;
    }
    listener.accept().await
}

async fn listen(
    id: ClientId,
    mut incoming: Incoming<Source>,
    outbox: Outbox,
    events: mpsc::Sender<Event>,
) {
    loop {
        outbox.half_empty().await;
        let what = incoming.next().await;
        let over = what.is_err();
        let (answered, done) = oneshot::channel();
        let event = Event {
            id,
            what,
            _answered: answered,
        };
        if events.send(event).await.is_err() || over {
            return;
        }
        // It is only ever dropped.
        let _ = done.await;
    }
}
