//! Names for numbers: users, services, hosts, interfaces. Numbers stay where there is no name.

mod addresses;
mod source;

pub use addresses::InterfaceAddress;
pub use source::{Hosts, Interfaces, Services, Users, addresses};
