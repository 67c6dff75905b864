//! `--explain` on real Python programs.

use crate::program::Running;
use crate::support::{have_root, inspect, own_network, wait_for};

const SERVER: &str = "
import socket
s = socket.socket()
s.bind(('127.0.0.1', 0))
s.listen()
print(s.getsockname()[1], flush=True)
c, a = s.accept()
c.recv(1024)
c.sendall(b'hi')
c.close()
s.close()
";

/// What people write, and what the kernel is asked for, with the client's port left out.
fn columns(lines: &[String]) -> Vec<(String, String)> {
    let whole = lines.iter().take_while(|line| !line.contains("descriptor"));
    whole
        .map(|line| {
            let (left, right) = line.split_at(36.min(line.len()));
            let right: String = right.chars().filter(|c| !c.is_ascii_digit()).collect();
            (left.trim().to_owned(), right.trim().to_owned())
        })
        .collect()
}

#[test]
fn pythons_calls_stand_beside_the_kernels() {
    let test = "pythons_calls_stand_beside_the_kernels";
    if !have_root(test) || inspect::bpf::allowed().is_err() {
        return;
    }
    own_network();
    let explain = |script: &str| {
        let mut command = inspect();
        command.args(["trace", "--explain", "--", "/usr/bin/python3", "-c", script]);
        Running::start(&mut command)
    };
    let server = explain(SERVER);
    let port = wait_for("the server's port", || {
        let line = server.lines.try_recv().ok()?.1;
        line.trim().parse::<u16>().ok()
    });
    let client = explain(&format!(
        "
import socket
s = socket.socket()
s.connect(('127.0.0.1', {port}))
s.sendall(b'hello')
s.recv(1024)
s.close()
"
    ));
    let (client, server) = (client.end(), server.end());
    assert!(client.status.success() && server.status.success());
    let of = |lines: &[String], wanted: &[&str]| {
        let shown = columns(lines);
        let mut rest = shown.iter();
        for wanted in wanted {
            assert!(
                rest.any(|(written, _)| written == wanted),
                "{wanted} is not there, or not in this order: {lines:#?}"
            );
        }
    };
    let connect = format!("connect((\"127.0.0.1\", {port}))");
    of(
        &client.lines,
        &[
            "PYTHON",
            "socket(AF_INET, SOCK_STREAM)",
            &connect,
            "sendall(b\"hello\")",
            "recv(1024)",
        ],
    );
    of(
        &server.lines,
        &["listen(128)", "accept()", "recv(1024)", "sendall(b\"hi\")"],
    );
    let last = |lines: &[String]| lines.last().unwrap().clone();
    let client = last(&client.lines);
    assert!(
        client.starts_with("One descriptor: 3, this side of 127.0.0.1:"),
        "{client}"
    );
    assert!(
        client.ends_with(&format!("→ 127.0.0.1:{port}.")),
        "{client}"
    );
    let server = last(&server.lines);
    assert!(
        server.starts_with("Two descriptors: 3 listens, 4 is the client 127.0.0.1:"),
        "{server}"
    );
}
