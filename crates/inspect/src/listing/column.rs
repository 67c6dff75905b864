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
    /// What -o, -m and -i tell, on one line.
    Details,
}

impl SocketColumn {
    /// All, in the order in which help names them.
    pub const ALL: [Self; 16] = [
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
