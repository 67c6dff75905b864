//! Where a process is placed, by its line in /proc/PID/cgroup. Pure.
//!
//! The names are conventions, not the kernel's: systemd names a unit's folder after the unit
//! (systemd.unit(5)), container engines put the container's id into it.

use crate::model::ForeignText;

/// The cgroup of a process, and what its path says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The path in the hierarchy of version 2, else that of the first of version 1.
    pub cgroup: ForeignText,
    /// The systemd unit: the innermost folder named after a service or scope.
    pub unit: Option<ForeignText>,
    /// The container: an id of 64 digits, or a name of LXC or systemd-nspawn.
    pub container: Option<ForeignText>,
}

impl Placement {
    /// Reads the lines `hierarchy:controllers:path` (cgroups(7)).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut first = None;
        for line in text.split(|byte| *byte == b'\n') {
            let mut parts = line.splitn(3, |byte| *byte == b':');
            let (Some(hierarchy), Some(_), Some(path)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            if hierarchy == b"0" && path != b"/" {
                return Some(Self::of_path(path));
            }
            first.get_or_insert(path);
        }
        first.map(Self::of_path)
    }

    /// Whether the unit is named after the container, as engines do: `docker-ID.scope`.
    pub fn unit_is_the_container(&self) -> bool {
        let (Some(unit), Some(container)) = (&self.unit, &self.container) else {
            return false;
        };
        let id = container.as_bytes();
        let mut parts = unit.as_bytes().windows(id.len().max(1));
        parts.any(|part| part == id)
    }

    /// What a path says.
    pub fn of_path(path: &[u8]) -> Self {
        let folders: Vec<&[u8]> = path
            .split(|byte| *byte == b'/')
            .filter(|folder| !folder.is_empty())
            .collect();
        let unit = folders
            .iter()
            .rev()
            .find(|folder| folder.ends_with(b".service") || folder.ends_with(b".scope"))
            .map(|folder| ForeignText::new(*folder));
        let container = folders
            .iter()
            .enumerate()
            .rev()
            .find_map(|(at, folder)| {
                let outer = at.checked_sub(1).and_then(|at| folders.get(at));
                container(folder, outer.copied())
            })
            .map(ForeignText::new);
        Self {
            cgroup: ForeignText::new(path),
            unit,
            container,
        }
    }
}

/// `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`, `ID` alone; `lxc/NAME`,
/// `lxc.payload.NAME`; `machine-NAME.scope`.
fn container<'a>(folder: &'a [u8], outer: Option<&[u8]>) -> Option<&'a [u8]> {
    const ID_DIGITS: usize = 64;
    let name = folder.strip_suffix(b".scope").unwrap_or(folder);
    let id = name.rsplit(|byte| *byte == b'-').next().unwrap_or(name);
    if id.len() == ID_DIGITS && id.iter().all(u8::is_ascii_hexdigit) {
        return Some(id);
    }
    if outer == Some(b"lxc") {
        return Some(folder);
    }
    folder
        .strip_prefix(b"lxc.payload.")
        .or_else(|| name.strip_prefix(b"machine-").filter(|_| folder != name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn said(path: &str) -> (Option<String>, Option<String>) {
        let placement = Placement::of_path(path.as_bytes());
        let text = |it: Option<ForeignText>| it.map(|it| it.to_lossy().into_owned());
        (text(placement.unit), text(placement.container))
    }

    #[test]
    fn units_and_containers_are_told_by_their_folders() {
        let some = |text: &str| Some(text.to_owned());
        for (path, unit, container) in [
            ("/", None, None),
            ("/system.slice/nginx.service", some("nginx.service"), None),
            (
                "/user.slice/user-1000.slice/session-3.scope",
                some("session-3.scope"),
                None,
            ),
            (
                &format!("/system.slice/docker-{ID}.scope"),
                Some(format!("docker-{ID}.scope")),
                some(ID),
            ),
            (&format!("/docker/{ID}"), None, some(ID)),
            (
                &format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
                Some(format!("cri-containerd-{ID}.scope")),
                some(ID),
            ),
            ("/lxc/web/init", None, some("web")),
            ("/lxc.payload.web/x", None, some("web")),
            (
                "/machine.slice/machine-box.scope",
                some("machine-box.scope"),
                some("box"),
            ),
        ] {
            assert_eq!(said(path), (unit, container), "{path}");
        }
    }

    #[test]
    fn an_engine_names_its_unit_after_the_container() {
        let named = |path: &str| Placement::of_path(path.as_bytes()).unit_is_the_container();
        assert!(named(&format!("/system.slice/docker-{ID}.scope")));
        assert!(!named(&format!("/system.slice/a.service/{ID}")));
        assert!(!named("/system.slice/a.service"));
    }

    #[test]
    fn version_2_is_preferred_where_it_says_something() {
        let mixed = b"12:pids:/docker/x\n0::/system.slice/a.service\n";
        let placement = Placement::parse(mixed).unwrap();
        assert_eq!(placement.unit, Some(ForeignText::from("a.service")));
        let old = Placement::parse(b"12:pids:/lxc/web\n0::/\n").unwrap();
        assert_eq!(old.container, Some(ForeignText::from("web")));
        assert_eq!(Placement::parse(b""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_placement_or_none(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Placement::parse(&text);
        }
    }
}
