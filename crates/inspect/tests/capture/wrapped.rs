//! Live frames in VLAN tags and behind extension headers, injected on a veth pair inside a
//! network namespace of this test's own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use pcap::{Capture, Device};

use crate::crafted::hello_in_every_wrapping;
use crate::program::*;

/// A network namespace, deleted when it is dropped.
struct Namespace(String);

impl Namespace {
    fn new(purpose: &str) -> Self {
        let name = format!("capture-{purpose}-{}", std::process::id());
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
    let namespace = Namespace::new("wrapped");
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

/// The kernel takes bytes for a name that are neither harmless nor text.
#[test]
fn every_interface_is_listed_whatever_its_name() {
    if !is_root("every_interface_is_listed_whatever_its_name") {
        return;
    }
    let namespace = Namespace::new("names");
    let renamed = Command::new("ip")
        .args(["-n", &namespace.0, "link", "set", "here", "down", "name"])
        .arg(OsStr::from_bytes(b"\x1b[31m\xff"))
        .output()
        .unwrap();
    assert!(renamed.status.success(), "{renamed:?}");
    let mut command = inspect();
    command.arg("-D");
    let output = namespace.inside(&command).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|it| it.split(' ').next()).collect();
    for name in ["lo", "there", "\\u{1b}[31m\\xff"] {
        assert!(names.contains(&name), "{name}: {text}");
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
