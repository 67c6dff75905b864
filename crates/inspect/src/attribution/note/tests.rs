use proptest::prelude::*;

use super::*;

fn owner(pid: u32, tid: u32, fd: u32, name: &[u8], started: Option<i64>) -> Owner {
    Owner {
        pid: Pid(pid),
        tid: Pid(tid),
        fd: Fd(fd),
        command: ForeignText::new(name),
        started: started.map(Timestamp::from_nanos),
    }
}

fn side(end: &str, grounds: Grounds, owners: Vec<Owner>) -> Side {
    let end: SocketAddr = end.parse().unwrap();
    Side {
        end: Endpoint::new(end.ip(), end.port()),
        attribution: Attribution {
            user: None,
            owners,
            grounds,
            socket: None,
        },
        user: None,
        more: 0,
    }
}

fn note(client: Side, server: Side) -> Note {
    Note {
        protocol: Protocol::Tcp,
        sides: [client, server],
    }
}

#[test]
fn a_note_reads_as_a_sentence() {
    let started = 1_767_323_045_000_000_006;
    let client = vec![owner(4847, 4847, 3, b"chat-client", Some(started))];
    let server = vec![
        owner(4845, 4850, 11, b"chat-server", None),
        owner(9, 9, 0, b"a[1] fd 2 (exact), server", None),
    ];
    let note = note(
        side("127.0.0.1:52316", Grounds::Exact, client),
        side("[::1]:2345", Grounds::LocalPort, server),
    );
    let text = note.text();
    assert_eq!(
        text,
        "tcp client 127.0.0.1:52316 chat-client[4847] fd 3 since 2026-01-02T03:04:05.000000006Z \
         (exact), server [::1]:2345 chat-server[4845] thread 4850 fd 11, \
         a\\x5b1] fd 2 \\x28exact\\x29, server[9] fd 0 (inferred)"
    );
    assert_eq!(Note::parse(text.as_bytes()), Some(note));
}

#[test]
fn why_nobody_is_known_is_said() {
    let mut hidden = side("10.0.0.1:1", Grounds::Hidden(Some(Uid(7))), Vec::new());
    hidden.user = Some(ForeignText::new(b"o(\xff)"));
    let nobody = UNKNOWN.map(|(grounds, _)| side("10.0.0.2:2", grounds, Vec::new()));
    for other in nobody {
        let note = note(hidden.clone(), other);
        assert!(note.text().is_ascii(), "{}", note.text());
        assert_eq!(Note::parse(note.text().as_bytes()), Some(note));
    }
    let elsewhere = side("10.0.0.2:2", Grounds::Elsewhere, Vec::new());
    assert!(!note(elsewhere.clone(), elsewhere.clone()).says_something());
    assert!(note(elsewhere, hidden).says_something());
}

#[test]
fn owners_for_whom_there_is_no_room_are_counted() {
    let many = (0..40).map(|pid| owner(pid, pid, 3, b"worker", None));
    let note = note(
        side("127.0.0.1:1", Grounds::NotYet, Vec::new()),
        side("127.0.0.1:2", Grounds::LocalPort, many.collect()),
    );
    let text = note.text();
    assert!(text.ends_with(" fd 3 and 8 more (inferred)"), "{text}");
    let [_, server] = Note::parse(text.as_bytes()).unwrap().sides;
    assert_eq!((server.attribution.owners.len(), server.more), (32, 8));
}

#[test]
fn the_longest_note_is_no_longer_than_comments_that_are_read() {
    let most = u32::MAX;
    let side = || {
        let many = (0..100).map(|_| owner(most, most - 1, most, &[0xff; 15], Some(i64::MAX)));
        side(
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            Grounds::LocalPort,
            many.collect(),
        )
    };
    let text = note(side(), side()).text();
    // See the reader of pcapng.
    assert!(text.len() < 10 << 10, "{}", text.len());
    assert!(Note::parse(text.as_bytes()).is_some());
}

#[test]
fn what_does_not_fit_exactly_is_no_note() {
    let good = "tcp client 1.1.1.1:1 a[1] fd 3 (exact), server 1.1.1.1:2 (unknown: hidden)";
    assert!(Note::parse(good.as_bytes()).is_some());
    for bad in [
        "",
        "a comment of a person",
        "icmp client 1.1.1.1:1 (exact), server 1.1.1.1:2 (exact)",
        "tcp client 1.1.1.1 (exact), server 1.1.1.1:2 (exact)",
        "tcp client 1.1.1.1:1 (sure), server 1.1.1.1:2 (exact)",
        "tcp client 1.1.1.1:1 a[1] fd 3 (unknown: hidden), server 1.1.1.1:2 (exact)",
        "tcp client 1.1.1.1:1 a[-1] fd 3 (exact), server 1.1.1.1:2 (exact)",
        "tcp client 1.1.1.1:1 a\\x[1] fd 3 (exact), server 1.1.1.1:2 (exact)",
        "tcp client 1.1.1.1:1 a\\xé[1] fd 3 (exact), server 1.1.1.1:2 (exact)",
        "tcp client 1.1.1.1:1 a[1] fd 3 since tomorrow (exact), server 1.1.1.1:2 (exact)",
        "tcp client 1.1.1.1:1 a[1] fd 3, (exact), server 1.1.1.1:2 (exact)",
    ] {
        assert_eq!(Note::parse(bad.as_bytes()), None, "{bad}");
    }
    for end in 0..good.len() {
        assert_eq!(Note::parse(&good.as_bytes()[..end]), None, "{end}");
    }
    let long = good.replace("a[1]", &format!("{}[1]", "a".repeat(LONGEST_NAME + 1)));
    assert_eq!(Note::parse(long.as_bytes()), None);
}

proptest! {
    #[test]
    fn any_name_is_read_back(name in proptest::collection::vec(any::<u8>(), 0..20)) {
        let note = note(
            side("127.0.0.1:1", Grounds::Exact, vec![owner(1, 2, 3, &name, None)]),
            side("127.0.0.1:2", Grounds::Gone, Vec::new()),
        );
        let text = note.text();
        prop_assert!(!text.chars().any(char::is_control), "{}", text);
        prop_assert_eq!(Note::parse(text.as_bytes()), Some(note));
    }

    #[test]
    fn any_bytes_are_a_note_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Note::parse(&bytes);
    }

    #[test]
    fn a_note_gone_bad_is_another_or_none(at in 0usize..80, value in any::<u8>()) {
        let good = "tcp client 1.1.1.1:1 a[1] fd 3 (exact), server 1.1.1.1:2 (unknown: hidden)";
        let mut bytes = good.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = value;
        if let Some(note) = Note::parse(&bytes) {
            let again = Note::parse(note.text().as_bytes());
            prop_assert_eq!(again, Some(note));
        }
    }
}
