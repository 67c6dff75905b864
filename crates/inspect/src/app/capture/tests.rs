//! Whole screens, from a file that is made here: what is expected stands in
//! `tests/fixtures/capture-*.txt`. UPDATE_FIXTURES=1 writes it anew, for reading the difference.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use clap::Parser;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use super::looker::Looker;
use super::output::Output;
use super::{Run, Source as _};
use crate::app::Context;
use crate::capture::crafted::*;
use crate::capture::{Described, File, Frame, Link, PcapngWriter, Recorded, WritingProgram};
use crate::cli::{Cli, View};
use crate::model::Timestamp;
use crate::render::{Charset, Screen};
use crate::selection::Numbers;
use crate::stop::Stop;

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn screen(width: Option<usize>, colour: bool, charset: Charset) -> Screen {
    Screen {
        width,
        colour,
        charset,
    }
}

/// What `inspect capture -r FILE WORDS` prints.
fn printed(file: &[u8], screen: Screen, words: &[&str]) -> String {
    printed_with(None, file, screen, words)
}

/// The same, while somebody looks for owners.
fn printed_with(looker: Option<Looker>, file: &[u8], screen: Screen, words: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.pcap");
    std::fs::write(&path, file).unwrap();
    let typed = ["inspect", "capture", "-r", path.to_str().unwrap()];
    let cli = Cli::try_parse_from(typed.iter().chain(words)).unwrap();
    let View::Capture(flags) = cli.view else {
        panic!("another view")
    };
    let request = flags.validate(&Numbers).unwrap();
    let context = Context {
        screen,
        messages: screen,
        program: PathBuf::from("/usr/local/bin/inspect"),
        arguments: Vec::new(),
        quiet: true,
        verbose: false,
    };
    let stop = Stop::new().unwrap();
    let mut source = File::open(&path, &request.selection, &request.filter, stop.clone()).unwrap();
    let paper = Paper::default();
    let output = Output::open(
        &request,
        &context,
        source.link(),
        &stop,
        Box::new(paper.clone()),
        TimeZone::UTC,
    )
    .unwrap();
    Run::with(&request, &context, &stop, &mut source, looker, output)
        .run()
        .unwrap();
    let bytes = paper.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn is_expected(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name}");
}

/// Two conversations side by side, and one of everything else.
fn mixed() -> Vec<u8> {
    let mut frames = pair();
    let start = frames[0].0;
    let mut at = |after: u64, frame: Vec<u8>, wire: Option<u32>| {
        frames.push((start + after, frame, wire));
    };
    at(
        150,
        ethernet(0x0800, &ipv4(17, &udp((5000, 53), b"question"))),
        None,
    );
    at(
        160,
        ethernet(
            0x0800,
            &ipv4(6, &tcp((80, 50_000), 9, 1, PSH_ACK, b"earlier")),
        ),
        None,
    );
    at(
        170,
        ethernet(0x0800, &ipv4(1, &[8, 0, 0, 0, 0, 9, 0, 1, b'p'])),
        None,
    );
    at(
        180,
        ethernet(0x8100, &vlan(5, 0x0800, &ipv4_at(17, 0x2001, b"middle"))),
        None,
    );
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
    at(190, ethernet(0x0806, &arp), None);
    at(200, ethernet(0x88b5, b"experiment"), None);
    let unreachable = [3, 3, 0, 0, 0, 0, 0, 0];
    let asked = ipv4(17, &udp((5000, 53), b"question"));
    let error = ethernet(0x0800, &ipv4(1, &[&unreachable[..], &asked].concat()));
    at(205, error, None);
    at(206, ethernet(0x0026, &[0x42, 0x42, 3, 0, 0]), None);
    let cut = ethernet(0x0800, &ipv4(6, &tcp((80, 50_000), 16, 1, PSH_ACK, b"")));
    at(210, cut[..40].to_vec(), Some(1500));
    let mut bad = ethernet(0x0800, &ipv4(6, &tcp((80, 50_000), 16, 1, PSH_ACK, b"")));
    bad[46] = 0x30;
    at(220, bad, None);
    at(
        230,
        ethernet(
            0x0800,
            &ipv4(6, &tcp((80, 50_000), 16, 1, PSH_ACK, b"\xff\x00")),
        )[..]
            .to_vec(),
        None,
    );
    frames.sort_by_key(|(time, _, _)| *time);
    pcap(1, &frames)
}

#[test]
fn a_terminal_gets_headings_and_fits_its_width() {
    for width in [60, 80, 120, 200] {
        let text = printed(&mixed(), screen(Some(width), false, Charset::Utf8), &[]);
        for line in text.lines() {
            // Notes of malformed frames are never cut, nor what an error is about.
            let is_whole = line.contains('[') || line.contains(" for ");
            assert!(line.width() <= width || is_whole, "{width}: {line}");
        }
        is_expected(&format!("capture-screen-{width}.txt"), &text);
    }
}

#[test]
fn a_pipe_gets_whole_lines() {
    let text = printed(&mixed(), Screen::pipe(Charset::Utf8), &[]);
    is_expected("capture-pipe.txt", &text);
    assert_eq!(text.lines().count(), 20);
    let text = printed(
        &mixed(),
        Screen::pipe(Charset::Utf8),
        &["-q", "-c", "4", ":2345"],
    );
    is_expected("capture-pipe-brief.txt", &text);
}

#[test]
fn a_plain_terminal_gets_ascii_only() {
    let text = printed(&mixed(), screen(Some(80), false, Charset::Ascii), &[]);
    assert!(text.is_ascii());
    is_expected("capture-screen-ascii.txt", &text);
}

#[test]
fn colours_take_no_room_and_carry_nothing() {
    let plain = printed(&mixed(), screen(Some(80), false, Charset::Utf8), &[]);
    let coloured = printed(&mixed(), screen(Some(80), true, Charset::Utf8), &[]);
    assert_ne!(plain, coloured);
    let stripped = anstream::adapter::strip_str(&coloured).to_string();
    assert_eq!(stripped, plain);
}

#[test]
fn whole_payloads_stand_on_their_own_lines() {
    let http = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\x1b[2J";
    let frame = ethernet(0x0800, &ipv4(6, &tcp((50_000, 80), 9, 1, PSH_ACK, http)));
    let file = pcap(1, &[(1_767_355_201_000_000, frame, None)]);
    let text = printed(&file, screen(Some(80), false, Charset::Utf8), &["-A"]);
    is_expected("capture-screen-whole-payloads.txt", &text);
}

#[test]
fn records_are_whole_and_exact() {
    let text = printed(&mixed(), Screen::pipe(Charset::Utf8), &["--json"]);
    let lines: Vec<&str> = text.lines().collect();
    let (begin, rest) = lines.split_first().unwrap();
    assert!(
        begin.starts_with(r#"{"type":"begin","schema":1,"#),
        "{begin}"
    );
    is_expected("capture-records.json", &(rest.join("\n") + "\n"));
    for line in lines {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn a_look_that_broke_off_is_a_gap() {
    let looker = Looker::with(|| std::panic::resume_unwind(Box::new(()))).unwrap();
    let pipe = Screen::pipe(Charset::Utf8);
    let text = printed_with(Some(looker), &mixed(), pipe, &["--json"]);
    let records: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let gaps: Vec<_> = records.iter().filter(|it| it["type"] == "gap").collect();
    assert!(gaps.iter().any(|gap| gap["source"] == "owners"), "{gaps:?}");
    let packets = records.iter().filter(|it| it["type"] == "packet").count();
    let end = records.last().unwrap();
    assert_eq!(
        (&end["complete"], &end["counts"]["packet"]),
        (&false.into(), &packets.into())
    );
}

/// The pair's conversation in a pcapng file: what is said with some packets, and at the end.
fn noted(with: &[(usize, &str)], behind: &str) -> Vec<u8> {
    let program = WritingProgram {
        system: "Linux".to_owned(),
        application: "test".to_owned(),
    };
    let mut writer = PcapngWriter::begin(Vec::new(), &program);
    let lo = writer.interface(&Described {
        link: Link::Ethernet,
        snaplen: 262_144,
        name: Some("lo".into()),
    });
    for (number, (micros, bytes, _)) in pair().into_iter().enumerate() {
        let frame = Frame {
            time: Timestamp::from_nanos(i64::try_from(micros).unwrap() * 1000),
            original_length: u32::try_from(bytes.len()).unwrap(),
            bytes: &bytes,
            recorded: Recorded::default(),
        };
        let comment = with.iter().find(|(at, _)| *at == number);
        let comment = comment.map(|(_, comment)| *comment);
        writer.write(lo, &frame, comment).unwrap();
    }
    writer.remark(lo, Timestamp::from_nanos(0), behind);
    writer.end().unwrap()
}

#[test]
fn what_a_file_says_of_owners_holds_from_there_on() {
    let client = "tcp client 127.0.0.1:52316 chat-client[7] fd 3 (exact), server 127.0.0.1:2345 ";
    let nobody = format!("{client}(unknown: hidden, user 5 games)");
    let pending = format!("{client}(unknown: waiting for accept)");
    let known = format!("{client}chat-server[8] fd 4 (inferred)");
    let file = noted(&[(0, &nobody), (3, &pending)], &known);
    let lines = printed(&file, Screen::pipe(Charset::Utf8), &[]);
    for (index, line) in lines.lines().enumerate() {
        let server = match index {
            0..3 => "hidden (user games) 127.0.0.1:2345",
            _ => "waiting for accept() 127.0.0.1:2345",
        };
        assert!(line.contains(server), "{index}: {line}");
        assert!(line.contains(" lo "), "{line}");
        assert!(line.contains("chat-client[7] 127.0.0.1:52316"), "{line}");
    }
    // What came to be known when all was said stands below.
    let text = printed(&file, screen(Some(120), false, Charset::Utf8), &[]);
    let last = "#1 is chat-client[7] 127.0.0.1:52316 → chat-server[8] 127.0.0.1:2345";
    assert_eq!(text.lines().last(), Some(last), "{text}");
    // With the packets filtered out that say it, it holds for the others.
    let answers = printed(&file, Screen::pipe(Charset::Utf8), &["src port 2345"]);
    let first = answers.lines().next().unwrap();
    assert!(first.contains("hidden (user games)"), "{first}");
    let records = printed(&file, Screen::pipe(Charset::Utf8), &["--json"]);
    let owned = records.matches(r#""command":"chat-client""#).count();
    assert_eq!(owned, 9, "{records}");
}

#[test]
fn a_file_may_say_who_opened_when_it_was_not_seen() {
    // By its ports the other would be the client.
    let frames = [tcp((80, 50_000), 9, 1, PSH_ACK, b"x")];
    let program = WritingProgram {
        system: String::new(),
        application: String::new(),
    };
    let mut writer = PcapngWriter::begin(Vec::new(), &program);
    let interface = writer.interface(&Described {
        link: Link::Raw,
        snaplen: 0,
        name: None,
    });
    for bytes in frames.map(|segment| ipv4(6, &segment)) {
        let frame = Frame {
            time: Timestamp::from_nanos(0),
            original_length: 0,
            bytes: &bytes,
            recorded: Recorded::default(),
        };
        let comment = "tcp client 127.0.0.1:80 a[7] fd 3 (exact), server 127.0.0.1:50000 b[8] fd 4 \
                       (exact)";
        writer.write(interface, &frame, Some(comment)).unwrap();
    }
    let file = writer.end().unwrap();
    let text = printed(&file, screen(Some(120), false, Charset::Utf8), &[]);
    assert!(
        text.contains("#1 a[7] 127.0.0.1:80 → b[8] 127.0.0.1:50000  (began earlier)"),
        "{text}"
    );
}
