//! Real processes: every kind of socket, pools, threads, hostile names, ends.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::support::{have_program, inspect, run_on_terminal, wait_for};
use super::target::{EVERY_KIND, Target, Worker, named, of_type, process, records};

#[test]
fn a_process_with_every_kind_of_socket_is_shown_whole() {
    let target = Target::python(EVERY_KIND);
    let pid = target.pid();
    let [port, client, accepted, twice] = target.said.as_slice() else {
        panic!("{:?}", target.said);
    };
    let printed = process(&[&pid]);
    assert_eq!(printed.code, Some(0));
    assert_eq!(printed.stderr, "");
    let first = printed.stdout.lines().next().unwrap();
    let start = format!("python3[{pid}] listens on ");
    assert!(first.starts_with(&start), "{first}");
    assert!(first.contains(&format!("127.0.0.1:{port}")), "{first}");
    assert!(
        first.contains(&format!("@inspect-process-{pid}")),
        "{first}"
    );
    assert!(first.contains(" udp 127.0.0.1:"), "{first}");
    assert!(first.contains("talks to itself"), "{first}");
    // Both descriptors of the accepted socket are on one row.
    let row = printed
        .stdout
        .lines()
        .find(|line| line.contains(&format!("127.0.0.1:{port}")) && line.contains("ESTABLISHED"))
        .unwrap();
    let columns: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(columns[0], format!("python3[{pid}]"));
    assert_eq!(columns[1], format!("{accepted},{twice}"), "{row}");
    assert!(row.contains(&format!("127.0.0.1:{client}")), "{row}");
    assert!(row.contains("itself fd "), "{row}");
    assert!(printed.stdout.contains("route:"), "{}", printed.stdout);

    let records = records(inspect().args(["process", &pid, "--json"]));
    let about = of_type(&records, "process")[0];
    let directory = std::env::current_dir().unwrap();
    assert_eq!(about["directory"], directory.to_str().unwrap());
    // As the shell found it, or by the path of a version that was chosen for it.
    let program = about["command_line"][0].as_str().unwrap();
    assert!(program.ends_with("python3"), "{program}");
    assert_eq!(about["command_line"][1], "-c");
    assert_eq!(about["parent"]["pid"], std::process::id());
    assert_eq!(about["uid"], rustix::process::getuid().as_raw());
    assert_eq!(about["socket_status"], "known");
    assert_eq!(about["text"], first);
    // Three standard pipes and the one it made: its ends are two.
    let kinds = &about["descriptors"]["by_kind"];
    assert_eq!(kinds["socket"], 9, "{about}");
    let soft = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    assert_eq!(about["descriptor_limit"].as_u64(), soft);
    assert_eq!(about["sockets"], 8, "{about}");
    assert_eq!(of_type(&records, "socket").len(), 8);
    assert_eq!(about["sockets_unlisted"], 0);
    assert_eq!(records.last().unwrap()["counts"]["processes"], 1);
}

#[test]
fn the_same_descriptors_as_lsof() {
    if !have_program("lsof", "the_same_descriptors_as_lsof") {
        return;
    }
    let target = Target::python(EVERY_KIND);
    let pid = target.pid();
    let output = Command::new("lsof")
        .args(["-nP", "-p", &pid, "-Fft"])
        .output()
        .unwrap();
    // One field a line: `f` a descriptor, `t` its type.
    let text = String::from_utf8(output.stdout).unwrap();
    let (mut all, mut sockets, mut fd) = (0u64, BTreeSet::new(), None);
    for line in text.lines() {
        match line.split_at(1) {
            ("f", number) => {
                fd = number.parse::<u64>().ok();
                all += u64::from(fd.is_some());
            }
            ("t", "IPv4" | "IPv6" | "unix" | "netlink" | "sock") => sockets.extend(fd),
            _ => {}
        }
    }
    let records = records(inspect().args(["process", "-p", &pid, "--json"]));
    let ours: BTreeSet<u64> = of_type(&records, "socket")
        .iter()
        .flat_map(|socket| socket["owners"].as_array().unwrap())
        .filter(|owner| owner["pid"] == target.child.id())
        .map(|owner| owner["fd"].as_u64().unwrap())
        .collect();
    assert_eq!(sockets, ours, "{text}");
    assert_eq!(sockets.len(), 9);
    let about = of_type(&records, "process")[0];
    assert_eq!(about["descriptors"]["total"], all, "{text}");
}

#[test]
fn a_server_and_its_client_name_each_other() {
    let server = Target::python(
        "s = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1])\nsys.stdout.flush()\nc = s.accept()[0]",
    );
    let port = &server.said[0];
    let client = Target::python(&format!(
        "c = socket.create_connection(('127.0.0.1', {port}))\nprint('connected')"
    ));
    let (server, client) = (server.pid(), client.pid());
    let expected = format!(
        "python3[{server}] listens on 127.0.0.1:{port} and talks to 1 client (python3[{client}])."
    );
    wait_for("the server's accept()", || {
        let printed = process(&[&server]);
        (printed.stdout.lines().next() == Some(&expected)).then_some(())
    });
    let printed = process(&[&client]);
    let first = printed.stdout.lines().next().unwrap();
    assert_eq!(
        first,
        format!("python3[{client}] talks to 1 server (python3[{server}]).")
    );
    let row = printed.stdout.lines().last().unwrap();
    assert!(row.contains(&format!("python3[{server}] fd ")), "{row}");
    // Both at once, one row each.
    let printed = process(&[&client, "--pid", &server]);
    assert!(printed.stdout.starts_with("2 processes. They listen on"));
    assert!(
        printed
            .stdout
            .lines()
            .any(|line| line.starts_with(&format!("python3[{client}]"))
                && line.contains(&format!("1 server (python3[{server}])"))),
        "{}",
        printed.stdout
    );
}

#[test]
fn a_thread_with_descriptors_of_its_own_is_found_under_its_process() {
    let (ports, opened) = std::sync::mpsc::channel();
    let (done, end) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        unshare_descriptors();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        ports
            .send((listener.local_addr().unwrap().port(), tid))
            .unwrap();
        let _ = end.recv();
    });
    let (port, tid) = opened.recv().unwrap();
    let us = std::process::id().to_string();
    // Asked for by the thread's id, the process answers.
    let printed = process(&[&tid.to_string(), "--all"]);
    assert_eq!(printed.code, Some(0));
    assert!(
        printed
            .stderr
            .starts_with(&format!("inspect: {tid} is a thread of ")),
        "{}",
        printed.stderr
    );
    let row = printed
        .stdout
        .lines()
        .find(|line| line.contains(&format!("127.0.0.1:{port} ")) && line.contains("LISTEN"))
        .unwrap();
    assert!(row.contains(&format!("[{us}]")), "{row}");
    assert!(row.contains(&format!("thread {tid} fd ")), "{row}");
    assert!(
        printed.stdout.contains(&format!("thread {tid} ")),
        "{}",
        printed.stdout
    );
    drop(done);
    thread.join().unwrap();
}

#[expect(unsafe_code, reason = "the one thing tested here is made by it")]
fn unshare_descriptors() {
    // SAFETY: this thread owns nothing that was opened before, and what it opens from here on
    // stays its own.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }.unwrap();
}

#[test]
fn a_pool_of_64_workers_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("pool-{}", std::process::id());
    let program = named(folder.path(), &name);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut workers: Vec<Worker> = Vec::new();
    for _ in 0..64 {
        let shared = std::os::fd::OwnedFd::from(listener.try_clone().unwrap());
        let child = Command::new(&program).arg("600").stdin(shared).spawn();
        workers.push(Worker(child.unwrap()));
    }
    let head = format!("64 processes are named {name}. They listen on 127.0.0.1:{port}.");
    wait_for("64 workers", || {
        let printed = process(&[&name]);
        (printed.stdout.lines().next() == Some(&head)).then_some(())
    });
    let shown = run_on_terminal(inspect().args(["process", &name, "--color=never"]), 80);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.len() < 10, "{shown}");
    assert!(
        lines.iter().any(|line| line.starts_with("and 63 more")),
        "{shown}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with(&name) && line.contains(&format!(":{port} "))),
        "{shown}"
    );
    let first = workers.iter().map(|worker| worker.0.id()).min().unwrap();
    assert!(
        lines
            .last()
            .unwrap()
            .ends_with(&format!(" process {first}")),
        "{shown}"
    );
    // In a pipe each has its line, and in JSON its record; the socket is one.
    let printed = process(&[&name]);
    let mine = printed
        .stdout
        .lines()
        .filter(|line| line.starts_with(&name));
    assert_eq!(mine.count(), 64);
    let records = records(inspect().args(["process", &name, "--json"]));
    assert_eq!(of_type(&records, "process").len(), 64);
    let sockets = of_type(&records, "socket");
    assert_eq!(sockets.len(), 1);
    // This test's own process holds it as well.
    assert_eq!(sockets[0]["owners"].as_array().unwrap().len(), 65);
    let one = process(&[&first.to_string()]);
    assert!(one.stdout.contains(&name), "{}", one.stdout);
}

#[test]
fn what_is_not_there_is_exit_1_and_what_cannot_be_meant_2() {
    let printed = process(&["no-such-process"]);
    assert_eq!(printed.code, Some(1));
    assert_eq!(printed.stdout, "No process is named no-such-process.\n");
    let printed = process(&["--pid", "4294967295"]);
    assert_eq!(printed.code, Some(1));
    assert_eq!(printed.stdout, "There is no process 4294967295.\n");
    let printed = process(&["no-such-process", "--json"]);
    assert_eq!(printed.code, Some(1));
    assert_eq!(printed.stdout.lines().count(), 2, "{}", printed.stdout);
    // One that is there does not make up for one that is not.
    let printed = process(&[&std::process::id().to_string(), "no-such-process"]);
    assert_eq!(printed.code, Some(1));
    assert!(
        printed
            .stdout
            .ends_with("\nNo process is named no-such-process.\n")
    );
    for arguments in [&[][..], &["--json"], &["x", "--no-owners"], &["--pid", "x"]] {
        let printed = process(arguments);
        assert_eq!(printed.code, Some(2), "{arguments:?}");
        assert_eq!(printed.stdout, "");
    }
}

#[test]
fn a_hostile_process_is_inert_on_a_terminal_and_exact_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let program = named(folder.path(), "ev\u{1b}[31m) x");
    let directory = folder.path().join("\u{202e}dir\n");
    std::fs::create_dir(&directory).unwrap();
    let worker = Worker(
        Command::new(&program)
            .arg0("\u{1b}]0;title\u{7}")
            .arg("600")
            .current_dir(&directory)
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let pid = worker.0.id().to_string();
    wait_for("the name", || {
        let printed = process(&[&pid]);
        printed
            .stdout
            .starts_with(&format!("ev\\u{{1b}}\\[31m) x[{pid}] holds no sockets."))
            .then_some(())
    });
    let shown = run_on_terminal(inspect().args(["process", &pid, "--color=never"]), 80);
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown}");
    assert!(shown.contains("\\u{202e}dir\\n"), "{shown}");
    let records = records(inspect().args(["process", &pid, "--json"]));
    let about = of_type(&records, "process")[0];
    assert_eq!(about["command"], "ev\u{1b}[31m) x");
    assert_eq!(about["command_line"][0], "\u{1b}]0;title\u{7}");
    assert_eq!(about["directory"], directory.to_str().unwrap());
}

#[test]
fn one_that_has_ended_is_told_from_one_that_is_gone() {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id().to_string();
    wait_for("its end", || {
        let printed = process(&[&pid]);
        printed
            .stdout
            .starts_with(&format!("true[{pid}] has ended and waits for "))
            .then(|| assert_eq!(printed.code, Some(0)))
    });
    child.wait().unwrap();
    assert_eq!(process(&[&pid]).code, Some(1));
}

#[test]
fn processes_that_come_and_go_are_no_error() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let folder = tempfile::tempdir().unwrap();
    let name = format!("brief-{}", std::process::id());
    let program = named(folder.path(), &name);
    let stay = Worker(Command::new(&program).arg("600").spawn().unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Command::new(&program).arg("0.002").status().unwrap();
                }
            });
        }
        let looks = std::panic::catch_unwind(|| {
            wait_for("its name", || {
                (process(&[&name]).code == Some(0)).then_some(())
            });
            for _ in 0..20 {
                let printed = process(&[&name, "--json"]);
                assert_eq!(printed.code, Some(0), "{}", printed.stdout);
                assert_eq!(printed.stderr, "");
                let stayed = format!("\"pid\":{},", stay.0.id());
                assert!(printed.stdout.contains(&stayed), "{}", printed.stdout);
            }
        });
        done.store(true, Ordering::Relaxed);
        if let Err(failure) = looks {
            std::panic::resume_unwind(failure);
        }
    });
}
