//! What this process may do, and what to type when it may not. Prints nothing.

use std::path::Path;

use rustix::thread::{CapabilitySet, capabilities};

/// A right that one of the views needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Read the descriptors of other users' processes.
    ReadOwners,
    /// Open a packet socket.
    Capture,
    /// Bind to the ports that are kept from ordinary users.
    BindLow,
}

impl Right {
    fn capabilities(self) -> CapabilitySet {
        match self {
            // Measured: one alone does not open another user's /proc/PID/fd.
            Self::ReadOwners => CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH,
            Self::Capture => CapabilitySet::NET_RAW,
            Self::BindLow => CapabilitySet::NET_BIND_SERVICE,
        }
    }

    /// The capabilities as setcap(8) spells them.
    pub fn setcap_words(self) -> &'static str {
        match self {
            Self::ReadOwners => "cap_sys_ptrace,cap_dac_read_search+ep",
            Self::Capture => "cap_net_raw+ep",
            Self::BindLow => "cap_net_bind_service+ep",
        }
    }
}

/// Whether this process has the right in its own user namespace. `None`: it cannot be told.
pub fn has(right: Right) -> Option<bool> {
    let sets = capabilities(None).ok()?;
    Some(sets.effective.contains(right.capabilities()))
}

/// The command that would do the same as root. `program` is the real path, because sudo does
/// not search the user's own PATH; words that a shell would take apart are quoted.
pub fn with_sudo(program: &Path, arguments: &[String]) -> String {
    let mut command = format!("sudo {}", shell_word(&program.to_string_lossy()));
    for argument in arguments {
        command.push(' ');
        command.push_str(&shell_word(argument));
    }
    command
}

/// The word as a shell reads it back.
pub fn shell_word(word: &str) -> String {
    let plain = !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-:=,+@%".contains(c));
    if plain {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_can_be_pasted() {
        let words = [
            "sockets".to_owned(),
            "tcp and port 1".to_owned(),
            "it's".to_owned(),
        ];
        assert_eq!(
            with_sudo(Path::new("/opt/my tools/inspect"), &words),
            r"sudo '/opt/my tools/inspect' sockets 'tcp and port 1' 'it'\''s'"
        );
    }
}
