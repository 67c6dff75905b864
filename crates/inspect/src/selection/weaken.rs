//! Selections made of selections: what a source can decide of one, and one seen from the other
//! end.

use super::{Pattern, Selection, Test};

impl Selection {
    /// A selection of the tests that can be decided, which selects at least what this one does.
    ///
    /// A test that cannot be decided counts as held where that selects more, which under a
    /// `Not` is to count as not held. What is left has no part that says nothing: it is
    /// [`Selection::everything`] when nothing can be left out.
    pub fn decidable_by(&self, decidable: &dyn Fn(&Test) -> bool) -> Self {
        self.weakened(decidable, true)
    }

    /// With tests that cannot be decided taken for `open`.
    fn weakened(&self, decidable: &dyn Fn(&Test) -> bool, open: bool) -> Self {
        match self {
            Self::Test(test) if decidable(test) => self.clone(),
            Self::Test(_) if open => Self::everything(),
            Self::Test(_) => Self::Any(Vec::new()),
            Self::Not(part) => match part.weakened(decidable, !open) {
                Self::All(parts) if parts.is_empty() => Self::Any(parts),
                Self::Any(parts) if parts.is_empty() => Self::All(parts),
                part => Self::Not(Box::new(part)),
            },
            Self::All(parts) => {
                let mut kept = Vec::new();
                for part in parts {
                    match part.weakened(decidable, open) {
                        Self::All(parts) if parts.is_empty() => {}
                        Self::Any(parts) if parts.is_empty() => return Self::Any(parts),
                        part => kept.push(part),
                    }
                }
                alone(kept).unwrap_or_else(Self::All)
            }
            Self::Any(parts) => {
                let mut kept = Vec::new();
                for part in parts {
                    match part.weakened(decidable, open) {
                        Self::Any(parts) if parts.is_empty() => {}
                        Self::All(parts) if parts.is_empty() => return Self::All(parts),
                        part => kept.push(part),
                    }
                }
                alone(kept).unwrap_or_else(Self::Any)
            }
        }
    }

    /// The same with the ends exchanged: it selects a socket where this selects the socket at
    /// the other end of its connection.
    ///
    /// That holds for tests that are about the ends ([`Test::is_about_ends`]). Others stay as
    /// they are, though the other end may have another state, queue or user. So a source that
    /// wants the other ends too asks for
    /// `selection.decidable_by(&Test::is_about_ends).mirrored()`.
    pub fn mirrored(&self) -> Self {
        match self {
            Self::Test(test) => Self::Test(test.mirrored()),
            Self::All(parts) => Self::All(parts.iter().map(Self::mirrored).collect()),
            Self::Any(parts) => Self::Any(parts.iter().map(Self::mirrored).collect()),
            Self::Not(part) => Self::Not(Box::new(part.mirrored())),
        }
    }

    /// Every test in it, from left to right.
    pub fn tests(&self) -> Vec<&Test> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a Test>) {
        match self {
            Self::Test(test) => found.push(test),
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.collect(found);
                }
            }
            Self::Not(part) => part.collect(found),
        }
    }
}

/// One part needs nothing around it.
fn alone(mut parts: Vec<Selection>) -> Result<Selection, Vec<Selection>> {
    match parts.pop() {
        Some(part) if parts.is_empty() => Ok(part),
        Some(part) => {
            parts.push(part);
            Err(parts)
        }
        None => Err(parts),
    }
}

impl Test {
    /// Whether [`Selection::mirrored`] turns it into the same question about the other end.
    ///
    /// An IPv6 network with v4-mapped addresses is left out: where one end is an IPv6 socket
    /// that sees `::ffff:127.0.0.1`, the other may be an IPv4 socket.
    pub fn is_about_ends(&self) -> bool {
        match self {
            Self::Protocol(_)
            | Self::Port(_)
            | Self::Host(_)
            | Self::EndPort { .. }
            | Self::Pid(_)
            | Self::Process(_)
            | Self::ProcessLike(_)
            | Self::PeerPid(_)
            | Self::PeerProcess(_) => true,
            Self::EndAddress { network, .. } => !network.holds_mapped(),
            Self::EndUnix { .. }
            | Self::Family(_)
            | Self::State(_)
            | Self::Interface(_)
            | Self::Mark { .. }
            | Self::Cgroup(_)
            | Self::Autobound { .. }
            | Self::NetworkNamespace(_)
            | Self::User(_)
            | Self::Container(_)
            | Self::Unit(_)
            | Self::ReceiveQueue(..)
            | Self::SendQueue(..)
            | Self::RoundTrip(..)
            | Self::Retransmits(..) => false,
        }
    }

    /// Whether it asks for processes: those that hold the socket, or the other end.
    pub fn is_about_owners(&self) -> bool {
        matches!(
            self,
            Self::Pid(_)
                | Self::Process(_)
                | Self::ProcessLike(_)
                | Self::Container(_)
                | Self::Unit(_)
                | Self::PeerPid(_)
                | Self::PeerProcess(_)
        )
    }

    fn mirrored(&self) -> Self {
        match self {
            Self::EndPort { end, is, port } => Self::EndPort {
                end: end.other(),
                is: *is,
                port: *port,
            },
            Self::EndAddress { end, network } => Self::EndAddress {
                end: end.other(),
                network: *network,
            },
            Self::EndUnix { end, name } => Self::EndUnix {
                end: end.other(),
                name: name.clone(),
            },
            Self::Pid(pid) => Self::PeerPid(*pid),
            Self::PeerPid(pid) => Self::Pid(*pid),
            Self::Process(name) => Self::PeerProcess(Pattern::exact(name.as_bytes())),
            Self::ProcessLike(name) => Self::PeerProcess(name.clone()),
            Self::PeerProcess(name) => match name.as_exact() {
                Some(exact) => Self::Process(exact),
                None => Self::ProcessLike(name.clone()),
            },
            other => other.clone(),
        }
    }
}
