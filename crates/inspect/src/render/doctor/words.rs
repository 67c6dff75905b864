//! A finding in words.

use std::fmt::Write;
use std::time::Duration;

use super::text::{Text, bytes, count, number, time, used_of};

use crate::diagnosis::{Evidence, Finding, Holders, Severity};
use crate::model::{OwnerStatus, Protocol};
use crate::render::Screen;
use crate::render::sockets::{Names, grouped};
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
                    "accept queue fills"
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
                        "new clients wait or time out; it accepts too slowly".to_owned()
                    }
                    (true, None) => {
                        "new clients wait; it does not accept, or too slowly".to_owned()
                    }
                    (false, _) => format!(
                        "nobody accepted for {}; soon new clients wait",
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
            Evidence::SlowReading {
                sockets,
                worst,
                dropped,
                lasting,
                fullest,
                limit,
            } => Words {
                title: "reads too slowly",
                subject: self.one_or_worst(holders, (*sockets, worst), "from", "worst"),
                meaning: vec![
                    format!(
                        "{} dropped in {}",
                        count(*dropped, "datagram"),
                        time(*lasting)
                    ),
                    match limit {
                        Some(limit) => format!(
                            "up to {} of {} of receive buffer in use",
                            number(*fullest),
                            bytes((*limit).into())
                        ),
                        None => format!(
                            "up to {} of receive buffer in use",
                            bytes((*fullest).into())
                        ),
                    },
                ],
            },
            Evidence::PeerNotReading {
                sockets,
                worst,
                total,
                lasting,
                grew,
                ..
            } => Words {
                title: "peer not reading",
                subject: self.one_or_worst(holders, (*sockets, worst), "to", "fullest"),
                meaning: vec![
                    format!(
                        "{} wait, {} for {}",
                        bytes(*total),
                        if *grew { "growing" } else { "none taken" },
                        time(*lasting)
                    ),
                    "its window is closed: it answers, and does not read".to_owned(),
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
                            used_of(*usage)
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
            } => {
                let fails = if urgent {
                    "connect() to there fails for some (EADDRNOTAVAIL)"
                } else {
                    "connect() to there soon fails (EADDRNOTAVAIL)"
                };
                self.ports(
                    holders,
                    &self.path(path),
                    (*used, *time_wait, *ports),
                    [fails, KEEP_OPEN],
                )
            }
            Evidence::BoundPorts {
                netns,
                source,
                used,
                time_wait,
                ports,
            } => {
                let fails = if urgent {
                    "bind() to port 0 before connect() fails for some (EADDRINUSE)"
                } else {
                    "bind() to port 0 before connect() soon fails (EADDRINUSE)"
                };
                let place = format!("{source} {} any destination", self.arrow);
                self.ports(
                    holders,
                    &self.placed(*netns, place),
                    (*used, *time_wait, *ports),
                    [fails, BIND_NO_PORT],
                )
            }
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
                        "this side closes first, some {} times a second",
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
                    format!(
                        "{} of {} that the kernel keeps",
                        number(*time_wait),
                        number(*limit)
                    ),
                ),
                meaning: vec!["others are dropped early: net.ipv4.tcp_max_tw_buckets".to_owned()],
            },
            Evidence::HalfOpen {
                sockets,
                worst,
                tries,
                silent,
            } => Words {
                title: "half-open",
                subject: self.one_or_many_to(holders, *sockets, worst, false),
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
                subject: self.one_or_many_to(holders, *sockets, worst, true),
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
                meaning: if *count == 1 {
                    vec![
                        "who opened it is gone, and this one does not accept".to_owned(),
                        "until it ends, bind() fails with \"address in use\"".to_owned(),
                    ]
                } else {
                    vec![
                        "who opened it is gone, and its children hold it on".to_owned(),
                        "until they end, bind() fails with \"address in use\"".to_owned(),
                    ]
                },
            },
            Evidence::SharedPort {
                listener, sharers, ..
            } => Words {
                title: "shared port",
                subject: format!("{}  {}", self.local(listener), self.sharers(sharers)),
                meaning: vec!["each gets a part of the connections (SO_REUSEPORT)".to_owned()],
            },
            Evidence::LoopbackOnly { listener } => Words {
                title: "this machine only",
                subject: format!("{}  {}", self.local(listener), self.descriptors(holders)),
                meaning: vec![
                    "other machines cannot connect; 0.0.0.0 or [::] lets them".to_owned(),
                ],
            },
            Evidence::Descriptors { usage } => Words {
                title: "descriptors run out",
                subject: format!("{}  {}", self.processes(holders), used_of(*usage)),
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
            (true, _, Some(dropped @ 1..)) => Some(format!(
                "{} dropped meanwhile",
                count(dropped.into(), "datagram")
            )),
            (true, ..) => Some("what arrives now is dropped".to_owned()),
            (false, true, _) => Some("no more fits: the peer has to wait".to_owned()),
            (false, false, _) => None,
        });
        Words {
            title: "not reading",
            subject: self.one_or_worst(holders, (sockets, worst), "from", "fullest"),
            meaning,
        }
    }

    fn ports(
        &self,
        holders: &Holders,
        place: &str,
        (used, time_wait, ports): (u32, u32, u32),
        [fails, helps]: [&str; 2],
    ) -> Words {
        let mut subject = format!("{place}  {} of {} ports", number(used), number(ports));
        if holders.status != OwnerStatus::Kernel {
            let _ = write!(subject, "  {}", self.processes(holders));
        }
        let mut meaning = vec![fails.to_owned()];
        if time_wait > 0 {
            let resting = number(time_wait);
            meaning.push(format!(
                "{resting} of them rest in TIME_WAIT, a minute each"
            ));
        }
        meaning.push(helps.to_owned());
        Words {
            title: "ports run out",
            subject,
            meaning,
        }
    }
}

/// What helps against ports that run out.
const KEEP_OPEN: &str = "reuse connections; widen net.ipv4.ip_local_port_range";

/// What helps who binds before it connects.
const BIND_NO_PORT: &str = "IP_BIND_ADDRESS_NO_PORT lets connect() choose, for each destination";

/// A TIME_WAIT lasts so long (include/net/tcp.h TCP_TIMEWAIT_LEN).
const TIME_WAIT_SECONDS: u32 = 60;
