//! Who holds which socket now: inode -> every owner. Knows no address.

mod source;

use std::collections::HashMap;

use crate::model::{ForeignText, Gap, Inode, Owner, OwnerStatus, Pid, Uid};
pub use source::ProcWalk;

/// Everything one walk over the processes found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The owners of each socket, by pid, then descriptor.
    pub by_inode: HashMap<Inode, Vec<Holder>>,
    /// Processes whose descriptors could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Set when there may be processes that the walk could not even list: /proc is mounted
    /// with hidepid, or shows one pid namespace of several.
    pub unlisted: Option<String>,
    /// What else went wrong.
    pub gaps: Vec<Gap>,
}

/// An owner, and the parent of its process, from which it may have its descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The owner.
    pub owner: Owner,
    /// The parent, where it could be read.
    pub parent: Option<Pid>,
}

/// A process that exists and whose descriptors are hidden from us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The process.
    pub pid: Pid,
    /// Its user, where that could be read.
    pub uid: Option<Uid>,
    /// Its name, where that could be read.
    pub command: Option<ForeignText>,
}

impl Holdings {
    /// The owners of a socket, and how well they are known.
    ///
    /// Sockets are shared by inheritance: owners are `Partial` when the parent of one could not
    /// be read. Process 1 does not count as a parent here, though it may hold what it activates:
    /// it is everybody's, and often unreadable. `None` is said only when every process could be
    /// read.
    pub fn of(&self, inode: Inode) -> (Vec<Owner>, OwnerStatus) {
        let Some(holders) = self.by_inode.get(&inode) else {
            let all_read = self.unreadable.is_empty() && self.unlisted.is_none();
            let status = if all_read {
                OwnerStatus::None
            } else {
                OwnerStatus::Hidden
            };
            return (Vec::new(), status);
        };
        let partial = holders.iter().any(|holder| {
            self.unreadable
                .iter()
                .any(|process| holder.parent == Some(process.pid) && process.pid != Pid(1))
        });
        let owners = holders.iter().map(|holder| holder.owner.clone()).collect();
        let status = if partial {
            OwnerStatus::Partial
        } else {
            OwnerStatus::Known
        };
        (owners, status)
    }
}

/// Something that can list who holds sockets: the running system, or a recorded tree.
pub trait Source {
    /// The name that `begin` records and `-v` show.
    fn name(&self) -> &'static str;

    /// Looks once at every process. A process that vanishes meanwhile held nothing.
    fn look(&mut self) -> Holdings;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fd;

    fn holdings(parent: u32, unreadable: Option<u32>) -> Holdings {
        let owner = Owner {
            pid: Pid(10),
            tid: Pid(10),
            fd: Fd(3),
            command: ForeignText::from("nginx"),
            started: None,
        };
        let holder = Holder {
            owner,
            parent: Some(Pid(parent)),
        };
        let unreadable = unreadable.map(|pid| Unreadable {
            pid: Pid(pid),
            uid: Some(Uid(0)),
            command: None,
        });
        Holdings {
            by_inode: HashMap::from([(Inode(7), vec![holder])]),
            unreadable: unreadable.into_iter().collect(),
            ..Holdings::default()
        }
    }

    #[test]
    fn an_unreadable_parent_makes_owners_partial_unless_it_is_process_1() {
        for (parent, unreadable, status) in [
            (9, Some(9), OwnerStatus::Partial),
            (9, Some(8), OwnerStatus::Known),
            (1, Some(1), OwnerStatus::Known),
            (9, None, OwnerStatus::Known),
        ] {
            assert_eq!(holdings(parent, unreadable).of(Inode(7)).1, status);
        }
    }

    #[test]
    fn no_owner_is_said_only_when_every_process_was_read() {
        assert_eq!(holdings(5, None).of(Inode(8)).1, OwnerStatus::None);
        assert_eq!(holdings(5, Some(1)).of(Inode(8)).1, OwnerStatus::Hidden);
        let mut hidepid = holdings(5, None);
        hidepid.unlisted = Some("hidepid".to_owned());
        assert_eq!(hidepid.of(Inode(8)).1, OwnerStatus::Hidden);
    }
}
