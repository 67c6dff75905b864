//! The options of a TCP header, in tcpdump's words; padding is not told.

use super::digits::number;
use crate::capture::{Flags, Relative, Segment, TcpOption, TcpValue, mptcp_word};
use crate::render::Screen;

/// The options of a segment, and where the numbers that it acknowledges begin.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    segment: &'a Segment<'a>,
    base: u32,
}

impl<'a> Told<'a> {
    /// `None` where there are none.
    pub(super) fn of(segment: &'a Segment<'a>, relative: Relative) -> Option<Self> {
        segment.options.iter().next()?;
        let ack = segment.tcp.filter(|tcp| tcp.flags.has(Flags::ACK));
        // What was received beyond a gap counts as what was received before it.
        let base = match (ack, relative.ack) {
            (Some(tcp), Some(relative)) => tcp.ack.wrapping_sub(relative),
            _ => 0,
        };
        Some(Self { segment, base })
    }

    /// Appends `[mss 1460,sackOK,TS val 1 ecr 0,wscale 7]`.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, option) in self.segment.options.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.one(out, &option);
        }
        out.push(b']');
    }

    /// The same in so many columns: what does not fit is left out, and that it is, is marked.
    /// `None` where none fits.
    pub(super) fn fitted(self, room: usize, screen: &Screen) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        self.write(&mut whole);
        if whole.len() <= room {
            return Some(whole);
        }
        let ellipsis = screen.ellipsis();
        let mut text = vec![b'['];
        let mut word = Vec::new();
        for option in self.segment.options.iter() {
            word.clear();
            self.one(&mut word, &option);
            // A comma before it, a comma and the mark behind it, and the bracket.
            if text.len() + word.len() + 3 + ellipsis.chars().count() <= room {
                if text.len() > 1 {
                    text.push(b',');
                }
                text.extend_from_slice(&word);
            }
        }
        if text.len() == 1 {
            return None;
        }
        text.push(b',');
        text.extend_from_slice(ellipsis.as_bytes());
        text.push(b']');
        Some(text)
    }

    /// The same whole, on as many lines as it takes, each after so many spaces.
    pub(super) fn wrapped(self, out: &mut Vec<u8>, indent: usize, width: Option<usize>) {
        let mut columns = indent;
        let mut word = vec![b'['];
        let mut options = self.segment.options.iter().peekable();
        while let Some(option) = options.next() {
            self.one(&mut word, &option);
            word.push(if options.peek().is_some() { b',' } else { b']' });
            if columns > indent && width.is_some_and(|width| columns + word.len() > width) {
                out.push(b'\n');
                out.resize(out.len() + indent, b' ');
                columns = indent;
            }
            out.extend_from_slice(&word);
            columns += word.len();
            word.clear();
        }
    }

    fn one(self, out: &mut Vec<u8>, option: &TcpOption<'_>) {
        let field = |out: &mut Vec<u8>, name: &[u8], value: u32| {
            out.extend_from_slice(name);
            number(out, value.into());
        };
        match option.value {
            TcpValue::MaximumSegmentSize(size) => field(out, b"mss ", size.into()),
            TcpValue::WindowScale(shift) => field(out, b"wscale ", shift.into()),
            TcpValue::SackPermitted => out.extend_from_slice(b"sackOK"),
            TcpValue::Sack(blocks) => {
                field(
                    out,
                    b"sack ",
                    u32::try_from(blocks.iter().count()).unwrap_or(0),
                );
                out.push(b' ');
                for (from, to) in blocks.iter() {
                    field(out, b"{", from.wrapping_sub(self.base));
                    field(out, b":", to.wrapping_sub(self.base));
                    out.push(b'}');
                }
            }
            TcpValue::Timestamps { value, echo } => {
                field(out, b"TS val ", value);
                field(out, b" ecr ", echo);
            }
            TcpValue::Mptcp(subtype) => match mptcp_word(subtype) {
                Some(word) => {
                    out.extend_from_slice(b"mptcp ");
                    out.extend_from_slice(word.as_bytes());
                }
                None => field(out, b"mptcp subtype ", subtype.into()),
            },
            TcpValue::Other(Some(name)) => out.extend_from_slice(name.as_bytes()),
            TcpValue::Other(None) => {
                field(out, b"unknown-", option.kind.into());
                field(out, b" length ", option.length.into());
            }
            TcpValue::Malformed => {
                field(out, b"malformed option ", option.kind.into());
                field(out, b" length ", option.length.into());
            }
            TcpValue::Cut => out.extend_from_slice(b"cut off"),
        }
    }
}
