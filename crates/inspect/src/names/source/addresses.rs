//! Asks rtnetlink(7) for the addresses of every interface.

use std::io;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::Interfaces;
use crate::names::addresses::{InterfaceAddress, Message, messages};

/// The addresses in the network namespace of the calling thread.
///
/// # Errors
/// When the kernel does not answer.
pub fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    const RTM_GETADDR: u16 = 22;
    const NLM_F_REQUEST_DUMP: u16 = 1 | 0x300;
    let mut request = Vec::with_capacity(24);
    request.extend(24u32.to_ne_bytes()); // nlmsg_len: nlmsghdr 16 + ifaddrmsg 8
    request.extend(RTM_GETADDR.to_ne_bytes());
    request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8]); // nlmsg_seq, nlmsg_pid
    request.extend([0; 8]); // ifaddrmsg: every family, every interface

    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // NETLINK_ROUTE is protocol 0
    )?;
    rustix::net::sendto(
        &socket,
        &request,
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut interfaces = Interfaces::new();
    let mut found = Vec::new();
    // The kernel's messages are no longer than this (netlink(7)).
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for message in messages(buffer.get(..length).unwrap_or_default()) {
            match message {
                Message::Done => return Ok(found),
                Message::Error(code) => return Err(io::Error::from_raw_os_error(code)),
                Message::Address(mut address) => {
                    address.interface = interfaces.name(address.index).cloned();
                    found.push(address);
                }
                Message::Other => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ForeignText;

    #[test]
    fn loopback_has_its_address() {
        let found = addresses().unwrap();
        let loopback = found
            .iter()
            .find(|it| it.address == std::net::IpAddr::from([127, 0, 0, 1]))
            .unwrap();
        assert_eq!(loopback.prefix, 8);
        assert_eq!(loopback.interface, Some(ForeignText::from("lo")));
    }
}
