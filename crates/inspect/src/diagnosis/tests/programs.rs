//! Who holds listeners: strangers on one port, and those who outlived their parents.

use super::*;

fn sharing(first: Standing, second: Standing) -> Machine {
    let mut machine = Machine::new()
        .with(queue(10, "0.0.0.0:80", 0, 128))
        .with(queue(11, "0.0.0.0:80", 0, 128))
        .held(10, 100, 3, "one")
        .held(11, 101, 3, "two");
    machine.standing = BTreeMap::from([(Pid(100), first), (Pid(101), second)]);
    machine
}

#[test]
fn different_programs_on_one_port_are_found() {
    let machine = sharing(program("/usr/bin/one", 0), program("/usr/bin/two", 0));
    let found = machine.still();
    assert_eq!(names(&found), ["shared-port"]);
    let Evidence::SharedPort {
        sockets, sharers, ..
    } = &found[0].evidence
    else {
        panic!("{found:?}")
    };
    assert_eq!((*sockets, sharers.len()), (2, 2));
    assert_eq!(found[0].holders.processes, 2);
    let users = sharing(program("/usr/bin/one", 0), program("/usr/bin/one", 33));
    assert_eq!(names(&users.still()), ["shared-port"]);
}

#[test]
fn a_pool_of_workers_on_one_port_is_well() {
    let pool = sharing(program("/usr/bin/one", 33), program("/usr/bin/one", 33));
    assert_eq!(names(&pool.still()), NOTHING);
    // Replaced on disk while the old one still runs.
    let replaced = sharing(
        program("/usr/bin/one", 33),
        program("/usr/bin/one (deleted)", 33),
    );
    assert_eq!(names(&replaced.still()), NOTHING);
    // A master that holds its workers' listeners too.
    let held = sharing(program("/usr/bin/one", 0), program("/usr/bin/two", 33))
        .held(11, 100, 4, "one")
        .held(10, 101, 4, "two");
    assert_eq!(names(&held.still()), NOTHING);
}

#[test]
fn where_a_program_is_not_told_its_name_must_do() {
    let nameless = Standing {
        executable: None,
        ..program("", 33)
    };
    let mut machine = sharing(nameless.clone(), program("/usr/bin/two", 33));
    assert_eq!(names(&machine.still()), ["shared-port"]);
    machine.owners = vec![(10, 100, 3, "two"), (11, 101, 3, "two")];
    assert_eq!(names(&machine.still()), NOTHING);
}

/// So many processes that hold so many listeners on one port each.
fn workers(processes: u32, each: u32, executable: impl Fn(u32) -> String) -> Machine {
    let mut machine = Machine::new();
    for number in 0..processes * each {
        let (inode, pid) = (u64::from(number) + 1, number % processes + 1);
        machine = machine
            .with(queue(inode, "0.0.0.0:80", 0, 128))
            .held(inode, pid, number, "worker");
    }
    for pid in 1..=processes {
        machine
            .standing
            .insert(Pid(pid), program(&executable(pid), 33));
    }
    machine
}

#[test]
fn many_workers_on_one_port_are_compared_by_program() {
    let begun = std::time::Instant::now();
    let pool = workers(100, 300, |_| "/usr/bin/worker".to_owned());
    assert_eq!(names(&pool.still()), NOTHING);
    // A master that holds them all is what they have in common.
    let mut led = workers(1_500, 4, |pid| format!("/usr/bin/worker-{pid}"));
    assert_eq!(names(&led.still()), ["shared-port"]);
    for inode in 1..=6_000 {
        led = led.held(inode, 77_777, u32::try_from(inode).unwrap(), "master");
    }
    led.standing
        .insert(Pid(77_777), program("/usr/bin/master", 0));
    assert_eq!(names(&led.still()), NOTHING);
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}

fn orphan(session: u32) -> Standing {
    Standing {
        session: Some(Pid(session)),
        parent_session: Some(Pid(1)),
        ..program("/bin/sleep", 0)
    }
}

fn inherited(standing: Standing, survives: bool, awaited: Option<bool>) -> Machine {
    let mut machine = Machine::new()
        .with(queue(10, "0.0.0.0:80", 0, 128))
        .held(10, 100, 3, "sleep");
    machine.standing = BTreeMap::from([(Pid(100), standing)]);
    machine.attention = BTreeMap::from([(
        (Pid(100), Fd(3)),
        Attention {
            survives_exec: Some(survives),
            awaited,
        },
    )]);
    machine
}

#[test]
fn a_listener_that_an_orphan_holds_and_nobody_serves_is_found() {
    let machine = inherited(orphan(50), true, Some(false));
    assert_eq!(names(&machine.still()), ["inherited-socket"]);
    for well in [
        // Its parent lives, or it is a service of its own.
        inherited(program("/bin/sleep", 0), true, Some(false)),
        inherited(orphan(100), true, Some(false)),
        // A daemon that forked twice, and serves.
        inherited(orphan(50), true, Some(true)),
        inherited(orphan(50), true, None),
        // It made the socket itself: exec() would have closed it.
        inherited(orphan(50), false, Some(false)),
        // Nothing is known.
        inherited(Standing::default(), true, Some(false)),
    ] {
        assert_eq!(names(&well.still()), NOTHING, "{:?}", well.standing);
    }
}

#[test]
fn orphans_that_share_a_listener_have_it_from_a_parent_that_is_gone() {
    let mut machine = inherited(orphan(50), false, Some(true)).held(10, 101, 3, "worker");
    machine.standing.insert(Pid(101), orphan(50));
    let found = machine.still();
    assert_eq!(names(&found), ["inherited-socket"]);
    assert!(matches!(
        found[0].evidence,
        Evidence::Inherited { holders: 2, .. }
    ));
    // One of them is the master: its parent is gone, and it is the parent of the other.
    machine.standing.insert(Pid(101), program("/bin/worker", 0));
    assert_eq!(names(&machine.still()), NOTHING);
}

#[test]
fn who_may_have_a_hidden_holder_is_not_said_to_be_inherited() {
    let mut machine = inherited(orphan(50), true, Some(false));
    machine.owners.clear();
    machine.hidden = true;
    assert_eq!(names(&machine.still()), NOTHING);
}
