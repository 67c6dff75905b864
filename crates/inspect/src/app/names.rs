//! Names for the numbers that a view of sockets shows.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Usage;
use super::abouts::Abouts;
use super::look::Eyes;
use crate::limits;
use crate::listing::Rows;
use crate::model::{NetworkNamespace, Owner, Pid, Protocol, Uid};
use crate::names::{Hosts, Interfaces, Services, Users};
use crate::namespaces;
use crate::processes::{self, About, Placement};
use crate::render::When;
use crate::render::sockets::Names;
use crate::selection::{self, Test};
use crate::sockets::Socket;

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

/// The names of this machine, for those who type an expression.
pub(super) struct Machine;

impl selection::Names for Machine {
    fn service(&self, name: &str) -> Vec<u16> {
        Services::read().ports(name).to_vec()
    }

    fn host(&self, name: &str) -> Vec<IpAddr> {
        Hosts::addresses(name, RESOLVE_LIMIT)
    }

    fn user(&self, name: &str) -> Option<Uid> {
        Users::id(name)
    }

    fn interface(&self, name: &str) -> Option<u32> {
        Interfaces::new().index(name)
    }

    fn network_namespace(&self, name: &str) -> Option<NetworkNamespace> {
        namespaces::find(name).map(|found| found.inode)
    }

    fn ephemeral_ports(&self) -> (u16, u16) {
        match limits::read(Path::new("/proc")).ephemeral {
            Some(range) => range.into_inner(),
            None => selection::Numbers.ephemeral_ports(),
        }
    }

    fn cgroup(&self, path: &[u8]) -> Option<u64> {
        // Below version 1, version 2 may be mounted beside it (cgroups(7)).
        ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .map(Path::new)
            .into_iter()
            .filter(|mount| mount.join("cgroup.controllers").exists())
            .find_map(|mount| {
                let inside = path.strip_prefix(b"/").unwrap_or(path);
                let folder = mount.join(OsStr::from_bytes(inside));
                let found = std::fs::metadata(folder).ok()?;
                found.is_dir().then(|| found.ino())
            })
    }
}

/// Where processes are placed; each is asked once.
pub(super) struct Placements<'a> {
    root: &'a Path,
    known: HashMap<Pid, Option<Placement>>,
}

impl<'a> Placements<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self {
            root,
            known: HashMap::new(),
        }
    }

    pub(super) fn of(&mut self, pid: Pid) -> Option<Placement> {
        let root = self.root;
        self.known
            .entry(pid)
            .or_insert_with(|| processes::placement(root, pid))
            .clone()
    }
}

/// Names asked for while writing.
pub(super) struct Resolved {
    users: Mutex<Users>,
    hosts: Option<Hosts>,
    services: Option<Services>,
    namespaces: HashMap<NetworkNamespace, String>,
    interfaces: Mutex<Interfaces>,
    /// The namespace whose interfaces are known by name.
    own: Option<NetworkNamespace>,
    /// What processes say of themselves, where that is wanted.
    abouts: Option<Abouts>,
}

impl Resolved {
    /// Names of this machine, and of the namespaces that are looked into.
    pub(super) fn new(eyes: &Eyes) -> Self {
        let (users, interfaces) = if eyes.recorded() {
            (
                Users::of_another_machine(),
                Interfaces::of_another_machine(),
            )
        } else {
            (Users::of_this_machine(), Interfaces::new())
        };
        let named = eyes.namespaces.iter().filter_map(|namespace| {
            let name = namespace.name.as_ref()?;
            Some((namespace.inode, name.to_lossy().into_owned()))
        });
        Self {
            users: Mutex::new(users),
            hosts: None,
            services: None,
            namespaces: named.collect(),
            interfaces: Mutex::new(interfaces),
            own: namespaces::current(),
            abouts: None,
        }
    }

    /// The same, and what processes say of themselves.
    pub(super) fn with_processes(mut self, eyes: &Eyes) -> Self {
        self.abouts = Some(Abouts::new(eyes));
        self
    }

    /// The name of the interface that a socket is bound to.
    pub(super) fn bound_to(&self, socket: &Socket) -> Option<String> {
        let index = socket.interface.filter(|index| *index != 0)?;
        (socket.netns == self.own)
            .then(|| self.interface(index))
            .flatten()
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
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.name(uid).map(str::to_owned)
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

    fn netns(&self, netns: NetworkNamespace) -> Option<String> {
        self.namespaces.get(&netns).cloned()
    }

    fn interface(&self, index: u32) -> Option<String> {
        let mut interfaces = self
            .interfaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let name = interfaces.name(index)?;
        Some(name.to_lossy().into_owned())
    }

    fn process(&self, owner: &Owner) -> Option<Arc<About>> {
        self.abouts.as_ref()?.of(owner)
    }

    fn when(&self) -> Option<&When> {
        Some(&self.abouts.as_ref()?.when)
    }
}
