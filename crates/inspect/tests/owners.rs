//! Owners found by a kernel program and by a walk: the same, and what only one of them can see.

mod support;

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use inspect::bpf::{self, Record, SocketDescriptors, Sockets};
use inspect::model::{Inode, Pid, Timestamp};
use inspect::owners::{Choice, Finder, Holdings, KernelList, ProcWalk, Reason, Source as _};
use inspect::stop::Stop;
use rustix::thread::{Gid, Uid, UnshareFlags, set_thread_gid, set_thread_groups, set_thread_uid};
use support::{have_program, have_root, wait_for};

/// What makes a test of this file run as the process that other tests look at.
const PART: &str = "OWNERS_TEST_PART";

fn stop() -> Stop {
    Stop::new().unwrap()
}

fn by_kernel() -> Holdings {
    KernelList::new(stop()).try_look().unwrap()
}

fn by_walk() -> Holdings {
    ProcWalk::new("/proc", stop()).look()
}

fn inode(socket: &impl std::os::fd::AsFd) -> Inode {
    Inode(rustix::fs::fstat(socket).unwrap().st_ino)
}

fn records(sockets: Sockets<'_>) -> Vec<Record> {
    let mut descriptors = SocketDescriptors::open(sockets).unwrap();
    let mut found = Vec::new();
    while let Some(records) = descriptors.next_records().unwrap() {
        found.extend(records);
    }
    found
}

/// Process, its name, start and parent, thread, descriptor, socket.
type Fact = (u32, Vec<u8>, Option<Timestamp>, Option<Pid>, u32, u32, u64);

/// What is said of these processes.
fn facts(holdings: &Holdings, pids: &BTreeSet<u32>) -> Vec<Fact> {
    let held = holdings.held().iter().filter_map(|held| {
        let process = &holdings.processes()[usize::try_from(held.process).unwrap()];
        pids.contains(&process.pid.0).then(|| {
            (
                process.pid.0,
                process.command.as_bytes().to_vec(),
                process.started,
                process.parent,
                held.tid.0,
                held.fd.0,
                held.inode.0,
            )
        })
    });
    held.collect()
}

/// This file's test of that name, as a process of its own that does its part.
struct Part {
    child: Child,
    /// Kept, for what else it has to say.
    _output: BufReader<ChildStdout>,
    /// The numbers it told when it was ready.
    told: Vec<u32>,
}

impl Part {
    /// Waits until it says that it is ready.
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let ready = (&mut output)
            .lines()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("ready")?.1.to_owned()))
            .expect("it is ready before it ends");
        let told = ready.split_whitespace().map(|word| word.parse().unwrap());
        Self {
            told: told.collect(),
            _output: output,
            child,
        }
    }

    /// A test of this file as a process of its own, started by `command`.
    fn test(name: &str, command: &[&str]) -> Self {
        let (program, arguments) = command.split_first().unwrap();
        Self::start(
            Command::new(program)
                .args(arguments)
                .arg(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", name, "--nocapture"])
                .env(PART, name),
        )
    }

    fn succeeds(mut self) -> bool {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says that what is to be looked at is there, and stays until standard input ends.
#[allow(
    clippy::print_stdout,
    reason = "it is read by the test that started it"
)]
fn stay(told: &[u32]) {
    let told: Vec<String> = told.iter().map(u32::to_string).collect();
    println!("ready {}", told.join(" "));
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

fn tid() -> u32 {
    rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .try_into()
        .unwrap()
}

#[expect(unsafe_code, reason = "what is tested here is made by it")]
fn unshare(flags: UnshareFlags) {
    // SAFETY: what the thread had opened stays open in its copy, and is used in no other way.
    unsafe { rustix::thread::unshare_unsafe(flags) }.unwrap();
}

/// On a thread that stays for as long as the process does; what it returned.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        tell.send(work()).unwrap();
        loop {
            thread::park();
        }
    });
    told.recv().unwrap()
}

#[test]
#[ignore = "others start it and look at it"]
fn holder() {
    if std::env::var(PART).is_err() {
        return;
    }
    // The name of the process is that of its first thread.
    std::fs::write("/proc/self/comm", b"a) R (b\n\xff\x1b[7m").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _pair = UnixDatagram::pair().unwrap();
    // A child that has the listener as well, and ends with this process.
    let mut sharer = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(OwnedFd::from(listener.try_clone().unwrap()))
        .spawn()
        .unwrap();
    wait_for("the sharer's own name", || {
        let name = std::fs::read(format!("/proc/{}/comm", sharer.id())).unwrap();
        (name == b"cat\n").then_some(())
    });
    let elsewhere = on_a_thread(|| {
        unshare(UnshareFlags::NEWNET);
        UdpSocket::bind("0.0.0.0:0").unwrap()
    });
    // A table of its own, with one more socket; and one that shares it.
    let apart = on_a_thread(|| {
        unshare(UnshareFlags::FILES);
        std::mem::forget(UnixDatagram::unbound().unwrap());
        on_a_thread(|| ());
        tid()
    });
    // A table of its own that is an exact copy.
    let copy = on_a_thread(|| {
        unshare(UnshareFlags::FILES);
        tid()
    });
    stay(&[std::process::id(), sharer.id(), apart, copy]);
    drop((sharer.stdin.take(), elsewhere));
    sharer.wait().unwrap();
}

#[test]
fn the_kernel_program_and_the_walk_say_the_same() {
    if !have_root("the_kernel_program_and_the_walk_say_the_same") {
        return;
    }
    let part = Part::test("holder", &["env"]);
    let [pid, sharer, apart, copy] = part.told[..] else {
        panic!("{:?}", part.told);
    };
    let pids = BTreeSet::from([pid, sharer]);
    let kernel = facts(&by_kernel(), &pids);
    assert_eq!(kernel, facts(&by_walk(), &pids));
    // Listener, pair and the one elsewhere, in each of three tables; the sharer's; and one more.
    assert_eq!(kernel.len(), 4 + 1 + 4 + 1 + 4, "{kernel:?}");
    let of = |process: u32, thread: u32| {
        kernel
            .iter()
            .filter(|fact| fact.0 == process && fact.4 == thread)
            .count()
    };
    assert_eq!((of(pid, pid), of(pid, apart), of(pid, copy)), (4, 5, 4));
    assert_eq!(of(sharer, sharer), 1);
    for fact in kernel {
        if fact.0 == pid {
            assert_eq!(fact.1, b"a) R (b\n\xff\x1b[7m");
        } else {
            assert_eq!((&*fact.1, fact.3), (&b"cat"[..], Some(Pid(pid))));
        }
        assert!(fact.2.is_some());
    }
}

/// A Python program whose first thread exits before two others. Its argument is the number of
/// the system call.
const WITHOUT_A_FIRST_THREAD: &str = r"
import ctypes, os, socket, sys, threading, time
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
def stay():
    while ') Z ' not in open('/proc/self/stat').read():
        time.sleep(0.01)
    print('ready', os.getpid(), min(thread.native_id for thread in threads), flush=True)
    sys.stdin.read()
    os._exit(0)
threads = [threading.Thread(target=time.sleep, args=(3600,)), threading.Thread(target=stay)]
for thread in threads:
    thread.start()
ctypes.CDLL(None).syscall(int(sys.argv[1]), 0)
";

#[test]
fn a_process_whose_first_thread_has_exited_holds_what_the_others_hold_once() {
    if !have_root("a_process_whose_first_thread_has_exited_holds_what_the_others_hold_once") {
        return;
    }
    if !have_program("python3", "a_process_whose_first_thread_has_exited") {
        return;
    }
    let exit = libc::SYS_exit.to_string();
    let part = Part::start(Command::new("python3").args(["-c", WITHOUT_A_FIRST_THREAD, &exit]));
    let [pid, lowest] = part.told[..] else {
        panic!("{:?}", part.told);
    };
    let pids = BTreeSet::from([pid]);
    let kernel = facts(&by_kernel(), &pids);
    assert_eq!(kernel, facts(&by_walk(), &pids));
    assert_eq!(kernel.len(), 1, "{kernel:?}");
    assert_eq!(kernel[0].4, lowest);
}

#[test]
#[ignore = "others start it"]
#[allow(
    clippy::print_stdout,
    reason = "it is read by the test that started it"
)]
fn inside_a_pid_namespace() {
    if std::env::var(PART).is_err() {
        return;
    }
    let me = std::process::id();
    assert!(me < 100, "{me} is a number of a new namespace");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(OwnedFd::from(listener.try_clone().unwrap()))
        .spawn()
        .unwrap();
    wait_for("its own name", || {
        let name = std::fs::read(format!("/proc/{}/comm", child.id())).unwrap();
        (name == b"cat\n").then_some(())
    });
    let apart = on_a_thread(|| {
        unshare(UnshareFlags::FILES);
        tid()
    });
    let (kernel, walk) = (by_kernel(), by_walk());
    assert_eq!(kernel, walk);
    let owners: Vec<(u32, u32)> = kernel
        .of(inode(&listener))
        .0
        .iter()
        .map(|owner| (owner.pid.0, owner.tid.0))
        .collect();
    let expected = BTreeSet::from([(me, me), (me, apart), (child.id(), child.id())]);
    assert_eq!(owners.iter().copied().collect::<BTreeSet<_>>(), expected);
    // Process 1's parent is outside.
    let parents: HashMap<u32, Option<Pid>> = kernel
        .processes()
        .iter()
        .map(|process| (process.pid.0, process.parent))
        .collect();
    assert_eq!(parents[&child.id()], Some(Pid(me)));
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    assert_eq!(parents[&me], Some(Pid(parent.try_into().unwrap())));
    assert!(kernel.unlisted().is_some());
    println!("ready");
}

#[test]
fn in_a_pid_namespace_processes_have_its_numbers() {
    if !have_root("in_a_pid_namespace_processes_have_its_numbers") {
        return;
    }
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    assert!(Part::test("inside_a_pid_namespace", &unshare).succeeds());
}

#[test]
fn what_the_network_knows_of_a_socket_is_told() {
    if !have_root("what_the_network_knows_of_a_socket_is_told") {
        return;
    }
    use rustix::net::{AddressFamily, SocketType, socket, sockopt};
    // The standard library sets SO_REUSEADDR on a listener.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = UdpSocket::bind("127.0.0.1:0").unwrap();
    let shared = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseport(&shared, true).unwrap();
    let elsewhere = thread::spawn(|| {
        unshare(UnshareFlags::NEWNET);
        let there = inspect::namespaces::current().unwrap();
        (UdpSocket::bind("0.0.0.0:0").unwrap(), there)
    });
    let (elsewhere, there) = elsewhere.join().unwrap();
    let here = inspect::namespaces::current().unwrap();
    assert_ne!(here, there);

    let inodes = [
        inode(&listener),
        inode(&plain),
        inode(&shared),
        inode(&elsewhere),
    ];
    let found = records(Sockets::These(&inodes));
    let flags = |which: usize| {
        let record = found
            .iter()
            .find(|record| record.inode == inodes[which])
            .unwrap();
        assert_eq!(record.pid.0, std::process::id());
        let sock = record.sock.unwrap();
        (sock.reuse_address, sock.reuse_port, sock.namespace)
    };
    assert_eq!(flags(0), (true, false, here));
    assert_eq!(flags(1), (false, false, here));
    assert_eq!(flags(2), (false, true, here));
    assert_eq!(flags(3), (false, false, there));
    let fd = found.iter().find(|record| record.inode == inodes[0]);
    assert_eq!(i64::from(fd.unwrap().fd.0), i64::from(listener.as_raw_fd()));
    assert!(bpf::socks_of(&inodes).unwrap()[&inodes[2]].reuse_port);
}

#[test]
fn only_what_is_asked_for_is_told() {
    if !have_root("only_what_is_asked_for_is_told") {
        return;
    }
    let sockets: Vec<UdpSocket> = (0..300)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let inodes: Vec<Inode> = sockets.iter().map(inode).collect();
    let told = |asked: &[Inode]| -> Vec<Inode> {
        let found = records(Sockets::These(asked)).into_iter();
        let mut found: Vec<Inode> = found.map(|record| record.inode).collect();
        found.sort_unstable();
        found
    };
    assert_eq!(told(&[]), []);
    assert_eq!(told(&inodes[7..8]), inodes[7..8]);
    let mut expected = inodes.clone();
    expected.sort_unstable();
    // Asked for twice is told once.
    let twice: Vec<Inode> = inodes.iter().chain(&inodes).copied().collect();
    assert_eq!(told(&twice), expected);
    let all: BTreeSet<Inode> = records(Sockets::Every)
        .iter()
        .map(|record| record.inode)
        .collect();
    assert!(expected.iter().all(|inode| all.contains(inode)));
    let mut finder = Finder::new(Choice::Bpf, "/proc", stop()).only(inodes[..1].to_vec());
    let holdings = finder.look();
    assert_eq!(finder.name(), "bpf");
    assert_eq!(holdings.held().len(), 1);
    assert_eq!(holdings.of(inodes[0]).0[0].pid.0, std::process::id());
}

#[test]
fn many_descriptors_are_listed_by_the_kernel_and_few_by_a_walk() {
    if !have_root("many_descriptors_are_listed_by_the_kernel_and_few_by_a_walk") {
        return;
    }
    let mut finder = Finder::new(Choice::Auto, "/proc", stop());
    let _ = finder.look();
    let (name, reason) = (finder.name(), finder.reason().clone());
    match reason {
        Reason::Few(count) => assert_eq!((name, count < 5_000), ("proc", true)),
        Reason::Many(count) => assert_eq!((name, count >= 5_000), ("bpf", true)),
        Reason::Uncounted => assert_eq!(name, "bpf"),
        other => panic!("{name}: {other}"),
    }
    // So many more that there are many.
    let first = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, 0.into()).unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let room = limit.current.unwrap_or(u64::MAX).saturating_sub(500);
    let copies: Vec<OwnedFd> = (0..room.min(5_100))
        .map(|_| first.try_clone().unwrap())
        .collect();
    let _ = finder.look();
    if copies.len() >= 5_000 {
        assert_eq!(finder.name(), "bpf", "{}", finder.reason());
    }
}

#[test]
fn an_ordinary_user_is_told_why_there_is_no_kernel_program() {
    if !have_root("an_ordinary_user_is_told_why_there_is_no_kernel_program") {
        return;
    }
    // Identities belong to threads, as far as the kernel is concerned.
    let checked = thread::spawn(|| {
        set_thread_groups(&[]).unwrap();
        set_thread_gid(Gid::from_raw(65534)).unwrap();
        set_thread_uid(Uid::from_raw(65534)).unwrap();
        assert!(matches!(bpf::allowed(), Err(bpf::Error::Right)));
        let refused = SocketDescriptors::open(Sockets::Every).unwrap_err();
        assert_eq!(refused.to_string(), "it needs cap_bpf and cap_perfmon");
        let holdings = KernelList::new(stop()).look();
        assert_eq!(
            holdings.unlisted(),
            Some("it needs cap_bpf and cap_perfmon")
        );
        for choice in [Choice::Auto, Choice::Bpf] {
            let mut finder = Finder::new(choice, "/proc", stop());
            let walked = finder.look();
            assert_eq!(finder.name(), "proc");
            assert_eq!(
                finder.reason().to_string(),
                "a kernel program cannot do it: it needs cap_bpf and cap_perfmon"
            );
            assert!(!walked.unreadable().is_empty());
        }
    });
    checked.join().unwrap();
}

#[test]
fn what_the_kernel_refuses_to_one_with_rights_is_said_in_its_words() {
    if !have_root("what_the_kernel_refuses_to_one_with_rights_is_said_in_its_words") {
        return;
    }
    // Root of a user namespace has every capability there, and none that counts for this.
    let unshare = ["unshare", "--user", "--map-root-user"];
    assert!(Part::test("in_a_user_namespace", &unshare).succeeds());
}

#[test]
#[ignore = "others start it"]
#[allow(
    clippy::print_stdout,
    reason = "it is read by the test that started it"
)]
fn in_a_user_namespace() {
    if std::env::var(PART).is_err() {
        return;
    }
    bpf::allowed().unwrap();
    let refused = SocketDescriptors::open(Sockets::Every).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot load the kernel program: Operation not permitted (os error 1)"
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut finder = Finder::new(Choice::Bpf, "/proc", stop());
    let owners = finder.look().of(inode(&listener)).0;
    assert_eq!(finder.name(), "proc");
    assert_eq!(finder.reason(), &Reason::Refused(refused.to_string()));
    assert_eq!(owners[0].pid.0, std::process::id());
    println!("ready");
}
