//! Names for numbers: users, services, hosts. Numbers stay where there is no name.

mod source;

pub use source::{Hosts, Services, Users};
