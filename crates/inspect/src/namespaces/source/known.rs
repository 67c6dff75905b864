//! Finds network namespaces, and runs something inside one.
//!
//! A namespace has no list of its own: it is found by the processes in it (`/proc/PID/ns/net`)
//! and by the names that `ip netns` and container engines pin it under. One that only a socket or
//! an open descriptor keeps alive is not found (namespaces(7)).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::super::{Namespace, Namespaces};
use super::namespace_at;
use crate::model::{ForeignText, NetworkNamespace, Pid};

/// Where `ip netns` (ip-netns(8)) and Docker pin namespaces under names.
const NAMED: [&str; 3] = ["/run/netns", "/var/run/netns", "/run/docker/netns"];

/// Every network namespace that can be found, by inode.
pub fn all() -> Namespaces {
    let mut found: BTreeMap<NetworkNamespace, Namespace> = BTreeMap::new();
    let mut unreadable = 0;
    for folder in NAMED {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // A name whose mount is gone is an empty file on another file system.
            let Some(inode) = pinned(&path) else { continue };
            let name = ForeignText::new(entry.file_name().into_encoded_bytes());
            let namespace = found.entry(inode).or_insert(Namespace {
                inode,
                name: None,
                pid: None,
                path,
            });
            namespace.name.get_or_insert(name);
        }
    }
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let path = entry.path().join("ns/net");
        match std::fs::read_link(&path) {
            Ok(link) => {
                let Some(inode) = crate::namespaces::inode_of_link(link.as_os_str()) else {
                    continue;
                };
                let inode = NetworkNamespace(inode);
                let namespace = found.entry(inode).or_insert(Namespace {
                    inode,
                    name: None,
                    pid: None,
                    path,
                });
                namespace.pid.get_or_insert(Pid(pid));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => unreadable += 1,
            // It has ended, or is a zombie, which is in no namespace any more.
            Err(_) => {}
        }
    }
    Namespaces {
        found: found.into_values().collect(),
        unreadable,
    }
}

/// The inode of a namespace pinned at `path`, where one is.
fn pinned(path: &Path) -> Option<NetworkNamespace> {
    let metadata = std::fs::metadata(path).ok()?;
    // All namespaces live on one nameless file system (nsfs).
    let nsfs = std::fs::metadata("/proc/thread-self/ns/net").ok()?;
    (metadata.dev() == nsfs.dev()).then(|| NetworkNamespace(metadata.ino()))
}

/// The namespace that a word means: a name of `ip netns`, a path, a process, or an inode.
/// `None` where there is none.
pub fn find(word: &str) -> Option<Namespace> {
    let at = |path: PathBuf, name: Option<&str>, pid: Option<u32>| {
        let inode = match pid {
            Some(_) => namespace_at(&path)?,
            None => pinned(&path)?,
        };
        Some(Namespace {
            inode,
            name: name.map(ForeignText::from),
            pid: pid.map(Pid),
            path,
        })
    };
    if word.contains('/') {
        return at(PathBuf::from(word), None, None);
    }
    for folder in NAMED {
        if let Some(namespace) = at(Path::new(folder).join(word), Some(word), None) {
            return Some(namespace);
        }
    }
    if let Ok(pid) = word.parse::<u32>()
        && let Some(namespace) = at(
            PathBuf::from(format!("/proc/{pid}/ns/net")),
            None,
            Some(pid),
        )
    {
        return Some(namespace);
    }
    let inode = NetworkNamespace(word.parse().ok()?);
    all().found.into_iter().find(|it| it.inode == inode)
}

/// A namespace could not be entered.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {}", path.display(), self.reason())]
pub struct EnterError {
    operation: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl EnterError {
    fn reason(&self) -> String {
        if self.is_denied() {
            "permission denied (needs root, or CAP_SYS_ADMIN)".to_owned()
        } else {
            self.source.to_string()
        }
    }

    /// Whether it is for want of a right (CAP_SYS_ADMIN over the namespace).
    pub fn is_denied(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// Runs `work` on a thread of its own inside a network namespace, and waits for it.
/// The thread ends in there: no other ever sees the change.
///
/// # Errors
/// When the namespace is gone or may not be entered, or no thread can be had.
pub fn on_thread_in<T: Send>(
    namespace: &Namespace,
    work: impl FnOnce() -> T + Send,
) -> Result<T, EnterError> {
    let path = namespace.path.as_path();
    let expected = Some(namespace.inode);
    let failed = |operation| {
        move |source: io::Error| EnterError {
            operation,
            path: path.to_owned(),
            source,
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("inspect-netns".to_owned())
            .spawn_scoped(scope, || {
                let namespace = File::open(path).map_err(failed("open namespace"))?;
                // The number of a process may be another's by now, in another namespace.
                let found = namespace.metadata().map_err(failed("open namespace"))?;
                if expected.is_some_and(|inode| inode != NetworkNamespace(found.ino())) {
                    let gone = io::Error::other("it is another one now");
                    return Err(failed("enter namespace")(gone));
                }
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|error| failed("enter namespace")(error.into()))?;
                Ok(work())
            })
            .map_err(failed("start a thread for namespace"))?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
