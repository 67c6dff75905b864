//! Makes a private network namespace.

#![allow(unsafe_code)]

use std::io;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

/// A private network namespace could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}: {source}")]
pub struct PrivateNetworkError {
    operation: &'static str,
    #[source]
    source: io::Error,
}

fn failed<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> PrivateNetworkError {
    move |source| PrivateNetworkError {
        operation,
        source: source.into(),
    }
}

/// Moves this process into a user and network namespace of its own, in which it may capture
/// without being root, and brings the loopback interface there up. The process keeps its user
/// and group id. It must have one thread only, and cannot go back.
///
/// # Errors
/// Where the machine forbids user namespaces, or the process has several threads.
pub fn unshare_private_loopback() -> Result<(), PrivateNetworkError> {
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    // SAFETY: unsharing the user and network namespace moves no descriptors, so no `OwnedFd`
    // changes its meaning.
    unsafe {
        rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET)
            .map_err(failed("make a user and network namespace"))?;
    }
    // The kernel lets an ordinary user map its group only after giving up setgroups(2).
    std::fs::write("/proc/self/setgroups", "deny").map_err(failed("give up setgroups"))?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))
        .map_err(failed("map the user"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
        .map_err(failed("map the group"))?;
    bring_loopback_up().map_err(failed("bring the loopback interface up"))
}

/// RTM_NEWLINK for interface 1 with IFF_UP set (rtnetlink(7)); loopback is index 1 in every
/// namespace (net/core/dev.c registers it first).
fn bring_loopback_up() -> io::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    let mut message = Vec::with_capacity(32);
    message.extend(32u32.to_ne_bytes()); // nlmsg_len: nlmsghdr 16 + ifinfomsg 16
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    message.extend([0; 8]); // nlmsg_seq, nlmsg_pid
    message.extend([0; 4]); // ifi_family, padding, ifi_type
    message.extend(1i32.to_ne_bytes()); // ifi_index
    message.extend(IFF_UP.to_ne_bytes()); // ifi_flags
    message.extend(IFF_UP.to_ne_bytes()); // ifi_change

    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // NETLINK_ROUTE is protocol 0
    )?;
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &message, SendFlags::empty(), &kernel)?;
    let mut answer = [0u8; 1024];
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    // nlmsgerr: a negative errno after the header, 0 for an acknowledgement.
    let code = answer[..length]
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(-Errno::PROTO.raw_os_error(), i32::from_ne_bytes);
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(-code))
    }
}
