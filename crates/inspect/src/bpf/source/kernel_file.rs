//! Reading a large file of the kernel's without a copy.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;
use std::ptr::NonNull;

use rustix::fs::fstatfs;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A file of the kernel's whose bytes never change: mapped where the kernel allows that (Linux
/// 6.16 and newer; it saves 4 ms and 5 MB), read where it does not.
pub(super) enum KernelFile {
    Mapped {
        start: NonNull<c_void>,
        length: usize,
    },
    Read(Vec<u8>),
}

impl KernelFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        const SYSFS_MAGIC: u64 = 0x6265_6572; // include/uapi/linux/magic.h
        let mut file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        let system = fstatfs(&file)?.f_type;
        if u64::try_from(system).is_ok_and(|system| system == SYSFS_MAGIC) {
            // SAFETY: a new mapping of its own, where the kernel puts it, disturbs no other
            // memory. That nobody shortens or changes the file is seen to by sysfs, on which it
            // lies: its content is part of the running kernel.
            let mapped = unsafe {
                mmap(
                    std::ptr::null_mut(),
                    length,
                    ProtFlags::READ,
                    MapFlags::PRIVATE,
                    &file,
                    0,
                )
            };
            if let Some(start) = mapped.ok().and_then(NonNull::new) {
                return Ok(Self::Mapped { start, length });
            }
        }
        let mut bytes = Vec::with_capacity(length + 1);
        file.read_to_end(&mut bytes)?;
        Ok(Self::Read(bytes))
    }
}

impl Deref for KernelFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped { start, length } => {
                // SAFETY: `length` bytes are mapped there, readable, until `self` is dropped.
                unsafe { std::slice::from_raw_parts(start.as_ptr().cast(), *length) }
            }
            Self::Read(bytes) => bytes,
        }
    }
}

impl Drop for KernelFile {
    fn drop(&mut self) {
        if let Self::Mapped { start, length } = self {
            // SAFETY: it is our own mapping, and nothing borrows from `self` any more.
            let _ = unsafe { munmap(start.as_ptr(), *length) };
        }
    }
}
