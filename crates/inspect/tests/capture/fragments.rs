//! Datagrams larger than the wire: they pass in fragments, and are put together.

use serde_json::Value;

use crate::program::*;
use crate::wire::Wire;

/// Says something long over UDP, on port 2345; over IPv4 and IPv6.
const SENDER: &str = r"
import socket
for family, address in (socket.AF_INET, '10.9.0.2'), (socket.AF_INET6, 'fd09::2'):
    sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.sendto(b''.join(b'word %05d\n' % number for number in range(390)), (address, 2345))
";

#[test]
fn a_datagram_in_fragments_is_said_once_and_whole() {
    if !is_root("a_datagram_in_fragments_is_said_once_and_whole") {
        return;
    }
    let wire = Wire::new("pieces");
    for (side, address) in [(0, "fd09::1/64"), (1, "fd09::2/64")] {
        wire.ip(side, &["address", "add", address, "dev", "wire", "nodad"]);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pieces.pcap");
    let path = path.to_str().unwrap();
    let mut command = inspect();
    command.args(["--json", "--follow", "udp", "--port", "2345", "-i", "wire"]);
    let follow = Running::start(&mut wire.inside(1, &command));
    assert_eq!(follow.record()["type"], "begin");
    let mut command = inspect();
    command.args([
        "--print", "--json", "-w", path, "--port", "2345", "-i", "wire",
    ]);
    let packets = Running::start(&mut wire.inside(1, &command));
    assert_eq!(packets.record()["type"], "begin");
    let sent = wire.python(0, SENDER).output().unwrap();
    assert!(sent.status.success(), "{sent:?}");

    let expected: String = (0..390)
        .map(|number| format!("word {number:05}\n"))
        .collect();
    let said: Vec<Value> = (0..2).map(|_| follow.record()).collect();
    for record in &said {
        assert_eq!(record["text"], expected, "{record}");
        assert_eq!(record["to"]["port"], 2345);
        assert_eq!(
            record["from_owners"],
            serde_json::json!([]),
            "it is elsewhere"
        );
        assert_eq!(record.get("began_earlier"), None);
    }
    follow.interrupt();

    let whole = |records: &[Value]| -> Vec<Value> {
        let packets = records.iter().filter(|it| it.get("fragments").is_some());
        packets.cloned().collect()
    };
    let live = packets.interrupt().records();
    let together = whole(&live);
    assert_eq!(together.len(), 2, "{live:#?}");
    for record in &together {
        assert_eq!(record["fragments"], 3);
        assert_eq!(record["payload"]["text"], expected);
        assert_eq!(record["destination"]["port"], 2345);
    }
    // Each piece is a packet still, and is written as it was.
    let pieces = live.iter().filter(|it| it.get("fragment").is_some());
    assert_eq!(pieces.count(), 4);
    let read = inspect().args(["--json", "-r", path]).output().unwrap();
    let lines = String::from_utf8(read.stdout).unwrap();
    let read: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(whole(&read).len(), 2);
    let lines = inspect().args(["-r", path]).output().unwrap();
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert_eq!(lines.matches("[put together from 3 fragments]").count(), 2);

    // Without the first, there is nothing to put together, and that is said.
    let later = "ip[6:2] & 0x1fff != 0";
    let output = inspect().args(["-r", path, later]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(!lines.contains("put together"), "{lines}");
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(
        messages.contains("1 datagram not put together"),
        "{messages}"
    );
}
