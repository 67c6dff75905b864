//! What is known of a conversation while its packets are shown, and what becomes known later.

mod heard;
mod noted;
mod watch;

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use super::looker::{Look, Looker};
use super::recalled::Recalled;
use crate::attribution::{Attribution, Grounds, Table, Witness};
use crate::capture::{Conversation, Direction, Flags, Packet};
use crate::model::{Endpoint, ForeignText, Protocol, Timestamp};
use crate::names::Users;
use crate::render::packet::end_label;
use crate::render::{Charset, Escaped};
use crate::streams::{Course, Handle};

pub(super) use noted::{Late, remember};
use watch::Tallied;
pub(super) use watch::{Tally, Watch};

/// Remembered with each conversation, and shared with those that wait for the next look.
pub(super) type Known = Rc<RefCell<Ends>>;

/// The two ends of a conversation: first the side that opened.
#[derive(Debug)]
pub(super) struct Ends {
    /// The conversation's number.
    pub(super) number: u64,
    /// Who is there.
    pub(super) sides: [Attribution; 2],
    /// Their labels, written once rather than for each packet.
    pub(super) labels: [String; 2],
    /// The interface of the first packet.
    pub(super) interface: Option<u32>,
    /// Its streams, where they are followed.
    pub(super) stream: Option<Handle>,
    /// The reader has its heading; only where streams are followed.
    pub(super) is_headed: bool,
    /// The opening was not seen; only where streams are followed.
    pub(super) began_earlier: bool,
    places: [Endpoint; 2],
    /// `None`: neither TCP nor UDP, so that no socket can be looked for.
    protocol: Option<Protocol>,
    opening_seen: bool,
    /// What the other side did first.
    first_answer: Option<FirstAnswer>,
    /// When its first packet passed.
    began: Timestamp,
    /// The look that was asked last.
    look: u64,
    /// Looks that were asked.
    looks: u8,
    /// A look is due that began after this.
    due: Timestamp,
    /// It waits in [`Watch`] for that look.
    watched: bool,
    /// A process that was asked for holds an end, or did.
    pub(super) wanted: bool,
    /// The same conversation where it was chosen, and the version of that that is in this.
    pub(super) earlier: Option<Known>,
    taken_over: u64,
    /// What the reader was told last, by the marks of the labels.
    told: [(Grounds, u32); 2],
    /// Told apart without being compared for each packet.
    marks: [u32; 2],
    /// What passed of it.
    pub(super) course: Course,
    /// Who told of the sides from the lives of sockets, and how much was told in all by then.
    witnesses: Option<Box<[Option<Witness>; 2]>>,
    heard: u64,
    /// When its latest packet passed, and whether what was told then holds from there on.
    latest: Timestamp,
    heard_all: bool,
    /// As what it is counted in [`Tally`].
    tallied: Tallied,
    /// The users of hidden owners, by name.
    users: Option<Box<[Option<ForeignText>; 2]>>,
    /// It is a file that knows the owners, and their users.
    is_recalled: bool,
    /// Counts the changes.
    version: u64,
    /// The version last noted, and in which of the files that are written.
    noted: Option<(u64, u64)>,
    /// It waits in [`Late`].
    is_late: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstAnswer {
    /// RST: nobody was there.
    Refusal,
    Other,
}

impl Default for Ends {
    fn default() -> Self {
        let nowhere = Endpoint::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let long_ago = Timestamp::from_nanos(0);
        Self {
            number: 0,
            sides: Default::default(),
            labels: Default::default(),
            interface: None,
            stream: None,
            is_headed: false,
            began_earlier: false,
            places: [nowhere; 2],
            protocol: None,
            opening_seen: false,
            first_answer: None,
            began: long_ago,
            look: 0,
            looks: 0,
            due: long_ago,
            watched: false,
            wanted: false,
            earlier: None,
            taken_over: 0,
            told: Default::default(),
            marks: Default::default(),
            course: Course::default(),
            witnesses: None,
            heard: 0,
            latest: long_ago,
            heard_all: false,
            tallied: Tallied::default(),
            users: None,
            is_recalled: false,
            version: 0,
            noted: None,
            is_late: false,
        }
    }
}

/// Who is not found after so many looks is asked for at the pace of those that are.
const LOOKS: u8 = 8;
/// While packets flow, who is known is looked at again after so long: descriptors are handed
/// on, and servers started again.
const AGAIN: i64 = 1_500_000_000;

/// Who may know the owners: one who looks now, or a file that remembers.
pub(super) struct Witnesses<'a> {
    pub(super) looker: Option<&'a mut Looker>,
    pub(super) recalled: &'a mut Recalled,
}

/// Finds out who holds the two ends, as far as that can be told now.
pub(super) fn attribute(
    conversation: &mut Conversation<Known>,
    is_new: bool,
    packet: &Packet<'_>,
    witnesses: Witnesses<'_>,
    watch: &mut Watch,
    users: &mut Users,
    charset: Charset,
) {
    let known = Rc::clone(&conversation.note);
    let mut ends = known.borrow_mut();
    if is_new {
        ends.begin(conversation, packet);
    }
    let mut changed = is_new | ends.take_over(conversation) | ends.notice(conversation, packet);
    let looker = witnesses.looker.filter(|looker| !looker.is_off);
    if let (Some(looker), Some(protocol)) = (looker, ends.protocol) {
        ends.latest = packet.time;
        if let Some(lives) = &mut looker.lives {
            lives.catch_up();
        }
        if is_new {
            // What was seen before it began: a listener that has closed since, and which
            // addresses are ours at all.
            let before = looker.newest();
            ends.orient(conversation, protocol, &before.table);
            ends.consult(&before);
            if let Some(lives) = &mut looker.lives {
                ends.hear(lives);
                if ends.may_improve() {
                    lives.settle(packet.time);
                    ends.hear(lives);
                }
            }
            if ends.may_improve() && !ends.will_be_told() {
                looker.ask_and_wait();
                let look = looker.newest();
                ends.orient(conversation, protocol, &look.table);
                ends.consult(&look);
                if let Some(lives) = &mut looker.lives {
                    lives.catch_up();
                    ends.hear(lives);
                }
            }
        } else if let Some(lives) = &looker.lives
            && ends.hear(lives)
        {
            changed = true;
        } else if ends.watched {
            looker.ask();
            changed |= ends.consult(&looker.newest());
        } else if packet.time.as_nanos() - ends.due.as_nanos() >= AGAIN && ends.is_here() {
            ends.due = packet.time;
            looker.ask();
            changed |= ends.consult(&looker.newest());
        }
        if !ends.watched && !looker.has_ended() && ends.wants_more(&looker.newest()) {
            watch.add(&known, &mut ends);
        }
        watch.tally.count(&mut ends);
    }
    if let Some(note) = ends.protocol.and_then(|protocol| {
        let [client, server] = ends.places;
        witnesses.recalled.take(protocol, client, server)
    }) {
        ends.recall(conversation, note);
        changed = true;
    }
    if changed {
        ends.label(users, charset);
    }
    if is_new {
        ends.is_told();
    }
}

impl Ends {
    fn begin(&mut self, conversation: &Conversation<Known>, packet: &Packet<'_>) {
        let (client, server) = conversation.ends();
        let segment = packet.segment();
        let earlier = self.earlier.take();
        *self = Self {
            number: conversation.number,
            interface: packet.interface,
            places: [client, server],
            protocol: segment.map(|segment| segment.protocol),
            opening_seen: conversation.opening_seen(),
            began: packet.time,
            due: packet.time,
            ..Self::default()
        };
        self.earlier = earlier;
    }

    /// The protocol of its segments, its client's end and its server's.
    pub(super) fn between(&self) -> (Option<Protocol>, [Endpoint; 2]) {
        (self.protocol, self.places)
    }

    /// Who speaks to whom in a direction.
    pub(super) fn from(&self, direction: Direction) -> (Endpoint, Endpoint) {
        let [client, server] = self.places;
        match direction {
            Direction::Forth => (client, server),
            Direction::Back => (server, client),
        }
    }

    /// What a packet itself tells of its ends; tells whether it did.
    fn notice(&mut self, conversation: &Conversation<Known>, packet: &Packet<'_>) -> bool {
        if self.first_answer.is_some() || !self.opening_seen {
            return false;
        }
        let (Some(tcp), Some((source, _))) = (
            packet.segment().and_then(|segment| segment.tcp),
            packet.ends(),
        ) else {
            return false;
        };
        if conversation.direction(source) == Direction::Forth {
            return false;
        }
        let refused = tcp.flags.has(Flags::RST);
        self.first_answer = Some(if refused {
            FirstAnswer::Refusal
        } else {
            FirstAnswer::Other
        });
        let server = &mut self.sides[1];
        match server.grounds {
            // Somebody answered all the same.
            Grounds::Closed if !refused => server.grounds = Grounds::Gone,
            Grounds::Gone if refused => server.grounds = Grounds::Closed,
            // The listener from before it began: it did not answer.
            Grounds::LocalPort if refused => {
                *server = Attribution::nobody(Grounds::NotYet);
                self.look = 0;
            }
            _ => return false,
        }
        true
    }

    /// Of a conversation that began earlier, the side with a listener is the server.
    fn orient(
        &mut self,
        conversation: &mut Conversation<Known>,
        protocol: Protocol,
        table: &Table,
    ) {
        if self.opening_seen {
            return;
        }
        let [client, server] = self.places;
        let waits = |end: Endpoint| table.waits_at(protocol, end);
        if waits(client) && !waits(server) {
            conversation.set_client(server);
            self.places.reverse();
            self.sides.reverse();
            self.swap_witnesses();
        }
    }

    /// TCP or UDP; `None`: another, so that no socket can be looked for.
    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// Whether an end is this machine's, as far as known.
    fn is_here(&self) -> bool {
        let mut sides = self.sides.iter();
        sides.any(|side| side.grounds != Grounds::Elsewhere)
    }

    fn is_refused(&self) -> bool {
        self.first_answer == Some(FirstAnswer::Refusal)
    }

    fn may_improve(&self) -> bool {
        let [client, server] = &self.sides;
        let refused = self.is_refused() && server.grounds == Grounds::Closed;
        client.grounds.may_improve() || server.grounds.may_improve() && !refused
    }

    /// Whether a look after this one may tell more, so that it is worth to be asked for.
    fn wants_more(&self, look: &Look) -> bool {
        let is_old = look.began.is_none_or(|began| began < self.due);
        let is_due = is_old && !self.is_witnessed();
        self.is_here() && (is_due || self.looks < LOOKS && self.may_improve())
    }

    /// Asks a look, if it was not asked already; tells whether it told anything.
    fn consult(&mut self, look: &Look) -> bool {
        let Some(protocol) = self.protocol else {
            return false;
        };
        if look.number == self.look {
            return false;
        }
        self.look = look.number;
        self.looks = self.looks.saturating_add(1);
        let is_older = look.began.is_none_or(|began| began < self.began);
        let refused = self.is_refused();
        let [client, server] = self.places;
        let mut changed = false;
        for (index, (here, there)) in [(client, server), (server, client)].into_iter().enumerate() {
            let is_server = index == 1;
            if is_server && refused && self.sides[1].grounds == Grounds::Closed {
                continue;
            }
            let mut found = look.table.attribute(protocol, here, there);
            if is_older {
                found.grounds = match found.grounds {
                    // Another conversation of the same two ends, before this one's SYN.
                    Grounds::Exact if self.opening_seen => Grounds::LocalPort,
                    Grounds::LocalPort if is_server && refused => Grounds::NotYet,
                    known @ (Grounds::Exact | Grounds::LocalPort | Grounds::Elsewhere) => known,
                    // It may have come since.
                    _ => Grounds::NotYet,
                };
                if found.grounds < Grounds::LocalPort {
                    found = Attribution::nobody(found.grounds);
                }
            }
            let may_be_refused = is_server
                && self.opening_seen
                && protocol == Protocol::Tcp
                && self.first_answer != Some(FirstAnswer::Other);
            found.grounds = match found.grounds {
                Grounds::Closed if !may_be_refused => Grounds::Gone,
                Grounds::Gone if is_server && refused => Grounds::Closed,
                other => other,
            };
            changed |= self.sides[index].improve(found, protocol);
        }
        changed
    }

    /// The user of a hidden owner.
    fn user(&self, index: usize) -> Option<&ForeignText> {
        self.users.as_ref()?[index].as_ref()
    }

    fn set_user(&mut self, index: usize, user: Option<ForeignText>) {
        if user.is_some() || self.users.is_some() {
            self.users.get_or_insert_default()[index] = user;
        }
    }

    fn witness(&self, index: usize) -> Option<Witness> {
        self.witnesses.as_ref()?[index]
    }

    fn set_witness(&mut self, index: usize, witness: Option<Witness>) {
        if witness.is_some() || self.witnesses.is_some() {
            self.witnesses.get_or_insert_default()[index] = witness;
        }
    }

    fn swap_witnesses(&mut self) {
        if let Some(witnesses) = &mut self.witnesses {
            witnesses.reverse();
        }
    }

    fn label(&mut self, users: &mut Users, charset: Charset) {
        let has_port = self.protocol.is_some();
        for (index, end) in self.places.into_iter().enumerate() {
            if !self.is_recalled {
                let user = match self.sides[index].grounds {
                    Grounds::Hidden(Some(uid)) => users.name(uid).map(ForeignText::from),
                    _ => None,
                };
                self.set_user(index, user);
            }
            let side = &self.sides[index];
            let user = self
                .user(index)
                .map(|user| Escaped::name(user, charset).to_string());
            let label = end_label(side, end, has_port, user.as_deref(), charset);
            let mut hasher = DefaultHasher::new();
            label.hash(&mut hasher);
            // The lower half tells as well.
            let [.., a, b, c, d] = hasher.finish().to_be_bytes();
            self.marks[index] = u32::from_be_bytes([a, b, c, d]);
            self.labels[index] = label;
        }
        self.version += 1;
    }

    /// Whether something became known that the heading does not say. That there is no socket
    /// any more is no news, unless the heading says that there was none.
    pub(super) fn has_news(&self) -> bool {
        let sides = self.sides.iter().zip(&self.marks).zip(&self.told);
        sides.into_iter().any(|((side, mark), (grounds, told))| {
            let matters = |grounds: Grounds| grounds.is_finding() || grounds == Grounds::Closed;
            mark != told && (matters(side.grounds) || *grounds == Grounds::Closed)
        })
    }

    /// The reader has the labels as they are.
    pub(super) fn is_told(&mut self) {
        for (index, mark) in self.marks.into_iter().enumerate() {
            self.told[index] = (self.sides[index].grounds, mark);
        }
    }
}

#[cfg(test)]
mod tests;
