//! Many TCP sockets are dumped by two threads at once, each a share of them.

use super::Scope;
use super::bytecode::{Condition, Fact, compile};
use super::filter::{BOUND, LISTEN, Pass, passes};
use crate::selection::{End, Selection};

/// How much of what is asked for a dump lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Share {
    Whole,
    /// Connections whose port is a high one.
    High,
    /// Everything else.
    Low,
}

/// From here on Linux gives ports to clients (net.ipv4.ip_local_port_range): one end of nearly
/// every connection has such a port.
const EPHEMERAL: u16 = 32_768;
/// In the middle of 32768-60999, and a little lower, because the low share has the bound sockets
/// too: for them the kernel goes through another table.
const HIGH: u16 = 43_000;

/// Whether there is anything to divide: connections, of which no program leaves most out.
pub(in super::super) fn divides(scope: Scope, selection: &Selection) -> bool {
    match passes(scope, selection, false)[..] {
        [
            Pass {
                states,
                bytecode: None,
                ..
            },
        ] => scope == Scope::Tcp && states & !(LISTEN | BOUND) != 0,
        _ => false,
    }
}

impl Share {
    /// The dumps of a share. Where a program leaves out what is not wanted, the low share is all.
    pub(super) fn of(self, passes: Vec<Pass>) -> Vec<Pass> {
        let [
            Pass {
                states,
                bytecode: None,
                ..
            },
        ] = passes[..]
        else {
            return if self == Self::High {
                Vec::new()
            } else {
                passes
            };
        };
        let high = Condition::any([
            Condition::Is(Fact::PortFrom(End::Local, HIGH)),
            Condition::all([
                Condition::Is(Fact::PortTo(End::Local, EPHEMERAL - 1)),
                Condition::Is(Fact::PortFrom(End::Remote, HIGH)),
            ]),
        ]);
        let connections =
            |condition: &Condition| Pass::new(states & !(LISTEN | BOUND), compile(condition));
        match self {
            Self::Whole => passes,
            Self::High => vec![connections(&high)],
            Self::Low => {
                let others = Pass::new(states & (LISTEN | BOUND), None);
                vec![others, connections(&high.not())]
            }
        }
    }
}
