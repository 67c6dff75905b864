//! Which interfaces there are, and their addresses.
//!
//! By getifaddrs(3): libpcap's list comes back empty when one name among all is not UTF-8.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use crate::model::ForeignText;

/// libpcap's name for every interface at once.
pub const INTERFACES: &str = "any";

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name, which whoever made it chose.
    pub name: ForeignText,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is a loopback.
    pub loopback: bool,
}

/// The interfaces of this network namespace. Empty where they cannot be listed.
pub fn interfaces() -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut first = ptr::null_mut();
    // SAFETY: getifaddrs(3) writes the pointer to a list, or fails and writes nothing.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return interfaces;
    }
    let mut next = first;
    // SAFETY: every entry stays valid until the list is freed below, and the last points nowhere.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        // SAFETY: the name of an entry is never null, and ends with a 0.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) };
        let at = interfaces
            .iter()
            .position(|it| it.name.as_bytes() == name.to_bytes())
            .unwrap_or_else(|| {
                interfaces.push(Interface {
                    name: ForeignText::new(name.to_bytes()),
                    addresses: Vec::new(),
                    up: has(entry.ifa_flags, libc::IFF_UP),
                    loopback: has(entry.ifa_flags, libc::IFF_LOOPBACK),
                });
                interfaces.len() - 1
            });
        interfaces[at].addresses.extend(address(entry.ifa_addr));
    }
    // SAFETY: the list is freed once, and nothing borrowed from it is left.
    unsafe { libc::freeifaddrs(first) };
    interfaces
}

fn has(flags: libc::c_uint, flag: libc::c_int) -> bool {
    flags & flag.unsigned_abs() != 0
}

/// `None` for what is no address of IP.
fn address(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: every socket address begins with its family, and has the size that goes with it
    // (sockaddr(3type)); its alignment is not relied on.
    unsafe {
        let family = ptr::addr_of!((*address).sa_family).read_unaligned();
        match libc::c_int::from(family) {
            libc::AF_INET => {
                let inet = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(Ipv4Addr::from(inet.sin_addr.s_addr.to_ne_bytes()).into())
            }
            libc::AF_INET6 => {
                let inet = address.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(Ipv6Addr::from(inet.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed_with_its_addresses() {
        let interfaces = interfaces();
        let lo = interfaces.iter().filter(|it| it.name.as_bytes() == b"lo");
        let lo: Vec<&Interface> = lo.collect();
        assert_eq!(lo.len(), 1, "{interfaces:?}");
        assert!(lo[0].up && lo[0].loopback, "{lo:?}");
        assert!(
            lo[0].addresses.contains(&Ipv4Addr::LOCALHOST.into()),
            "{lo:?}"
        );
    }
}
