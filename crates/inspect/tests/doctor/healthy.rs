//! A machine that is busy and well has no findings: thousands of short connections a second,
//! bulk transfers, slow but steady readers, idle pools with leftovers, pools of workers.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::space::Space;
use crate::support::{have_root, run, wait_for};

const NOTHING: [Value; 0] = [];

/// Threads that keep a network namespace busy until the end.
struct Busy {
    place: PathBuf,
    over: Arc<AtomicBool>,
    /// How much has been done; of each kind of work.
    done: Vec<Arc<AtomicU64>>,
    threads: Vec<JoinHandle<()>>,
}

/// What a thread is given: whether to go on, and where to count.
struct Work {
    over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl Work {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Busy {
    fn in_space(space: &Space) -> Self {
        Self {
            place: PathBuf::from("/run/netns").join(space.name()),
            over: Arc::default(),
            done: Vec::new(),
            threads: Vec::new(),
        }
    }

    /// Runs work on a thread of its own inside the namespace: its sockets are made there.
    fn spawn(&mut self, work: impl FnOnce(&Work) + Send + 'static) {
        let place = self.place.clone();
        let counter = Arc::new(AtomicU64::new(0));
        let given = Work {
            over: self.over.clone(),
            done: counter.clone(),
        };
        self.done.push(counter);
        self.threads.push(std::thread::spawn(move || {
            let namespace = File::open(place).unwrap();
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).unwrap();
            work(&given);
        }));
    }

    /// Waits until every thread has got somewhere.
    fn wait_until_under_way(&self) {
        wait_for("every kind of work", || {
            let least = self.done.iter().map(|done| done.load(Ordering::Relaxed));
            (least.min() > Some(2)).then_some(())
        });
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Connects as soon as somebody listens; `None` when it is over.
fn connect(work: &Work, port: u16) -> Option<TcpStream> {
    while work.goes_on() {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            return Some(stream);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// A server that answers one request a connection and closes, as HTTP/1.0 does.
fn short_server(work: &Work) {
    let listener = TcpListener::bind("127.0.0.1:8001").unwrap();
    listener.set_nonblocking(true).unwrap();
    while work.goes_on() {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                let mut request = [0; 100];
                if stream.read_exact(&mut request).is_ok() {
                    let _ = stream.write_all(&[b'x'; 1_000]);
                }
                work.count();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Clients of that, one connection after the other; some close first.
fn short_client(work: &Work, close_first: bool) {
    while let Some(mut stream) = connect(work, 8001) {
        let _ = stream.write_all(&[b'q'; 100]);
        let mut answer = Vec::new();
        if close_first {
            let _ = stream.read_exact(&mut [0; 1_000]);
        } else {
            let _ = stream.read_to_end(&mut answer);
        }
        work.count();
    }
}

/// A bulk transfer as fast as it goes, to a reader that reads `pause` apart.
fn bulk(busy: &mut Busy, port: u16, pause: Duration) {
    busy.spawn(move |work| {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut buffer = vec![0; 16 * 1024];
        while work.goes_on() && stream.read(&mut buffer).unwrap_or(0) > 0 {
            work.count();
            std::thread::sleep(pause);
        }
    });
    busy.spawn(move |work| {
        let Some(mut stream) = connect(work, port) else {
            return;
        };
        stream
            .set_write_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        while work.goes_on() {
            // A reader that is slow makes the writer wait: that is no failure.
            let _ = stream.write(&[b'b'; 64 * 1024]);
            work.count();
        }
    });
}

/// Conversations that idle: a pool whose servers have said something last, and closed some.
fn idle_pool(work: &Work) {
    let listener = TcpListener::bind("127.0.0.1:8004").unwrap();
    let mut kept = Vec::new();
    for number in 0..40 {
        let client = TcpStream::connect("127.0.0.1:8004").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        // A TLS ticket, a goodbye.
        server.write_all(&[b't'; 600]).unwrap();
        if number % 3 == 0 {
            drop(server);
        } else {
            kept.push(server);
        }
        kept.push(client);
    }
    while work.goes_on() {
        work.count();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Questions and answers in datagrams.
fn datagrams(work: &Work) {
    let server = UdpSocket::bind("127.0.0.1:8005").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    server
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut buffer = [0; 600];
    while work.goes_on() {
        for _ in 0..20 {
            client.send_to(&[b'd'; 500], "127.0.0.1:8005").unwrap();
        }
        for _ in 0..20 {
            server.recv(&mut buffer).unwrap();
        }
        work.count();
    }
}

/// Local clients that come and go.
fn local(work: &Work) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    while work.goes_on() {
        let clients: Vec<UnixStream> = (0..50)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        for _ in &clients {
            listener.accept().unwrap();
        }
        work.count();
    }
}

#[test]
fn a_machine_that_is_busy_and_well_has_no_findings() {
    if !have_root("a_machine_that_is_busy_and_well_has_no_findings") {
        return;
    }
    let space = Space::new();
    let mut busy = Busy::in_space(&space);
    busy.spawn(short_server);
    for client in 0..4 {
        busy.spawn(move |work| short_client(work, client % 2 == 0));
    }
    bulk(&mut busy, 8002, Duration::ZERO);
    bulk(&mut busy, 8003, Duration::from_millis(50));
    busy.spawn(idle_pool);
    busy.spawn(datagrams);
    busy.spawn(local);
    busy.wait_until_under_way();
    for arguments in [&[][..], &["--for", "3"], &["--source", "proc"]] {
        assert_eq!(space.findings(arguments), NOTHING, "{arguments:?}");
    }
    let printed = run(&mut space.doctor(&[]));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(printed.stdout.lines().count(), 1, "{printed:?}");
    assert!(
        printed.stdout.starts_with("Nothing wrong among "),
        "{printed:?}"
    );
    let sockets: String = printed
        .stdout
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    assert!(sockets.parse::<u32>().unwrap() > 100, "{printed:?}");
}
