//! `inspect capture`, the real program: live on loopback beside tcpdump, files, bad input.
//!
//! What needs root says that it was skipped, and fails instead under REQUIRE_ROOT=1.

#![allow(clippy::print_stderr)] // a skipped test says so

#[path = "../../src/capture/crafted.rs"]
mod crafted;
mod files;
mod live;
mod program;
mod wrapped;
