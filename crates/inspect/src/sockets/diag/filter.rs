//! The part of a selection that the kernel can decide: a selection -> the dumps that list at
//! least what is selected.
//!
//! Three things stay although they are not selected. What cannot be decided here (an owner, a
//! user) stays, for the listing to decide. The other end of a local connection stays, because
//! the listing shows it beside the selected one: a socket is kept when it is selected, or when
//! the one with its ends exchanged would be. And listeners stay, always: they tell which side of
//! a connection is the server.

use super::super::Table;
use super::Scope;
use super::bytecode::{Condition, Fact, compile};
use crate::model::{Family, Protocol, State};
use crate::selection::{Comparison, End, Network, Selection, Test};

/// One dump of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pass {
    /// The states that are asked for: one bit each, by the kernel's number.
    pub(super) states: u32,
    /// Which of those; all of them where there is no program.
    pub(super) bytecode: Option<Vec<u8>>,
    /// [`super::Detail::autobound`] of what the program lets through, where it is about that.
    pub(super) autobound: Option<bool>,
}

impl Pass {
    pub(super) fn new(states: u32, bytecode: Option<Vec<u8>>) -> Self {
        Self {
            states,
            bytecode,
            autobound: None,
        }
    }
}

/// `1 << TCP_LISTEN`.
pub(super) const LISTEN: u32 = 1 << 10;
/// `1 << TCP_TIME_WAIT`.
const TIME_WAIT: u32 = 1 << 6;
/// `1 << TCP_BOUND_INACTIVE | 1 << TCP_CLOSE`. CLOSE is in no table but that of the bound ones,
/// which has a number of its own.
pub(super) const BOUND: u32 = 1 << 13 | 1 << 7;

/// The dumps by which tables are read; none where nothing of them can be selected. With
/// `autobound`, each is divided into two, for no message tells who chose a socket's port.
pub(super) fn passes(scope: Scope, selection: &Selection, autobound: bool) -> Vec<Pass> {
    let table = scope.table();
    let mut states = 0;
    let mut conditions = Vec::new();
    for class in classes(table) {
        let condition = kept_of(scope, class, selection);
        if condition != Condition::Never {
            states |= class.bits;
            conditions.push(condition);
        }
    }
    // A socket may be in one state at the first of two dumps and in another at the second; so
    // there are no more dumps than listeners need, and the halves have states in common.
    let condition = Condition::any(conditions);
    let pass = |states, condition: &Condition| {
        let parts = if autobound && table.has_ports() {
            divided(table, states, condition)
        } else {
            None
        };
        parts.unwrap_or_else(|| vec![Pass::new(states, program(table, condition))])
    };
    if !matches!(table.protocol(), Some(Protocol::Tcp | Protocol::Mptcp)) {
        if states == 0 {
            return Vec::new();
        }
        // Of the clients that wait for accept() a unix listener alone tells.
        let listeners = if table == Table::Unix { LISTEN } else { 0 };
        return pass(states | listeners, &condition);
    }
    if program(table, &condition).is_none() {
        return pass(states | LISTEN, &Condition::Always);
    }
    let mut passes = pass(LISTEN, &Condition::Always);
    passes.extend(pass(states & !LISTEN, &condition));
    passes
}

fn program(table: Table, condition: &Condition) -> Option<Vec<u8>> {
    match condition {
        Condition::Always | Condition::Never => None,
        decidable if table.has_ends() => compile(decidable),
        _ => None,
    }
}

/// A dump of the sockets of which nobody chose the port, and one of the others. Last those in
/// TIME_WAIT once more: they have no lock on their port any more, and so are in the first half,
/// whichever they were in before; what came to be one between the two dumps is in neither.
fn divided(table: Table, states: u32, condition: &Condition) -> Option<Vec<Pass>> {
    let chosen = Condition::Is(Fact::Autobound);
    let parts = [(true, chosen.clone()), (false, chosen.not())];
    let passes = parts.into_iter().map(|(autobound, half)| {
        let program = compile(&Condition::all([condition.clone(), half]))?;
        Some(Pass {
            autobound: Some(autobound),
            ..Pass::new(states, Some(program))
        })
    });
    let mut passes: Vec<Pass> = passes.collect::<Option<_>>()?;
    let has_time_wait = matches!(table.protocol(), Some(Protocol::Tcp | Protocol::Mptcp));
    if has_time_wait && states & TIME_WAIT != 0 {
        passes.push(Pass::new(TIME_WAIT, program(table, condition)));
    }
    Some(passes)
}

/// States that the kernel lists together.
struct Class {
    /// By their numbers (include/net/tcp_states.h).
    bits: u32,
    /// What this program calls them.
    states: &'static [State],
}

const fn class(bits: u32, states: &'static [State]) -> Class {
    Class { bits, states }
}

const TCP: [Class; 11] = [
    class(LISTEN, &[State::Listen]),
    class(BOUND, &[State::Bound, State::Closed]),
    class(1 << 1, &[State::Established]),
    class(1 << 2, &[State::SynSent]),
    class(1 << 3 | 1 << 12, &[State::SynRecv]),
    class(1 << 4, &[State::FinWait1]),
    class(1 << 5, &[State::FinWait2]),
    class(1 << 6, &[State::TimeWait]),
    class(1 << 8, &[State::CloseWait]),
    class(1 << 9, &[State::LastAck]),
    class(1 << 11, &[State::Closing]),
];
const DATAGRAM: [Class; 2] = [
    class(1 << 1, &[State::Established]),
    class(1 << 7, &[State::Unconnected]),
];
/// Raw sockets are listed whatever their state.
const RAW: [Class; 1] = [class(u32::MAX, &[State::Established, State::Unconnected])];
const UNIX: [Class; 4] = [
    class(LISTEN, &[State::Listen]),
    class(1 << 1, &[State::Established]),
    class(1 << 2, &[State::SynSent]),
    class(
        1 << 7,
        &[State::Closed, State::Unconnected, State::Established],
    ),
];
const STATELESS: [Class; 1] = [class(u32::MAX, &[State::Unconnected])];
const EVERY: [Class; 1] = [class(u32::MAX, &State::ALL)];

fn classes(table: Table) -> &'static [Class] {
    match table {
        Table::Tcp | Table::Tcp6 | Table::Mptcp | Table::Mptcp6 => &TCP,
        Table::Udp | Table::Udp6 | Table::UdpLite | Table::UdpLite6 => &DATAGRAM,
        Table::Raw | Table::Raw6 => &RAW,
        Table::Unix => &UNIX,
        Table::Netlink | Table::Packet => &STATELESS,
        Table::Icmp | Table::Icmp6 | Table::Vsock | Table::Tipc => &EVERY,
    }
}

impl Table {
    /// Whether its sockets have two IP ends, by which the kernel can choose them.
    fn has_ends(self) -> bool {
        matches!(self.family(), Family::Inet | Family::Inet6)
    }

    /// Whether the listing looks for the other end of its sockets.
    fn has_peers(self) -> bool {
        match self.protocol() {
            Some(Protocol::Raw | Protocol::Icmp | Protocol::Netlink) => false,
            Some(_) => true,
            None => self == Self::Unix,
        }
    }

    /// Whether the number of its sockets' ends is a port.
    fn has_ports(self) -> bool {
        self.has_ends() && !matches!(self.protocol(), Some(Protocol::Raw | Protocol::Icmp))
    }
}

/// When a socket in one of these states is kept.
fn kept_of(scope: Scope, class: &Class, selection: &Selection) -> Condition {
    match scope {
        Scope::Table(table) => kept(table, class, selection),
        Scope::Tcp => {
            let v4 = kept(Table::Tcp, class, selection);
            let v6 = kept(Table::Tcp6, class, selection);
            if v4 == v6 {
                return v4;
            }
            let is_v6 = Condition::Is(Fact::IsV6);
            Condition::any([
                Condition::all([is_v6.clone(), v6]),
                Condition::all([is_v6.not(), v4]),
            ])
        }
    }
}

fn kept(table: Table, class: &Class, selection: &Selection) -> Condition {
    let own = class.states.iter().map(|state| {
        let view = View {
            table,
            state: Some(*state),
        };
        view.condition(selection, true)
    });
    let peer = table.has_peers().then(|| {
        let view = View { table, state: None };
        view.condition(selection, true)
    });
    // A listener is kept anyway.
    let peer = peer.filter(|_| class.states != [State::Listen]);
    Condition::any(own.chain(peer))
}

/// How a socket of a table is looked at.
struct View {
    table: Table,
    /// Its state; `None` when it is looked at as the other end of another, whose state is
    /// unknown.
    state: Option<State>,
}

impl View {
    /// When the selection may hold. A test that cannot be decided holds when `open`, which a
    /// `Not` turns round.
    fn condition(&self, selection: &Selection, open: bool) -> Condition {
        match selection {
            Selection::Test(test) => self.test(test).unwrap_or(if open {
                Condition::Always
            } else {
                Condition::Never
            }),
            Selection::Not(part) => self.condition(part, !open).not(),
            Selection::All(parts) => {
                Condition::all(parts.iter().map(|part| self.condition(part, open)))
            }
            Selection::Any(parts) => {
                Condition::any(parts.iter().map(|part| self.condition(part, open)))
            }
        }
    }

    /// When a test holds; `None` where that cannot be decided.
    fn test(&self, test: &Test) -> Option<Condition> {
        let has_ends = self.table.has_ends();
        match test {
            // The other end of an IPv4 connection may be an IPv6 socket.
            Test::Family(_) if self.is_other_end() && has_ends => None,
            Test::Family(family) => constant(*family == self.table.family()),
            Test::Protocol(protocol) => match self.table.protocol() {
                Some(own) => constant(own == *protocol),
                None => None,
            },
            Test::State(state) => match self.state {
                Some(own) => constant(own == *state),
                None if self.never_other_end(*state) => constant(false),
                None => None,
            },
            Test::Port(_) if !self.table.has_ports() => constant(false),
            Test::Port(port) => either(|end| Fact::Port(end, *port)),
            Test::EndPort { .. } if self.table == Table::Vsock => None,
            Test::EndPort { .. } if !self.table.has_ports() => constant(false),
            Test::EndPort { end, is, port } => Some(compared(self.seen(*end), *is, *port)),
            Test::Host(_) | Test::EndAddress { .. } if !has_ends => constant(false),
            Test::Host(address) => {
                let network = Network::from(address.to_canonical());
                either(|end| Fact::Network(end, network))
            }
            // Where the other end sees `::ffff:127.0.0.1`, this one may see 127.0.0.1.
            Test::EndAddress { network, .. } if self.is_other_end() && network.holds_mapped() => {
                None
            }
            Test::EndAddress { end, network } => {
                Some(Condition::Is(Fact::Network(self.seen(*end), *network)))
            }
            Test::EndUnix { .. } if self.table != Table::Unix => constant(false),
            Test::RoundTrip(..) | Test::Retransmits(..) if self.never_measured() => constant(false),
            Test::EndUnix { .. }
            | Test::RoundTrip(..)
            | Test::Retransmits(..)
            | Test::Interface(_)
            | Test::Mark { .. }
            | Test::Cgroup(_)
            | Test::Autobound { .. }
            | Test::NetworkNamespace(_)
            | Test::Pid(_)
            | Test::Process(_)
            | Test::ProcessLike(_)
            | Test::User(_)
            | Test::Container(_)
            | Test::Unit(_)
            | Test::PeerPid(_)
            | Test::PeerProcess(_)
            | Test::ReceiveQueue(..)
            | Test::SendQueue(..) => None,
        }
    }

    /// The end of the listed socket that a test means.
    fn seen(&self, end: End) -> End {
        if self.is_other_end() {
            end.other()
        } else {
            end
        }
    }

    /// Whether TCP measures nothing of what is in this state.
    fn never_measured(&self) -> bool {
        self.table.protocol() != Some(Protocol::Tcp)
            || matches!(
                self.state,
                Some(
                    State::Listen | State::Bound | State::Closed | State::TimeWait | State::SynRecv
                )
            )
    }

    fn is_other_end(&self) -> bool {
        self.state.is_none()
    }

    /// What is in such a state has no other end. A unix datagram socket may be the other end of
    /// many without having one.
    fn never_other_end(&self, state: State) -> bool {
        match state {
            State::Listen => true,
            State::Bound | State::Unconnected => self.table.has_ends(),
            _ => false,
        }
    }
}

fn constant(holds: bool) -> Option<Condition> {
    Some(if holds {
        Condition::Always
    } else {
        Condition::Never
    })
}

/// The same seen from both ends.
fn either(fact: impl Fn(End) -> Fact) -> Option<Condition> {
    Some(Condition::any(
        [End::Local, End::Remote].map(|end| Condition::Is(fact(end))),
    ))
}

fn compared(end: End, is: Comparison, port: u16) -> Condition {
    let fact = match is {
        Comparison::Less => port.checked_sub(1).map(|most| Fact::PortTo(end, most)),
        Comparison::AtMost => Some(Fact::PortTo(end, port)),
        Comparison::Equal => Some(Fact::Port(end, port)),
        Comparison::AtLeast => Some(Fact::PortFrom(end, port)),
        Comparison::More => port.checked_add(1).map(|least| Fact::PortFrom(end, least)),
    };
    fact.map_or(Condition::Never, Condition::Is)
}
