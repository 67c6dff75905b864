//! The rules against the kernel: real sockets, every combination, a real bind().

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use inspect::diagnosis::bind::{Ask, Bound};
use inspect::model::{Protocol, State, Uid};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketType, accept, bind, connect, getsockname, listen, socket, sockopt,
};

use super::in_own_network;

/// Below the ports that the kernel hands out, so that nobody else is given them meanwhile.
static NEXT: AtomicU16 = AtomicU16::new(0);

fn next_port() -> u16 {
    let first = u16::try_from(std::process::id() * 997 % 12_000).unwrap();
    18_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flags {
    address: bool,
    port: bool,
}

const FLAGS: [Flags; 4] = [
    Flags {
        address: false,
        port: false,
    },
    Flags {
        address: true,
        port: false,
    },
    Flags {
        address: false,
        port: true,
    },
    Flags {
        address: true,
        port: true,
    },
];

/// Addresses with their IPV6_V6ONLY.
const PLACES: [(&str, bool); 9] = [
    ("0.0.0.0", false),
    ("127.0.0.1", false),
    ("127.0.0.2", false),
    ("127.0.0.6", false),
    ("::", false),
    ("::", true),
    ("::1", false),
    ("::ffff:127.0.0.1", false),
    ("::ffff:0.0.0.0", false),
];

fn made(
    protocol: Protocol,
    (address, v6_only): (&str, bool),
    port: u16,
    flags: Flags,
) -> Result<OwnedFd, Errno> {
    let address: IpAddr = address.parse().unwrap();
    let family = match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        _ => SocketType::DGRAM,
    };
    let made = socket(family, kind, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&made, v6_only)?;
    }
    sockopt::set_socket_reuseaddr(&made, flags.address)?;
    sockopt::set_socket_reuseport(&made, flags.port)?;
    bind(&made, &SocketAddr::new(address, port))?;
    Ok(made)
}

fn local(socket: &OwnedFd) -> SocketAddr {
    getsockname(socket).unwrap().try_into().unwrap()
}

/// What is there first. The sockets are kept open by whoever has them.
struct There {
    bound: Bound,
    port: u16,
    _open: Vec<OwnedFd>,
}

fn here() -> Uid {
    Uid(rustix::process::getuid().as_raw())
}

fn bound(protocol: Protocol, state: State, at: SocketAddr, v6_only: bool, flags: Flags) -> Bound {
    Bound {
        protocol,
        address: at.ip(),
        state,
        interface: Some(0),
        // The kernel sets it for every bind() to one address of IPv6 (net/ipv6/af_inet6.c).
        v6_only: Some(v6_only || (is_v6(at.ip()) && !at.ip().is_unspecified())),
        reuse_address: Some(flags.address),
        reuse_port: Some(flags.port),
        uid: Some(here()),
        outgoing: Some(false),
    }
}

fn is_v6(address: IpAddr) -> bool {
    address.to_canonical().is_ipv6()
}

/// A socket in each state that TCP has between bind() and the end, at a place.
fn tcp_there(place: (&str, bool), state: State, flags: Flags) -> There {
    let port = next_port();
    let server = made(Protocol::Tcp, place, port, flags).unwrap();
    let at = local(&server);
    let mut there = bound(Protocol::Tcp, state, at, place.1, flags);
    if state == State::Bound {
        return There {
            bound: there,
            port,
            _open: vec![server],
        };
    }
    listen(&server, 8).unwrap();
    if state == State::Listen {
        return There {
            bound: there,
            port,
            _open: vec![server],
        };
    }
    let to: IpAddr = match at.ip() {
        IpAddr::V4(it) if it.is_unspecified() => "127.0.0.1".parse().unwrap(),
        IpAddr::V6(it) if it.is_unspecified() => "::1".parse().unwrap(),
        it if it.to_canonical().is_unspecified() => "127.0.0.1".parse().unwrap(),
        it => it.to_canonical(),
    };
    let client = std::net::TcpStream::connect((to, port)).unwrap();
    let accepted = accept(&server).unwrap();
    there.address = local(&accepted).ip();
    let mut open = Vec::new();
    if state == State::TimeWait {
        // Who closes first waits.
        drop(accepted);
        drop(client);
    } else {
        open.extend([accepted, client.into()]);
    }
    There {
        bound: there,
        port,
        _open: open,
    }
}

/// Compares what the rules say of every bind() with what the kernel does.
fn compare(there: &There, protocol: Protocol, wrong: &mut Vec<String>) -> usize {
    let mut asks = Vec::new();
    for (address, v6_only) in PLACES {
        for flags in FLAGS {
            let ask = Ask {
                protocol,
                address: address.parse().unwrap(),
                v6_only,
                interface: 0,
                reuse_address: flags.address,
                reuse_port: flags.port,
                uid: here(),
            };
            let said = ask.fails_among([&there.bound]);
            asks.push((ask, (address, v6_only), flags, said));
        }
    }
    // A bind() that succeeds may leave something behind that lets in those after it.
    asks.sort_by_key(|(.., said)| *said != Some(true));
    for (ask, place, flags, said) in &asks {
        let try_it = || match made(protocol, *place, there.port, *flags) {
            Ok(_) => false,
            Err(Errno::ADDRINUSE) => true,
            Err(error) => panic!("{ask:?}: {error}"),
        };
        let mut fails = try_it();
        // A child that another test forked has what this one has closed until it runs its
        // program: what fails for its sake alone succeeds soon.
        for _ in 0..20 {
            if !fails || *said == Some(true) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            fails = try_it();
        }
        if *said != Some(fails) {
            wrong.push(format!("fails {fails}: {ask:?} by {:?}", there.bound));
        }
        // Where less is known less may be said, and nothing wrong.
        for hidden in [
            Bound {
                reuse_address: None,
                ..there.bound.clone()
            },
            Bound {
                reuse_port: None,
                v6_only: None,
                ..there.bound.clone()
            },
            Bound {
                uid: None,
                interface: None,
                ..there.bound.clone()
            },
        ] {
            let said = ask.fails_among([&hidden]);
            if said.is_some_and(|said| said != fails) {
                wrong.push(format!("fails {fails}, guessed: {ask:?} by {hidden:?}"));
            }
        }
    }
    asks.len()
}

fn none_wrong(wrong: &[String]) {
    let some: Vec<_> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{} are wrong: {some:#?}", wrong.len());
}

#[test]
fn tcp_binds_fail_when_the_rules_say_so() {
    in_own_network(|| {
        let mut wrong = Vec::new();
        let mut asked = 0;
        for state in [
            State::Bound,
            State::Listen,
            State::Established,
            State::TimeWait,
        ] {
            for place in PLACES {
                for flags in FLAGS {
                    // The kernel remembers of a port who last shared it, after it is gone too; a
                    // rule that is wrong is wrong on another port as well.
                    let mut found = Vec::new();
                    for attempt in 0..3 {
                        found.clear();
                        let there = tcp_there(place, state, flags);
                        let compared = compare(&there, Protocol::Tcp, &mut found);
                        asked += if attempt == 0 { compared } else { 0 };
                        if found.is_empty() {
                            break;
                        }
                    }
                    wrong.append(&mut found);
                }
            }
        }
        none_wrong(&wrong);
        assert_eq!(asked, 4 * 9 * 4 * 9 * 4);
    });
}

#[test]
fn tcp_binds_fail_by_connections_that_chose_their_port() {
    in_own_network(|| {
        for to in ["127.0.0.1:0", "[::1]:0"] {
            let listener = std::net::TcpListener::bind(to).unwrap();
            for flags in FLAGS {
                // The kernel may give one port to several connections, one of another test too: then
                // it is not ours alone that is in the way.
                let mut wrong = Vec::new();
                for _ in 0..5 {
                    wrong.clear();
                    let there = connected(listener.local_addr().unwrap(), flags);
                    compare(&there, Protocol::Tcp, &mut wrong);
                    if wrong.is_empty() {
                        break;
                    }
                }
                none_wrong(&wrong);
            }
        }
    });
}

/// A connection of which the kernel chose the port.
fn connected(to: SocketAddr, flags: Flags) -> There {
    let family = if to.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let client = socket(family, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&client, flags.address).unwrap();
    sockopt::set_socket_reuseport(&client, flags.port).unwrap();
    connect(&client, &to).unwrap();
    let at = local(&client);
    There {
        bound: Bound {
            v6_only: Some(false),
            outgoing: Some(true),
            ..bound(Protocol::Tcp, State::Established, at, false, flags)
        },
        port: at.port(),
        _open: vec![client],
    }
}

#[test]
fn udp_binds_fail_when_the_rules_say_so() {
    in_own_network(|| {
        let mut wrong = Vec::new();
        for place in PLACES {
            for flags in FLAGS {
                let port = next_port();
                let there = made(Protocol::Udp, place, port, flags).unwrap();
                let at = local(&there);
                let mut there = There {
                    bound: bound(Protocol::Udp, State::Unconnected, at, place.1, flags),
                    port,
                    _open: vec![there],
                };
                compare(&there, Protocol::Udp, &mut wrong);
                // The same connected: the address may become a narrower one.
                let peer: SocketAddr = match at.ip() {
                    IpAddr::V6(it) if it.to_ipv4_mapped().is_none() => "[::1]:9",
                    IpAddr::V6(_) => "[::ffff:127.0.0.1]:9",
                    IpAddr::V4(_) => "127.0.0.1:9",
                }
                .parse()
                .unwrap();
                connect(&there._open[0], &peer).unwrap();
                there.bound.address = local(&there._open[0]).ip();
                there.bound.state = State::Established;
                compare(&there, Protocol::Udp, &mut wrong);
            }
        }
        none_wrong(&wrong);
    });
}
