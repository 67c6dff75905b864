//! What is typed on the command line, checked; opens nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::values::{
    Host, bare, colon_port, colon_port_or_zero, duration, host, max_message, one_line, pair_words,
    port, port_or_zero,
};
use crate::endpoint::Place;
use crate::fault::Fault;
use crate::message::{Framing, MAX_MESSAGE};

pub(crate) use self::values::LONGEST_MESSAGE;

mod values;

/// The port unless `--port` says otherwise.
pub(crate) const DEFAULT_PORT: u16 = 2345;

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
    /// One half of a pair that is broken on purpose: started by `chat pair --break`
    #[command(hide = true)]
    Fault(FaultArgs),
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
    /// Everywhere, whatever NO_COLOR says
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
On a terminal the prompt names whom a line goes to: who spoke last,
fixed from the first key. `@2 text` goes to client 2, `@all text` to
everyone. Ctrl-C leaves. Words that read like a notice stand in quotes.

Off a terminal each message is one line on stdout: `client: hello` from
the first client, `client 2: hello` from the second. Control characters
and bytes that are not UTF-8 are shown escaped. Lines on stdin are sent
as if typed, once somebody is there; at their end the server goes on.
`listening on ADDR` is the first line on stderr.

A client whose message is over --max-message is told of and let go. One
that reads nothing is dropped when 256 KiB wait for it.

Examples:
  chat server --reply hi          answer every message
  chat server --port 0            take a free port and tell which
  chat server --unix /tmp/room    a path instead of a port
  chat server --bind ::           every address, IPv6 and IPv4")]
pub(crate) struct ServerArgs {
    /// Short for --port N
    #[arg(value_name = ":N", value_parser = colon_port_or_zero, conflicts_with = "port")]
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
On a terminal a line is sent with Enter; Ctrl-D says goodbye and waits
for what still comes, Ctrl-C leaves at once.

Off a terminal each line on stdin is one message, each message received
one line on stdout (`server: hi`), control characters and bytes that are
not UTF-8 escaped. The end of the input half-closes; what still arrives
is printed, then the client ends. A server that closes first is sent
what is left on stdin all the same; what it does not take is told, and
the exit status is 1.

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

--break makes a trouble that real programs make, until Ctrl-C, so that it
can be looked at: from another terminal, inspect doctor names it.
  slow-reader  Recv-Q and Send-Q grow, the window closes: one client sends
               1,024 bytes every 100ms
  never-close  CLOSE_WAIT piles up to the limit of descriptors: one client
               after the other, every 50ms, or --count of them
  no-accept    the accept queue fills up, then clients stay in SYN_SENT: one
               after the other, every 20ms
  reset        ECONNRESET: one client after the other, every 1s, until Ctrl-C
               or --count of them

Examples:
  chat pair                                  until Ctrl-C
  chat pair --count 3 --every 200ms
  chat pair --say 你好 --reply '再见'
  chat pair --break never-close --count 30")]
pub(crate) struct PairArgs {
    /// Short for --port N
    #[arg(value_name = ":N", value_parser = colon_port, conflicts_with = "port")]
    pub colon_port: Option<u16>,
    /// Break the pair on purpose: what the server does wrong, see below
    #[arg(long = "break", value_enum, value_name = "HOW", hide_possible_values = true,
          conflicts_with_all = ["say", "reply"])]
    pub fault: Option<Fault>,
    /// Stop after that many messages each way
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Time from one message to the next: 1s, 500ms, 2m, 0 [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub every: Option<Duration>,
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

/// `chat fault`, which `chat pair` starts twice.
#[derive(Debug, Args)]
pub(crate) struct FaultArgs {
    /// Which half.
    #[arg(value_enum)]
    pub half: Half,
    /// What the server does wrong.
    #[arg(value_enum)]
    pub fault: Fault,
    /// Where the server listens, on this machine.
    #[arg(long, value_parser = port)]
    pub port: u16,
    /// From one message or client to the next.
    #[arg(long, value_parser = duration)]
    pub every: Option<Duration>,
    /// Stop after that many clients.
    #[arg(long)]
    pub count: Option<u64>,
    /// The process whose end is ours.
    #[arg(long, value_name = "PID")]
    pub leash: Option<i32>,
}

/// Which half of a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Half {
    /// Listens.
    Server,
    /// Connects.
    Client,
}

impl PairArgs {
    /// The port to talk over.
    pub(crate) fn port(&self) -> u16 {
        self.colon_port.unwrap_or(self.port)
    }

    /// From one message, or client, to the next.
    pub(crate) fn every(&self) -> Duration {
        let pace = self.fault.map_or(Duration::from_secs(1), Fault::pace);
        self.every.unwrap_or(pace)
    }

    /// Whether it can all be meant together.
    ///
    /// # Errors
    /// What cannot, and why.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (Some(fault), Some(_)) = (self.fault, self.count) else {
            return Ok(());
        };
        fault
            .countable()
            .map_err(|why| format!("--count means nothing with --break {}: {why}", fault.name()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn place(arguments: &[&str]) -> String {
        let arguments = std::iter::once("chat").chain(arguments.iter().copied());
        match Cli::try_parse_from(arguments).unwrap().command {
            Command::Server(args) => args.place().to_string(),
            Command::Client(args) => args.place().unwrap().to_string(),
            Command::Pair(args) => args.port().to_string(),
            Command::Fault(args) => args.port.to_string(),
        }
    }

    #[test]
    fn a_port_can_be_said_in_several_ways() {
        assert_eq!(place(&["server"]), "127.0.0.1:2345");
        assert_eq!(place(&["server", ":7000", "--bind", "[::1]"]), "[::1]:7000");
        assert_eq!(place(&["client"]), "127.0.0.1:2345");
        assert_eq!(place(&["client", ":7000"]), "127.0.0.1:7000");
        assert_eq!(
            place(&["client", "there:7000", "--port", "7000"]),
            "there:7000"
        );
        assert_eq!(place(&["client", "--unix", "/a b"]), "/a b");
        assert_eq!(place(&["pair", ":7000"]), "7000");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
