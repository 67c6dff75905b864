//! What the kernel allows a network namespace: how many ports, how many TIME_WAIT, how long a
//! queue.

mod source;

use std::ops::RangeInclusive;

pub use source::read;

/// Settings of a network namespace that can run out (the kernel's
/// Documentation/networking/ip-sysctl.rst). What could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// The ports given to sockets that did not choose one: `ip_local_port_range`.
    pub ephemeral: Option<RangeInclusive<u16>>,
    /// The ports left out of that: `ip_local_reserved_ports`. Empty when there is none.
    pub reserved: Option<Vec<RangeInclusive<u16>>>,
    /// So many TIME_WAIT are kept at most: `tcp_max_tw_buckets`.
    pub time_wait: Option<u32>,
    /// Whether connect() may take the port of a TIME_WAIT: `tcp_tw_reuse`.
    pub time_wait_reuse: Option<Reuse>,
    /// No accept queue may be longer, whatever listen() asks for: `somaxconn`.
    pub accept_queue: Option<u32>,
    /// The first port that needs no CAP_NET_BIND_SERVICE: `ip_unprivileged_port_start`. It may
    /// be 65536: then every port needs it.
    pub unprivileged_start: Option<u32>,
}

/// Whether connect() may take the port of a TIME_WAIT that is a second old (net/ipv4/tcp_ipv4.c
/// `tcp_twsk_unique`); both ends must use TCP timestamps, as Linux does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Never.
    Never,
    /// Always.
    Always,
    /// Between addresses of this machine that begin with 127, and `::1`: the default.
    Loopback,
}

impl Limits {
    /// How many ports there are for connections to one destination: the range without the
    /// reserved ones.
    pub fn ephemeral_ports(&self) -> Option<u32> {
        let range = self.ephemeral.as_ref()?;
        let mut reserved = self.reserved.clone().unwrap_or_default();
        reserved.sort_unstable_by_key(|part| *part.start());
        let mut usable = 0;
        // The first port that is neither counted nor known to be reserved.
        let mut next = u32::from(*range.start());
        let end = u32::from(*range.end()) + 1;
        for part in reserved {
            let first = u32::from(*part.start()).min(end);
            usable += first.saturating_sub(next);
            next = next.max(u32::from(*part.end()) + 1);
        }
        Some(usable + end.saturating_sub(next))
    }

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

    /// Whether the port is reserved: a bind() that names it may have it all the same.
    pub fn is_reserved(&self, port: u16) -> Option<bool> {
        let reserved = self.reserved.as_ref()?;
        Some(reserved.iter().any(|range| range.contains(&port)))
    }

    /// Whether bind() to the port needs CAP_NET_BIND_SERVICE.
    pub fn is_privileged(&self, port: u16) -> Option<bool> {
        Some(u32::from(port) < self.unprivileged_start?)
    }
}

/// Two numbers with white space between them.
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

fn parse_reuse(text: &str) -> Option<Reuse> {
    Some(match text.trim() {
        "0" => Reuse::Never,
        "1" => Reuse::Always,
        "2" => Reuse::Loopback,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(parse_reuse("2\n"), Some(Reuse::Loopback));
        assert_eq!(parse_reuse("3\n"), None);
    }

    #[test]
    fn reserved_ports_are_not_for_connections() {
        let limits = Limits {
            ephemeral: Some(40_000..=40_019),
            reserved: Some(vec![40_000..=40_004, 40_003..=40_005, 1..=2]),
            ..Limits::default()
        };
        assert_eq!(limits.ephemeral_ports(), Some(14));
        assert_eq!(Limits::default().ephemeral_ports(), None);
    }

    #[test]
    fn a_reserved_port_is_not_handed_out() {
        let limits = Limits {
            ephemeral: Some(32_768..=60_999),
            reserved: Some(vec![50_000..=50_001]),
            unprivileged_start: Some(1_024),
            ..Limits::default()
        };
        for (port, handed_out) in [(50_123, true), (50_000, false), (2_345, false)] {
            assert_eq!(limits.hands_out(port), Some(handed_out), "{port}");
        }
        assert_eq!(limits.is_privileged(80), Some(true));
        assert_eq!(limits.is_privileged(1_024), Some(false));
        assert_eq!(Limits::default().hands_out(1), None);
        assert_eq!(Limits::default().is_privileged(1), None);
    }

    proptest::proptest! {
        #[test]
        fn usable_ports_are_those_of_the_range_that_no_part_reserves(
            range in (0u16..300, 0u16..300),
            parts in proptest::collection::vec((0u16..320, 0u16..320), 0..8),
        ) {
            let limits = Limits {
                ephemeral: Some(range.0.min(range.1)..=range.0.max(range.1)),
                reserved: Some(parts.iter().map(|it| it.0.min(it.1)..=it.0.max(it.1)).collect()),
                ..Limits::default()
            };
            let ports = limits.ephemeral.clone().unwrap();
            let usable = ports.filter(|port| limits.is_reserved(*port) == Some(false)).count();
            proptest::prop_assert_eq!(limits.ephemeral_ports(), u32::try_from(usable).ok());
        }

        #[test]
        fn any_text_is_settings_or_none(text in "[0-9,\\- \t\nx]{0,40}", first: u16, last: u16) {
            let _ = (parse_range(&text), parse_reserved(&text), parse_reuse(&text));
            let written = parse_reserved(&format!("{first}-{last}"));
            proptest::prop_assert_eq!(written, Some(vec![first..=last]));
        }
    }
}
