//! Reads the BPF type format: the types of a kernel or of an object, one after the other,
//! without keeping them. The layout is that of include/uapi/linux/btf.h.

/// Kinds of types that have something to say here.
pub(super) mod kind {
    pub(in crate::bpf) const INT: u32 = 1;
    pub(in crate::bpf) const PTR: u32 = 2;
    pub(in crate::bpf) const ARRAY: u32 = 3;
    pub(in crate::bpf) const STRUCT: u32 = 4;
    pub(in crate::bpf) const UNION: u32 = 5;
    pub(in crate::bpf) const ENUM: u32 = 6;
    pub(in crate::bpf) const FWD: u32 = 7;
    pub(in crate::bpf) const TYPEDEF: u32 = 8;
    pub(in crate::bpf) const VOLATILE: u32 = 9;
    pub(in crate::bpf) const CONST: u32 = 10;
    pub(in crate::bpf) const RESTRICT: u32 = 11;
    pub(in crate::bpf) const FUNC: u32 = 12;
    pub(in crate::bpf) const FUNC_PROTO: u32 = 13;
    pub(in crate::bpf) const VAR: u32 = 14;
    pub(in crate::bpf) const DATASEC: u32 = 15;
    pub(in crate::bpf) const FLOAT: u32 = 16;
    pub(in crate::bpf) const DECL_TAG: u32 = 17;
    pub(in crate::bpf) const TYPE_TAG: u32 = 18;
    pub(in crate::bpf) const ENUM64: u32 = 19;
}

/// `BTF_MAGIC` and `BTF_VERSION`.
pub(super) const MAGIC: u16 = 0xeb9f;
pub(super) const VERSION: u8 = 1;
/// `struct btf_header`, as long as it is written here.
pub(super) const HEADER_LENGTH: u32 = 24;
/// `struct btf_type`.
const TYPE_LENGTH: usize = 12;
/// `struct btf_member`.
const MEMBER_LENGTH: usize = 12;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The header is none.
    #[error("this is no BPF type format")]
    NoHeader,
    /// A type reaches beyond the end, or a number points there.
    #[error("the types are cut off")]
    Truncated,
    /// A kind that this program does not know the length of.
    #[error("there is a kind of type, {0}, that is not known")]
    UnknownKind(u32),
    /// A type contains itself.
    #[error("the types are nested without end")]
    Nested,
}

/// A collection of types.
#[derive(Debug, Clone, Copy)]
pub(super) struct Types<'a> {
    types: &'a [u8],
    strings: &'a [u8],
}

/// One type: `struct btf_type` and what follows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type<'a> {
    /// Where its name stands among the strings; 0 where it has none.
    pub(super) name: u32,
    pub(super) info: u32,
    /// Its size in bytes, or the type it refers to, depending on its kind.
    pub(super) size_or_type: u32,
    /// Members, variants, parameters and the like.
    pub(super) rest: &'a [u8],
}

/// `struct btf_member`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) name: u32,
    pub(super) kind: u32,
    /// In bits; for bit fields with their width (`BTF_MEMBER_BITFIELD_SIZE`).
    pub(super) offset: u32,
}

impl<'a> Types<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let number = |at| u32_at(bytes, at).ok_or(BtfError::NoHeader);
        if bytes.get(..2) != Some(&MAGIC.to_ne_bytes()) || bytes.get(2) != Some(&VERSION) {
            return Err(BtfError::NoHeader);
        }
        let header_length = number(4)?;
        let part = |offset: u32, length: u32| {
            let start = usize::try_from(header_length.checked_add(offset)?).ok()?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            bytes.get(start..end)
        };
        Ok(Self {
            types: part(number(8)?, number(12)?).ok_or(BtfError::Truncated)?,
            strings: part(number(16)?, number(20)?).ok_or(BtfError::Truncated)?,
        })
    }

    /// The types in their order, each with where it stands for [`Types::at`]; the first has
    /// number 1. After an error there are no more.
    pub(super) fn iter(&self) -> impl Iterator<Item = Result<(u32, Type<'a>), BtfError>> + use<'a> {
        let types = *self;
        let mut next = 0u32;
        let mut failed = false;
        std::iter::from_fn(move || {
            let at = next;
            if failed || usize::try_from(at).ok()? >= types.types.len() {
                return None;
            }
            let found = types.at(at).and_then(|found| {
                next = u32::try_from(TYPE_LENGTH + found.rest.len())
                    .ok()
                    .and_then(|length| at.checked_add(length))
                    .ok_or(BtfError::Truncated)?;
                Ok((at, found))
            });
            failed = found.is_err();
            Some(found)
        })
    }

    /// The type that stands there.
    pub(super) fn at(&self, at: u32) -> Result<Type<'a>, BtfError> {
        let bytes = usize::try_from(at)
            .ok()
            .and_then(|at| self.types.get(at..))
            .ok_or(BtfError::Truncated)?;
        let number = |at| u32_at(bytes, at).ok_or(BtfError::Truncated);
        let mut found = Type {
            name: number(0)?,
            info: number(4)?,
            size_or_type: number(8)?,
            rest: &[],
        };
        let length = found.rest_length()?;
        found.rest = bytes
            .get(TYPE_LENGTH..TYPE_LENGTH + length)
            .ok_or(BtfError::Truncated)?;
        Ok(found)
    }

    /// Whether the string that stands at `at` is `name`. Much faster than to read it.
    pub(super) fn is_named(&self, at: u32, name: &[u8]) -> bool {
        self.tail(at)
            .and_then(|tail| tail.strip_prefix(name))
            .is_some_and(|after| after.first() == Some(&0))
    }

    /// The string that stands at `at`.
    pub(super) fn name(&self, at: u32) -> Result<&'a [u8], BtfError> {
        self.tail(at)
            .and_then(|tail| tail.split(|byte| *byte == 0).next())
            .ok_or(BtfError::Truncated)
    }

    fn tail(&self, at: u32) -> Option<&'a [u8]> {
        self.strings.get(usize::try_from(at).ok()?..)
    }
}

impl<'a> Type<'a> {
    pub(super) fn kind(&self) -> u32 {
        self.info >> 24 & 0x1f
    }

    fn rest_length(&self) -> Result<usize, BtfError> {
        let count = usize::from(u16::try_from(self.info & 0xffff).unwrap_or(u16::MAX));
        Ok(match self.kind() {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * count,
            kind::ENUM | kind::FUNC_PROTO => 8 * count,
            kind::PTR | kind::FWD | kind::TYPEDEF | kind::VOLATILE | kind::CONST => 0,
            kind::RESTRICT | kind::FUNC | kind::FLOAT | kind::TYPE_TAG => 0,
            other => return Err(BtfError::UnknownKind(other)),
        })
    }

    /// The members of a struct or union; none of anything else.
    pub(super) fn members(&self) -> impl Iterator<Item = Member> + use<'a> {
        let composite = matches!(self.kind(), kind::STRUCT | kind::UNION);
        let bytes = if composite { self.rest } else { &[] };
        bytes
            .as_chunks::<MEMBER_LENGTH>()
            .0
            .iter()
            .filter_map(|member| {
                Some(Member {
                    name: u32_at(member, 0)?,
                    kind: u32_at(member, 4)?,
                    offset: u32_at(member, 8)?,
                })
            })
    }
}

/// A number in this machine's byte order.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}
