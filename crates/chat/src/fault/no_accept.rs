//! A server that listens and does not accept. The kernel makes the connections all the same and
//! queues them; when the queue is full it drops what further clients send, and they stay in
//! SYN_SENT.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{STUCK, Tally, vanish_at_the_end};

/// Connections that may wait; the kernel lets one more in.
const BACKLOG: i32 = 128;

/// Clients that wait for a connection at the same time.
const WAITING: usize = 16;

/// More connections than the queue can hold.
const CONNECTIONS: usize = 256;

/// Sets the length of the queue, whatever the library's own choice was.
pub(super) fn limit(listener: &TcpListener) -> io::Result<()> {
    Ok(rustix::net::listen(listener, BACKLOG)?)
}

pub(super) async fn serve(listener: TcpListener) {
    std::future::pending::<()>().await;
    drop(listener);
}

/// Clients that come and stay.
pub(super) async fn come(
    server: SocketAddr,
    every: Duration,
    tally: &Cell<Tally>,
) -> anyhow::Result<()> {
    let mut connected = Vec::new();
    let mut waiting = JoinSet::new();
    loop {
        let full = waiting.len() >= WAITING || connected.len() + waiting.len() >= CONNECTIONS;
        // A client that gives up, after two minutes or so, is followed by another.
        let patience = if full { Duration::MAX } else { STUCK };
        if !full {
            waiting.spawn(TcpStream::connect(server));
        }
        let ended = tokio::time::timeout(patience, waiting.join_next()).await;
        match ended.ok().flatten().transpose()? {
            Some(Ok(stream)) => {
                vanish_at_the_end(&stream);
                connected.push(stream);
            }
            Some(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {}
            Some(Err(error)) => return Err(error).context("cannot connect to the server"),
            None => {}
        }
        tally.set(Tally {
            done: connected.len() as u64,
            stuck: waiting.len() as u64,
        });
        tokio::time::sleep(every).await;
    }
}
