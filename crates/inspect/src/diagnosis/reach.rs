//! From where a socket that waits can be reached, by its address. Firewalls are not looked at.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::ForeignText;
use crate::names::InterfaceAddress;

/// What a socket waits on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its local address, as the kernel gave it.
    pub address: IpAddr,
    /// The interface it is bound to, 0 for none; `None` where the source does not tell.
    pub interface: Option<u32>,
    /// IPV6_V6ONLY.
    pub v6_only: Option<bool>,
}

/// From where one or more sockets can be reached: each part adds to the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// From every network that this machine is on.
    pub every_network: bool,
    /// From the networks of these interfaces.
    pub networks: BTreeSet<ForeignText>,
    /// From where these addresses are routed to: no network's interface has them.
    pub addresses: BTreeSet<IpAddr>,
    /// As members of these groups (multicast), or by broadcast.
    pub groups: BTreeSet<IpAddr>,
    /// From this machine.
    pub this_machine: bool,
    /// Every address is meant, and no interface has one that others could reach.
    pub alone: bool,
    /// Over IPv4, from elsewhere than this machine.
    pub v4: Option<bool>,
    /// Over IPv6, from elsewhere than this machine.
    pub v6: Option<bool>,
}

/// The loopback interface is the first of every namespace (net/core/dev.c registers it first).
const LOOPBACK: u32 = 1;

impl Reach {
    /// From where these can be reached. `addresses` are those of this machine, where known.
    pub fn of(
        sockets: impl IntoIterator<Item = Waiting>,
        addresses: Option<&[InterfaceAddress]>,
    ) -> Self {
        let mut reach = Self {
            v4: Some(false),
            v6: Some(false),
            ..Self::default()
        };
        for socket in sockets {
            reach.add(socket, addresses);
        }
        reach
    }

    /// Whether it is from this machine only.
    pub fn is_this_machine_only(&self) -> bool {
        !self.every_network
            && self.networks.is_empty()
            && self.addresses.is_empty()
            && self.groups.is_empty()
            && (self.this_machine || self.alone)
    }

    fn add(&mut self, socket: Waiting, addresses: Option<&[InterfaceAddress]>) {
        let address = socket.address.to_canonical();
        if address.is_loopback() {
            self.this_machine = true;
            return;
        }
        let (v4, v6) = match socket.address {
            IpAddr::V6(it) if it.is_unspecified() => (socket.v6_only.map(|only| !only), true),
            _ => (Some(address.is_ipv4()), address.is_ipv6()),
        };
        let index = socket.interface.filter(|index| *index != 0);
        if address.is_unspecified() {
            let outward: Option<Vec<&InterfaceAddress>> = addresses.map(|all| {
                all.iter()
                    .filter(|it| !it.address.is_loopback() && index.is_none_or(|at| at == it.index))
                    .collect()
            });
            let has = |wanted: bool| {
                outward
                    .as_ref()
                    .is_none_or(|all| all.iter().any(|it| it.address.is_ipv4() == wanted))
            };
            let (v4, v6) = (and(v4, has(true)), v6 && has(false));
            if v4 == Some(false) && !v6 {
                self.alone = true;
                return;
            }
            self.v4 = or(self.v4, v4);
            self.v6 = or(self.v6, Some(v6));
            let named = outward
                .as_ref()
                .and_then(|all| all.first()?.interface.clone());
            match (index, named) {
                (Some(_), Some(name)) => {
                    self.networks.insert(name);
                }
                _ => self.every_network = true,
            }
            return;
        }
        self.v4 = or(self.v4, v4);
        self.v6 = or(self.v6, Some(v6));
        if address.is_multicast() || is_broadcast(address, addresses) {
            self.groups.insert(address);
            return;
        }
        let interface = addresses.and_then(|all| {
            all.iter().find(|it| {
                it.address == address
                    && index.is_none_or(|at| at == it.index)
                    && it.index != LOOPBACK
            })
        });
        match interface.and_then(|it| it.interface.as_ref()) {
            Some(name) => {
                self.networks.insert(name.clone());
            }
            None => {
                self.addresses.insert(address);
            }
        }
    }
}

fn and(one: Option<bool>, other: bool) -> Option<bool> {
    if other { one } else { Some(false) }
}

fn or(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// 255.255.255.255, or the last address of an interface's network (RFC 919).
fn is_broadcast(address: IpAddr, addresses: Option<&[InterfaceAddress]>) -> bool {
    let IpAddr::V4(address) = address else {
        return false;
    };
    address.is_broadcast()
        || addresses.into_iter().flatten().any(|it| match it.address {
            // A network of one or two addresses has none.
            IpAddr::V4(own) if it.prefix < 31 => {
                let host = u32::MAX.checked_shr(it.prefix.into()).unwrap_or(0);
                address != own && own.to_bits() | host == address.to_bits()
            }
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Vec<InterfaceAddress> {
        [
            ("lo", 1, "127.0.0.1", 8),
            ("lo", 1, "::1", 128),
            ("eth0", 2, "192.168.8.188", 24),
            ("eth0", 2, "fe80::1", 64),
            ("wg0", 3, "10.9.0.2", 32),
        ]
        .map(|(name, index, address, prefix)| InterfaceAddress {
            address: address.parse().unwrap(),
            prefix,
            index,
            interface: Some(name.into()),
        })
        .to_vec()
    }

    fn reach(sockets: &[(&str, u32, bool)], addresses: Option<&[InterfaceAddress]>) -> Reach {
        let sockets = sockets.iter().map(|(address, interface, v6_only)| Waiting {
            address: address.parse().unwrap(),
            interface: Some(*interface),
            v6_only: Some(*v6_only),
        });
        Reach::of(sockets, addresses)
    }

    fn names(reach: &Reach) -> Vec<String> {
        let names = reach.networks.iter();
        names.map(|it| it.to_lossy().into_owned()).collect()
    }

    #[test]
    fn loopback_is_for_this_machine_whatever_its_spelling() {
        let machine = machine();
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let reach = reach(&[(address, 0, false)], Some(&machine));
            assert!(reach.is_this_machine_only(), "{address}: {reach:?}");
        }
    }

    #[test]
    fn every_address_is_every_network_over_what_it_is_for() {
        let machine = machine();
        for (address, v6_only, v4, v6) in [
            ("0.0.0.0", false, true, false),
            ("::", false, true, true),
            ("::", true, false, true),
        ] {
            let reach = reach(&[(address, 0, v6_only)], Some(&machine));
            assert!(reach.every_network);
            assert_eq!((reach.v4, reach.v6), (Some(v4), Some(v6)), "{address}");
        }
        let untold = Waiting {
            address: "::".parse().unwrap(),
            interface: None,
            v6_only: None,
        };
        let reach = Reach::of([untold], None);
        assert_eq!((reach.v4, reach.v6), (None, Some(true)));
    }

    #[test]
    fn a_machine_without_other_addresses_is_reached_by_nobody() {
        let machine = machine();
        let alone = &machine[..2];
        let alone = reach(&[("::", 0, false)], Some(alone));
        assert!(alone.alone && alone.is_this_machine_only());
        // Without an address of IPv6 beyond loopback nobody comes over IPv6.
        let v4_only = [machine[0].clone(), machine[1].clone(), machine[2].clone()];
        let v4_only = reach(&[("::", 0, false)], Some(&v4_only));
        assert_eq!((v4_only.v4, v4_only.v6), (Some(true), Some(false)));
    }

    #[test]
    fn an_address_is_its_interfaces_network() {
        let machine = machine();
        let lan = reach(&[("192.168.8.188", 0, false)], Some(&machine));
        assert_eq!(names(&lan), ["eth0"]);
        assert!(!lan.is_this_machine_only());
        let device = reach(&[("0.0.0.0", 3, false)], Some(&machine));
        assert_eq!(names(&device), ["wg0"]);
        let gone = reach(&[("192.0.2.1", 0, false)], Some(&machine));
        assert!(gone.addresses.contains(&"192.0.2.1".parse().unwrap()));
        let several = reach(
            &[("127.0.0.1", 0, false), ("fe80::1", 2, true)],
            Some(&machine),
        );
        assert!(!several.is_this_machine_only());
        assert_eq!((several.v4, several.v6), (Some(false), Some(true)));
    }

    #[test]
    fn groups_are_no_networks() {
        let machine = machine();
        for group in [
            "224.0.0.251",
            "ff02::fb",
            "192.168.8.255",
            "255.255.255.255",
        ] {
            let reach = reach(&[(group, 0, false)], Some(&machine));
            assert!(reach.groups.contains(&group.parse().unwrap()), "{reach:?}");
        }
    }
}
