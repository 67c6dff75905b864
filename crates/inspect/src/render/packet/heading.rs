//! Headings of conversations, the labels of their ends, and the last line.

use unicode_width::UnicodeWidthStr;

use super::digits::grouped;
use crate::attribution::{Attribution, Grounds};
use crate::model::{Endpoint, ForeignText, Gap};
use crate::render::facts::wrapped;
use crate::render::{Charset, Escaped, Screen, Style};
use crate::streams::Troubles;

/// The beginning of a conversation.
#[derive(Debug, Clone, Copy)]
pub struct Heading<'a> {
    /// Its number.
    pub number: u64,
    /// The side that opened, as [`end_label`] writes it.
    pub client: &'a str,
    /// The other side.
    pub server: &'a str,
    /// Where its first packet was seen.
    pub interface: Option<&'a ForeignText>,
    /// The opening was not seen.
    pub began_earlier: bool,
}

impl Heading<'_> {
    /// Appends an empty line and the heading, wrapped at the arrow where it is too wide.
    pub fn write(&self, out: &mut Vec<u8>, screen: &Screen) {
        let interface = self
            .interface
            .map(|name| format!("({})", Escaped::name(name, screen.charset)));
        let began = self.began_earlier.then(|| "(began earlier)".to_owned());
        let notes: Vec<String> = interface.into_iter().chain(began).collect();
        out.push(b'\n');
        self.put(out, screen, "", &notes.join("  "));
    }

    /// Appends what has become known of a conversation since its heading, likewise wrapped.
    pub fn write_again(&self, out: &mut Vec<u8>, screen: &Screen) {
        self.put(out, screen, " is", "");
    }

    /// On one line; or one line an end, with the notes behind the second where they fit, and
    /// below it where they do not.
    fn put(&self, out: &mut Vec<u8>, screen: &Screen, verb: &str, notes: &str) {
        let first = format!("#{}{verb} {}", self.number, self.client);
        let second = format!("{} {}", screen.arrow(), self.server);
        let noted = if notes.is_empty() {
            second.clone()
        } else {
            format!("{second}  {notes}")
        };
        let fits = |text: &str| screen.width.is_none_or(|width| text.width() <= width);
        let whole = format!("{first} {noted}");
        let lines = if fits(&whole) {
            vec![whole]
        } else if fits(&format!("   {noted}")) {
            vec![first, format!("   {noted}")]
        } else {
            vec![first, format!("   {second}"), format!("   {notes}")]
        };
        for line in lines.iter().filter(|line| !line.trim().is_empty()) {
            // An end alone may be too wide: a long name and an IPv6 address.
            let room = screen.width.map(|width| width.saturating_sub(INDENT.len()));
            let (indent, text) = match line.strip_prefix(INDENT) {
                Some(text) => (INDENT, text),
                None => ("", line.as_str()),
            };
            let parts = match fits(line) {
                true => vec![text.to_owned()],
                false => wrapped(text, room),
            };
            for (index, part) in parts.iter().enumerate() {
                let indent = if index == 0 { indent } else { INDENT };
                let line = format!("{indent}{part}");
                out.extend_from_slice(screen.paint(Style::Heading, &line).as_bytes());
                out.push(b'\n');
            }
        }
    }
}

/// What stands before the lines of a heading that are not its first.
const INDENT: &str = "   ";

/// Owners shown by name; further ones are counted.
const NAMED: usize = 3;

/// `chat-client[4847] 127.0.0.1:52316`: who is at an end, as far as known, and where it is.
/// `user` is the name of the user of a hidden owner.
pub fn end_label(
    attribution: &Attribution,
    end: Endpoint,
    has_port: bool,
    user: Option<&str>,
    charset: Charset,
) -> String {
    let mut label = owners(attribution, user, charset);
    if !label.is_empty() {
        label.push(' ');
    }
    label.push_str(&place(end, has_port));
    label
}

fn place(end: Endpoint, has_port: bool) -> String {
    match (has_port, end.address) {
        (false, address) => address.to_string(),
        (true, address) => std::net::SocketAddr::new(address, end.port).to_string(),
    }
}

fn owners(attribution: &Attribution, user: Option<&str>, charset: Charset) -> String {
    let words = match attribution.grounds {
        Grounds::Witnessed | Grounds::Exact | Grounds::LocalPort => {
            let mut names: Vec<String> = attribution
                .owners
                .iter()
                .map(|owner| {
                    format!(
                        "{}[{}]",
                        Escaped::process(&owner.command, charset),
                        owner.pid
                    )
                })
                .collect();
            names.dedup();
            let more = names.len().saturating_sub(NAMED);
            names.truncate(NAMED);
            let mut names = names.join(", ");
            if more > 0 {
                names.push_str(&format!(" and {more} more"));
            }
            return names;
        }
        Grounds::NotLooked | Grounds::Elsewhere => "",
        Grounds::NotYet => "unknown (not looked up yet)",
        Grounds::Gone => "unknown (no socket when we looked)",
        Grounds::Closed => "nobody (nothing listens there)",
        Grounds::Ambiguous => "unknown (several sockets share the port)",
        Grounds::Pending => "waiting for accept()",
        Grounds::Hidden(uid) => {
            return match (user, uid) {
                (Some(user), _) => format!("hidden (user {user})"),
                (None, Some(uid)) => format!("hidden (user {uid})"),
                (None, None) => "hidden".to_owned(),
            };
        }
    };
    words.to_owned()
}

/// What was shown, for the last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Packets shown or written.
    pub packets: u64,
    /// Packets among them that had passed another interface before.
    pub copies: u64,
    /// Conversations among them.
    pub conversations: u64,
    /// Conversations among those that had to make room for others while they may have gone on.
    pub forgotten: u64,
    /// Payload bytes, as on the wire; those of copies are in no conversation, nor here.
    pub payload: u64,
    /// Packets shown, but with headers that cannot be right.
    pub malformed: u64,
    /// What went wrong in them.
    pub troubles: Troubles,
}

/// The last lines: `6 packets, 1 conversation, 7 bytes of payload. None dropped.`, and what was
/// lost.
pub fn summary(totals: &Totals, gaps: &[Gap], live: bool) -> String {
    let mut text = format!(
        "{}, {}, {} of payload",
        counted(totals.packets, "packet"),
        counted(totals.conversations, "conversation"),
        counted(totals.payload, "byte"),
    );
    if totals.forgotten > 0 {
        let forgotten = counted(totals.forgotten, "conversation");
        text.push_str(&format!(", {forgotten} forgotten to make room for others"));
    }
    if totals.malformed > 0 {
        text.push_str(&format!(", {} malformed", thousands(totals.malformed)));
    }
    if totals.copies > 0 {
        let copies = thousands(totals.copies);
        text.push_str(&format!(
            ", {copies} of the packets seen on another interface before"
        ));
    }
    text.push('.');
    if live && gaps.is_empty() {
        text.push_str(" None dropped.");
    }
    let troubles = troubles(&totals.troubles);
    if !troubles.is_empty() {
        text.push_str(&format!("\nWent wrong: {}.", troubles.join(", ")));
    }
    for gap in gaps {
        text.push('\n');
        match gap.count {
            Some(1) => text.push_str(&format!("1 {}.", singular(&gap.reason))),
            Some(count) => text.push_str(&format!("{} {}.", thousands(count), gap.reason)),
            None => text.push_str(&format!("Lost: {}.", gap.reason)),
        }
    }
    text
}

/// `1 connection refused`, `3 retransmissions`; nothing where nothing went wrong.
pub(super) fn troubles(troubles: &Troubles) -> Vec<String> {
    // What fills a gap has a name of its own.
    let missing = troubles
        .after_gap
        .saturating_sub(troubles.out_of_order + troubles.retransmissions);
    let all = [
        (troubles.refused, "connection", "refused"),
        (troubles.unanswered, "connection", "without an answer"),
        (troubles.retries, "SYN", "sent again"),
        (troubles.retransmissions, "retransmission", ""),
        (troubles.out_of_order, "segment", "out of order"),
        (missing, "gap", "in the sequence numbers"),
        (troubles.duplicate_acks, "duplicate ACK", ""),
        (troubles.zero_windows, "zero window", ""),
        (troubles.resets_unread, "reset", "with data perhaps unread"),
        (
            troubles.resets_after_close,
            "reset",
            "of what came after a close",
        ),
        (troubles.syns_amid, "SYN", "amid a conversation"),
        (
            troubles.holes_forgotten,
            "gap",
            "forgotten, of too many at once",
        ),
    ];
    all.into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, thing, what)| {
            format!("{} {what}", counted(count, thing))
                .trim_end()
                .to_owned()
        })
        .collect()
}

/// The reason of one thing: its first word says what is counted.
fn singular(reason: &str) -> String {
    match reason.split_once(' ') {
        Some((things, rest)) if things.ends_with('s') => {
            format!("{} {rest}", &things[..things.len() - 1])
        }
        _ => reason.to_owned(),
    }
}

fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", thousands(count))
}

fn thousands(count: u64) -> String {
    let mut out = Vec::new();
    grouped(&mut out, count);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fd, Origin, Owner, Pid, Uid};

    fn held_by(owners: &[(&str, u32, u32)]) -> Attribution {
        Attribution {
            owners: owners
                .iter()
                .map(|(name, pid, fd)| Owner {
                    pid: Pid(*pid),
                    tid: Pid(*pid),
                    fd: Fd(*fd),
                    command: ForeignText::from(*name),
                    started: None,
                })
                .collect(),
            grounds: Grounds::Exact,
            socket: None,
            user: None,
        }
    }

    fn label(attribution: &Attribution, user: Option<&str>) -> String {
        let end = Endpoint::new([127, 0, 0, 1].into(), 80);
        end_label(attribution, end, true, user, Charset::Utf8)
    }

    #[test]
    fn an_end_says_who_and_where_or_why_nobody() {
        let one = held_by(&[("a\u{1b}[2J", 1, 3), ("a\u{1b}[2J", 1, 4)]);
        assert_eq!(label(&one, None), "a\\u{1b}\\[2J[1] 127.0.0.1:80");
        let many = held_by(&[
            ("a", 1, 3),
            ("b", 2, 3),
            ("c", 3, 3),
            ("d", 4, 3),
            ("e", 5, 3),
        ]);
        assert_eq!(
            label(&many, None),
            "a[1], b[2], c[3] and 2 more 127.0.0.1:80"
        );
        for (grounds, user, words) in [
            (Grounds::NotLooked, None, "127.0.0.1:80"),
            (Grounds::Elsewhere, None, "127.0.0.1:80"),
            (Grounds::Pending, None, "waiting for accept() 127.0.0.1:80"),
            (
                Grounds::Gone,
                None,
                "unknown (no socket when we looked) 127.0.0.1:80",
            ),
            (
                Grounds::Closed,
                None,
                "nobody (nothing listens there) 127.0.0.1:80",
            ),
            (
                Grounds::Hidden(Some(Uid(0))),
                Some("root"),
                "hidden (user root) 127.0.0.1:80",
            ),
            (
                Grounds::Hidden(Some(Uid(7))),
                None,
                "hidden (user 7) 127.0.0.1:80",
            ),
        ] {
            assert_eq!(label(&Attribution::nobody(grounds), user), words);
        }
    }

    #[test]
    fn what_became_known_stands_on_a_line_of_its_own() {
        let heading = Heading {
            number: 4,
            client: "chat-client[20001] 127.0.0.1:59686",
            server: "chat-server[4845] 127.0.0.1:2345",
            interface: Some(&ForeignText::from("lo")),
            began_earlier: true,
        };
        let again = |width| {
            let mut out = Vec::new();
            let charset = Charset::Utf8;
            let colour = false;
            heading.write_again(
                &mut out,
                &Screen {
                    width,
                    colour,
                    charset,
                },
            );
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            again(Some(80)),
            "#4 is chat-client[20001] 127.0.0.1:59686 → chat-server[4845] 127.0.0.1:2345\n"
        );
        assert_eq!(
            again(Some(60)),
            "#4 is chat-client[20001] 127.0.0.1:59686\n   → chat-server[4845] 127.0.0.1:2345\n"
        );
        assert_eq!(
            again(Some(30)),
            "#4 is chat-client[20001]\n   127.0.0.1:59686\n   → chat-server[4845]\n   \
             127.0.0.1:2345\n"
        );
    }

    #[test]
    fn the_last_line_counts_and_names_what_was_lost() {
        let totals = Totals {
            packets: 6,
            copies: 0,
            conversations: 1,
            forgotten: 0,
            payload: 1_234,
            malformed: 0,
            troubles: Troubles::default(),
        };
        let bad = Totals {
            malformed: 3,
            ..totals
        };
        assert_eq!(
            summary(&bad, &[], true),
            "6 packets, 1 conversation, 1,234 bytes of payload, 3 malformed. None dropped."
        );
        let seen_twice = Totals {
            copies: 2,
            ..totals
        };
        assert_eq!(
            summary(&seen_twice, &[], false),
            "6 packets, 1 conversation, 1,234 bytes of payload, 2 of the packets seen on another \
             interface before."
        );
        let line = "6 packets, 1 conversation, 1,234 bytes of payload.";
        assert_eq!(summary(&totals, &[], false), line);
        assert_eq!(summary(&totals, &[], true), format!("{line} None dropped."));
        let gaps = [
            Gap::counted(Origin::Capture, "packets dropped by the kernel", 1_000),
            Gap::counted(Origin::Capture, "packets not shown", 1),
            Gap::uncounted(Origin::Capture, "the source broke off"),
        ];
        assert_eq!(
            summary(&totals, &gaps, true),
            format!(
                "{line}\n1,000 packets dropped by the kernel.\n1 packet not shown.\n\
                 Lost: the source broke off."
            )
        );
    }
}
