//! `inspect capture`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

mod numbers;
mod wanted;

use super::duration;
use super::savefile::{self, Format, Saving};
use super::sources::Owners;
use crate::capture::{BUFFER_KIB, SNAPLEN};
use crate::life::RING as LIFE_RING;
use crate::owners;
use crate::selection::{Names, Selection};
use numbers::{buffer_size, count, memory, owners_buffer, snaplen};
pub use wanted::{Ports, WantedFlags};

/// The flags as typed. Those that tcpdump users type keep their letter.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  inspect capture :2345                 who says what on port 2345
  inspect capture tcp and host 10.0.0.1
  inspect capture --host 10.0.0.0/8 --port http
  inspect capture -i eth0 -A port 80    whole requests and answers
  inspect capture -- curl example.org   what a command says, and to whom
  inspect capture :53 -w dns.pcap       into a file, for later
  inspect capture -r dns.pcap --json | jq
  inspect capture -w day-%H.pcapng -G 3600   a file an hour, with owners

Of packets that open a TCP conversation the options are shown, with -v of all.

Exit status: 0 done, 1 failed, 2 wrong usage. With a COMMAND its own: what it ended with, or 128
and the number of the signal that killed it; 127 when there is no such command, 126 when it cannot
be run; but 1 when the capture itself failed.

Signals: Ctrl-C and SIGTERM end it, or the COMMAND, and SIGHUP the capture; SIGUSR1 says on stderr how much there is so far.")]
pub struct Flags {
    /// What to show: an expression of libpcap (tcp and host 10.0.0.1), or :PORT.
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,

    /// Start this command, and show only packets of conversations in which it or a child of its
    /// holds an end; the capture ends with it. It has this program's user, stdin, stdout and
    /// stderr, and Ctrl-C; a second Ctrl-C kills it.
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["read", "list_interfaces"])]
    command: Vec<OsString>,

    #[command(flatten)]
    wanted: WantedFlags,

    /// Capture on this interface only (see -D).
    #[arg(short, long, value_name = "NAME")]
    interface: Option<String>,

    /// Capture in this network namespace: a name (as in ip netns), a process id, an inode or a
    /// path. Sockets and their owners are looked up there too.
    #[arg(long, value_name = "NETNS", conflicts_with = "read")]
    netns: Option<String>,

    /// Once the capture is open, run on as this user, with no right left but to see whose the
    /// sockets are (cap_sys_ptrace and cap_dac_read_search), and without that one too where no
    /// owners are shown. Files are opened as this user, and a COMMAND runs as it. Unasked,
    /// nothing changes: a file would not be where root may write, as it happens with tcpdump.
    #[arg(short = 'Z', long, value_name = "USER")]
    run_as: Option<String>,

    /// List the interfaces.
    #[arg(short = 'D', long)]
    list_interfaces: bool,

    /// End after this many packets.
    #[arg(short, long, value_name = "N", value_parser = count)]
    count: Option<u64>,

    /// End after this time: 10s, 500ms, 1.5m; a bare number is seconds.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// Keep this many bytes of each packet; 0 is the default.
    #[arg(short, long, value_name = "BYTES", default_value_t = SNAPLEN, value_parser = snaplen)]
    snaplen: u32,

    /// Size of the kernel's buffer.
    #[arg(short = 'B', long, value_name = "KIB", default_value_t = BUFFER_KIB,
          value_parser = buffer_size)]
    buffer_size: u32,

    /// Write the packets into a file instead of showing them; - is stdout.
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,

    #[command(flatten)]
    saving: savefile::Flags,

    /// Read packets from a pcap or pcapng file instead of capturing; - is stdin.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["interface", "list_interfaces", "duration"])]
    read: Option<PathBuf>,

    /// Show whole payloads, on lines of their own.
    #[arg(short = 'A', long, overrides_with = "ascii")]
    ascii: bool,

    /// Show the bytes of each packet in hexadecimal; -xx with its link header.
    #[arg(short = 'x', action = clap::ArgAction::Count)]
    hex: u8,

    /// Show the bytes of each packet in hexadecimal and ASCII; -XX with its link header.
    #[arg(short = 'X', action = clap::ArgAction::Count)]
    hex_and_ascii: u8,
    /// Show what was said instead of the packets: every stream, put together in order, with what
    /// is missing marked.
    #[arg(long, conflicts_with_all = ["write", "ascii", "hex", "hex_and_ascii"])]
    follow: bool,

    /// Show a table of the conversations at the end instead of the packets: how much, how long,
    /// whose, and how it went.
    #[arg(long, conflicts_with_all = ["write", "ascii", "hex", "hex_and_ascii", "follow"])]
    summary: bool,

    /// Memory for what waits for missing segments: 64M, 1G; a bare number is MiB.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = memory, requires = "follow")]
    stream_memory: usize,

    /// Do not put the interface into promiscuous mode: only what is for this machine.
    #[arg(short = 'p', long, overrides_with = "no_promiscuous_mode")]
    no_promiscuous_mode: bool,

    /// Numbers, not names: always so; accepted because tcpdump has it.
    #[arg(short = 'n', long = "numeric", overrides_with = "numeric")]
    numeric: bool,

    /// Lines as they come, never late: always so; accepted because tcpdump has it.
    #[arg(
        short = 'l',
        long = "line-buffered",
        overrides_with = "line_buffered",
        hide = true
    )]
    line_buffered: bool,

    /// Packets as they come into a file: always so; accepted because tcpdump has it.
    #[arg(
        short = 'U',
        long = "packet-buffered",
        overrides_with = "packet_buffered",
        hide = true
    )]
    packet_buffered: bool,

    /// Less: no sequence numbers, no windows, no options of TCP, no hints.
    #[arg(short = 'q', id = "brief", overrides_with = "brief")]
    brief: bool,

    /// Find owners by bpf (the kernel tells of sockets as they come and go), proc (looks at
    /// /proc), auto (the best that is allowed) or none.
    #[arg(
        long,
        value_name = "WAY",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true,
        conflicts_with = "read"
    )]
    owners: Owners,

    /// Size of the kernel's buffer for what it tells of sockets.
    #[arg(long, value_name = "KIB", default_value_t = LIFE_RING / 1024,
          value_parser = owners_buffer, conflicts_with = "read")]
    owners_buffer: u32,

    /// Write JSON Lines.
    #[arg(long, conflicts_with_all = ["ascii", "hex", "hex_and_ascii", "heading"])]
    json: bool,

    /// A heading for each conversation, also in a pipe.
    #[arg(long, overrides_with = "no_heading")]
    heading: bool,

    /// Whole lines, also on a terminal.
    #[arg(long, overrides_with = "heading")]
    no_heading: bool,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Ports and hosts, as a selection: what a packet tells by itself.
    pub selection: Selection,
    /// The ports.
    pub ports: Vec<Ports>,
    /// What is wanted of the owners of an end, users apart.
    pub owned: Selection,
    /// Whose sockets are wanted, as typed; every user's when empty.
    pub users: Vec<String>,
    /// What else is wanted, for people, with a space before it; or nothing.
    pub wanted: String,
    /// libpcap's filter, or nothing.
    pub filter: String,
    /// Where packets come from.
    pub from: From,
    /// The user to run as once the capture is open.
    pub run_as: Option<String>,
    /// The command to start, and its arguments; or nothing.
    pub command: Vec<OsString>,
    /// The network namespace; `None` is this process's.
    pub netns: Option<String>,
    /// End after this many packets.
    pub count: Option<u64>,
    /// End after this time.
    pub duration: Option<Duration>,
    /// Bytes kept of a packet.
    pub snaplen: u32,
    /// Size of the kernel's buffer, KiB.
    pub buffer_kib: u32,
    /// Take also what is for other machines, where the interface gets it.
    pub promiscuous: bool,
    /// Write packets into this file.
    pub write: Option<PathBuf>,
    /// How owners are found.
    pub owners: owners::Choice,
    /// Size of the kernel's buffer for the lives of sockets, KiB: a power of two.
    pub owners_buffer_kib: u32,
    /// How that file is written.
    pub saving: Saving,
    /// What to print.
    pub shape: Shape,
    /// The conversations, not the packets.
    pub summary: bool,
    /// What was said, not the packets.
    pub follow: bool,
    /// Memory for streams, bytes.
    pub stream_memory: usize,
    /// Less of it.
    pub brief: bool,
}

/// Where packets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// One interface, or all.
    Interface(Option<String>),
    /// A file.
    File(PathBuf),
    /// Nowhere: list the interfaces.
    List,
}

/// Bytes in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dump {
    /// With what of them is ASCII.
    pub ascii: bool,
    /// The link header too.
    pub link_header: bool,
}

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Lines.
    Lines {
        /// With headings; `None`: on a terminal.
        heading: Option<bool>,
        /// With whole payloads below.
        whole_payloads: bool,
        /// With the packets' bytes below.
        dump: Option<Dump>,
    },
    /// JSON Lines.
    Json,
}

impl Request {
    /// Whether packets are chosen by who holds their ends.
    pub fn chooses_by_owner(&self) -> bool {
        !self.command.is_empty() || !self.users.is_empty() || self.owned != Selection::everything()
    }

    /// The flag that says how to show what is only written into a file. tcpdump takes it in
    /// silence, and so do those who have it in their fingers.
    pub fn without_effect(&self) -> Option<&'static str> {
        let Shape::Lines {
            whole_payloads,
            dump,
            ..
        } = self.shape
        else {
            return None;
        };
        if self.write.is_none() || self.saving.print {
            return None;
        }
        match dump {
            Some(Dump { ascii: true, .. }) => Some("-X"),
            Some(_) => Some("-x"),
            None => whole_payloads.then_some("-A"),
        }
    }

    /// Whether anything is made of the owners of packets: they are shown, written down, or chosen
    /// by. A pcap file has no place for them.
    pub fn needs_owners(&self) -> bool {
        let tells =
            self.write.is_none() || self.saving.print || self.saving.format == Format::Pcapng;
        tells || self.chooses_by_owner()
    }
}

impl Flags {
    /// Checks what clap could not.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(self, names: &dyn Names) -> Result<Request, String> {
        let mut ports = Vec::new();
        for word in &self.wanted.port {
            ports.extend(wanted::ports(word, names)?);
        }
        let typed = self.filter.join(" ");
        // A filter may come as one word of the shell.
        let all: Vec<&str> = typed.split_whitespace().collect();
        let mut words = all.as_slice();
        while let Some(short) = words.first().and_then(|word| word.strip_prefix(':')) {
            ports.extend(wanted::ports(short, names)?);
            words = &words[1..];
        }
        // :PORT and the rest hold together anyway, with tcpdump's word for it or without.
        if words.len() < all.len()
            && let ["and" | "&&", rest @ ..] = words
            && !rest.is_empty()
        {
            words = rest;
        }
        if let [number] = words
            && all.len() == 1
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(format!(
                "{number} alone is no filter: a port is written :{number}"
            ));
        }
        let saving = self.saving.validate(self.write.as_deref())?;
        if self.json && self.write.is_some() && !saving.print {
            return Err("a file is written in place of records: --json takes --print".to_owned());
        }
        if self.netns.as_deref() == Some("all") {
            return Err(
                "--netns all: a packet socket is in one network namespace; capture in each by \
                 a command of its own"
                    .to_owned(),
            );
        }
        let from = match (self.read, self.list_interfaces) {
            (_, true) => From::List,
            (Some(path), false) => From::File(path),
            (None, false) => From::Interface(self.interface.filter(|name| name != "any")),
        };
        if matches!(from, From::File(_)) && !self.wanted.user.is_empty() {
            return Err(
                "--user needs a live capture: a file does not tell whose the sockets were"
                    .to_owned(),
            );
        }
        let asks = match self.command.is_empty() {
            true => self.wanted.asks_for_owners(),
            false => Some("a command"),
        };
        let owners: owners::Choice = self.owners.into();
        if let (Some(flag), owners::Choice::None) = (asks, owners) {
            return Err(format!(
                "{flag} chooses packets by their owners, which --owners none does not find"
            ));
        }
        let shape = if self.json {
            Shape::Json
        } else {
            Shape::Lines {
                heading: match (self.heading, self.no_heading) {
                    (true, _) => Some(true),
                    (_, true) => Some(false),
                    _ => None,
                },
                whole_payloads: self.ascii,
                // Of several the one that shows most, as in tcpdump.
                dump: match (self.hex, self.hex_and_ascii) {
                    (0, 0) => None,
                    (hex, 0) => Some(Dump {
                        ascii: false,
                        link_header: hex > 1,
                    }),
                    (_, both) => Some(Dump {
                        ascii: true,
                        link_header: both > 1,
                    }),
                },
            }
        };
        Ok(Request {
            selection: self.wanted.on_the_wire(&ports, names)?,
            wanted: self.wanted.words(),
            owned: self.wanted.of_owners(),
            users: self.wanted.user,
            ports,
            filter: words.join(" "),
            from,
            run_as: self.run_as,
            command: self.command,
            netns: self.netns,
            count: self.count,
            duration: self.duration,
            snaplen: self.snaplen,
            buffer_kib: self.buffer_size,
            promiscuous: !self.no_promiscuous_mode,
            write: self.write,
            owners,
            owners_buffer_kib: self.owners_buffer,
            saving,
            shape,
            summary: self.summary,
            follow: self.follow,
            stream_memory: self.stream_memory,
            brief: self.brief,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, View};
    use crate::selection::Numbers;

    fn request(words: &[&str]) -> Result<Request, String> {
        let words = ["inspect", "capture"].iter().chain(words);
        match Cli::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .view
        {
            View::Capture(flags) => flags.validate(&Numbers),
            _ => Err("another view".to_owned()),
        }
    }

    fn shown(ports: &[Ports]) -> Vec<String> {
        ports.iter().map(Ports::to_string).collect()
    }

    #[test]
    fn filter_words_are_joined_and_a_leading_colon_is_a_port() {
        let request =
            request(&[":2345", "tcp", "and", "not", "host", "10.0.0.1", "-c", "5"]).unwrap();
        assert_eq!(shown(&request.ports), ["2345"]);
        assert_eq!(request.filter, "tcp and not host 10.0.0.1");
        assert_eq!(request.count, Some(5));
        assert_eq!(request.from, From::Interface(None));
    }

    #[test]
    fn habits_from_tcpdump_are_understood() {
        let all = request(&["-s", "0", "-nnA", "-l", "-U", "-qq", "-p", ":2345"]).unwrap();
        assert_eq!(all.snaplen, SNAPLEN);
        assert!(all.brief);
        assert!(!all.promiscuous);
        assert!(request(&["-nn", "-AA", "-ll"]).unwrap().promiscuous);
        for words in [
            &[":2345", "and", "tcp"][..],
            &[":2345", "&&", "tcp"],
            &[":2345 and tcp"],
            &[":2345", "tcp"],
        ] {
            let request = request(words).unwrap();
            assert_eq!(shown(&request.ports), ["2345"], "{words:?}");
            assert_eq!(request.filter, "tcp", "{words:?}");
        }
        // What is left hanging is libpcap's to refuse.
        assert_eq!(request(&[":2345", "and"]).unwrap().filter, "and");
        assert_eq!(request(&["and", "tcp"]).unwrap().filter, "and tcp");
    }

    #[test]
    fn what_is_wrong_is_said_in_plain_words() {
        for (words, part) in [
            (&["2345"][..], "a port is written :2345"),
            (&["-c", "0"], "-c takes a number from 1"),
            (&["-c", "none"], "-c takes a number from 1"),
            (&["-s", "none"], "-s takes a number from 1 to 262144"),
            (&["-s", "999999"], "-s takes a number from 1 to 262144"),
            (&["-B", "x"], "-B takes a number from 1 to 2000000"),
        ] {
            let error = request(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
            assert!(!error.contains("digit") && !error.contains(".."), "{error}");
        }
    }

    #[test]
    fn bad_values_are_refused() {
        for words in [
            &["--port", "70000"][..],
            &["--port", "0"],
            &[":0"],
            &[":70000"],
            &["-c", "0"],
            &["-s", "262145"],
            &["-B", "0"],
            &["2345"],
            &["--duration", "0"],
            &["--duration", "soon"],
            &["--duration", "99999999999999999999h"],
            &["-r", "a", "-i", "lo"],
            &["--prot", "1"],
        ] {
            assert!(request(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("3"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
    }
}
