//! What runs out: descriptors, ports, TIME_WAIT.

use crate::space::{Space, names, pids};
use crate::support::{have_root, inspect, run};

#[test]
fn a_server_that_never_closes_is_named_with_its_descriptors() {
    if !have_root("a_server_that_never_closes_is_named_with_its_descriptors") {
        return;
    }
    let space = Space::new();
    let server = space.python(
        "
resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
listener = socket.create_server(('127.0.0.1', 2345))
print('ready', flush=True)
held = [listener.accept() for _ in range(70)]
time.sleep(600)",
    );
    let _clients = space.python(
        "
for _ in range(70): socket.create_connection(('127.0.0.1', 2345)).close()
print('ready', flush=True)
time.sleep(600)",
    );
    let found = space.wait_for(&[], &["close-wait-pile"]);
    assert_eq!(found[0]["evidence"]["sockets"], 70);
    assert_eq!(found[0]["evidence"]["descriptor_limit"], 80);
    assert_eq!(found[0]["severity"], "critical");
    assert_eq!(pids(&found[0]), [server.pid()]);
}

/// What a client does that has asked everything: it ends its side, and reads on.
#[test]
fn a_download_after_the_client_has_ended_its_side_is_no_pile() {
    if !have_root("a_download_after_the_client_has_ended_its_side_is_no_pile") {
        return;
    }
    let space = Space::new();
    let _server = space.python(
        "
listener = socket.create_server(('127.0.0.1', 2345), backlog=100)
print('ready', flush=True)
held = [listener.accept()[0] for _ in range(60)]
while True:
    for each in held: each.send(bytes(1000))
    time.sleep(0.1)",
    );
    let _clients = space.python(
        "
clients = [socket.create_connection(('127.0.0.1', 2345)) for _ in range(60)]
for client in clients: client.shutdown(socket.SHUT_WR)
for client in clients: client.recv(1)
print('ready', flush=True)
while True:
    for client in clients: client.recv(65536)",
    );
    let mut sockets = space.command(inspect().get_program().to_str().unwrap());
    let listed = run(sockets.args(["sockets", "-t", "--state", "CLOSE_WAIT", "--json"]));
    assert!(listed.stdout.lines().count() > 60, "{listed:?}");
    assert_eq!(space.findings(&[]), [] as [serde_json::Value; 0]);
}

#[test]
fn a_process_with_hardly_any_descriptor_left_is_named() {
    if !have_root("a_process_with_hardly_any_descriptor_left_is_named") {
        return;
    }
    let space = Space::new();
    let program = space.python(
        "
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
listener = socket.create_server(('127.0.0.1', 2345))
held = [os.open('/dev/null', os.O_RDONLY) for _ in range(90)]
print('ready', flush=True)
time.sleep(600)",
    );
    let found = space.findings(&[]);
    assert_eq!(names(&found), ["descriptors-near-limit"], "{found:#?}");
    let used = found[0]["evidence"]["descriptors"].as_u64().unwrap();
    assert!((93..100).contains(&used), "{used}");
    assert_eq!(pids(&found[0]), [program.pid()]);
}

#[test]
fn ports_that_run_out_are_named_with_who_takes_them() {
    if !have_root("ports_that_run_out_are_named_with_who_takes_them") {
        return;
    }
    let space = Space::new();
    space.set("ipv4/ip_local_port_range", "40000 40019");
    let program = space.python(
        "
listener = socket.create_server(('127.0.0.1', 2345), backlog=100)
clients = [socket.create_connection(('127.0.0.1', 2345)) for _ in range(18)]
servers = [listener.accept() for _ in clients]
print('ready', flush=True)
time.sleep(600)",
    );
    let found = space.findings(&[]);
    assert_eq!(names(&found), ["ephemeral-ports-exhausted"], "{found:#?}");
    let evidence = &found[0]["evidence"];
    assert_eq!(
        (&evidence["used"], &evidence["ports"]),
        (&18.into(), &20.into())
    );
    assert_eq!(evidence["source"], "127.0.0.1");
    assert_eq!(evidence["destination"]["port"], 2345);
    assert_eq!(pids(&found[0]), [program.pid()]);
}

/// Clients of five servers, in a range of a hundred ports: 19 connections to each.
const CLIENTS: &str = "
listeners = [socket.create_server(('127.0.0.1', 2345 + n), backlog=100) for n in range(5)]
clients = []
def connect(n):
    client = socket.socket()
    if bind_first: client.bind(('127.0.0.1', 0))
    client.connect(('127.0.0.1', 2345 + n))
    clients.append(client)
for _ in range(19):
    for n in range(5): connect(n)
servers = [listener.accept() for listener in listeners for _ in range(19)]
print('ready', flush=True)
time.sleep(600)";

#[test]
fn ports_that_bind_chooses_for_all_destinations_together_are_named() {
    if !have_root("ports_that_bind_chooses_for_all_destinations_together_are_named") {
        return;
    }
    let space = Space::new();
    space.set("ipv4/ip_local_port_range", "40000 40099");
    let well = space.python(&format!("bind_first = False{CLIENTS}"));
    assert_eq!(space.findings(&[]), [] as [serde_json::Value; 0]);
    drop(well);
    let space = Space::new();
    space.set("ipv4/ip_local_port_range", "40000 40099");
    let program = space.python(&format!("bind_first = True{CLIENTS}"));
    let found = space.findings(&[]);
    assert_eq!(names(&found), ["ephemeral-ports-exhausted"], "{found:#?}");
    let evidence = &found[0]["evidence"];
    assert_eq!(
        (&evidence["used"], &evidence["ports"]),
        (&95.into(), &100.into())
    );
    assert_eq!(evidence["source"], "127.0.0.1");
    assert!(evidence["destination"].is_null());
    assert_eq!(found[0]["severity"], "critical");
    assert_eq!(pids(&found[0]), [program.pid()]);
}

/// Clients that come and go, and close first.
const COMERS: &str = "
listener = socket.create_server(('127.0.0.1', 2345), backlog=100)
for _ in range(14):
    client = socket.create_connection(('127.0.0.1', 2345))
    server, _ = listener.accept()
    client.close()
    server.close()
print('ready', flush=True)
time.sleep(600)";

#[test]
fn time_wait_that_takes_half_of_the_ports_is_named() {
    if !have_root("time_wait_that_takes_half_of_the_ports_is_named") {
        return;
    }
    let space = Space::new();
    space.set("ipv4/ip_local_port_range", "40000 40019");
    space.set("ipv4/tcp_tw_reuse", "0");
    let _program = space.python(COMERS);
    let found = space.findings(&[]);
    assert_eq!(names(&found), ["time-wait-pile"], "{found:#?}");
    assert_eq!(found[0]["evidence"]["time_wait"], 14);
    assert_eq!(found[0]["evidence"]["ports"], 20);
    // As the kernel is by default, these ports can be had again.
    space.set("ipv4/tcp_tw_reuse", "2");
    assert_eq!(space.findings(&[]), [] as [serde_json::Value; 0]);
}

#[test]
fn as_many_time_wait_as_the_kernel_keeps_are_named() {
    if !have_root("as_many_time_wait_as_the_kernel_keeps_are_named") {
        return;
    }
    let space = Space::new();
    space.set("ipv4/tcp_max_tw_buckets", "15");
    let _program = space.python(COMERS);
    let found = space.findings(&[]);
    assert_eq!(names(&found), ["time-wait-pile"], "{found:#?}");
    assert_eq!(found[0]["evidence"]["time_wait"], 14);
    assert_eq!(found[0]["evidence"]["limit"], 15);
}
