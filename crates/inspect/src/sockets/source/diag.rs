//! Carries requests and answers of sock_diag over a netlink socket. Needs no rights: every user
//! may ask.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::super::diag::Wire;
use super::super::{Address, Socket};
use crate::stop::{Stop, wait_for};

/// The name that `begin` records and `--source` understands.
pub(super) const NAME: &str = "diag";

/// The kernel writes up to 32 KiB at once, and the more the larger the buffer it is read into
/// (net/netlink/af_netlink.c `netlink_recvmsg`); some room more, so that nothing is cut.
const BUFFER: usize = 1 << 16;

/// The kernel answers a dump while it is read, without waiting for anything. What takes longer
/// does not come any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// The protocol of the channel itself (include/uapi/linux/netlink.h).
const NETLINK_SOCK_DIAG: u8 = 4;

/// A channel to the kernel, for the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
    port_id: u32,
    buffer: Vec<u8>,
    stop: Stop,
}

impl Channel {
    pub(super) fn open(stop: Stop) -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::SOCK_DIAG),
        )?;
        // Connected to the kernel, it takes nothing from anyone else (netlink(7)).
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
        let own = SocketAddrNetlink::try_from(rustix::net::getsockname(&socket)?)?;
        Ok(Self {
            socket,
            port_id: own.pid(),
            buffer: vec![0; BUFFER],
            stop,
        })
    }

    /// Takes this channel itself out of what was found: it lives no longer than the look, and two
    /// looks would find a change where there is none.
    pub(super) fn leave_out(&self, sockets: &mut Vec<Socket>) {
        let own = Address::Netlink {
            protocol: NETLINK_SOCK_DIAG,
            port_id: self.port_id,
        };
        sockets.retain(|socket| socket.address != own);
    }

    fn wait(&self) -> io::Result<()> {
        let mut polled = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(&self.stop, PollFlags::IN),
        ];
        if wait_for(&mut polled, Some(PATIENCE))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl Wire for Channel {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.socket, request, SendFlags::empty())?;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            if self.stop.is_raised() {
                return Ok(None);
            }
            match rustix::net::recv(&self.socket, &mut self.buffer, RecvFlags::empty()) {
                Ok((length, _)) => return Ok(Some(self.buffer.get(..length).unwrap_or_default())),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait()?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
