//! Where one end of a socket is.

use std::net::IpAddr;

use super::ForeignText;

/// An address and a port. What is not bound or not connected has the unspecified address
/// and port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address, as the kernel gave it: a v4-mapped IPv6 address stays one.
    pub address: IpAddr,
    /// Port number; for raw sockets the IP protocol number, as the kernel tables have it.
    pub port: u16,
    /// Interface index that a link-local address is valid on, where it is known.
    pub scope: Option<u32>,
}

impl Endpoint {
    /// An endpoint without a scope.
    pub fn new(address: IpAddr, port: u16) -> Self {
        Self {
            address,
            port,
            scope: None,
        }
    }

    /// Whether nothing is meant: any address and port 0.
    pub fn is_unspecified(&self) -> bool {
        self.port == 0 && self.address.is_unspecified()
    }

    /// The same endpoint as the wire shows it: `::ffff:127.0.0.1` is 127.0.0.1 there, and
    /// a scope is known to one end only.
    pub fn on_the_wire(&self) -> Self {
        Self::new(self.address.to_canonical(), self.port)
    }

    /// Whether the address can only mean this machine.
    pub fn is_loopback(&self) -> bool {
        self.address.to_canonical().is_loopback()
    }
}

/// The name of a unix socket (unix(7)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnixAddress {
    /// A path in the file system.
    Path(ForeignText),
    /// A name in the abstract namespace, without its leading NUL byte.
    Abstract(ForeignText),
    /// Not bound to a name.
    Unnamed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_meets_its_v4_twin_on_the_wire() {
        let mapped = Endpoint::new("::ffff:127.0.0.1".parse().unwrap(), 2345);
        assert_eq!(
            mapped.on_the_wire(),
            Endpoint::new("127.0.0.1".parse().unwrap(), 2345)
        );
        assert!(mapped.is_loopback());
        assert!(!mapped.is_unspecified());
    }
}
