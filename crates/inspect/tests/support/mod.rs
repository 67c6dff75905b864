//! What the tests of the program share: running it, on a terminal too, and waiting for things.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The program under test, in an environment that does not depend on the tester's.
pub(crate) fn inspect() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inspect"));
    command
        .env_remove("NO_COLOR")
        .env_remove("LC_ALL")
        .env_remove("LC_CTYPE")
        .env("LANG", "C.UTF-8")
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    command
}

/// A copy of the program in this folder, where every user can run it.
pub(crate) fn readable_copy(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.join("inspect");
    // Not by this process: while it has a program open for writing, a child that another test
    // forks meanwhile has it open too, and then it cannot be run.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_inspect"))
        .arg(&program)
        .status();
    assert!(copied.expect("cp starts").success());
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder, everybody).expect("the folder is ours");
    program
}

/// That copy, as an ordinary user runs it.
pub(crate) fn by_nobody(program: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command
        .uid(65_534)
        .gid(65_534)
        .env("LANG", "C.UTF-8")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .current_dir("/");
    command
}

/// A path below the fixtures shared by all tests.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name)
}

/// What a finished program printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(command: &mut Command) -> Printed {
    let output = command.output().expect("the program starts");
    Printed {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

/// Runs with stdout and stderr on one terminal of so many columns; what it showed, with the
/// terminal's line ends taken off.
pub(crate) fn run_on_terminal(command: &mut Command, columns: u16) -> String {
    let master =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let slave = rustix::fs::open(
        name,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .expect("its other side");
    let size = Winsize {
        ws_row: 50,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&slave, size).expect("sized");
    let stdout = slave.try_clone().expect("cloned");
    let mut child = command
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(slave))
        .spawn()
        .expect("the program starts");
    // The command keeps its side of the terminal open until it is told otherwise.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut shown = Vec::new();
    let mut buffer = [0; 4096];
    let mut master = File::from(master);
    // The read fails with EIO when the last process has left the terminal.
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..length]);
    }
    child.wait().expect("the program ends");
    String::from_utf8(shown)
        .expect("the screen is UTF-8")
        .replace("\r\n", "\n")
}

/// Compares with a file of expected output, byte by byte. `UPDATE_FIXTURES=1` writes it instead;
/// read the difference before committing it.
pub(crate) fn expect_screen(name: &str, shown: &str) {
    let path = fixture("screens").join(name);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, shown).expect("written");
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(
        shown,
        expected,
        "\n--- shown:\n{shown}\n--- expected by {}:\n{expected}",
        path.display()
    );
}

/// Asks again until there is an answer, ten seconds at most.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited ten seconds for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Gives the calling test, which has a thread of its own, a network of its own: what others leave
/// behind, a TIME_WAIT on the same port say, is none of its business. Programs that it starts live
/// there too. Without root it stays where it is.
#[allow(
    unsafe_code,
    reason = "a thread may leave its network namespace only so"
)]
pub(crate) fn own_network() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let network = rustix::thread::UnshareFlags::NEWNET;
    // SAFETY: a network namespace has no part in the meaning of descriptors.
    unsafe { rustix::thread::unshare_unsafe(network) }.expect("a network namespace");
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(up.expect("ip starts").success());
}

/// Whether a test that needs root can run. Where it cannot, that is said loudly; under
/// `REQUIRE_ROOT=1` it is a failure.
pub(crate) fn have_root(test: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    needed("root", test);
    false
}

/// Whether a program that a test compares with is installed; else as in [`have_root`].
pub(crate) fn have_program(program: &str, test: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    });
    if !found {
        needed(program, test);
    }
    found
}

#[allow(clippy::print_stderr, reason = "a test that did not run says so")]
fn needed(what: &str, test: &str) {
    assert!(
        std::env::var_os("REQUIRE_ROOT").is_none_or(|value| value != "1"),
        "{test} needs {what}, and REQUIRE_ROOT=1 forbids skipping it"
    );
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: it needs {what}");
}
