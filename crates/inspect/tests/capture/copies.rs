//! One packet on several interfaces: the two ports of a bridge, and what is beside it.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::*;
use crate::wire::{Reaped, Wire};

/// Puts a bridge between the two machines: a third, with a port to each.
struct Bridge {
    name: String,
    wire: Wire,
}

impl Bridge {
    fn new() -> Self {
        let wire = Wire::new("copies");
        let name = format!("copies-bridge-{}", std::process::id());
        let bridge = Self { name, wire };
        ip(&["netns", "add", &bridge.name]);
        let inside = |words: &[&str]| ip(&[&["-n", &bridge.name][..], words].concat());
        inside(&["link", "add", "bridge", "type", "bridge"]);
        inside(&["link", "set", "bridge", "up"]);
        for (side, port, address) in [(0, "left", "10.8.0.1/24"), (1, "right", "10.8.0.2/24")] {
            let other = bridge.wire.name(side);
            let peer = ["type", "veth", "peer", "name", "bridged", "netns", other];
            inside(&[&["link", "add", port][..], &peer].concat());
            inside(&["link", "set", port, "master", "bridge", "up"]);
            bridge
                .wire
                .ip(side, &["address", "add", address, "dev", "bridged"]);
            bridge.wire.ip(side, &["link", "set", "bridged", "up"]);
        }
        bridge
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[test]
fn what_passes_both_ports_of_a_bridge_is_a_copy_and_nothing_went_wrong() {
    if !is_root("what_passes_both_ports_of_a_bridge_is_a_copy_and_nothing_went_wrong") {
        return;
    }
    let bridge = Bridge::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridge.pcap");
    let path = path.to_str().unwrap();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &bridge.name]);
    command
        .arg(inspect().get_program())
        .args(inspect().get_args());
    command.args([
        "--print", "--json", "-w", path, "-i", "any", "--port", "2345",
    ]);
    let running = Running::start(&mut command);
    assert_eq!(running.record()["type"], "begin");
    let server = bridge
        .wire
        .python(
            1,
            "import socket
listener = socket.create_server(('10.8.0.2', 2345))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(('10.8.0.2', 2345))
print('ready', flush=True)
server = listener.accept()[0]
heard = b''
while (part := server.recv(65536)): heard += part
server.sendall(heard)
server.close()
datagrams.settimeout(20)
print(len(datagrams.recv(65536)), flush=True)",
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Reaped(server);
    let mut ready = [0; 6];
    std::io::Read::read_exact(server.0.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let client = bridge
        .wire
        .python(
            0,
            "import socket
client = socket.create_connection(('10.8.0.2', 2345))
for number in range(20): client.sendall(b'line %02d\\n' % number)
client.shutdown(socket.SHUT_WR)
heard = b''
while (part := client.recv(65536)): heard += part
print(len(heard))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# In three fragments.
sender.sendto(b'word' * 1000, ('10.8.0.2', 2345))",
        )
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&client.stdout).trim(), "160");
    assert!(server.0.wait().unwrap().success());

    let live = running.interrupt().records();
    let packets = || live.iter().filter(|record| record["type"] == "packet");
    let is_copy = |record: &&Value| record["mark"]["name"] == "copy";
    let copies = packets().filter(is_copy).count();
    let lines: Vec<String> = packets()
        .map(|it| {
            format!(
                "{} {} {} {} {}",
                it["interface"], it["mark"], it["flags"], it["seq"], it["length"]
            )
        })
        .collect();
    assert_eq!(2 * copies, lines.len(), "{lines:#?}");
    assert!(copies > 10, "{copies}");
    let end = live.last().unwrap();
    assert_eq!(end["counts"]["copy"], copies, "{end}");
    for trouble in [
        "retransmissions",
        "duplicate_acks",
        "syn_retries",
        "out_of_order",
    ] {
        assert_eq!(end["counts"][trouble], Value::Null, "{end}");
    }
    // Said once, whatever the copies.
    assert_eq!(end["counts"]["payload_bytes"], 2 * 160 + 4000, "{end}");

    let output = inspect()
        .args(["-r", path, "--follow", "--json"])
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let records = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut said = [String::new(), String::new(), String::new()];
    for record in records.filter(|record| record["type"] == "stream") {
        let by = match record["from"]["port"] == 2345 {
            true => 1,
            false if record["conversation"] == 1 => 0,
            false => 2,
        };
        said[by].push_str(record["text"].as_str().unwrap_or_default());
    }
    let expected: String = (0..20)
        .map(|number| format!("line {number:02}\n"))
        .collect();
    assert_eq!(
        said,
        [expected.clone(), expected, "word".repeat(1000)],
        "{lines}"
    );
    let output = inspect().args(["-r", path]).output().unwrap();
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(
        messages.contains(" of the packets seen on another interface before.\n"),
        "{messages}"
    );
    assert!(
        !messages.contains("Went wrong") && !messages.contains("not put together"),
        "{messages}"
    );
}
