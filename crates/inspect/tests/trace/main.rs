//! `inspect trace`, the real program, beside strace on the same programs.
//!
//! What needs root says that it was skipped, and fails instead under REQUIRE_ROOT=1.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may fail, and say why; clippy knows only #[test] functions as tests"
)]

mod beside;
mod follow;
#[path = "../capture/program.rs"]
#[allow(dead_code, unused_imports, reason = "another test uses all of it")]
mod program;
#[path = "../support/mod.rs"]
mod support;
