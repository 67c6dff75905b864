//! A pair broken on purpose: what each half does, one file a fault.
//!
//! Each half is a small program with one mistake, the mistake real programs make, and nothing is
//! pretended: the kernel does the rest. The halves report to `chat pair`, which tells the story.
//! Whatever they hold is bounded, and it all goes with them: connections that the kernel would
//! remember after their end are reset instead, so that nothing of the trouble outlives it.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use rustix::net::sockopt;

mod never_close;
mod no_accept;
mod reset;
mod slow_reader;

pub(crate) use self::never_close::DESCRIPTORS;

/// How often a half reports, if there is something new.
const REPORT: Duration = Duration::from_millis(200);

/// What takes longer than this is stuck.
const STUCK: Duration = Duration::from_millis(500);

/// How long a server rests after the kernel gave it no connection.
const PAUSE: Duration = Duration::from_millis(500);

/// The mistake the server makes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Fault {
    /// The server does not read what one client keeps sending
    SlowReader,
    /// The server never closes what its clients have closed
    NeverClose,
    /// The server does not accept the connections that wait for it
    NoAccept,
    /// The server closes without reading, which resets the connection
    Reset,
}

impl Fault {
    /// The time from one message or client to the next, unless the user says another.
    pub(crate) fn pace(self) -> Duration {
        match self {
            // The receive queue takes some ten seconds to fill, the send queue some minutes: both
            // can be seen to grow.
            Self::SlowReader => Duration::from_millis(100),
            Self::NeverClose => Duration::from_millis(50),
            Self::NoAccept => Duration::from_millis(20),
            Self::Reset => Duration::from_secs(1),
        }
    }

    /// Whether a number of clients can be asked for.
    ///
    /// # Errors
    /// The reason, where it cannot.
    pub(crate) fn countable(self) -> Result<(), &'static str> {
        match self {
            Self::SlowReader => Err("one client sends until nobody takes any more"),
            Self::NoAccept => Err("clients come until the queue is full, and some more"),
            Self::NeverClose | Self::Reset => Ok(()),
        }
    }

    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// How far a half has come, in the unit of its fault.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    /// Bytes unread (server) or sent (client) of a slow reader, sockets held (server) or clients
    /// gone (client) that are never closed, connections made that nobody accepts, resets.
    pub done: u64,
    /// Calls that are waiting, or failing again and again.
    pub stuck: u64,
}

/// As a half reports it, one a line.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.done, self.stuck)
    }
}

impl FromStr for Tally {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (done, stuck) = line.split_once(' ').ok_or(())?;
        Ok(Self {
            done: done.parse().map_err(drop)?,
            stuck: stuck.parse().map_err(drop)?,
        })
    }
}

/// Serves, with that mistake, until `stop` is done.
///
/// # Errors
/// When the listener cannot be used.
pub(crate) async fn serve(
    fault: Fault,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("no address to listen on")?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    if fault == Fault::NoAccept {
        no_accept::limit(&listener)?;
    }
    ready(&format!("listening on {address}"))?;
    let tally = Cell::default();
    let served = async {
        match fault {
            Fault::SlowReader => slow_reader::serve(listener, &tally).await,
            Fault::NeverClose => never_close::serve(listener, &tally).await,
            Fault::NoAccept => no_accept::serve(listener).await,
            Fault::Reset => reset::serve(listener).await,
        }
        Ok(())
    };
    reported(&tally, served, stop).await
}

/// The client that makes the mistake felt.
#[derive(Debug)]
pub(crate) struct Client {
    /// The server's mistake.
    pub fault: Fault,
    /// Where the server listens.
    pub server: SocketAddr,
    /// From one message or client to the next.
    pub every: Duration,
    /// As many clients, if they are counted.
    pub count: Option<u64>,
    /// The one connection of a client that stays, made before the runtime.
    pub stream: Option<TcpStream>,
}

impl Client {
    /// Runs until it is done, or `stop` is.
    ///
    /// # Errors
    /// When the server is not, or not any more, what it should be.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let tally = Cell::default();
        let (server, pace, count) = (self.server, self.every, self.count);
        let stream = self.stream.map(registered).transpose()?;
        ready(&match &stream {
            Some(stream) => format!("ready, connected from {}", stream.local_addr()?),
            None if pace.is_zero() => "ready, one connection after the other".to_owned(),
            None => {
                let every = jiff::SignedDuration::try_from(pace)?;
                format!("ready, one connection after the other, every {every:#}")
            }
        })?;
        let work = async {
            match (self.fault, stream) {
                (Fault::SlowReader, Some(stream)) => slow_reader::send(&stream, pace, &tally).await,
                (Fault::SlowReader, None) => anyhow::bail!("not connected"),
                (Fault::NeverClose, _) => never_close::come(server, pace, count, &tally).await,
                (Fault::NoAccept, _) => no_accept::come(server, pace, &tally).await,
                (Fault::Reset, _) => reset::come(server, pace, count, &tally).await,
            }
        };
        reported(&tally, work, stop).await
    }
}

fn registered(stream: TcpStream) -> io::Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

/// Tells that this half has begun.
fn ready(words: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{words}")
}

/// Does `work` and reports how it goes, until it or `stop` is done.
async fn reported(
    tally: &Cell<Tally>,
    work: impl Future<Output = anyhow::Result<()>>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let reports = async {
        let mut told = None;
        loop {
            let now = tally.get();
            // Nobody listens any more: our parent is ending as well.
            if told != Some(now) && writeln!(io::stdout(), "{now}").is_err() {
                return;
            }
            told = Some(now);
            tokio::time::sleep(REPORT).await;
        }
    };
    tokio::select! {
        () = stop => return Ok(()),
        () = reports => return Ok(()),
        done = work => done?,
    }
    // Nobody listens any more, or everybody knows.
    let _ = writeln!(io::stdout(), "{}", tally.get());
    Ok(())
}

/// Changes one number of the tally.
fn note(tally: &Cell<Tally>, change: impl FnOnce(&mut Tally)) {
    let mut now = tally.get();
    change(&mut now);
    tally.set(now);
}

/// Waits for what usually comes at once; meanwhile the tally says that something is stuck.
async fn noting_delay<T>(tally: &Cell<Tally>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(STUCK, &mut work).await {
        return done;
    }
    note(tally, |tally| tally.stuck = 1);
    let done = work.await;
    note(tally, |tally| tally.stuck = 0);
    done
}

/// Lets the connection be reset when this side ends, instead of staying with the kernel for a
/// while.
fn vanish_at_the_end(stream: &impl AsFd) {
    // Where it is refused, the kernel remembers the connection for a minute.
    let _ = sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// The opposite: lets it end as connections do.
fn stay_after_the_end(stream: &impl AsFd) {
    let _ = sockopt::set_socket_linger(stream, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tally_comes_back(done: u64, stuck: u64) {
            let tally = Tally { done, stuck };
            prop_assert_eq!(tally.to_string().parse(), Ok(tally));
        }

        #[test]
        fn any_line_is_a_tally_or_none(line: String) {
            let _ = line.parse::<Tally>();
        }
    }
}
