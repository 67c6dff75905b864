//! Which way is taken, and why.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::thread;

use inspect::bpf::{self, SocketDescriptors, Sockets};
use inspect::owners::{Choice, Finder, KernelList, Reason, Source as _};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid,
};

use crate::support::{have_root, inspect, run};
use crate::{PART, Part, inode, stop};

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
        Reason::Many(_) | Reason::Uncounted | Reason::Hidden(_) => assert_eq!(name, "bpf"),
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
fn the_program_says_which_way_it_took_and_both_show_the_same() {
    if !have_root("the_program_says_which_way_it_took_and_both_show_the_same") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!(":{}", listener.local_addr().unwrap().port());
    let shown = ["bpf", "proc"].map(|way| {
        let printed = run(inspect().args(["sockets", &port, "--json", "-v", "--owners", way]));
        let records: Vec<serde_json::Value> = printed
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let sources = records[0]["sources"].as_array().unwrap();
        assert!(sources.contains(&way.into()), "{sources:?}");
        // Others hold it too, for as long as another test takes to start a program.
        let mut owners = records[1]["owners"].as_array().unwrap().clone();
        owners.retain(|owner| owner["pid"] == std::process::id());
        (owners, printed.stderr)
    });
    let [(by_kernel, kernel_said), (walked, walk_said)] = shown;
    assert_eq!(by_kernel.len(), 1);
    assert_eq!(by_kernel, walked);
    assert!(
        kernel_said.contains("owners: a kernel program lists descriptors (bpf)"),
        "{kernel_said}"
    );
    assert!(
        walk_said.contains("owners: a walk over /proc/PID/fd"),
        "{walk_said}"
    );
}

#[test]
fn what_a_walk_may_not_read_the_kernel_program_lists() {
    if !have_root("what_a_walk_may_not_read_the_kernel_program_lists") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inode = inode(&listener);
    // Capabilities belong to threads as well.
    let checked = thread::spawn(move || {
        let enough = CapabilitySet::BPF | CapabilitySet::PERFMON;
        rustix::thread::set_capabilities(
            None,
            CapabilitySets {
                effective: enough,
                permitted: enough,
                inheritable: CapabilitySet::empty(),
            },
        )
        .unwrap();
        let mut finder = Finder::new(Choice::Auto, "/proc", stop());
        let found = finder.look();
        assert_eq!((finder.name(), finder.reason()), ("bpf", &Reason::Rights));
        let owners = found.of(inode).0;
        assert!(owners.iter().any(|it| it.pid.0 == std::process::id()));
        assert_eq!(found.unreadable(), []);
    });
    checked.join().unwrap();
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
    assert!(Part::test("choice::in_a_user_namespace", &unshare).succeeds());
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

#[test]
fn a_socket_of_a_guarded_process_1_is_not_said_to_be_nobodys() {
    let test = "a_socket_of_a_guarded_process_1_is_not_said_to_be_nobodys";
    if !have_root(test) {
        return;
    }
    let guarded = std::fs::read_dir("/proc/1/fd").is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| std::fs::read_link(entry.path()).is_err()))
    });
    let found = Finder::new(Choice::Bpf, "/proc", stop()).look();
    let hidden = found.unreadable().iter().any(|process| process.pid.0 == 1);
    assert_eq!(hidden, guarded);
}
