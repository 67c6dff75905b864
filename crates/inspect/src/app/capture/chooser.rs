//! Packets of some processes alone: held back until it is known whose they are.
//!
//! The first packets of a conversation mostly pass before its sockets were looked at. They wait
//! here, all in their order, until a look tells, or for [`GRACE`]; what cannot be told by then is
//! not shown, and counted. So nothing of others is shown, and nothing that may have been wanted
//! is lost without a word.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::looker::Looker;
use super::recalled::Recalled;
use super::show::{self, Ends, Known, Watch, Witnesses};
use crate::attribution::{Attribution, Grounds};
use crate::capture::{Conversations, Flow, Frame, Link, Packet, Recorded, RecordedInterface};
use crate::launch::Kin;
use crate::model::{Gap, Origin, Protocol, Timestamp};
use crate::names::Users;
use crate::render::Charset;
use crate::selection::{Selection, Test};

/// So long a packet waits for looks that begin after it.
const GRACE: Duration = Duration::from_millis(600);
/// So long where none began meanwhile: on a machine with 200,000 descriptors they are rare.
const LONGEST: Duration = Duration::from_secs(5);
/// What waits at most, in bytes and in packets.
const BYTES: usize = 16 * 1024 * 1024;
const PACKETS: usize = 65_536;

/// Decides whose packets are shown.
pub(super) struct Chooser {
    wanted: Selection,
    /// The command whose processes are wanted.
    kin: Option<Kin>,
    conversations: Conversations<Known>,
    watch: Watch,
    users: Users,
    waiting: VecDeque<Held>,
    /// When the newest packet passed.
    newest: Timestamp,
    bytes: usize,
    /// Packets of which it could not be told in time.
    untold: u64,
    /// Packets for which there was no room to wait.
    crowded: u64,
    /// Packets of protocols whose sockets cannot be looked up.
    unowned: u64,
}

/// A packet that waits.
struct Held {
    frame: Released,
    since: Instant,
}

/// A packet that has waited, and is wanted.
pub(super) struct Released {
    time: Timestamp,
    bytes: Box<[u8]>,
    original_length: u32,
    link: Option<Link>,
    interface: Option<RecordedInterface>,
    direction: Option<Flow>,
    /// What is known of its conversation.
    pub(super) known: Known,
}

impl Released {
    fn of(frame: &Frame<'_>, known: Known) -> Self {
        Self {
            time: frame.time,
            bytes: frame.bytes.into(),
            original_length: frame.original_length,
            link: frame.recorded.link,
            interface: frame.recorded.interface.cloned(),
            direction: frame.recorded.direction,
            known,
        }
    }

    /// The frame as it was.
    pub(super) fn frame(&self) -> Frame<'_> {
        Frame {
            time: self.time,
            bytes: &self.bytes,
            original_length: self.original_length,
            recorded: Recorded {
                link: self.link,
                interface: self.interface.as_ref(),
                direction: self.direction,
            },
        }
    }

    /// Bytes that it takes, about.
    fn size(&self) -> usize {
        let interface = self.interface.as_ref().and_then(|it| it.name.as_ref());
        self.bytes.len() + interface.map_or(0, |name| name.as_bytes().len())
    }
}

/// What becomes of a packet.
pub(super) enum Verdict {
    /// It is shown at once.
    Show(Known),
    /// It waits.
    Hold,
    /// It is another's.
    Leave,
}

impl Chooser {
    /// Wants what the selection says of the owners of one of the two ends.
    /// With `kin` the owner must be a process of the command, too.
    pub(super) fn new(wanted: Selection, kin: Option<Kin>) -> Self {
        Self {
            wanted,
            kin,
            conversations: Conversations::new(),
            watch: Watch::default(),
            users: Users::of_this_machine(),
            waiting: VecDeque::new(),
            newest: Timestamp::from_nanos(i64::MIN),
            bytes: 0,
            untold: 0,
            crowded: 0,
            unowned: 0,
        }
    }

    /// Takes a packet that may be wanted.
    pub(super) fn take(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        witnesses: Witnesses<'_>,
    ) -> Verdict {
        let Witnesses {
            mut looker,
            recalled,
        } = witnesses;
        self.newest = self.newest.max(frame.time);
        let known = Witnesses {
            looker: looker.as_deref_mut(),
            recalled,
        };
        let Some(known) = self.known(packet, known) else {
            return Verdict::Leave;
        };
        listen(&known, looker);
        match self.verdict(&known) {
            Some(false) => Verdict::Leave,
            // Those before it go first.
            Some(true) if self.waiting.is_empty() => Verdict::Show(known),
            _ => {
                let frame = Released::of(frame, known);
                self.bytes += frame.size();
                self.waiting.push_back(Held {
                    frame,
                    since: Instant::now(),
                });
                Verdict::Hold
            }
        }
    }

    /// What is known of a packet's conversation; of an ICMP error that of the packet it quotes.
    /// `None` for what no process has.
    fn known(&mut self, packet: &Packet<'_>, witnesses: Witnesses<'_>) -> Option<Known> {
        if let Some(icmp) = packet.icmp_error() {
            let quoted = self.conversations.of_quoted(icmp.about.as_ref()?)?;
            return Some(Rc::clone(&quoted.note));
        }
        let seen = self.conversations.see(packet)?;
        show::attribute(
            seen.conversation,
            seen.is_new,
            packet,
            witnesses,
            &mut self.watch,
            &mut self.users,
            Charset::Utf8,
        );
        let known = Rc::clone(&seen.conversation.note);
        if known.borrow().protocol().is_none() {
            self.unowned += 1;
            return None;
        }
        Some(known)
    }

    /// Whether a conversation is wanted, as far as that is certain. Once wanted, always; but for
    /// datagrams, whose ends another socket may get without a sign between them.
    fn verdict(&self, known: &Known) -> Option<bool> {
        let mut ends = known.borrow_mut();
        if ends.wanted && ends.protocol() == Some(Protocol::Tcp) {
            return Some(true);
        }
        let answers = self.answers(&ends);
        let answer = match answers {
            [Answer::Yes, _] | [_, Answer::Yes] => Some(true),
            [Answer::No, Answer::No] => Some(false),
            // Its socket is gone, and nobody else has come.
            _ => ends.wanted.then_some(true),
        };
        ends.wanted = answer == Some(true);
        answer
    }

    fn answers(&self, ends: &Ends) -> [Answer; 2] {
        let protocol = ends.protocol();
        [0, 1].map(|index| self.answer(&ends.sides[index], protocol))
    }

    fn answer(&self, side: &Attribution, protocol: Option<Protocol>) -> Answer {
        let owned = side.grounds.is_exact() || side.grounds == Grounds::LocalPort;
        let held = self.wanted.holds(&mut |test| match test {
            Test::Pid(pid) if owned => Some(side.owners.iter().any(|owner| owner.pid == *pid)),
            Test::Process(name) if owned => {
                Some(side.owners.iter().any(|owner| owner.command == *name))
            }
            Test::User(uid) => side.user.map(|user| user == *uid),
            _ => None,
        });
        let held = match (held, self.is_related(side, owned)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), related) => related,
            (None, _) => None,
        };
        match (held, side.grounds) {
            (_, Grounds::Elsewhere) => Answer::No,
            (Some(true), _) => Answer::Yes,
            // Before accept() the listener stands for a socket that another process may get.
            (Some(false), Grounds::LocalPort) if protocol == Some(Protocol::Tcp) => Answer::Hardly,
            (Some(false), _) => Answer::No,
            (None, Grounds::Closed) => Answer::Hardly,
            (None, _) => Answer::Unknown,
        }
    }

    /// Whether one of the owners is of the command.
    fn is_related(&self, side: &Attribution, owned: bool) -> Option<bool> {
        let Some(kin) = &self.kin else {
            return Some(true);
        };
        if !owned {
            return None;
        }
        let owners = side.owners.iter();
        let answers: Vec<Option<bool>> = owners
            .map(|owner| kin.has(owner.pid, owner.started))
            .collect();
        if answers.contains(&Some(true)) {
            return Some(true);
        }
        (!answers.contains(&None)).then_some(false)
    }

    /// The next packet that is wanted, if those before it are decided. At the `end` nothing waits
    /// any longer.
    pub(super) fn release(
        &mut self,
        mut looker: Option<&mut Looker>,
        end: bool,
    ) -> Option<Released> {
        let mut began: Option<Timestamp> = None;
        if !self.waiting.is_empty() {
            began = looker
                .as_deref_mut()
                .and_then(|looker| looker.newest().began);
        }
        while let Some(first) = self.waiting.front() {
            let crowded = self.bytes > BYTES || self.waiting.len() > PACKETS;
            let age = match looker {
                Some(_) => first.since.elapsed(),
                // In a file the time is that of its packets.
                None => between(first.frame.time, self.newest),
            };
            let looked = began.is_some_and(|began| began > first.frame.time);
            let over = end || crowded || age >= LONGEST || looked && age >= GRACE;
            listen(&first.frame.known, looker.as_deref_mut());
            let verdict = self.verdict(&first.frame.known);
            if verdict.is_none() && !over {
                return None;
            }
            let known = Rc::clone(&first.frame.known);
            let held = self.waiting.pop_front()?;
            self.bytes -= held.frame.size();
            match verdict {
                Some(true) => return Some(held.frame),
                Some(false) => {}
                None => {
                    let answers = self.answers(&known.borrow());
                    if answers.contains(&Answer::Unknown) {
                        let count = if crowded && !end {
                            &mut self.crowded
                        } else {
                            &mut self.untold
                        };
                        *count += 1;
                    }
                }
            }
        }
        None
    }

    /// Asks who is not known yet, when that is due.
    pub(super) fn tend(&mut self, looker: &mut Looker) {
        self.watch
            .tend(looker, &mut self.users, Charset::Utf8, |_, _| {});
    }

    /// Takes in a comment that a file has behind packets.
    pub(super) fn remark(&mut self, remark: &[u8], recalled: &mut Recalled) {
        if let Some((note, conversation)) = recalled.hear_late(remark, &mut self.conversations) {
            show::remember(
                conversation,
                note,
                &mut self.users,
                Charset::Utf8,
                |_, _| {},
            );
        }
    }

    /// When the first of those that wait passed.
    pub(super) fn waits_since(&self) -> Option<Timestamp> {
        self.waiting.front().map(|held| held.frame.time)
    }

    /// Whether packets wait.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What was not shown though it may have been wanted.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let counts = [
            (
                self.untold,
                "packets not shown: whose they are could not be told",
            ),
            (
                self.crowded,
                "packets not shown: too many waited until it is known whose they are",
            ),
            (
                self.unowned,
                "packets not shown: neither TCP nor UDP, so that no process is known for them",
            ),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        counts
            .map(|(count, reason)| Gap::counted(Origin::Capture, reason, count))
            .collect()
    }
}

/// Takes in what the kernel tells of a conversation's sockets and of the command's processes: all
/// that happened before what is known of them by other means.
fn listen(known: &Known, looker: Option<&mut Looker>) {
    if let Some(lives) = looker.and_then(|looker| looker.lives.as_mut()) {
        lives.catch_up();
        known.borrow_mut().hear(lives);
    }
}

/// How much later another packet passed.
fn between(one: Timestamp, other: Timestamp) -> Duration {
    let nanos = other.as_nanos().saturating_sub(one.as_nanos());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Whether an end is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// No, unless a later look tells otherwise.
    Hardly,
    Unknown,
}

#[cfg(test)]
mod tests;
