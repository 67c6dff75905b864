//! What the lives of sockets tell of a conversation.

use super::Ends;
use crate::app::capture::lives::Watched;
use crate::attribution::{Attribution, Grounds, Question};
use crate::model::Protocol;

impl Ends {
    /// Whether all that is to be known was told when it happened.
    pub(super) fn is_witnessed(&self) -> bool {
        self.sides
            .iter()
            .all(|side| matches!(side.grounds, Grounds::Witnessed | Grounds::Elsewhere))
    }

    /// Whether what is not known yet will be told by itself: who accepts it. Its listener is known,
    /// and a look would find no more.
    pub(super) fn will_be_told(&self) -> bool {
        let mut sides = self.sides.iter().enumerate();
        sides.all(|(index, side)| match side.grounds {
            Grounds::LocalPort => {
                self.witness(index).is_some() && self.protocol == Some(Protocol::Tcp)
            }
            grounds => !grounds.may_improve(),
        })
    }

    /// Asks the lives of sockets, if they have changed since; tells whether they told anything.
    pub(in crate::app::capture) fn hear(&mut self, lives: &Watched) -> bool {
        let Some(protocol) = self.protocol else {
            return false;
        };
        if lives.changes() == self.heard && self.heard_all {
            return false;
        }
        // A segment is of the socket that had the first one. Datagrams of the same ends may be of
        // one socket after the other, without a sign between them.
        let is_tcp = protocol == Protocol::Tcp;
        let time = if is_tcp { self.began } else { self.latest };
        self.heard = lives.changes();
        self.heard_all = is_tcp || lives.is_settled(time);
        let refused = self.is_refused();
        let [client, server] = self.places;
        let mut changed = false;
        for (index, (local, remote)) in [(client, server), (server, client)].into_iter().enumerate()
        {
            let known = self.witness(index);
            let side = &mut self.sides[index];
            let is_known = side.grounds == Grounds::Witnessed;
            if refused && index == 1 || is_tcp && is_known && lives.has_all(known) {
                continue;
            }
            let question = Question {
                namespace: lives.namespace(),
                protocol,
                local: local.on_the_wire(),
                remote: remote.on_the_wire(),
                time,
                now: self.latest,
                opening: self.opening_seen && is_tcp,
                here: local.is_loopback()
                    || !matches!(side.grounds, Grounds::NotLooked | Grounds::Elsewhere),
            };
            if lives.is_still(known, &question) {
                continue;
            }
            let told = lives.attribute(&question);
            if let Some((told, witness)) = told {
                let was_another = is_known && known != witness;
                // Datagrams have come to another socket, of whose owner less is known.
                if !is_tcp && was_another && told.grounds != Grounds::Witnessed {
                    *side = told;
                    changed = true;
                } else if !matches!(told.grounds, Grounds::Hidden(_)) {
                    changed |= side.hear(told, protocol);
                }
                self.set_witness(index, witness);
            }
        }
        changed
    }

    /// Whether both ends are known, as far as they are this machine's; `None` when neither is.
    /// Where nothing listens nobody can be seen, whether that refuses or is never answered.
    pub(super) fn is_known(&self) -> Option<bool> {
        let nobody =
            |side: &&Attribution| matches!(side.grounds, Grounds::Elsewhere | Grounds::Closed);
        let here = || self.sides.iter().filter(|side| !nobody(side));
        here().next()?;
        Some(here().all(|side| side.grounds.is_exact() || side.grounds == Grounds::LocalPort))
    }
}
