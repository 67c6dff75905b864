//! The options of a TCP header (RFC 9293, 3.1 and 3.2): kept as bytes, read when somebody looks.

use super::fields::{be16, be32};

/// The options of one segment, not read yet: few packets are shown with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpOptions<'a> {
    /// As far as they were captured.
    bytes: &'a [u8],
    /// Whether there were more.
    is_cut: bool,
}

/// One option. Padding (kinds 0 and 1) is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpOption<'a> {
    /// Its kind (IANA, "TCP Option Kind Numbers").
    pub kind: u8,
    /// Its bytes with kind and length, as it says itself; 0 where that was cut off or is missing.
    pub length: u8,
    /// What it says.
    pub value: TcpValue<'a>,
}

/// What an option says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpValue<'a> {
    /// The most payload bytes that its sender takes in one segment (RFC 9293, 3.2).
    MaximumSegmentSize(u16),
    /// Windows of its sender count times two to this power (RFC 7323, 2).
    WindowScale(u8),
    /// Its sender understands selective acknowledgements (RFC 2018, 2).
    SackPermitted,
    /// What arrived beyond a gap (RFC 2018, 3).
    Sack(SackBlocks<'a>),
    /// Its sender's clock, and the other side's as heard last (RFC 7323, 3).
    Timestamps {
        /// TSval.
        value: u32,
        /// TSecr; means something only with [`super::Flags::ACK`].
        echo: u32,
    },
    /// Multipath TCP: the subtype (RFC 8684, 3; IANA, "MPTCP Option Subtypes").
    Mptcp(u8),
    /// One whose value is not read: its name where it has one.
    Other(Option<&'static str>),
    /// Its length is none that it can have. What follows is read where the length leads to it.
    Malformed,
    /// The snapshot length cut it off, and what may have followed.
    Cut,
}

/// The blocks of a selective acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SackBlocks<'a>(&'a [u8]);

impl SackBlocks<'_> {
    /// The first sequence number of each, and the first behind it.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        let blocks = self.0.chunks_exact(8);
        blocks.map(|block| (be32(block, 0), be32(block, 4)))
    }
}

impl<'a> TcpOptions<'a> {
    /// What stands between the fixed header and the payload: what of it was captured, and how
    /// long it was.
    pub(crate) fn new(bytes: &'a [u8], length: usize) -> Self {
        Self {
            bytes: bytes.get(..length).unwrap_or(bytes),
            is_cut: bytes.len() < length,
        }
    }

    /// The options, in their order.
    pub fn iter(&self) -> impl Iterator<Item = TcpOption<'a>> + use<'a> {
        let mut rest = self.bytes;
        let mut is_cut = self.is_cut;
        std::iter::from_fn(move || {
            while let Some((1, after)) = rest.split_first() {
                rest = after;
            }
            let Some(kind) = rest.first().copied() else {
                // Padding or options, nobody knows.
                return std::mem::take(&mut is_cut).then_some(TcpOption {
                    kind: 0,
                    length: 0,
                    value: TcpValue::Cut,
                });
            };
            if kind == 0 {
                rest = &[];
                is_cut = false;
                return None;
            }
            let length = rest.get(1).copied().unwrap_or(0);
            let (value, after) = match rest.get(2..usize::from(length)) {
                Some(value) => (
                    read(kind, value),
                    rest.get(usize::from(length)..).unwrap_or_default(),
                ),
                // It may have been right.
                None if is_cut && (rest.len() == 1 || length >= 2) => {
                    is_cut = false;
                    (TcpValue::Cut, &[][..])
                }
                None => {
                    is_cut = false;
                    (TcpValue::Malformed, &[][..])
                }
            };
            rest = after;
            Some(TcpOption {
                kind,
                length,
                value,
            })
        })
    }
}

fn read(kind: u8, bytes: &[u8]) -> TcpValue<'_> {
    match (kind, bytes) {
        (2, [_, _]) => TcpValue::MaximumSegmentSize(be16(bytes, 0)),
        (3, [shift]) => TcpValue::WindowScale(*shift),
        (4, []) => TcpValue::SackPermitted,
        (5, [_, ..]) if bytes.len().is_multiple_of(8) => TcpValue::Sack(SackBlocks(bytes)),
        (8, [_, _, _, _, _, _, _, _]) => TcpValue::Timestamps {
            value: be32(bytes, 0),
            echo: be32(bytes, 4),
        },
        (30, [first, ..]) => TcpValue::Mptcp(first >> 4),
        // RFC 2385 has 16 bytes of digest.
        (19, bytes) if bytes.len() == 16 => TcpValue::Other(Some("md5")),
        (28, [_, _]) => TcpValue::Other(Some("user-timeout")),
        // RFC 5925: two numbers of keys, and the code.
        (29, [_, _, ..]) => TcpValue::Other(Some("tcp-ao")),
        // RFC 7413: empty asks for a cookie, which has 4 to 16 bytes, in twos.
        (34, bytes) if matches!(bytes.len(), 0 | 4 | 6 | 8 | 10 | 12 | 14 | 16) => {
            TcpValue::Other(Some("fast-open"))
        }
        (2..=5 | 8 | 19 | 28..=30 | 34, _) => TcpValue::Malformed,
        _ => TcpValue::Other(None),
    }
}

impl TcpOption<'_> {
    /// Its name in records.
    pub fn word(&self) -> &'static str {
        match self.value {
            TcpValue::MaximumSegmentSize(_) => "mss",
            TcpValue::WindowScale(_) => "window-scale",
            TcpValue::SackPermitted => "sack-permitted",
            TcpValue::Sack(_) => "sack",
            TcpValue::Timestamps { .. } => "timestamps",
            TcpValue::Mptcp(_) => "mptcp",
            TcpValue::Other(name) => name.unwrap_or("unknown"),
            TcpValue::Malformed => "malformed",
            TcpValue::Cut => "cut",
        }
    }
}

/// The name of a subtype of Multipath TCP, as tcpdump has it where it has one.
pub fn mptcp_word(subtype: u8) -> Option<&'static str> {
    Some(match subtype {
        0 => "capable",
        1 => "join",
        2 => "dss",
        3 => "add-addr",
        4 => "rem-addr",
        5 => "prio",
        6 => "fail",
        7 => "fast-close",
        8 => "reset",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8], length: usize) -> Vec<(u8, u8, TcpValue<'_>)> {
        let options = TcpOptions::new(bytes, length);
        let options = options.iter().map(|it| (it.kind, it.length, it.value));
        options.collect()
    }

    #[test]
    fn options_are_read_in_their_order_and_padding_is_none() {
        let bytes = [
            2, 4, 0xff, 0xd7, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7, 30, 4, 0x01, 0, 254,
            4, 1, 2, 0, 99, 99, 99,
        ];
        assert_eq!(
            read_all(&bytes, bytes.len()),
            [
                (2, 4, TcpValue::MaximumSegmentSize(65_495)),
                (4, 2, TcpValue::SackPermitted),
                (8, 10, TcpValue::Timestamps { value: 9, echo: 0 }),
                (3, 3, TcpValue::WindowScale(7)),
                (30, 4, TcpValue::Mptcp(0)),
                (254, 4, TcpValue::Other(None)),
            ]
        );
        let blocks = [1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 9];
        let found = TcpOptions::new(&blocks, blocks.len())
            .iter()
            .next()
            .unwrap();
        let TcpValue::Sack(found) = found.value else {
            panic!("{found:?}");
        };
        assert_eq!(found.iter().collect::<Vec<_>>(), [(1, 2), (8, 9)]);
    }

    #[test]
    fn what_is_malformed_is_said_and_what_follows_is_read_where_it_can_be() {
        let scale = (3, 3, TcpValue::WindowScale(7));
        for (kind, length) in [
            (2, 3),
            (3, 2),
            (4, 3),
            (5, 2),
            (5, 9),
            (8, 9),
            (30, 2),
            (34, 3),
        ] {
            let mut bytes = vec![kind, length];
            bytes.resize(usize::from(length), 0);
            bytes.extend([3, 3, 7]);
            let malformed = (kind, length, TcpValue::Malformed);
            assert_eq!(
                read_all(&bytes, bytes.len()),
                [malformed, scale],
                "{bytes:?}"
            );
        }
        // Without a length, of a length that cannot be, beyond the header.
        for bytes in [
            &[99][..],
            &[99, 0, 3, 3, 7],
            &[99, 1, 3, 3, 7],
            &[99, 40, 3, 3, 7],
        ] {
            let length = bytes.get(1).copied().unwrap_or(0);
            let malformed = (99, length, TcpValue::Malformed);
            assert_eq!(read_all(bytes, bytes.len()), [malformed], "{bytes:?}");
        }
    }

    #[test]
    fn what_was_cut_off_is_not_malformed() {
        let cut = TcpValue::Cut;
        assert_eq!(read_all(&[2], 4), [(2, 0, cut)]);
        assert_eq!(read_all(&[2, 4, 5], 4), [(2, 4, cut)]);
        assert_eq!(read_all(&[], 4), [(0, 0, cut)]);
        let permitted = (4, 2, TcpValue::SackPermitted);
        assert_eq!(read_all(&[4, 2], 8), [permitted, (0, 0, cut)]);
        // The end was seen.
        assert_eq!(read_all(&[4, 2, 0], 8), [permitted]);
        assert_eq!(read_all(&[99, 1, 0], 8), [(99, 1, TcpValue::Malformed)]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..41),
            length in 0usize..41,
        ) {
            let count = TcpOptions::new(&bytes, length).iter().count();
            proptest::prop_assert!(count <= length);
        }
    }
}
