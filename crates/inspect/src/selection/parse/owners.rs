//! Names of processes and units.

use super::numbers;
use crate::model::Pid;
use crate::selection::token::{Fault, Word};
use crate::selection::{Pattern, Test};

/// A process has 15 bytes for its name (TASK_COMM_LEN less its NUL); the kernel cuts longer ones.
const PROCESS_NAME: usize = 15;

/// A name of a process, cut as the kernel cuts it; of a pattern as much as is cut off.
fn process_pattern(word: &Word) -> Pattern {
    let pattern = Pattern::from_quoted(&word.bytes);
    match pattern.start_of(PROCESS_NAME) {
        Some(start) => Pattern::exact(start.as_bytes()),
        None => pattern,
    }
}

pub(super) fn process(word: &Word) -> Test {
    let pattern = process_pattern(word);
    match pattern.as_exact() {
        Some(name) => Test::Process(name),
        None => Test::ProcessLike(pattern),
    }
}

pub(super) fn peer(word: &Word) -> Result<Test, Fault> {
    if numbers::is_number(word) {
        return numbers::u32(word, "process id").map(|pid| Test::PeerPid(Pid(pid)));
    }
    Ok(Test::PeerProcess(process_pattern(word)))
}

/// A unit without its kind is a service, as for systemctl(1).
pub(super) fn unit(word: &Word) -> Test {
    let pattern = Pattern::from_quoted(&word.bytes);
    match pattern.as_exact() {
        Some(name) if !name.as_bytes().contains(&b'.') => {
            Test::Unit(Pattern::exact(&[name.as_bytes(), b".service"].concat()))
        }
        _ => Test::Unit(pattern),
    }
}
