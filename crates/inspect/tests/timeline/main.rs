//! `inspect timeline`, the real program, on real conversations in networks of their own.
//!
//! What needs root says that it was skipped, and fails instead under REQUIRE_ROOT=1.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may fail, and say why; clippy knows only #[test] functions as tests"
)]

mod links;
#[path = "../capture/program.rs"]
#[allow(dead_code, unused_imports, reason = "another test uses all of it")]
mod program;
#[path = "../support/mod.rs"]
mod support;
mod verdicts;
