//! The running command, its descendants in /proc, descriptors it shall not have, and rights given up.

mod command;
mod descriptors;
mod kin;
mod shed;

pub use command::{Ending, LaunchError, Launched};
pub use descriptors::Descriptors;
pub use kin::Kin;
pub use shed::{Account, ShedError, drop_capabilities, forbid_new_rights, run_as};
