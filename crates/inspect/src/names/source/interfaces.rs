//! Interface names by index (netdevice(7)).

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::net::netdevice::{index_to_name, name_to_index};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// The interfaces of this network namespace; each index is asked for once.
#[derive(Debug)]
pub struct Interfaces {
    socket: Option<OwnedFd>,
    known: HashMap<u32, Option<String>>,
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

    /// The name of an interface.
    pub fn name(&mut self, index: u32) -> Option<&str> {
        let socket = self.socket.as_ref();
        self.known
            .entry(index)
            .or_insert_with(|| index_to_name(socket?, index).ok())
            .as_deref()
    }

    /// The index of an interface.
    pub fn index(&self, name: &str) -> Option<u32> {
        name_to_index(self.socket.as_ref()?, name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_the_first_interface_of_every_namespace() {
        let mut interfaces = Interfaces::new();
        assert_eq!(interfaces.name(1), Some("lo"));
        assert_eq!(interfaces.index("lo"), Some(1));
        assert_eq!(interfaces.name(4_000_000), None);
        assert_eq!(interfaces.index("no such thing"), None);
        assert_eq!(Interfaces::of_another_machine().name(1), None);
    }
}
