//! The real program over real sockets. Every wait is for an event and has a deadline; ports are
//! free ones on loopback; only our own processes are ended.

#![expect(unreachable_pub, reason = "a test has no outside to be reached from")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do, and tell what they skip"
)]

mod broken;
mod client;
mod crowd;
mod pair;
mod plain_tools;
mod server;
mod support;
mod terminal;
mod usage;
