//! Which packets are shown: of which hosts and ports, live.

use std::net::UdpSocket;

use crate::program::*;
use crate::support::own_network;

/// Every word that was shown.
fn words(ended: &Ended) -> Vec<String> {
    let records = ended.records();
    let packets = records.iter().filter(|it| it["type"] == "packet");
    let text = |it: &serde_json::Value| it["payload"]["text"].as_str().map(str::to_owned);
    packets.filter_map(text).collect()
}

#[test]
fn hosts_networks_ports_and_ranges_are_shown_and_no_others() {
    if !is_root("hosts_networks_ports_and_ranges_are_shown_and_no_others") {
        return;
    }
    own_network();
    let bind = |end: &str| UdpSocket::bind(end).unwrap();
    let sender = bind("127.0.0.1:4000");
    let _receivers = [
        bind("127.0.0.2:8005"),
        bind("127.0.3.3:8011"),
        bind("127.0.3.4:80"),
    ];
    let wanted: [(&[&str], &[&str]); 8] = [
        (&["--host", "127.0.0.2"], &["a"]),
        (&["--host", "127.0.3.0/24"], &["b", "c"]),
        (&["--host", "127.0.0.2", "--host", "127.0.3.4"], &["a", "c"]),
        (&["--host", "localhost", "--port", "8000-8010"], &["a"]),
        (&["--port", "http"], &["c"]),
        (&[":8000-8020"], &["a", "b"]),
        (&["--port", "8005", "--port", "80"], &["a", "c"]),
        (&["--host", "127.0.0.2", "--port", "80"], &[]),
    ];
    for (flags, expected) in wanted {
        let running = capture_records(flags);
        for (word, to) in [
            ("a", "127.0.0.2:8005"),
            ("b", "127.0.3.3:8011"),
            ("c", "127.0.3.4:80"),
        ] {
            sender.send_to(word.as_bytes(), to).unwrap();
        }
        let ended = running.interrupt();
        assert!(ended.status.success());
        assert_eq!(words(&ended), expected, "{flags:?}");
    }
}

#[test]
fn what_is_no_host_and_no_port_is_refused_in_words() {
    for (flags, words) in [
        (["--host", "10.0.0.0/33"], "an address has no 33 bits"),
        (["--host", "no such host"], "is no host"),
        (["--host", "10.0.0.1:80"], "is no host"),
        (["--port", "70000"], "ports go from 1 to 65535"),
        (["--port", "90-80"], "from the lower to the higher"),
        (["--port", "nosuchservice"], "no service \"nosuchservice\""),
    ] {
        let output = inspect().args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(words), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
