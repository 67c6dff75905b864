//! From the kernel program's words to ours.

use super::{Call, Change, Event, Process, Socket};
use crate::bpf::{LifeKind, LifeRecord};
use crate::clock::Boot;
use crate::model::{Endpoint, Protocol, State, Timestamp};

/// IPPROTO_TCP and IPPROTO_UDP (include/uapi/linux/in.h).
const TCP: u16 = 6;
const UDP: u16 = 17;

/// What a record tells; `None` where it is about nothing that we know: a protocol, a state.
pub(super) fn event(record: &LifeRecord, time: Timestamp, boot: &Boot) -> Option<Event> {
    let call = |call| Some(Change::Call(socket(record)?, call, record.fd));
    let change = match record.kind {
        LifeKind::State => Change::State(
            socket(record)?,
            State::from_tcp_number(record.old_state)?,
            State::from_tcp_number(record.new_state)?,
            record.fd,
        ),
        LifeKind::Socket => call(Call::Create)?,
        LifeKind::Bind => call(Call::Bind)?,
        LifeKind::Connect => call(Call::Connect)?,
        LifeKind::Accept => call(Call::Accept)?,
        LifeKind::Send => call(Call::Send)?,
        LifeKind::Exec => Change::Exec,
        LifeKind::Exit => Change::Exit,
        LifeKind::Fork => Change::Fork(record.parent),
    };
    Some(Event {
        time,
        change,
        process: record.pid.map(|pid| Process {
            pid,
            tid: record.tid,
            started_ns: record.started_ns,
            started: boot.at_nanos(record.started_ns),
            command: record.command(),
        }),
    })
}

/// Whether a record is known to be about no socket that sends segments itself. The kernel tells of
/// the states of SCTP, DCCP and MPTCP as it does of TCP's; what MPTCP sends goes through sockets of
/// TCP, which tell of themselves and have its inode.
pub(super) fn is_of_others(record: &LifeRecord) -> bool {
    record.kind == LifeKind::State && !matches!(record.protocol, TCP | UDP)
}

fn socket(record: &LifeRecord) -> Option<Socket> {
    let protocol = match record.protocol {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        _ => return None,
    };
    let (local, remote): (Endpoint, Endpoint) = record.ends?;
    Some(Socket {
        cookie: record.cookie,
        inode: record.inode,
        namespace: record.namespace,
        protocol,
        local: local.on_the_wire(),
        remote: remote.on_the_wire(),
        user: record.user,
        reuse: record.reuse,
    })
}
