//! The running command, its descendants in /proc, and descriptors it shall not have.

mod command;
mod descriptors;
mod kin;

pub use command::{Ending, LaunchError, Launched};
pub use descriptors::Descriptors;
pub use kin::Kin;
