//! The listener inside the runtime, and who arrives there.

use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::endpoint;

/// A listener inside the runtime.
#[derive(Debug)]
pub(crate) enum Listener {
    /// On TCP.
    Tcp(TcpListener),
    /// On a unix path, removed when this is dropped.
    Unix(UnixListener, PathBuf),
}

/// What a client says.
pub(super) type Source = Box<dyn AsyncRead + Send + Unpin>;
/// What is said to a client.
pub(super) type Sink = Box<dyn AsyncWrite + Send + Unpin>;

/// A client at the door.
pub(super) struct Arrival {
    /// What it says.
    pub source: Source,
    /// What is said to it.
    pub sink: Sink,
    /// Its address; a unix client has none.
    pub from: Option<String>,
}

impl Listener {
    /// Takes a listener into the runtime.
    ///
    /// # Errors
    /// When it cannot be made non-blocking or registered.
    pub(crate) fn register(listener: endpoint::Listener) -> io::Result<Self> {
        Ok(match listener {
            endpoint::Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Self::Tcp(TcpListener::from_std(listener)?)
            }
            endpoint::Listener::Unix(listener, path) => {
                listener.set_nonblocking(true)?;
                Self::Unix(UnixListener::from_std(listener)?, path)
            }
        })
    }

    /// The next client.
    ///
    /// # Errors
    /// When the kernel has none to give.
    pub(super) async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // A client gone before it was looked at is told of by its reader.
                let _ = endpoint::prepare(&stream);
                let (source, sink) = stream.into_split();
                let from = Some(endpoint::endpoint(address));
                Ok(Arrival {
                    source: Box::new(source),
                    sink: Box::new(sink),
                    from,
                })
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let (source, sink) = stream.into_split();
                Ok(Arrival {
                    source: Box::new(source),
                    sink: Box::new(sink),
                    from: None,
                })
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}
