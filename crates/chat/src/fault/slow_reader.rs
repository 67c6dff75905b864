//! A server that does not read. What arrives waits in its receive queue (Recv-Q) until that is
//! full; then its window is 0, and what the client sends waits in the client's send queue
//! (Send-Q) until that is full as well, and send() waits.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};

use super::{PAUSE, REPORT, Tally, note, noting_delay, vanish_at_the_end};

/// Bytes of one message: what a classroom `recv(1024)` would take.
const MESSAGE: usize = 1024;

/// Connections that are held and not read: our client's, and those of whoever else comes.
const CONNECTIONS: usize = 64;

pub(super) async fn serve(listener: TcpListener, tally: &Cell<Tally>) {
    let mut held = Vec::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if held.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    vanish_at_the_end(&stream);
                    held.push(stream);
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            () = tokio::time::sleep(REPORT) => {}
        }
        let unread = held
            .iter()
            .filter_map(|stream| rustix::io::ioctl_fionread(stream).ok());
        let unread = unread.fold(0, u64::saturating_add);
        note(tally, |tally| tally.done = unread);
    }
}

pub(super) async fn send(
    stream: &TcpStream,
    every: Duration,
    tally: &Cell<Tally>,
) -> anyhow::Result<()> {
    vanish_at_the_end(stream);
    let message: Vec<u8> = b"hello ".iter().copied().cycle().take(MESSAGE).collect();
    loop {
        let broke = "the connection to the server broke";
        noting_delay(tally, stream.writable())
            .await
            .context(broke)?;
        match stream.try_write(&message) {
            Ok(sent) => note(tally, |tally| tally.done += sent as u64),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error).context(broke),
        }
        tokio::time::sleep(every).await;
    }
}
