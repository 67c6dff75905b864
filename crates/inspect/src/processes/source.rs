//! Reads /proc/PID, of the running system or of a recorded tree.

mod kin;
mod options;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use procfs::process::{Process, Stat};
use procfs::{FromReadSI, KernelStats};

use super::{About, Descriptors, Kind, Placement};
use crate::model::{ForeignText, NetworkNamespace, Pid, Timestamp, Uid};
use crate::namespaces::inode_of_link;
pub use kin::{attention, standing, usage};

pub use options::socket_options;

/// A command line may be megabytes long (ARG_MAX); so much of it is kept.
const LONGEST_COMMAND_LINE: u64 = 64 * 1024;
/// Other files of /proc/PID that are read here are smaller.
const LONGEST_FILE: u64 = 64 * 1024;
/// A process has 15 bytes for its name (TASK_COMM_LEN less its NUL).
const LONGEST_NAME: usize = 15;

/// `PF_KTHREAD` (include/linux/sched.h).
const PF_KTHREAD: u32 = 0x0020_0000;

/// What is known of a process below `root`; `None` when there is no such process.
pub fn about(root: &Path, pid: Pid) -> Option<About> {
    let mut about = about_but_descriptors(root, pid)?;
    about.descriptors = descriptors(&root.join(pid.to_string()).join("fd"));
    Some(about)
}

/// The same, but its descriptors, of which there may be a hundred thousand, are not counted.
pub fn about_but_descriptors(root: &Path, pid: Pid) -> Option<About> {
    let folder = root.join(pid.to_string());
    let command = name(&folder)?;
    let process = Process::new_with_root(folder.clone()).ok();
    let stat: Option<Stat> = process.as_ref().and_then(|process| process.stat().ok());
    let number = |number: i32| u32::try_from(number).ok();
    let number_of_threads = |stat: &Stat| u64::try_from(stat.num_threads).ok();
    Some(About {
        pid,
        command,
        state: stat.as_ref().map(|stat| stat.state),
        kernel_thread: stat.as_ref().map(|stat| stat.flags & PF_KTHREAD != 0),
        parent: stat.as_ref().and_then(|stat| number(stat.ppid)).map(Pid),
        threads: stat.as_ref().and_then(number_of_threads),
        started: stat.as_ref().and_then(|stat| started(root, stat)),
        uid: uid(&folder),
        command_line: command_line(&folder),
        directory: link(&folder.join("cwd")),
        executable: link(&folder.join("exe")),
        placement: placement(root, pid),
        netns: std::fs::read_link(folder.join("ns/net"))
            .ok()
            .and_then(|link| inode_of_link(link.as_os_str()))
            .map(NetworkNamespace),
        descriptors: None,
        descriptor_limit: process
            .and_then(|process| process.limits().ok())
            .and_then(|limits| match limits.max_open_files.soft_limit {
                procfs::process::LimitValue::Value(limit) => Some(limit),
                procfs::process::LimitValue::Unlimited => None,
            }),
    })
}

/// Where a process below `root` is placed; `None` when that cannot be read.
pub fn placement(root: &Path, pid: Pid) -> Option<Placement> {
    let file = root.join(pid.to_string()).join("cgroup");
    Placement::parse(&read(&file, LONGEST_FILE).ok()?)
}

/// The processes of a name, compared as the kernel keeps it: its first 15 bytes.
///
/// # Errors
/// When the tree cannot be listed.
pub fn named(root: &Path, wanted: &OsStr) -> io::Result<Vec<Pid>> {
    let wanted = wanted.as_bytes();
    let wanted = ForeignText::new(&wanted[..wanted.len().min(LONGEST_NAME)]);
    let mut all = names(root)?;
    all.retain(|(_, name)| *name == wanted);
    Ok(all.into_iter().map(|(pid, _)| pid).collect())
}

/// Every process that is listed below `root`, by ascending pid, with its name.
///
/// # Errors
/// When the tree cannot be listed.
pub fn names(root: &Path) -> io::Result<Vec<(Pid, ForeignText)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else {
            continue;
        };
        // Without a name it has ended meanwhile.
        found.extend(name(&entry.path()).map(|name| (Pid(pid), name)));
    }
    found.sort_unstable();
    Ok(found)
}

/// The process that a thread belongs to; itself for a process's first thread. `None` when there
/// is no such thread. /proc lists processes only, but answers for threads as well.
pub fn process_of(root: &Path, tid: Pid) -> Option<Pid> {
    field(&root.join(tid.to_string()), b"Tgid:")?
        .parse()
        .ok()
        .map(Pid)
}

fn name(folder: &Path) -> Option<ForeignText> {
    let mut name = read(&folder.join("comm"), 128).ok()?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    Some(ForeignText::new(name))
}

fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut text)?;
    Ok(text)
}

fn link(path: &Path) -> Option<ForeignText> {
    let target = std::fs::read_link(path).ok()?;
    Some(ForeignText::new(
        target.into_os_string().into_encoded_bytes(),
    ))
}

/// The first word of a line of `status` (proc_pid_status(5)). The name in there may be any bytes,
/// so the file is not text.
fn field(folder: &Path, key: &[u8]) -> Option<String> {
    let status = read(&folder.join("status"), LONGEST_FILE).ok()?;
    let line = status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(key))?;
    let first = line
        .split(u8::is_ascii_whitespace)
        .find(|word| !word.is_empty())?;
    std::str::from_utf8(first).ok().map(str::to_owned)
}

/// The real user: the first of four ids.
fn uid(folder: &Path) -> Option<Uid> {
    field(folder, b"Uid:")?.parse().ok().map(Uid)
}

fn command_line(folder: &Path) -> Option<Vec<ForeignText>> {
    let text = read(&folder.join("cmdline"), LONGEST_COMMAND_LINE).ok()?;
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    if text.is_empty() {
        return Some(Vec::new());
    }
    let words = text.split(|byte| *byte == 0);
    Some(words.map(ForeignText::new).collect())
}

fn started(root: &Path, stat: &Stat) -> Option<Timestamp> {
    let boot = KernelStats::from_file(root.join("stat"), procfs::current_system_info())
        .ok()?
        .btime;
    let ticks = procfs::ticks_per_second().max(1);
    let seconds = boot.saturating_add(stat.starttime / ticks);
    let nanos = stat.starttime % ticks * (1_000_000_000 / ticks);
    Some(Timestamp::from_parts(
        i64::try_from(seconds).ok()?,
        i64::try_from(nanos).ok()?,
    ))
}

fn descriptors(folder: &Path) -> Option<Descriptors> {
    let mut found = Descriptors::default();
    for entry in std::fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        match std::fs::read_link(entry.path()) {
            Ok(target) => {
                let kind = Kind::of_link(target.as_os_str().as_bytes());
                *found.by_kind.entry(kind).or_default() += 1;
                found.total += 1;
            }
            // Closed while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_what_it_is() {
        let pid = std::process::id();
        let us = about(Path::new("/proc"), Pid(pid)).unwrap();
        assert_eq!(us.uid.unwrap().0, rustix::process::getuid().as_raw());
        let directory = std::env::current_dir().unwrap();
        assert_eq!(
            us.directory.unwrap().as_bytes(),
            directory.as_os_str().as_bytes()
        );
        let first = std::env::args().next().unwrap();
        assert_eq!(us.command_line.unwrap()[0], ForeignText::from(&*first));
        let descriptors = us.descriptors.unwrap();
        assert!(descriptors.total >= 3, "{descriptors:?}");
        assert_eq!(descriptors.by_kind.values().sum::<u64>(), descriptors.total);
        let soft = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        assert_eq!(us.descriptor_limit, soft);
        assert_eq!(us.kernel_thread, Some(false));
        assert_eq!(us.netns, crate::namespaces::current());
        assert!(
            named(Path::new("/proc"), OsStr::from_bytes(us.command.as_bytes()))
                .unwrap()
                .contains(&Pid(pid))
        );
    }

    #[test]
    fn a_process_that_is_not_there_is_none() {
        assert_eq!(about(Path::new("/proc"), Pid(u32::MAX)), None);
        assert_eq!(process_of(Path::new("/proc"), Pid(u32::MAX)), None);
    }

    #[test]
    fn a_thread_belongs_to_its_process() {
        let us = Pid(std::process::id());
        let (told, tid) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            told.send(rustix::thread::gettid().as_raw_nonzero().get())
                .unwrap();
            let _ = ended.recv();
        });
        let tid = Pid(tid.recv().unwrap().unsigned_abs());
        assert_eq!(process_of(Path::new("/proc"), tid), Some(us));
        assert_eq!(process_of(Path::new("/proc"), us), Some(us));
        assert!(
            !names(Path::new("/proc"))
                .unwrap()
                .iter()
                .any(|it| it.0 == tid)
        );
        drop(end);
        thread.join().unwrap();
    }

    #[test]
    fn a_name_that_is_not_text_hides_nothing() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/proc-hello");
        let hostile = about(&tree, Pid(4900)).unwrap();
        assert_eq!(hostile.command.as_bytes(), b"evil\x1b[31m) \xff");
        assert!(hostile.started.is_some() && hostile.parent == Some(Pid(1)));
        assert_eq!(hostile.uid, Some(Uid(1000)));
        // Nothing is made up for what the tree does not hold.
        assert_eq!(hostile.command_line, None);
        assert_eq!(about(&tree, Pid(600)).unwrap().descriptors, None);
    }
}
