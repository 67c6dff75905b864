//! The line editor on a real pseudo-terminal, its screen read as a terminal would show it.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use super::support::*;

/// What a terminal shows, and a signal at every change.
type Shown = Arc<(Mutex<(vt100::Parser, bool)>, Condvar)>;

/// A program on a terminal of its own; killed when dropped.
struct Terminal {
    child: Child,
    master: File,
    slave: File,
    shown: Shown,
}

impl Terminal {
    fn start(mut command: Command, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(flags)
                .open(&name)
        };
        let slave = open().unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, size).unwrap();
        command.env("TERM", "xterm").process_group(0);
        command
            .stdin(open().unwrap())
            .stdout(open().unwrap())
            .stderr(open().unwrap());
        let child = command.spawn().unwrap();
        let master = File::from(master);
        let shown = Shown::new((
            Mutex::new((vt100::Parser::new(24, columns, 0), false)),
            Condvar::new(),
        ));
        let (mut reader, screen) = (master.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                let length = reader.read(&mut bytes).unwrap_or(0);
                let mut guard = screen.0.lock().unwrap();
                guard.0.process(&bytes[..length]);
                guard.1 |= length == 0;
                screen.1.notify_all();
                if length == 0 {
                    return;
                }
            }
        });
        Self {
            child,
            master,
            slave,
            shown,
        }
    }

    fn chat(arguments: &[&str], columns: u16) -> Self {
        Self::start(chat(arguments), columns)
    }

    fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen is exactly `lines`.
    fn shows(&self, lines: &[&str]) {
        let expected = lines.join("\n");
        self.wait_for(&expected, |screen| screen.contents() == expected);
    }

    /// Waits until the screen is exactly `lines`, with the cursor in that row and column.
    fn shows_with_cursor(&self, lines: &[&str], cursor: (u16, u16)) {
        let expected = lines.join("\n");
        self.wait_for(
            &format!("{expected}\nand the cursor at {cursor:?}"),
            |screen| screen.contents() == expected && screen.cursor_position() == cursor,
        );
    }

    /// Waits for a screen that holds `text`.
    fn shows_part(&self, text: &str) -> String {
        self.wait_for(text, |screen| screen.contents().contains(text));
        self.shown.0.lock().unwrap().0.screen().contents()
    }

    fn wait_for(&self, expected: &str, ready: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut guard = self.shown.0.lock().unwrap();
        loop {
            if ready(guard.0.screen()) {
                return;
            }
            let contents = guard.0.screen().contents();
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "expected:\n{expected}\nbut the screen shows:\n{contents}"
            );
            guard = self.shown.1.wait_timeout(guard, left).unwrap().0;
        }
    }

    /// Waits for the end: the exit code, and whether the terminal was given back as it was.
    fn end(&mut self) -> (Option<i32>, bool) {
        let code = wait(&mut self.child).code();
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        (
            code,
            modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG),
        )
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on a terminal, its port, and its first two lines.
fn server(arguments: &[&str], columns: u16) -> (Terminal, u16, [String; 2]) {
    let port = free_port();
    let text = port.to_string();
    let server = Terminal::chat(&[&["server", "--port", &text], arguments].concat(), columns);
    server.shows_part("Waiting for a client.");
    let first = format!(
        "Listening on 127.0.0.1:{port}, this machine only (--bind 0.0.0.0 lets others in)."
    );
    (server, port, [first, "Waiting for a client.".to_owned()])
}

#[test]
fn an_arriving_message_neither_tears_the_line_nor_moves_its_target() {
    let (mut server, port, [first, waiting]) = server(&[], 100);
    let mut one = connect(port);
    one.write_all(b"hello\n").unwrap();
    let joined = format!("1  {} joined", one.local_addr().unwrap());
    let mut lines = vec![first.as_str(), &waiting, &joined, "1  hello", "to 1> "];
    server.shows(&lines);

    server.press("half a li");
    *lines.last_mut().unwrap() = "to 1> half a li";
    server.shows(&lines);
    server.press("\x1b[D\x1b[D");

    let mut two = connect(port);
    let joined_two = format!("2  {} joined", two.local_addr().unwrap());
    two.write_all("anyone? 你好\n".as_bytes()).unwrap();
    lines.pop();
    lines.extend([joined_two.as_str(), "2  anyone? 你好", "to 1> half a li"]);
    // The cursor stays where it was.
    server.shows_with_cursor(&lines, (6, 13));

    server.press("\x1b[C\x1b[Cne\r");
    assert_eq!(
        recv(&mut one),
        "half a line\n",
        "the target of the first key"
    );
    lines.pop();
    lines.extend(["to 1> half a line", "to 2> "]);
    server.shows(&lines);
    server.press("see you\r");
    assert_eq!(recv(&mut two), "see you\n");

    // Removing every key frees the target again.
    server.press("x");
    server.shows_part("to 2> x");
    one.write_all(b"me\n").unwrap();
    server.shows_part("1  me");
    server.press("\x7f");
    server.wait_for("to 1> ", |screen| screen.contents().ends_with("\nto 1> "));

    server.press("@2 direct\r@all both\r");
    let mut words = String::new();
    while words != "direct\nboth\n" {
        words += &recv(&mut two);
    }
    assert_eq!(recv(&mut one), "both\n");
    drop(two);
    server.shows_part("2  left");
    server.press("\x03");
    assert_eq!(server.end(), (Some(0), true));
}

#[test]
fn a_client_edits_recalls_and_says_goodbye() {
    let listener = listener();
    let address = listener.local_addr().unwrap();
    let mut client = Terminal::chat(&["client", &address.to_string()], 60);
    let (mut server, from) = listener.accept().unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let connected = format!("Connected to {address} from {from}.");
    client.shows(&[&connected, "> "]);

    client.press("helo wrld\x1b[D\x1b[D\x1b[Do\x01\x1b[C\x1b[C\x1b[Cl\r");
    assert_eq!(recv(&mut server), "hello world\n");
    server.write_all(b"hi").unwrap();
    client.shows(&[&connected, "> hello world", "server: hi", "> "]);
    client.press("\r");
    client.shows(&[
        &connected,
        "> hello world",
        "server: hi",
        "> ",
        "Nothing to send.",
        "> ",
    ]);
    client.press("\x1b[A\r");
    assert_eq!(
        recv(&mut server),
        "hello world",
        "bare, as the server speaks"
    );

    let long = "a line that is longer than the sixty columns of this terminal ";
    client.press(long);
    client.shows_part("termi\nnal ");
    server.write_all(b"meanwhile").unwrap();
    client.shows_part(
        "server: meanwhile\n> a line that is longer than the sixty columns of this termi\nnal ",
    );
    client.press("\x15\x04");
    assert_eq!(rest(&mut server), "", "half-closed");
    server.write_all(b"late").unwrap();
    client.shows_part("server: late");
    drop(server);
    client.shows_part("Server closed the connection.");
    assert_eq!(client.end(), (Some(0), true));
}

#[test]
fn a_server_that_is_slow_to_close_is_named_as_what_is_awaited() {
    let listener = listener();
    let mut client = Terminal::chat(&["client", &listener.local_addr().unwrap().to_string()], 80);
    let (mut server, _) = listener.accept().unwrap();
    client.shows_part("\n> ");
    client.press("\x04");
    assert_eq!(rest(&mut server), "");
    client.shows_part("Waiting for the server to close; Ctrl-C leaves now.");
    client.press("\x03");
    assert_eq!(client.end(), (Some(0), true));
}

#[test]
fn a_server_that_does_not_read_keeps_nobody_from_leaving() {
    let listener = listener();
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
    let mut client = Terminal::chat(&["client", &listener.local_addr().unwrap().to_string()], 80);
    let (_deaf, _) = listener.accept().unwrap();
    client.shows_part("\n> ");
    let (told, stop) = std::sync::mpsc::channel::<()>();
    let mut keys = client.master.try_clone().unwrap();
    let typist = std::thread::spawn(move || {
        let line = "x".repeat(20_000) + "\r";
        while stop.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            keys.write_all(line.as_bytes()).unwrap();
        }
        keys.write_all(b"\x03").unwrap();
    });
    client.shows_part("Not sent: the server is not reading; ");
    drop(told);
    typist.join().unwrap();
    assert_eq!(client.end(), (Some(1), true));
}

#[test]
fn hostile_text_is_inert() {
    let listener = listener();
    let client = Terminal::chat(&["client", &listener.local_addr().unwrap().to_string()], 80);
    let (mut server, _) = listener.accept().unwrap();
    client.shows_part("\n> ");
    server
        .write_all("\x1b[2J\x1b]0;owned\x07\u{202e}evil\u{9b}31m\u{200b}\r!\n".as_bytes())
        .unwrap();
    let contents =
        client.shows_part(r"server: \u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}evil\u{9b}31m\u{200b}\r!");
    assert_holds(&contents, "Connected to");
    let guard = client.shown.0.lock().unwrap();
    let colour = guard.0.screen().cell(1, 30).unwrap().fgcolor();
    assert_eq!(colour, vt100::Color::Default);
}

#[test]
fn what_a_client_says_is_not_taken_for_a_notice_about_it() {
    let (server, port, _) = server(&[], 100);
    let mut peer = connect(port);
    for (words, shown) in [
        ("left", "1  \"left\""),
        (" left ", "1  \" left \""),
        ("10.0.0.1:5 joined", "1  \"10.0.0.1:5 joined\""),
        ("reset the connection", "1  \"reset the connection\""),
        ("she left", "1  she left"),
    ] {
        peer.write_all(format!("{words}\n").as_bytes()).unwrap();
        server.shows_part(&format!("\n{shown}\nto 1> "));
    }
    drop(peer);
    server.shows_part("\n1  left\n");
}

#[test]
fn colour_is_for_terminals_that_want_it_and_ascii_for_those_that_need_it() {
    let coloured = |variable: &str, value: &str| {
        let listener = listener();
        let mut command = chat(&["client", &listener.local_addr().unwrap().to_string()]);
        command.env(variable, value);
        let client = Terminal::start(command, 80);
        let (mut server, _) = listener.accept().unwrap();
        server.write_all("你\n".as_bytes()).unwrap();
        let contents = client.shows_part("server: ");
        let guard = client.shown.0.lock().unwrap();
        let cell = guard.0.screen().cell(1, 0).unwrap();
        assert_eq!(cell.contents(), "s");
        (
            cell.fgcolor() != vt100::Color::Default,
            contents.contains('你'),
        )
    };
    assert_eq!(coloured("TERM", "xterm"), (true, true));
    assert_eq!(coloured("NO_COLOR", "1"), (false, true));
    assert_eq!(coloured("LC_ALL", "C"), (true, false));
}

#[test]
fn a_new_size_is_taken_and_a_kill_gives_the_terminal_back() {
    let (mut server, port, _) = server(&[], 100);
    let peer = connect(port);
    server.shows_part("\nto 1> ");
    server.press("some words");
    server.shows_part("to 1> some words");
    let size = Winsize {
        ws_row: 24,
        ws_col: 12,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&server.slave, size).unwrap();
    // A terminal tells its foreground process; ours has none of its own.
    let pid = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(pid, Signal::WINCH).unwrap();
    server.shows_part("to 1> some w\nords");
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(server.end(), (Some(0), true));
    drop(peer);
}

#[test]
fn a_stop_without_warning_leaves_an_editor_behind_that_goes_on() {
    let (mut server, port, _) = server(&[], 100);
    let mut peer = connect(port);
    server.shows_part("\nto 1> ");
    let raw = tcgetattr(&server.slave).unwrap();
    server.press("half a");
    server.shows_part("to 1> half a");
    let pid = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(pid, Signal::STOP).unwrap();
    let stat = format!("/proc/{pid}/stat");
    until("it stops", || {
        std::fs::read_to_string(&stat)
            .unwrap()
            .contains(") T ")
            .then_some(())
    });
    // As a shell does: the terminal for itself, a few lines, and the job's name again.
    let mut cooked = raw;
    cooked.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    tcsetattr(&server.slave, OptionalActions::Now, &cooked).unwrap();
    server
        .slave
        .write_all(b"\nstopped\n$ fg\nchat server\n")
        .unwrap();
    rustix::process::kill_process(pid, Signal::CONT).unwrap();
    server.shows_part("\nchat server\nto 1> half a");
    server.press(" line\r");
    assert_eq!(recv(&mut peer), "half a line\n");
    server.shows_part("\nchat server\nto 1> half a line\nto 1> ");
    server.press("\x03");
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn a_pair_on_a_terminal_hints_once_where_to_look() {
    let port = free_port().to_string();
    let mut pair = Terminal::chat(&["pair", "--port", &port, "--count", "1"], 100);
    let contents = pair.shows_part("Client left");
    assert_holds(&contents, &format!("inspect sockets :{port}\n\n"));
    assert_eq!(contents.matches("look from another terminal").count(), 1);
    assert_eq!(pair.end(), (Some(0), true));
}

#[test]
fn a_broken_pair_hints_at_each_view_that_shows_the_trouble() {
    let port = free_port().to_string();
    let arguments = ["pair", "--port", &port, "--break", "never-close"];
    let mut pair = Terminal::chat(&arguments, 200);
    let contents = pair.shows_part("in CLOSE_WAIT\n");
    assert_holds(&contents, "look from another terminal: ");
    assert_holds(&contents, "inspect doctor\n                            ");
    assert_holds(&contents, &format!("inspect sockets :{port}\n\n"));
    let pid = rustix::process::Pid::from_child(&pair.child);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    pair.shows_part("Ended with ");
    assert_eq!(pair.end(), (Some(0), true));

    // What is reset is gone before anybody could look.
    let arguments = ["pair", "--port", &port, "--break", "reset", "--count", "1"];
    let mut pair = Terminal::chat(&arguments, 200);
    let contents = pair.shows_part("1 connection reset.");
    assert_holds(&contents, &format!("inspect capture --port {port}\n\n"));
    assert!(!contents.contains("doctor"), "{contents}");
    assert_eq!(pair.end(), (Some(0), true));
}
