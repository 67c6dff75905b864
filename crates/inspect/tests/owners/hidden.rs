//! What /proc keeps from an ordinary user.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::support::{have_root, readable_copy, run};

/// Mounts a /proc of its own over that of the machine, in a mount namespace of its own, and does
/// what follows as nobody. Who is in the group of the mount, 0 unless it is given, sees all.
const BEHIND_HIDEPID: &str = r#"
    mount -t proc -o hidepid="$1" proc "$2" && mount --bind "$2" /proc || exit 99
    shift 2
    exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
"#;

#[test]
fn behind_hidepid_no_owner_is_said_to_be_the_only_one() {
    if !have_root("behind_hidepid_no_owner_is_said_to_be_the_only_one") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = readable_copy(folder.path());
    let place = folder.path().join("proc");
    std::fs::create_dir(&place).unwrap();
    for level in ["1", "2"] {
        let [shared, ours] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let printed = run(Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                BEHIND_HIDEPID,
                "sh",
            ])
            .arg(level)
            .arg(&place)
            .arg(&program)
            .args(["sockets", "--json"])
            .arg(format!(
                "sport :{} or sport :{}",
                port(&shared),
                port(&ours)
            ))
            // It holds the listener itself, as does its parent, which it may not see.
            .stdin(Stdio::from(OwnedFd::from(shared.try_clone().unwrap()))));
        let records: Vec<serde_json::Value> = printed
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let of = |listener| {
            let is_it = |record: &&serde_json::Value| record["local"]["port"] == port(listener);
            let record = records.iter().find(is_it);
            record.unwrap_or_else(|| panic!("hidepid={level}: {printed:?}"))
        };
        assert_eq!(of(&shared)["owners"][0]["fd"], 0, "hidepid={level}");
        assert_eq!(of(&shared)["owner_status"], "partial", "hidepid={level}");
        assert_eq!(of(&ours)["owner_status"], "hidden", "hidepid={level}");
    }
}
