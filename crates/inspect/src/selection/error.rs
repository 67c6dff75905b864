//! Why an expression was refused, and at which place.

use std::ops::Range;

/// An expression that was not understood.
///
/// The words of it in the message are escaped as Rust escapes them; [`ParseError::text`] is as
/// it was typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ParseError {
    /// The whole expression.
    pub text: String,
    /// The place, in bytes of the text; empty at the place where something is missing.
    pub at: Range<usize>,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A word that begins no test.
    #[error("unknown word {}{}", shown(word), proposal(*.meant))]
    UnknownWord {
        /// The word.
        word: String,
        /// A word that differs little from it.
        meant: Option<&'static str>,
    },
    /// A word that names none of a few things.
    #[error("{} is no {kind}{}", shown(word), proposal(*.meant))]
    Unknown {
        /// What it should name.
        kind: Kind,
        /// The word.
        word: String,
        /// A word that differs little from it.
        meant: Option<&'static str>,
    },
    /// A name that this machine does not have.
    #[error("no {kind} {} on this machine", shown(name))]
    NoSuch {
        /// What it should name.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// Something else belongs here.
    #[error("expected {what}{}", instead(.found.as_deref()))]
    Expected {
        /// What belongs here.
        what: Expected,
        /// What stands here; nothing at the end.
        found: Option<String>,
    },
    /// A number that stands alone.
    #[error("a port is written :{port}")]
    PortWithoutColon {
        /// The number.
        port: u16,
    },
    /// A number that is no port.
    #[error("{number} is no port: ports go up to 65535")]
    NoPort {
        /// The number.
        number: String,
    },
    /// Port 0 alone.
    #[error("port 0 means \"any free port\" and is never used itself")]
    PortZero,
    /// An address that stands alone.
    #[error("an address follows src, dst or host")]
    AddressAlone,
    /// A state that stands alone.
    #[error("a state follows its word: state {state}")]
    StateAlone {
        /// The state.
        state: &'static str,
    },
    /// An IPv6 address that could be an address and a port.
    #[error("an IPv6 address stands in brackets: [{address}]")]
    BracketsNeeded {
        /// The address.
        address: std::net::Ipv6Addr,
    },
    /// An interface in an address.
    #[error(
        "the interface stands apart from the address: dev {}",
        shown(interface)
    )]
    ScopeApart {
        /// The interface.
        interface: String,
    },
    /// A family whose addresses cannot be written here.
    #[error("addresses of family {family} are not understood here")]
    FamilyWithoutAddresses {
        /// Its word.
        family: &'static str,
    },
    /// A prefix longer than its address.
    #[error("this address has {bits} bits, so its prefix is /0 to /{bits}")]
    PrefixTooLong {
        /// The bits of the address.
        bits: u8,
    },
    /// A number that is too great.
    #[error("{} is too great: the greatest {what} is {greatest}", shown(number))]
    TooGreat {
        /// The number.
        number: String,
        /// What it counts.
        what: &'static str,
        /// The greatest that there is.
        greatest: u64,
    },
    /// A number that ss would take for an octal one.
    #[error("a number does not begin with 0 here (ss reads it as octal)")]
    LeadingZero,
    /// A number that is not whole in the smallest unit.
    #[error("nothing finer than one {unit} is known")]
    TooFine {
        /// The smallest unit.
        unit: &'static str,
    },
    /// A sign of order before what has no order.
    #[error("{word} is the same or not: = or !=")]
    NoOrder {
        /// The word before the sign.
        word: &'static str,
    },
    /// A service that has several ports.
    #[error(
        "service {} has several ports ({}): write the number",
        shown(name),
        listed(ports)
    )]
    Ambiguous {
        /// The service.
        name: String,
        /// Its ports.
        ports: Vec<u16>,
    },
    /// A range that ends before it begins.
    #[error("a range goes from the lower to the higher port")]
    RangeBackwards,
    /// A range cannot be less or more.
    #[error("a range takes = or !=; for an order write one port")]
    RangeCompared,
    /// `(` without `)`.
    #[error("this parenthesis is never closed")]
    Unclosed,
    /// `)` without `(`.
    #[error("this parenthesis was never opened")]
    Unopened,
    /// A quote that is never closed.
    #[error("this quote is never closed")]
    UnclosedQuote,
    /// Text that is not UTF-8 where no name stands.
    #[error("this is no text")]
    NotText,
    /// The expression is beyond a limit.
    #[error("{0}")]
    Limit(Limit),
}

/// What a word may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A state or a group of states.
    State,
    /// An address family.
    Family,
    /// A protocol.
    Protocol,
    /// A service of /etc/services.
    Service,
    /// A host.
    Host,
    /// A user.
    User,
    /// A network interface.
    Interface,
    /// A network namespace.
    NetworkNamespace,
    /// A control group.
    Cgroup,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::State => "state",
            Self::Family => "family",
            Self::Protocol => "protocol",
            Self::Service => "service",
            Self::Host => "host",
            Self::User => "user",
            Self::Interface => "interface",
            Self::NetworkNamespace => "network namespace",
            Self::Cgroup => "control group",
        })
    }
}

/// What may stand at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A test, `not` or `(`.
    Test,
    /// `and`, `or`, a test, or the end.
    Joining,
    /// A port.
    Port,
    /// An address.
    Address,
    /// A port behind an address.
    PortOfAddress,
    /// The length of a prefix.
    Prefix,
    /// A state.
    State,
    /// A name.
    Name,
    /// A number.
    Number,
    /// A number of bytes.
    Size,
    /// A time.
    Time,
    /// A mark.
    Mark,
    /// An interface.
    Interface,
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Test => "a test, such as sport = :80, dst 10.0.0.0/8 or state established",
            Self::Joining => "and, or, or another test",
            Self::Port => "a port, such as :80, :http or :8000-8999",
            Self::Address => "an address, such as 10.0.0.0/8, 127.0.0.1:80, [::1] or /run/x*",
            Self::PortOfAddress => "a port behind the address, such as 127.0.0.1:80",
            Self::Prefix => "the length of a prefix, such as /8",
            Self::State => "a state, such as established, listening or connected",
            Self::Name => "a name",
            Self::Number => "a number",
            Self::Size => "a number of bytes, such as 0, 64k or 1M",
            Self::Time => "a time with its unit, such as 20ms, 500us or 1s",
            Self::Mark => "a mark, such as 1 or 0x1/0x3",
            Self::Interface => "an interface, by name or number",
        })
    }
}

/// How much an expression may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many tests, parentheses and changes between `and` and `or` lie inside each other.
    Depth(usize),
    /// So many bytes.
    Length(usize),
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Depth(most) => write!(f, "nested too deep here: {most} levels are allowed"),
            Self::Length(most) => write!(f, "too long: {most} bytes are allowed"),
        }
    }
}

/// No more of a word is repeated in a message.
const SHOWN: usize = 40;

fn shown(word: &str) -> String {
    if word.chars().count() <= SHOWN {
        return format!("{word:?}");
    }
    let start: String = word.chars().take(SHOWN).collect();
    format!("{:?}", start + "…")
}

fn proposal(word: Option<&str>) -> String {
    word.map(|word| format!(": did you mean {word}?"))
        .unwrap_or_default()
}

fn instead(word: Option<&str>) -> String {
    match word {
        Some(word) => format!(", found {}", shown(word)),
        None => ", and here it ends".to_owned(),
    }
}

fn listed(ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    ports.join(", ")
}
