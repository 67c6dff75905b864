//! What each family's messages say.
//!
//! The recorded ones are little-endian, as the machine was that they come from.

#![cfg(target_endian = "little")]

use super::*;
use crate::model::{Cookie, Family, ForeignText, Inode, Protocol, State, Uid, UnixAddress};
use crate::sockets::{Detail, Memory, Shutdown, Timer, TimerKind};

fn detail(socket: Socket) -> Detail {
    *socket.detail.unwrap()
}

#[test]
fn an_established_connection() {
    let (plain, full) = recorded(Table::Tcp, include_str!("recorded/tcp-established.hex"));
    assert_eq!(
        plain,
        Socket {
            family: Family::Inet,
            protocol: Protocol::Tcp,
            state: State::Established,
            address: inet(("127.0.0.1", 2345), ("127.0.0.1", 44716)),
            recv_queue: Some(0),
            send_queue: Some(0),
            inode: Some(Inode(5_430_063)),
            cookie: Some(Cookie(0x4_e176)),
            uid: Some(Uid(0)),
            netns: Some(NAMESPACE),
            interface: Some(0),
            detail: None,
        }
    );
    let detail = detail(full);
    let tcp = detail.tcp.unwrap();
    assert_eq!(tcp.bytes_sent, Some(134_464));
    assert_eq!(tcp.bytes_acknowledged, Some(100_000));
    assert_eq!(tcp.bytes_retransmitted, Some(34_464));
    assert_eq!((tcp.lost, tcp.unacknowledged), (Some(0), Some(0)));
    assert_eq!(tcp.slow_start_threshold, None);
    assert_eq!(tcp.pacing_rate, Some(58_528_800_000));
    assert_eq!((tcp.rtt_us, tcp.rtt_min_us), (Some(5_139), Some(16)));
    assert_eq!(tcp.delivery_rate_app_limited, Some(false));
    assert_eq!(detail.congestion, Some(ForeignText::from("bbr")));
    assert_eq!(
        detail.memory,
        Some(Memory {
            receive_used: Some(0),
            receive_limit: Some(131_072),
            send_used: Some(0),
            send_limit: Some(3_939_840),
            forward_allocated: Some(0),
            write_queued: Some(0),
            options: Some(0),
            backlog: Some(0),
            drops: Some(0),
        })
    );
    assert_eq!(
        detail.timer,
        Some(Timer {
            kind: TimerKind::Off,
            expires_ms: 0,
            retransmits: 0
        })
    );
    assert_eq!(detail.shutdown, Some(Shutdown::default()));
    assert_eq!((detail.mark, detail.cgroup), (Some(0), Some(1)));
    assert_eq!((detail.v6_only, detail.rides), (None, None));
}

#[test]
fn a_listener_has_its_accept_queue_and_no_tcp_info() {
    let (plain, full) = recorded(Table::Tcp, include_str!("recorded/tcp-listen.hex"));
    assert_eq!(plain.state, State::Listen);
    assert_eq!(plain.address, inet(("127.0.0.1", 2345), ("0.0.0.0", 0)));
    assert_eq!((plain.recv_queue, plain.send_queue), (Some(1), Some(128)));
    // In its place there would be the queue once more, as segments in flight.
    assert_eq!(detail(full).tcp, None);
    assert_eq!(plain.detail, None);
}

#[test]
fn a_listener_of_ipv6_always_says_whether_it_takes_ipv4() {
    let (plain, _) = recorded(Table::Tcp6, include_str!("recorded/tcp6-listen.hex"));
    assert_eq!(plain.family, Family::Inet6);
    assert_eq!(plain.address, inet(("::", 4711), ("::", 0)));
    assert_eq!(
        detail(plain),
        Detail {
            v6_only: Some(true),
            ..Detail::default()
        }
    );
}

#[test]
fn a_user_is_known_where_the_kernel_had_one() {
    for (hex, state, uid) in [
        (
            include_str!("recorded/tcp-waiting.hex"),
            State::Established,
            None,
        ),
        (
            include_str!("recorded/tcp-time-wait.hex"),
            State::TimeWait,
            None,
        ),
        (
            include_str!("recorded/tcp-syn-recv.hex"),
            State::SynRecv,
            None,
        ),
        (
            include_str!("recorded/tcp-bound.hex"),
            State::Bound,
            Some(Uid(0)),
        ),
    ] {
        let (socket, _) = recorded(Table::Tcp, hex);
        assert_eq!((socket.state, socket.uid), (state, uid), "{state:?}");
        assert_eq!(socket.inode.is_some(), uid.is_some(), "{state:?}");
    }
    // Since Linux 6.17 what is not accepted yet has its listener's.
    let mut message = bytes(include_str!("recorded/tcp-waiting.hex"));
    message[64..68].copy_from_slice(&1000u32.to_ne_bytes());
    let socket = decode(Table::Tcp, &message, NO_DETAILS).unwrap();
    assert_eq!((socket.inode, socket.uid), (None, Some(Uid(1000))));
}

#[test]
fn what_waits_for_accept_has_bytes_to_read() {
    let (socket, _) = recorded(Table::Tcp, include_str!("recorded/tcp-waiting.hex"));
    assert_eq!((socket.recv_queue, socket.inode), (Some(5), None));
}

#[test]
fn a_closed_tcp_socket_is_bound_unless_it_had_a_peer() {
    let message = bytes(include_str!("recorded/tcp-bound.hex"));
    let state = |at: usize, byte: u8| {
        let mut message = message.clone();
        message[at] = byte;
        decode(Table::Tcp, &message, NO_DETAILS).unwrap().state
    };
    assert_eq!(state(1, 7), State::Bound);
    assert_eq!(state(1, 13), State::Bound);
    assert_eq!(state(7, 80), State::Closed, "a remote port");
    assert_eq!(state(24, 127), State::Closed, "a remote address");
}

#[test]
fn timers_are_those_of_the_state() {
    for (hex, kind, expires_ms) in [
        (
            include_str!("recorded/tcp-time-wait.hex"),
            TimerKind::TimeWait,
            59_888,
        ),
        (
            include_str!("recorded/tcp-syn-recv.hex"),
            TimerKind::Retransmit,
            900,
        ),
    ] {
        let (plain, full) = recorded(Table::Tcp, hex);
        assert_eq!(plain.detail, None);
        assert_eq!(
            detail(full).timer,
            Some(Timer {
                kind,
                expires_ms,
                retransmits: 0
            })
        );
    }
    // A timer that is late wraps round on older kernels.
    let mut message = bytes(include_str!("recorded/tcp-syn-recv.hex"));
    message[52..56].copy_from_slice(&(-4i32).to_ne_bytes());
    let socket = decode(Table::Tcp, &message, ALL_DETAILS).unwrap();
    assert_eq!(detail(socket).timer.unwrap().expires_ms, 0);
}

#[test]
fn a_subflow_carries_mptcp() {
    let (plain, full) = recorded(Table::Tcp, include_str!("recorded/tcp-subflow.hex"));
    assert_eq!((plain.protocol, plain.detail), (Protocol::Tcp, None));
    assert_eq!(detail(full).rides, Some(Protocol::Mptcp));
    let (connection, full) = recorded(Table::Mptcp, include_str!("recorded/mptcp-established.hex"));
    assert_eq!(connection.protocol, Protocol::Mptcp);
    assert_eq!(connection.state, State::Established);
    // `struct mptcp_info` is another structure than tcp_info.
    assert_eq!(detail(full).tcp, None);
}

#[test]
fn a_link_local_address_is_valid_on_its_interface() {
    let (socket, _) = recorded(Table::Udp6, include_str!("recorded/udp6-link-local.hex"));
    let interface = socket.interface.unwrap();
    assert_ne!(interface, 0);
    let (local, remote) = socket.endpoints().unwrap();
    assert_eq!(local.address.to_string(), "fe80::1");
    assert_eq!((local.port, local.scope), (4713, Some(interface)));
    assert_eq!(remote.scope, None);
    assert_eq!(socket.state, State::Unconnected);
    // An address that is no IPv4 one makes it so (net/ipv6/af_inet6.c `__inet6_bind`).
    assert_eq!(socket.detail.unwrap().v6_only, Some(true));
}

#[test]
fn a_datagram_socket_with_a_peer_is_established() {
    let (socket, full) = recorded(Table::Udp, include_str!("recorded/udp-connected.hex"));
    assert_eq!(socket.state, State::Established);
    assert_eq!(socket.address, inet(("127.0.0.1", 4714), ("127.0.0.1", 53)));
    assert_eq!(detail(full).timer, None, "it has no timers");
}

#[test]
fn a_raw_socket_says_its_protocol() {
    // The kernel that the others were recorded from lists no raw sockets.
    let mut message = bytes(include_str!("recorded/udp-connected.hex"));
    message.truncate(72);
    message[1] = 7;
    message[4..6].copy_from_slice(&1u16.to_be_bytes());
    message.extend(attribute(10, &[1]));
    let socket = decode(Table::Raw, &message, ALL_DETAILS).unwrap();
    assert_eq!(
        (socket.protocol, socket.state),
        (Protocol::Raw, State::Unconnected)
    );
    assert_eq!(socket.endpoints().unwrap().0.port, 1);
    assert_eq!(detail(socket).raw_protocol, Some(1));
}

#[test]
fn a_unix_listener_has_any_bytes_for_a_path() {
    let (plain, full) = recorded(Table::Unix, include_str!("recorded/unix-listen.hex"));
    assert_eq!(
        plain.address,
        Address::Unix {
            name: UnixAddress::Path(ForeignText::new(&b"my \xff\nsocket"[..])),
            peer: None,
        }
    );
    assert_eq!((plain.state, plain.uid), (State::Listen, Some(Uid(0))));
    assert_eq!((plain.recv_queue, plain.send_queue), (Some(2), Some(7)));
    assert_eq!(plain.detail, None);
    let detail = detail(full);
    assert_eq!(detail.memory.unwrap().receive_limit, Some(212_992));
    assert_eq!(detail.shutdown, Some(Shutdown::default()));
}

#[test]
fn an_abstract_name_keeps_its_nul_bytes() {
    let (socket, _) = recorded(Table::Unix, include_str!("recorded/unix-abstract.hex"));
    assert_eq!(
        socket.address,
        Address::Unix {
            name: UnixAddress::Abstract(ForeignText::new(&b"odd\0name\n"[..])),
            peer: None,
        }
    );
    assert_eq!(socket.protocol, Protocol::UnixDatagram);
    assert_eq!(socket.recv_queue, Some(5));
}

#[test]
fn a_unix_socket_names_its_peer() {
    let (peer, _) = recorded(Table::Unix, include_str!("recorded/unix-abstract.hex"));
    let (socket, _) = recorded(Table::Unix, include_str!("recorded/unix-connected.hex"));
    assert_eq!(
        socket.address,
        Address::Unix {
            name: UnixAddress::Unnamed,
            peer: peer.inode,
        }
    );
    assert_eq!(socket.state, State::Established);
    // Until Linux 5.14 the number of the state said nothing of a datagram socket's peer.
    let mut message = bytes(include_str!("recorded/unix-connected.hex"));
    message[2] = 7;
    let socket = decode(Table::Unix, &message, NO_DETAILS).unwrap();
    assert_eq!(socket.state, State::Established);
}

#[test]
fn a_pair_may_be_shut_down() {
    let (socket, full) = recorded(Table::Unix, include_str!("recorded/unix-seqpacket.hex"));
    assert_eq!(socket.protocol, Protocol::UnixSeqpacket);
    let shutdown = detail(full).shutdown.unwrap();
    assert_eq!((shutdown.receive, shutdown.send), (false, true));
}

#[test]
fn clients_that_wait_are_the_listeners_sockets_without_an_inode() {
    let message = bytes(include_str!("recorded/unix-pending.hex"));
    let asked = asked(Table::Unix, NO_DETAILS);
    let (listener, waiting) = super::super::unix::waiting(&message, &asked).unwrap();
    assert!(listener.is_some());
    let peers: Vec<_> = waiting
        .iter()
        .map(|socket| {
            assert_eq!((socket.inode, socket.state), (None, State::Established));
            match &socket.address {
                Address::Unix {
                    name: UnixAddress::Path(path),
                    peer: Some(peer),
                } if path.as_bytes() == b"my \xff\nsocket" => peer.0,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(peers, [5_430_505, 5_430_506]);
}

#[test]
fn netlink_and_packet_sockets() {
    let (socket, full) = recorded(Table::Netlink, include_str!("recorded/netlink.hex"));
    assert_eq!(
        socket.address,
        Address::Netlink {
            protocol: 0,
            port_id: 4321
        }
    );
    assert_eq!((socket.recv_queue, socket.send_queue), (Some(0), Some(0)));
    assert_eq!((socket.uid, socket.detail), (None, None));
    assert_eq!(detail(full).memory.unwrap().drops, Some(0));

    let (socket, full) = recorded(Table::Packet, include_str!("recorded/packet.hex"));
    assert_eq!(
        socket.address,
        Address::Packet {
            ethertype: 0x0806,
            interface: 1
        }
    );
    assert_eq!(socket.protocol, Protocol::PacketDatagram);
    assert_eq!((socket.recv_queue, socket.uid), (Some(0), Some(Uid(0))));
    assert_eq!(detail(full).memory.unwrap().drops, Some(0));
}

#[test]
fn vsock_sockets() {
    // From the header: the kernel that the others were recorded from has no vsock_diag.
    let mut message = vec![40, 1, 1, 2];
    for word in [3u32, 1024, 2, 55_555, 77] {
        message.extend(word.to_ne_bytes());
    }
    message.extend(9u64.to_ne_bytes());
    let socket = decode(Table::Vsock, &message, ALL_DETAILS).unwrap();
    assert_eq!(
        socket.address,
        Address::Vsock {
            local: (3, 1024),
            remote: (2, 55_555)
        }
    );
    assert_eq!(
        (socket.protocol, socket.state),
        (Protocol::VsockStream, State::Established)
    );
    assert_eq!(
        (socket.inode, socket.cookie),
        (Some(Inode(77)), Some(Cookie(9)))
    );
    assert!(detail(socket).shutdown.unwrap().send);
    message[1] = 2;
    message[2] = 7;
    let socket = decode(Table::Vsock, &message, NO_DETAILS).unwrap();
    assert_eq!(socket.state, State::Unconnected);
}
