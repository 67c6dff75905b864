//! The tree -> the language. What is written here, [`super::parse`] reads back.

use std::fmt;

use super::{Comparison, End, Selection, Test};
use crate::model::State;

/// A name as a word of the language: as it is where that is plain, else in double quotes.
pub(super) struct Quoted<'a> {
    bytes: &'a [u8],
    always: bool,
}

/// In quotes where they are needed.
#[expect(non_snake_case, reason = "read as the value it makes")]
pub(super) fn Quoted(bytes: &[u8]) -> Quoted<'_> {
    Quoted {
        bytes,
        always: false,
    }
}

impl<'a> Quoted<'a> {
    /// In quotes, whatever it is.
    pub(super) fn always(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            always: true,
        }
    }
}

/// Bytes that mean themselves wherever a value stands.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_./:@%+,-#~".contains(&byte)
}

/// Words that join tests, in either case: no name unless quoted.
pub(super) const JOINING: [&str; 3] = ["and", "or", "not"];

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joins = JOINING
            .iter()
            .any(|word| word.as_bytes().eq_ignore_ascii_case(self.bytes));
        let plain = self.bytes.iter().all(|byte| is_plain(*byte));
        if plain && !joins && !self.always && !self.bytes.is_empty() {
            return f.write_str(&String::from_utf8_lossy(self.bytes));
        }
        f.write_str("\"")?;
        for chunk in self.bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                    c => write!(f, "{c}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::More => ">",
        })
    }
}

impl End {
    fn port_word(self) -> &'static str {
        match self {
            Self::Local => "sport",
            Self::Remote => "dport",
        }
    }

    fn address_word(self) -> &'static str {
        match self {
            Self::Local => "src",
            Self::Remote => "dst",
        }
    }
}

impl Test {
    /// The word that begins it in the language.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Family(_) => "family",
            Self::Protocol(_) => "protocol",
            Self::State(_) => "state",
            Self::Port(_) => "port",
            Self::Host(_) => "host",
            Self::EndPort { end, .. } => end.port_word(),
            Self::EndAddress { end, .. } | Self::EndUnix { end, .. } => end.address_word(),
            Self::Interface(_) => "dev",
            Self::Mark { .. } => "fwmark",
            Self::Cgroup(_) => "cgroup",
            Self::Autobound { .. } => "autobound",
            Self::NetworkNamespace(_) => "netns",
            Self::Pid(_) => "pid",
            Self::Process(_) | Self::ProcessLike(_) => "process",
            Self::User(_) => "user",
            Self::Container(_) => "container",
            Self::Unit(_) => "unit",
            Self::PeerPid(_) | Self::PeerProcess(_) => "peer",
            Self::ReceiveQueue(..) => "recvq",
            Self::SendQueue(..) => "sendq",
            Self::RoundTrip(..) => "rtt",
            Self::Retransmits(..) => "retrans",
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family(family) => write!(f, "family = {}", family.word()),
            Self::Protocol(protocol) => write!(f, "protocol = {}", protocol.word()),
            // ss has one word for both; with the sign it is ours.
            Self::State(state @ (State::Closed | State::Unconnected)) => {
                write!(f, "state = {}", state_word(*state))
            }
            Self::State(state) => write!(f, "state {}", state_word(*state)),
            Self::Port(port) => write!(f, ":{port}"),
            Self::Host(address) => write!(f, "host {}", super::Network::from(*address)),
            Self::EndPort { end, is, port } => write!(f, "{} {is} :{port}", end.port_word()),
            Self::EndAddress { end, network } => write!(f, "{} {network}", end.address_word()),
            Self::EndUnix { end, name } => write!(f, "{} unix:{name}", end.address_word()),
            Self::Interface(index) => write!(f, "dev = {index}"),
            Self::Mark { value, mask } => write!(f, "fwmark = {value:#x}/{mask:#x}"),
            Self::Cgroup(id) => write!(f, "cgroup = {id}"),
            Self::Autobound { .. } => f.write_str("autobound"),
            Self::NetworkNamespace(inode) => write!(f, "netns = {inode}"),
            Self::Pid(pid) => write!(f, "pid = {pid}"),
            Self::Process(name) => write!(f, "process = {}", Quoted(name.as_bytes())),
            Self::ProcessLike(name) => write!(f, "process = {name}"),
            Self::User(uid) => write!(f, "user = {uid}"),
            Self::Container(name) => write!(f, "container = {}", Quoted(name.as_bytes())),
            Self::Unit(name) => write!(f, "unit = {name}"),
            Self::PeerPid(pid) => write!(f, "peer = {pid}"),
            Self::PeerProcess(name) => match name.as_exact() {
                // Without quotes it is a pid.
                Some(exact) if exact.as_bytes().iter().all(u8::is_ascii_digit) => {
                    write!(f, "peer = {}", Quoted::always(exact.as_bytes()))
                }
                Some(exact) => write!(f, "peer = {}", Quoted(exact.as_bytes())),
                None => write!(f, "peer = {name}"),
            },
            Self::ReceiveQueue(is, bytes) => write!(f, "recvq {is} {bytes}"),
            Self::SendQueue(is, bytes) => write!(f, "sendq {is} {bytes}"),
            Self::RoundTrip(is, micros) if micros % 1_000_000 == 0 => {
                write!(f, "rtt {is} {}s", micros / 1_000_000)
            }
            Self::RoundTrip(is, micros) if micros % 1_000 == 0 => {
                write!(f, "rtt {is} {}ms", micros / 1_000)
            }
            Self::RoundTrip(is, micros) => write!(f, "rtt {is} {micros}us"),
            Self::Retransmits(is, segments) => write!(f, "retrans {is} {segments}"),
        }
    }
}

/// The word for a state: ss's own where it has one.
pub(super) fn state_word(state: State) -> &'static str {
    match state {
        State::Listen => "listening",
        State::Bound => "bound",
        State::Unconnected => "unconnected",
        State::SynSent => "syn-sent",
        State::SynRecv => "syn-recv",
        State::Established => "established",
        State::FinWait1 => "fin-wait-1",
        State::FinWait2 => "fin-wait-2",
        State::CloseWait => "close-wait",
        State::Closing => "closing",
        State::LastAck => "last-ack",
        State::TimeWait => "time-wait",
        State::Closed => "closed",
    }
}

impl fmt::Display for Selection {
    /// In the language that [`super::parse`] reads. What has parts stands in parentheses inside
    /// another, so that nobody needs to know what binds closer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test(test) => test.fmt(f),
            Self::All(parts) => joined(f, parts, " and ", "state all"),
            Self::Any(parts) => joined(f, parts, " or ", "exclude all"),
            Self::Not(part) => {
                f.write_str("not ")?;
                inner(f, part)
            }
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Selection],
    word: &str,
    nothing: &str,
) -> fmt::Result {
    if parts.is_empty() {
        return f.write_str(nothing);
    }
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        inner(f, part)?;
    }
    Ok(())
}

fn inner(f: &mut fmt::Formatter<'_>, part: &Selection) -> fmt::Result {
    match part {
        Selection::All(parts) | Selection::Any(parts) if parts.len() > 1 => write!(f, "( {part} )"),
        _ => write!(f, "{part}"),
    }
}
