//! Names for numbers: users, services, hosts, interfaces. Numbers stay where there is no name.

mod source;

pub use source::{Hosts, Interfaces, Services, Users};
