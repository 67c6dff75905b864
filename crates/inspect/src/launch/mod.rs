//! Starts a command, knows its children, passes signals on, sheds rights.
//!
//! Whose child a process is, is told by its line of parents. A parent that ends gives its
//! children to its nearest living ancestor that asked for them (PR_SET_CHILD_SUBREAPER of
//! prctl(2)), and that is this process: so the line of every descendant that lives ends here,
//! and that of no other. This needs no control group, and no right.
//!
//! A child that lives some microseconds is gone before anybody can ask. Where the kernel tells of
//! births, every descendant is known by that of its own.

mod family;
mod rights;
mod source;

pub use family::Family;
pub use source::{
    Account, Descriptors, Ending, Kin, LaunchError, Launched, ShedError, drop_capabilities,
    forbid_new_rights, run_as,
};
