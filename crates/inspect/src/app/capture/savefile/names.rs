//! What the files of a capture are called, as in tcpdump(1): a time in the name with -G, a number
//! behind it with -C, with as many digits as -W needs.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use jiff::fmt::strtime::{BrokenDownTime, Config};
use jiff::tz::TimeZone;

use crate::cli::savefile::Rotation;
use crate::model::Timestamp;

/// The names of the files.
#[derive(Debug)]
pub(super) struct Names {
    pattern: PathBuf,
    zone: TimeZone,
    has_time: bool,
    digits: usize,
}

impl Names {
    pub(super) fn new(pattern: &Path, rotation: Rotation, zone: TimeZone) -> Self {
        let last = match (rotation.size, rotation.count) {
            (Some(_), Some(count)) => count - 1,
            _ => 0,
        };
        Self {
            pattern: pattern.to_owned(),
            zone,
            has_time: rotation.seconds.is_some(),
            // The digits of the last number; none for 0.
            digits: last.checked_ilog10().map_or(0, |log| log as usize + 1),
        }
    }

    /// The name of a file that begins at this time, and is this one of those within it.
    pub(super) fn name(&self, time: Timestamp, number: u32) -> PathBuf {
        let pattern = self.pattern.as_os_str().as_bytes();
        let mut name = if self.has_time {
            self.timed(pattern, time)
        } else {
            pattern.to_vec()
        };
        if number > 0 || self.digits > 0 {
            let digits = self.digits;
            name.extend_from_slice(format!("{number:0digits$}").as_bytes());
        }
        OsString::from_vec(name).into()
    }

    /// What strftime(3) makes of it. What is no directive stays, and so do bytes that are no text.
    fn timed(&self, pattern: &[u8], time: Timestamp) -> Vec<u8> {
        let time = jiff::Timestamp::from_nanosecond(time.as_nanos().into()).unwrap_or_default();
        let time = BrokenDownTime::from(&time.to_zoned(self.zone.clone()));
        let lenient = Config::new().lenient(true);
        let mut name = Vec::new();
        for chunk in pattern.utf8_chunks() {
            let text = chunk.valid();
            match time.to_string_with_config(&lenient, text) {
                Ok(text) => name.extend_from_slice(text.as_bytes()),
                Err(_) => name.extend_from_slice(text.as_bytes()),
            }
            name.extend_from_slice(chunk.invalid());
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn names(pattern: &str, size: bool, seconds: bool, count: Option<u32>) -> Names {
        let rotation = Rotation {
            size: size.then_some(1),
            seconds: seconds.then_some(1),
            count,
        };
        Names::new(Path::new(pattern), rotation, TimeZone::UTC)
    }

    #[test]
    fn names_are_those_of_tcpdump() {
        let time = Timestamp::from_parts(1_767_323_045, 6);
        for (names, number, name) in [
            (names("f.pcap", false, false, None), 0, "f.pcap"),
            (names("f.pcap", true, false, None), 0, "f.pcap"),
            (names("f.pcap", true, false, None), 12, "f.pcap12"),
            (names("f.pcap", true, false, Some(1)), 0, "f.pcap"),
            (names("f.pcap", true, false, Some(10)), 0, "f.pcap0"),
            (names("f.pcap", true, false, Some(11)), 0, "f.pcap00"),
            (names("f.pcap", true, false, Some(101)), 7, "f.pcap007"),
            (names("f-%H%M%S-%%", false, true, Some(5)), 0, "f-030405-%"),
            (names("f-%H", true, true, None), 0, "f-03"),
            (names("f-%H", true, true, None), 3, "f-033"),
            (names("f-%H", true, true, Some(20)), 3, "f-0303"),
            (names("100%H", true, false, None), 0, "100%H"),
        ] {
            assert_eq!(names.name(time, number), Path::new(name));
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        let mut names = names("", false, true, None);
        names.pattern = OsStr::from_bytes(b"a\xff-%Y").into();
        let name = names.name(Timestamp::from_nanos(0), 0);
        assert_eq!(name.as_os_str().as_bytes(), b"a\xff-1970");
    }
}
