//! Each cause is made, named, and true.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::net::{SocketType, getsockname, listen};

use super::support::{have_root, inspect, run, wait_for};
use super::{Answer, bound, hold_against_kernel, in_own_network};

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn local(socket: &OwnedFd) -> SocketAddr {
    getsockname(socket).unwrap().try_into().unwrap()
}

#[test]
fn a_listener_is_in_the_way_of_its_address_and_of_what_includes_it() {
    in_own_network(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Answer::port(port);
        assert_eq!(answer.code, Some(0));
        assert_eq!(
            answer.findings(),
            ["listener", "wildcard-overlap", "dual-stack-overlap"]
        );
        let finding = answer.finding("listener");
        let us = std::process::id();
        assert_eq!(finding["owners"][0]["pid"], us);
        assert_eq!(finding["evidence"]["certain"], true);
        assert_eq!(finding["evidence"]["with_reuse_address"], false);
        let text = finding["text"].as_str().unwrap();
        // A child that another test forked has it too, until it runs its program: "listen on".
        assert!(
            text.starts_with(&format!("tcp {port}: "))
                && text.contains(" listen")
                && text.ends_with(&format!(" on 127.0.0.1:{port}")),
            "{text}"
        );
        let record = answer.record();
        assert_eq!(record["tcp"]["standing"], "taken");
        assert_eq!(record["udp"]["standing"], "free");
        assert_eq!(record["tcp"]["reach"]["this_machine_only"], true);
        assert_eq!(record["processes"][0]["pid"], us);
        // The flags of our own sockets can be read.
        assert_eq!(hold_against_kernel(&answer, "tcp").1, 0);
        hold_against_kernel(&answer, "udp");
    });
}

#[test]
fn wildcards_and_both_versions_are_told_apart() {
    in_own_network(|| {
        for (address, v6_only, findings) in [
            (
                "0.0.0.0:0",
                false,
                &["listener", "wildcard-overlap", "dual-stack-overlap"][..],
            ),
            (
                "[::]:0",
                false,
                &["listener", "wildcard-overlap", "dual-stack-overlap"],
            ),
            ("[::]:0", true, &["listener", "wildcard-overlap"]),
            ("[::1]:0", false, &["listener", "wildcard-overlap"]),
            (
                "[::ffff:127.0.0.1]:0",
                false,
                &["listener", "wildcard-overlap", "dual-stack-overlap"],
            ),
        ] {
            for reuse in [false, true] {
                let server = bound(SocketType::STREAM, at(address), v6_only, reuse, reuse).unwrap();
                listen(&server, 16).unwrap();
                let answer = Answer::port(local(&server).port());
                assert_eq!(answer.findings(), findings, "{address} {v6_only}");
                assert_eq!(hold_against_kernel(&answer, "tcp").1, 0, "{address}");
            }
        }
    });
}

#[test]
fn time_wait_is_in_the_way_and_root_is_told_whether_reuse_helps() {
    in_own_network(|| {
        for reuse in [true, false] {
            time_wait(reuse);
        }
    });
}

fn time_wait(reuse: bool) {
    let listener = bound(SocketType::STREAM, at("127.0.0.1:0"), false, reuse, false).unwrap();
    listen(&listener, 1).unwrap();
    let listener = TcpListener::from(listener);
    let port = listener.local_addr().unwrap().port();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // Who closes first waits.
    drop(listener.accept().unwrap());
    drop(listener);
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    drop(client);
    let answer = wait_for("TIME_WAIT", || {
        let answer = Answer::port(port);
        (answer.findings() == ["time-wait"]).then_some(answer)
    });
    assert_eq!(answer.code, Some(0), "something has it");
    let evidence = &answer.finding("time-wait")["evidence"];
    assert_eq!(evidence["count"], 1);
    assert_eq!(evidence["sockets"][0]["state"], "TIME_WAIT");
    let ms = evidence["last_ends_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&ms), "{ms}");
    // Nobody holds it, so that only a kernel program can look.
    let told = evidence["with_reuse_address"].as_bool();
    assert!(told.is_none_or(|told| told == reuse), "{evidence}");
    let (_, open) = hold_against_kernel(&answer, "tcp");
    if have_root("whether reuse helps against TIME_WAIT") {
        assert_eq!((told, open), (Some(reuse), 0));
        let printed = run(inspect().args(["port", &port.to_string()]));
        let first = printed.stdout.lines().next().unwrap();
        let said = first.ends_with(" s. A server that sets SO_REUSEADDR may bind now.");
        assert_eq!(said, reuse, "{first}");
    }
}

#[test]
fn a_socket_that_is_bound_and_no_more_is_in_the_way() {
    in_own_network(|| {
        for reuse in [false, true] {
            let holder = bound(SocketType::STREAM, at("127.0.0.1:0"), false, reuse, false).unwrap();
            let answer = Answer::port(local(&holder).port());
            if !answer.sees_bound_only() {
                // /proc/net does not list it, and that is said.
                assert_eq!(answer.records.last().unwrap()["complete"], false);
                continue;
            }
            assert_eq!(answer.findings(), ["bound-not-listening"]);
            assert_eq!(answer.record()["tcp"]["standing"], "in-the-way");
            assert_eq!(hold_against_kernel(&answer, "tcp").1, 0);
        }
    });
}

#[test]
fn a_connection_that_this_machine_opened_has_its_port() {
    in_own_network(|| {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let answer = Answer::port(client.local_addr().unwrap().port());
            assert_eq!(answer.findings(), ["outgoing-connection"]);
            let text = answer.finding("outgoing-connection")["text"]
                .as_str()
                .unwrap();
            let to = format!("{} ", client.local_addr().unwrap());
            assert!(text.contains(&to), "{text}");
            assert_eq!(hold_against_kernel(&answer, "tcp").1, 0, "{address}");
        }
    });
}

#[test]
fn connections_that_outlive_their_listener_are_in_the_way() {
    in_own_network(|| {
        // The one over IPv6 is in the way of 0.0.0.0 too: bind() takes it for one of both versions.
        for (address, to) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("[::]:0", "127.0.0.1"),
            ("[::]:0", "::1"),
            ("[::1]:0", "::1"),
        ] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let _client = TcpStream::connect((to, port)).unwrap();
            let (_server, _) = listener.accept().unwrap();
            drop(listener);
            let answer = Answer::port(port);
            assert_eq!(answer.findings(), ["connection"], "{address} {to}");
            let evidence = &answer.finding("connection")["evidence"];
            assert_eq!(evidence["with_reuse_address"], true, "{evidence}");
            assert_eq!(hold_against_kernel(&answer, "tcp").1, 0, "{address} {to}");
        }
    });
}

#[test]
fn datagram_sockets_have_rules_of_their_own() {
    in_own_network(|| {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            for (reuse_address, reuse_port) in [(false, false), (true, false), (false, true)] {
                let holder = bound(
                    SocketType::DGRAM,
                    at(address),
                    false,
                    reuse_address,
                    reuse_port,
                );
                let holder = holder.unwrap();
                let answer = Answer::port(local(&holder).port());
                assert_eq!(answer.code, Some(0));
                assert!(answer.findings().contains(&"datagram-socket"));
                assert_eq!(answer.record()["udp"]["standing"], "taken");
                assert_eq!(hold_against_kernel(&answer, "udp").1, 0, "{address}");
            }
        }
        // A client that talks to one peer has the port too, and waits for nobody else.
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect("127.0.0.1:9").unwrap();
        let answer = Answer::port(client.local_addr().unwrap().port());
        assert_eq!(answer.record()["udp"]["standing"], "in-the-way");
        assert_eq!(hold_against_kernel(&answer, "udp").1, 0);
    });
}

#[test]
fn a_group_of_the_same_user_may_be_joined() {
    in_own_network(|| {
        for kind in [SocketType::STREAM, SocketType::DGRAM] {
            let one = bound(kind, at("127.0.0.1:0"), false, false, true).unwrap();
            let port = local(&one);
            let other = bound(kind, port, false, false, true).unwrap();
            let protocol = if kind == SocketType::STREAM {
                listen(&one, 1).unwrap();
                listen(&other, 1).unwrap();
                "tcp"
            } else {
                "udp"
            };
            let answer = Answer::port(port.port());
            assert!(!answer.findings().contains(&"reuseport-of-another-user"));
            assert!(
                answer
                    .of_type("finding")
                    .all(|it| it["evidence"]["with_reuse_port"] == true)
            );
            assert_eq!(hold_against_kernel(&answer, protocol).1, 0);
        }
    });
}

#[test]
fn a_group_of_another_user_may_not() {
    in_own_network(|| {
        let test = "a_group_of_another_user_may_not";
        if !have_root(test) {
            return;
        }
        for kind in [SocketType::STREAM, SocketType::DGRAM] {
            let theirs = as_nobody(|| bound(kind, at("127.0.0.1:0"), false, true, true).unwrap());
            let protocol = if kind == SocketType::STREAM {
                listen(&theirs, 1).unwrap();
                "tcp"
            } else {
                "udp"
            };
            let port = local(&theirs).port();
            let answer = Answer::port(port);
            let finding = answer.finding("reuseport-of-another-user");
            assert_eq!(finding["evidence"]["with_reuse_port"], false);
            let text = finding["text"].as_str().unwrap();
            assert!(
                text.ends_with("only with processes of user nobody"),
                "{text}"
            );
            assert_eq!(hold_against_kernel(&answer, protocol).1, 0);
            let joins = as_nobody(|| bound(kind, local(&theirs), false, false, true).is_ok());
            assert!(joins, "{protocol}: their own may join");
        }
    });
}

/// A socket belongs to the user whose file system id made it (net/socket.c `sock_alloc`).
#[expect(unsafe_code, reason = "the one thing tested here is made by it")]
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    const NOBODY: u32 = 65_534;
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            // SAFETY: setfsuid(2) changes this thread alone, which ends after the work.
            unsafe { libc::setfsuid(NOBODY) };
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_connection_before_the_end_of_its_handshake_and_an_unaccepted_one_do_no_harm() {
    in_own_network(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let answer = Answer::port(port);
        assert_eq!(answer.record()["tcp"]["states"]["ESTABLISHED"], 1);
        assert!(answer.findings().contains(&"connection"));
        // Nobody has a descriptor on it yet, so that only a kernel program tells its flags.
        let (foretold, open) = hold_against_kernel(&answer, "tcp");
        assert!(foretold > open, "{foretold} {open}");
        if have_root("flags of what waits for accept()") {
            assert_eq!(open, 0);
        }
    });
}

#[test]
fn a_connected_datagram_socket_is_one_cause_and_listens_to_nobody_else() {
    in_own_network(|| {
        let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        other.connect(one.local_addr().unwrap()).unwrap();
        let port = other.local_addr().unwrap().port();
        let answer = Answer::port(port);
        assert_eq!(answer.findings(), ["datagram-socket"]);
        let finding = answer.finding("datagram-socket");
        let text = finding["text"].as_str().unwrap();
        assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
        assert!(!text.contains("listen"), "{text}");
        hold_against_kernel(&answer, "udp");
    });
}
