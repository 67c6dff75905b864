//! A network: an address and how many of its first bits count.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that begin with the same bits; a single address is the network of all its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The prefix is longer than the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPrefix;

impl Network {
    /// The network of the first `prefix` bits; what follows them in `address` does not count.
    ///
    /// # Errors
    /// When the address has fewer bits: 32 for IPv4, 128 for IPv6.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, BadPrefix> {
        let address = match address {
            IpAddr::V4(v4) if prefix <= 32 => {
                let bits = v4.to_bits() & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::from(Ipv4Addr::from_bits(bits))
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::from(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
            _ => return Err(BadPrefix),
        };
        Ok(Self { address, prefix })
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits count.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether an address is in the network, by the kernel's rule (net/ipv4/inet_diag.c
    /// `inet_diag_bc_run`): a v4-mapped IPv6 address is in an IPv4 network too, and an IPv4
    /// address is in no IPv6 network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                Self::new(address, self.prefix) == Ok(*self)
            }
            (IpAddr::V4(_), IpAddr::V6(v6)) => v6
                .to_ipv4_mapped()
                .is_some_and(|v4| self.contains(IpAddr::V4(v4))),
            (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether v4-mapped IPv6 addresses are in it, as such: one end of a connection may see
    /// `::ffff:127.0.0.1` where the other sees 127.0.0.1.
    pub fn holds_mapped(&self) -> bool {
        let mapped = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();
        match self.address {
            IpAddr::V4(_) => false,
            IpAddr::V6(_) if self.prefix < 96 => self.contains(IpAddr::V6(mapped)),
            IpAddr::V6(v6) => v6.to_ipv4_mapped().is_some(),
        }
    }
}

impl From<IpAddr> for Network {
    /// The network of this address alone.
    fn from(address: IpAddr) -> Self {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Self { address, prefix }
    }
}

impl fmt::Display for Network {
    /// As ss reads it: an IPv6 address in brackets, the prefix where it is not the whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(v4) if self.prefix == 32 => write!(f, "{v4}"),
            IpAddr::V4(v4) => write!(f, "{v4}/{}", self.prefix),
            IpAddr::V6(v6) if self.prefix == 128 => write!(f, "[{v6}]"),
            IpAddr::V6(v6) => write!(f, "[{v6}/{}]", self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(address: &str, prefix: u8) -> Network {
        Network::new(address.parse().unwrap(), prefix).unwrap()
    }

    #[test]
    fn an_address_is_in_the_network_of_its_first_bits() {
        for (net, prefix, address, inside) in [
            ("10.0.0.0", 8, "10.255.1.2", true),
            ("10.0.0.0", 8, "11.0.0.0", false),
            ("10.9.9.9", 8, "10.255.1.2", true),
            ("0.0.0.0", 0, "255.1.1.1", true),
            ("127.0.0.1", 32, "127.0.0.1", true),
            ("127.0.0.1", 32, "127.0.0.2", false),
            ("127.0.0.0", 8, "::ffff:127.0.0.1", true),
            ("127.0.0.0", 8, "::ffff:126.0.0.1", false),
            ("0.0.0.0", 0, "::1", false),
            ("::", 0, "::1", true),
            ("::", 0, "::ffff:127.0.0.1", true),
            ("::", 0, "127.0.0.1", false),
            ("2001:db8::", 32, "2001:db8:ffff::1", true),
            ("2001:db8::", 32, "2001:db9::1", false),
            ("2001:db8::", 33, "2001:db8:8000::1", false),
            ("::ffff:127.0.0.1", 128, "::ffff:127.0.0.1", true),
            ("::ffff:127.0.0.1", 128, "127.0.0.1", false),
        ] {
            assert_eq!(
                network(net, prefix).contains(address.parse().unwrap()),
                inside,
                "{net}/{prefix} {address}"
            );
        }
    }

    #[test]
    fn a_prefix_is_no_longer_than_its_address() {
        assert_eq!(
            Network::new(IpAddr::from([10, 0, 0, 0]), 33),
            Err(BadPrefix)
        );
        assert_eq!(
            Network::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 129),
            Err(BadPrefix)
        );
    }

    #[test]
    fn networks_that_hold_mapped_addresses_are_known() {
        for (net, prefix, holds) in [
            ("::", 0, true),
            ("::", 80, true),
            ("::ffff:0:0", 96, true),
            ("::ffff:127.0.0.1", 128, true),
            ("::1", 128, false),
            ("2001:db8::", 32, false),
            ("127.0.0.0", 8, false),
        ] {
            assert_eq!(network(net, prefix).holds_mapped(), holds, "{net}/{prefix}");
        }
    }

    proptest! {
        #[test]
        fn every_network_contains_its_own_address_and_no_other_of_all_bits(
            address: IpAddr,
            other: IpAddr,
            prefix in 0u8..=128,
        ) {
            if let Ok(network) = Network::new(address, prefix) {
                prop_assert!(network.contains(address));
                prop_assert!(network.contains(network.address()));
            } else {
                prop_assert!(address.is_ipv4() && prefix > 32);
            }
            let mapped = address.is_ipv4() && other.to_canonical() == address;
            prop_assert_eq!(Network::from(address).contains(other), address == other || mapped);
        }
    }
}
