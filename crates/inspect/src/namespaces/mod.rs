//! Network namespaces: which one this is, which others there are, looking into one, and a private
//! one for a demonstration.

mod source;

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::model::{ForeignText, NetworkNamespace, Pid};

pub use source::{
    EnterError, PrivateNetworkError, all, current, find, of_proc_root, of_process, on_thread_in,
    unshare_private_loopback,
};

/// A network namespace of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its inode.
    pub inode: NetworkNamespace,
    /// The name it is pinned under: that of `ip netns`, or a container engine's.
    pub name: Option<ForeignText>,
    /// A process in it; `None` where none was seen.
    pub pid: Option<Pid>,
    /// The file by which it can be entered.
    pub path: PathBuf,
}

/// The namespaces that could be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Each once, by inode.
    pub found: Vec<Namespace>,
    /// So many processes would not say which namespace they are in.
    pub unreadable: u64,
}

/// `net:[4026531840]` -> 4026531840 (fs/nsfs.c).
pub fn inode_of_link(link: &OsStr) -> Option<u64> {
    let text = link.to_str()?;
    let (_, rest) = text.split_once(":[")?;
    rest.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_link_has_an_inode_or_none(link: String, number: u64) {
            let _ = inode_of_link(OsStr::new(&link));
            let link = format!("net:[{number}]");
            proptest::prop_assert_eq!(inode_of_link(OsStr::new(&link)), Some(number));
        }
    }

    #[test]
    fn the_inode_stands_in_brackets() {
        assert_eq!(
            inode_of_link(OsStr::new("net:[4026531840]")),
            Some(4_026_531_840)
        );
        assert_eq!(inode_of_link(OsStr::new("net:[x]")), None);
        assert_eq!(inode_of_link(OsStr::new("")), None);
    }
}
