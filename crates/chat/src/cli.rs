//! What is typed on the command line, checked; opens nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::endpoint::Place;
use crate::message::{Framing, MAX_MESSAGE};

/// The port unless `--port` says otherwise.
pub(crate) const DEFAULT_PORT: u16 = 2345;

/// The most `--max-message` allows, in bytes.
pub(crate) const LONGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// The longest message of a pair, in bytes: a classroom `recv(1024)` takes it whole.
const PAIR_WORDS: usize = 1024;

/// A TCP conversation between two people or programs.
#[derive(Debug, Parser)]
#[command(
    name = "chat",
    version,
    arg_required_else_help = true,
    max_term_width = 80,
    after_help = "Examples:
  chat server                     wait for clients on 127.0.0.1:2345
  chat client                     talk to it, from another terminal
  chat pair                       both at once, once a second, to be inspected
  chat server --bind 0.0.0.0      let other machines in
  echo hello | chat client        one message; prints the answers until the end

Exit status: 0 done, 1 failed, 2 wrong usage."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Wait for clients and talk with them
    Server(ServerArgs),
    /// Talk with a server
    Client(ClientArgs),
    /// Server and client as two processes that talk once a second
    Pair(PairArgs),
}

/// Decoration, the same for every command.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LookArgs {
    /// When to use colour (NO_COLOR is honoured)
    #[arg(long, value_enum, default_value_t = ColourChoice::Auto, value_name = "WHEN")]
    pub color: ColourChoice,
    /// No hints
    #[arg(short, long)]
    pub quiet: bool,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ColourChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// On a terminal, whatever NO_COLOR says
    Always,
    /// Never
    Never,
}

/// How messages are cut, the same for server and client.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct MessageArgs {
    /// What ends a message
    #[arg(long, value_enum, default_value_t = Framing::Auto)]
    pub framing: Framing,
    /// Longest message, in bytes; a peer that sends a longer one is let go
    #[arg(long, value_name = "BYTES", default_value_t = MAX_MESSAGE, value_parser = max_message)]
    pub max_message: usize,
}

/// `chat server`
#[derive(Debug, Args)]
#[command(after_help = "\
On a terminal the prompt names whom a line goes to: who spoke last, fixed from the
first key. `@2 text` goes to client 2, `@all text` to everyone. Ctrl-C leaves.

Off a terminal each message is one line on stdout: `client: hello` from the first
client, `client 2: hello` from the second. Control characters and bytes that are not
UTF-8 are shown escaped. Lines on stdin are sent as if typed, once somebody is there;
at their end the server goes on. `listening on ADDR` stands first on stderr.

Examples:
  chat server --reply hi          answer every message
  chat server --port 0            take a free port and tell which
  chat server --unix /tmp/room    a path instead of a port
  chat server --bind ::           every address, IPv6 and IPv4")]
pub(crate) struct ServerArgs {
    /// Short for --port N
    #[arg(value_name = ":N", value_parser = colon_port, conflicts_with = "port")]
    pub colon_port: Option<u16>,
    /// Address or name to listen on; 0.0.0.0 or :: lets other machines in
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub bind: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PORT, value_parser = port_or_zero)]
    pub port: u16,
    /// Listen on a path in the file system instead
    #[arg(long, value_name = "PATH", conflicts_with_all = ["bind", "port", "colon_port"])]
    pub unix: Option<PathBuf>,
    /// Answer every message with this
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    pub reply: Option<String>,
    /// Most clients at once
    #[arg(long, value_name = "N", default_value_t = 1024,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub max_clients: u32,
    /// How messages are cut.
    #[command(flatten)]
    pub message: MessageArgs,
    /// Decoration.
    #[command(flatten)]
    pub look: LookArgs,
    /// The process whose end is ours: set by `chat pair`.
    #[arg(long, hide = true, value_name = "PID")]
    pub leash: Option<i32>,
}

/// `chat client`
#[derive(Debug, Args)]
#[command(after_help = "\
On a terminal a line is sent with Enter; Ctrl-D says goodbye and waits for what still
comes, Ctrl-C leaves at once.

Off a terminal each line on stdin is one message, each message received one line on
stdout (`server: hi`), control characters and bytes that are not UTF-8 escaped. The
end of the input half-closes; what still arrives is printed, then the client ends.

Examples:
  chat client                     127.0.0.1:2345
  chat client 192.168.8.188       another machine
  chat client [::1]:7000          address and port in one
  printf 'hello\\n' | chat client --framing raw      exactly 5 bytes")]
pub(crate) struct ClientArgs {
    /// Server's name or address, with or without a port
    #[arg(value_name = "HOST[:N]", default_value = "127.0.0.1", value_parser = host)]
    pub host: Host,
    /// Server's port
    #[arg(long, value_name = "N", value_parser = port)]
    pub port: Option<u16>,
    /// Connect to a path in the file system instead
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port"])]
    pub unix: Option<PathBuf>,
    /// How messages are cut.
    #[command(flatten)]
    pub message: MessageArgs,
    /// Decoration.
    #[command(flatten)]
    pub look: LookArgs,
    /// The process whose end is ours: set by `chat pair`.
    #[arg(long, hide = true, value_name = "PID")]
    pub leash: Option<i32>,
}

/// `chat pair`
#[derive(Debug, Args)]
#[command(after_help = "\
The two send exactly their words, without a newline, on this machine only.

Examples:
  chat pair                                  until Ctrl-C
  chat pair --count 3 --every 200ms
  chat pair --say 你好 --reply '再见'")]
pub(crate) struct PairArgs {
    /// Short for --port N
    #[arg(value_name = ":N", value_parser = colon_port, conflicts_with = "port")]
    pub colon_port: Option<u16>,
    /// Stop after that many messages each way
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Time from one message to the next: 1s, 500ms, 2m, 0
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub every: Duration,
    /// Port to talk over
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PORT, value_parser = port)]
    pub port: u16,
    /// What the client says
    #[arg(long, value_name = "TEXT", default_value = "hello", value_parser = pair_words)]
    pub say: String,
    /// What the server answers
    #[arg(long, value_name = "TEXT", default_value = "hi", value_parser = pair_words)]
    pub reply: String,
    /// Decoration.
    #[command(flatten)]
    pub look: LookArgs,
}

/// A host, perhaps with a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Host {
    /// A name or an address, without brackets.
    pub name: String,
    /// The port, if it was given with the host.
    pub port: Option<u16>,
}

impl ServerArgs {
    /// Where to listen.
    pub(crate) fn place(&self) -> Place {
        match &self.unix {
            Some(path) => Place::Unix(path.clone()),
            None => Place::Tcp(
                bare(&self.bind).to_owned(),
                self.colon_port.unwrap_or(self.port),
            ),
        }
    }
}

impl ClientArgs {
    /// Where to connect to.
    ///
    /// # Errors
    /// When the port is given twice, and not the same.
    pub(crate) fn place(&self) -> Result<Place, String> {
        if let Some(path) = &self.unix {
            return Ok(Place::Unix(path.clone()));
        }
        let port = match (self.host.port, self.port) {
            (Some(one), Some(other)) if one != other => {
                return Err(format!("two ports, {one} and {other}: which one?"));
            }
            (one, other) => one.or(other).unwrap_or(DEFAULT_PORT),
        };
        Ok(Place::Tcp(self.host.name.clone(), port))
    }
}

fn bare(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// `HOST`, `HOST:N`, `[IPV6]:N` or `:N`.
fn host(text: &str) -> Result<Host, String> {
    let plain = |name: &str| Host {
        name: name.to_owned(),
        port: None,
    };
    if text.is_empty() {
        return Err("no host; a name or an address such as 127.0.0.1".to_owned());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("a host has no blanks or control characters in it".to_owned());
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or("`[` without `]`")?;
        if name.is_empty() {
            return Err("no address between the brackets".to_owned());
        }
        return match rest.strip_prefix(':') {
            Some(digits) => Ok(Host {
                port: Some(port(digits)?),
                ..plain(name)
            }),
            None if rest.is_empty() => Ok(plain(name)),
            None => Err("after `]` only `:` and a port".to_owned()),
        };
    }
    match text.split_once(':') {
        Some((name, digits)) if !digits.contains(':') => {
            let name = if name.is_empty() { "127.0.0.1" } else { name };
            Ok(Host {
                port: Some(port(digits)?),
                ..plain(name)
            })
        }
        // Several colons: an IPv6 address.
        _ => Ok(plain(text)),
    }
}

fn port(text: &str) -> Result<u16, String> {
    match port_number(text, 1)? {
        0 => {
            Err("0 stands for a free port, which only chat server can take; nearest: 1".to_owned())
        }
        port => Ok(port),
    }
}

fn port_or_zero(text: &str) -> Result<u16, String> {
    port_number(text, 0)
}

fn colon_port(text: &str) -> Result<u16, String> {
    port(
        text.strip_prefix(':')
            .ok_or("expected `:` and a port, such as :2345")?,
    )
}

fn port_number(text: &str, lowest: u16) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits => Ok(port),
        _ if digits => Err(format!("ports are {lowest} to 65535; nearest: 65535")),
        _ if text
            .strip_prefix('-')
            .is_some_and(|rest| rest.parse::<u64>().is_ok()) =>
        {
            Err(format!("ports are {lowest} to 65535; nearest: {lowest}"))
        }
        _ => Err(format!(
            "a port is a number, {lowest} to 65535, such as {DEFAULT_PORT}"
        )),
    }
}

fn max_message(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .map_err(|_| format!("a number of bytes, such as {MAX_MESSAGE}"))?;
    match number {
        0 => Err("at least 1 byte".to_owned()),
        1..=LONGEST_MESSAGE => Ok(number),
        _ => Err(format!("at most {LONGEST_MESSAGE} bytes (16 MiB)")),
    }
}

fn one_line(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an empty message would send nothing".to_owned());
    }
    if text.contains(['\n', '\r']) {
        return Err("a message is one line".to_owned());
    }
    Ok(text.to_owned())
}

fn pair_words(text: &str) -> Result<String, String> {
    let text = one_line(text)?;
    if text.len() > PAIR_WORDS {
        return Err(format!(
            "{} bytes; the pair says at most {PAIR_WORDS}",
            text.len()
        ));
    }
    Ok(text)
}

/// A time as people write it; a number needs its unit, unless it is 0.
fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("which unit? {text}s, {text}ms or {text}m"));
    }
    let parsed = text.parse::<jiff::SignedDuration>();
    let parsed = parsed.map_err(|_| "a time such as 1s, 500ms or 2m".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "time goes forward: 0 or more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use proptest::prelude::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn hosts_with_and_without_ports() {
        let at = |name: &str, port| {
            Ok(Host {
                name: name.to_owned(),
                port,
            })
        };
        assert_eq!(host("localhost"), at("localhost", None));
        assert_eq!(host("10.0.0.1:7000"), at("10.0.0.1", Some(7000)));
        assert_eq!(host(":7000"), at("127.0.0.1", Some(7000)));
        assert_eq!(host("::1"), at("::1", None));
        assert_eq!(host("[fe80::1%eth0]:7000"), at("fe80::1%eth0", Some(7000)));
        assert_eq!(host("[::1]"), at("::1", None));
        for wrong in [
            "",
            "[::1",
            "[::1]7",
            "[]:7",
            "host:",
            "host:70000",
            "host:0",
            "a b",
            "a\x1b",
        ] {
            assert!(host(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn ports_name_the_nearest_valid() {
        assert_eq!(port_or_zero("0"), Ok(0));
        assert_eq!(port("65535"), Ok(65535));
        assert!(port("70000").unwrap_err().ends_with("nearest: 65535"));
        assert!(port("-3").unwrap_err().ends_with("nearest: 1"));
        assert!(port("0").unwrap_err().contains("only chat server"));
        assert!(port("+5").is_err() && port("").is_err() && port("http").is_err());
        assert_eq!(colon_port(":80"), Ok(80));
    }

    #[test]
    fn times() {
        let seconds = |s| Ok(Duration::from_secs_f64(s));
        assert_eq!(duration("1s"), seconds(1.0));
        assert_eq!(duration("500ms"), seconds(0.5));
        assert_eq!(duration("2m"), seconds(120.0));
        assert_eq!(duration("0"), seconds(0.0));
        assert!(duration("5").unwrap_err().contains("5s"));
        assert!(duration("-1s").is_err() && duration("").is_err() && duration("soon").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            let _ = (host(&text), port(&text), colon_port(&text), duration(&text));
            let _ = (max_message(&text), one_line(&text), pair_words(&text));
        }

        #[test]
        fn a_host_and_port_come_back(name in "[a-z][a-z0-9.-]{0,20}", number in 1u16..) {
            let text = Place::Tcp(name.clone(), number).to_string();
            prop_assert_eq!(host(&text), Ok(Host { name, port: Some(number) }));
        }
    }
}
