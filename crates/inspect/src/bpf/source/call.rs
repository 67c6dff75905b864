//! bpf(2), as far as it is needed: the commands and their attributes are those of
//! include/uapi/linux/bpf.h. What an attribute does not hold is zero to the kernel.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_insn, bpf_prog_type};

/// Makes a table of `max_entries` for keys and values of so many bytes. `kind` and `flags` are
/// BPF_MAP_TYPE_ and BPF_F_.
pub(super) fn create_map(
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    }
    let attributes = Attributes {
        map_type: kind,
        key_size,
        value_size,
        max_entries,
        map_flags: flags,
    };
    // SAFETY: it holds no address.
    unsafe { opened(bpf_cmd::BPF_MAP_CREATE, &attributes) }
}

/// Puts keys into a table whose keys are 8 bytes and whose values are one, which will be zero.
pub(super) fn fill_map(map: BorrowedFd<'_>, keys: &[u64]) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        in_batch: u64,
        out_batch: u64,
        keys: u64,
        values: u64,
        count: u32,
        map_fd: RawFd,
        elem_flags: u64,
        flags: u64,
    }
    let values = vec![0u8; keys.len()];
    let attributes = Attributes {
        in_batch: 0,
        out_batch: 0,
        keys: address(keys.as_ptr()),
        values: address(values.as_ptr()),
        count: u32::try_from(keys.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        map_fd: map.as_raw_fd(),
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: the kernel reads `count` keys and values of the sizes that the table has, and that
    // many are there until it returns.
    unsafe { call(bpf_cmd::BPF_MAP_UPDATE_BATCH, &attributes) }.map(drop)
}

/// `struct bpf_attr` of commands on one element of a table.
#[repr(C)]
struct Element {
    map_fd: RawFd,
    // Else there would be padding.
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Sets the only element of a table whose key is a 4-byte index, and whose value has `N` bytes.
pub(super) fn set_first<const N: usize>(map: BorrowedFd<'_>, value: [u8; N]) -> io::Result<()> {
    put(map, 0, value)
}

/// Puts a value of `N` bytes into a table whose keys are 4 bytes.
pub(super) fn put<const N: usize>(map: BorrowedFd<'_>, key: u32, value: [u8; N]) -> io::Result<()> {
    let attributes = Element {
        map_fd: map.as_raw_fd(),
        unused: 0,
        key: address(&raw const key),
        value: address(value.as_ptr()),
        flags: 0,
    };
    // SAFETY: the kernel reads 4 bytes of the key and `N` of the value, as the caller says that the
    // table has them; both are there until it returns.
    unsafe { call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &attributes) }.map(drop)
}

/// The only element of such a table, whose value has 8 bytes.
pub(super) fn first(map: BorrowedFd<'_>) -> io::Result<[u8; 8]> {
    let key = 0u32;
    let mut value = [0u8; 8];
    let attributes = Element {
        map_fd: map.as_raw_fd(),
        unused: 0,
        key: address(&raw const key),
        value: address(value.as_mut_ptr()),
        flags: 0,
    };
    // SAFETY: the kernel reads 4 bytes of the key and writes 8 of the value, as the caller says
    // that the table has them; both are there until it returns.
    unsafe { call(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &attributes) }?;
    Ok(value)
}

/// What a program of the kind BPF_PROG_TYPE_TRACING is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attachment {
    /// The function of an iterator.
    Iterator,
    /// The type of a tracepoint (`btf_trace_NAME`).
    Tracepoint,
}

impl Attachment {
    fn kind(self) -> u32 {
        match self {
            Self::Iterator => bpf_attach_type::BPF_TRACE_ITER as u32,
            Self::Tracepoint => bpf_attach_type::BPF_TRACE_RAW_TP as u32,
        }
    }
}

/// Loads a program that is attached to the kernel's function or type of this number.
pub(super) fn load_tracing(
    instructions: &[bpf_insn],
    license: &CStr,
    attachment: Attachment,
    target: u32,
) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
        prog_name: [u8; 16],
        prog_ifindex: u32,
        expected_attach_type: u32,
        prog_btf_fd: u32,
        func_info_rec_size: u32,
        func_info: u64,
        func_info_cnt: u32,
        line_info_rec_size: u32,
        line_info: u64,
        line_info_cnt: u32,
        attach_btf_id: u32,
    }
    let attributes = Attributes {
        prog_type: bpf_prog_type::BPF_PROG_TYPE_TRACING as u32,
        insn_cnt: u32::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        insns: address(instructions.as_ptr()),
        license: address(license.as_ptr()),
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        // What `bpftool prog` shows.
        prog_name: *b"inspect\0\0\0\0\0\0\0\0\0",
        prog_ifindex: 0,
        expected_attach_type: attachment.kind(),
        prog_btf_fd: 0,
        func_info_rec_size: 0,
        func_info: 0,
        func_info_cnt: 0,
        line_info_rec_size: 0,
        line_info: 0,
        line_info_cnt: 0,
        attach_btf_id: target,
    };
    // SAFETY: the kernel reads `insn_cnt` instructions of 8 bytes and a terminated string, which
    // are there until it returns; it writes no log.
    unsafe { opened(bpf_cmd::BPF_PROG_LOAD, &attributes) }
}

/// Attaches a program to its tracepoint, for as long as what is returned is open.
pub(super) fn attach_tracepoint(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        name: u64,
        prog_fd: RawFd,
        // Else there would be padding.
        unused: u32,
    }
    let attributes = Attributes {
        // The program knows its tracepoint.
        name: 0,
        prog_fd: program.as_raw_fd(),
        unused: 0,
    };
    // SAFETY: it holds no address.
    unsafe { opened(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &attributes) }
}

/// Attaches an iterator program, and begins one run of it: reading from what is returned runs
/// it. Everything is gone when that is closed.
pub(super) fn run_iterator(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Link {
        prog_fd: RawFd,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
    }
    #[repr(C)]
    struct Run {
        link_fd: RawFd,
        flags: u32,
    }
    let attributes = Link {
        prog_fd: program.as_raw_fd(),
        target_fd: 0,
        attach_type: bpf_attach_type::BPF_TRACE_ITER as u32,
        flags: 0,
    };
    // SAFETY: it holds no address.
    let link = unsafe { opened(bpf_cmd::BPF_LINK_CREATE, &attributes) }?;
    let attributes = Run {
        link_fd: link.as_raw_fd(),
        flags: 0,
    };
    // SAFETY: it holds no address.
    unsafe { opened(bpf_cmd::BPF_ITER_CREATE, &attributes) }
}

fn address<T>(pointer: *const T) -> u64 {
    // A pointer has 64 bits at most.
    u64::try_from(pointer.expose_provenance()).unwrap_or(0)
}

/// A command that returns a descriptor, which is closed on exec.
///
/// # Safety
/// As for [`call`].
// SAFETY: each caller says why, above its block.
unsafe fn opened<T>(command: bpf_cmd, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: as the caller promises.
    let fd = unsafe { call(command, attributes) }?;
    let fd = RawFd::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// `T` must be laid out as the command's part of `union bpf_attr`, without padding, and the
/// addresses in it must be of as much memory as the command reads or writes there.
// SAFETY: each caller says why, above its block.
unsafe fn call<T>(command: bpf_cmd, attributes: &T) -> io::Result<libc::c_long> {
    let pointer: *const T = attributes;
    // SAFETY: the kernel reads `size_of::<T>()` bytes there, and follows what the caller
    // answers for.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command as u32, pointer, size_of::<T>()) };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(answer)
    }
}
