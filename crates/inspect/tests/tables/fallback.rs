//! Where sock_diag may not be asked, or knows a table not, /proc/net is read, and that is said.

#![allow(unsafe_code)]

use inspect::model::State;
use inspect::sockets::{Choice, Query, Reading, Source as _, Table};

use crate::{World, source_of, tables};

/// What a filter answers to one kind of socket.
#[derive(Clone, Copy)]
enum Forbidden {
    /// Every socket(AF_NETLINK): EPERM.
    Netlink,
    /// Every sendto(): EACCES, as a security module may.
    Send,
}

/// Forbids this thread something by seccomp(2), for good.
fn forbid(what: Forbidden) {
    const AF_NETLINK: u32 = 16;
    let (call, argument, errno) = match what {
        Forbidden::Netlink => (libc::SYS_socket, Some(AF_NETLINK), libc::EPERM),
        Forbidden::Send => (libc::SYS_sendto, None, libc::EACCES),
    };
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: 0,
        jf: 0,
        k,
    };
    let skip_unless = |k: u32, skipped: u8| libc::sock_filter {
        jf: skipped,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k)
    };
    // `struct seccomp_data`: the call's number at 0, its first argument at 16 (little-endian).
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let mut filter = vec![statement(load, 0)];
    match argument {
        Some(argument) => filter.extend([
            skip_unless(u32::try_from(call).unwrap(), 3),
            statement(load, 16),
            skip_unless(argument, 1),
        ]),
        None => filter.push(skip_unless(u32::try_from(call).unwrap(), 1)),
    }
    let refuse = libc::SECCOMP_RET_ERRNO | u32::try_from(errno).unwrap();
    filter.push(statement(libc::BPF_RET, refuse));
    filter.push(statement(libc::BPF_RET, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).unwrap(),
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program, which outlives both calls; the filter binds this
    // thread only.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}

const TABLES: [Table; 4] = [Table::Tcp, Table::Tcp6, Table::Udp, Table::Unix];

#[test]
fn a_forbidden_netlink_is_replaced_and_said() {
    for (forbidden, word) in [
        (Forbidden::Netlink, "not permitted"),
        (Forbidden::Send, "denied"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let looks = std::thread::spawn(move || {
            forbid(forbidden);
            [Choice::Auto, Choice::Diag].map(|choice| tables(choice).look(&Query::all_of(TABLES)))
        });
        let [auto, diag] = looks.join().unwrap();
        assert_eq!(auto.gaps, []);
        for table in TABLES {
            let reading = reading(&auto.readings, table);
            assert_eq!(reading.source, Some("proc"), "{table:?}");
            let instead = reading.instead.as_ref().unwrap();
            assert!(
                instead.starts_with("sock_diag cannot be asked: "),
                "{instead}"
            );
            assert!(instead.contains(word), "{instead}");
        }
        let found = auto.sockets.iter().filter(|socket| {
            socket.state == State::Listen
                && socket
                    .endpoints()
                    .is_some_and(|(local, _)| local.port == port)
        });
        assert_eq!(found.count(), 1);
        // Who forbids the other source gets a gap for every table.
        assert_eq!(diag.sockets, []);
        assert_eq!(diag.cut, TABLES);
        assert_eq!(diag.gaps.len(), TABLES.len());
        assert!(
            diag.gaps[0]
                .reason
                .starts_with("tcp sockets were not listed: ")
        );
    }
}

fn reading(readings: &[Reading], table: Table) -> &Reading {
    let mut of_table = readings.iter().filter(|reading| reading.table == table);
    let reading = of_table.next().unwrap();
    assert_eq!(of_table.next(), None, "each table is read once");
    reading
}

#[test]
fn a_table_that_sock_diag_does_not_know_is_read_from_proc() {
    let auto = tables(Choice::Auto).look(&Query::all_of([Table::Icmp, Table::Tcp]));
    let icmp = reading(&auto.readings, Table::Icmp);
    assert_eq!(icmp.source, Some("proc"));
    assert_eq!(icmp.instead.as_deref(), Some("sock_diag has no such table"));
    assert_eq!(source_of(&auto, Table::Tcp), Some("diag"));
    let diag = tables(Choice::Diag).look(&Query::all_of([Table::Icmp]));
    assert_eq!(diag.cut, [Table::Icmp]);
    let proc = tables(Choice::Proc).look(&Query::all_of([Table::Tcp]));
    assert_eq!(reading(&proc.readings, Table::Tcp).instead, None);
}

#[test]
fn a_look_is_into_the_namespace_of_its_thread_by_either_source() {
    let Some(world) = World::new("a_look_is_into_the_namespace_of_its_thread_by_either_source")
    else {
        return;
    };
    let query = Query::all_of([Table::Tcp]);
    let ports = |choice| {
        // Made here, asked there.
        let mut tables = tables(choice);
        let found = world.within(|| tables.look(&query)).sockets;
        let mut ports: Vec<u16> = found
            .iter()
            .filter(|socket| socket.state == State::Listen)
            .map(|socket| socket.endpoints().unwrap().0.port)
            .collect();
        ports.sort_unstable();
        ports
    };
    let diag = ports(Choice::Diag);
    assert!(diag.contains(&2345), "{diag:?}");
    assert_eq!(ports(Choice::Proc), diag);
}

#[test]
fn the_channel_itself_is_in_no_look() {
    let mut tables = tables(Choice::Diag);
    let query = Query::all_of([Table::Netlink]);
    let own = std::process::id();
    for _ in 0..3 {
        for socket in tables.look(&query).sockets {
            let inspect::sockets::Address::Netlink { protocol, port_id } = socket.address else {
                panic!("{socket:?}");
            };
            assert!(protocol != 4 || port_id != own, "{socket:?}");
        }
    }
}

#[test]
fn a_raised_stop_signal_ends_a_look_with_a_gap() {
    let stop = inspect::stop::Stop::new().unwrap();
    stop.raise();
    let mut tables = inspect::sockets::Tables::new(Choice::Auto, None, stop);
    let look = tables.look(&Query::all_of([Table::Tcp, Table::Tcp6]));
    assert_eq!(look.sockets, []);
    assert_eq!(look.cut, [Table::Tcp, Table::Tcp6]);
    assert!(look.gaps[0].reason.ends_with("stopped"), "{:?}", look.gaps);
}
