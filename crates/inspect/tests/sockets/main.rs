//! `inspect sockets`, the real program, on a recorded tree and on real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod answers;
mod real;
mod recorded;
#[path = "../support/mod.rs"]
mod support;
