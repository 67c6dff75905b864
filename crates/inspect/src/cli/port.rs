//! `inspect port`.

use clap::Args;

use super::page::PageFlags;
use super::sources::Sources;
use super::{port, short_port};
use crate::model::Protocol;

/// The flags as typed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  inspect port 2345            who has it, from where it can be reached, or why
                               bind() would fail
  inspect port 80 443 domain   several, by number or by name (services(5))
  inspect port                 the map: the three ranges, and what waits in each
  inspect port 2345 --json     for programs

From where a port can be reached goes by addresses alone: firewalls are not
looked at. Exit status: 0 when something has one of the ports, 1 when nothing
has, or the look failed, 2 wrong usage.")]
pub struct Flags {
    /// A number, as 2345 or :2345, or a name of services(5). Without any, the map of all.
    #[arg(value_name = "PORT")]
    ports: Vec<String>,

    /// The same as PORT.
    #[arg(long, value_name = "N", value_parser = port, help_heading = "Which of them")]
    port: Vec<u16>,

    /// Only TCP.
    #[arg(short = 't', long, help_heading = "Which of them")]
    tcp: bool,

    /// Only UDP.
    #[arg(short = 'u', long, help_heading = "Which of them")]
    udp: bool,

    #[command(flatten)]
    page: PageFlags,

    #[command(flatten)]
    sources: super::sources::SourceFlags,
}

/// A port as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// By number.
    Number(u16),
    /// By a name that services(5) may know.
    Name(String),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The ports; the map of all when there is none.
    pub ports: Vec<Wanted>,
    /// The protocols.
    pub protocols: Vec<Protocol>,
    /// Whether records are wanted, rather than sentences.
    pub json: bool,
    /// No hints: `-q`, short for --quiet.
    pub quiet: bool,
    /// Where the look comes from.
    pub sources: Sources,
}

impl Flags {
    /// Checks what clap could not.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(self) -> Result<Request, String> {
        let mut ports: Vec<Wanted> = Vec::new();
        for word in &self.ports {
            let number = match short_port(word) {
                Some(number) => Some(number?),
                None if word.starts_with(|c: char| c.is_ascii_digit()) => Some(port(word)?),
                None => None,
            };
            ports.push(number.map_or_else(|| Wanted::Name(word.clone()), Wanted::Number));
        }
        ports.extend(self.port.into_iter().map(Wanted::Number));
        let both = self.tcp == self.udp;
        let mut protocols = Vec::new();
        protocols.extend((both || self.tcp).then_some(Protocol::Tcp));
        protocols.extend((both || self.udp).then_some(Protocol::Udp));
        Ok(Request {
            ports,
            protocols,
            json: self.page.json(),
            quiet: self.page.quiet,
            sources: self.sources.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, View};

    fn request(words: &str) -> Result<Request, String> {
        let words = format!("inspect port {words}");
        let cli = Cli::try_parse_from(words.split_whitespace()).map_err(|e| e.to_string())?;
        match cli.view {
            View::Port(flags) => flags.validate(),
            _ => Err("another view".to_owned()),
        }
    }

    #[test]
    fn ports_are_numbers_or_names() {
        let wanted = |words: &str| request(words).unwrap().ports;
        assert_eq!(wanted(""), []);
        assert_eq!(
            wanted("2345 :80 http --port 443"),
            [
                Wanted::Number(2345),
                Wanted::Number(80),
                Wanted::Name("http".to_owned()),
                Wanted::Number(443)
            ]
        );
        for (words, part) in [
            ("70000", "70000 is no port"),
            (":http", "no port number"),
            ("0", "port 0"),
            ("80x", "no port number"),
            ("80 --format csv", "possible values: table, json"),
        ] {
            let error = request(words).unwrap_err();
            assert!(error.contains(part), "{words}: {error}");
        }
    }

    #[test]
    fn the_protocols_are_both_unless_one_is_named() {
        for (words, protocols) in [
            ("80", vec![Protocol::Tcp, Protocol::Udp]),
            ("-t 80", vec![Protocol::Tcp]),
            ("-u 80", vec![Protocol::Udp]),
            ("-tu 80", vec![Protocol::Tcp, Protocol::Udp]),
        ] {
            assert_eq!(request(words).unwrap().protocols, protocols, "{words}");
        }
    }
}
