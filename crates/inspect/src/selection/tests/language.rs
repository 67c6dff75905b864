//! What is understood, and as what. The right column is the tree as it writes itself.

use super::super::parse_for_unix;
use super::{Machine, parsed, selection};

fn says(text: &str, tree: &str) {
    assert_eq!(selection(text).to_string(), tree, "{text}");
}

#[test]
fn ports() {
    for (text, tree) in [
        ("sport = :2345", "sport = :2345"),
        ("sport 2345", "sport = :2345"),
        ("sport :2345", "sport = :2345"),
        ("sport == 2345", "sport = :2345"),
        ("sport=:2345", "sport = :2345"),
        ("SPORT EQ :2345", "sport = :2345"),
        ("dport = :http", "dport = :80"),
        ("dport = http", "dport = :80"),
        ("dport = :ftp-data", "dport = :20"),
        ("dport = :3com-tsmux", "dport = :106"),
        ("sport = 0x50", "sport = :80"),
        ("sport = :0", "sport = :0"),
        ("sport = inet::80", "family = inet and sport = :80"),
        ("sport != :80", "not sport = :80"),
        ("sport ne :80", "not sport = :80"),
        ("sport neq :80", "not sport = :80"),
        ("sport < :80", "sport < :80"),
        ("sport lt :80", "sport < :80"),
        ("sport <= :80", "sport <= :80"),
        ("sport leq :80", "sport <= :80"),
        ("sport > :80", "sport > :80"),
        ("sport gt :80", "sport > :80"),
        ("sport >= :80", "sport >= :80"),
        ("sport geq :80", "sport >= :80"),
        ("sport = :80-89", "sport >= :80 and sport <= :89"),
        ("sport != :80-89", "not ( sport >= :80 and sport <= :89 )"),
        ("sport = *", "state all"),
        (":2345", ":2345"),
        (":http", ":80"),
        (":80 :443", ":80 or :443"),
        (":80 and :443", ":80 and :443"),
        (
            ":80 :443 state established",
            "( :80 or :443 ) and state established",
        ),
        ("port = 80", ":80"),
        ("port != 80", "not :80"),
        ("port > 1023", "sport > :1023 or dport > :1023"),
        (
            ":80-89",
            "( sport >= :80 and sport <= :89 ) or ( dport >= :80 and dport <= :89 )",
        ),
    ] {
        says(text, tree);
    }
}

#[test]
fn addresses() {
    for (text, tree) in [
        ("dst 10.0.0.0/8", "dst 10.0.0.0/8"),
        ("dst 10.1.2.3/8", "dst 10.0.0.0/8"),
        ("dst 10/8", "dst 10.0.0.0/8"),
        ("dst 193.233.7/24", "dst 193.233.7.0/24"),
        ("dst 10.0.0.0/255.255.0.0", "dst 10.0.0.0/16"),
        ("dst 0.0.0.0/0", "dst 0.0.0.0/0"),
        ("dst = 127.0.0.1", "dst 127.0.0.1"),
        ("dst != 127.0.0.1", "not dst 127.0.0.1"),
        ("src 127.0.0.1:2345", "src 127.0.0.1 and sport = :2345"),
        ("src 127.0.0.1:http", "src 127.0.0.1 and sport = :80"),
        ("src 127.0.0.1:*", "src 127.0.0.1"),
        ("src 127.0.0.0/8:80", "src 127.0.0.0/8 and sport = :80"),
        ("src :80", "sport = :80"),
        ("src *:80", "sport = :80"),
        ("src *", "state all"),
        ("dst [::1]", "dst [::1]"),
        ("dst [::1]:80", "dst [::1] and dport = :80"),
        ("src [2001:db8::]/32", "src [2001:db8::/32]"),
        ("src [2001:db8::/32]", "src [2001:db8::/32]"),
        (
            "src [2001:db8::]/32:80",
            "src [2001:db8::/32] and sport = :80",
        ),
        (
            "src [2001:db8::/32]:80",
            "src [2001:db8::/32] and sport = :80",
        ),
        ("src 2001:db8::/32", "src [2001:db8::/32]"),
        ("src ::/0", "src [::/0]"),
        ("src inet:10.0.0.1", "family = inet and src 10.0.0.1"),
        ("src inet6:*", "family = inet6"),
        ("dst printer", "dst 192.168.0.9"),
        ("dst printer:80", "dst 192.168.0.9 and dport = :80"),
        ("dst localhost", "dst 127.0.0.1 or dst [::1]"),
        ("dst inet6:localhost", "family = inet6 and dst [::1]"),
        ("not dst localhost", "not ( dst 127.0.0.1 or dst [::1] )"),
        ("host 127.0.0.1", "host 127.0.0.1"),
        ("host [::1]", "host [::1]"),
        ("host localhost", "host 127.0.0.1 or host [::1]"),
        ("host 10/8", "src 10.0.0.0/8 or dst 10.0.0.0/8"),
        (
            "host 10.0.0.1:80",
            "( src 10.0.0.1 and sport = :80 ) or ( dst 10.0.0.1 and dport = :80 )",
        ),
        ("src /run/x*", "src unix:/run/x*"),
        ("src @abstract", "src unix:@abstract"),
        ("src unix:*bus*", "src unix:*bus*"),
        ("src unix:", "src unix:\"\""),
        ("src /run/a=b(1)", "src unix:\"/run/a=b(1)\""),
        ("src /run/[a-c]?", "src unix:/run/[a-c]?"),
        ("src '/run/a b'*", "src unix:\"/run/a b\"*"),
        ("dst \"/run/*\"", "dst unix:\"/run/*\""),
    ] {
        says(text, tree);
    }
}

#[test]
fn for_unix_sockets_alone_every_name_is_one_of_theirs() {
    let parsed = parse_for_unix("src *sock* or dst bus", &Machine).unwrap();
    assert_eq!(
        parsed.selection.to_string(),
        "src unix:*sock* or dst unix:bus"
    );
}

#[test]
fn states_are_one_set() {
    let connected = "state syn-sent or state syn-recv or state established or state fin-wait-1 \
                     or state fin-wait-2 or state close-wait or state closing or state last-ack \
                     or state time-wait";
    let synchronized = connected.strip_prefix("state syn-sent or ").unwrap();
    for (text, tree) in [
        ("state established", "state established"),
        ("state ESTAB", "state established"),
        ("STATE = fin_wait1", "state fin-wait-1"),
        ("state syn-rcv", "state syn-recv"),
        ("state connected", connected),
        ("state synchronized", synchronized),
        ("state bucket", "state syn-recv or state time-wait"),
        ("state all", "state all"),
        ("exclude all", "exclude all"),
        ("state big state bucket", "state all"),
        ("exclude big", "state syn-recv or state time-wait"),
        ("excl big", "state syn-recv or state time-wait"),
        ("state != big", "state syn-recv or state time-wait"),
        ("state closed", "state = unconnected or state = closed"),
        ("state unconn", "state = unconnected or state = closed"),
        ("state = closed", "state = closed"),
        ("state = unconnected", "state = unconnected"),
        (
            "state listening state established",
            "state listening or state established",
        ),
        (
            "state established state listening exclude established",
            "state listening",
        ),
        ("state established exclude established", "exclude all"),
    ] {
        says(text, tree);
    }
}

#[test]
fn states_at_the_beginning_hold_for_all_that_follows() {
    for (text, tree) in [
        (
            "state established sport = :1 or sport = :2",
            "state established and ( sport = :1 or sport = :2 )",
        ),
        (
            "state established sport = :1 sport = :2",
            "state established and sport = :1 and sport = :2",
        ),
        (
            "state established ( sport = :1 or sport = :2 )",
            "state established and ( sport = :1 or sport = :2 )",
        ),
        (
            "state established or sport = :1",
            "state established or sport = :1",
        ),
        (
            "sport = :1 or state established",
            "sport = :1 or state established",
        ),
        ("not state established", "not state established"),
        (
            "( state established sport = :1 or sport = :2 ) or :3",
            "( state established and ( sport = :1 or sport = :2 ) ) or :3",
        ),
    ] {
        says(text, tree);
    }
}

/// Each was put to ss 6.1 with real sockets; see tests/selection.rs, where ss is asked again.
#[test]
fn and_and_or_bind_alike_from_the_left_as_in_ss() {
    for (text, tree, surprising) in [
        (
            "pid 1 or pid 2 and pid 3",
            "( pid = 1 or pid = 2 ) and pid = 3",
            true,
        ),
        (
            "pid 1 || pid 2 && pid 3",
            "( pid = 1 or pid = 2 ) and pid = 3",
            true,
        ),
        (
            "pid 1 or pid 2 pid 3",
            "( pid = 1 or pid = 2 ) and pid = 3",
            true,
        ),
        (
            "pid 1 or pid 2 not pid 3",
            "( pid = 1 or pid = 2 ) and not pid = 3",
            true,
        ),
        (
            "pid 1 and pid 2 or pid 3",
            "( pid = 1 and pid = 2 ) or pid = 3",
            false,
        ),
        (
            "pid 1 pid 2 or pid 3",
            "( pid = 1 and pid = 2 ) or pid = 3",
            false,
        ),
        (
            "pid 1 or ( pid 2 and pid 3 )",
            "pid = 1 or ( pid = 2 and pid = 3 )",
            false,
        ),
        (
            "(pid 1 or pid 2) and pid 3",
            "( pid = 1 or pid = 2 ) and pid = 3",
            false,
        ),
        (
            "pid 1 | pid 2 | pid 3",
            "pid = 1 or pid = 2 or pid = 3",
            false,
        ),
        (
            "pid 1 & pid 2 pid 3",
            "pid = 1 and pid = 2 and pid = 3",
            false,
        ),
        ("not pid 1 or pid 2", "not pid = 1 or pid = 2", false),
        ("not pid 1 pid 2", "not pid = 1 and pid = 2", false),
        ("! ! pid 1", "not not pid = 1", false),
        ("!(pid 1|pid 2)", "not ( pid = 1 or pid = 2 )", false),
        ("( ( pid 1 ) )", "pid = 1", false),
    ] {
        let parsed = parsed(text);
        assert_eq!(parsed.selection.to_string(), tree, "{text}");
        assert_eq!(parsed.left_to_right.is_some(), surprising, "{text}");
    }
    assert_eq!(
        parsed("pid 1 or pid 2 and pid 3").left_to_right,
        Some(15..18)
    );
}

#[test]
fn what_ss_knows_besides() {
    for (text, tree) in [
        ("", "state all"),
        (" \n\t", "state all"),
        ("dev lo", "dev = 1"),
        ("dev = 2", "dev = 2"),
        ("dev != lo", "not dev = 1"),
        ("fwmark = 0x1/0x3", "fwmark = 0x1/0x3"),
        ("fwmark 255", "fwmark = 0xff/0xffffffff"),
        ("fwmark != 1", "not fwmark = 0x1/0xffffffff"),
        ("cgroup = /user.slice", "cgroup = 77"),
        ("cgroup /sys/fs/cgroup/user.slice", "cgroup = 77"),
        ("cgroup /sys/fs/cgroup/unified/user.slice", "cgroup = 77"),
        ("cgroup /sys/fs/cgroup", "cgroup = 1"),
        ("cgroup != 4711", "not cgroup = 4711"),
        ("autobound", "autobound"),
        ("not autobound", "not autobound"),
    ] {
        says(text, tree);
    }
}

#[test]
fn what_ss_does_not_know() {
    for (text, tree) in [
        ("process = nginx", "process = nginx"),
        ("process nginx", "process = nginx"),
        ("process=nginx|pid=7", "process = nginx or pid = 7"),
        ("process != nginx", "not process = nginx"),
        ("process = ngin?-*", "process = ngin?-*"),
        ("process = 'Web Content'", "process = \"Web Content\""),
        ("process = Web\\ Content", "process = \"Web Content\""),
        ("process = \"and\"", "process = \"and\""),
        ("process = state", "process = state"),
        (
            "process = a-very-long-process-name",
            "process = a-very-long-pro",
        ),
        (
            "process = a-very-long-process*",
            "process = a-very-long-pro",
        ),
        (
            "process = \"\\x1b[31m\\xff\"",
            "process = \"\\u{1b}[31m\\xff\"",
        ),
        ("pid = 4845", "pid = 4845"),
        ("user = www-data", "user = 33"),
        ("user = 33", "user = 33"),
        ("container = 4f2a", "container = 4f2a"),
        ("unit = nginx.service", "unit = nginx.service"),
        ("unit = nginx", "unit = nginx.service"),
        ("unit = docker-*", "unit = docker-*"),
        ("netns = blue", "netns = 4026532008"),
        ("netns = 4026532008", "netns = 4026532008"),
        ("peer = nginx", "peer = nginx"),
        ("peer = ngin*", "peer = ngin*"),
        ("peer = 4845", "peer = 4845"),
        ("peer = '4845'", "peer = \"4845\""),
        ("recvq > 0", "recvq > 0"),
        ("recvq 0", "recvq = 0"),
        ("recvq != 0", "not recvq = 0"),
        ("sendq >= 64k", "sendq >= 65536"),
        ("sendq >= 64KiB", "sendq >= 65536"),
        ("sendq lt 1.5M", "sendq < 1572864"),
        ("sendq < 1G", "sendq < 1073741824"),
        ("rtt > 20ms", "rtt > 20ms"),
        ("rtt > 0.5ms", "rtt > 500us"),
        ("rtt > 1500us", "rtt > 1500us"),
        ("rtt > 1500µs", "rtt > 1500us"),
        ("rtt > 1000us", "rtt > 1ms"),
        ("rtt >= 1.5s", "rtt >= 1500ms"),
        ("rtt = 0", "rtt = 0s"),
        ("retrans > 0", "retrans > 0"),
        ("family = inet6", "family = inet6"),
        ("family = ipv4", "family = inet"),
        ("protocol = udp", "protocol = udp"),
        ("protocol != UNIX-STREAM", "not protocol = unix-stream"),
    ] {
        says(text, tree);
    }
}
