//! Each test of the language, put to rows that hold, do not hold, and do not tell.

use super::super::tests_support::*;
use crate::listing::{Listing, Row, Undecided};
use crate::model::{
    Family, ForeignText, Inode, NetworkNamespace, Pid, Protocol, State, Uid, UnixAddress,
};
use crate::owners::tests_support::{seen, unreadable};
use crate::processes::Placement;
use crate::selection::{Numbers, Selection, parse};
use crate::sockets::{Address, Detail, Socket, TcpInfo};

fn selection(text: &str) -> Selection {
    parse(text, &Numbers).unwrap().selection
}

/// Yes, no or unknown for each row, in the order of the sockets.
fn answers(listing: &Listing, text: &str) -> String {
    let selection = selection(text);
    let rows = listing.rows();
    rows.iter()
        .map(|row| match decided(&row, &selection) {
            Some(true) => 'y',
            Some(false) => 'n',
            None => '?',
        })
        .collect()
}

fn decided(row: &Row<'_>, selection: &Selection) -> Option<bool> {
    selection.holds(&mut |test| super::answer(row, test, &mut placement))
}

const CONTAINER: &str = "4f2a456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Process 100 is nginx in its unit, 200 is in a container, 300 cannot be read.
fn placement(pid: Pid) -> Option<Placement> {
    match pid {
        Pid(100) => Some(Placement::of_path(b"/system.slice/nginx.service")),
        Pid(200) => Some(Placement::of_path(
            format!("/docker/{CONTAINER}").as_bytes(),
        )),
        Pid(201) => Some(Placement::of_path(b"/lxc/web")),
        _ => None,
    }
}

fn check(listing: &Listing, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(answers(listing, text), *expected, "{text}");
    }
}

/// A listener, its connection's two ends, one to elsewhere, TIME_WAIT; then v6, UDP, raw.
fn inet() -> Listing {
    let mut other = tcp(
        State::Established,
        "[2001:db8::5]:443",
        "[2001:db8::6]:999",
        6,
    );
    other.uid = Some(Uid(33));
    let mut udp = tcp(State::Unconnected, "0.0.0.0:68", "0.0.0.0:0", 7);
    udp.protocol = Protocol::Udp;
    let mut raw = tcp(State::Unconnected, "0.0.0.0:1", "0.0.0.0:0", 8);
    raw.protocol = Protocol::Raw;
    Listing::new(
        vec![
            tcp(State::Listen, "0.0.0.0:80", "0.0.0.0:0", 1),
            tcp(State::Established, "127.0.0.1:80", "127.0.0.1:5000", 2),
            tcp(
                State::Established,
                "[::ffff:127.0.0.1]:5000",
                "[::ffff:127.0.0.1]:80",
                3,
            ),
            tcp(State::Established, "10.1.2.3:5001", "10.9.9.9:22", 4),
            tcp(State::TimeWait, "127.0.0.1:80", "127.0.0.1:5002", 0),
            other,
            udp,
            raw,
        ],
        holdings(&[
            (1, 100, 3, "nginx"),
            (2, 100, 4, "nginx"),
            (3, 200, 3, "curl"),
            (4, 300, 3, "ssh"),
            (6, 201, 3, "77"),
        ]),
    )
}

#[test]
fn ends() {
    check(
        &inet(),
        &[
            ("sport = :80", "yynnynnn"),
            ("dport = :80", "nnynnnnn"),
            ("not sport = :80", "nnyynyyy"),
            ("sport < :80", "nnnnnnyn"),
            ("sport <= :80", "yynnynyn"),
            ("sport > :80", "nnyynynn"),
            ("sport >= :443", "nnyynynn"),
            // What is not connected has port 0 there, as for ss.
            ("dport = :0", "ynnnnnyn"),
            ("dport < :1024", "ynyynyyn"),
            (":80", "yyynynnn"),
            ("src 127.0.0.0/8", "nyynynnn"),
            ("dst 127.0.0.1", "nyynynnn"),
            ("dst [::ffff:127.0.0.1]", "nnynnnnn"),
            ("dst [::/0]", "nnynnynn"),
            ("dst 0.0.0.0/0", "yyyyynyy"),
            ("dst 0.0.0.0", "ynnnnnyy"),
            ("dst 10.0.0.0/8", "nnnynnnn"),
            ("src [2001:db8::]/32", "nnnnnynn"),
            ("host 10.9.9.9", "nnnynnnn"),
            ("src inet:*", "yynyynyy"),
            ("src 127.0.0.1:80", "nynnynnn"),
            ("src unix:*", "nnnnnnnn"),
        ],
    );
}

#[test]
fn states_families_protocols_users() {
    check(
        &inet(),
        &[
            ("state established", "nyyynynn"),
            ("state connected", "nyyyyynn"),
            ("state bucket", "nnnnynnn"),
            ("exclude established", "ynnnynyy"),
            ("state closed", "nnnnnnyy"),
            ("state all", "yyyyyyyy"),
            ("exclude all", "nnnnnnnn"),
            ("family = inet6", "nnynnynn"),
            ("protocol = udp", "nnnnnnyn"),
            ("user = 33", "nnnnnynn"),
            ("not user = 33", "yyyyynyy"),
            ("state listening user = 33", "nnnnnnnn"),
        ],
    );
}

#[test]
fn owners_and_the_other_end() {
    check(
        &inet(),
        &[
            ("process = nginx", "yynnnnnn"),
            ("process = ngin*", "yynnnnnn"),
            ("process = ?url", "nnynnnnn"),
            ("not process = nginx", "nnyyyyyy"),
            ("pid = 200", "nnynnnnn"),
            ("peer = curl", "nynnnnnn"),
            ("peer = c*", "nynnnnnn"),
            ("peer = 200", "nynnnnnn"),
            ("peer = nginx", "nnynnnnn"),
            ("peer = '77'", "nnnnnnnn"),
            ("process = 77", "nnnnnynn"),
            ("unit = nginx", "yyn?nnnn"),
            ("unit = *.service", "yyn?nnnn"),
            ("container = 4f2a", "nny?nnnn"),
            ("container = 4F2A", "nnn?nnnn"),
            ("container = web", "nnn?nynn"),
            ("container = we", "nnn?nnnn"),
            ("not unit = nginx", "nny?yyyy"),
        ],
    );
}

#[test]
fn owners_that_are_hidden_or_not_asked_for_leave_it_open() {
    let sockets = || {
        vec![
            tcp(State::Established, "127.0.0.1:80", "127.0.0.1:5000", 2),
            tcp(State::Established, "127.0.0.1:5000", "127.0.0.1:80", 3),
        ]
    };
    let mut partly = seen(&[(2, 100, 4, "nginx", None)]);
    partly.unreadable.push(unreadable(9));
    check(
        &Listing::new(sockets(), partly.into()),
        &[
            ("process = nginx", "y?"),
            ("process = curl", "n?"),
            ("peer = nginx", "?y"),
            ("peer = curl", "?n"),
            ("unit = nginx", "y?"),
            ("process = nginx or sport = :5000", "yy"),
        ],
    );
    check(
        &Listing::new(sockets(), crate::owners::Holdings::not_asked()),
        &[
            ("process = nginx", "??"),
            ("peer = 1", "??"),
            ("unit = x", "??"),
        ],
    );
}

#[test]
fn what_the_source_may_not_tell() {
    let with = |detail: Detail| {
        let mut socket = tcp(State::Established, "127.0.0.1:80", "127.0.0.1:5000", 2);
        socket.detail = Some(Box::new(detail));
        socket
    };
    let mut told = with(Detail {
        mark: Some(0x13),
        cgroup: Some(77),
        autobound: Some(true),
        tcp: Some(Box::new(TcpInfo {
            rtt_us: Some(20_000),
            retransmits: Some(3),
            ..TcpInfo::default()
        })),
        ..Detail::default()
    });
    told.recv_queue = Some(5);
    told.send_queue = Some(65_536);
    told.netns = Some(NetworkNamespace(42));
    told.interface = Some(2);
    let mut untold = with(Detail::default());
    untold.recv_queue = None;
    untold.send_queue = None;
    let mut never = told.clone();
    never.state = State::Listen;
    let mut not_yet = with(Detail {
        tcp: Some(Box::new(TcpInfo {
            rtt_us: Some(0),
            retransmits: Some(1),
            ..TcpInfo::default()
        })),
        ..Detail::default()
    });
    not_yet.state = State::SynSent;
    not_yet.interface = Some(0);
    check(
        &Listing::new(vec![told, untold, never, not_yet], holdings(&[])),
        &[
            ("fwmark = 0x3/0x3", "y?y?"),
            ("fwmark = 0x13", "y?y?"),
            ("fwmark = 0x3", "n?n?"),
            ("cgroup = 77", "y?y?"),
            ("cgroup = 78", "n?n?"),
            // Its port is 80: whoever asked for it, the kernel did not choose it.
            ("autobound", "nnnn"),
            ("not autobound", "yyyy"),
            ("dev = 2", "y?yn"),
            ("dev = 0", "n?ny"),
            ("netns = 42", "y?y?"),
            ("recvq > 0", "y?yn"),
            ("recvq = 5", "y?yn"),
            ("sendq >= 64k", "y?yn"),
            ("sendq > 64k", "n?nn"),
            ("rtt > 19ms", "y?nn"),
            ("rtt < 1s", "y?nn"),
            ("rtt > 20ms", "n?nn"),
            ("retrans > 0", "y?ny"),
            ("retrans = 3", "y?nn"),
            ("retrans > 0 or sport = :80", "yyyy"),
        ],
    );
}

fn unix(state: State, name: UnixAddress, inode: u64, peer: Option<u64>) -> Socket {
    let mut socket = tcp(state, "127.0.0.1:1", "127.0.0.1:2", inode);
    socket.family = Family::Unix;
    socket.protocol = Protocol::UnixStream;
    socket.address = Address::Unix {
        name,
        peer: peer.map(Inode),
    };
    socket
}

#[test]
fn unix_names() {
    let path = |text: &str| UnixAddress::Path(ForeignText::from(text));
    let named = |text: &str| UnixAddress::Abstract(ForeignText::from(text));
    let listing = Listing::new(
        vec![
            unix(State::Listen, path("/run/Bus"), 1, None),
            unix(State::Established, path("/run/Bus"), 2, Some(3)),
            unix(State::Established, UnixAddress::Unnamed, 3, Some(2)),
            unix(State::Listen, named("bus"), 4, None),
            unix(State::Listen, named("0702c"), 5, None),
            unix(State::Established, UnixAddress::Unnamed, 6, Some(99)),
            unix(State::Established, UnixAddress::Unnamed, 7, None),
        ],
        holdings(&[(2, 10, 3, "server"), (3, 11, 3, "client")]),
    );
    check(
        &listing,
        &[
            ("src /run/Bus", "yynnnnn"),
            ("src /RUN/b*", "yynnnnn"),
            ("src @bus", "nnnynnn"),
            ("src unix:*bus", "yynynnn"),
            ("src unix:*", "yyyyyyy"),
            ("src unix:", "nnynnyy"),
            ("dst /run/bus", "nnynn??"),
            ("dst unix:", "nynnn??"),
            ("peer = client", "nynnn??"),
            ("autobound", "nnynyyy"),
            ("sport = :1", "nnnnnnn"),
            ("not sport = :1", "yyyyyyy"),
            ("src 127.0.0.1", "nnnnnnn"),
            ("rtt > 0", "nnnnnnn"),
        ],
    );
}

#[test]
fn a_port_that_nobody_asked_for_is_in_the_range_of_those_that_are_given() {
    let of = |local: &str, told| {
        let mut socket = tcp(State::Established, local, "127.0.0.1:80", 1);
        socket.detail = Some(Box::new(Detail {
            autobound: told,
            ..Detail::default()
        }));
        socket
    };
    let listing = Listing::new(
        vec![
            of("127.0.0.1:40000", Some(true)),
            of("127.0.0.1:40000", Some(false)),
            of("127.0.0.1:40000", None),
            of("127.0.0.1:8080", Some(true)),
            of("127.0.0.1:8080", None),
        ],
        holdings(&[]),
    );
    check(
        &listing,
        &[("autobound", "yn?nn"), ("not autobound", "ny?yy")],
    );
}

#[test]
fn netlink_packet_and_vsock_sockets() {
    let of = |address: Address| {
        let mut socket = tcp(State::Unconnected, "127.0.0.1:1", "127.0.0.1:2", 1);
        socket.protocol = Protocol::Netlink;
        socket.address = address;
        socket
    };
    let netlink = |port_id| Address::Netlink {
        protocol: 0,
        port_id,
    };
    let listing = Listing::new(
        vec![
            of(netlink(4845)),
            of(netlink(u32::MAX - 5)),
            of(Address::Packet {
                ethertype: 3,
                interface: 2,
            }),
            of(Address::Vsock {
                local: (2, 70_000),
                remote: (3, 80),
            }),
            of(Address::Tipc { reference: 1 }),
        ],
        holdings(&[]),
    );
    check(
        &listing,
        &[
            ("autobound", "nyny?"),
            ("dev = 2", "??y??"),
            ("sport > :1023", "nnnyn"),
            ("dport = :80", "nnnyn"),
        ],
    );
}

#[test]
fn what_is_left_open_is_counted_by_its_reason() {
    let mut untold = tcp(State::Established, "127.0.0.1:80", "127.0.0.1:5000", 2);
    untold.recv_queue = None;
    let mut partly = seen(&[(2, 100, 4, "nginx", None)]);
    partly.unreadable.push(unreadable(9));
    let listing = Listing::new(
        vec![
            untold,
            tcp(State::Established, "127.0.0.1:5000", "127.0.0.1:80", 3),
            tcp(State::TimeWait, "127.0.0.1:80", "127.0.0.1:5002", 0),
        ],
        partly.into(),
    );
    let left = |text: &str| {
        let mut rows = listing.rows();
        let undecided = rows.select_by(&selection(text), &mut placement);
        (rows.len(), undecided)
    };
    let by_source = |count, words: &[&'static str]| Undecided {
        by_owner: 0,
        by_source: count,
        untold: words.iter().copied().collect(),
    };
    assert_eq!(left("rtt > 0"), (0, by_source(2, &["rtt"])));
    assert_eq!(
        left("retrans > 0 rtt > 0"),
        (0, by_source(2, &["retrans", "rtt"]))
    );
    assert_eq!(left("recvq = 0"), (2, by_source(1, &["recvq"])));
    let (kept, undecided) = left("process = nginx");
    assert_eq!((kept, undecided.by_owner, undecided.by_source), (1, 1, 0));
    assert_eq!(undecided.total(), 1);
    // A row that both leave open is counted once, by the reason that can be cured.
    let (kept, undecided) = left("process = curl and rtt > 0 and dport = :80");
    assert_eq!((kept, undecided.by_owner, undecided.by_source), (0, 1, 0));
}
