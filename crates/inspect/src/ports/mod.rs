//! Port numbers: what range one is in, and what this kernel does with it.

mod source;

use std::ops::RangeInclusive;

pub use source::read;

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

/// What a network namespace does with port numbers (the kernel's
/// Documentation/networking/ip-sysctl.rst). What could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The ports given to sockets that did not choose one: `ip_local_port_range`.
    pub ephemeral: Option<RangeInclusive<u16>>,
    /// The ports left out of that, though a bind() that names one may have it:
    /// `ip_local_reserved_ports`. Empty when there is none.
    pub reserved: Option<Vec<RangeInclusive<u16>>>,
    /// The first port that needs no CAP_NET_BIND_SERVICE: `ip_unprivileged_port_start`. It may
    /// be 65536: then every port needs it.
    pub unprivileged_start: Option<u32>,
}

impl Settings {
    /// Whether the kernel may give the port to a socket that did not choose one.
    pub fn hands_out(&self, port: u16) -> Option<bool> {
        let inside = self.ephemeral.as_ref()?.contains(&port);
        match self.is_reserved(port) {
            Some(true) => Some(false),
            // Outside of the range it does not matter what is reserved.
            None if inside => None,
            _ => Some(inside),
        }
    }

    /// Whether the port is reserved.
    pub fn is_reserved(&self, port: u16) -> Option<bool> {
        let reserved = self.reserved.as_ref()?;
        Some(reserved.iter().any(|range| range.contains(&port)))
    }

    /// Whether bind() to the port needs CAP_NET_BIND_SERVICE.
    pub fn is_privileged(&self, port: u16) -> Option<bool> {
        Some(u32::from(port) < self.unprivileged_start?)
    }
}

/// `32768	60999`.
fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_whitespace();
    let first = words.next()?.parse().ok()?;
    let last = words.next()?.parse().ok()?;
    (first <= last && words.next().is_none()).then_some(first..=last)
}

/// `8080,9000-9010`; an empty line for none.
fn parse_reserved(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',')
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .collect()
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

    #[test]
    fn settings_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_range("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(parse_range("2 1\n"), None);
        assert_eq!(parse_range("1\n"), None);
        assert_eq!(parse_reserved("\n"), Some(vec![]));
        assert_eq!(
            parse_reserved("8080,9000-9010\n"),
            Some(vec![8_080..=8_080, 9_000..=9_010])
        );
        assert_eq!(parse_reserved("x\n"), None);
    }

    #[test]
    fn a_reserved_port_is_not_handed_out() {
        let settings = Settings {
            ephemeral: Some(32_768..=60_999),
            reserved: Some(vec![50_000..=50_001]),
            unprivileged_start: Some(1_024),
        };
        for (port, handed_out) in [(50_123, true), (50_000, false), (2_345, false)] {
            assert_eq!(settings.hands_out(port), Some(handed_out), "{port}");
        }
        assert_eq!(settings.is_privileged(80), Some(true));
        assert_eq!(settings.is_privileged(1_024), Some(false));
        assert_eq!(Settings::default().hands_out(1), None);
        assert_eq!(Settings::default().is_privileged(1), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_settings_or_none(text in "[0-9,\\- \t\nx]{0,40}", first: u16, last: u16) {
            let _ = parse_range(&text);
            let _ = parse_reserved(&text);
            let written = parse_reserved(&format!("{first}-{last}"));
            proptest::prop_assert_eq!(written, Some(vec![first..=last]));
        }
    }
}
