//! `inspect process`, and `inspect sockets -e`, which tells of processes too: the real program on a
//! recorded tree and on real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may fail, and say why; clippy knows only #[test] functions as tests"
)]

mod extended;
mod real;
mod recorded;
mod rights;
#[path = "../support/mod.rs"]
mod support;
mod target;
