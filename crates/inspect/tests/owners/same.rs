//! A kernel program and a walk say the same of the same processes.

use std::collections::{BTreeSet, HashMap};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use inspect::model::{Pid, Timestamp};
use inspect::owners::{Holdings, KernelList, ProcWalk, Source as _};
use rustix::thread::UnshareFlags;

use crate::support::{have_program, have_root, wait_for};
use crate::{PART, Part, inode, on_a_thread, stay, stop, tid, unshare};

fn by_kernel() -> Holdings {
    KernelList::new(stop()).try_look().unwrap()
}

fn by_walk() -> Holdings {
    ProcWalk::new("/proc", stop()).look()
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

/// A child that has a listener as well, and ends with this process.
struct Sharer(Child);

impl Sharer {
    fn of(listener: &TcpListener) -> Self {
        let child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(OwnedFd::from(listener.try_clone().unwrap()))
            .spawn()
            .unwrap();
        wait_for("the sharer's own name", || {
            let name = std::fs::read(format!("/proc/{}/comm", child.id())).unwrap();
            (name == b"cat\n").then_some(())
        });
        Self(child)
    }

    fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sharer {
    fn drop(&mut self) {
        // Threads with a table of their own hold the other end of its input as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
    let sharer = Sharer::of(&listener);
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
    drop((sharer, elsewhere));
}

#[test]
fn the_kernel_program_and_the_walk_say_the_same() {
    if !have_root("the_kernel_program_and_the_walk_say_the_same") {
        return;
    }
    let part = Part::test("same::holder", &["env"]);
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
    let child = Sharer::of(&listener);
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
    assert!(Part::test("same::inside_a_pid_namespace", &unshare).succeeds());
}

#[test]
fn stable_sockets_are_in_every_look_once_while_others_come_and_go() {
    if !have_root("stable_sockets_are_in_every_look_once_while_others_come_and_go") {
        return;
    }
    let stable: Vec<UdpSocket> = (0..200)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let expected: BTreeSet<(u64, i64)> = stable
        .iter()
        .map(|socket| (inode(socket).0, socket.as_raw_fd().into()))
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let churn = {
        let over = Arc::clone(&over);
        thread::spawn(move || {
            let mut opened = 0u64;
            while !over.load(Ordering::Relaxed) {
                // Some of them take the lowest free numbers, below those that stay.
                let some: Vec<_> = (0..50).map(|_| UnixDatagram::unbound().unwrap()).collect();
                opened += u64::try_from(some.len()).unwrap();
            }
            opened
        })
    };
    let wanted: BTreeSet<u64> = expected.iter().map(|(inode, _)| *inode).collect();
    for look in 0..20 {
        let holdings = if look % 2 == 0 {
            by_kernel()
        } else {
            by_walk()
        };
        // Others hold them too, for as long as another test takes to start a program.
        let seen: Vec<(u64, i64)> = facts(&holdings, &BTreeSet::from([std::process::id()]))
            .into_iter()
            .filter(|fact| wanted.contains(&fact.6))
            .map(|fact| (fact.6, fact.5.into()))
            .collect();
        assert_eq!(seen.len(), expected.len(), "look {look}");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
    }
    over.store(true, Ordering::Relaxed);
    assert!(churn.join().unwrap() > 1_000);
}
