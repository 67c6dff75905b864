//! Port numbers: what range one is in.

use std::ops::RangeInclusive;

/// The three ranges of port numbers (RFC 6335, 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// 0 to 1023: assigned to the services of the system.
    WellKnown,
    /// 1024 to 49151: assigned to services on request.
    Registered,
    /// 49152 to 65535: never assigned, for clients and for private use.
    Dynamic,
}

impl Class {
    /// All, from the lowest.
    pub const ALL: [Self; 3] = [Self::WellKnown, Self::Registered, Self::Dynamic];

    /// The range that a port is in.
    pub fn of(port: u16) -> Self {
        match port {
            0..=1_023 => Self::WellKnown,
            1_024..=49_151 => Self::Registered,
            49_152.. => Self::Dynamic,
        }
    }

    /// Its ports.
    pub fn range(self) -> RangeInclusive<u16> {
        match self {
            Self::WellKnown => 0..=1_023,
            Self::Registered => 1_024..=49_151,
            Self::Dynamic => 49_152..=u16::MAX,
        }
    }

    /// The word used in records and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::WellKnown => "well-known",
            Self::Registered => "registered",
            Self::Dynamic => "dynamic",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_meet_and_cover_everything() {
        let [known, registered, dynamic] = Class::ALL.map(Class::range);
        assert_eq!(*known.start(), 0);
        assert_eq!(known.end() + 1, *registered.start());
        assert_eq!(registered.end() + 1, *dynamic.start());
        assert_eq!(*dynamic.end(), u16::MAX);
        for port in 0..=u16::MAX {
            assert!(Class::of(port).range().contains(&port));
        }
    }
}
