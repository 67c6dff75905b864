//! Reading a BPF ring buffer (Documentation/bpf/ringbuf.rst), which nobody is woken for.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;

// BPF_RINGBUF_* (include/uapi/linux/bpf.h).
const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: usize = 8;

/// A ring from which records are read in their order.
#[derive(Debug)]
pub(super) struct Ring {
    /// The page with how far was read, which is ours to write.
    read: Mapping,
    /// The page with how far was written, and the bytes behind it, twice in a row, so that no
    /// record is cut by the end.
    written: Mapping,
    size: usize,
    #[allow(dead_code, reason = "the ring lives as long as it is open")]
    ring: OwnedFd,
}

#[derive(Debug)]
struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

// SAFETY: a mapping is of the process, not of the thread that made it, and both sides of the ring
// use it by atomic operations alone.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(ring: &OwnedFd, length: usize, protection: ProtFlags, offset: u64) -> io::Result<Self> {
        let shared = MapFlags::SHARED;
        // SAFETY: a new mapping, where the kernel puts it, disturbs no other memory.
        let mapped = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                protection,
                shared,
                ring.as_fd(),
                offset,
            )
        }?;
        let start = NonNull::new(mapped).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it is our own mapping, and nothing borrows from `self` any more.
        let _ = unsafe { munmap(self.start.as_ptr(), self.length) };
    }
}

impl Ring {
    /// Of a map of the kind BPF_MAP_TYPE_RINGBUF with room for `size` bytes.
    pub(super) fn new(ring: OwnedFd, size: usize) -> io::Result<Self> {
        let page = page_size();
        let offset = u64::try_from(page).map_err(|_| io::ErrorKind::InvalidInput)?;
        let read = Mapping::new(&ring, page, ProtFlags::READ | ProtFlags::WRITE, 0)?;
        let written = Mapping::new(&ring, page + 2 * size, ProtFlags::READ, offset)?;
        Ok(Self {
            read,
            written,
            size,
            ring,
        })
    }

    /// How far was read.
    fn reader(&self) -> &AtomicUsize {
        // SAFETY: the page begins with this number, aligned, and is mapped while `self` lives.
        // This process alone writes it.
        unsafe { self.read.start.cast().as_ref() }
    }

    /// How far was written.
    fn writer(&self) -> &AtomicUsize {
        // SAFETY: as above, only that the kernel writes it, atomically.
        unsafe { self.written.start.cast().as_ref() }
    }

    /// Whether there is nothing to read: two loads.
    pub(super) fn is_empty(&self) -> bool {
        self.reader().load(Ordering::Relaxed) == self.writer().load(Ordering::Acquire)
    }

    /// Hands over what was written until now, one record after the other, and makes room. A
    /// record is valid during the call.
    pub(super) fn drain(&mut self, mut record: impl FnMut(&[u8])) {
        let mut at = self.reader().load(Ordering::Relaxed);
        let end = self.writer().load(Ordering::Acquire);
        while at != end {
            let start = page_size() + (at & (self.size - 1));
            if start + HEADER > self.written.length {
                return;
            }
            // SAFETY: it lies within the mapping, and the kernel keeps records at multiples of 8.
            let header: &AtomicU32 = unsafe { self.written.start.byte_add(start).cast().as_ref() };
            let header = header.load(Ordering::Acquire);
            if header & BUSY != 0 {
                // Another processor is writing it, and those behind it wait.
                return;
            }
            let length = usize::try_from(header & !(BUSY | DISCARD)).unwrap_or(usize::MAX);
            let room = self.written.length - start - HEADER;
            if length > room.min(self.size) {
                // No kernel writes that.
                return;
            }
            if header & DISCARD == 0 {
                // SAFETY: these bytes lie within the mapping, and the kernel does not touch them
                // until the place of the reader, below, has passed them.
                let bytes = unsafe {
                    let first = self.written.start.byte_add(start + HEADER).cast::<u8>();
                    std::slice::from_raw_parts(first.as_ptr(), length)
                };
                record(bytes);
            }
            at = at.wrapping_add((length + HEADER).next_multiple_of(8));
            self.reader().store(at, Ordering::Release);
        }
    }
}
