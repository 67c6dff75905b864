//! Descriptors that a command shall not inherit.

#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// The descriptors that were open at some time: what a shell has opened for a command, a
/// process substitution say, is among them.
#[derive(Debug)]
pub struct Descriptors(BTreeSet<RawFd>);

impl Descriptors {
    /// Those that are open now.
    ///
    /// # Errors
    /// When /proc/self/fd cannot be read.
    pub fn now() -> io::Result<Self> {
        let mut open = BTreeSet::new();
        for entry in std::fs::read_dir("/proc/self/fd")? {
            open.extend(
                entry?
                    .file_name()
                    .to_str()
                    .and_then(|it| it.parse::<RawFd>().ok()),
            );
        }
        Ok(Self(open))
    }

    /// Keeps those that were opened since from any command: libpcap opens its packet socket so
    /// that it would be inherited.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn keep_later_ones(&self) -> io::Result<()> {
        for fd in Self::now()?.0.difference(&self.0) {
            // SAFETY: it is borrowed for two calls only; where it was closed meanwhile, as the
            // one that listed them was, they fail with EBADF.
            let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
            match fcntl_getfd(fd).and_then(|flags| fcntl_setfd(fd, flags | FdFlags::CLOEXEC)) {
                Ok(()) | Err(rustix::io::Errno::BADF) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
