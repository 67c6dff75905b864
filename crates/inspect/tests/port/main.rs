//! `inspect port`, the real program: what it says of a bind() is held against bind().

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod causes;
mod namespaces;
mod rights;
mod rules;
mod screens;
#[path = "../support/mod.rs"]
mod support;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use serde_json::Value;
use support::{inspect, run};

/// Does something on a thread in a network namespace of its own, as root: nobody else binds or
/// connects there meanwhile. Others do it in the network they share.
#[expect(unsafe_code, reason = "the namespace is made by it")]
fn in_own_network(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let network = rustix::thread::UnshareFlags::NEWNET;
                // SAFETY: a network namespace has no part in the meaning of descriptors.
                unsafe { rustix::thread::unshare_unsafe(network) }.unwrap();
                let up = Command::new("ip")
                    .args(["link", "set", "lo", "up"])
                    .status();
                assert!(up.expect("ip starts").success());
            }
            work();
        });
        if let Err(failure) = thread.join() {
            std::panic::resume_unwind(failure);
        }
    });
}

/// What `inspect port --json` printed.
struct Answer {
    code: Option<i32>,
    records: Vec<Value>,
}

impl Answer {
    fn of(command: &mut Command) -> Self {
        let printed = run(command.arg("--json"));
        let records: Vec<Value> = printed
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(records.first().expect("records")["type"], "begin");
        assert_eq!(records.last().unwrap()["type"], "end");
        for (name, count) in records.last().unwrap()["counts"].as_object().unwrap() {
            let kind = name.strip_suffix('s').unwrap();
            let found = records.iter().filter(|it| it["type"] == kind).count();
            assert_eq!(count.as_u64(), u64::try_from(found).ok(), "{name}");
        }
        Self {
            code: printed.code,
            records,
        }
    }

    fn port(number: u16) -> Self {
        Self::of(inspect().args(["port", &number.to_string()]))
    }

    fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.records.iter().filter(move |it| it["type"] == kind)
    }

    fn record(&self) -> &Value {
        self.of_type("port").next().expect("a port record")
    }

    fn findings(&self) -> Vec<&str> {
        let names = self.of_type("finding").map(|it| it["name"].as_str());
        names.map(Option::unwrap).collect()
    }

    fn finding(&self, name: &str) -> &Value {
        self.of_type("finding")
            .find(|it| it["name"] == name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.findings()))
    }

    /// Whether bound sockets that do not listen could not be seen.
    fn sees_bound_only(&self) -> bool {
        !self.of_type("gap").any(|it| {
            let reason = it["reason"].as_str().unwrap();
            reason.contains("bound and do not listen")
        })
    }
}

/// A socket that is bound; or why it is not.
fn bound(
    kind: SocketType,
    at: SocketAddr,
    v6_only: bool,
    reuse_address: bool,
    reuse_port: bool,
) -> Result<OwnedFd, Errno> {
    let family = if at.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    // Else the program that is asked would have it too.
    let made = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&made, v6_only)?;
    }
    sockopt::set_socket_reuseaddr(&made, reuse_address)?;
    sockopt::set_socket_reuseport(&made, reuse_port)?;
    bind(&made, &at)?;
    Ok(made)
}

/// Does every bind() that the answer tells of, with and without the flags, and compares. How many
/// were foretold, and how many were left open.
fn hold_against_kernel(answer: &Answer, protocol: &str) -> (usize, usize) {
    let record = answer.record();
    let port = u16::try_from(record["port"].as_u64().unwrap()).unwrap();
    let kind = match protocol {
        "tcp" => SocketType::STREAM,
        _ => SocketType::DGRAM,
    };
    let mut asks = Vec::new();
    for told in record[protocol]["bind"].as_array().unwrap() {
        let address: IpAddr = match (told["address"].as_str(), told["version"].as_u64()) {
            (Some(address), _) => address.parse().unwrap(),
            (None, Some(4)) => IpAddr::from([127, 9, 8, 7]),
            // Loopback has one address of IPv6.
            _ => continue,
        };
        for (field, reuse_address, reuse_port) in [
            ("fails", false, false),
            ("fails_with_reuse_address", true, false),
            ("fails_with_reuse_port", false, true),
        ] {
            asks.push((told, address, field, reuse_address, reuse_port));
        }
    }
    // The kernel remembers the last socket that was bound with SO_REUSEPORT, and lets in who is
    // like it without a further look (`tb->fastreuseport`): those that fail are asked first.
    asks.sort_by_key(|(told, _, field, ..)| told[*field] != true);
    let (mut foretold, mut open) = (0, 0);
    for (told, address, field, reuse_address, reuse_port) in asks {
        let at = SocketAddr::new(address, port);
        let v6_only = told["v6_only"].as_bool().unwrap();
        let fails = match bound(kind, at, v6_only, reuse_address, reuse_port) {
            Ok(_) => false,
            Err(Errno::ADDRINUSE) => true,
            Err(error) => panic!("{at}: {error}"),
        };
        match told[field].as_bool() {
            Some(said) => {
                assert_eq!(said, fails, "{protocol} {field} {told}");
                foretold += 1;
            }
            None => open += 1,
        }
    }
    assert!(foretold > 0);
    (foretold, open)
}
