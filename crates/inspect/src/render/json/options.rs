//! The options of a TCP header, in the `packet` record.

use serde::Serialize;

use crate::capture::{TcpOption, TcpValue, mptcp_word};

/// One option: its name, its number, and what it says. Numbers are as on the wire.
#[derive(Debug, Clone, Serialize)]
pub(super) struct OptionRecord {
    name: &'static str,
    kind: u8,
    /// With kind and length themselves; 0 where there is none.
    length: u8,
    /// Of `mss` and `window-scale` the number, of `timestamps` the sender's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<u32>,
    /// Of `sack`: the first sequence number of each block, and the first behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Vec<(u32, u32)>>,
    /// Of `mptcp`: its number, and its word where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    subtype: Option<SubtypeRecord>,
}

#[derive(Debug, Clone, Serialize)]
struct SubtypeRecord {
    number: u8,
    name: Option<&'static str>,
}

impl From<TcpOption<'_>> for OptionRecord {
    fn from(option: TcpOption<'_>) -> Self {
        let (mut value, mut echo, mut blocks, mut subtype) = (None, None, None, None);
        match option.value {
            TcpValue::MaximumSegmentSize(size) => value = Some(size.into()),
            TcpValue::WindowScale(shift) => value = Some(shift.into()),
            TcpValue::Sack(found) => blocks = Some(found.iter().collect()),
            TcpValue::Timestamps {
                value: clock,
                echo: heard,
            } => (value, echo) = (Some(clock), Some(heard)),
            TcpValue::Mptcp(number) => {
                let name = mptcp_word(number);
                subtype = Some(SubtypeRecord { number, name });
            }
            TcpValue::SackPermitted | TcpValue::Other(_) | TcpValue::Malformed | TcpValue::Cut => {}
        }
        Self {
            name: option.word(),
            kind: option.kind,
            length: option.length,
            value,
            echo,
            blocks,
            subtype,
        }
    }
}
