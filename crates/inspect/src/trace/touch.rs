//! Which calls touch a port. Pure.
//!
//! A socket has no port when it is made, and gets one by bind(2), connect(2) or when it sends. So
//! the calls on one that may yet come to use the port wait until it does, or until it is gone.

use std::collections::{HashMap, VecDeque};

use super::{Address, Call, Outcome, Socket, Value};
use crate::model::Inode;

/// Sockets whose calls wait at once, and calls of each; older ones are forgotten: they are of
/// sockets that did not come to use the port.
const SOCKETS: usize = 4_096;
const CALLS: usize = 32;

/// The calls that touch a port.
#[derive(Debug)]
pub struct Touch {
    port: u16,
    waiting: HashMap<Inode, Vec<Call>>,
    order: VecDeque<Inode>,
}

impl Touch {
    /// Of this port.
    pub fn new(port: u16) -> Self {
        Self {
            port,
            waiting: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Takes a call, and hands over what is known to touch the port: the call, behind those that
    /// waited for it.
    pub fn take(&mut self, call: Call, tell: &mut dyn FnMut(Call)) {
        let sockets = [call.before.as_ref(), call.after.as_ref()].map(|it| it.map(|(_, it)| it));
        let inode = sockets
            .into_iter()
            .flatten()
            .find_map(|socket| socket.inode);
        let uses = |socket: &Socket| {
            let ends = socket.ends;
            ends.is_some_and(|(local, remote)| [local.port, remote.port].contains(&self.port))
        };
        if sockets.into_iter().flatten().any(uses) || self.is_addressed(&call) {
            if let Some(waited) = inode.and_then(|inode| self.waiting.remove(&inode)) {
                waited.into_iter().for_each(&mut *tell);
            }
            tell(call);
            return;
        }
        let Some(inode) = inode else { return };
        // The number is given to another socket when this one is gone.
        if call.name == "close" || call.name == "socket" {
            self.waiting.remove(&inode);
        }
        let is_bound_elsewhere = sockets
            .into_iter()
            .flatten()
            .any(|socket| socket.ends.is_none_or(|(_, remote)| remote.port != 0));
        if call.name == "close" || is_bound_elsewhere {
            return;
        }
        if !self.waiting.contains_key(&inode) {
            self.order.push_back(inode);
            if self.order.len() > SOCKETS
                && let Some(oldest) = self.order.pop_front()
            {
                self.waiting.remove(&oldest);
            }
        }
        let calls = self.waiting.entry(inode).or_default();
        if calls.len() < CALLS {
            calls.push(call);
        }
    }

    /// Whether it names the port in an argument: one that failed leaves no trace in the socket.
    fn is_addressed(&self, call: &Call) -> bool {
        if matches!(call.outcome, Outcome::Failed(libc::EBADF | libc::ENOTSOCK)) {
            return false;
        }
        call.arguments.iter().any(|(_, value)| self.names(value))
    }

    fn names(&self, value: &Value) -> bool {
        match value {
            Value::Address(Address::Internet(end)) => end.port == self.port,
            Value::List(values, _) => values.iter().any(|value| self.names(value)),
            Value::Fields(fields) => fields.iter().any(|(_, value)| self.names(value)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Fd, ForeignText, Pid, Timestamp};
    use crate::trace::Process;

    fn call(name: &'static str, inode: u64, ports: (u16, u16)) -> Call {
        let end = |port| Endpoint::new([127, 0, 0, 1].into(), port);
        let socket = Socket {
            inode: Some(Inode(inode)),
            cookie: None,
            family: 2,
            kind: 1,
            protocol: 6,
            state: None,
            namespace: None,
            ends: Some((end(ports.0), end(ports.1))),
            sequences: None,
        };
        Call {
            time: Timestamp::from_nanos(0),
            monotonic_ns: 0,
            duration_ns: None,
            process: Process {
                pid: Pid(1),
                started_ns: 0,
                command: ForeignText::from("who"),
            },
            tid: Pid(1),
            name,
            before: Some((Fd(3), socket)),
            after: None,
            arguments: Vec::new(),
            outcome: Outcome::Returned(0),
        }
    }

    fn told(calls: Vec<Call>) -> Vec<(&'static str, u64)> {
        let mut touch = Touch::new(2345);
        let mut told = Vec::new();
        for call in calls {
            touch.take(call, &mut |call| {
                told.push((call.name, call.before.unwrap().1.inode.unwrap().0));
            });
        }
        told
    }

    #[test]
    fn what_a_socket_did_before_it_used_the_port_is_told_when_it_does() {
        let calls = vec![
            call("socket", 1, (0, 0)),
            call("socket", 2, (0, 0)),
            call("setsockopt", 1, (0, 0)),
            call("connect", 2, (40_000, 80)),
            call("connect", 1, (40_001, 2345)),
            call("sendto", 2, (40_000, 80)),
            call("close", 1, (40_001, 2345)),
        ];
        assert_eq!(
            told(calls),
            [
                ("socket", 1),
                ("setsockopt", 1),
                ("connect", 1),
                ("close", 1)
            ]
        );
    }

    #[test]
    fn a_number_that_is_given_again_is_another_socket() {
        let calls = vec![
            call("socket", 1, (0, 0)),
            call("setsockopt", 1, (0, 0)),
            call("close", 1, (0, 0)),
            call("socket", 1, (0, 0)),
            call("bind", 1, (2345, 0)),
        ];
        assert_eq!(told(calls), [("socket", 1), ("bind", 1)]);
    }

    #[test]
    fn a_call_that_failed_names_the_port_in_its_address() {
        let mut refused = call("connect", 1, (0, 0));
        let end = Endpoint::new([127, 0, 0, 1].into(), 2345);
        refused.arguments = vec![("address", Value::Address(Address::Internet(end)))];
        refused.outcome = Outcome::Failed(111);
        assert_eq!(
            told(vec![call("socket", 1, (0, 0)), refused]),
            [("socket", 1), ("connect", 1)]
        );
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut touch = Touch::new(2345);
        for inode in 0..10_000 {
            for _ in 0..CALLS + 5 {
                touch.take(call("setsockopt", inode, (0, 0)), &mut |_| {});
            }
        }
        assert!(touch.waiting.len() <= SOCKETS && touch.order.len() <= SOCKETS);
        assert!(touch.waiting.values().all(|calls| calls.len() <= CALLS));
    }
}
