//! Sentences and tables from made-up processes.

use jiff::tz::TimeZone;

use super::*;
use crate::listing::Listing;
use crate::listing::tests_support::{holdings, tcp};
use crate::model::{State, Uid};
use crate::processes::Descriptors;
use crate::render::sockets::Numbers;
use crate::sockets::Socket;

fn about(pid: u32, command: &str) -> About {
    About {
        pid: Pid(pid),
        command: ForeignText::from(command),
        state: Some('S'),
        kernel_thread: Some(false),
        parent: Some(Pid(1)),
        threads: Some(1),
        started: None,
        uid: Some(Uid(1000)),
        command_line: Some(vec![ForeignText::from(command)]),
        directory: None,
        executable: None,
        placement: None,
        netns: None,
        descriptors: Some(Descriptors {
            total: u64::from(pid % 100),
            ..Descriptors::default()
        }),
        descriptor_limit: Some(1_024),
    }
}

fn look(width: Option<usize>) -> Look<'static> {
    Look {
        names: &Numbers,
        when: When::new(TimeZone::UTC, None),
        all: false,
        screen: Screen {
            width,
            colour: false,
            charset: Charset::Utf8,
        },
    }
}

fn portraits<'a>(listing: &'a Listing, abouts: &'a [About]) -> Vec<Portrait<'a>> {
    let pids: Vec<Pid> = abouts.iter().map(|about| about.pid).collect();
    let standings = listing.rows().standings(&pids);
    abouts
        .iter()
        .zip(standings)
        .map(|(about, standing)| Portrait {
            about,
            parent: None,
            elsewhere: None,
            standing,
            sight: Sight::Whole,
        })
        .collect()
}

/// What is said of process 100 with these sockets; inode 1, 2, ... each.
fn said(sockets: &[(State, &str, &str)]) -> String {
    let sockets: Vec<Socket> = (1..)
        .zip(sockets)
        .map(|(inode, (state, local, remote))| tcp(*state, local, remote, inode))
        .collect();
    let owners: Vec<(u64, u32, u32, &str)> = (1u32..)
        .zip(&sockets)
        .map(|(number, _)| (u64::from(number), 100, number + 2, "it"))
        .collect();
    let listing = Listing::new(sockets, holdings(&owners));
    let abouts = [about(100, "it")];
    let portraits = portraits(&listing, &abouts);
    super::sentence(&portraits[0], &Numbers)
}

#[test]
fn the_answer_can_be_read_aloud() {
    use State::{Bound, CloseWait, Established, FinWait2, Listen, SynSent};
    let any = "0.0.0.0:0";
    let server = (Listen, "0.0.0.0:80", any);
    let client = |remote| (Established, "10.0.0.1:80", remote);
    for (sockets, words) in [
        (vec![], "it[100] holds no sockets."),
        (vec![server], "it[100] listens on any:80."),
        (
            vec![server, (Listen, "[::]:80", "[::]:0"), client("10.0.0.2:1")],
            "it[100] listens on any:80 and [any]:80 and talks to 1 client (10.0.0.2).",
        ),
        (
            vec![server, client("10.0.0.2:1"), client("10.0.0.2:2")],
            "it[100] listens on any:80 and talks to 1 client (10.0.0.2, 2 connections).",
        ),
        (
            vec![server, client("10.0.0.2:1"), client("10.0.0.3:2")],
            "it[100] listens on any:80 and talks to 2 clients.",
        ),
        (
            vec![
                server,
                client("10.0.0.2:1"),
                client("10.0.0.3:2"),
                client("10.0.0.3:3"),
            ],
            "it[100] listens on any:80 and talks to 2 clients (3 connections).",
        ),
        (
            vec![(Established, "10.0.0.1:5000", "10.0.0.9:5432")],
            "it[100] talks to 10.0.0.9:5432.",
        ),
        (
            vec![
                (Established, "10.0.0.1:5000", "10.0.0.9:1"),
                (Established, "10.0.0.1:5001", "10.0.0.9:2"),
                (Established, "10.0.0.1:5002", "10.0.0.9:3"),
                (Established, "10.0.0.1:5003", "10.0.0.9:4"),
            ],
            "it[100] talks to 4 others.",
        ),
        (
            vec![(SynSent, "10.0.0.1:5000", "10.0.0.9:1")],
            "it[100] is trying to reach 10.0.0.9:1.",
        ),
        (
            vec![
                server,
                (CloseWait, "10.0.0.1:80", "10.0.0.2:1"),
                (FinWait2, "10.0.0.1:80", "10.0.0.2:2"),
            ],
            "it[100] listens on any:80, has 1 connection that the other side closed (CLOSE_WAIT) \
             and has 1 connection on the way to the end.",
        ),
        (
            vec![(Bound, "10.0.0.1:80", any)],
            "it[100] holds 1 socket that is not connected.",
        ),
        (
            vec![
                server,
                (Established, "127.0.0.1:80", "127.0.0.1:1"),
                (Established, "127.0.0.1:1", "127.0.0.1:80"),
            ],
            "it[100] listens on any:80 and talks to itself.",
        ),
    ] {
        assert_eq!(said(&sockets), words);
    }
    let many: Vec<String> = (1..=5).map(|port| format!("0.0.0.0:{port}")).collect();
    let many: Vec<_> = many.iter().map(|it| (Listen, it.as_str(), any)).collect();
    assert_eq!(said(&many), "it[100] listens on any:1, any:2 and 3 more.");
}

#[test]
fn what_is_no_process_like_others_is_said() {
    let listing = Listing::default();
    let mut abouts = [about(7, "kworker/0:1"), about(8, "child"), about(9, "su")];
    abouts[0].kernel_thread = Some(true);
    abouts[1].state = Some('Z');
    let mut portraits = portraits(&listing, &abouts);
    let init = ForeignText::from("init");
    portraits[1].parent = Some(&init);
    portraits[2].sight = Sight::Hidden;
    let said: Vec<String> = portraits
        .iter()
        .map(|portrait| super::sentence(portrait, &Numbers))
        .collect();
    assert_eq!(
        said,
        [
            "kworker/0:1[7] is a thread of the kernel: it holds no descriptors.",
            "child[8] has ended and waits for init[1] to notice: it holds nothing.",
            "su[9] is a process of user 1000: which sockets it holds is hidden.",
        ]
    );
    let words = look(None).words();
    assert_eq!(
        super::sentence::of_several(None, &portraits, words),
        "3 processes. They hold no sockets. What 1 of them holds is hidden. 1 has ended and \
         waits for its parent to notice."
    );
    portraits[1].about = portraits[2].about;
    portraits[1].sight = Sight::Hidden;
    assert_eq!(
        super::sentence::of_several(None, &portraits[1..], words),
        "2 processes. Which sockets they hold is hidden."
    );
}

/// A server of 64 workers that share a listener; each has as many clients as its number.
fn pool() -> (Listing, Vec<About>) {
    let mut sockets = vec![tcp(State::Listen, "0.0.0.0:80", "0.0.0.0:0", 1)];
    let mut owners = Vec::new();
    let mut abouts = vec![about(100, "httpd")];
    abouts[0].command_line = Some(vec![ForeignText::from("httpd"), ForeignText::from("-D")]);
    owners.push((1, 100, 3, "httpd"));
    let mut inode = 1;
    for worker in 1..=64u32 {
        owners.push((1, 100 + worker, 3, "httpd"));
        abouts.push(about(100 + worker, "httpd"));
        for client in 0..worker {
            inode += 1;
            let remote = format!("10.0.{worker}.{client}:5000");
            sockets.push(tcp(State::Established, "10.0.0.1:80", &remote, inode));
            owners.push((inode, 100 + worker, 4 + client, "httpd"));
        }
    }
    (Listing::new(sockets, holdings(&owners)), abouts)
}

fn shown(portraits: &[Portrait<'_>], look: &Look<'_>) -> String {
    let mut out = Vec::new();
    let name = ForeignText::from("httpd");
    match portraits {
        [one] => write_one(&mut out, one, look).unwrap(),
        several => write_several(&mut out, Some(&name), several, look).unwrap(),
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn a_pool_of_workers_is_two_rows_on_a_terminal_and_a_line_each_in_a_pipe() {
    let (listing, abouts) = pool();
    let portraits = portraits(&listing, &abouts);
    insta::assert_snapshot!(shown(&portraits, &look(Some(80))), @r"
    65 processes are named httpd. They listen on any:80 and talk to 2,080 clients.

    PROCESS      LISTENS ON  TALKS TO       DESCRIPTORS    USER  SINCE
    httpd[100]   any:80      nobody         0 of 1,024     1000  ?
                             httpd -D
    httpd[101]   any:80      2,080 clients  1-64 of 1,024  1000  ?
    and 63 more
                             httpd
    ");
    let piped = shown(&portraits, &look(None));
    let lines: Vec<&str> = piped.lines().collect();
    assert_eq!(lines.len(), 3 + 65);
    let last: Vec<&str> = lines[67].split_whitespace().collect();
    assert_eq!(
        last.join(" "),
        "httpd[164] any:80 64 clients 64 of 1,024 1000 ? httpd"
    );
    let mut all = look(Some(80));
    all.all = true;
    assert!(shown(&portraits, &all).contains("httpd[164]  any:80"));
}

#[test]
fn of_many_sockets_alike_a_terminal_shows_ten_and_counts_the_rest() {
    let (listing, abouts) = pool();
    let portraits = portraits(&listing, &abouts[64..]);
    let screen = shown(&portraits, &look(Some(80)));
    assert!(
        screen.starts_with("httpd[164] listens on any:80 and talks to 64 clients.\n"),
        "{screen}"
    );
    assert!(
        screen.contains("also held by httpd[100], httpd[101] and 62 more"),
        "{screen}"
    );
    assert!(
        screen.contains("and 54 more like it, with 54 others (-a)"),
        "{screen}"
    );
    assert_eq!(screen.matches("ESTABLISHED").count(), 10);
    let mut all = look(Some(80));
    all.all = true;
    assert_eq!(shown(&portraits, &all).matches("ESTABLISHED").count(), 64);
    let piped = shown(&portraits, &look(None));
    assert_eq!(piped.matches("ESTABLISHED").count(), 64);
    let listener = piped.lines().find(|line| line.contains("LISTEN")).unwrap();
    assert!(listener.ends_with("httpd[162], httpd[163]"), "{listener}");
}

#[test]
fn descriptors_that_run_out_are_said() {
    let listing = Listing::default();
    let mut abouts = [about(7, "leak"), about(8, "leak")];
    abouts[1].descriptors = Some(Descriptors {
        total: 1_009,
        ..Descriptors::default()
    });
    let portraits = portraits(&listing, &abouts);
    let screen = shown(&portraits, &look(Some(60)));
    assert!(
        screen.contains("process 8 has 1,009 of 1,024 descriptors: nearly all"),
        "{screen}"
    );
    let screen = shown(&portraits[1..], &look(Some(60)));
    assert!(screen.contains("nearly all are used"), "{screen}");
    assert!(!shown(&portraits[..1], &look(Some(60))).contains("nearly"));
}
