//! Programs as children, with their output as lines to be waited for.

use std::fmt::Debug;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A running program; killed when dropped.
pub struct Program {
    pub child: Child,
    pub input: Option<ChildStdin>,
    output: Receiver<String>,
    errors: Receiver<String>,
}

/// The program under test, not started.
pub fn chat(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
    command
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR");
    command
}

impl Program {
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(chat(arguments))
    }

    pub fn spawn(mut command: Command) -> Self {
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let output = lines(child.stdout.take().unwrap());
        let errors = lines(child.stderr.take().unwrap());
        let input = child.stdin.take();
        Self {
            child,
            input,
            output,
            errors,
        }
    }

    /// The next line on standard output.
    pub fn said(&self) -> String {
        next(&self.output, "standard output", &self.errors)
    }

    /// The next line on standard error.
    pub fn told(&self) -> String {
        next(&self.errors, "standard error", &self.output)
    }

    /// Reads standard error up to a line that holds `text`.
    pub fn told_of(&self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        while Instant::now() < deadline {
            match self.errors.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => break,
            }
        }
        panic!("nothing about {text:?}, but {seen:?}");
    }

    /// What standard error has brought so far and nobody has read.
    pub fn errors(&self) -> Vec<String> {
        self.errors.try_iter().collect()
    }

    pub fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("input is open");
        input
            .write_all(line.as_bytes())
            .and_then(|()| input.write_all(b"\n"))
            .unwrap();
    }

    pub fn close_input(&mut self) {
        self.input = None;
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    /// The exit code, and everything not yet read from standard output and error.
    pub fn end(mut self) -> (Option<i32>, Vec<String>, Vec<String>) {
        self.input = None;
        let code = self.wait().code();
        (
            code,
            self.output.iter().collect(),
            self.errors.iter().collect(),
        )
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a child's end.
pub fn wait(child: &mut Child) -> ExitStatus {
    until("the program ends", || child.try_wait().unwrap())
}

/// A server on a free port of 127.0.0.1, and the port.
pub fn server(arguments: &[&str]) -> (Program, u16) {
    let program = Program::start(&[&["server", "--port", "0"], arguments].concat());
    let first = program.told();
    let port = first.rsplit(':').next().and_then(|port| port.parse().ok());
    assert!(first.starts_with("listening on "), "{first}");
    assert!(program.told().starts_with("reach: "));
    (program, port.unwrap())
}

/// A client of a listener that plays the server, and its connection.
pub fn client_of(listener: &TcpListener, arguments: &[&str]) -> (Program, TcpStream) {
    let address = listener.local_addr().unwrap().to_string();
    let program = Program::start(&[&["client", &address], arguments].concat());
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    assert!(
        program
            .told()
            .starts_with(&format!("connected to {address} from 127.0.0.1:"))
    );
    (program, stream)
}

pub fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// A plain peer of a server.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// What one `recv(1024)` gives.
pub fn recv(stream: &mut impl Read) -> String {
    let mut buffer = [0; 1024];
    let length = stream.read(&mut buffer).expect("something to read");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// Everything up to the end.
pub fn rest(stream: &mut impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an end");
    text
}

/// A port nobody listens on, outside the range the kernel hands out to clients.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The process named in a line such as `server  chat-server[4845]  listening …`.
pub fn process(line: &str) -> Pid {
    let number = line
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .unwrap()
        .0;
    Pid::from_raw(number.parse().unwrap()).unwrap()
}

/// Waits until both halves of a pair have ended.
pub fn gone(processes: [Pid; 2]) {
    for process in processes {
        until("the process is gone", || {
            // One that nobody has waited for yet is a zombie, which is gone as well.
            let status = std::fs::read_to_string(format!("/proc/{process}/stat"));
            let is_gone = status.map_or(true, |status| status.contains(") Z "));
            is_gone.then_some(())
        });
    }
}

/// Polls for something that gives no event to wait for.
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn next(lines: &Receiver<String>, name: &str, others: &Receiver<String>) -> String {
    lines.recv_timeout(DEADLINE).unwrap_or_else(|error| {
        let others: Vec<_> = others.try_iter().collect();
        panic!("no line on {name}: {error}; elsewhere: {others:?}")
    })
}

/// Fails with both sides when `text` does not hold `part`.
#[track_caller]
pub fn assert_holds(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in:\n{text}");
}

/// For a tool that may be missing: skips loudly, or fails where everything must run.
pub fn installed(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()));
    found || missing(&format!("{tool} is not installed"))
}

/// The same for a machine without IPv6.
pub fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok() || missing("no IPv6 here")
}

fn missing(what: &str) -> bool {
    let required = std::env::var_os("REQUIRE_ROOT").is_some_and(|value| value == "1");
    assert!(!required, "{what}");
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
    false
}

/// For `assert_eq` on exit codes with the output beside them.
#[track_caller]
pub fn assert_code(code: Option<i32>, expected: i32, output: &impl Debug) {
    assert_eq!(code, Some(expected), "{output:?}");
}
