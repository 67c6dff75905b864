//! Who is here, who spoke last, and who gets what is typed. Pure: the server moves the bytes.

use std::collections::BTreeMap;
use std::fmt;

/// A client's number, counted from 1 in order of arrival and never used twice.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ClientId(u64);

impl ClientId {
    /// The name a message goes under where it has to be told from the server's: the first client
    /// is plainly `client`, as in a conversation of two.
    pub(crate) fn name(self) -> String {
        match self.0 {
            1 => "client".to_owned(),
            number => format!("client {number}"),
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom a typed line names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Recipient {
    /// Nobody in particular: whoever the prompt named.
    Prompted,
    /// `@2 text`
    One(ClientId),
    /// `@all text`
    Everyone,
}

/// Why a typed line went nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Undelivered {
    /// No words.
    #[error("Nothing to send.")]
    Empty,
    /// No client is connected.
    #[error("Nobody is here; not sent.")]
    Nobody,
    /// Several are here, but nobody was when the line was begun.
    #[error("The prompt named nobody; not sent. @2 text goes to client 2, @all text to everyone.")]
    Unnamed,
    /// That client left, or never came.
    #[error("{0} is not here; not sent.")]
    Absent(ClientId),
}

#[derive(Debug)]
struct Member {
    /// When it last spoke, counted in messages; 0 for never.
    spoke: u64,
    /// Whether it is spoken to with a newline.
    newline: bool,
}

/// The clients of one server.
#[derive(Debug)]
pub(crate) struct Room {
    members: BTreeMap<ClientId, Member>,
    capacity: usize,
    arrivals: u64,
    messages: u64,
}

impl Room {
    /// An empty room for at most `capacity` clients.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            members: BTreeMap::new(),
            capacity,
            arrivals: 0,
            messages: 0,
        }
    }

    /// Lets a client in, or `None` when the room is full.
    pub(crate) fn join(&mut self, newline: bool) -> Option<ClientId> {
        if self.members.len() >= self.capacity {
            return None;
        }
        self.arrivals += 1;
        let id = ClientId(self.arrivals);
        self.members.insert(id, Member { spoke: 0, newline });
        Some(id)
    }

    /// Notes that a client left; false when it was not here.
    pub(crate) fn leave(&mut self, id: ClientId) -> bool {
        self.members.remove(&id).is_some()
    }

    /// Notes that a client spoke, and whether it wants newlines.
    pub(crate) fn spoke(&mut self, id: ClientId, newline: bool) {
        self.messages += 1;
        if let Some(member) = self.members.get_mut(&id) {
            *member = Member {
                spoke: self.messages,
                newline,
            };
        }
    }

    /// Whether nobody is here.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whom the next line goes to unless it says otherwise: who spoke last of those still here,
    /// and before anybody spoke, who came first.
    pub(crate) fn target(&self) -> Option<ClientId> {
        let latest = |(id, member): &(&ClientId, &Member)| (member.spoke, std::cmp::Reverse(**id));
        self.members.iter().max_by_key(latest).map(|(id, _)| *id)
    }

    /// Everyone a line goes to, each with whether it wants a newline. `prompted` is the client the
    /// prompt named when the line was begun.
    ///
    /// # Errors
    /// [`Undelivered`], when there are no words or nobody to hear them.
    pub(crate) fn recipients(
        &self,
        recipient: Recipient,
        prompted: Option<ClientId>,
        text: &[u8],
    ) -> Result<Vec<(ClientId, bool)>, Undelivered> {
        if text.is_empty() {
            return Err(Undelivered::Empty);
        }
        let sole = || {
            self.members
                .keys()
                .next()
                .copied()
                .filter(|_| self.members.len() == 1)
        };
        let one = match recipient {
            Recipient::One(id) => Some(id),
            // Begun while nobody was here: the only one who came since must be meant.
            Recipient::Prompted if !self.members.is_empty() => {
                Some(prompted.or_else(sole).ok_or(Undelivered::Unnamed)?)
            }
            Recipient::Prompted => Some(prompted.ok_or(Undelivered::Nobody)?),
            Recipient::Everyone => None,
        };
        let Some(id) = one else {
            if self.members.is_empty() {
                return Err(Undelivered::Nobody);
            }
            return Ok(self
                .members
                .iter()
                .map(|(id, member)| (*id, member.newline))
                .collect());
        };
        let member = self.members.get(&id).ok_or(Undelivered::Absent(id))?;
        Ok(vec![(id, member.newline)])
    }
}

/// Splits a typed line into whom it names and what it says. A line that starts with `@` and
/// anything but a number or `all` is ordinary text.
pub(crate) fn address(line: &[u8]) -> (Recipient, &[u8]) {
    let Some(rest) = line.strip_prefix(b"@") else {
        return (Recipient::Prompted, line);
    };
    let end = rest
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(rest.len());
    let (name, text) = rest.split_at(end);
    let text = text.split_first().map_or(text, |(_, text)| text);
    if name == b"all" {
        return (Recipient::Everyone, text);
    }
    let number = std::str::from_utf8(name)
        .ok()
        .filter(|name| !name.starts_with('+'));
    match number.and_then(|name| name.parse().ok()) {
        Some(number) => (Recipient::One(ClientId(number)), text),
        None => (Recipient::Prompted, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn three() -> (Room, ClientId, ClientId, ClientId) {
        let mut room = Room::new(3);
        let mut join = || room.join(true).unwrap();
        let (a, b, c) = (join(), join(), join());
        (room, a, b, c)
    }

    #[test]
    fn the_target_is_who_spoke_last_of_those_still_here() {
        let (mut room, a, b, c) = three();
        assert_eq!(room.target(), Some(a), "nobody spoke: who came first");
        room.spoke(c, true);
        room.spoke(b, true);
        assert_eq!(room.target(), Some(b));
        room.leave(b);
        assert_eq!(room.target(), Some(c));
        room.leave(c);
        room.leave(a);
        assert_eq!(room.target(), None);
    }

    #[test]
    fn numbers_are_never_used_twice_and_a_full_room_refuses() {
        let (mut room, a, ..) = three();
        assert_eq!(room.join(true), None);
        assert!(room.leave(a));
        assert!(!room.leave(a));
        assert_eq!(room.join(true), Some(ClientId(4)));
    }

    #[test]
    fn each_recipient_is_spoken_to_in_its_own_manner() {
        let (mut room, a, b, c) = three();
        room.spoke(b, false);
        let to = |recipient| room.recipients(recipient, Some(a), b"hi");
        assert_eq!(to(Recipient::Prompted), Ok(vec![(a, true)]));
        assert_eq!(to(Recipient::One(b)), Ok(vec![(b, false)]));
        assert_eq!(
            to(Recipient::Everyone),
            Ok(vec![(a, true), (b, false), (c, true)])
        );
    }

    #[test]
    fn what_cannot_be_delivered_says_why() {
        let (mut room, a, b, c) = three();
        room.leave(b);
        let to = |room: &Room, who, text: &[u8]| room.recipients(who, Some(b), text);
        assert_eq!(
            to(&room, Recipient::Prompted, b"hi"),
            Err(Undelivered::Absent(b))
        );
        assert_eq!(to(&room, Recipient::Everyone, b""), Err(Undelivered::Empty));
        room.leave(a);
        room.leave(c);
        assert_eq!(
            to(&room, Recipient::Everyone, b"hi"),
            Err(Undelivered::Nobody)
        );
        assert_eq!(
            room.recipients(Recipient::Prompted, None, b"hi"),
            Err(Undelivered::Nobody)
        );
    }

    #[test]
    fn a_line_begun_before_anybody_came_goes_to_the_only_one_who_did() {
        let mut room = Room::new(9);
        let to = |room: &Room| room.recipients(Recipient::Prompted, None, b"hi");
        assert_eq!(to(&room), Err(Undelivered::Nobody));
        let only = room.join(true).unwrap();
        assert_eq!(to(&room), Ok(vec![(only, true)]));
        room.join(true).unwrap();
        assert_eq!(to(&room), Err(Undelivered::Unnamed));
    }

    #[test]
    fn a_line_may_name_its_recipient() {
        assert_eq!(address(b"hi"), (Recipient::Prompted, &b"hi"[..]));
        assert_eq!(
            address(b"@2 hi there"),
            (Recipient::One(ClientId(2)), &b"hi there"[..])
        );
        assert_eq!(address(b"@all  hi"), (Recipient::Everyone, &b" hi"[..]));
        assert_eq!(address(b"@2"), (Recipient::One(ClientId(2)), &b""[..]));
        assert_eq!(address(b"@bob hi"), (Recipient::Prompted, &b"@bob hi"[..]));
        assert_eq!(address(b"@+2 hi"), (Recipient::Prompted, &b"@+2 hi"[..]));
        assert_eq!(address(b"@"), (Recipient::Prompted, &b"@"[..]));
    }

    proptest! {
        #[test]
        fn any_line_is_addressed_without_losing_words(line: Vec<u8>) {
            let (recipient, text) = address(&line);
            prop_assert!(line.ends_with(text));
            if recipient == Recipient::Prompted {
                prop_assert_eq!(text, &line[..]);
            }
        }
    }
}
