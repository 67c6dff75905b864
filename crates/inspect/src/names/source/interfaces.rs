//! Interface names by index (netdevice(7)).

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netdevice::{index_to_name_inlined, name_to_index};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::model::ForeignText;

/// The interfaces of this network namespace; each index is asked for once.
#[derive(Debug)]
pub struct Interfaces {
    socket: Option<OwnedFd>,
    known: HashMap<u32, Option<ForeignText>>,
}

impl Default for Interfaces {
    fn default() -> Self {
        Self::new()
    }
}

impl Interfaces {
    /// Those of the calling thread's network namespace, now and later.
    pub fn new() -> Self {
        // Any socket will do to ask through; unix sockets exist everywhere.
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        );
        Self {
            socket: socket.ok(),
            known: HashMap::new(),
        }
    }

    /// For indexes recorded on another machine: none has a name here.
    pub fn of_another_machine() -> Self {
        Self {
            socket: None,
            known: HashMap::new(),
        }
    }

    /// The name of an interface. Whoever made the interface chose it, and the kernel refuses
    /// no more than `/`, `:` and white space (net/core/dev.c `dev_valid_name`).
    pub fn name(&mut self, index: u32) -> Option<&ForeignText> {
        let socket = self.socket.as_ref();
        self.known
            .entry(index)
            .or_insert_with(|| match index_to_name_inlined(socket?, index) {
                Ok(name) => Some(ForeignText::new(name.as_bytes())),
                Err(Errno::ILSEQ) => name_in_any_bytes(index),
                Err(_) => None,
            })
            .as_ref()
    }

    /// The index of an interface.
    pub fn index(&self, name: &str) -> Option<u32> {
        name_to_index(self.socket.as_ref()?, name).ok()
    }
}

/// rustix gives a name only where it is UTF-8.
fn name_in_any_bytes(index: u32) -> Option<ForeignText> {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: if_indextoname(3) writes at most IF_NAMESIZE bytes, the closing 0 among them.
    let answer = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    if answer.is_null() {
        return None;
    }
    let name = std::ffi::CStr::from_bytes_until_nul(&name).ok()?;
    Some(ForeignText::new(name.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_the_first_interface_of_every_namespace() {
        let mut interfaces = Interfaces::new();
        assert_eq!(interfaces.name(1), Some(&ForeignText::from("lo")));
        assert_eq!(interfaces.index("lo"), Some(1));
        assert_eq!(name_in_any_bytes(1), Some(ForeignText::from("lo")));
        assert_eq!(interfaces.name(4_000_000), None);
        assert_eq!(name_in_any_bytes(4_000_000), None);
        assert_eq!(interfaces.index("no such thing"), None);
        assert_eq!(Interfaces::of_another_machine().name(1), None);
    }
}
