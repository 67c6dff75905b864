//! The words everything else is written in: values of the kernel and of the wire, without
//! behaviour that needs a system. Standard library only.

mod endpoint;
mod foreign_text;
mod gap;
mod ids;
mod owner;
mod protocol;
mod state;
mod timestamp;

pub use endpoint::{Endpoint, UnixAddress};
pub use foreign_text::ForeignText;
pub use gap::{Gap, Origin};
pub use ids::{Cookie, Fd, Inode, NetworkNamespace, Pid, Uid};
pub use owner::{Owner, OwnerRef, OwnerStatus};
pub use protocol::{Family, Protocol};
pub use state::State;
pub use timestamp::{Date, Timestamp};
