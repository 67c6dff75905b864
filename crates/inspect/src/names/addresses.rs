//! The addresses of this machine's interfaces, as rtnetlink(7) lists them. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::ForeignText;

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// How many of its bits are the network's.
    pub prefix: u8,
    /// The index of the interface.
    pub index: u32,
    /// The interface's name; `None` when it has gone meanwhile.
    pub interface: Option<ForeignText>,
}

/// What one message of an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// An address.
    Address(InterfaceAddress),
    /// The answer ends here.
    Done,
    /// The kernel refuses, with a number of errno(3).
    Error(i32),
    /// Something else.
    Other,
}

const HEADER: usize = 16; // struct nlmsghdr
const IFADDRMSG: usize = 8;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// The messages of one datagram (netlink(7)); those after a broken one are left out.
pub(super) fn messages(mut datagram: &[u8]) -> Vec<Message> {
    let mut found = Vec::new();
    while let Some((message, rest)) = next(datagram, HEADER) {
        found.push(read(message));
        datagram = rest;
    }
    found
}

/// Splits off what begins with its own length: a message in 4 bytes, an attribute in 2.
fn next(bytes: &[u8], header: usize) -> Option<(&[u8], &[u8])> {
    let length = if header == HEADER {
        usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?
    } else {
        usize::from(u16::from_ne_bytes(*bytes.first_chunk()?))
    };
    if length < header {
        return None;
    }
    let this = bytes.get(..length)?;
    // Each begins at a multiple of four.
    let rest = bytes
        .get(length.checked_next_multiple_of(4)?..)
        .unwrap_or_default();
    Some((this, rest))
}

fn read(message: &[u8]) -> Message {
    let kind = message.get(4..6).and_then(|it| it.try_into().ok());
    match kind.map(u16::from_ne_bytes) {
        Some(NLMSG_DONE) => Message::Done,
        Some(NLMSG_ERROR) => {
            let code = message.get(HEADER..HEADER + 4);
            let code = code.and_then(|it| it.try_into().ok());
            Message::Error(code.map_or(0, i32::from_ne_bytes).saturating_neg())
        }
        Some(RTM_NEWADDR) => address(message).map_or(Message::Other, Message::Address),
        _ => Message::Other,
    }
}

/// `struct ifaddrmsg` (include/uapi/linux/if_addr.h) and its attributes. Where one end of a
/// tunnel has two addresses, IFA_LOCAL is ours.
fn address(message: &[u8]) -> Option<InterfaceAddress> {
    const ATTRIBUTE: usize = 4;
    let body = message.get(HEADER..)?;
    let [family, prefix, _, _, index @ ..] = *body.first_chunk::<IFADDRMSG>()?;
    let mut attributes = body.get(IFADDRMSG..)?;
    let (mut local, mut other) = (None, None);
    while let Some((attribute, rest)) = next(attributes, ATTRIBUTE) {
        let kind = u16::from_ne_bytes([*attribute.get(2)?, *attribute.get(3)?]);
        let value = attribute.get(ATTRIBUTE..)?;
        match kind {
            IFA_LOCAL => local = ip(family, value),
            IFA_ADDRESS => other = ip(family, value),
            _ => {}
        }
        attributes = rest;
    }
    Some(InterfaceAddress {
        address: local.or(other)?,
        prefix,
        index: u32::from_ne_bytes(index),
        interface: None,
    })
}

fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    match family {
        AF_INET => Some(Ipv4Addr::from(*value.first_chunk::<4>()?).into()),
        AF_INET6 => Some(Ipv6Addr::from(*value.first_chunk::<16>()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        [
            &length.to_ne_bytes()[..],
            &kind.to_ne_bytes(),
            value,
            &vec![0; value.len().next_multiple_of(4) - value.len()],
        ]
        .concat()
    }

    fn loopback_v4() -> Vec<u8> {
        let mut body = vec![2, 8, 128, 254];
        body.extend(1u32.to_ne_bytes());
        body.extend(attribute(IFA_ADDRESS, &[10, 0, 0, 2]));
        body.extend(attribute(IFA_LOCAL, &[127, 0, 0, 1]));
        body.extend(attribute(3, b"lo\0"));
        message(RTM_NEWADDR, &body)
    }

    #[test]
    fn an_address_is_that_of_this_side() {
        let mut datagram = loopback_v4();
        datagram.extend(message(NLMSG_DONE, &0u32.to_ne_bytes()));
        assert_eq!(
            messages(&datagram),
            [
                Message::Address(InterfaceAddress {
                    address: "127.0.0.1".parse().unwrap(),
                    prefix: 8,
                    index: 1,
                    interface: None,
                }),
                Message::Done,
            ]
        );
        let error = message(NLMSG_ERROR, &(-13i32).to_ne_bytes());
        assert_eq!(messages(&error), [Message::Error(13)]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_messages_or_none(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            cut in 0usize..80,
            at in 0usize..60,
            to: u8,
        ) {
            let _ = messages(&bytes);
            let mut almost = loopback_v4();
            almost[at % 48] = to;
            almost.truncate(cut);
            let _ = messages(&almost);
        }
    }
}
