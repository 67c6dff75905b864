//! Numbers that must not be mistaken for each other.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A process or thread id in the pid namespace of the /proc it was read from.
    Pid(u32)
}
number! {
    /// A descriptor number; it counts within one process.
    Fd(u32)
}
number! {
    /// A user id in the user namespace of the reader.
    Uid(u32)
}
number! {
    /// The inode number of a socket in the kernel's sockfs: unique among living sockets of the
    /// machine, used again after a socket's death.
    Inode(u64)
}
number! {
    /// A socket cookie (`SO_COOKIE`, sock_diag): never used twice while the machine runs.
    Cookie(u64)
}
number! {
    /// The inode number of a network namespace, as in `/proc/PID/ns/net`.
    NetworkNamespace(u64)
}
