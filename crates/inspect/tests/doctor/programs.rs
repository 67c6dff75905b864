//! Who holds listeners.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::space::{Program, Space, names, pids};
use crate::support::{have_program, have_root};

const NOTHING: [Value; 0] = [];

/// A program that shares the port 2345 with whoever wants.
fn sharing(space: &Space) -> Program {
    space.python(
        "
listener = socket.create_server(('0.0.0.0', 2345), reuse_port=True)
print('ready', flush=True)
time.sleep(600)",
    )
}

#[test]
fn different_programs_on_one_port_are_named_and_a_pool_is_not() {
    let test = "different_programs_on_one_port_are_named_and_a_pool_is_not";
    if !have_root(test) || !have_program("socat", test) {
        return;
    }
    let space = Space::new();
    let (one, _two) = (sharing(&space), sharing(&space));
    assert_eq!(space.findings(&[]), NOTHING);
    let mut socat = space.command("sh");
    socat.args([
        "-c",
        "echo ready; exec socat TCP-LISTEN:2345,reuseport,fork /dev/null",
    ]);
    let stranger = Program::start(socat);
    let found = space.wait_for(&[], &["shared-port"]);
    let programs = found[0]["evidence"]["programs"].as_array().unwrap();
    assert_eq!(programs.len(), 2, "{programs:?}");
    let pids = pids(&found[0]);
    assert!(pids.contains(&one.pid()) && pids.contains(&stranger.pid()));
}

/// A server that leaves a child behind, which inherits its listener and does not know. In a
/// session of its own: whoever adopts the child is in another.
fn left_behind(space: &Space, child: &str) -> (Program, Orphans) {
    let program = space.python(&format!(
        "
import subprocess
if os.fork(): time.sleep(600)
os.setsid()
if os.fork(): os._exit(0)
listener = socket.create_server(('0.0.0.0', 2345))
{child}"
    ));
    let pids = program.said.split(' ').map(|pid| pid.parse().unwrap());
    let orphans = Orphans(pids.collect());
    (program, orphans)
}

/// Processes without a parent of ours; killed at the end.
struct Orphans(Vec<i32>);

impl Drop for Orphans {
    fn drop(&mut self) {
        for pid in &self.0 {
            let pid = rustix::process::Pid::from_raw(*pid).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

#[test]
fn a_listener_that_outlived_its_server_in_a_child_is_named() {
    if !have_root("a_listener_that_outlived_its_server_in_a_child_is_named") {
        return;
    }
    let space = Space::new();
    let (_program, orphans) = left_behind(
        &space,
        "
os.set_inheritable(listener.fileno(), True)
child = subprocess.Popen(['sleep', '600'], close_fds=False, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
os._exit(0)",
    );
    let found = space.wait_for(&[], &["inherited-socket"]);
    assert_eq!(found[0]["evidence"]["local"]["port"], 2345);
    assert_eq!(found[0]["owners"][0]["command"], "sleep");
    assert_eq!(found[0]["owners"][0]["pid"], orphans.0[0]);
    // It is why the server cannot be started again.
    let mut again = space.command("python3");
    again.args([
        "-c",
        "import socket; socket.socket().bind(('0.0.0.0', 2345))",
    ]);
    let output = again.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("Address already in use"), "{error}");
}

/// Any user can leave thousands of listeners behind: what their process does is read once, not
/// once for each.
#[test]
fn thousands_of_listeners_of_one_orphan_are_judged_in_time() {
    if !have_root("thousands_of_listeners_of_one_orphan_are_judged_in_time") {
        return;
    }
    let space = Space::new();
    let (_program, _orphans) = left_behind(
        &space,
        "
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = [listener] + [socket.create_server(('127.0.0.1', 0)) for _ in range(1999)]
for each in held: each.set_inheritable(True)
print(os.getpid(), flush=True)
time.sleep(600)",
    );
    let begun = Instant::now();
    let found = space.findings(&[]);
    let took = begun.elapsed();
    assert_eq!(found.len(), 2_000);
    assert!(
        found.iter().all(|it| it["name"] == "inherited-socket"),
        "{:#?}",
        found[0]
    );
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn workers_that_outlived_their_master_are_named() {
    if !have_root("workers_that_outlived_their_master_are_named") {
        return;
    }
    let space = Space::new();
    let (_program, orphans) = left_behind(
        &space,
        "
workers = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        while True: listener.accept()
    workers.append(pid)
print(*workers, flush=True)
os._exit(0)",
    );
    let found = space.wait_for(&[], &["inherited-socket"]);
    assert_eq!(found[0]["evidence"]["processes"], 3);
    assert_eq!(pids(&found[0]).len(), orphans.0.len());
}

#[test]
fn a_daemon_that_forked_twice_and_serves_is_well() {
    if !have_root("a_daemon_that_forked_twice_and_serves_is_well") {
        return;
    }
    let space = Space::new();
    for serve in [
        "listener.accept()",
        "import select; select.select([listener], [], [])",
        "import select; e = select.epoll(); e.register(listener); e.poll()",
        "time.sleep(600)",
    ] {
        // Its listener survives exec() only where it waits for connections: one that does not
        // made it itself.
        let inheritable = !serve.starts_with("time");
        let (_program, _orphans) = left_behind(
            &space,
            &format!(
                "
os.set_inheritable(listener.fileno(), {})
print(os.getpid(), flush=True)
{serve}",
                if inheritable { "True" } else { "False" }
            ),
        );
        assert_eq!(space.findings(&[]), NOTHING, "{serve}");
    }
}

#[test]
fn a_listener_for_this_machine_only_is_told_to_those_who_ask() {
    if !have_root("a_listener_for_this_machine_only_is_told_to_those_who_ask") {
        return;
    }
    let space = Space::new();
    let program = space.python(
        "
listener = socket.create_server(('127.0.0.1', 2345))
print('ready', flush=True)
time.sleep(600)",
    );
    assert_eq!(space.findings(&[]), NOTHING);
    let found = space.findings(&["-v"]);
    assert_eq!(names(&found), ["loopback-only"]);
    assert_eq!(found[0]["severity"], "notice");
    assert_eq!(pids(&found[0]), [program.pid()]);
}
