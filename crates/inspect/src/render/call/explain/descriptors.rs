//! What each descriptor of a process is, in words.

use std::collections::BTreeMap;

use crate::model::{Endpoint, Fd, Pid};
use crate::render::call::end;
use crate::render::{Escaped, Screen};
use crate::trace::{Call, Outcome, Process};

/// Descriptors that are remembered; who has more needs no lesson.
const MOST: usize = 256;

/// What a descriptor was last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Made,
    Listens,
    /// It came out of a listener.
    Accepted(Endpoint),
    Connected(Endpoint, Endpoint),
}

/// Descriptors by process and number.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    roles: BTreeMap<(Pid, Fd), Role>,
    names: BTreeMap<Pid, Process>,
}

impl Descriptors {
    pub(super) fn take(&mut self, call: &Call) {
        let pid = call.process.pid;
        if !self.names.contains_key(&pid) && self.names.len() < MOST {
            self.names.insert(pid, call.process.clone());
        }
        let Outcome::Returned(_) = call.outcome else {
            return;
        };
        let made = match call.name {
            "accept" | "accept4" => call.after.and_then(|(fd, socket)| {
                let (_, remote) = socket.ends?;
                Some((fd, Role::Accepted(remote)))
            }),
            "socket" => call.after.map(|(fd, _)| (fd, Role::Made)),
            "listen" => call.before.map(|(fd, _)| (fd, Role::Listens)),
            _ => call.after.and_then(|(fd, socket)| {
                let (local, remote) = socket.ends.filter(|(_, remote)| remote.port != 0)?;
                let is_new = matches!(self.roles.get(&(pid, fd)), None | Some(Role::Made));
                is_new.then_some((fd, Role::Connected(local, remote)))
            }),
        };
        if let Some((fd, role)) = made
            && self.roles.len() < MOST
        {
            self.roles.insert((pid, fd), role);
        }
    }

    /// A sentence for each process.
    pub(super) fn sentences(&self, screen: &Screen) -> Vec<String> {
        let mut sentences = Vec::new();
        for (pid, process) in &self.names {
            let own: Vec<(Fd, Role)> = self
                .roles
                .iter()
                .filter(|((of, _), _)| of == pid)
                .map(|((_, fd), role)| (*fd, *role))
                .collect();
            if own.is_empty() {
                continue;
            }
            let whose = match self.names.len() {
                1 => String::new(),
                _ => format!(
                    "{}[{pid}]: ",
                    Escaped::name(&process.command, screen.charset)
                ),
            };
            sentences.push(format!("{whose}{}", sentence(&own, screen)));
        }
        sentences
    }
}

fn sentence(own: &[(Fd, Role)], screen: &Screen) -> String {
    let number = match own.len() {
        1 => "One descriptor".to_owned(),
        2 => "Two descriptors".to_owned(),
        3 => "Three descriptors".to_owned(),
        many => format!("{many} descriptors"),
    };
    let described: Vec<String> = own
        .iter()
        .map(|(fd, role)| match role {
            Role::Made if own.len() == 1 => format!("{fd}, which was not connected"),
            Role::Made => format!("{fd} was not connected"),
            Role::Listens if own.len() == 1 => format!("{fd}, which listens"),
            Role::Listens => format!("{fd} listens"),
            Role::Accepted(remote) => format!("{fd} is the client {}", end(*remote)),
            Role::Connected(local, remote) => {
                let ends = format!("{} {} {}", end(*local), screen.arrow(), end(*remote));
                match own.len() {
                    1 => format!("{fd}, this side of {ends}"),
                    _ => format!("{fd} is this side of {ends}"),
                }
            }
        })
        .collect();
    let has = |wanted: fn(&Role) -> bool| own.iter().any(|(_, role)| wanted(role));
    let lesson = match has(|role| matches!(role, Role::Accepted(_))) {
        true if has(|role| *role == Role::Listens) => {
            " The client calls its own end by a number of its own: numbers count within a process."
        }
        _ => "",
    };
    format!("{number}: {}.{lesson}", described.join(", "))
}
