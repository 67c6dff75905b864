//! A finding in words.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use crate::diagnosis::{Evidence, Finding, Holders, Path, Severity, Sharer};
use crate::model::{Endpoint, ForeignText, NetworkNamespace, OwnerStatus, Protocol, Uid};
use crate::processes::Usage;
use crate::render::sockets::{Names, ends_words, grouped, owner_words};
use crate::render::{Charset, Escaped, Screen};
use crate::sockets::Socket;

/// A finding in words. Names from outside stand in them escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// What it is.
    pub title: &'static str,
    /// Where and whose it is, and how much of it. Two spaces separate parts.
    pub subject: String,
    /// What that means, and what can be done.
    pub meaning: Vec<String>,
}

impl Words {
    /// The same in one line.
    pub fn line(&self) -> String {
        format!(
            "{}  {}  {}",
            self.title,
            self.subject,
            self.meaning.join("; ")
        )
    }
}

/// So many holders are named; the others are counted.
const NAMED: usize = 3;

/// Says what a finding is. With `several_netns`, in which network namespace too.
pub fn words(finding: &Finding, several_netns: bool, names: &dyn Names, screen: Screen) -> Words {
    let text = Text {
        names,
        charset: screen.charset,
        arrow: screen.arrow(),
        several_netns,
    };
    text.words(finding)
}

struct Text<'a> {
    names: &'a dyn Names,
    charset: Charset,
    arrow: &'static str,
    several_netns: bool,
}

impl Text<'_> {
    fn words(&self, finding: &Finding) -> Words {
        let holders = &finding.holders;
        let urgent = finding.severity == Severity::Critical;
        match &finding.evidence {
            Evidence::AcceptQueue {
                listener,
                waiting,
                limit,
                lasting,
                stuck,
                ..
            } => Words {
                title: if urgent {
                    "accept queue full"
                } else {
                    "accept queue fills up"
                },
                subject: format!(
                    "{}  {}  {} of {}",
                    self.local(listener),
                    self.processes(holders),
                    number(*waiting),
                    number(*limit)
                ),
                meaning: vec![match (urgent, stuck) {
                    (true, Some(true)) => {
                        "new clients wait or time out; the server does not accept".to_owned()
                    }
                    (true, Some(false)) => {
                        "new clients wait or time out; the server accepts too slowly".to_owned()
                    }
                    (true, None) => {
                        "new clients wait; the server does not accept, or too slowly".to_owned()
                    }
                    (false, _) => format!(
                        "nobody was accepted for {}; soon new clients wait or time out",
                        time(*lasting)
                    ),
                }],
            },
            Evidence::NotReading {
                sockets,
                worst,
                total,
                lasting,
                full,
                grew,
                dropped,
                ..
            } => self.not_reading(
                holders,
                (*sockets, worst),
                (*total, *lasting),
                (*full, *grew, *dropped),
            ),
            Evidence::PeerNotReading {
                sockets,
                worst,
                total,
                lasting,
                grew,
                ..
            } => Words {
                title: "peer not reading",
                subject: self.one_or_many(holders, *sockets, worst, "to", "the fullest "),
                meaning: vec![
                    format!(
                        "{} wait, {} for {}",
                        bytes(*total),
                        if *grew { "growing" } else { "none taken" },
                        time(*lasting)
                    ),
                    "the peer answers, and its window is closed: it does not read".to_owned(),
                ],
            },
            Evidence::CloseWait {
                sockets,
                example,
                usage,
            } => Words {
                title: "CLOSE_WAIT piles up",
                subject: self.placed(
                    example.netns,
                    match usage {
                        Some(usage) => format!(
                            "{}  {} sockets, {} descriptors",
                            self.processes(holders),
                            grouped(*sockets),
                            self::usage(*usage)
                        ),
                        None => {
                            format!("{}  {} sockets", self.processes(holders), grouped(*sockets))
                        }
                    },
                ),
                meaning: vec![
                    "the peers have closed; this process has not called close()".to_owned(),
                ],
            },
            Evidence::EphemeralPorts {
                path,
                used,
                time_wait,
                ports,
            } => self.ports(holders, path, (*used, *time_wait, *ports), urgent),
            Evidence::TimeWaitTo {
                path,
                time_wait,
                ports,
            } => Words {
                title: "TIME_WAIT piles up",
                subject: format!(
                    "{}  {} of {} ports",
                    self.path(path),
                    number(*time_wait),
                    number(*ports)
                ),
                meaning: vec![
                    format!(
                        "this side closes first, some {} times a second, and each port rests for a \
                         minute",
                        number((time_wait / TIME_WAIT_SECONDS).max(1))
                    ),
                    KEEP_OPEN.to_owned(),
                ],
            },
            Evidence::TimeWaitTable {
                time_wait,
                limit,
                netns,
            } => Words {
                title: "TIME_WAIT piles up",
                subject: self.placed(
                    *netns,
                    format!("{} of {}", number(*time_wait), number(*limit)),
                ),
                meaning: vec![
                    "the kernel keeps no more (net.ipv4.tcp_max_tw_buckets); without TIME_WAIT a \
                     late segment may meet a new connection"
                        .to_owned(),
                ],
            },
            Evidence::HalfOpen {
                sockets,
                worst,
                tries,
                silent,
            } => Words {
                title: "half-open",
                subject: self.one_or_many(holders, *sockets, worst, "to", "one of them "),
                meaning: vec![
                    match silent {
                        Some(silent) => format!(
                            "no answer to {tries} tries, nothing heard for {}",
                            time(*silent)
                        ),
                        None => format!("no answer to {tries} tries"),
                    },
                    "the peer or the way to it is gone, and nobody has closed".to_owned(),
                ],
            },
            Evidence::SynSent {
                sockets,
                worst,
                tries,
                lasting,
            } => Words {
                title: "SYN_SENT stuck",
                subject: self.one_or_many(holders, *sockets, worst, "to", "one of them "),
                meaning: vec![
                    match tries {
                        Some(tries) => format!("no answer to {tries} SYN"),
                        None => format!("no answer for {}", time(*lasting)),
                    },
                    "nobody is there, or a firewall drops them without a word".to_owned(),
                ],
            },
            Evidence::Inherited {
                listener,
                holders: count,
                ..
            } => Words {
                title: "inherited socket",
                subject: format!("{}  {}", self.local(listener), self.descriptors(holders)),
                meaning: vec![
                    if *count == 1 {
                        "the process that opened it is gone, and this one does not accept"
                            .to_owned()
                    } else {
                        format!(
                            "the process that opened it is gone; {} that it left hold it on",
                            grouped(*count)
                        )
                    },
                    "a server that wants the port fails with \"address in use\" until they end"
                        .replace("they end", if *count == 1 { "it ends" } else { "they end" }),
                ],
            },
            Evidence::SharedPort {
                listener, sharers, ..
            } => Words {
                title: "shared port",
                subject: format!("{}  {}", self.local(listener), self.sharers(sharers)),
                meaning: vec![
                    "different programs listen (SO_REUSEPORT), and each gets a part of the \
                     connections"
                        .to_owned(),
                ],
            },
            Evidence::LoopbackOnly { listener } => Words {
                title: "this machine only",
                subject: format!("{}  {}", self.local(listener), self.descriptors(holders)),
                meaning: vec![
                    "no other machine can connect; a server for others binds 0.0.0.0 or [::]"
                        .to_owned(),
                ],
            },
            Evidence::Descriptors { usage } => Words {
                title: "descriptors run out",
                subject: format!("{}  {}", self.processes(holders), self::usage(*usage)),
                meaning: vec![
                    if usage.used >= usage.limit {
                        "accept(), socket() and open() fail (EMFILE)".to_owned()
                    } else {
                        "accept(), socket() and open() soon fail (EMFILE)".to_owned()
                    },
                    "the limit is that of ulimit -n, and LimitNOFILE= of a unit".to_owned(),
                ],
            },
        }
    }

    fn not_reading(
        &self,
        holders: &Holders,
        (sockets, worst): (u64, &Socket),
        (total, lasting): (u64, Duration),
        (full, grew, dropped): (bool, bool, Option<u32>),
    ) -> Words {
        let lasting = time(lasting);
        let datagrams = !matches!(worst.protocol, Protocol::Tcp | Protocol::Mptcp);
        let mut meaning = vec![if datagrams {
            format!(
                "{} of receive buffer in use, full for {lasting}",
                bytes(total)
            )
        } else if grew {
            format!("{} unread, growing for {lasting}", bytes(total))
        } else {
            format!("{} unread, none read for {lasting}", bytes(total))
        }];
        meaning.extend(match (datagrams, full, dropped) {
            (true, _, Some(dropped @ 1..)) => {
                Some(format!("{} dropped meanwhile", count(dropped, "datagram")))
            }
            (true, ..) => Some("what arrives now is dropped".to_owned()),
            (false, true, _) => Some("no more fits: the peer has to wait".to_owned()),
            (false, false, _) => None,
        });
        Words {
            title: "not reading",
            subject: self.one_or_many(holders, sockets, worst, "from", "the fullest "),
            meaning,
        }
    }

    fn ports(
        &self,
        holders: &Holders,
        path: &Path,
        (used, time_wait, ports): (u32, u32, u32),
        urgent: bool,
    ) -> Words {
        let mut subject = format!(
            "{}  {} of {} ports",
            self.path(path),
            number(used),
            number(ports)
        );
        if holders.status != OwnerStatus::Kernel {
            let _ = write!(subject, "  {}", self.processes(holders));
        }
        let fails = if urgent {
            "connect() to there fails for some (EADDRNOTAVAIL)"
        } else {
            "connect() to there soon fails (EADDRNOTAVAIL)"
        };
        let mut meaning = vec![match time_wait {
            0 => fails.to_owned(),
            resting => format!("{fails}; {} of them rest in TIME_WAIT", number(resting)),
        }];
        meaning.push(KEEP_OPEN.to_owned());
        Words {
            title: "ports run out",
            subject,
            meaning,
        }
    }

    /// `name[pid] fd N from 10.0.0.2:80`, or how many there are and one of them.
    fn one_or_many(
        &self,
        holders: &Holders,
        sockets: u64,
        worst: &Socket,
        towards: &str,
        which: &str,
    ) -> String {
        let (local, remote) = ends_words(worst, self.charset);
        let end = if remote == "any" {
            format!("at {local}")
        } else {
            format!("{towards} {remote}")
        };
        let subject = if sockets == 1 {
            format!("{} {end}", self.descriptors(holders))
        } else {
            let fd = match holders.owners.first() {
                Some(owner) => format!("fd {} ", owner.fd),
                None => String::new(),
            };
            format!(
                "{}  {} sockets, {which}{fd}{end}",
                self.processes(holders),
                grouped(sockets)
            )
        };
        self.placed(worst.netns, subject)
    }

    /// With the network namespace, where there are several.
    fn placed(&self, netns: Option<NetworkNamespace>, mut subject: String) -> String {
        if self.several_netns
            && let Some(netns) = netns
        {
            let name = match self.names.netns(netns) {
                Some(name) => Escaped::name(&ForeignText::new(name), self.charset).to_string(),
                None => netns.to_string(),
            };
            let _ = write!(subject, "  netns {name}");
        }
        subject
    }

    fn local(&self, socket: &Socket) -> String {
        self.placed(socket.netns, ends_words(socket, self.charset).0)
    }

    fn path(&self, path: &Path) -> String {
        let words = format!(
            "{} {} {}",
            path.source,
            self.arrow,
            endpoint(path.destination)
        );
        self.placed(path.netns, words)
    }

    /// `name[pid] fd N`, of each process.
    fn descriptors(&self, holders: &Holders) -> String {
        let owners = holders.owners.iter();
        self.holders(
            holders,
            owners.map(|owner| owner_words(owner, self.charset)),
        )
    }

    /// `name[pid]`, of each process.
    fn processes(&self, holders: &Holders) -> String {
        let owners = holders.owners.iter();
        let name = |text| Escaped::name(text, self.charset);
        self.holders(
            holders,
            owners.map(|owner| format!("{}[{}]", name(&owner.command), owner.pid)),
        )
    }

    fn holders(&self, holders: &Holders, words: impl Iterator<Item = String>) -> String {
        let mut text = words.take(NAMED).collect::<Vec<_>>().join(", ");
        if text.is_empty() {
            return match (holders.status, holders.uid) {
                (OwnerStatus::Hidden, Some(uid)) => format!("hidden (user {})", self.user(uid)),
                (OwnerStatus::Hidden, None) => "hidden".to_owned(),
                (OwnerStatus::NotAsked, _) => "owner not asked for".to_owned(),
                (OwnerStatus::Pending, _) => "waiting for accept()".to_owned(),
                (OwnerStatus::Kernel, _) => "kernel".to_owned(),
                _ => "no owner".to_owned(),
            };
        }
        let named = u64::try_from(holders.owners.len().min(NAMED)).unwrap_or(u64::MAX);
        let more = holders.processes.saturating_sub(named);
        if more > 0 {
            let _ = write!(text, ", {} more", grouped(more));
        }
        if holders.status == OwnerStatus::Partial {
            text.push_str(", perhaps others, hidden");
        }
        text
    }

    /// The programs, with their files and users where these tell them apart.
    fn sharers(&self, sharers: &[Sharer]) -> String {
        let first = sharers.first().and_then(|sharer| sharer.uid);
        let users = sharers.iter().any(|sharer| sharer.uid != first);
        let name = |text| Escaped::name(text, self.charset);
        let mut words: Vec<String> = sharers
            .iter()
            .take(NAMED)
            .map(|sharer| {
                let mut text = format!("{}[{}]", name(&sharer.command), sharer.pid);
                if let Some(path) = &sharer.executable {
                    let _ = write!(text, " {}", name(path));
                }
                if users && let Some(uid) = sharer.uid {
                    let _ = write!(text, " (user {})", self.user(uid));
                }
                text
            })
            .collect();
        if sharers.len() > NAMED {
            words.push(format!("{} more", sharers.len() - NAMED));
        }
        words.join(", ")
    }

    fn user(&self, uid: Uid) -> String {
        match self.names.user(uid) {
            Some(name) => Escaped::name(&ForeignText::new(name), self.charset).to_string(),
            None => uid.to_string(),
        }
    }
}

/// What helps against ports that run out.
const KEEP_OPEN: &str = "keep connections open and use them again, or widen \
                         net.ipv4.ip_local_port_range";

/// A TIME_WAIT lasts so long (include/net/tcp.h TCP_TIMEWAIT_LEN).
const TIME_WAIT_SECONDS: u32 = 60;

fn endpoint(end: Endpoint) -> String {
    match end.address {
        IpAddr::V4(address) => format!("{address}:{}", end.port),
        IpAddr::V6(address) => format!("[{address}]:{}", end.port),
    }
}

fn usage(usage: Usage) -> String {
    format!("{} of {}", grouped(usage.used), grouped(usage.limit))
}

fn number(number: u32) -> String {
    grouped(number.into())
}

fn bytes(number: u64) -> String {
    match number {
        1 => "1 byte".to_owned(),
        more => format!("{} bytes", grouped(more)),
    }
}

fn count(number: u32, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        more => format!("{} {thing}s", grouped(more.into())),
    }
}

/// `12 s`, `3 min`, `2 h`: rounded down, but never to nothing.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", grouped(seconds / 3_600)),
    }
}
