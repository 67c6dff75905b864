//! Where conversations happen: TCP addresses and unix paths, to listen on and to connect to.
//!
//! Sockets are opened with the standard library, before any runtime: tokio opens descriptors of
//! its own first, and here the listener and the client's connection are to be descriptor 3, as in
//! the classic exercise.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// How long a connection may take to be made.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer that says nothing for this long is asked whether it still lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 6;

/// What the user asked to listen on or to connect to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// A host name or address, and a port.
    Tcp(String, u16),
    /// A path in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A place that cannot be used, why, and the way out.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {place}: {reason}")]
pub(crate) struct Refused {
    action: &'static str,
    place: String,
    reason: String,
    /// The likely cause and what to do about it.
    pub hint: Option<String>,
}

/// A bound listener.
#[derive(Debug)]
pub(crate) enum Listener {
    /// On TCP.
    Tcp(TcpListener),
    /// On a unix path, which is removed when the server ends.
    Unix(UnixListener, PathBuf),
}

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix path.
    Unix(UnixStream, PathBuf),
}

impl Place {
    /// Binds a listener.
    ///
    /// # Errors
    /// [`Refused`], when the place is taken, not this machine's, or not allowed.
    pub(crate) fn listen(&self) -> Result<Listener, Refused> {
        let bound = match self {
            Self::Tcp(host, port) => (host.as_str(), *port)
                .to_socket_addrs()
                .map_err(unknown_name)
                .and_then(|addresses| TcpListener::bind(&*addresses.collect::<Vec<_>>()))
                .map(Listener::Tcp),
            Self::Unix(path) => {
                listen_unix(path).map(|socket| Listener::Unix(socket, path.clone()))
            }
        };
        bound.map_err(|error| self.refused("listen on", &error))
    }

    /// Connects, trying each address the host name has.
    ///
    /// # Errors
    /// [`Refused`], with the likely cause.
    pub(crate) fn connect(&self) -> Result<Stream, Refused> {
        let connected = match self {
            Self::Tcp(host, port) => connect_tcp(host, *port).map(Stream::Tcp),
            Self::Unix(path) => connect_unix(path).map(|stream| Stream::Unix(stream, path.clone())),
        };
        connected.map_err(|error| self.refused("connect to", &error))
    }

    fn refused(&self, action: &'static str, error: &io::Error) -> Refused {
        Refused {
            action,
            place: self.to_string(),
            reason: reason(error),
            hint: match (action, self) {
                ("connect to", Self::Tcp(host, port)) => connect_hint(host, *port, error),
                ("connect to", Self::Unix(path)) => connect_unix_hint(path, error),
                (_, Self::Tcp(_, port)) => listen_hint(*port, error),
                (_, Self::Unix(path)) => listen_unix_hint(path, error),
            },
        }
    }
}

impl Listener {
    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(crate) fn place(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(|address| address.to_string()),
            Self::Unix(_, path) => Ok(path.display().to_string()),
        }
    }

    /// Who can reach it.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(crate) fn reach(&self) -> io::Result<Reach> {
        match self {
            Self::Unix(..) => Ok(Reach::Path),
            Self::Tcp(listener) => Ok(match listener.local_addr()?.ip().to_canonical() {
                ip if ip.is_loopback() => Reach::ThisMachine,
                ip if ip.is_unspecified() => Reach::EveryAddress,
                _ => Reach::OneAddress,
            }),
        }
    }
}

/// Who can reach a listener, as far as its address decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// A loopback address.
    ThisMachine,
    /// Whoever may open the path.
    Path,
    /// An address of a network.
    OneAddress,
    /// Every address of every network.
    EveryAddress,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThisMachine => "this machine only (--bind 0.0.0.0 lets others in)",
            Self::Path => "this machine only, for who may write to that path",
            Self::OneAddress => "which other machines may reach",
            Self::EveryAddress => "every address of this machine: others may reach it",
        })
    }
}

impl Stream {
    /// The two ends, as `(local, remote)`; the near end of a unix connection has no name.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(crate) fn ends(&self) -> io::Result<(Option<String>, String)> {
        match self {
            Self::Tcp(stream) => {
                let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
                Ok((Some(endpoint(local)), endpoint(remote)))
            }
            Self::Unix(_, path) => Ok((None, path.display().to_string())),
        }
    }
}

/// An address as people write it: an IPv4 peer of an IPv6 socket is shown as IPv4.
pub(crate) fn endpoint(address: SocketAddr) -> String {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()).to_string(),
        IpAddr::V6(_) => address.to_string(),
    }
}

/// Sends without waiting for more to send, and notices a peer that is gone.
///
/// # Errors
/// When the kernel refuses an option.
pub(crate) fn prepare<S: std::os::fd::AsFd>(stream: &S) -> io::Result<()> {
    sockopt::set_tcp_nodelay(stream, true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    Ok(())
}

fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = None;
    for address in (host, port).to_socket_addrs().map_err(unknown_name)? {
        match connect_address(address) {
            Ok(stream) if is_own_echo(&stream) => {
                // A port the kernel hands out to clients can be met from both sides at once: the
                // connection is then to itself, and nobody listens there.
                last = Some(io::ErrorKind::ConnectionRefused.into());
            }
            Ok(stream) => {
                prepare(&stream)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("the name has no address")))
}

/// One blocking call that returns 0, as in the classic exercise, yet does not wait for ever: the
/// timeout of sending also bounds connecting.
fn connect_address(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let socket = bounded_socket(family, CONNECT_TIMEOUT)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => {}
        // Stopped and continued: the handshake goes on, and only its end is to be waited for.
        Err(Errno::INTR) => connected_by(&socket, deadline)?,
        Err(Errno::INPROGRESS) => return Err(io::ErrorKind::TimedOut.into()),
        Err(error) => return Err(error.into()),
    }
    sockopt::set_socket_timeout(&socket, Timeout::Send, None)?;
    Ok(socket.into())
}

/// A socket whose connecting and sending take no longer than `patience`.
fn bounded_socket(family: AddressFamily, patience: Duration) -> io::Result<OwnedFd> {
    let kind = SocketType::STREAM;
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    Ok(socket)
}

/// Waits for the end of a handshake that has begun.
fn connected_by(socket: &OwnedFd, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut connected = [PollFd::new(socket, PollFlags::OUT)];
        match poll(&mut connected, Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(sockopt::socket_error(socket)??),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The same on a unix path, where there is no handshake: what takes time is a full queue of a
/// server that does not accept, and an interrupted call has done nothing.
fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // No patience at all would mean to wait for ever.
        let patience = left.max(Duration::from_millis(1));
        let socket = bounded_socket(AddressFamily::UNIX, patience)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => {
                sockopt::set_socket_timeout(&socket, Timeout::Send, None)?;
                return Ok(socket.into());
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_own_echo(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(a), Ok(b)) if a == b)
}

/// Binds a unix path. A socket that a dead server left behind is replaced; anything else is not.
fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    let error = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
        bound => return bound,
    };
    let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
    if is_socket && is_abandoned(path)? {
        std::fs::remove_file(path)?;
        return UnixListener::bind(path);
    }
    Err(error)
}

/// Whether nobody holds the socket a path names. Asked with a datagram socket: the kernel looks for
/// the holder before it finds that the kinds differ, so a server neither notices nor can keep us
/// waiting.
fn is_abandoned(path: &Path) -> io::Result<bool> {
    let kind = SocketType::DGRAM;
    let probe = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    let asked = rustix::net::connect(&probe, &SocketAddrUnix::new(path)?);
    Ok(asked == Err(Errno::CONNREFUSED))
}

fn unknown_name(error: io::Error) -> io::Error {
    // The standard library has no kind for a failed lookup; the text is all there is.
    if error.to_string().contains("lookup address") {
        return io::Error::new(io::ErrorKind::InvalidInput, "no such name or address");
    }
    error
}

/// A system error in plain words.
pub(crate) fn reason(error: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let plain = match error.kind() {
        Kind::AddrInUse => "address in use",
        Kind::AddrNotAvailable => "this machine has no such address",
        Kind::ConnectionRefused => "connection refused",
        Kind::ConnectionReset => "connection reset",
        Kind::HostUnreachable => "no route to that machine",
        Kind::NetworkUnreachable => "network unreachable",
        Kind::NotFound => "no such file or directory",
        Kind::PermissionDenied => "permission denied",
        Kind::TimedOut => "timed out",
        _ => {
            let text = error.to_string();
            return text
                .split(" (os error")
                .next()
                .unwrap_or(&text)
                .to_lowercase();
        }
    };
    plain.to_owned()
}

fn connect_hint(host: &str, port: u16, error: &io::Error) -> Option<String> {
    let near = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let mut server = "chat server".to_owned();
    // A server listens on 127.0.0.1 unless told otherwise: one there does not help here.
    if let Ok(address) = host.parse::<IpAddr>()
        && address != IpAddr::from([127, 0, 0, 1])
    {
        server += &format!(" --bind {address}");
    }
    if port != crate::cli::DEFAULT_PORT {
        server += &format!(" --port {port}");
    }
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused if near => {
            format!("nothing listens there; in another terminal: {server}")
        }
        io::ErrorKind::ConnectionRefused => "nothing listens there, or a firewall refuses; \
             a chat server lets other machines in only with --bind 0.0.0.0"
            .to_owned(),
        io::ErrorKind::TimedOut if near => {
            format!("the server there accepts nobody; inspect sockets :{port} shows its queue")
        }
        io::ErrorKind::TimedOut => format!(
            "no answer in {} s: that machine is off, or a firewall drops what it is sent",
            CONNECT_TIMEOUT.as_secs()
        ),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "this machine knows no way there; is the network up, and the address right?".to_owned()
        }
        io::ErrorKind::InvalidInput => {
            "check the spelling; an address such as 192.168.8.188 needs no name server".to_owned()
        }
        _ => return None,
    })
}

fn connect_unix_hint(path: &Path, error: &io::Error) -> Option<String> {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Some(format!(
            "no server has made it; in another terminal: chat server --unix {path}"
        )),
        io::ErrorKind::ConnectionRefused => Some(format!(
            "its server is gone, or it is no socket; a new chat server --unix {path} replaces it"
        )),
        io::ErrorKind::TimedOut => Some("the server there accepts nobody".to_owned()),
        _ => None,
    }
}

fn listen_hint(port: u16, error: &io::Error) -> Option<String> {
    Some(match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("inspect port {port} tells by whom; --port 0 takes a free one")
        }
        io::ErrorKind::AddrNotAvailable => {
            "127.0.0.1 is this machine only, 0.0.0.0 every address it has".to_owned()
        }
        io::ErrorKind::PermissionDenied if port < 1024 => {
            "ports below 1024 belong to root; 1024 and above are free to all".to_owned()
        }
        _ => return None,
    })
}

fn listen_unix_hint(path: &Path, error: &io::Error) -> Option<String> {
    if error.kind() != io::ErrorKind::AddrInUse {
        return None;
    }
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    Some(if is_socket {
        "another server answers there; choose another path".to_owned()
    } else {
        "that file is no socket and is left alone; choose another path".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_so_that_they_can_be_pasted() {
        assert_eq!(Place::Tcp("::1".into(), 2345).to_string(), "[::1]:2345");
        assert_eq!(Place::Tcp("host".into(), 1).to_string(), "host:1");
        let mapped = "[::ffff:127.0.0.1]:5".parse().unwrap();
        assert_eq!(endpoint(mapped), "127.0.0.1:5");
    }

    #[test]
    fn a_server_that_accepts_nobody_is_alive_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("room");
        let kind = SocketType::STREAM;
        let deaf = rustix::net::socket(AddressFamily::UNIX, kind, None).unwrap();
        let address = SocketAddrUnix::new(&path).unwrap();
        rustix::net::bind(&deaf, &address).unwrap();
        rustix::net::listen(&deaf, 0).unwrap();
        let _queue = UnixStream::connect(&path).unwrap();
        let before = Instant::now();
        let refused = Place::Unix(path).listen().unwrap_err();
        assert!(refused.hint.unwrap().contains("another server"));
        assert!(before.elapsed() < CONNECT_TIMEOUT / 2);
    }

    #[test]
    fn a_dead_servers_socket_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("room");
        drop(UnixListener::bind(&path).unwrap());
        let living = Place::Unix(path.clone()).listen().unwrap();
        let refused = Place::Unix(path).listen().unwrap_err();
        assert!(refused.to_string().ends_with("address in use"), "{refused}");
        let Listener::Unix(socket, _) = &living else {
            panic!("{living:?}");
        };
        socket.set_nonblocking(true).unwrap();
        let noticed = socket.accept().map(|_| ());
        assert_eq!(noticed.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(living);

        let file = folder.path().join("precious");
        std::fs::write(&file, "text").unwrap();
        let refused = Place::Unix(file.clone()).listen().unwrap_err();
        assert!(refused.hint.unwrap().contains("no socket"));
        assert_eq!(std::fs::read_to_string(file).unwrap(), "text");
    }
}
