//! Live interfaces, files, filters: by libpcap, except for pcapng.

mod blocks;
mod file;
mod interfaces;
mod live;
mod program;
mod records;
mod relay;

pub use file::{File, FileError};
pub use interfaces::{INTERFACES, Interface, interfaces};
pub use live::{BUFFER_KIB, Live, OpenError, Options, SNAPLEN};
pub use program::{FilterError, Program};

use std::io;

use pcap::PacketHeader;

use crate::capture::{Frame, Link, Recorded, filter};
use crate::model::Timestamp;
use crate::selection::Selection;

/// A frame out of libpcap's buffer, from a handle opened for nanoseconds.
fn frame<'a>(header: &PacketHeader, bytes: &'a [u8]) -> Frame<'a> {
    Frame {
        time: Timestamp::from_parts(header.ts.tv_sec, header.ts.tv_usec),
        bytes,
        // A damaged file may say that less was on the wire than was captured.
        original_length: header.len.max(header.caplen),
        recorded: Recorded::default(),
    }
}

/// What the system says, as part of a sentence: without its number and its capital.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// What the user wrote is exact and comes last, because its `vlan` would move the offsets of
/// all to its right. It has been compiled alone before, so its parentheses match.
fn whole_filter(parts: [Option<String>; 2], user: &str) -> String {
    let mut filter = String::new();
    let user = (!user.trim().is_empty()).then(|| user.to_owned());
    for part in parts.into_iter().flatten().chain(user) {
        if !filter.is_empty() {
            filter.push_str(" and ");
        }
        filter.push('(');
        filter.push_str(&part);
        filter.push(')');
    }
    filter
}

fn selection_filter(selection: &Selection, link: Link) -> Option<String> {
    filter::kernel_filter(selection, link)
}
