//! When a process started, from what the kernel counts since boot.

use crate::model::Timestamp;

const NANOS: u64 = 1_000_000_000;

/// What turns a time since boot into one on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// Seconds since the epoch at which the machine booted, as /proc/stat rounds them; `None`
    /// where they could not be read.
    pub seconds: Option<u64>,
    /// Clock ticks a second, in which /proc counts (sysconf(_SC_CLK_TCK)).
    pub ticks_per_second: u64,
}

impl Boot {
    /// From what /proc/stat says (`btime`, proc_stat(5)); what it does not say is not known.
    pub fn from_stat(stat: &[u8], ticks_per_second: u64) -> Self {
        let mut lines = stat.split(|byte| *byte == b'\n');
        let digits = lines.find_map(|line| line.strip_prefix(b"btime "));
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit));
        Self {
            seconds: digits
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| digits.parse().ok()),
            ticks_per_second,
        }
    }

    /// A start in clock ticks since boot.
    pub fn at_ticks(&self, ticks: u64) -> Option<Timestamp> {
        let each_second = self.ticks_per_second.max(1);
        let seconds = self.seconds?.checked_add(ticks / each_second)?;
        let nanos = ticks % each_second * (NANOS / each_second);
        Some(Timestamp::from_parts(
            i64::try_from(seconds).ok()?,
            i64::try_from(nanos).ok()?,
        ))
    }

    /// A start in nanoseconds since boot, cut down to what /proc would tell, so that a process
    /// started at the same time whoever is asked.
    pub fn at_nanos(&self, nanos: u64) -> Option<Timestamp> {
        let tick = (NANOS / self.ticks_per_second.max(1)).max(1);
        self.at_ticks(nanos / tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: Boot = Boot {
        seconds: Some(1_700_000_000),
        ticks_per_second: 100,
    };

    #[test]
    fn ticks_and_nanoseconds_tell_the_same_start() {
        let expected = Some(Timestamp::from_parts(1_700_000_725, 550_000_000));
        assert_eq!(BOOT.at_ticks(72_555), expected);
        assert_eq!(BOOT.at_nanos(725_553_536_841), expected);
    }

    #[test]
    fn the_time_of_boot_stands_in_its_line_or_nowhere() {
        let stat = b"cpu 1 2\nintr 9\nbtime 1700000000\nprocesses 5\n";
        assert_eq!(Boot::from_stat(stat, 100), BOOT);
        for stat in [&b"cpu 1\n"[..], b"btime +1\n", b"btime \n", b"btime"] {
            assert_eq!(Boot::from_stat(stat, 100).seconds, None);
        }
    }

    #[test]
    fn without_the_time_of_boot_no_start_is_known() {
        let boot = Boot {
            seconds: None,
            ..BOOT
        };
        assert_eq!(boot.at_ticks(1), None);
        assert_eq!(boot.at_nanos(1), None);
    }

    proptest::proptest! {
        #[test]
        fn any_numbers_are_a_time_or_none(seconds: u64, ticks_per_second: u64, count: u64) {
            let boot = Boot { seconds: Some(seconds), ticks_per_second };
            let _ = (boot.at_ticks(count), boot.at_nanos(count));
        }

        #[test]
        fn any_bytes_tell_a_time_or_none(stat: Vec<u8>) {
            let _ = Boot::from_stat(&stat, 100);
        }
    }
}
