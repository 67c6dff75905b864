//! The kernel's types cut down to those that an object names, so that relocating the object
//! costs little: some forty of 130,000 here. (bpftool calls it a minimal CO-RE BTF.)
//!
//! Of the structures that the object names, the members that it names are kept; of those inside
//! of them, their size. What a pointer points to is never looked at when a member is relocated,
//! and is left out. Sizes and offsets are copied, nothing is computed.

use std::collections::{HashMap, HashSet};

use super::btf::{BtfError, HEADER_LENGTH, MAGIC, Types, VERSION, kind};

/// How deep structures may stand in each other; the kernel's stand six deep.
const DEEPEST: u32 = 64;

/// What is left of a kernel's types.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KernelTypes {
    /// The types that an object is fitted to, as BTF.
    pub(super) types: Vec<u8>,
    /// The numbers that what programs are attached to has among all types of the kernel, in the
    /// order asked for; `None` where there is no such thing.
    pub(super) targets: Vec<Option<u32>>,
}

/// Cuts `kernel` down to what `object` names. Both are BTF; `targets`, which programs are to be
/// attached to, are looked for on the way: functions, and the types of tracepoints.
pub(super) fn reduce(
    object: &[u8],
    kernel: &[u8],
    targets: &[&[u8]],
) -> Result<KernelTypes, BtfError> {
    let object = Types::new(object)?;
    let kernel = Types::new(kernel)?;
    let named = Named::by(&object)?;
    // Where each type stands; type 0 is void, and stands nowhere.
    let mut places = vec![0];
    let mut roots = Vec::new();
    let mut numbers = vec![None; targets.len()];
    for found in kernel.iter() {
        let (at, found) = found?;
        let id = u32::try_from(places.len()).map_err(|_| BtfError::Truncated)?;
        places.push(at);
        match found.kind() {
            kind::STRUCT | kind::UNION
                if named
                    .types
                    .iter()
                    .any(|name| kernel.is_named(found.name, name)) =>
            {
                roots.push(id);
            }
            kind::FUNC | kind::TYPEDEF => {
                let named = |target: &&[u8]| kernel.is_named(found.name, target);
                if let Some(index) = targets.iter().position(named) {
                    numbers[index] = Some(id);
                }
            }
            _ => {}
        }
    }
    let mut copy = Copy {
        kernel,
        places,
        named,
        copied: HashMap::new(),
        result: Writer::default(),
    };
    for root in roots {
        copy.copy(root, 0)?;
    }
    Ok(KernelTypes {
        types: copy.result.finish(),
        targets: numbers,
    })
}

/// The names in an object.
struct Named<'a> {
    types: HashSet<&'a [u8]>,
    members: HashSet<&'a [u8]>,
}

impl<'a> Named<'a> {
    fn by(object: &Types<'a>) -> Result<Self, BtfError> {
        let mut named = Self {
            types: HashSet::new(),
            members: HashSet::new(),
        };
        for found in object.iter() {
            let (_, found) = found?;
            if !matches!(found.kind(), kind::STRUCT | kind::UNION) {
                continue;
            }
            let name = object.name(found.name)?;
            if !name.is_empty() {
                named.types.insert(without_flavour(name));
            }
            for member in found.members() {
                named.members.insert(object.name(member.name)?);
            }
        }
        Ok(named)
    }
}

/// `task_struct___old` stands for the kernel's `task_struct`: an object may declare several
/// forms of one structure.
fn without_flavour(name: &[u8]) -> &[u8] {
    let flavour = name.windows(3).position(|three| three == b"___");
    &name[..flavour.unwrap_or(name.len())]
}

struct Copy<'a> {
    kernel: Types<'a>,
    places: Vec<u32>,
    named: Named<'a>,
    /// Numbers there -> numbers in the result.
    copied: HashMap<u32, u32>,
    result: Writer,
}

impl Copy<'_> {
    /// Copies a type and what it is made of; its number in the result.
    fn copy(&mut self, id: u32, depth: u32) -> Result<u32, BtfError> {
        if let Some(copied) = self.copied.get(&id) {
            return Ok(*copied);
        }
        if depth > DEEPEST {
            return Err(BtfError::Nested);
        }
        if id == 0 {
            return Ok(0);
        }
        let place = usize::try_from(id)
            .ok()
            .and_then(|id| self.places.get(id))
            .ok_or(BtfError::Truncated)?;
        let found = self.kernel.at(*place)?;
        let info = found.kind() << 24;
        let copied = match found.kind() {
            kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                self.copy(found.size_or_type, depth + 1)?
            }
            kind::PTR => self.result.push(0, info, 0, &[]),
            kind::STRUCT | kind::UNION => {
                let name = self.kernel.name(found.name)?;
                let open = name.is_empty() || self.named.types.contains(name);
                let mut members = Vec::new();
                let mut count = 0;
                for member in found.members().filter(|_| open) {
                    let member_name = self.kernel.name(member.name)?;
                    if !member_name.is_empty() && !self.named.members.contains(member_name) {
                        continue;
                    }
                    let inner = self.copy(member.kind, depth + 1)?;
                    let member_name = self.result.name(member_name);
                    for number in [member_name, inner, member.offset] {
                        members.extend(number.to_ne_bytes());
                    }
                    count += 1;
                }
                let name = self.result.name(name);
                // The count of members is replaced; that offsets hold bit widths is kept.
                let info = found.info & !0xffff | count;
                self.result.push(name, info, found.size_or_type, &members)
            }
            kind::ARRAY => {
                // struct btf_array: type of an element, type of the index, count.
                let element = super::btf::u32_at(found.rest, 0).ok_or(BtfError::Truncated)?;
                let element = self.copy(element, depth + 1)?;
                let mut array = found.rest.to_vec();
                array[..4].copy_from_slice(&element.to_ne_bytes());
                array[4..8].fill(0);
                self.result.push(0, info, 0, &array)
            }
            kind::INT | kind::FLOAT => {
                self.result
                    .push(0, found.info, found.size_or_type, found.rest)
            }
            // Their variants are not looked at.
            kind::ENUM | kind::ENUM64 => {
                let name = self.kernel.name(found.name)?;
                let name = self.result.name(name);
                self.result
                    .push(name, found.info & !0xffff, found.size_or_type, &[])
            }
            // No member has such a type.
            _ => 0,
        };
        self.copied.insert(id, copied);
        Ok(copied)
    }
}

/// Writes BTF.
#[derive(Default)]
struct Writer {
    types: Vec<u8>,
    count: u32,
    strings: Vec<u8>,
    names: HashMap<Vec<u8>, u32>,
}

impl Writer {
    /// Adds a type; its number.
    fn push(&mut self, name: u32, info: u32, size_or_type: u32, rest: &[u8]) -> u32 {
        for number in [name, info, size_or_type] {
            self.types.extend(number.to_ne_bytes());
        }
        self.types.extend(rest);
        self.count += 1;
        self.count
    }

    /// Where a name stands among the strings.
    fn name(&mut self, name: &[u8]) -> u32 {
        if name.is_empty() {
            return 0;
        }
        if let Some(at) = self.names.get(name) {
            return *at;
        }
        // One byte more: string 0 is the empty one, and is written last.
        let at = u32::try_from(1 + self.strings.len()).unwrap_or(0);
        self.strings.extend(name);
        self.strings.push(0);
        self.names.insert(name.to_vec(), at);
        at
    }

    fn finish(self) -> Vec<u8> {
        let [types, strings] =
            [self.types.len(), 1 + self.strings.len()].map(|length| u32::try_from(length).ok());
        let mut bytes = Vec::with_capacity(24 + self.types.len() + 1 + self.strings.len());
        bytes.extend(MAGIC.to_ne_bytes());
        bytes.extend([VERSION, 0]);
        for number in [
            HEADER_LENGTH,
            0,
            types.unwrap_or(0),
            types.unwrap_or(0),
            strings.unwrap_or(0),
        ] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(self.types);
        bytes.push(0);
        bytes.extend(self.strings);
        bytes
    }
}

#[cfg(test)]
mod tests;
