//! What the kernel allows a network namespace: how many ports, how many TIME_WAIT, how long a
//! queue.

mod source;

use crate::ports;
pub use source::read;

/// Settings of a network namespace that can run out (the kernel's
/// Documentation/networking/ip-sysctl.rst). What could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// What it does with port numbers.
    pub ports: ports::Settings,
    /// So many TIME_WAIT are kept at most: `tcp_max_tw_buckets`.
    pub time_wait: Option<u32>,
    /// Whether connect() may take the port of a TIME_WAIT: `tcp_tw_reuse`.
    pub time_wait_reuse: Option<Reuse>,
    /// No accept queue may be longer, whatever listen() asks for: `somaxconn`.
    pub accept_queue: Option<u32>,
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
        let range = self.ports.ephemeral.clone()?;
        let reserved = self.ports.reserved.as_deref().unwrap_or_default();
        let usable = range.filter(|port| !reserved.iter().any(|part| part.contains(port)));
        u32::try_from(usable.count()).ok()
    }
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
    fn reuse_is_read_as_the_kernel_writes_it() {
        assert_eq!(parse_reuse("2\n"), Some(Reuse::Loopback));
        assert_eq!(parse_reuse("0\n"), Some(Reuse::Never));
        assert_eq!(parse_reuse("1\n"), Some(Reuse::Always));
        assert_eq!(parse_reuse("3\n"), None);
        assert_eq!(parse_reuse(""), None);
    }

    #[test]
    fn reserved_ports_are_not_for_connections() {
        let limits = Limits {
            ports: ports::Settings {
                ephemeral: Some(40_000..=40_019),
                reserved: Some(vec![40_000..=40_004, 40_003..=40_005, 1..=2]),
                ..ports::Settings::default()
            },
            ..Limits::default()
        };
        assert_eq!(limits.ephemeral_ports(), Some(14));
        assert_eq!(Limits::default().ephemeral_ports(), None);
    }
}
