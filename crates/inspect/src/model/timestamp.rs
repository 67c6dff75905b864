//! A point in time on the wall clock.

use std::fmt;

/// Nanoseconds since 1970-01-01 00:00:00 UTC on the wall clock; negative before. The range is
/// years 1677 to 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A UTC date and time of day, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Year, 1677 to 2262.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: i64,
    /// Day of the month, 1 to 31.
    pub day: i64,
    /// Second of the day, 0 to 86,399.
    pub second_of_day: i64,
    /// Nanosecond of the second.
    pub nanosecond: i64,
}

const NANOS: i64 = 1_000_000_000;

impl Timestamp {
    /// From nanoseconds since the epoch.
    pub fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From seconds and nanoseconds since the epoch; what does not fit is clamped.
    pub fn from_parts(seconds: i64, nanoseconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS).saturating_add(nanoseconds))
    }

    /// Nanoseconds since the epoch.
    pub fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// Nanoseconds within the second, 0 to 999,999,999.
    pub fn subsecond_nanos(self) -> i64 {
        self.0.rem_euclid(NANOS)
    }

    /// The UTC date. The calendar arithmetic is Howard Hinnant's `civil_from_days`.
    pub fn date(self) -> Date {
        let seconds = self.seconds();
        let days = seconds.div_euclid(86_400);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12 + 1;
        Date {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            second_of_day: seconds.rem_euclid(86_400),
            nanosecond: self.subsecond_nanos(),
        }
    }
}

/// RFC 3339 in UTC with nine digits: `2026-01-02T03:04:05.000000006Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.rfc_3339()).unwrap_or_default())
    }
}

impl Timestamp {
    /// The same as ASCII. Written by pairs of digits, which is several times faster than their
    /// formats: a listing has up to three such times for each socket.
    pub fn rfc_3339(self) -> [u8; 30] {
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let date = self.date();
        let second = date.second_of_day;
        for (place, number) in [
            (0, date.year / 100),
            (2, date.year % 100),
            (5, date.month),
            (8, date.day),
            (11, second / 3_600),
            (14, second / 60 % 60),
            (17, second % 60),
            (20, date.nanosecond / 10_000_000),
            (22, date.nanosecond / 100_000 % 100),
            (24, date.nanosecond / 1_000 % 100),
            (26, date.nanosecond / 10 % 100),
            // Its second digit is the last but for the Z.
            (27, date.nanosecond % 100),
        ] {
            let pair = usize::try_from(number).unwrap_or(0);
            if let (Some(to), Some(from)) = (text.get_mut(place..place + 2), PAIRS.get(pair)) {
                to.copy_from_slice(from);
            }
        }
        text
    }
}

/// 00 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number: u8 = 0;
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_rfc_3339() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00.000000000Z"),
            (1_767_323_045, 6, "2026-01-02T03:04:05.000000006Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000000000Z"),
            (-1, 999_999_999, "1969-12-31T23:59:59.999999999Z"),
            (1_798_761_599, 0, "2026-12-31T23:59:59.000000000Z"),
        ] {
            assert_eq!(Timestamp::from_parts(seconds, nanos).to_string(), text);
        }
    }

    #[test]
    fn the_edges_of_the_range_do_not_overflow() {
        for nanos in [i64::MIN, i64::MAX] {
            assert!(Timestamp::from_nanos(nanos).to_string().ends_with('Z'));
        }
        assert_eq!(Timestamp::from_parts(i64::MAX, 5).as_nanos(), i64::MAX);
    }
}
