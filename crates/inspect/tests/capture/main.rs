//! `inspect capture`, the real program: live on loopback beside tcpdump, files, bad input.
//!
//! What needs root says that it was skipped, and fails instead under REQUIRE_ROOT=1.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may fail, and say why; clippy knows only #[test] functions as tests"
)]

mod blocking;
mod command;
mod copies;
#[path = "../../src/capture/crafted.rs"]
mod crafted;
mod dump;
mod files;
mod fragments;
mod hostile;
mod live;
mod lives;
mod netns;
mod options;
mod pcapng;
mod program;
mod reach;
mod rights;
mod rotation;
mod streams;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../../../benches/capture/traffic.rs"]
mod traffic;
mod whose;
mod wire;
mod wrapped;
mod wrong;
