//! `inspect sockets`.

mod kinds;

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::sources::Sources;
use super::{Format, Refused, duration, port};
use crate::listing::SocketColumn;
use crate::listing::SortKey;
use crate::model::{Family, ForeignText, Pid, State};
use crate::owners;
use crate::selection::{Names, Selection, Test, parse, parse_for_unix};
use crate::sockets::{Details, Table};

/// The flags as typed.
///
/// Those that ss users type keep their letter. `-n` and `-p` are accepted because hands type
/// them: numbers and owners are always shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  inspect sockets                  TCP and UDP: listeners, then connections
  inspect sockets :2345            what uses port 2345
  inspect sockets -l               what listens
  inspect sockets --process nginx  what nginx holds
  inspect sockets state established dst 10.0.0.0/8
  inspect sockets 'peer = nginx and ( recvq > 0 or rtt > 20ms )'
  inspect sockets -s               how many there are of each family
  inspect sockets --json | jq      for programs

As in ss, each of -t -u -w -x picks a kind, and several pick several; without
any, it is TCP and UDP.

The expression is written in ss's language (man 8 ss): state, exclude, sport,
dport, src, dst, dev, fwmark, cgroup, autobound, joined by and, or, not and
parentheses, from left to right. Beyond ss it knows :PORT, port and host (of
either end), process, pid, user, container, unit, netns, peer (who holds the
other end), recvq, sendq (64k), rtt (20ms), retrans, family and protocol.")]
pub struct Flags {
    /// Only sockets that this says: `:PORT`, or an expression as ss understands it.
    #[arg(value_name = "EXPRESSION")]
    expression: Vec<String>,

    /// TCP sockets.
    #[arg(short = 't', long, help_heading = "What kind")]
    tcp: bool,

    /// UDP sockets.
    #[arg(short = 'u', long, help_heading = "What kind")]
    udp: bool,

    /// Raw IP sockets.
    #[arg(short = 'w', long, help_heading = "What kind")]
    raw: bool,

    /// Unix sockets.
    #[arg(short = 'x', long, help_heading = "What kind")]
    unix: bool,

    /// Only IPv4.
    #[arg(short = '4', long, conflicts_with = "ipv6", help_heading = "What kind")]
    ipv4: bool,

    /// Only IPv6.
    #[arg(short = '6', long, help_heading = "What kind")]
    ipv6: bool,

    /// Only sockets that wait for someone: TCP listeners, unconnected UDP sockets.
    #[arg(short = 'l', long, help_heading = "What kind")]
    listening: bool,

    /// Everything: all families, and TIME_WAIT row by row, which csv and json have anyway.
    #[arg(short = 'a', long, help_heading = "What kind")]
    all: bool,

    /// How many there are of each family, instead of a list.
    #[arg(short = 's', long, help_heading = "How to show them")]
    summary: bool,

    /// Only sockets with this port at one of their ends.
    #[arg(long, value_name = "N", value_parser = port, help_heading = "Which of them")]
    port: Vec<u16>,

    /// Only sockets in this state: LISTEN, ESTABLISHED, time-wait, ...
    #[arg(long, value_name = "STATE", help_heading = "Which of them")]
    state: Vec<String>,

    /// Only sockets that a process of this name holds (its first 15 bytes).
    #[arg(long, value_name = "NAME", help_heading = "Which of them")]
    process: Vec<String>,

    /// Only sockets that this process holds.
    #[arg(long, value_name = "PID", help_heading = "Which of them")]
    pid: Vec<u32>,

    /// Only sockets of this user (name or id).
    #[arg(long, value_name = "USER", help_heading = "Which of them")]
    user: Vec<String>,

    /// Sort by conversation, local, remote, port, state, owner or queue.
    #[arg(
        long,
        value_name = "KEY",
        default_value = "conversation",
        hide_possible_values = true,
        help_heading = "How to show them"
    )]
    sort: Sort,

    /// Timers: which one runs, when it goes off, how often it has.
    #[arg(short = 'o', long = "options", help_heading = "What to show of them")]
    options: bool,

    /// Memory: buffers used and allowed, datagrams dropped.
    #[arg(short = 'm', long, help_heading = "What to show of them")]
    memory: bool,

    /// What TCP knows: round trip time, windows, rates, retransmissions, what limits the sender.
    #[arg(short = 'i', long, help_heading = "What to show of them")]
    info: bool,

    /// Who it is that holds them: since when, command line, directory, unit and container; and
    /// namespace, inode, cookie, interface, mark of each socket.
    #[arg(short = 'e', long, help_heading = "What to show of them")]
    extended: bool,

    /// These columns, separated by commas: netns, family, proto, state, recv-q, send-q, local,
    /// remote, user, owner, peer, inode, cookie, interface, timer, v6only, mark, unit, container,
    /// cgroup, since, directory, command, details.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        conflicts_with = "summary",
        help_heading = "What to show of them"
    )]
    columns: Vec<String>,

    /// Look again and again, every second or so often, and show what opened, changed and closed.
    #[arg(
        long,
        value_name = "SECS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1s",
        value_parser = duration,
        conflicts_with_all = ["summary", "proc_root"],
        help_heading = "How to show them"
    )]
    watch: Option<Duration>,

    /// Write a table, csv, or json: one record a line.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_possible_values = true,
        help_heading = "How to show them"
    )]
    format: Format,

    /// Short for --format json.
    #[arg(long, conflicts_with = "format", help_heading = "How to show them")]
    json: bool,

    /// Names of hosts and services instead of numbers.
    #[arg(short = 'r', long, help_heading = "How to show them")]
    resolve: bool,

    /// No heading above the table.
    #[arg(short = 'H', long, help_heading = "How to show them")]
    no_header: bool,

    /// No hints: short for --quiet.
    #[arg(short = 'q', help_heading = "How to show them")]
    hush: bool,

    #[command(flatten)]
    sources: super::sources::SourceFlags,

    #[arg(short = 'n', long, hide = true, action = clap::ArgAction::Count)]
    numeric: u8,

    #[arg(short = 'p', long, hide = true, action = clap::ArgAction::Count)]
    processes: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// Listeners first, the two ends of a local connection side by side.
    Conversation,
    /// Local address.
    Local,
    /// Remote address.
    Remote,
    /// Local port.
    Port,
    /// State.
    State,
    /// Owner's name.
    Owner,
    /// Bytes waiting, the fullest first.
    Queue,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The tables to read.
    pub tables: Vec<Table>,
    /// The families that the summary tells of.
    pub families: Vec<Family>,
    /// Which sockets are wanted, users apart.
    pub selection: Selection,
    /// Which users' sockets are wanted, as typed; every user's when empty.
    pub users: Vec<String>,
    /// Whether TIME_WAIT becomes a count.
    pub fold_time_wait: bool,
    /// Whether the summary is wanted instead of the list.
    pub summary: bool,
    /// What else is wanted of each socket.
    pub details: Details,
    /// Whether everything is wanted that is known of sockets and the processes that hold them.
    pub extended: bool,
    /// Whether processes are asked what they say of themselves.
    pub processes: bool,
    /// The columns; empty for those that fit.
    pub columns: Vec<SocketColumn>,
    /// Look again so often, and show what changed.
    pub watch: Option<Duration>,
    /// The order.
    pub sort: SortKey,
    /// How to write.
    pub format: Format,
    /// Whether names are wanted for hosts and services.
    pub resolve: bool,
    /// Whether the table has a heading.
    pub header: bool,
    /// No hints: `-q`, short for --quiet.
    pub quiet: bool,
    /// Where the look comes from.
    pub sources: Sources,
    /// What was asked for, in words that can follow "Nothing": ` uses port 2345`.
    pub nothing: String,
    /// Details that are wanted only because the selection asks for them.
    pub details_to_decide: Details,
    /// How the expression was understood, where it is read otherwise than ss's man page says.
    pub understood: Option<String>,
}

impl Flags {
    /// Checks what clap could not.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(self, names: &dyn Names) -> Result<Request, Refused> {
        // As ss joins its words; a shell has taken the quotes off.
        let text = self.expression.join(" ");
        let unix_alone = self.unix && !self.tcp && !self.udp && !self.raw;
        let read = if unix_alone { parse_for_unix } else { parse };
        let expression = read(&text, names)?;
        let understood = expression
            .left_to_right
            .map(|_| expression.selection.to_string());
        let expression = expression.selection;
        let mut ports = self.port.clone();
        // A port alone is as if --port had said it.
        if let (Selection::Test(Test::Port(port)), true) = (&expression, ports.is_empty()) {
            ports.push(*port);
        }
        let states = self
            .state
            .iter()
            .map(|word| state(word))
            .collect::<Result<Vec<_>, _>>()?;
        let selection = Selection::All(vec![
            self.kinds(),
            Selection::one_of(self.port.iter().copied().map(Test::Port)),
            expression.clone(),
            Selection::one_of(states.iter().copied().map(Test::State)),
            Selection::one_of(
                self.process
                    .iter()
                    .map(|name| Test::Process(process_name(name))),
            ),
            Selection::one_of(self.pid.iter().map(|pid| Test::Pid(Pid(*pid)))),
            if self.listening {
                Selection::Any(vec![
                    Selection::Test(Test::State(State::Listen)),
                    Selection::Test(Test::State(State::Unconnected)),
                ])
            } else {
                Selection::everything()
            },
        ]);
        let format = if self.json { Format::Json } else { self.format };
        let columns = self
            .columns
            .iter()
            .map(|name| column(name))
            .collect::<Result<Vec<_>, _>>()?;
        // The column asked for without a word of which details: all of them.
        let all =
            columns.contains(&SocketColumn::Details) && !(self.options || self.memory || self.info);
        if format == Format::Csv && self.watch.is_some() {
            return Err("--watch writes lines or --json, not csv".to_owned().into());
        }
        if self.watch.is_some() && !columns.is_empty() {
            return Err("--watch writes lines or --json, not --columns"
                .to_owned()
                .into());
        }
        if format == Format::Json && !columns.is_empty() {
            return Err("--columns is for a table or csv: a record has every field"
                .to_owned()
                .into());
        }
        if format == Format::Csv && self.summary {
            return Err("-s writes a table or --json, not csv".to_owned().into());
        }
        let tests = selection.tests();
        let sources = Sources::from(self.sources.clone());
        if sources.owners == owners::Choice::None
            && let Some(test) = tests.iter().find(|test| test.is_about_owners())
        {
            let word = test.word();
            return Err(format!("{word} needs owners; --no-owners does without").into());
        }
        let details_to_decide = details_for(&tests);
        let folds = !tests.contains(&&Test::State(State::TimeWait));
        let tables = self.tables(&expression);
        Ok(Request {
            families: self.families(&tables),
            tables,
            selection,
            fold_time_wait: !self.all && format == Format::Table && folds,
            summary: self.summary,
            details: Details {
                timers: self.options || all || columns.contains(&SocketColumn::Timer),
                memory: self.memory || all,
                tcp: self.info || all,
                extended: self.extended
                    || columns.contains(&SocketColumn::V6Only)
                    || columns.contains(&SocketColumn::Mark),
            },
            extended: self.extended,
            processes: self.extended || columns.iter().any(|it| it.is_about_processes()),
            columns,
            watch: self.watch,
            sort: self.sort.into(),
            format,
            resolve: self.resolve,
            header: !self.no_header,
            quiet: self.hush,
            nothing: self.nothing(&ports, &expression),
            users: self.user,
            sources,
            details_to_decide,
            understood,
        })
    }

    fn nothing(&self, ports: &[u16], expression: &Selection) -> String {
        let by_port = matches!(expression, Selection::Test(Test::Port(_)));
        let narrowed = !by_port && *expression != Selection::everything()
            || !self.state.is_empty()
            || !self.process.is_empty()
            || !self.pid.is_empty()
            || !self.user.is_empty()
            || self.ipv4
            || self.ipv6
            || self.picked();
        match ports {
            [port] if !narrowed && self.listening => format!("listens on port {port}"),
            [port] if !narrowed => format!("uses port {port}"),
            [] if !narrowed && self.listening => "listens".to_owned(),
            _ => "matches".to_owned(),
        }
    }
}

/// What a source must tell, beyond the row of a socket, for these tests.
fn details_for(tests: &[&Test]) -> Details {
    let asks = |words: &[&str]| tests.iter().any(|test| words.contains(&test.word()));
    Details {
        tcp: asks(&["rtt", "retrans"]),
        extended: asks(&["fwmark", "cgroup", "autobound"]),
        ..Details::default()
    }
}

/// A process has 15 bytes for its name (TASK_COMM_LEN less its NUL); the kernel cuts longer ones.
pub(super) fn process_name(name: &str) -> ForeignText {
    ForeignText::new(&name.as_bytes()[..name.len().min(15)])
}

fn column(name: &str) -> Result<SocketColumn, String> {
    SocketColumn::named(name).ok_or_else(|| {
        let known = SocketColumn::ALL.map(|column| column.title().to_lowercase());
        format!("there is no column {name:?}; there are {}", known.join(" "))
    })
}

fn state(word: &str) -> Result<State, String> {
    word.parse().map_err(|_| {
        let known: Vec<&str> = State::ALL.iter().map(|state| state.word()).collect();
        format!(
            "{word:?} is no state; the states are {}, and ss's words for them",
            known.join(" ")
        )
    })
}

impl From<Sort> for SortKey {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Conversation => Self::Conversation,
            Sort::Local => Self::Local,
            Sort::Remote => Self::Remote,
            Sort::Port => Self::Port,
            Sort::State => Self::State,
            Sort::Owner => Self::Owner,
            Sort::Queue => Self::Queue,
        }
    }
}

#[cfg(test)]
mod tests;
