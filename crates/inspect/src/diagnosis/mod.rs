//! What is wrong, or stands in the way, with the evidence for it. Pure.
//!
//! A finding is a claim about a machine that may be busy and well, so each rule asks for evidence
//! that a healthy machine does not give, and says in its file which. What moves is not stuck:
//! most rules compare two looks ([`Watch`]). What a source does not tell is not guessed:
//! [`unseen`] lists what could not be judged for it.
//!
//! One trouble is one finding: what follows from another finding is left out, and many sockets of
//! one process are told together.

mod accept_queue;
pub mod bind;
mod close_wait;
mod descriptors;
mod finding;
mod holders;
mod inherited;
mod ports;
mod queues;
pub mod reach;
mod shared_port;
mod silence;
mod watch;

use std::collections::{BTreeMap, HashSet};

use crate::limits::Limits;
use crate::listing::{Listing, Row};
use crate::model::{Fd, Inode, NetworkNamespace, Pid, Protocol, State};
use crate::processes::{Attention, Standing, Usage};
use crate::sockets::Socket;

pub use finding::{Evidence, Finding, Name, Path, Severity, Sharer};
pub use holders::Holders;
pub use watch::Watch;

/// What is judged: the last look, what the looks before it have shown, and what the kernel and
/// the processes say beside it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The last look.
    pub listing: &'a Listing,
    /// All looks.
    pub watch: &'a Watch,
    /// The limits of each network namespace that was looked into.
    pub limits: &'a BTreeMap<Option<NetworkNamespace>, Limits>,
    /// How many descriptors the holders of the sockets use.
    pub usage: &'a BTreeMap<Pid, Usage>,
    /// Where the processes stand that hold listeners.
    pub standing: &'a BTreeMap<Pid, Standing>,
    /// What orphaned holders of listeners do with them.
    pub attention: &'a BTreeMap<(Pid, Fd), Attention>,
    /// Whether notices are wanted too: what is no trouble unless one wonders why.
    pub notices: bool,
}

/// Everything that is wrong, the most urgent first.
pub fn diagnose(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = accept_queue::find(scene);
    let jammed = Jammed::of(&findings);
    findings.extend(ports::find(scene));
    findings.extend(queues::find(scene));
    let piles = close_wait::find(scene);
    findings.extend(descriptors::find(scene, &piles));
    findings.extend(piles);
    findings.extend(silence::find(scene, &jammed));
    findings.extend(inherited::find(scene));
    findings.extend(shared_port::find(scene));
    if scene.notices {
        findings.extend(loopback_only(scene));
    }
    findings.sort_by_key(Finding::urgency);
    findings
}

/// Listeners whose accept queue is full: who cannot connect to them is no trouble of its own.
struct Jammed(HashSet<(Option<NetworkNamespace>, u16)>);

impl Jammed {
    fn of(findings: &[Finding]) -> Self {
        let ports = findings
            .iter()
            .filter_map(|finding| match &finding.evidence {
                Evidence::AcceptQueue { listener, .. } => {
                    Some((listener.netns, listener.endpoints()?.0.port))
                }
                _ => None,
            });
        Self(ports.collect())
    }

    /// Whether the socket's other end is such a listener here.
    fn is_beyond(&self, row: &Row<'_>) -> bool {
        row.socket.endpoints().is_some_and(|(local, remote)| {
            // Both ends are on this machine.
            let same_host =
                local.on_the_wire().address == remote.on_the_wire().address || remote.is_loopback();
            same_host && self.0.contains(&(row.socket.netns, remote.port))
        })
    }
}

/// A listener that only this machine can reach is what a careful administrator wants of a data
/// base, so it is no trouble by itself, and no table shows who tried from outside and was
/// refused. It is told to those who ask for everything; `inspect port` says it of one port.
fn loopback_only<'a>(scene: &Scene<'a>) -> impl Iterator<Item = Finding> + use<'a> {
    tcp_listeners(scene)
        .into_iter()
        .filter(|row| {
            row.socket
                .endpoints()
                .is_some_and(|(local, _)| local.is_loopback())
        })
        .map(|row| Finding {
            severity: Severity::Notice,
            holders: Holders::of(&row),
            evidence: Evidence::LoopbackOnly {
                listener: plain(row.socket).into(),
            },
        })
}

/// The MPTCP sockets. Each has TCP sockets below it, its subflows, with its inode and its owners:
/// what is wrong with one is wrong with the other, and told of the MPTCP socket.
struct Mptcp(HashSet<(Option<NetworkNamespace>, Inode)>);

impl Mptcp {
    fn of(listing: &Listing) -> Self {
        let sockets = listing.sockets().iter();
        let mptcp = sockets.filter(|socket| socket.protocol == Protocol::Mptcp);
        Self(
            mptcp
                .filter_map(|socket| Some((socket.netns, socket.inode?)))
                .collect(),
        )
    }

    /// Whether it is a TCP socket below one of them.
    fn is_above(&self, socket: &Socket) -> bool {
        let whose = |inode| self.0.contains(&(socket.netns, inode));
        socket.protocol == Protocol::Tcp && socket.inode.is_some_and(whose)
    }
}

/// Listeners of TCP and MPTCP, each once.
fn tcp_listeners<'a>(scene: &Scene<'a>) -> Vec<Row<'a>> {
    let mptcp = Mptcp::of(scene.listing);
    let rows = scene.listing.rows();
    rows.iter()
        .filter(|row| {
            row.socket.state == State::Listen
                && matches!(row.socket.protocol, Protocol::Tcp | Protocol::Mptcp)
                && !mptcp.is_above(row.socket)
        })
        .collect()
}

/// The socket without its details, as evidence keeps it.
fn plain(socket: &Socket) -> Socket {
    Socket {
        detail: None,
        ..socket.clone()
    }
}

/// What could not be judged, and why: words that can follow "not looked for: ".
pub fn unseen(scene: &Scene<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    let sockets = || scene.listing.sockets().iter();
    let tcp = |socket: &&Socket| socket.protocol == Protocol::Tcp;
    let listens = |socket: &&Socket| socket.state == State::Listen;
    if sockets()
        .filter(tcp)
        .filter(listens)
        .any(|it| it.send_queue.is_none())
    {
        reasons.push("full accept queues: only sock_diag tells their limits".to_owned());
    }
    let connected = |socket: &&Socket| socket.state == State::Established;
    let untold = |socket: &Socket| socket.detail.as_ref().is_none_or(|it| it.timer.is_none());
    if sockets().filter(tcp).filter(connected).any(untold) {
        reasons.push(
            "who does not read or does not answer: only sock_diag tells what moves".to_owned(),
        );
    }
    let datagrams = |socket: &&Socket| matches!(socket.protocol, Protocol::Udp | Protocol::UdpLite);
    let drops = |socket: &Socket| socket.detail.as_ref()?.memory?.drops;
    if sockets()
        .filter(datagrams)
        .any(|socket| drops(socket).is_none())
    {
        reasons.push("datagrams that are dropped: only sock_diag counts them".to_owned());
    }
    if scene
        .limits
        .values()
        .any(|limits| limits.ephemeral.is_none())
    {
        reasons.push("ports that run out: the range of ports cannot be read".to_owned());
    }
    if scene.watch.looks() < 2 {
        reasons.push("what does not move: there was one look only".to_owned());
    }
    reasons
}

#[cfg(test)]
mod tests;
