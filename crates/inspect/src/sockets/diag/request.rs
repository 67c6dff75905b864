//! What is sent to the kernel to have a table dumped.
//!
//! Layouts: `struct nlmsghdr` (include/uapi/linux/netlink.h), then the request of the family:
//! `struct inet_diag_req_v2`, `unix_diag_req`, `netlink_diag_req`, `packet_diag_req`,
//! `vsock_diag_req` (include/uapi/linux/*_diag.h; vm_sockets_diag.h).

use super::super::{Details, Table};
use super::Scope;
use super::filter::Pass;
use super::message::{ATTRIBUTE_HEADER, HEADER, SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK, align};
use crate::model::Family;

/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x01 | 0x300;

/// Attributes of a request for IP sockets: `INET_DIAG_REQ_BYTECODE` and
/// `INET_DIAG_REQ_PROTOCOL`.
const BYTECODE: u16 = 1;
const PROTOCOL: u16 = 3;
/// `IPPROTO_MPTCP`, which does not fit into the byte of the request.
const MPTCP: u32 = 262;

/// Bits of `idiag_ext`: `1 << (INET_DIAG_* - 1)`.
const EXT_INFO: u8 = 1 << 1;
const EXT_CONG: u8 = 1 << 3;
const EXT_SKMEMINFO: u8 = 1 << 6;

/// `UDIAG_SHOW_*`.
const UNIX_NAME: u32 = 0x01;
const UNIX_PEER: u32 = 0x04;
const UNIX_ICONS: u32 = 0x08;
const UNIX_RQLEN: u32 = 0x10;
const UNIX_MEMINFO: u32 = 0x20;
const UNIX_UID: u32 = 0x40;

/// `NDIAG_PROTO_ALL`, and `NDIAG_SHOW_MEMINFO`: it holds the queues.
const NETLINK_EVERY_PROTOCOL: u8 = u8::MAX;
const NETLINK_MEMINFO: u32 = 1;

/// `PACKET_SHOW_INFO`: interface and user; `PACKET_SHOW_MEMINFO`: the queues.
const PACKET_INFO: u32 = 0x01;
const PACKET_MEMINFO: u32 = 0x10;

/// A request for sockets in some states; `None` where sock_diag has no such table. The answers
/// carry the sequence number.
pub(super) fn request(
    scope: Scope,
    pass: &Pass,
    details: &Details,
    sequence: u32,
) -> Option<Vec<u8>> {
    let table = match scope {
        Scope::Table(table) => table,
        Scope::Tcp => return Some(tcp_request(pass, details, sequence)),
    };
    let protocol = match table {
        Table::Tcp | Table::Tcp6 => 6,
        Table::Udp | Table::Udp6 => 17,
        Table::UdpLite | Table::UdpLite6 => 136,
        Table::Raw | Table::Raw6 => 255,
        // A kernel that does not know the attribute then looks for the protocol 0, and finds
        // none; with 6 it would answer with TCP.
        Table::Mptcp | Table::Mptcp6 => 0,
        Table::Unix => return Some(unix_request(pass.states, unix_show(details), sequence)),
        Table::Netlink => {
            return Some(rest_request(
                (16, NETLINK_EVERY_PROTOCOL),
                &[0, NETLINK_MEMINFO, 0, 0],
                sequence,
            ));
        }
        Table::Packet => {
            let show = PACKET_INFO | PACKET_MEMINFO;
            return Some(rest_request((17, 0), &[0, show, 0, 0], sequence));
        }
        Table::Vsock => return Some(rest_request((40, 0), &[pass.states, 0, 0, 0, 0], sequence)),
        Table::Icmp | Table::Icmp6 | Table::Tipc => return None,
    };
    let family = if table.family() == Family::Inet {
        2
    } else {
        10
    };
    let mut body = vec![family, protocol, extensions(details), 0];
    body.extend(pass.states.to_ne_bytes());
    body.extend(EVERY_ID);
    if matches!(table, Table::Mptcp | Table::Mptcp6) {
        attribute(&mut body, PROTOCOL, &MPTCP.to_ne_bytes());
    }
    if let Some(bytecode) = &pass.bytecode {
        attribute(&mut body, BYTECODE, bytecode);
    }
    Some(message(SOCK_DIAG_BY_FAMILY, body, sequence))
}

/// `struct inet_diag_sockid`: every port and address.
const EVERY_ID: [u8; 48] = [0; 48];

/// `struct inet_diag_req`: what there was before sock_diag, and still the only way to ask for
/// both versions of IP (net/ipv4/inet_diag.c `inet_diag_rcv_msg_compat`).
fn tcp_request(pass: &Pass, details: &Details, sequence: u32) -> Vec<u8> {
    let mut body = vec![0, 0, 0, extensions(details)];
    body.extend(EVERY_ID);
    body.extend(pass.states.to_ne_bytes());
    body.extend([0; 4]); // idiag_dbs
    if let Some(bytecode) = &pass.bytecode {
        attribute(&mut body, BYTECODE, bytecode);
    }
    message(TCPDIAG_GETSOCK, body, sequence)
}

fn extensions(details: &Details) -> u8 {
    let mut extensions = 0;
    if details.tcp {
        extensions |= EXT_INFO | EXT_CONG;
    }
    if details.memory {
        extensions |= EXT_SKMEMINFO;
    }
    if details.extended {
        // What rides on TCP is told only together with tcp_info.
        extensions |= EXT_INFO;
    }
    extensions
}

fn unix_show(details: &Details) -> u32 {
    let memory = if details.memory { UNIX_MEMINFO } else { 0 };
    UNIX_NAME | UNIX_PEER | UNIX_RQLEN | UNIX_UID | memory
}

/// A request for the unix listeners and the clients that wait for them. Apart from the others,
/// because a long queue makes a long message: one that does not fit into the kernel's buffer ends
/// the dump without a word.
pub(super) fn pending_request(sequence: u32) -> Vec<u8> {
    const LISTEN: u32 = 1 << 10;
    unix_request(LISTEN, UNIX_NAME | UNIX_ICONS, sequence)
}

fn unix_request(states: u32, show: u32, sequence: u32) -> Vec<u8> {
    rest_request((1, 0), &[states, 0, show, 0, 0], sequence)
}

/// Family and protocol, two bytes of padding, and words: states where the family has them, inode,
/// what to show, and a cookie.
fn rest_request((family, protocol): (u8, u8), words: &[u32], sequence: u32) -> Vec<u8> {
    let mut body = vec![family, protocol, 0, 0];
    body.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    message(SOCK_DIAG_BY_FAMILY, body, sequence)
}

fn message(kind: u16, body: Vec<u8>, sequence: u32) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST_DUMP.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 4]); // nlmsg_pid: the kernel fills it in
    message.extend(body);
    message
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(align(body.len()), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn pass(states: u32, bytecode: Option<Vec<u8>>) -> Pass {
        Pass::new(states, bytecode)
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_request_for_tcp_has_states_extensions_and_bytecode() {
        let details = Details {
            tcp: true,
            memory: true,
            ..Details::default()
        };
        let asked = request(
            Scope::Table(Table::Tcp6),
            &pass(0x400, Some(vec![1, 4, 8, 0])),
            &details,
            5,
        );
        assert_eq!(
            hex(&asked.unwrap()),
            [
                "50000000", // length 80
                "1400",     // SOCK_DIAG_BY_FAMILY
                "0103",     // request, dump
                "05000000", // sequence
                "00000000", // port id
                "0a064a00", // AF_INET6, TCP, tcp_info + congestion + memory
                "00040000", // LISTEN
                &"00".repeat(48),
                "0800", // attribute of 8 bytes
                "0100", // bytecode
                "01040800",
            ]
            .concat()
        );
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn tcp_over_both_versions_of_ip_is_asked_for_the_old_way() {
        let details = Details {
            memory: true,
            ..Details::default()
        };
        let asked = request(
            Scope::Tcp,
            &pass(0x2ffe, Some(vec![1, 4, 8, 0])),
            &details,
            5,
        );
        assert_eq!(
            hex(&asked.unwrap()),
            [
                "54000000", // length 84
                "1200",     // TCPDIAG_GETSOCK
                "0103",     // request, dump
                "05000000", // sequence
                "00000000", // port id
                "00000040", // any family, no prefix lengths, memory
                &"00".repeat(48),
                "fe2f0000", // states
                "00000000",
                "08000100", // bytecode
                "01040800",
            ]
            .concat()
        );
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn mptcp_is_asked_for_by_an_attribute() {
        let asked = request(
            Scope::Table(Table::Mptcp),
            &pass(2, None),
            &Details::default(),
            5,
        )
        .unwrap();
        assert_eq!(asked.len(), 80);
        assert_eq!(hex(&asked[16..24]), "0200000002000000");
        assert_eq!(hex(&asked[72..]), "0800030006010000");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_other_families_have_requests_of_their_own() {
        let body = |table| {
            let asked = request(
                Scope::Table(table),
                &pass(0xffff, None),
                &Details::default(),
                5,
            );
            asked.map(|asked| hex(&asked[16..]))
        };
        let zeros = |words: usize| "00000000".repeat(words);
        for (table, expected) in [
            (
                Table::Unix,
                Some(format!("01000000ffff00000000000055000000{}", zeros(2))),
            ),
            (
                Table::Netlink,
                Some(format!("10ff00000000000001000000{}", zeros(2))),
            ),
            (
                Table::Packet,
                Some(format!("110000000000000011000000{}", zeros(2))),
            ),
            (Table::Vsock, Some(format!("28000000ffff0000{}", zeros(4)))),
            (Table::Icmp, None),
            (Table::Tipc, None),
        ] {
            assert_eq!(body(table), expected, "{table:?}");
        }
    }
}
