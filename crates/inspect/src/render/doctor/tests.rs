//! Findings on screens: compared with files of expected output.

use std::time::Duration;

use super::*;
use crate::diagnosis::{Evidence, Holders, Path, Sharer};
use crate::listing::Listing;
use crate::listing::tests_support::{holdings, tcp};
use crate::model::{
    Endpoint, ForeignText, NetworkNamespace, OwnerStatus, Pid, Protocol, State, Uid,
};
use crate::processes::Usage;
use crate::render::Charset;
use crate::render::json::{self, FindingRecord};
use crate::sockets::Socket;

struct Known;

impl Names for Known {
    fn user(&self, uid: Uid) -> Option<String> {
        (uid == Uid(0)).then(|| "root".to_owned())
    }

    fn netns(&self, netns: NetworkNamespace) -> Option<String> {
        (netns == NetworkNamespace(7)).then(|| "web\u{1b}".to_owned())
    }
}

fn socket(state: State, local: &str, remote: &str) -> Socket {
    Socket {
        netns: Some(NetworkNamespace(7)),
        ..tcp(state, local, remote, 11)
    }
}

/// The holders of a socket: pid, descriptor, name.
fn held(owners: &[(u32, u32, &str)]) -> Holders {
    let lines: Vec<_> = owners
        .iter()
        .map(|(pid, fd, name)| (11, *pid, *fd, *name))
        .collect();
    let socket = socket(State::Established, "127.0.0.1:1", "127.0.0.1:2");
    let listing = Listing::new(vec![socket], holdings(&lines));
    Holders::of(&listing.rows().get(0).unwrap())
}

fn hidden() -> Holders {
    Holders {
        status: OwnerStatus::Hidden,
        uid: Some(Uid(0)),
        ..Holders::kernel()
    }
}

fn path() -> Path {
    Path {
        netns: Some(NetworkNamespace(7)),
        source: "10.0.0.1".parse().unwrap(),
        destination: Endpoint::new("10.0.0.9".parse().unwrap(), 80),
    }
}

#[expect(clippy::too_many_lines, reason = "one of each, and both forms of some")]
fn all() -> Vec<Finding> {
    let listener = || Box::new(socket(State::Listen, "127.0.0.1:2345", "0.0.0.0:0"));
    let any = || Box::new(socket(State::Listen, "0.0.0.0:80", "0.0.0.0:0"));
    let connection = || {
        let ends = ("127.0.0.1:2345", "127.0.0.1:52316");
        Box::new(socket(State::Established, ends.0, ends.1))
    };
    let long = || {
        let ends = (
            "[2001:db8:1:2:3:4:5:6]:2345",
            "[2001:db8:a:b:c:d:e:f]:52316",
        );
        Box::new(socket(State::Established, ends.0, ends.1))
    };
    let seconds = Duration::from_secs;
    let server = || held(&[(4845, 3, "chat-server")]);
    let evidence = [
        (
            Severity::Critical,
            server(),
            Evidence::AcceptQueue {
                listener: listener(),
                waiting: 129,
                limit: 128,
                lasting: seconds(1),
                waited: seconds(1),
                stuck: Some(true),
            },
        ),
        (
            Severity::Critical,
            hidden(),
            Evidence::AcceptQueue {
                listener: listener(),
                waiting: 129,
                limit: 128,
                lasting: seconds(1),
                waited: seconds(0),
                stuck: Some(false),
            },
        ),
        (
            Severity::Warning,
            server(),
            Evidence::AcceptQueue {
                listener: listener(),
                waiting: 120,
                limit: 128,
                lasting: seconds(1),
                waited: seconds(1),
                stuck: Some(true),
            },
        ),
        (
            Severity::Warning,
            held(&[(4845, 12, "chat-server")]),
            Evidence::NotReading {
                sockets: 1,
                worst: connection(),
                unread: 212_992,
                total: 212_992,
                lasting: seconds(12),
                full: false,
                grew: true,
                dropped: None,
            },
        ),
        (
            Severity::Critical,
            held(&[
                (77, 12, "python3"),
                (78, 12, "python3"),
                (79, 12, "python3"),
                (80, 12, "python3"),
            ]),
            Evidence::NotReading {
                sockets: 57,
                worst: long(),
                unread: 70_000,
                total: 3_990_000,
                lasting: seconds(1),
                full: true,
                grew: false,
                dropped: None,
            },
        ),
        (
            Severity::Critical,
            held(&[(5_353, 7, "resolver")]),
            Evidence::SlowReading {
                sockets: 1,
                worst: Box::new(Socket {
                    protocol: Protocol::Udp,
                    ..socket(State::Unconnected, "127.0.0.1:53", "0.0.0.0:0")
                }),
                dropped: 8_700,
                lasting: seconds(1),
                fullest: 212_736,
                limit: Some(212_992),
            },
        ),
        (
            Severity::Warning,
            held(&[(99, 4, "evil\u{1b}[31m")]),
            Evidence::PeerNotReading {
                sockets: 1,
                worst: connection(),
                unsent: 9_000,
                total: 9_000,
                lasting: seconds(12),
                grew: true,
            },
        ),
        (
            Severity::Critical,
            held(&[(77, 5, "python3")]),
            Evidence::CloseWait {
                sockets: 153,
                example: connection(),
                usage: Some(Usage {
                    used: 1_009,
                    limit: 1_024,
                }),
            },
        ),
        (
            Severity::Warning,
            held(&[(77, 5, "client")]),
            Evidence::EphemeralPorts {
                path: path(),
                used: 27_000,
                time_wait: 12_000,
                ports: 28_232,
            },
        ),
        (
            Severity::Critical,
            held(&[(77, 5, "client")]),
            Evidence::BoundPorts {
                netns: Some(NetworkNamespace(7)),
                source: "10.0.0.1".parse().unwrap(),
                used: 28_000,
                time_wait: 0,
                ports: 28_232,
            },
        ),
        (
            Severity::Warning,
            Holders::kernel(),
            Evidence::TimeWaitTo {
                path: path(),
                time_wait: 15_000,
                ports: 28_232,
            },
        ),
        (
            Severity::Warning,
            Holders::kernel(),
            Evidence::TimeWaitTable {
                time_wait: 131_072,
                limit: 131_072,
                netns: Some(NetworkNamespace(7)),
            },
        ),
        (
            Severity::Warning,
            held(&[(77, 5, "app")]),
            Evidence::HalfOpen {
                sockets: 12,
                worst: connection(),
                tries: 6,
                silent: Some(seconds(190)),
            },
        ),
        (
            Severity::Warning,
            held(&[(77, 5, "curl")]),
            Evidence::SynSent {
                sockets: 1,
                worst: connection(),
                tries: Some(3),
                lasting: seconds(1),
            },
        ),
        (
            Severity::Warning,
            held(&[(100, 3, "sleep")]),
            Evidence::Inherited {
                listener: any(),
                holders: 1,
                waiting: 0,
            },
        ),
        (
            Severity::Warning,
            held(&[(100, 3, "one"), (101, 3, "two")]),
            Evidence::SharedPort {
                listener: any(),
                sockets: 2,
                sharers: vec![
                    Sharer {
                        pid: Pid(100),
                        command: ForeignText::from("one"),
                        executable: Some(ForeignText::from("/usr/bin/one")),
                        uid: Some(Uid(0)),
                    },
                    Sharer {
                        pid: Pid(101),
                        command: ForeignText::from("two"),
                        executable: None,
                        uid: Some(Uid(33)),
                    },
                ],
            },
        ),
        (
            Severity::Warning,
            held(&[(77, 3, "server")]),
            Evidence::Descriptors {
                usage: Usage {
                    used: 922,
                    limit: 1_024,
                },
            },
        ),
        (
            Severity::Notice,
            server(),
            Evidence::LoopbackOnly {
                listener: listener(),
            },
        ),
    ];
    evidence
        .into_iter()
        .map(|(severity, holders, evidence)| Finding {
            severity,
            holders,
            evidence,
        })
        .collect()
}

const LOOKED: Looked = Looked {
    sockets: 1_412,
    complete: true,
    recorded: false,
    several_netns: false,
};

fn shown(findings: &[Finding], looked: Looked, screen: Screen) -> String {
    let mut out = Vec::new();
    write_findings(&mut out, findings, looked, &Known, screen).unwrap();
    String::from_utf8(out).unwrap()
}

/// Compares with a file of expected output beside those of the other views.
fn expect(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../../../tests/fixtures/screens");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn on(width: usize) -> Screen {
    Screen {
        width: Some(width),
        ..Screen::pipe(Charset::Utf8)
    }
}

#[test]
fn every_finding_on_three_screens_and_in_a_pipe() {
    for width in [60, 80, 200] {
        let text = shown(&all(), LOOKED, on(width));
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        expect(&format!("doctor-{width}"), &text);
    }
    let text = shown(&all(), LOOKED, Screen::pipe(Charset::Utf8));
    assert_eq!(text.lines().count(), all().len() + 1);
    expect("doctor-pipe", &text);
}

#[test]
fn plain_ascii_stays_plain_and_several_namespaces_are_named() {
    let several = Looked {
        several_netns: true,
        ..LOOKED
    };
    let text = shown(&all(), several, Screen::pipe(Charset::Ascii));
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("10.0.0.1 -> 10.0.0.9:80"), "{text}");
    assert!(text.contains("netns web\\u{1b}"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn colour_says_nothing_that_words_do_not() {
    let colourful = Screen {
        colour: true,
        ..on(80)
    };
    let text = shown(&all(), LOOKED, colourful);
    assert!(text.contains("\u{1b}[31maccept queue full\u{1b}[0m"));
    assert_eq!(
        anstream::adapter::strip_str(&text).to_string(),
        shown(&all(), LOOKED, on(80))
    );
}

#[test]
fn the_answer_comes_first() {
    let one = all().remove(0);
    let notice = all().pop().unwrap();
    for (findings, looked, answer) in [
        (vec![], LOOKED, "Nothing wrong among 1,412 sockets."),
        (vec![notice], LOOKED, "Nothing wrong among 1,412 sockets."),
        (vec![one], LOOKED, "1 finding among 1,412 sockets."),
        (
            vec![],
            Looked {
                complete: false,
                ..LOOKED
            },
            "Nothing wrong among 1,412 sockets, as far as can be seen.",
        ),
        (
            vec![],
            Looked {
                sockets: 1,
                recorded: true,
                ..LOOKED
            },
            "Nothing wrong among 1 socket of the recorded tree.",
        ),
        (
            vec![],
            Looked {
                several_netns: true,
                ..LOOKED
            },
            "Nothing wrong among 1,412 sockets in these network namespaces.",
        ),
    ] {
        let text = shown(&findings, looked, on(80));
        assert_eq!(text.lines().next().unwrap(), answer);
        assert_eq!(text.lines().count() > 1, !findings.is_empty());
    }
}

#[test]
fn the_records_are_what_scripts_rely_on() {
    let mut text = Vec::new();
    for finding in all() {
        let line = words(&finding, false, &Known, Screen::pipe(Charset::Utf8)).line();
        json::write(&mut text, &FindingRecord::new(finding, line)).unwrap();
    }
    expect("doctor-json", &String::from_utf8(text).unwrap());
}
