//! Files, written and read.

use proptest::prelude::*;

use super::super::crafted::*;
use super::super::*;
use super::*;

#[test]
fn what_is_written_is_read_back() {
    let mut file = Vec::new();
    let mut writer = Writer::begin(&mut file, Link::Raw, 100);
    let frame = Frame {
        time: Timestamp::from_parts(1_767_323_045, 6),
        bytes: b"abc",
        original_length: 1500,
        recorded: Recorded::default(),
    };
    writer.write(&frame).unwrap();
    writer.end().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.pcap");
    std::fs::write(&path, &file).unwrap();
    let stop = crate::stop::Stop::new().unwrap();
    let mut read = File::open(&path, &Selection::everything(), "", stop).unwrap();
    assert_eq!(read.link(), Link::Raw);
    assert_eq!(read.next().unwrap(), Event::Frame(frame));
    assert_eq!(read.next().unwrap(), Event::End);
}

#[test]
fn a_file_that_is_no_capture_or_a_filter_that_is_none_is_an_error() {
    let stop = || crate::stop::Stop::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, "not a capture, though long enough to look at").unwrap();
    let everything = Selection::everything();
    let error = File::open(&path, &everything, "", stop())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no capture file"), "{error}");
    let error = File::open(folder.path(), &everything, "", stop())
        .unwrap_err()
        .to_string();
    assert!(error.contains("directory"), "{error}");
    let error = File::open(&folder.path().join("none"), &everything, "", stop()).unwrap_err();
    assert!(error.to_string().contains("no such file"), "{error}");
    std::fs::write(&path, pcap(1, &pair())).unwrap();
    let error = File::open(&path, &everything, "porrt 5", stop()).unwrap_err();
    assert!(matches!(&error, FileError::Filter(_)), "{error}");
    // A filter of the user cannot close our parentheses.
    assert!(File::open(&path, &port(2345), "tcp) or (udp", stop()).is_err());
}

#[test]
fn times_are_read_from_either_kind_of_pcap_in_either_byte_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("times");
    for (magic, fraction, nanos) in [
        (0xa1b2_c3d4_u32, 123_456_u32, 123_456_000),
        (0xa1b2_3c4d, 123_456_789, 123_456_789),
    ] {
        for order in [u32::to_le_bytes, u32::to_be_bytes] {
            let version = if order(1)[0] == 1 {
                [2, 0, 4, 0]
            } else {
                [0, 2, 0, 4]
            };
            let mut file = order(magic).to_vec();
            file.extend(version);
            for number in [0, 0, 262_144, 101, 1_767_323_045, fraction, 3, 3] {
                file.extend(order(number));
            }
            file.extend(b"abc");
            std::fs::write(&path, &file).unwrap();
            let stop = crate::stop::Stop::new().unwrap();
            let mut read = File::open(&path, &Selection::everything(), "", stop).unwrap();
            let Event::Frame(frame) = read.next().unwrap() else {
                panic!("no frame")
            };
            assert_eq!(frame.time, Timestamp::from_parts(1_767_323_045, nanos));
            assert_eq!((read.link(), read.gaps()), (Link::Raw, Vec::new()));
        }
    }
}

/// A pcapng file of two interfaces with different links, a comment on each packet.
fn blocks() -> Vec<u8> {
    let program = WritingProgram {
        system: "Linux".to_owned(),
        application: "test".to_owned(),
    };
    let mut writer = PcapngWriter::begin(Vec::new(), &program);
    let [ethernet, raw] = [(Link::Ethernet, "eth0"), (Link::Raw, "tun0")].map(|(link, name)| {
        writer.interface(&Described {
            link,
            snaplen: 262_144,
            name: Some(name.into()),
        })
    });
    for (number, (micros, bytes, _)) in pair().into_iter().enumerate() {
        let (interface, bytes) = match number % 2 {
            0 => (ethernet, &bytes[..]),
            _ => (raw, &bytes[14..]),
        };
        let frame = Frame {
            time: Timestamp::from_nanos(i64::try_from(micros).unwrap() * 1000 + 7),
            bytes,
            original_length: 2000,
            recorded: Recorded::default(),
        };
        let comment = format!("packet {number}");
        writer.write(interface, &frame, Some(&comment)).unwrap();
    }
    writer.end().unwrap()
}

/// What a file gives: frames with their links and interfaces, and comments, in their order.
fn events(path: &std::path::Path, filter: &str) -> (Vec<String>, Option<SourceError>) {
    let stop = crate::stop::Stop::new().unwrap();
    let mut file = match File::open(path, &port(2345), filter, stop) {
        Ok(file) => file,
        Err(error) => return (vec![error.to_string()], None),
    };
    let mut events = Vec::new();
    loop {
        match file.next() {
            Ok(Event::Frame(frame)) => {
                let packet = decode(file_link(&frame), &frame);
                let name = frame.recorded.interface.and_then(|it| it.name.as_ref());
                let name = name.map(|name| name.to_lossy().into_owned());
                events.push(format!(
                    "{} {name:?} {}",
                    packet.link.word(),
                    frame.bytes.len()
                ));
            }
            Ok(Event::Comment(comment)) => events.push(String::from_utf8_lossy(comment).into()),
            Ok(Event::Remark(remark)) => events.push(format!("behind: {remark:?}")),
            Ok(Event::Quiet) => {}
            Ok(Event::End) => return (events, None),
            Err(error) => return (events, Some(error)),
        }
    }
}

fn file_link(frame: &Frame<'_>) -> Link {
    frame.recorded.link.unwrap()
}

#[test]
fn each_interface_has_its_link_and_comments_come_though_their_packets_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocks");
    std::fs::write(&path, blocks()).unwrap();
    let (all, error) = events(&path, "");
    assert!(error.is_none(), "{error:?}");
    assert_eq!(all.len(), 18);
    assert_eq!(
        all[..4],
        [
            "packet 0",
            "ethernet Some(\"eth0\") 54",
            "packet 1",
            "raw Some(\"tun0\") 40"
        ]
    );
    let (answers, error) = events(&path, "src port 2345");
    assert!(error.is_none(), "{error:?}");
    assert_eq!(answers.len(), 9 + 3);
    // The length on the wire, though less was captured.
    assert_eq!(events(&path, "greater 2000").0.len(), 18);
    assert_eq!(events(&path, "greater 2001").0.len(), 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_good_file_gone_bad_is_read_to_its_end_or_its_error(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        cut in any::<usize>(),
    ) {
        let mut bytes = blocks();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(cut % (bytes.len() + 1));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad");
        std::fs::write(&path, &bytes).unwrap();
        let (events, _) = events(&path, "tcp");
        prop_assert!(events.len() <= bytes.len() + 1);
    }
}
