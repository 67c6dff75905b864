//! Conversations with the tools people already have.

use std::process::Command;

use super::support::*;

fn tool(name: &str, arguments: &[&str]) -> Option<Program> {
    installed(name).then(|| {
        let mut command = Command::new(name);
        command.args(arguments);
        Program::spawn(command)
    })
}

/// OpenBSD's netcat: the traditional one goes by the same name and knows other flags.
fn nc(arguments: &[&str]) -> Option<Program> {
    if is_openbsd("nc.openbsd") {
        return tool("nc.openbsd", arguments);
    }
    if is_openbsd("nc") {
        return tool("nc", arguments);
    }
    // Says that it is missing, or that it must not be.
    tool("nc.openbsd", arguments)
}

fn is_openbsd(name: &str) -> bool {
    let help = Command::new(name).arg("-h").output();
    help.is_ok_and(|help| {
        let text = [help.stdout, help.stderr].concat();
        String::from_utf8_lossy(&text).contains("OpenBSD")
    })
}

#[test]
fn nc_as_a_client() {
    let (server, port) = server(&["--reply", "hi"]);
    let Some(mut nc) = nc(&["127.0.0.1", &port.to_string()]) else {
        return;
    };
    for words in ["hello", "你好"] {
        nc.type_line(words);
        assert_eq!(server.said(), format!("client: {words}"));
        assert_eq!(nc.said(), "hi");
    }
}

#[test]
fn nc_as_a_server() {
    let port = free_port().to_string();
    let Some(mut nc) = nc(&["-l", "127.0.0.1", &port]) else {
        return;
    };
    let mut client = until("nc listens", || {
        let client = Program::start(&["client", "--port", &port]);
        client.told().starts_with("connected").then_some(client)
    });
    client.type_line("hello");
    assert_eq!(nc.said(), "hello");
    nc.type_line("hi");
    assert_eq!(client.said(), "server: hi");
}

#[test]
fn socat_as_a_client_and_as_a_server() {
    let (server, port) = server(&["--reply", "hi"]);
    let Some(mut socat) = tool("socat", &["-", &format!("TCP4:127.0.0.1:{port}")]) else {
        return;
    };
    socat.type_line("hello");
    assert_eq!(server.said(), "client: hello");
    assert_eq!(socat.said(), "hi");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("room");
    let path = path.to_str().unwrap();
    // An echo: whatever is said comes back.
    let Some(_socat) = tool("socat", &[&format!("UNIX-LISTEN:{path}"), "EXEC:cat"]) else {
        return;
    };
    until("socat listens", || {
        std::path::Path::new(path).exists().then_some(())
    });
    let mut client = Program::start(&["client", "--unix", path]);
    client.type_line("你好");
    assert_eq!(client.said(), "server: 你好");
    let (code, _, errors) = client.end();
    assert_code(code, 0, &errors);
}

#[test]
fn the_classic_python_exercise_on_both_sides() {
    const SERVER: &str = "
import socket
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
print(s.getsockname()[1], flush=True)
c, _ = s.accept()
while True:
    data = c.recv(1024)
    if not data: break
    print(data.decode(), flush=True)
    c.sendall(b'hi')
";
    const CLIENT: &str = "
import socket, sys
c = socket.socket(); c.connect(('127.0.0.1', int(sys.argv[1])))
for words in ('hello', '你好'):
    c.sendall(words.encode())
    print(c.recv(1024).decode(), flush=True)
";
    let Some(python) = tool("python3", &["-c", SERVER]) else {
        return;
    };
    let port = python.said();
    let mut client = Program::start(&["client", "--port", &port, "--framing", "raw"]);
    for words in ["hello", "你好"] {
        client.type_line(words);
        assert_eq!(python.said(), words);
        assert_eq!(client.said(), "server: hi");
    }

    let (server, port) = server(&["--reply", "hi"]);
    let Some(python) = tool("python3", &["-c", CLIENT, &port.to_string()]) else {
        return;
    };
    for words in ["hello", "你好"] {
        assert_eq!(server.said(), format!("client: {words}"));
        assert_eq!(python.said(), "hi");
    }
}
