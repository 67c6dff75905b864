//! What an ordinary user is told.

use std::net::{TcpListener, TcpStream};
use std::path::Path;

use super::Answer;
use super::support::{by_nobody, have_root, readable_copy, run, run_on_terminal};

#[test]
fn what_is_hidden_is_said_with_the_way_to_see_it() {
    if !have_root("what_is_hidden_is_said_with_the_way_to_see_it") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = readable_copy(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let shown = run_on_terminal(by_nobody(&program).args(["port", &port]), 80);
    assert!(
        shown.replace('\n', " ").starts_with(&format!(
            "tcp {port} is taken by a hidden owner (user root), reachable from this machine \
             only. "
        )),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("127.0.0.1:{port}, hidden (user root)")),
        "{shown}"
    );
    // What root has set does not matter: another user may not join.
    assert!(!shown.contains("SO_REUSEPORT"), "{shown}");
    let hint = format!(
        "1 owner hidden; to see it:\n  sudo {} port {port}\n",
        program.display()
    );
    assert!(shown.ends_with(&hint), "{shown}");

    let answer = Answer::of(by_nobody(&program).args(["port", &port]));
    assert_eq!(answer.record()["tcp"]["hidden"], 1);
    assert_eq!(answer.records.last().unwrap()["complete"], false);
    let evidence = &answer.finding("listener")["evidence"];
    // SO_REUSEADDR never helps against a listener, whatever it has set.
    assert_eq!(evidence["with_reuse_address"], false);

    // A connection that root has opened may have set SO_REUSEADDR or not.
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = client.local_addr().unwrap().port().to_string();
    let printed = run(by_nobody(&program).args(["port", &port]));
    assert!(
        printed.stdout.contains(
            "A server that sets SO_REUSEADDR may bind now if those who hold the port have set it \
             too, which cannot be told.\n"
        ),
        "{}",
        printed.stdout
    );
}

#[test]
fn a_low_port_is_not_for_everybody() {
    if !have_root("a_low_port_is_not_for_everybody") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = readable_copy(folder.path());
    let free = (2..1_000)
        .find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok())
        .unwrap();
    let answer = Answer::of(by_nobody(&program).args(["port", "-t", &free.to_string()]));
    assert_eq!(answer.code, Some(1));
    assert_eq!(answer.findings(), ["privileged-port"]);
    assert_eq!(answer.record()["privileged"], true);
    let tried = by_nobody(Path::new("python3"))
        .args([
            "-c",
            &format!(
                "import socket, sys\ntry: socket.socket().bind(('127.0.0.1', {free}))\nexcept \
                 PermissionError: sys.exit(13)"
            ),
        ])
        .status();
    assert_eq!(tried.unwrap().code(), Some(13));
    // Root may.
    let answer = Answer::port(free);
    assert_eq!(answer.findings(), [] as [&str; 0]);
    assert!(TcpListener::bind(("127.0.0.1", free)).is_ok());
}
