//! Which interfaces there are, and their addresses.

use std::net::IpAddr;

/// libpcap's name for every interface at once.
pub const INTERFACES: &str = "any";

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is a loopback.
    pub loopback: bool,
}

/// The interfaces of this network namespace, `any` and devices that are not of the network
/// left out. Empty where they cannot be listed.
pub fn interfaces() -> Vec<Interface> {
    pcap::Device::list()
        .unwrap_or_default()
        .into_iter()
        .filter(|device| device.name != INTERFACES && is_network(&device.name))
        .map(|device| Interface {
            up: device.flags.is_up(),
            loopback: device.flags.is_loopback(),
            addresses: device
                .addresses
                .iter()
                .map(|address| address.addr)
                .collect(),
            name: device.name,
        })
        .collect()
}

/// libpcap also lists USB buses, netfilter logs and D-Bus.
fn is_network(name: &str) -> bool {
    !["nflog", "nfqueue", "dbus-", "usbmon", "bluetooth"]
        .iter()
        .any(|other| name.starts_with(other))
}
