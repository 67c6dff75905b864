//! Runs `task_file.bpf.c`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};

use super::super::record::{self, Record, Sock};
use super::loader::Loader;
use super::{Error, allowed};
use crate::model::Inode;

/// Built from its source by `make bpf`. Programs and the section headers around them want to
/// stand at addresses that are multiples of eight.
static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../task_file.bpf.o"));

#[repr(C, align(8))]
pub(super) struct Aligned<T: ?Sized>(pub(super) T);

#[cfg(test)]
pub(super) fn object() -> &'static [u8] {
    &OBJECT.0
}

/// As much as the kernel gives in one read (kernel/bpf/bpf_iter.c: eight pages).
const CHUNK: usize = 32 * 1024;

/// Which sockets are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Sockets<'a> {
    /// Every one.
    Every,
    /// These alone; each other costs no more than the kernel's look at it.
    These(&'a [Inode]),
}

/// Every descriptor on a socket, in all processes of this process's pid namespace: also in those
/// that /proc hides, and in every network namespace. By process and thread in ascending order, as
/// they are while it is read.
#[derive(Debug)]
pub struct SocketDescriptors {
    file: File,
    buffer: Vec<u8>,
    /// How much of the buffer was read, and how much of that is the beginning of a record.
    read: usize,
    begun: usize,
}

/// What the network knows of these sockets; one that nobody holds a descriptor on is missing.
///
/// # Errors
/// As [`SocketDescriptors::open`] and [`SocketDescriptors::next_records`].
pub fn socks_of(inodes: &[Inode]) -> Result<HashMap<Inode, Sock>, Error> {
    let mut descriptors = SocketDescriptors::open(Sockets::These(inodes))?;
    let mut found = HashMap::new();
    while let Some(records) = descriptors.next_records()? {
        found.extend(records.filter_map(|record| Some((record.inode, record.sock?))));
    }
    Ok(found)
}

impl SocketDescriptors {
    /// Has the kernel load the program that lists them. When what is returned is dropped,
    /// nothing of it is left in the kernel.
    ///
    /// # Errors
    /// When the rights, the kernel, or a limit do not allow it.
    pub fn open(sockets: Sockets<'_>) -> Result<Self, Error> {
        allowed()?;
        let mut loader = Loader::new(&OBJECT.0, &["bpf_iter_task_file"])?;
        let program = match sockets {
            Sockets::Every => "every_socket",
            Sockets::These(inodes) => {
                let wanted: Vec<u64> = inodes.iter().map(|inode| inode.0).collect();
                loader.table("wanted", &wanted)?;
                "chosen_sockets"
            }
        };
        Ok(Self {
            file: loader.run_iterator(program)?,
            buffer: vec![0; CHUNK + record::LENGTH],
            read: 0,
            begun: 0,
        })
    }

    /// The next of them, some hundreds at most; perhaps none, though more are to come. `None`
    /// when all have been told.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn next_records(
        &mut self,
    ) -> Result<Option<impl Iterator<Item = Record> + use<'_>>, Error> {
        self.buffer
            .copy_within(self.read - self.begun..self.read, 0);
        let length = match self.file.read(&mut self.buffer[self.begun..]) {
            Ok(0) if self.begun > 0 => {
                return Err(Error::Read(io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(0) => return Ok(None),
            Ok(length) => length,
            // The kernel pauses after a million descriptors of which none was reported.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(Error::Read(error)),
        };
        self.read = self.begun + length;
        let (records, begun) = record::records(&self.buffer[..self.read]);
        self.begun = begun;
        Ok(Some(records))
    }
}
