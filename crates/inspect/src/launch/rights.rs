//! The rights of a thread, as its status tells them (proc_pid_status(5)). Pure.

/// User, groups and capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rights {
    /// Real, effective, saved and file system user.
    pub(super) users: [u32; 4],
    /// The same of groups.
    pub(super) groups: [u32; 4],
    /// Supplementary groups, in ascending order.
    pub(super) others: Vec<u32>,
    /// Every capability that is effective, permitted, inheritable or ambient; a bit each.
    pub(super) capabilities: u64,
}

impl Rights {
    /// Whether these are the users and groups of `wanted`, and no capability is beyond it.
    pub(super) fn are_within(&self, wanted: &Self) -> bool {
        self.users == wanted.users
            && self.groups == wanted.groups
            && self.others == wanted.others
            && self.capabilities & !wanted.capabilities == 0
    }
}

/// Reads them; `None` where one is missing.
pub(super) fn rights(status: &str) -> Option<Rights> {
    let field = |name: &str| {
        let mut lines = status.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let numbers = |name: &str| -> Option<Vec<u32>> {
        let words = field(name)?.split_whitespace();
        words.map(|word| word.parse().ok()).collect()
    };
    let set = |name: &str| u64::from_str_radix(field(name)?.trim(), 16).ok();
    let mut others = numbers("Groups")?;
    others.sort_unstable();
    others.dedup();
    Some(Rights {
        users: numbers("Uid")?.try_into().ok()?,
        groups: numbers("Gid")?.try_into().ok()?,
        others,
        capabilities: set("CapInh")? | set("CapPrm")? | set("CapEff")? | set("CapAmb")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tinspect\nUid:\t65534\t65534\t65534\t65534\n\
        Gid:\t65534\t65534\t65534\t65534\nGroups:\t7 4 \nNoNewPrivs:\t1\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000080004\nCapEff:\t0000000000080004\n\
        CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n";

    #[test]
    fn what_a_thread_has_is_compared_with_what_it_may_have() {
        let found = rights(STATUS).unwrap();
        assert_eq!(
            (found.others.as_slice(), found.capabilities),
            (&[4, 7][..], 0x80004)
        );
        assert!(found.are_within(&found));
        let fewer = Rights {
            capabilities: 0x4,
            ..found.clone()
        };
        assert!(fewer.are_within(&found) && !found.are_within(&fewer));
        for (was, is) in [
            ("Uid:\t65534\t65534\t65534", "Uid:\t65534\t65534\t0"),
            ("Gid:\t65534", "Gid:\t0"),
            ("Groups:\t7 4", "Groups:\t7 4 0"),
            ("CapInh:\t0", "CapInh:\tf"),
            ("CapAmb:\t0", "CapAmb:\tf"),
        ] {
            let more = rights(&STATUS.replace(was, is)).unwrap();
            assert!(!more.are_within(&found), "{is}");
        }
        assert_eq!(rights(&STATUS.replace("CapAmb", "x")), None);
        assert_eq!(rights(""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_rights_or_none(text in "(\\PC|[ \t\n:0-9a-f]|Uid:|CapEff:){0,60}") {
            let _ = rights(&text);
        }
    }
}
