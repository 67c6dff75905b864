//! `inspect sockets`.

use clap::Args;

/// The flags as typed.
#[derive(Debug, Args)]
pub struct Flags {}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {}

impl Flags {
    /// Checks what clap could not.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(self) -> Result<Request, String> {
        Ok(Request {})
    }
}
