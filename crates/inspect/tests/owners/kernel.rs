//! What the kernel program tells.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::thread;

use inspect::bpf::{self, Record, SocketDescriptors, Sockets};
use inspect::model::Inode;
use inspect::owners::{Choice, Finder, Source as _};
use rustix::thread::UnshareFlags;

use crate::support::have_root;
use crate::{inode, stop, unshare};

/// What is told of this process. Others hold its sockets too, for as long as another test takes
/// to start a program.
fn records(sockets: Sockets<'_>) -> Vec<Record> {
    let mut descriptors = SocketDescriptors::open(sockets).unwrap();
    let mut found = Vec::new();
    while let Some(records) = descriptors.next_records().unwrap() {
        found.extend(records.filter(|record| record.pid.0 == std::process::id()));
    }
    found
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
    assert!(!holdings.held().is_empty());
    assert!(holdings.held().iter().all(|held| held.inode == inodes[0]));
}
