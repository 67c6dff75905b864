//! What can be told of a row, by name.

/// One column of a listing. All of them can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketColumn {
    /// The network namespace: its name, else its inode.
    Netns,
    /// The address family.
    Family,
    /// The protocol.
    Proto,
    /// The state.
    State,
    /// Bytes waiting to be read; of a listener, connections waiting for accept().
    RecvQ,
    /// Bytes waiting to be acknowledged; of a listener, the limit of its accept queue.
    SendQ,
    /// This side.
    Local,
    /// The other side.
    Remote,
    /// The user who made it.
    User,
    /// Who holds it.
    Owner,
    /// Who holds the other end.
    Peer,
    /// The inode.
    Inode,
    /// The cookie, in hexadecimal.
    Cookie,
    /// The interface it is bound to.
    Interface,
    /// The timer that runs.
    Timer,
    /// Whether it refuses IPv4 (IPV6_V6ONLY).
    V6Only,
    /// The mark of its packets (SO_MARK).
    Mark,
    /// The systemd unit of its owners.
    Unit,
    /// The container of its owners.
    Container,
    /// The cgroup of its owners.
    Cgroup,
    /// When its owners started.
    Since,
    /// The directory its owners work in.
    Directory,
    /// The command line of its owners.
    Command,
    /// What -o, -m and -i tell, on one line.
    Details,
}

impl SocketColumn {
    /// All, in the order in which help names them.
    pub const ALL: [Self; 24] = [
        Self::Netns,
        Self::Family,
        Self::Proto,
        Self::State,
        Self::RecvQ,
        Self::SendQ,
        Self::Local,
        Self::Remote,
        Self::User,
        Self::Owner,
        Self::Peer,
        Self::Inode,
        Self::Cookie,
        Self::Interface,
        Self::Timer,
        Self::V6Only,
        Self::Mark,
        Self::Unit,
        Self::Container,
        Self::Cgroup,
        Self::Since,
        Self::Directory,
        Self::Command,
        Self::Details,
    ];

    /// On a narrow terminal.
    pub const NARROW: [Self; 5] = [
        Self::Proto,
        Self::State,
        Self::Local,
        Self::Remote,
        Self::Owner,
    ];

    /// Where there is room, and in a pipe.
    pub const WIDE: [Self; 9] = [
        Self::Proto,
        Self::State,
        Self::RecvQ,
        Self::SendQ,
        Self::Local,
        Self::Remote,
        Self::User,
        Self::Owner,
        Self::Peer,
    ];

    /// What -e adds in a pipe. What may hold spaces comes last.
    pub const EXTENDED: [Self; 12] = [
        Self::Netns,
        Self::Inode,
        Self::Cookie,
        Self::Interface,
        Self::V6Only,
        Self::Mark,
        Self::Unit,
        Self::Container,
        Self::Cgroup,
        Self::Since,
        Self::Directory,
        Self::Command,
    ];

    /// Whether it tells of the processes that hold a socket what they say of themselves.
    pub fn is_about_processes(self) -> bool {
        matches!(
            self,
            Self::Unit
                | Self::Container
                | Self::Cgroup
                | Self::Since
                | Self::Directory
                | Self::Command
        )
    }

    /// Its heading; in small letters, the name by which it is asked for.
    pub fn title(self) -> &'static str {
        match self {
            Self::Netns => "NETNS",
            Self::Family => "FAMILY",
            Self::Proto => "PROTO",
            Self::State => "STATE",
            Self::RecvQ => "RECV-Q",
            Self::SendQ => "SEND-Q",
            Self::Local => "LOCAL",
            Self::Remote => "REMOTE",
            Self::User => "USER",
            Self::Owner => "OWNER",
            Self::Peer => "PEER",
            Self::Inode => "INODE",
            Self::Cookie => "COOKIE",
            Self::Interface => "INTERFACE",
            Self::Timer => "TIMER",
            Self::V6Only => "V6ONLY",
            Self::Mark => "MARK",
            Self::Unit => "UNIT",
            Self::Container => "CONTAINER",
            Self::Cgroup => "CGROUP",
            Self::Since => "SINCE",
            Self::Directory => "DIRECTORY",
            Self::Command => "COMMAND",
            Self::Details => "DETAILS",
        }
    }

    /// The column of a name, in either case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|column| column.title().eq_ignore_ascii_case(name))
    }
}
