//! Network namespaces: which one this is, and a private one for a demonstration.

mod source;

use std::ffi::OsStr;

pub use source::{PrivateNetworkError, current, of_proc_root, unshare_private_loopback};

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
