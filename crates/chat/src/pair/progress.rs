//! The trouble of a broken pair in words: what goes wrong, how far it has gone, and what shows it.
//! Pure; the halves' numbers come in, once a second.

use crate::fault::{DESCRIPTORS, Fault, Tally};

/// What both halves have reported last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tallies {
    pub server: Tally,
    pub client: Tally,
}

/// How far it has gone: the stage of the trouble, the number that grows in it, and both in words.
struct Situation {
    stage: u8,
    amount: u64,
    words: String,
}

/// What there is to be said as time goes by.
pub(super) struct Progress {
    fault: Fault,
    /// As many clients as were asked for.
    count: Option<u64>,
    /// A second ago.
    before: Tallies,
    /// The stage and the amount that were told last.
    told: Option<(u8, u64)>,
}

/// What the server does wrong, and what that does to the kernel.
pub(super) fn story(fault: Fault) -> [&'static str; 2] {
    match fault {
        Fault::SlowReader => [
            "The server does not read: what the client sends waits in the server's Recv-Q.",
            "When that is full the window is 0, and the rest waits in the client's Send-Q.",
        ],
        Fault::NeverClose => [
            "Each client leaves, but the server never calls close(): its sockets stay in",
            "CLOSE_WAIT and use up its 256 descriptors; then accept() fails with EMFILE.",
        ],
        Fault::NoAccept => [
            "The server does not call accept(): the kernel queues its connections for it.",
            "When the queue is full, further clients stay in SYN_SENT.",
        ],
        Fault::Reset => [
            "The server closes with something unread: the kernel sends RST instead of FIN,",
            "and the client's recv() fails with ECONNRESET.",
        ],
    }
}

/// Which trouble it is, and until when.
pub(super) fn heading(fault: Fault, count: Option<u64>) -> String {
    let name = fault.name();
    let clients = count.map(|count| counted(count, "client"));
    match clients {
        // It ends with them.
        Some(clients) if fault == Fault::Reset => format!("{name}, {clients}"),
        Some(clients) => format!("{name}, {clients}, until Ctrl-C"),
        None => format!("{name}, until Ctrl-C"),
    }
}

/// The views of `inspect` that show it.
pub(super) fn views(fault: Fault, port: &str) -> Vec<String> {
    match fault {
        Fault::SlowReader | Fault::NeverClose | Fault::NoAccept => {
            vec!["doctor".to_owned(), format!("sockets :{port}")]
        }
        // What is reset is gone at once: no look at the sockets would find it.
        Fault::Reset => vec![format!("capture --port {port}")],
    }
}

impl Progress {
    pub(super) fn new(fault: Fault, count: Option<u64>) -> Self {
        Self {
            fault,
            count,
            before: Tallies::default(),
            told: None,
        }
    }

    /// To be asked once a second: what is worth a line. That is a new stage, and a number that has
    /// doubled since it was told: so a few lines show what grows for minutes.
    pub(super) fn news(&mut self, now: Tallies) -> Option<String> {
        let situation = self.situation(now);
        self.before = now;
        let Situation {
            stage,
            amount,
            words,
        } = situation?;
        if let Some((old_stage, old_amount)) = self.told
            && stage == old_stage
            && (amount == old_amount || amount < old_amount.saturating_mul(2))
        {
            return None;
        }
        self.told = Some((stage, amount));
        Some(words)
    }

    /// The last words.
    pub(super) fn end(&self, now: Tallies) -> String {
        let Tallies { server, client } = now;
        let unsent = client.done.saturating_sub(server.done);
        match self.fault {
            Fault::SlowReader => format!(
                "Ended with {} bytes unread (Recv-Q) and {} unsent (Send-Q).",
                grouped(server.done),
                grouped(unsent)
            ),
            Fault::NeverClose => {
                let sockets = counted(client.done, "socket");
                format!("Ended with {sockets} in CLOSE_WAIT.")
            }
            Fault::NoAccept => format!(
                "Ended with {} not accepted and {} in SYN_SENT.",
                counted(client.done, "connection"),
                client.stuck
            ),
            Fault::Reset => format!("{} reset.", counted(client.done, "connection")),
        }
    }

    fn situation(&self, now: Tallies) -> Option<Situation> {
        let told = |stage, amount, words| {
            Some(Situation {
                stage,
                amount,
                words,
            })
        };
        let begun = self.told.is_some_and(|(stage, _)| stage > 0);
        let Tallies { server, client } = now;
        match self.fault {
            Fault::SlowReader => {
                let (unread, sent) = (server.done, client.done);
                let unsent = sent.saturating_sub(unread);
                // The halves report at different moments: only what was sent a second ago and has
                // still not arrived is held back.
                let held_back =
                    self.before.client.done > unread && self.before.server.done == unread;
                let queue = grouped(unread);
                let rest = grouped(unsent);
                if client.stuck > 0 {
                    let words = format!("Recv-Q {queue}, Send-Q {rest} bytes: full, send() waits");
                    told(2, 0, words)
                } else if unread > 0 && (begun || held_back) {
                    let words = format!("Recv-Q {queue}, full: window 0; Send-Q {rest} bytes");
                    told(1, unsent, words)
                } else if unread > 0 {
                    told(0, unread, format!("Recv-Q {queue} bytes"))
                } else {
                    None
                }
            }
            Fault::NeverClose => {
                let piled = format!("{} in CLOSE_WAIT", counted(client.done, "socket"));
                if server.stuck > 0 {
                    let all = format!("{DESCRIPTORS} of {DESCRIPTORS} descriptors");
                    let words = format!("{piled}, {all}: accept() fails");
                    told(2, 0, words)
                } else if self.count.is_some_and(|count| client.done >= count) {
                    told(1, 0, format!("{piled}, as many as asked for"))
                } else if client.done > 0 {
                    told(0, client.done, piled)
                } else {
                    None
                }
            }
            Fault::NoAccept => {
                let waiting = counted(client.done, "connection");
                if client.stuck > 0 {
                    let stuck = counted(client.stuck, "client");
                    let words = format!("{waiting} not accepted, queue full; {stuck} in SYN_SENT");
                    told(1, client.stuck, words)
                } else if client.done > 0 {
                    told(0, client.done, format!("{waiting} not accepted"))
                } else {
                    None
                }
            }
            Fault::Reset if client.done > 0 => {
                let words = format!("{} reset", counted(client.done, "connection"));
                told(0, client.done, words)
            }
            Fault::Reset => None,
        }
    }
}

/// A number and what it counts.
fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number))
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tallies(server: (u64, u64), client: (u64, u64)) -> Tallies {
        let tally = |(done, stuck)| Tally { done, stuck };
        Tallies {
            server: tally(server),
            client: tally(client),
        }
    }

    #[test]
    fn what_grows_is_told_when_it_has_doubled() {
        let mut progress = Progress::new(Fault::Reset, None);
        let told: Vec<u64> = (0..100)
            .filter(|done| progress.news(tallies((0, 0), (*done, 0))).is_some())
            .collect();
        assert_eq!(told, [1, 2, 4, 8, 16, 32, 64]);
    }

    #[test]
    fn a_slow_reader_fills_one_queue_after_the_other() {
        let mut progress = Progress::new(Fault::SlowReader, None);
        let mut news = |unread, sent, stuck| progress.news(tallies((unread, 0), (sent, stuck)));
        assert_eq!(news(0, 0, 0), None);
        assert_eq!(news(0, 1024, 0), None, "on its way");
        assert_eq!(news(10_240, 12_288, 0).unwrap(), "Recv-Q 10,240 bytes");
        assert_eq!(news(12_288, 12_288, 0), None);
        // The server's report may be older than the client's.
        assert_eq!(news(115_712, 117_760, 0).unwrap(), "Recv-Q 115,712 bytes");
        assert_eq!(
            news(115_712, 128_000, 0).unwrap(),
            "Recv-Q 115,712, full: window 0; Send-Q 12,288 bytes"
        );
        // The kernel finds room for a little more now and then.
        assert_eq!(news(118_784, 130_000, 0), None);
        assert_eq!(
            news(118_784, 4_000_000, 1).unwrap(),
            "Recv-Q 118,784, Send-Q 3,881,216 bytes: full, send() waits"
        );
        assert_eq!(news(118_784, 4_000_000, 1), None);
        assert_eq!(
            progress.end(tallies((118_784, 0), (4_000_000, 1))),
            "Ended with 118,784 bytes unread (Recv-Q) and 3,881,216 unsent (Send-Q)."
        );
    }

    #[test]
    fn each_pile_comes_to_its_end() {
        let mut progress = Progress::new(Fault::NeverClose, Some(30));
        let mut news = |held| progress.news(tallies((held, 0), (held, 0)));
        assert_eq!(news(1).unwrap(), "1 socket in CLOSE_WAIT");
        let enough = "30 sockets in CLOSE_WAIT, as many as asked for";
        assert_eq!(news(30).unwrap(), enough);
        assert_eq!(news(30), None);
        assert_eq!(
            progress.news(tallies((245, 1), (245, 1))).unwrap(),
            "245 sockets in CLOSE_WAIT, 256 of 256 descriptors: accept() fails"
        );

        let mut progress = Progress::new(Fault::NoAccept, None);
        let mut news = |made, stuck| progress.news(tallies((0, 0), (made, stuck)));
        assert_eq!(news(90, 0).unwrap(), "90 connections not accepted");
        assert_eq!(
            news(129, 1).unwrap(),
            "129 connections not accepted, queue full; 1 client in SYN_SENT"
        );
        assert_eq!(
            progress.end(tallies((0, 0), (129, 16))),
            "Ended with 129 connections not accepted and 16 in SYN_SENT."
        );
    }

    #[test]
    fn the_limit_in_the_story_is_the_limit() {
        let limit = format!(" {DESCRIPTORS} descriptors");
        assert!(story(Fault::NeverClose).concat().contains(&limit));
    }

    #[test]
    fn lines_fit_eighty_columns() {
        const TIME: usize = "12:00:01  ".len();
        for (fault, most) in [
            (Fault::SlowReader, tallies((999_999, 1), (9_999_999, 1))),
            (Fault::NeverClose, tallies((250, 1), (250, 1))),
            (Fault::NoAccept, tallies((0, 0), (129, 16))),
            (Fault::Reset, tallies((0, 0), (9_999_999, 0))),
        ] {
            let mut progress = Progress::new(fault, Some(999_999));
            let mut growing = most;
            (growing.server.stuck, growing.client.stuck) = (0, 0);
            let longest = [growing, growing, most].map(|tallies| {
                let news = progress.news(tallies).unwrap_or_default();
                news.len() + TIME
            });
            let story = story(fault).map(str::len);
            let end = progress.end(most).len();
            let lengths = [&longest[..], &story, &[end]].concat();
            assert!(
                lengths.iter().all(|length| *length <= 80),
                "{fault:?} {lengths:?}"
            );
        }
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
