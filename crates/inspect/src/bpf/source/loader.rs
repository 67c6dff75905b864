//! From an object to a running program.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use aya_obj::Object;
use aya_obj::btf::Btf;

use super::super::kernel_types::{self, KernelTypes};
use super::call::Attachment;
use super::kernel_file::KernelFile;
use super::{Error, KERNEL_TYPES, call, refused};

const LOAD: &str = "load the kernel program";

/// An object that fits the running kernel.
pub(super) struct Loader {
    object: Object,
    /// What its programs can be attached to, with the number that the kernel's types give it.
    targets: Vec<(&'static str, u32)>,
    tables: Vec<(String, OwnedFd)>,
}

impl Loader {
    /// Reads an object, and fits it to the types of the running kernel. Its programs will be
    /// attached to these: functions of iterators, or the types of tracepoints.
    pub(super) fn new(object: &[u8], targets: &[&'static str]) -> Result<Self, Error> {
        let understand = "understand the object of the kernel program";
        let mut object = Object::parse(object).map_err(refused(understand))?;
        let own_types = object.btf.as_ref().map(Btf::to_bytes).unwrap_or_default();
        let KernelTypes {
            types,
            targets: numbers,
        } = {
            let kernel = KernelFile::open(Path::new(KERNEL_TYPES)).map_err(Error::Types)?;
            let names: Vec<&[u8]> = targets.iter().map(|name| name.as_bytes()).collect();
            kernel_types::reduce(&own_types, &kernel, &names)?
        };
        let targets = targets
            .iter()
            .zip(numbers)
            .map(|(name, number)| Ok((*name, number.ok_or(Error::Lacking(name))?)))
            .collect::<Result<_, Error>>()?;
        let fit = "fit the kernel program to this kernel";
        let types = Btf::parse(&types, object.endianness).map_err(refused(fit))?;
        object.relocate_btf(&types).map_err(refused(fit))?;
        Ok(Self {
            object,
            targets,
            tables: Vec::new(),
        })
    }

    /// Makes the table that the object calls so, with room for this much: elements, or bytes of a
    /// ring.
    pub(super) fn make(&mut self, name: &str, room: u32) -> Result<BorrowedFd<'_>, Error> {
        let make = "make a table for the kernel program";
        let map = self.object.maps.get(name).ok_or_else(|| Error::Refused {
            operation: make,
            reason: format!("the object has no {name}"),
        })?;
        let table = call::create_map(
            map.map_type(),
            map.key_size(),
            map.value_size(),
            // The kernel makes no table without room.
            room.max(1),
            map.map_flags(),
        )
        .map_err(refused(make))?;
        self.tables.push((name.to_owned(), table));
        self.made(name)
    }

    /// A table that was made.
    fn made(&self, name: &str) -> Result<BorrowedFd<'_>, Error> {
        let mut tables = self.tables.iter();
        let found = tables.find(|(made, _)| made == name);
        found
            .map(|(_, table)| table.as_fd())
            .ok_or_else(|| Error::Refused {
                operation: "find a table of the kernel program",
                reason: format!("{name} was not made"),
            })
    }

    /// Makes the table that the object calls so, and puts these keys into it. Its keys are 8
    /// bytes, its values one.
    pub(super) fn table(&mut self, name: &str, keys: &[u64]) -> Result<(), Error> {
        let room = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let table = self.make(name, room)?;
        if !keys.is_empty() {
            call::fill_map(table, keys).map_err(refused("fill a table for the kernel program"))?;
        }
        Ok(())
    }

    /// Joins programs with the tables that were made.
    fn link(&mut self) -> Result<(), Error> {
        let maps = std::mem::take(&mut self.object.maps);
        let tables = maps.iter().map(|(name, map)| {
            let table = self.tables.iter().find(|(made, _)| made == name);
            // A table that was not made is of another program, which is not loaded.
            let fd = table.map_or(-1, |(_, table)| table.as_raw_fd());
            (name.as_str(), fd, map)
        });
        let sections: HashSet<usize> = self
            .object
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        self.object
            .relocate_maps(tables, &sections)
            .and_then(|()| self.object.relocate_calls(&sections))
            .map_err(refused(LOAD))
    }

    /// Loads one of the object's programs, which are linked.
    fn load(&self, program: &str, attachment: Attachment, target: u32) -> Result<OwnedFd, Error> {
        let code = self
            .object
            .programs
            .get(program)
            .and_then(|found| self.object.functions.get(&found.function_key()))
            .ok_or_else(|| Error::Refused {
                operation: LOAD,
                reason: format!("the object has no {program}"),
            })?;
        let license = &self.object.license;
        call::load_tracing(&code.instructions, license, attachment, target).map_err(refused(LOAD))
    }

    /// Loads one of the object's programs, an iterator of the first target, and begins a run of
    /// it.
    pub(super) fn run_iterator(mut self, program: &str) -> Result<File, Error> {
        self.link()?;
        let target = self.targets.first().map_or(0, |(_, number)| *number);
        let loaded = self.load(program, Attachment::Iterator, target)?;
        let run = call::run_iterator(loaded.as_fd()).map_err(refused("run the kernel program"))?;
        Ok(File::from(run))
    }

    /// Loads one program for each target, a tracepoint, in their order, and attaches it. They run
    /// until all that is returned is dropped: the links, and the tables.
    pub(super) fn attach(mut self, programs: &[&str]) -> Result<Attached, Error> {
        self.link()?;
        let mut loaded = Vec::new();
        for (program, (_, target)) in programs.iter().zip(&self.targets) {
            loaded.push(self.load(program, Attachment::Tracepoint, *target)?);
        }
        let links = loaded
            .iter()
            .map(|program| call::attach_tracepoint(program.as_fd()))
            .collect::<Result<_, _>>()
            .map_err(refused("attach the kernel program"))?;
        Ok(Attached {
            links,
            tables: self.tables,
        })
    }
}

/// Programs that run.
#[derive(Debug)]
pub(super) struct Attached {
    #[allow(dead_code, reason = "a program runs as long as its link is open")]
    links: Vec<OwnedFd>,
    tables: Vec<(String, OwnedFd)>,
}

impl Attached {
    /// Takes a table out, to read from.
    pub(super) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let index = self.tables.iter().position(|(made, _)| made == name)?;
        Some(self.tables.swap_remove(index).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All types of the running kernel; where it does not tell them there is nothing to compare.
    fn of_this_kernel() -> Option<Vec<u8>> {
        std::fs::read(KERNEL_TYPES).ok()
    }

    #[test]
    fn an_object_fits_the_reduced_types_as_it_fits_all_types_of_the_kernel() {
        let Some(kernel) = of_this_kernel() else {
            return;
        };
        let bytes = super::super::task_file::object();
        let reduced = Loader::new(bytes, &["bpf_iter_task_file"]).unwrap().object;
        let mut whole = Object::parse(bytes).unwrap();
        let untouched = Object::parse(bytes).unwrap();
        let types = Btf::parse(&kernel, whole.endianness).unwrap();
        whole.relocate_btf(&types).unwrap();
        let code = |object: &Object| {
            let functions = object.functions.values();
            let instructions = functions.flat_map(|function| &function.instructions);
            instructions
                .map(|instruction| format!("{instruction:?}"))
                .collect::<Vec<_>>()
        };
        assert!(code(&whole).len() > 100);
        assert_eq!(code(&reduced), code(&whole));
        assert_ne!(code(&untouched), code(&whole));
    }

    #[test]
    fn the_kernels_types_are_the_same_mapped_and_read() {
        let Some(kernel) = of_this_kernel() else {
            return;
        };
        assert_eq!(*KernelFile::open(Path::new(KERNEL_TYPES)).unwrap(), *kernel);
        // A file that is not the kernel's is read.
        let copy = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(copy.path(), &kernel).unwrap();
        let opened = KernelFile::open(copy.path()).unwrap();
        assert!(matches!(opened, KernelFile::Read(_)));
        assert_eq!(*opened, *kernel);
    }

    #[test]
    fn a_function_that_this_kernel_lacks_is_named() {
        if of_this_kernel().is_none() {
            return;
        }
        let error = Loader::new(super::super::task_file::object(), &["bpf_iter_of_nothing"]).err();
        assert_eq!(
            error.unwrap().to_string(),
            "this kernel has no bpf_iter_of_nothing (Linux 5.11 and newer have it)"
        );
    }
}
