//! Questions about lives.

use super::*;

impl Lives {
    /// Whether there may be another answer than the one that this witness gave.
    pub fn has_more(&self, witness: Witness) -> bool {
        let life = self.lives.get(&witness.serial);
        life.is_some_and(|life| self.witness(witness.serial, life) != witness)
    }

    /// Who had one end of a conversation. `None` where nothing is known of that, so that a look
    /// at what there is may tell more.
    ///
    /// The answer is exact where the socket of these ends was seen in the hands of a process, and
    /// inferred where it is known by its port alone.
    pub fn attribute(&self, question: &Question) -> Option<(Attribution, Option<Witness>)> {
        match question.protocol {
            Protocol::Tcp => self.segment(question),
            Protocol::Udp => self.datagram(question),
            _ => None,
        }
    }

    /// Whether the answer is still the one that this witness gave. Asks for no memory.
    pub fn is_still(&self, witness: Witness, question: &Question) -> bool {
        let found = match question.protocol {
            Protocol::Tcp => self.segment_life(question),
            Protocol::Udp => self.datagram_life(question),
            _ => None,
        };
        found.is_some_and(|(serial, life)| self.witness(serial, life) == witness)
    }

    fn of_both_ends(
        &self,
        question: &Question,
    ) -> impl DoubleEndedIterator<Item = (Serial, &Life)> {
        let place = (question.namespace, question.protocol, question.local);
        self.looked_up(self.by_ends.get(&(place, question.remote)))
    }

    fn of_port(&self, question: &Question) -> impl DoubleEndedIterator<Item = (Serial, &Life)> {
        let port = question.local.port;
        let key = (question.namespace, question.protocol, port);
        let (address, here) = (question.local.address, question.here);
        self.looked_up(self.by_port.get(&key))
            .filter(move |(_, life)| {
                let bound = life.socket.local.address;
                here && bound.is_unspecified() || bound == address
            })
    }

    fn looked_up(
        &self,
        serials: Option<&VecDeque<Serial>>,
    ) -> impl DoubleEndedIterator<Item = (Serial, &Life)> {
        let serials = serials.map(|serials| serials.iter());
        serials
            .into_iter()
            .flatten()
            .filter_map(|serial| Some((*serial, self.lives.get(serial)?)))
    }

    /// The socket that had a segment.
    fn segment_life(&self, question: &Question) -> Option<(Serial, &Life)> {
        let mut found = None;
        for (serial, life) in self.of_both_ends(question).rev() {
            if life.role == Role::Passive && question.opening {
                // It comes out of the handshake that the SYN begins: the first of those after it.
                let after = life.since.is_some_and(|since| {
                    since.as_nanos().saturating_add(SLACK) >= question.time.as_nanos()
                });
                if !after {
                    break;
                }
                found = Some((serial, life));
            } else if !life.begins_before(question.time) {
                // Of a conversation that began earlier, the nearest is the likeliest.
                if !question.opening {
                    found = Some((serial, life));
                }
            } else {
                // Its successor, if it had one, was not seen to connect.
                if !question.opening || found.is_none() && !life.ends_before(question.time) {
                    found = Some((serial, life));
                }
                break;
            }
        }
        found
    }

    fn segment(&self, question: &Question) -> Option<(Attribution, Option<Witness>)> {
        let Some((serial, life)) = self.segment_life(question) else {
            return self.listener(question);
        };
        let witness = Some(self.witness(serial, life));
        match self.owners(life, question.now) {
            Some(owners) => Some((known(life, owners, Grounds::Witnessed), witness)),
            // It waits for accept(): then the listener's owner is the likeliest.
            None if life.role == Role::Passive => Some(match self.listener(question) {
                Some((inferred, _)) => (inferred, witness),
                None => (Attribution::nobody(Grounds::Pending), witness),
            }),
            None => None,
        }
    }

    /// Who waited at the port.
    fn listener(&self, question: &Question) -> Option<(Attribution, Option<Witness>)> {
        let fits = |life: &Life| {
            life.role == Role::Listener
                && life.begins_before(question.time)
                && !life.ends_before(question.time)
        };
        let waiting = self.of_port(question).filter(|(_, life)| fits(life));
        self.one_of(waiting, question, |_| Grounds::LocalPort)
    }

    fn had_datagram(&self, life: &Life, question: &Question) -> bool {
        life.role == Role::Datagram
            && life.begins_before(question.time)
            && !self.is_over(life, question.time)
    }

    /// The socket that had a datagram, where there is but one that may have had it.
    fn datagram_life(&self, question: &Question) -> Option<(Serial, &Life)> {
        let fits = |(_, life): &(Serial, &Life)| self.had_datagram(life, question);
        let with_peer = self.of_both_ends(question).rev().find(fits);
        // Where ports cannot be shared, the newest has it, and those before it have let it go.
        let newest = || self.of_port(question).rev().find(fits);
        with_peer.or_else(|| newest().filter(|(_, life)| !life.socket.reuse))
    }

    fn datagram(&self, question: &Question) -> Option<(Attribution, Option<Witness>)> {
        let grounds = |life: &Life| {
            // Who sends from a port that nobody shares has sent this; who only waits there may
            // share it with a socket that is older than our watch.
            if life.sent || life.in_ends {
                Grounds::Witnessed
            } else {
                Grounds::LocalPort
            }
        };
        match self.datagram_life(question) {
            Some((serial, life)) => {
                let found = match self.owners(life, question.now) {
                    Some(owners) => known(life, owners, grounds(life)),
                    // It is another's, who has no number here.
                    None => known(life, Vec::new(), Grounds::Hidden(life.socket.user)),
                };
                Some((found, Some(self.witness(serial, life))))
            }
            None => {
                let candidates = self.of_port(question);
                let candidates = candidates.filter(|(_, life)| self.had_datagram(life, question));
                self.one_of(candidates, question, grounds)
            }
        }
    }

    /// Whether a datagram socket, of whose end the kernel does not tell, was no more.
    fn is_over(&self, life: &Life, time: Timestamp) -> bool {
        let gone = |user: &User| {
            self.processes
                .ended(user)
                .is_some_and(|ended| ended.as_nanos().saturating_add(SLACK) < time.as_nanos())
        };
        life.ends_before(time) || !life.users.is_empty() && life.users.iter().all(gone)
    }

    /// The one of these, or what they agree on.
    fn one_of<'a>(
        &self,
        candidates: impl Iterator<Item = (Serial, &'a Life)>,
        question: &Question,
        grounds: impl Fn(&Life) -> Grounds,
    ) -> Option<(Attribution, Option<Witness>)> {
        let mut answer: Option<(Attribution, Option<Witness>)> = None;
        for (serial, life) in candidates {
            let owners = self.owners(life, question.now)?;
            let next = known(life, owners, grounds(life));
            match &answer {
                Some((answer, _)) if !super::super::table::agree(answer, &next) => {
                    return Some((Attribution::nobody(Grounds::Ambiguous), None));
                }
                _ => answer = Some((next, Some(self.witness(serial, life)))),
            }
        }
        answer
    }

    fn witness(&self, serial: Serial, life: &Life) -> Witness {
        Witness {
            serial,
            version: life.version,
            renames: self.renames,
        }
    }

    /// Who has used it; not who is known without a descriptor (io_uring): a look at the tables
    /// may tell that.
    fn owners(&self, life: &Life, time: Timestamp) -> Option<Vec<Owner>> {
        // Who was no more, or not yet. The last packets of a socket come when all are gone.
        let is_there = |user: &&User| {
            let early = user
                .process
                .started
                .is_some_and(|started| started.as_nanos() > time.as_nanos().saturating_add(SLACK));
            let ended = self.processes.ended(user);
            let late =
                ended.is_some_and(|ended| ended.as_nanos().saturating_add(SLACK) < time.as_nanos());
            !early && !late
        };
        let some_are_there = life.users.iter().any(|user| is_there(&user));
        let owners: Vec<Owner> = life
            .users
            .iter()
            .filter(|user| !some_are_there || is_there(user))
            .filter_map(|user| {
                Some(Owner {
                    pid: user.process.pid,
                    tid: user.process.tid,
                    fd: user.fd?,
                    command: self.processes.name_of(user, time),
                    started: user.process.started,
                })
            })
            .collect();
        (!owners.is_empty()).then_some(owners)
    }
}

fn known(life: &Life, owners: Vec<Owner>, grounds: Grounds) -> Attribution {
    Attribution {
        owners,
        grounds,
        socket: life.socket.inode,
        user: life.socket.user,
    }
}
