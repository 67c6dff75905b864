//! Queues that stand still: nobody accepts, nobody reads, nobody takes.

use crate::space::{Space, ip, names, pids};
use crate::support::have_root;

const LISTEN: &str = "
listener = socket.create_server(('127.0.0.1', 2345), backlog=5)
";

#[test]
fn a_full_accept_queue_is_named_and_those_it_keeps_out_are_not() {
    if !have_root("a_full_accept_queue_is_named_and_those_it_keeps_out_are_not") {
        return;
    }
    let space = Space::new();
    let server = space.python(&format!(
        "{LISTEN}\nprint('ready', flush=True)\ntime.sleep(600)"
    ));
    let _clients = space.python(
        "
clients = []
for _ in range(12):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(('127.0.0.1', 2345))
    clients.append(client)
print('ready', flush=True)
time.sleep(600)",
    );
    // Longer than a SYN takes to be stuck.
    let found = space.findings(&["--for", "4"]);
    assert_eq!(names(&found), ["accept-queue-full"], "{found:#?}");
    let evidence = &found[0]["evidence"];
    assert_eq!(evidence["waiting"], 6);
    assert_eq!(evidence["limit"], 5);
    assert_eq!(evidence["accepting"], false);
    assert_eq!(evidence["local"]["port"], 2345);
    assert_eq!(found[0]["severity"], "critical");
    assert_eq!(pids(&found[0]), [server.pid()]);
    let text = found[0]["text"].as_str().unwrap();
    assert!(text.ends_with("the server does not accept"), "{text}");
}

#[test]
fn a_full_accept_queue_of_mptcp_is_named_once() {
    if !have_root("a_full_accept_queue_of_mptcp_is_named_once") {
        return;
    }
    let space = Space::new();
    // A kernel may be without MPTCP.
    let server = space.python(
        "
try: listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
except OSError:
    print('without', flush=True)
    sys.exit()
listener.bind(('127.0.0.1', 2345))
listener.listen(5)
clients = []
for _ in range(12):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(('127.0.0.1', 2345))
    clients.append(client)
print('ready', flush=True)
time.sleep(600)",
    );
    if server.said == "without" {
        return;
    }
    let found = space.findings(&[]);
    assert_eq!(names(&found), ["accept-queue-full"], "{found:#?}");
    assert_eq!(found[0]["evidence"]["protocol"], "mptcp");
    assert_eq!(found[0]["evidence"]["waiting"], 6);
    assert_eq!(pids(&found[0]), [server.pid()]);
}

/// One of two workers on a port hangs: which one the connections wait for is not told.
#[test]
fn of_two_listeners_at_one_place_none_is_said_not_to_accept() {
    if !have_root("of_two_listeners_at_one_place_none_is_said_not_to_accept") {
        return;
    }
    let space = Space::new();
    let _server = space.python(
        "
held = []
for _ in range(2):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(('127.0.0.1', 2345))
    listener.listen(3)
    held.append(listener)
clients = []
for _ in range(60):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(('127.0.0.1', 2345))
    clients.append(client)
print('ready', flush=True)
time.sleep(600)",
    );
    let found = space.findings(&[]);
    assert_eq!(names(&found), ["accept-queue-full"; 2], "{found:#?}");
    for finding in &found {
        assert!(finding["evidence"]["accepting"].is_null());
        let text = finding["text"].as_str().unwrap();
        assert!(
            text.ends_with("it does not accept, or too slowly"),
            "{text}"
        );
    }
}

#[test]
fn a_full_accept_queue_of_a_unix_socket_is_named() {
    if !have_root("a_full_accept_queue_of_a_unix_socket_is_named") {
        return;
    }
    let space = Space::new();
    let server = space.python(
        "
listener = socket.socket(socket.AF_UNIX)
listener.bind('\\0doctor')
listener.listen(2)
print('ready', flush=True)
time.sleep(600)",
    );
    let _clients = space.python(
        "
clients = []
for _ in range(6):
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    client.connect_ex('\\0doctor')
    clients.append(client)
print('ready', flush=True)
time.sleep(600)",
    );
    let found = space.findings(&[]);
    assert_eq!(names(&found), ["accept-queue-full"], "{found:#?}");
    assert_eq!(found[0]["evidence"]["waiting"], 3);
    assert_eq!(found[0]["evidence"]["path"], "doctor");
    assert_eq!(pids(&found[0]), [server.pid()]);
}

/// A server that accepts one client and never reads.
fn deaf(space: &Space, address: &str) -> crate::space::Program {
    space.python(&format!(
        "
listener = socket.create_server(('{address}', 2345))
print('ready', flush=True)
client = listener.accept()
time.sleep(600)"
    ))
}

#[test]
fn who_does_not_read_is_named_and_who_waits_for_him_is_not() {
    if !have_root("who_does_not_read_is_named_and_who_waits_for_him_is_not") {
        return;
    }
    let space = Space::new();
    let server = deaf(&space, "127.0.0.1");
    let _client = space.python(
        "
client = socket.create_connection(('127.0.0.1', 2345))
client.setblocking(False)
try:
    while True: client.send(bytes(100000))
except BlockingIOError: pass
print('ready', flush=True)
time.sleep(600)",
    );
    let found = space.wait_for(&[], &["not-reading"]);
    assert_eq!(found[0]["severity"], "critical");
    assert_eq!(found[0]["evidence"]["full"], true);
    assert_eq!(pids(&found[0]), [server.pid()]);
}

#[test]
fn a_queue_that_grows_is_named_before_it_is_full() {
    if !have_root("a_queue_that_grows_is_named_before_it_is_full") {
        return;
    }
    let space = Space::new();
    let server = deaf(&space, "127.0.0.1");
    let _client = space.python(
        "
client = socket.create_connection(('127.0.0.1', 2345))
client.send(bytes(5000))
print('ready', flush=True)
while True:
    time.sleep(0.2)
    client.send(bytes(100))",
    );
    let found = space.wait_for(&["--for", "2"], &["not-reading"]);
    assert_eq!(found[0]["severity"], "warning");
    assert_eq!(found[0]["evidence"]["grew"], true);
    assert_eq!(pids(&found[0]), [server.pid()]);
    assert!(
        found[0]["text"]
            .as_str()
            .unwrap()
            .contains(" unread, growing for "),
        "{found:?}"
    );
}

#[test]
fn a_peer_on_another_machine_that_does_not_read_is_named() {
    if !have_root("a_peer_on_another_machine_that_does_not_read_is_named") {
        return;
    }
    let (here, there) = (Space::new(), Space::new());
    ip(&[
        "link",
        "add",
        "veth0",
        "netns",
        here.name(),
        "type",
        "veth",
        "peer",
        "name",
        "veth0",
        "netns",
        there.name(),
    ]);
    for (space, address) in [(&here, "10.9.0.1/24"), (&there, "10.9.0.2/24")] {
        space.run("ip", &["address", "add", address, "dev", "veth0"]);
        space.run("ip", &["link", "set", "veth0", "up"]);
    }
    let server = deaf(&there, "10.9.0.2");
    let client = here.python(
        "
client = socket.create_connection(('10.9.0.2', 2345))
client.setblocking(False)
print('ready', flush=True)
while True:
    try: client.send(bytes(1000))
    except BlockingIOError: time.sleep(0.1)",
    );
    let found = here.wait_for(&[], &["peer-not-reading"]);
    assert_eq!(pids(&found[0]), [client.pid()]);
    assert_eq!(found[0]["evidence"]["remote"]["address"], "10.9.0.2");
    let found = there.wait_for(&[], &["not-reading"]);
    assert_eq!(pids(&found[0]), [server.pid()]);
}

#[test]
fn datagrams_that_nobody_reads_are_named() {
    if !have_root("datagrams_that_nobody_reads_are_named") {
        return;
    }
    let space = Space::new();
    let program = space.python(
        "
deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
deaf.bind(('127.0.0.1', 5353))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(1000): sender.sendto(bytes(1000), ('127.0.0.1', 5353))
print('ready', flush=True)
while True:
    sender.sendto(bytes(1000), ('127.0.0.1', 5353))
    time.sleep(0.05)",
    );
    let found = space.findings(&[]);
    assert_eq!(names(&found), ["not-reading"], "{found:#?}");
    assert_eq!(found[0]["evidence"]["protocol"], "udp");
    assert!(found[0]["evidence"]["dropped"].as_u64().unwrap() > 0);
    assert_eq!(pids(&found[0]), [program.pid()]);
}

#[test]
fn datagrams_that_are_read_too_slowly_are_named_at_every_look() {
    if !have_root("datagrams_that_are_read_too_slowly_are_named_at_every_look") {
        return;
    }
    let space = Space::new();
    let reader = space.python(
        "
slow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
slow.bind(('127.0.0.1', 5353))
print('ready', flush=True)
while True:
    slow.recv(2000)
    time.sleep(0.002)",
    );
    let _sender = space.python(
        "
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.connect(('127.0.0.1', 5353))
for _ in range(1000): sender.send(bytes(1000))
print('ready', flush=True)
while True:
    for _ in range(20): sender.send(bytes(1000))
    time.sleep(0.003)",
    );
    // More looks, as a reader that takes the same from its buffer between each two of them seems
    // to take nothing: two looks may be so once in twenty times.
    for _ in 0..2 {
        let found = space.findings(&["--for", "3"]);
        assert_eq!(names(&found), ["slow-reading"], "{found:#?}");
        assert_eq!(found[0]["severity"], "critical");
        assert!(found[0]["evidence"]["dropped"].as_u64().unwrap() > 1_000);
        assert_eq!(pids(&found[0]), [reader.pid()]);
    }
}
