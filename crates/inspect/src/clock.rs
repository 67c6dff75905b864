//! The two clocks, and how one is turned into the other.
//!
//! Packets carry the wall clock, calls and state changes the monotonic clock. Reading one
//! between two readings of the other brackets the difference to some tens of nanoseconds.

mod boot;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::model::Timestamp;

pub use boot::Boot;

/// The wall clock, now.
pub fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Realtime);
    Timestamp::from_parts(time.tv_sec, time.tv_nsec)
}

/// Nanoseconds of the monotonic clock (CLOCK_MONOTONIC: since boot, without suspend).
pub fn monotonic_ns() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

fn nanos(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// What to add to a monotonic time to get the wall clock, as it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    offset_ns: i64,
    width_ns: u64,
}

impl Bracket {
    /// Reads the clocks a few times and keeps the narrowest reading.
    pub fn take() -> Self {
        (0..5)
            .map(|_| {
                let before = monotonic_ns();
                let wall = now();
                let after = monotonic_ns();
                Self::from_readings(before, wall, after)
            })
            .min_by_key(|bracket| bracket.width_ns)
            .unwrap_or(Self {
                offset_ns: 0,
                width_ns: u64::MAX,
            })
    }

    /// A wall clock reading between two of the monotonic clock.
    pub fn from_readings(before: u64, wall: Timestamp, after: u64) -> Self {
        let width_ns = after.saturating_sub(before);
        let middle = before.saturating_add(width_ns / 2);
        Self {
            offset_ns: wall
                .as_nanos()
                .saturating_sub(i64::try_from(middle).unwrap_or(i64::MAX)),
            width_ns,
        }
    }

    /// The wall clock at a monotonic time in nanoseconds.
    pub fn wall(&self, monotonic_ns: u64) -> Timestamp {
        Timestamp::from_nanos(
            self.offset_ns
                .saturating_add(i64::try_from(monotonic_ns).unwrap_or(i64::MAX)),
        )
    }

    /// How uncertain the conversion is: the whole width of the bracket, nanoseconds.
    pub fn width_ns(&self) -> u64 {
        self.width_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_turns_monotonic_into_wall_time() {
        let bracket = Bracket::from_readings(1_000, Timestamp::from_nanos(5_000_020), 1_040);
        assert_eq!(bracket.wall(1_020), Timestamp::from_nanos(5_000_020));
        assert_eq!(bracket.wall(2_020), Timestamp::from_nanos(5_001_020));
        assert_eq!(bracket.width_ns(), 40);
    }

    #[test]
    fn a_real_bracket_is_narrow_and_agrees_with_the_wall_clock() {
        let bracket = Bracket::take();
        assert!(bracket.width_ns() < 1_000_000, "{bracket:?}");
        let wall = bracket.wall(monotonic_ns());
        let difference = now().as_nanos() - wall.as_nanos();
        assert!(difference.abs() < 1_000_000_000, "{difference} ns");
    }
}
