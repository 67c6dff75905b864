//! Files, written and read.

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
