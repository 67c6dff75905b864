//! Gives rights up for good.
//!
//! User and groups are changed by libc's calls, which change them in every thread
//! (nptl(7), "C library/kernel differences"). Capabilities are of each thread: the calling one
//! keeps those that are asked for (PR_SET_KEEPCAPS), and the kernel takes all from the others
//! when they leave user 0 (capabilities(7), "Effect of user ID changes on capabilities"). What
//! came of it is read back from every thread, so that nothing is taken for granted.

#![allow(unsafe_code)]

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
    set_no_new_privs,
};

use crate::launch::rights::{Rights, rights};

/// A user to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: libc::uid_t,
    gid: libc::gid_t,
    groups: Vec<libc::gid_t>,
}

impl Account {
    /// Whether to become it is to change nothing.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// The user of this name, or with this id; `None` where the machine knows none.
    pub fn named(word: &str) -> Option<Self> {
        let user = match word.parse() {
            Ok(uid) => uzers::get_user_by_uid(uid),
            Err(_) => uzers::get_user_by_name(word),
        }?;
        let gid = user.primary_group_id();
        let groups = uzers::get_user_groups(user.name(), gid)?;
        let mut groups: Vec<libc::gid_t> = groups.iter().map(uzers::Group::gid).collect();
        if !groups.contains(&gid) {
            groups.push(gid);
        }
        Some(Self {
            name: user.name().to_string_lossy().into_owned(),
            uid: user.uid(),
            gid,
            groups,
        })
    }
}

/// Rights could not be given up.
#[derive(Debug, thiserror::Error)]
#[error("cannot run as {user}: {operation}: {}", reason(cause))]
pub struct ShedError {
    user: String,
    operation: &'static str,
    cause: io::Error,
}

fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "permission denied (needs root)".to_owned()
    } else {
        error.to_string()
    }
}

/// Forbids this process, before it has other threads, to gain rights by running a program
/// (PR_SET_NO_NEW_PRIVS of prctl(2)).
///
/// # Errors
/// When the kernel refuses.
pub fn forbid_new_rights() -> io::Result<()> {
    Ok(set_no_new_privs(true)?)
}

/// Becomes this user, with its groups, and without any capability; but for those to read the
/// descriptors of other users' processes, if these are to be kept: `sees_owners`. To become
/// root is to change nothing.
///
/// # Errors
/// When it could not be done, or not in every thread. Then this process may have rights that it
/// shall not have, and must not run on.
pub fn run_as(account: &Account, sees_owners: bool) -> Result<(), ShedError> {
    let failed = |operation: &'static str| {
        move |cause: io::Error| ShedError {
            user: account.name.clone(),
            operation,
            cause,
        }
    };
    if account.is_root() && rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let before = capabilities(None).map_err(|it| failed("read capabilities")(it.into()))?;
    let kept = if sees_owners {
        before.permitted & (CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH)
    } else {
        CapabilitySet::empty()
    };
    set_keep_capabilities(true).map_err(|it| failed("keep capabilities")(it.into()))?;
    // SAFETY: the list is as long as is said, and lives until the call returns.
    answered(unsafe { libc::setgroups(account.groups.len(), account.groups.as_ptr()) })
        .map_err(failed("set groups"))?;
    // SAFETY: it takes numbers only.
    answered(unsafe { libc::setresgid(account.gid, account.gid, account.gid) })
        .map_err(failed("set the group"))?;
    // SAFETY: likewise.
    answered(unsafe { libc::setresuid(account.uid, account.uid, account.uid) })
        .map_err(failed("set the user"))?;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(|it| failed("drop capabilities")(it.into()))?;
    set_keep_capabilities(false).map_err(|it| failed("keep no capabilities")(it.into()))?;
    let mut groups = account.groups.clone();
    groups.sort_unstable();
    groups.dedup();
    let wanted = Rights {
        users: [account.uid; 4],
        groups: [account.gid; 4],
        others: groups,
        capabilities: kept.bits(),
    };
    verify(&wanted).map_err(failed("see that every thread has"))
}

/// Takes every capability from the calling thread, and so from those that it starts later; others
/// keep theirs.
///
/// # Errors
/// When the kernel refuses, and the thread may have what it shall not.
pub fn drop_capabilities() -> io::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, none)?)
}

fn answered(code: libc::c_int) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether every thread has these rights, or fewer capabilities.
fn verify(wanted: &Rights) -> io::Result<()> {
    let odd = |what: String| io::Error::other(what);
    for thread in std::fs::read_dir("/proc/self/task")? {
        let thread = thread?;
        let status = match std::fs::read(thread.path().join("status")) {
            Ok(status) => status,
            // It has ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let number = thread.file_name();
        let number = number.to_string_lossy();
        match rights(&String::from_utf8_lossy(&status)) {
            Some(found) if found.are_within(wanted) => {}
            Some(found) => return Err(odd(format!("thread {number} has {found:?}"))),
            None => return Err(odd(format!("thread {number} does not tell its rights"))),
        }
    }
    Ok(())
}
