//! Live frames in VLAN tags and behind extension headers, injected on a veth pair inside a
//! network namespace of this test's own.

use std::process::Command;

use pcap::{Capture, Device};

use crate::crafted::hello_in_every_wrapping;
use crate::program::*;

/// A network namespace, deleted when it is dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        let name = format!("capture-{}", std::process::id());
        ip(&["netns", "add", &name]);
        let namespace = Self(name);
        namespace.ip(&[
            "link", "add", "here", "type", "veth", "peer", "name", "there",
        ]);
        for interface in ["lo", "here", "there"] {
            namespace.ip(&["link", "set", interface, "up"]);
        }
        namespace
    }

    fn ip(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.0][..], arguments].concat());
    }

    /// The command, inside.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside
            .args(["netns", "exec", &self.0])
            .arg(command.get_program())
            .args(command.get_args());
        inside
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
}

/// Set for the copy of this test that runs inside the namespace and sends.
const SENDER: &str = "CAPTURE_TEST_SENDS";

#[test]
fn a_port_matches_inside_every_wrapping() {
    if std::env::var_os(SENDER).is_some() {
        return send();
    }
    if !is_root("a_port_matches_inside_every_wrapping") {
        return;
    }
    let namespace = Namespace::new();
    let wrappings = hello_in_every_wrapping().len();
    for interface in ["there", "any"] {
        let mut command = inspect();
        command.args(["--json", "--port", "2345", "-i", interface]);
        let running = Running::start(&mut namespace.inside(&command));
        assert_eq!(running.record()["type"], "begin");
        let mut sender = Command::new(std::env::current_exe().unwrap());
        sender.args(["--exact", "wrapped::a_port_matches_inside_every_wrapping"]);
        let status = namespace.inside(&sender).env(SENDER, "1").output().unwrap();
        assert!(status.status.success(), "{status:?}");
        let records = running.interrupt().records();
        let wanted = if interface == "any" {
            "there"
        } else {
            interface
        };
        let hellos = records
            .iter()
            .filter(|record| record["interface"] == wanted && record["payload"]["text"] == "hello")
            .count();
        assert_eq!(hellos, wrappings, "on {interface}: {records:#?}");
    }
}

fn send() {
    let mut here = Capture::from_device(Device::from("here"))
        .unwrap()
        .open()
        .unwrap();
    for (name, frame) in hello_in_every_wrapping() {
        here.sendpacket(frame)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
