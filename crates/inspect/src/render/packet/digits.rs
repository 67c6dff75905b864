//! Numbers and the time of day, written cheaply: a line has ten of them, and `write!` costs
//! more than all the rest of the line.

use jiff::tz::TimeZone;

use crate::model::Timestamp;

/// Appends a number in decimal.
pub(super) fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = digit(value % 10);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number with a comma between thousands.
pub(super) fn grouped(out: &mut Vec<u8>, value: u64) {
    let mut plain = Vec::with_capacity(20);
    number(&mut plain, value);
    for (index, digit) in plain.iter().enumerate() {
        if index > 0 && (plain.len() - index) % 3 == 0 {
            out.push(b',');
        }
        out.push(*digit);
    }
}

fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value % 10).unwrap_or(0)
}

fn padded<const N: usize>(mut value: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for place in digits.iter_mut().rev() {
        *place = digit(value);
        value /= 10;
    }
    digits
}

/// The time of day in a time zone; hours to seconds are worked out once a second.
#[derive(Debug, Clone)]
pub struct TimeOfDay {
    zone: TimeZone,
    second: Option<i64>,
    text: [u8; 8],
}

impl TimeOfDay {
    /// In this time zone.
    pub fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            second: None,
            text: *b"00:00:00",
        }
    }

    /// Appends `12:00:01`, and the microseconds if wanted.
    pub fn write(&mut self, out: &mut Vec<u8>, time: Timestamp, microseconds: bool) {
        let second = time.seconds();
        if self.second != Some(second) {
            self.second = Some(second);
            let offset = jiff::Timestamp::from_second(second)
                .map_or(0, |at| i64::from(self.zone.to_offset(at).seconds()));
            let of_day = second
                .saturating_add(offset)
                .rem_euclid(86_400)
                .unsigned_abs();
            let [h, m, s] = [of_day / 3_600, of_day / 60 % 60, of_day % 60].map(padded::<2>);
            self.text = [h[0], h[1], b':', m[0], m[1], b':', s[0], s[1]];
        }
        out.extend_from_slice(&self.text);
        if microseconds {
            let micros = time.subsecond_nanos().unsigned_abs() / 1_000;
            out.push(b'.');
            out.extend_from_slice(&padded::<6>(micros));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_format_writes_them() {
        for value in [0, 1, 9, 10, 12_345, 1_000_000, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
        }
        let mut out = Vec::new();
        for value in [0, 999, 1_500, 1_234_567] {
            grouped(&mut out, value);
            out.push(b' ');
        }
        assert_eq!(out, b"0 999 1,500 1,234,567 ");
    }

    #[test]
    fn the_time_is_that_of_the_zone() {
        let mut out = Vec::new();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let mut clock = TimeOfDay::new(zone);
        clock.write(&mut out, Timestamp::from_parts(3_600 * 23, 113_999), true);
        out.push(b' ');
        clock.write(&mut out, Timestamp::from_parts(-1, 0), false);
        assert_eq!(out, b"01:00:00.000113 01:59:59");
    }
}
