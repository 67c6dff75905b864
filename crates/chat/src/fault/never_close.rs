//! A server that never calls close(). Its clients leave, and each leaves a socket in CLOSE_WAIT
//! behind, until the server has used up its descriptors and accept() fails.

use std::cell::Cell;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::{PAUSE, Tally, note, noting_delay, stay_after_the_end, vanish_at_the_end};

/// The descriptors the server may have: few, so that their end comes soon.
pub(crate) const DESCRIPTORS: u64 = 256;

pub(super) async fn serve(listener: TcpListener, tally: &Cell<Tally>) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let current = limit
        .current
        .map_or(DESCRIPTORS, |now| now.min(DESCRIPTORS));
    let current = Some(current);
    // Lowering it is always allowed.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    let mut held = Vec::new();
    loop {
        let accepted = listener.accept().await;
        match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(mut stream) => {
                vanish_at_the_end(&stream);
                // A client that has left already is held like the others.
                let _ = stream.write_all(b"hi");
                held.push(stream);
                note(tally, |tally| tally.done += 1);
            }
            Err(error) => {
                if used_up(&error) {
                    note(tally, |tally| tally.stuck = 1);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn used_up(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

/// Clients that come, hear the server, and leave. Who is not accepted waits, and so do those who
/// would come later: the accept queue does not fill up.
pub(super) async fn come(
    server: SocketAddr,
    every: Duration,
    count: Option<u64>,
    tally: &Cell<Tally>,
) -> anyhow::Result<()> {
    while count.is_none_or(|count| tally.get().done < count) {
        let stream = TcpStream::connect(server).await;
        let mut stream = stream.context("cannot connect to the server")?;
        // One that is never accepted goes without a trace; one that is, with a proper goodbye.
        vanish_at_the_end(&stream);
        let mut answer = [0; 64];
        let heard = noting_delay(tally, stream.read(&mut answer)).await;
        anyhow::ensure!(heard? > 0, "the server closed a connection");
        stay_after_the_end(&stream);
        drop(stream);
        note(tally, |tally| tally.done += 1);
        tokio::time::sleep(every).await;
    }
    // What they left behind is there to be looked at.
    std::future::pending().await
}
