//! Decoding, filtering and files, over frames of every kind, made by hand or at random.

mod any_bytes;
mod conversations;
mod decoding;
mod files;
mod filters;

use super::*;
use crate::selection::{Selection, Test};

fn framed(bytes: &[u8]) -> Frame<'_> {
    Frame {
        time: Timestamp::from_nanos(0),
        bytes,
        original_length: u32::try_from(bytes.len()).unwrap(),
        recorded: Recorded::default(),
    }
}

fn decoded(link: Link, bytes: &[u8]) -> Packet<'_> {
    decode(link, &framed(bytes))
}

fn port(number: u16) -> Selection {
    Selection::Test(Test::Port(number))
}
