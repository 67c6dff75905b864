//! What `tcp.bpf.c` writes: one record for each socket of TCP with a wanted port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Endpoint;

/// Bytes of a record (`struct record` in tcp.bpf.c).
const LENGTH: usize = 40;

// `flags` of a record.
const REUSE_ADDRESS: u32 = 1;
const REUSE_PORT: u32 = 2;
const V6_ONLY: u32 = 4;
const V6: u32 = 8;

/// A socket of TCP and its flags, whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    /// This side.
    pub local: Endpoint,
    /// The other side; unspecified for a listener.
    pub remote: Endpoint,
    /// SO_REUSEADDR (socket(7)).
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// IPV6_V6ONLY (ipv6(7)); no question for a socket of IPv4.
    pub v6_only: bool,
}

impl TcpSocket {
    /// From the bytes that the kernel program wrote, in this machine's byte order.
    fn decode(bytes: &[u8; LENGTH]) -> Self {
        let (addresses, rest) = bytes.split_at(32);
        let (local, remote) = addresses.split_at(16);
        let port = |at: usize| u16::from_ne_bytes([rest[at], rest[at + 1]]);
        let flags = u32::from_ne_bytes([rest[4], rest[5], rest[6], rest[7]]);
        let address = |bytes: &[u8]| {
            let mut whole = [0; 16];
            whole.copy_from_slice(bytes);
            if flags & V6 != 0 {
                IpAddr::V6(Ipv6Addr::from(whole))
            } else {
                let [a, b, c, d, ..] = whole;
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
        };
        Self {
            local: Endpoint::new(address(local), port(0)),
            remote: Endpoint::new(address(remote), port(2)),
            reuse_address: flags & REUSE_ADDRESS != 0,
            reuse_port: flags & REUSE_PORT != 0,
            v6_only: flags & V6_ONLY != 0,
        }
    }
}

/// The whole records in `bytes`; what is left over is the beginning of one.
pub(super) fn records(bytes: &[u8]) -> (Vec<TcpSocket>, usize) {
    let (whole, rest) = bytes.as_chunks::<LENGTH>();
    (whole.iter().map(TcpSocket::decode).collect(), rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_field_of_a_record_is_found() {
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(&[127, 0, 0, 1]);
        bytes[16..20].copy_from_slice(&[10, 0, 0, 2]);
        bytes[32..34].copy_from_slice(&2_345u16.to_ne_bytes());
        bytes[34..36].copy_from_slice(&443u16.to_ne_bytes());
        bytes[36..].copy_from_slice(&(REUSE_ADDRESS | V6_ONLY).to_ne_bytes());
        let socket = TcpSocket {
            local: Endpoint::new("127.0.0.1".parse().unwrap(), 2_345),
            remote: Endpoint::new("10.0.0.2".parse().unwrap(), 443),
            reuse_address: true,
            reuse_port: false,
            v6_only: true,
        };
        assert_eq!(records(&bytes), (vec![socket], 0));
        bytes[36..].copy_from_slice(&(REUSE_PORT | V6).to_ne_bytes());
        let socket = records(&bytes).0[0];
        assert_eq!(socket.local.address.to_string(), "7f00:1::");
        assert!(socket.reuse_port && !socket.reuse_address);
    }

    proptest! {
        #[test]
        fn any_bytes_are_records_and_a_rest(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (found, rest) = records(&bytes);
            prop_assert_eq!(found.len() * LENGTH + rest, bytes.len());
        }
    }
}
