//! Names for the numbers that a view of sockets shows.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Duration;

use super::Usage;
use crate::listing::Rows;
use crate::model::{Protocol, Uid};
use crate::names::{Hosts, Services, Users};
use crate::render::sockets::Names;
use crate::selection::Test;

/// How long names may take: a name server that does not answer costs no more.
const RESOLVE_LIMIT: Duration = Duration::from_secs(2);

/// Ids for the users as typed: an id, or the name of a user of this machine.
pub(super) fn users(words: &[String]) -> anyhow::Result<Vec<Test>> {
    words
        .iter()
        .map(|word| {
            let id = word.parse().ok().map(Uid).or_else(|| Users::id(word));
            match id {
                Some(uid) => Ok(Test::User(uid)),
                None => Err(Usage(format!("no user {word:?} on this machine")).into()),
            }
        })
        .collect()
}

/// Names asked for while writing.
pub(super) struct Resolved {
    users: RefCell<Users>,
    hosts: Option<Hosts>,
    services: Option<Services>,
}

impl Resolved {
    pub(super) fn new(recorded: bool) -> Self {
        let users = if recorded {
            Users::of_another_machine()
        } else {
            Users::of_this_machine()
        };
        Self {
            users: RefCell::new(users),
            hosts: None,
            services: None,
        }
    }

    pub(super) fn with_hosts_of(mut self, rows: &Rows<'_>) -> Self {
        let addresses = rows
            .iter()
            .filter_map(|row| row.socket.endpoints())
            .flat_map(|(local, remote)| [local.address, remote.address])
            .filter(|address| !address.is_unspecified());
        self.hosts = Some(Hosts::resolve(addresses, RESOLVE_LIMIT));
        self.services = Some(Services::read());
        self
    }
}

impl Names for Resolved {
    fn user(&self, uid: Uid) -> Option<String> {
        self.users.borrow_mut().name(uid).map(str::to_owned)
    }

    fn host(&self, address: IpAddr) -> Option<String> {
        self.hosts.as_ref()?.name(address).map(str::to_owned)
    }

    fn service(&self, port: u16, protocol: Protocol) -> Option<String> {
        self.services
            .as_ref()?
            .name(port, protocol)
            .map(str::to_owned)
    }
}
