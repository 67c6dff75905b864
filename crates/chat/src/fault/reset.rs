//! A server that closes with something unread. The kernel cannot deliver it any more and says so:
//! with RST instead of FIN, and the client's recv() fails with ECONNRESET.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{PAUSE, Tally, note};

/// How long the server waits for something not to read.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Looks and does not take. One who says nothing is closed all the same.
                let _ = tokio::time::timeout(PATIENCE, stream.peek(&mut [0])).await;
                drop(stream);
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

pub(super) async fn come(
    server: SocketAddr,
    every: Duration,
    count: Option<u64>,
    tally: &Cell<Tally>,
) -> anyhow::Result<()> {
    loop {
        let stream = TcpStream::connect(server).await;
        let mut stream = stream.context("cannot connect to the server")?;
        stream.write_all(b"hello").await.context("cannot send")?;
        match stream.read(&mut [0; 64]).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                note(tally, |tally| tally.done += 1);
            }
            Err(error) => return Err(error).context("cannot receive"),
            Ok(_) => anyhow::bail!("the server did not reset the connection"),
        }
        if count.is_some_and(|count| tally.get().done >= count) {
            return Ok(());
        }
        tokio::time::sleep(every).await;
    }
}
