//! `struct sockaddr` (sockaddr(3type)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Address;
use crate::model::{Endpoint, ForeignText, UnixAddress};

/// From its bytes, as many as the program said there are.
pub(super) fn of(bytes: &[u8]) -> Address {
    let Some((family, rest)) = bytes.split_first_chunk::<2>() else {
        return Address::Other(0, bytes.to_vec());
    };
    let family = u16::from_ne_bytes(*family);
    let known = match i32::from(family) {
        libc::AF_UNSPEC => Some(Address::Unspecified),
        libc::AF_INET => inet(rest),
        libc::AF_INET6 => inet6(rest),
        libc::AF_UNIX => Some(Address::Unix(unix(rest))),
        libc::AF_NETLINK => netlink(rest),
        libc::AF_PACKET => packet(rest),
        _ => None,
    };
    known.unwrap_or_else(|| Address::Other(family, rest.to_vec()))
}

fn inet(rest: &[u8]) -> Option<Address> {
    let port = u16::from_be_bytes(*rest.first_chunk()?);
    let address: [u8; 4] = rest.get(2..6)?.try_into().ok()?;
    let address = IpAddr::V4(Ipv4Addr::from(address));
    Some(Address::Internet(Endpoint::new(address, port)))
}

/// Port, flow, address, interface; the last was not always there.
fn inet6(rest: &[u8]) -> Option<Address> {
    let port = u16::from_be_bytes(*rest.first_chunk()?);
    let address: [u8; 16] = rest.get(6..22)?.try_into().ok()?;
    let scope = rest.get(22..26).and_then(|bytes| bytes.try_into().ok());
    let scope = scope.map_or(0, u32::from_ne_bytes);
    Some(Address::Internet(Endpoint {
        address: IpAddr::V6(Ipv6Addr::from(address)),
        port,
        scope: (scope != 0).then_some(scope),
    }))
}

fn unix(rest: &[u8]) -> UnixAddress {
    match rest {
        [] => UnixAddress::Unnamed,
        [0, name @ ..] => UnixAddress::Abstract(ForeignText::new(name)),
        path => {
            let length = path.iter().position(|byte| *byte == 0);
            UnixAddress::Path(ForeignText::new(&path[..length.unwrap_or(path.len())]))
        }
    }
}

/// Two bytes of nothing, port id, groups.
fn netlink(rest: &[u8]) -> Option<Address> {
    let number = |at: usize| -> Option<u32> {
        Some(u32::from_ne_bytes(rest.get(at..at + 4)?.try_into().ok()?))
    };
    Some(Address::Netlink(number(2)?, number(6)?))
}

/// Protocol, interface, kind of hardware, kind of packet, length of the address, address.
fn packet(rest: &[u8]) -> Option<Address> {
    let protocol = u16::from_be_bytes(*rest.first_chunk()?);
    let interface = u32::from_ne_bytes(rest.get(2..6)?.try_into().ok()?);
    let length = usize::from(*rest.get(9)?).min(8);
    let hardware = rest.get(10..10 + length).unwrap_or_default();
    Some(Address::Packet(protocol, interface, hardware.to_vec()))
}
