//! The owners of a conversation as one line of text, and back: a comment that people read in
//! Wireshark, and that a capture file gives back to us.
//!
//! ```text
//! tcp client 127.0.0.1:52316 chat-client[4847] fd 3 since 2026-01-02T03:04:05.000000006Z (exact),
//!  server 127.0.0.1:2345 (unknown: waiting for accept)
//! ```
//!
//! Of a thread with a descriptor table of its own: `NAME[4847] thread 4850 fd 3`. Several owners
//! have `, ` between them, and ` and 7 more` behind them where there was no room. In a name `\`, `[`,
//! `(` and what is not plainly readable stand as `\xff`, byte by byte. Whoever made the file chose
//! what is read here: what does not fit exactly is no note.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{Attribution, Grounds};
use crate::model::{Endpoint, Fd, ForeignText, Owner, Pid, Protocol, Timestamp, Uid};

/// Owners written, and read, of one end.
const MOST_OWNERS: usize = 32;
/// Bytes of a name: the kernel's have up to 15 (TASK_COMM_LEN), those of users up to 32 in
/// useradd(8).
const LONGEST_NAME: usize = 64;

/// The length of a time, as [`Timestamp`] is written.
const TIME: usize = 30;

/// Who is at the two ends of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The side that opened, and the other.
    pub sides: [Side; 2],
}

/// One end of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Where it is.
    pub end: Endpoint,
    /// Who is there.
    pub attribution: Attribution,
    /// The name of the user of a hidden owner, where it is known.
    pub user: Option<ForeignText>,
    /// Owners for which there was no room.
    pub more: usize,
}

/// The grounds for knowing owners, in words.
const KNOWN: [(Grounds, &str); 3] = [
    (Grounds::Exact, "exact"),
    (Grounds::Witnessed, "exact, by events"),
    (Grounds::LocalPort, "inferred"),
];

/// The grounds for not knowing owners, in words.
const UNKNOWN: [(Grounds, &str); 8] = [
    (Grounds::NotLooked, "not looked for"),
    (Grounds::NotYet, "not looked up yet"),
    (Grounds::Elsewhere, "on another machine"),
    (Grounds::Gone, "no socket when we looked"),
    (Grounds::Closed, "nothing listens there"),
    (Grounds::Ambiguous, "several sockets share the port"),
    (Grounds::Pending, "waiting for accept"),
    (Grounds::Hidden(None), "hidden"),
];

impl Note {
    /// Whether it says anything about owners.
    pub fn says_something(&self) -> bool {
        self.sides.iter().any(|side| {
            !matches!(
                side.attribution.grounds,
                Grounds::NotLooked | Grounds::Elsewhere
            )
        })
    }

    /// The text.
    pub fn text(&self) -> String {
        let [client, server] = &self.sides;
        let word = match self.protocol {
            Protocol::Udp => "udp",
            _ => "tcp",
        };
        let mut text = format!("{word} client ");
        client.write(&mut text);
        text.push_str(", server ");
        server.write(&mut text);
        text
    }

    /// Reads such a text; `None` when it is another.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (word, text) = text.split_once(" client ")?;
        let protocol = match word {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        };
        let (client, text) = Side::parse(text)?;
        let (server, text) = Side::parse(text.strip_prefix(", server ")?)?;
        text.is_empty().then_some(Self {
            protocol,
            sides: [client, server],
        })
    }
}

impl Side {
    fn write(&self, out: &mut String) {
        let place = SocketAddr::new(self.end.address, self.end.port);
        // A String takes everything.
        let _ = write!(out, "{place}");
        let owners = &self.attribution.owners;
        for (index, owner) in owners.iter().take(MOST_OWNERS).enumerate() {
            out.push_str(if index == 0 { " " } else { ", " });
            write_name(out, &owner.command);
            let _ = write!(out, "[{}]", owner.pid);
            if owner.tid != owner.pid {
                let _ = write!(out, " thread {}", owner.tid);
            }
            let _ = write!(out, " fd {}", owner.fd);
            if let Some(started) = owner.started {
                let _ = write!(out, " since {started}");
            }
        }
        let more = self.more + owners.len().saturating_sub(MOST_OWNERS);
        if more > 0 {
            let _ = write!(out, " and {more} more");
        }
        let grounds = self.attribution.grounds;
        if let Some((_, words)) = KNOWN.iter().find(|(known, _)| *known == grounds) {
            let _ = write!(out, " ({words})");
            return;
        }
        match grounds {
            Grounds::Hidden(Some(uid)) => {
                let _ = write!(out, " (unknown: hidden, user {uid}");
                if let Some(user) = &self.user {
                    out.push(' ');
                    write_name(out, user);
                }
                out.push(')');
            }
            grounds => {
                let words = UNKNOWN.iter().find(|(known, _)| *known == grounds);
                let words = words.map_or("not looked for", |(_, words)| words);
                let _ = write!(out, " (unknown: {words})");
            }
        }
    }

    fn parse(text: &str) -> Option<(Self, &str)> {
        let (place, mut text) = text.split_once(' ')?;
        let place: SocketAddr = place.parse().ok()?;
        let mut owners = Vec::new();
        let mut more = 0usize;
        while !text.starts_with('(') {
            let (owner, rest) = parse_owner(text)?;
            if owners.len() < MOST_OWNERS {
                owners.push(owner);
            } else {
                more += 1;
            }
            text = rest;
            if let Some(rest) = text.strip_prefix(" and ") {
                let (count, rest) = parse_number::<u32>(rest)?;
                more += usize::try_from(count).ok()?;
                text = rest.strip_prefix(" more (")?;
                break;
            }
            text = match text.strip_prefix(", ") {
                Some(rest) if !rest.starts_with('(') => rest,
                Some(_) => return None,
                None => text
                    .strip_prefix(' ')
                    .filter(|rest| rest.starts_with('('))?,
            };
        }
        let text = text.strip_prefix('(').unwrap_or(text);
        let (words, text) = text.split_once(')')?;
        let (grounds, user) = parse_grounds(words)?;
        let is_named = KNOWN.iter().any(|(known, _)| *known == grounds);
        if !is_named && !owners.is_empty() {
            return None;
        }
        let attribution = Attribution {
            owners,
            grounds,
            socket: None,
            user: None,
        };
        let side = Self {
            end: Endpoint::new(place.ip(), place.port()),
            attribution,
            user,
            more,
        };
        Some((side, text))
    }
}

fn parse_grounds(words: &str) -> Option<(Grounds, Option<ForeignText>)> {
    let Some(reason) = words.strip_prefix("unknown: ") else {
        let (grounds, _) = KNOWN.iter().find(|(_, known)| *known == words)?;
        return Some((*grounds, None));
    };
    let Some(user) = reason.strip_prefix("hidden, user ") else {
        let (grounds, _) = UNKNOWN.iter().find(|(_, words)| *words == reason)?;
        return Some((*grounds, None));
    };
    let (uid, rest) = parse_number(user)?;
    let user = match rest.strip_prefix(' ') {
        Some(name) => Some(parse_name(name)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    Some((Grounds::Hidden(Some(Uid(uid))), user))
}

fn parse_owner(text: &str) -> Option<(Owner, &str)> {
    let (name, text) = text.split_once('[')?;
    let command = parse_name(name)?;
    let (pid, text) = parse_number(text)?;
    let text = text.strip_prefix(']')?;
    let (tid, text) = match text.strip_prefix(" thread ") {
        Some(text) => parse_number(text)?,
        None => (pid, text),
    };
    let (fd, text) = parse_number(text.strip_prefix(" fd ")?)?;
    let (started, text) = match text.strip_prefix(" since ") {
        Some(text) => {
            let (time, text) = text.split_at_checked(TIME)?;
            let time: jiff::Timestamp = time.parse().ok()?;
            let nanos = i64::try_from(time.as_nanosecond()).ok()?;
            (Some(Timestamp::from_nanos(nanos)), text)
        }
        None => (None, text),
    };
    let owner = Owner {
        pid: Pid(pid),
        tid: Pid(tid),
        fd: Fd(fd),
        command,
        started,
    };
    Some((owner, text))
}

/// A number at the front, and what is behind it.
fn parse_number<T: std::str::FromStr>(text: &str) -> Option<(T, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Writes a name so that it can be read, and read back.
fn write_name(out: &mut String, name: &ForeignText) {
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            let is_plain = match c {
                '\\' | '[' | '(' | ')' => false,
                ' '..='~' => true,
                c => c.is_alphanumeric(),
            };
            if is_plain {
                out.push(c);
            } else {
                let mut bytes = [0; 4];
                write_bytes(out, c.encode_utf8(&mut bytes).as_bytes());
            }
        }
        write_bytes(out, chunk.invalid());
    }
}

fn write_bytes(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(out, "\\x{byte:02x}");
    }
}

fn parse_name(text: &str) -> Option<ForeignText> {
    let mut name = Vec::new();
    let mut parts = text.split('\\');
    name.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let hex = part.strip_prefix('x')?.get(..2)?;
        name.push(u8::from_str_radix(hex, 16).ok()?);
        name.extend_from_slice(part.get(3..)?.as_bytes());
    }
    (name.len() <= LONGEST_NAME).then(|| ForeignText::new(name))
}

#[cfg(test)]
mod tests;
