//! `inspect doctor`, the real program: every trouble is made on purpose, in a network namespace
//! of its own, and named; and a machine that is busy and well has no findings.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod healthy;
mod limits;
mod network;
mod programs;
mod queues;
mod space;
