//! The binds that somebody may want to do, and how each would end.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Ask, Bound};
use crate::model::{Protocol, Uid};

/// Which address a bind() is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// This one; `0.0.0.0` is every address of IPv4, `::` every address.
    Address(IpAddr),
    /// `::` with IPV6_V6ONLY: every address of IPv6.
    OnlyV6,
    /// An address of IPv4 that no socket of the port has.
    OtherV4,
    /// The same of IPv6.
    OtherV6,
}

impl Place {
    /// Whether it is of IPv4; `::` is of both and counts as IPv6.
    pub fn is_v4(self) -> bool {
        match self {
            Self::Address(address) => address.is_ipv4(),
            Self::OtherV4 => true,
            Self::OnlyV6 | Self::OtherV6 => false,
        }
    }
}

/// A bind(), and how it would end. `None` where that depends on what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The address.
    pub place: Place,
    /// All that is asked for.
    pub ask: Ask,
    /// Whether it fails.
    pub fails: Option<bool>,
    /// Whether it fails with SO_REUSEADDR.
    pub fails_with_reuse_address: Option<bool>,
    /// Whether it fails with SO_REUSEPORT.
    pub fails_with_reuse_port: Option<bool>,
}

/// So many addresses that sockets have are asked about.
const ADDRESSES: usize = 16;

/// The usual binds to a port of which these are the sockets: to every address, to each that a
/// socket has, and to one that none has.
pub fn usual(protocol: Protocol, uid: Uid, sockets: &[Bound]) -> Vec<Asked> {
    let of_protocol = || {
        sockets
            .iter()
            .filter(|it| it.protocol == protocol && it.counts())
    };
    let taken: BTreeSet<(IpAddr, u32)> = of_protocol()
        .map(|bound| {
            let interface = match bound.address {
                // The kernel takes the scope for the interface.
                IpAddr::V6(address) if address.is_unicast_link_local() => bound.interface,
                _ => None,
            };
            (bound.address.to_canonical(), interface.unwrap_or(0))
        })
        .collect();
    let mut places = vec![
        (Place::Address(Ipv4Addr::UNSPECIFIED.into()), 0),
        (Place::Address(Ipv6Addr::UNSPECIFIED.into()), 0),
        (Place::OnlyV6, 0),
    ];
    places.extend(
        taken
            .iter()
            .filter(|(address, _)| !address.is_unspecified())
            .take(ADDRESSES)
            .map(|(address, interface)| (Place::Address(*address), *interface)),
    );
    places.extend([(Place::OtherV4, 0), (Place::OtherV6, 0)]);
    let ask = |(place, interface): (Place, u32)| {
        let ask = Ask {
            protocol,
            address: address(place, &taken),
            v6_only: place == Place::OnlyV6,
            interface,
            reuse_address: false,
            reuse_port: false,
            uid,
        };
        Asked {
            place,
            ask,
            fails: ask.fails_among(of_protocol()),
            fails_with_reuse_address: ask.with_reuse_address().fails_among(of_protocol()),
            fails_with_reuse_port: ask.with_reuse_port().fails_among(of_protocol()),
        }
    };
    places.into_iter().map(ask).collect()
}

fn address(place: Place, taken: &BTreeSet<(IpAddr, u32)>) -> IpAddr {
    let free = |address: &IpAddr| !taken.iter().any(|(it, _)| it == address);
    match place {
        Place::Address(address) => address,
        Place::OnlyV6 => Ipv6Addr::UNSPECIFIED.into(),
        // Addresses for documentation (RFC 5737, RFC 3849): no machine has them.
        Place::OtherV4 => (1..=u8::MAX)
            .map(|last| IpAddr::from([192, 0, 2, last]))
            .find(free)
            .unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
        Place::OtherV6 => (1..=u16::MAX)
            .map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]))
            .find(free)
            .unwrap_or(Ipv6Addr::UNSPECIFIED.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::State;

    fn listener(address: &str, v6_only: bool) -> Bound {
        Bound {
            protocol: Protocol::Tcp,
            address: address.parse().unwrap(),
            state: State::Listen,
            interface: Some(0),
            v6_only: Some(v6_only),
            reuse_address: Some(false),
            reuse_port: Some(false),
            uid: Some(Uid(0)),
            outgoing: Some(false),
        }
    }

    fn failing(sockets: &[Bound]) -> Vec<Place> {
        usual(Protocol::Tcp, Uid(0), sockets)
            .into_iter()
            .filter(|asked| asked.fails == Some(true))
            .map(|asked| asked.place)
            .collect()
    }

    #[test]
    fn what_a_listener_leaves_to_others() {
        let at = |text: &str| Place::Address(text.parse().unwrap());
        let (v4, v6) = (at("0.0.0.0"), at("::"));
        let local = at("127.0.0.1");
        for (sockets, expected) in [
            (vec![], vec![]),
            (vec![listener("127.0.0.1", false)], vec![v4, v6, local]),
            (
                vec![listener("0.0.0.0", false)],
                vec![v4, v6, Place::OtherV4],
            ),
            (
                vec![listener("::", false)],
                vec![v4, v6, Place::OnlyV6, Place::OtherV4, Place::OtherV6],
            ),
            (
                vec![listener("::", true)],
                vec![v6, Place::OnlyV6, Place::OtherV6],
            ),
            (
                vec![listener("::1", true)],
                vec![v6, Place::OnlyV6, at("::1")],
            ),
        ] {
            assert_eq!(failing(&sockets), expected, "{sockets:?}");
        }
    }

    #[test]
    fn an_address_that_none_has_is_one_that_none_has() {
        let sockets = [listener("192.0.2.1", false), listener("2001:db8::1", true)];
        let asked = usual(Protocol::Tcp, Uid(0), &sockets);
        for asked in asked {
            if matches!(asked.place, Place::OtherV4 | Place::OtherV6) {
                assert_eq!(asked.fails, Some(false), "{asked:?}");
            }
        }
    }
}
