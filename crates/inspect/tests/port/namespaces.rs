//! Other network namespaces: what waits there, and their own settings.

use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::Answer;
use super::support::{have_program, have_root, inspect, run};

/// A namespace of `ip netns`, taken away at the end.
struct Named(String);

impl Named {
    fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).status();
        assert!(made.unwrap().success());
        Self(name)
    }

    /// Does something on a thread in there.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.0);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let namespace = std::fs::File::open(path).unwrap();
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A process that holds a socket; killed at the end.
struct Holder(Child);

impl Holder {
    fn of(listener: TcpListener) -> Self {
        let child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_listener_elsewhere_is_seen_and_not_in_the_way() {
    let test = "a_listener_elsewhere_is_seen_and_not_in_the_way";
    if !have_root(test) || !have_program("ip", test) {
        return;
    }
    let namespace = Named::new("port-elsewhere");
    let port = free_port();
    // Loopback is down in there, so that only every address can be had.
    let holder = namespace.inside(|| Holder::of(TcpListener::bind(("0.0.0.0", port)).unwrap()));

    let printed = run(inspect().args(["port", &port.to_string()]));
    assert_eq!(printed.code, Some(1), "nothing has it here");
    assert!(
        printed
            .stdout
            .starts_with(&format!("tcp and udp {port} are free.\n")),
        "{}",
        printed.stdout
    );
    let expected = format!(
        "Seen elsewhere, where it is in nobody's way here:\n  tcp          any:{port}, sleep[{}], \
         in network namespace {}\n",
        holder.0.id(),
        namespace.0
    );
    assert!(printed.stdout.ends_with(&expected), "{}", printed.stdout);

    let here = Answer::port(port);
    assert_eq!(here.findings(), [] as [&str; 0]);
    let socket = here.of_type("socket").next().unwrap();
    assert_eq!(socket["owners"][0]["pid"], holder.0.id());
    let all = Answer::of(inspect().args(["port", &port.to_string(), "--netns", "all"]));
    assert_eq!(all.code, Some(1));
    assert_eq!(all.record()["tcp"]["standing"], "free");
    assert_eq!(all.of_type("socket").count(), 1);

    let there = Answer::of(inspect().args(["port", &port.to_string(), "--netns", &namespace.0]));
    assert_eq!(there.code, Some(0));
    assert!(there.findings().contains(&"listener"));
    // It is every address, and no interface has one.
    assert_eq!(there.record()["tcp"]["reach"]["this_machine_only"], true);
}

#[test]
fn a_namespace_without_a_name_is_found_by_its_process() {
    let test = "a_namespace_without_a_name_is_found_by_its_process";
    if !have_root(test) {
        return;
    }
    let port = free_port();
    let (holder, inode) = std::thread::spawn(move || {
        #[expect(unsafe_code, reason = "the one thing tested here is made by it")]
        // SAFETY: a network namespace has no part in the meaning of descriptors.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
        let link = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let holder = Holder::of(TcpListener::bind(("0.0.0.0", port)).unwrap());
        (holder, link.to_str().unwrap().to_owned())
    })
    .join()
    .unwrap();
    let inode = inode.trim_start_matches("net:[").trim_end_matches(']');
    let printed = run(inspect().args(["port", &port.to_string()]));
    let expected = format!(
        "any:{port}, sleep[{}], in network namespace {inode}\n",
        holder.0.id()
    );
    assert!(printed.stdout.ends_with(&expected), "{}", printed.stdout);
}

#[test]
fn the_numbers_are_those_of_the_namespace() {
    let test = "the_numbers_are_those_of_the_namespace";
    if !have_root(test) || !have_program("ip", test) {
        return;
    }
    let namespace = Named::new("port-settings");
    namespace.inside(|| {
        for (name, text) in [
            ("ip_local_port_range", "40000 40100"),
            ("ip_local_reserved_ports", "40050"),
            ("ip_unprivileged_port_start", "80"),
        ] {
            std::fs::write(format!("/proc/sys/net/ipv4/{name}"), text).unwrap();
        }
    });
    for (port, words) in [
        (
            "40001",
            "inside this kernel's 40000-40100, so a client may hold it when you start",
        ),
        (
            "40050",
            "inside this kernel's 40000-40100, but reserved (ip_local_reserved_ports)",
        ),
        ("79", "below 80 a bind() needs CAP_NET_BIND_SERVICE"),
        (
            "443",
            "https in /etc/services; this kernel lets everybody bind() from 80 on; this kernel \
             hands out 40000-40100 to clients",
        ),
    ] {
        let printed = run(inspect().args(["port", port, "--netns", &namespace.0]));
        assert!(printed.stdout.contains(words), "{}", printed.stdout);
    }
    let mut command = inspect();
    let answer = Answer::of(command.args(["port", "40050", "--netns", &namespace.0]));
    let record = answer.record();
    assert_eq!(record["ephemeral_range"]["first"], 40_000);
    assert_eq!(record["reserved"], true);
    assert_eq!(record["ephemeral"], false);
    assert_eq!(record["unprivileged_start"], 80);
    let here = Answer::port(40_050);
    assert_ne!(here.record()["unprivileged_start"], 80);
    let map = run(inspect().args(["port", "--netns", &namespace.0]));
    assert_eq!(map.code, Some(1));
    assert_eq!(
        map.stdout,
        "No port is open in this network namespace.\n\
         This kernel hands out 40000-40100 to clients, but not 40050 (ip_local_reserved_ports).\n"
    );
}
