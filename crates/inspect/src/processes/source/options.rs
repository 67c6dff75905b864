//! Reads the options of another process's socket, through a descriptor borrowed from it.

use std::os::fd::OwnedFd;

use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::model::{Fd, Inode, Pid};
use crate::processes::SocketOptions;

/// The options of the socket that a thread holds under `fd`; `None` when they cannot be told:
/// the thread is gone, the descriptor is not (or no more) that socket, or we may not trace it
/// (pidfd_getfd(2) asks for the same right as ptrace(2)).
///
/// The descriptor is ours for a moment, so that a socket closed meanwhile lives on for as long.
pub fn socket_options(tid: Pid, fd: Fd, inode: Inode) -> Option<SocketOptions> {
    let socket = borrow(tid, fd)?;
    // The number may be another's by now.
    if fstat(&socket).ok()?.st_ino != inode.0 {
        return None;
    }
    Some(SocketOptions {
        reuse_address: sockopt::socket_reuseaddr(&socket).ok(),
        reuse_port: sockopt::socket_reuseport(&socket).ok(),
        v6_only: sockopt::ipv6_v6only(&socket).ok(),
    })
}

fn borrow(tid: Pid, fd: Fd) -> Option<OwnedFd> {
    /// PIDFD_THREAD (include/uapi/linux/pidfd.h): a thread that does not lead its process.
    const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.unsigned_abs());
    let pid = rustix::process::Pid::from_raw(i32::try_from(tid.0).ok()?)?;
    let thread = match pidfd_open(pid, PidfdFlags::empty()) {
        // Linux before 6.9 knows leaders only.
        Err(Errno::INVAL | Errno::NOENT) => pidfd_open(pid, THREAD),
        other => other,
    };
    let fd = i32::try_from(fd.0).ok()?;
    pidfd_getfd(thread.ok()?, fd, PidfdGetfdFlags::empty()).ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn our_own_socket_tells_its_options() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let us = Pid(std::process::id());
        let fd = Fd(u32::try_from(listener.as_raw_fd()).unwrap());
        let inode = Inode(fstat(&listener).unwrap().st_ino);
        // The standard library sets SO_REUSEADDR.
        assert_eq!(
            socket_options(us, fd, inode),
            Some(SocketOptions {
                reuse_address: Some(true),
                reuse_port: Some(false),
                v6_only: None,
            })
        );
        let other = Inode(inode.0 + 1);
        assert_eq!(socket_options(us, fd, other), None);
        assert_eq!(socket_options(us, Fd(1_000_000), inode), None);
        assert_eq!(socket_options(Pid(u32::MAX), fd, inode), None);
    }

    #[test]
    fn a_thread_with_descriptors_of_its_own_tells_too() {
        let (told, asked) = std::sync::mpsc::channel();
        let (done, end) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            #[expect(unsafe_code, reason = "the one thing tested here is made by it")]
            // SAFETY: this thread owns nothing that was opened before.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }.unwrap();
            let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
            let tid = rustix::thread::gettid().as_raw_nonzero().get();
            told.send((
                Pid(u32::try_from(tid).unwrap()),
                Fd(u32::try_from(socket.as_raw_fd()).unwrap()),
                Inode(fstat(&socket).unwrap().st_ino),
            ))
            .unwrap();
            let _ = end.recv();
        });
        let (tid, fd, inode) = asked.recv().unwrap();
        let options = socket_options(tid, fd, inode).unwrap();
        assert_eq!(options.v6_only, Some(true));
        drop(done);
        thread.join().unwrap();
    }
}
