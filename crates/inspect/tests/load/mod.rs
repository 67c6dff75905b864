//! Sockets to look at, made by `load.py` in processes of their own. The stress test and the
//! benchmark (`benches/sockets`) share this.

#![allow(dead_code, reason = "each program that includes it uses some of it")]

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Processes that hold sockets, until this goes.
pub(crate) struct Load {
    script: Child,
    lines: BufReader<ChildStdout>,
    /// What stands: the line of JSON that `load.py` describes.
    pub(crate) standing: String,
}

impl Load {
    /// Starts the tasks, in the network namespace of this thread, and waits until everything
    /// stands. Must be kept by the thread that made it: the processes die with that.
    ///
    /// # Errors
    /// When python3 is not there, or not all sockets could be made (it has said why on stderr).
    pub(crate) fn start(tasks: &[&str]) -> io::Result<Self> {
        // From the root package and from its member.
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join("crates/inspect/tests/load/load.py"))
            .find(|path| path.is_file())
            .ok_or(io::ErrorKind::NotFound)?;
        let mut child = Command::new("python3")
            .arg(script)
            .args(tasks)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut load = Self {
            script: child,
            lines: BufReader::new(lines),
            standing: String::new(),
        };
        load.lines.read_line(&mut load.standing)?;
        if load.standing.is_empty() {
            return Err(io::Error::other(format!("load.py {tasks:?} made nothing")));
        }
        Ok(load)
    }

    /// Ends all of it; what came and went meanwhile, as `load.py` says it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn end(mut self) -> io::Result<String> {
        drop(self.script.stdin.take());
        let mut went = String::new();
        self.lines.read_line(&mut went)?;
        Ok(went)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

/// Moves this thread, and what it starts from here on, into a network namespace of its own with
/// nothing in it but a loopback interface. Needs root.
///
/// # Errors
/// What the kernel or `ip` answers.
#[expect(unsafe_code, reason = "unshare may part threads from each other")]
pub(crate) fn private_network() -> io::Result<()> {
    // SAFETY: no descriptors or memory are parted, only the network namespace, on which nothing
    // that this thread has opened depends.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }?;
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    if up.success() {
        Ok(())
    } else {
        Err(io::Error::other(
            "ip could not bring the loopback interface up",
        ))
    }
}
