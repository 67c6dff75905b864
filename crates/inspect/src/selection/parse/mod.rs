//! The language -> the tree.
//!
//! The grammar is that of ss: tests joined by `and`, `or` or nothing (which is `and`), `not`
//! before a test, parentheses. As in ss, `and` and `or` bind alike and from the left, whatever
//! its man page says: `a or b and c` is `( a or b ) and c` (measured on ss 6.1;
//! [`Parsed::left_to_right`] tells where a reader of the man page would expect otherwise).
//!
//! As in ss too, `state A state B exclude C` is one test, of the set of states that it builds
//! up, and at the beginning it holds for all that follows. Here it may stand anywhere. What ss
//! does not have: keywords in either case, parentheses and signs without spaces, quotes, `!=`
//! before addresses, port ranges, ports alone (`:80 :443` is one or the other, as with flags
//! that are repeated), and the tests of owners, queues and measurements.
//!
//! Where ss is of two minds, it is read as the kernel reads it: under a `not`, ss takes every
//! address to be in a network of prefix 0, `::1` to be in 0.0.0.0, and no state at all to mean
//! every state. Its addresses of families link, netlink and vsock are refused.

mod hosts;
mod lookup;
mod numbers;
mod owners;
mod ports;
mod states;

use std::net::IpAddr;
use std::ops::Range;

use super::error::{Expected, Limit, ParseError, Problem};
use super::token::{Fault, Sign, Token, Tokens, Word};
use super::{Comparison, End, Selection, Test};
use crate::model::{ForeignText, NetworkNamespace, Pid, Uid};

/// How deep a tree may be: enough for people, and no danger for the stack.
const DEPTH: usize = 100;

/// How long an expression may be, in bytes.
const LENGTH: usize = 64 * 1024;

/// What the machine calls things. The parser asks only for words that are no numbers.
pub trait Names {
    /// The ports of a service (services(5)), each once.
    fn service(&self, name: &str) -> Vec<u16>;
    /// The addresses of a host.
    fn host(&self, name: &str) -> Vec<IpAddr>;
    /// The id of a user.
    fn user(&self, name: &str) -> Option<Uid>;
    /// The index of a network interface.
    fn interface(&self, name: &str) -> Option<u32>;
    /// The inode of a named network namespace (ip-netns(8)).
    fn network_namespace(&self, name: &str) -> Option<NetworkNamespace>;
    /// The id of the control group (version 2) at a path below where they are mounted.
    fn cgroup(&self, path: &[u8]) -> Option<u64>;
    /// The ports given to those who do not ask for one (`ip_local_port_range`), first and last.
    fn ephemeral_ports(&self) -> (u16, u16) {
        (32_768, 60_999)
    }
}

/// Knows no names: numbers only.
#[derive(Debug, Clone, Copy)]
pub struct Numbers;

impl Names for Numbers {
    fn service(&self, _: &str) -> Vec<u16> {
        Vec::new()
    }
    fn host(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }
    fn user(&self, _: &str) -> Option<Uid> {
        None
    }
    fn interface(&self, _: &str) -> Option<u32> {
        None
    }
    fn network_namespace(&self, _: &str) -> Option<NetworkNamespace> {
        None
    }
    fn cgroup(&self, _: &[u8]) -> Option<u64> {
        None
    }
}

/// What an expression says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The tree.
    pub selection: Selection,
    /// The first place where an `and` follows an `or` without parentheses. It is read from left
    /// to right, as ss reads it, and not as ss's man page says.
    pub left_to_right: Option<Range<usize>>,
}

/// Reads an expression. An empty one selects everything.
///
/// # Errors
/// When it is not understood; with the place.
pub fn parse(text: &str, names: &dyn Names) -> Result<Parsed, ParseError> {
    read(text, names, false)
}

/// Reads an expression about unix sockets alone: what follows `src` and `dst` is a name of
/// theirs, whatever it looks like.
///
/// # Errors
/// When it is not understood; with the place.
pub fn parse_for_unix(text: &str, names: &dyn Names) -> Result<Parsed, ParseError> {
    read(text, names, true)
}

fn read(text: &str, names: &dyn Names, only_unix: bool) -> Result<Parsed, ParseError> {
    let mut parser = Parser {
        text,
        tokens: Tokens::new(text),
        names,
        only_unix,
        left_to_right: None,
    };
    match parser.everything() {
        Ok(selection) => Ok(Parsed {
            selection,
            left_to_right: parser.left_to_right,
        }),
        Err((at, problem)) => Err(ParseError {
            text: text.to_owned(),
            at,
            problem,
        }),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Tokens<'a>,
    names: &'a dyn Names,
    only_unix: bool,
    left_to_right: Option<Range<usize>>,
}

/// A part of the tree, and how many levels it has.
struct Part {
    selection: Selection,
    levels: usize,
}

impl From<Selection> for Part {
    /// What one test was turned into: never more than a few levels, counted as one.
    fn from(selection: Selection) -> Self {
        Self {
            selection,
            levels: 1,
        }
    }
}

/// How what stands to the left of a place is joined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joined {
    Alone,
    And,
    Or,
}

impl Parser<'_> {
    fn everything(&mut self) -> Result<Selection, Fault> {
        if self.text.len() > LENGTH {
            let end = self.text.len();
            return Err((end..end, Problem::Limit(Limit::Length(LENGTH))));
        }
        if self.tokens.peek()?.1 == Token::End {
            return Ok(Selection::everything());
        }
        let part = self.expression(0)?;
        match self.tokens.next()? {
            (_, Token::End) => Ok(part.selection),
            (at, _) => Err((at, Problem::Unopened)),
        }
    }

    /// Up to the end, or to a parenthesis that was not opened here.
    fn expression(&mut self, depth: usize) -> Result<Part, Fault> {
        let (at, token) = self.tokens.peek()?;
        let states = match &token {
            Token::Word(word) if states::begins(word) => self.states()?,
            _ => {
                let first = self.operand(depth)?;
                return Ok(self.joined(first, depth)?.0);
            }
        };
        // Joined by nothing, it holds for the whole rest.
        if matches!(
            self.tokens.peek()?.1,
            Token::And | Token::Or | Token::Close | Token::End
        ) {
            return Ok(self.joined(states.into(), depth)?.0);
        }
        let first = self.operand(depth)?;
        let (rest, joined) = self.joined(first, depth)?;
        let mut levels = rest.levels + 1;
        let mut parts = vec![states];
        match rest.selection {
            Selection::All(more) if joined == Joined::And => {
                parts.extend(more);
                levels = rest.levels;
            }
            other => parts.push(other),
        }
        let selection = Selection::All(parts);
        checked(Part { selection, levels }, &at)
    }

    /// What follows the first operand.
    fn joined(&mut self, first: Part, depth: usize) -> Result<(Part, Joined), Fault> {
        let mut left = first;
        let mut so_far = Joined::Alone;
        loop {
            let (at, token) = self.tokens.peek()?;
            let by = match token {
                Token::End | Token::Close => return Ok((left, so_far)),
                Token::Or => Joined::Or,
                Token::And | Token::Not | Token::Open | Token::Word(_) => Joined::And,
                Token::Sign(_) => return Err(self.expected(Expected::Joining, at)),
            };
            if matches!(token, Token::And | Token::Or) {
                self.tokens.next()?;
            }
            let right = self.operand(depth)?;
            if so_far == Joined::Or && by == Joined::And {
                self.left_to_right.get_or_insert(at.clone());
            }
            left = checked(left.join(so_far, by, right), &at)?;
            so_far = by;
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Part, Fault> {
        let (at, token) = self.tokens.next()?;
        if depth > DEPTH {
            return Err((at, Problem::Limit(Limit::Depth(DEPTH))));
        }
        match token {
            Token::Not => {
                let part = self.operand(depth + 1)?;
                let levels = part.levels + 1;
                let selection = Selection::Not(Box::new(part.selection));
                checked(Part { selection, levels }, &at)
            }
            Token::Open => {
                let part = self.expression(depth + 1)?;
                match self.tokens.next()?.1 {
                    Token::Close => Ok(part),
                    _ => Err((at, Problem::Unclosed)),
                }
            }
            Token::Word(word) if states::begins(&word) => {
                self.tokens.go_back_to(&at);
                Ok(self.states()?.into())
            }
            Token::Word(word) => Ok(self.test(&word)?.into()),
            _ => Err(self.expected(Expected::Test, at)),
        }
    }

    fn test(&mut self, word: &Word) -> Result<Selection, Fault> {
        let keyword = word.keyword();
        match keyword.as_deref().unwrap_or_default() {
            "sport" => self.port_of(End::Local),
            "dport" => self.port_of(End::Remote),
            "port" => self.port_of_either(),
            "src" => self.address_of(End::Local, "src"),
            "dst" => self.address_of(End::Remote, "dst"),
            "host" => self.address_of_either(),
            "dev" => self.equality("dev", Expected::Interface, Self::interface),
            "fwmark" => self.equality("fwmark", Expected::Mark, Self::mark),
            "cgroup" => self.equality("cgroup", Expected::Name, Self::cgroup),
            "autobound" => {
                let (first, last) = self.names.ephemeral_ports();
                Ok(Selection::Test(Test::Autobound { first, last }))
            }
            "family" => self.equality("family", Expected::Name, Self::family),
            "protocol" => self.equality("protocol", Expected::Name, Self::protocol),
            "pid" => self.equality("pid", Expected::Number, |_, word| {
                numbers::u32(word, "process id").map(|pid| Test::Pid(Pid(pid)))
            }),
            "process" => self.equality("process", Expected::Name, |_, word| {
                Ok(owners::process(word))
            }),
            "user" => self.equality("user", Expected::Name, Self::user),
            "container" => self.equality("container", Expected::Name, |_, word| {
                Ok(Test::Container(ForeignText::new(word.plain())))
            }),
            "unit" => self.equality("unit", Expected::Name, |_, word| Ok(owners::unit(word))),
            "netns" => self.equality("netns", Expected::Name, Self::network_namespace),
            "peer" => self.equality("peer", Expected::Name, |_, word| owners::peer(word)),
            "recvq" => self.order(Expected::Size, numbers::size, Test::ReceiveQueue),
            "sendq" => self.order(Expected::Size, numbers::size, Test::SendQueue),
            "rtt" => self.order(Expected::Time, numbers::micros, Test::RoundTrip),
            "retrans" => self.order(Expected::Number, numbers::count, Test::Retransmits),
            port if port.starts_with(':') => self.bare_ports(word),
            _ => Err(lookup::unknown_word(word, self.text)),
        }
    }

    /// A sign, where one stands here.
    fn sign(&mut self) -> Result<Option<(Range<usize>, Sign)>, Fault> {
        match self.tokens.peek()? {
            (at, Token::Sign(sign)) => {
                self.tokens.next()?;
                Ok(Some((at, sign)))
            }
            _ => Ok(None),
        }
    }

    /// A sign of sameness; whether it says "not the same".
    fn sameness(&mut self, word: &'static str) -> Result<bool, Fault> {
        match self.sign()? {
            None | Some((_, Sign::Is(Comparison::Equal))) => Ok(false),
            Some((_, Sign::Unequal)) => Ok(true),
            Some((at, Sign::Is(_))) => Err((at, Problem::NoOrder { word })),
        }
    }

    fn value(&mut self, what: Expected) -> Result<Word, Fault> {
        match self.tokens.value()? {
            Some(word) => Ok(word),
            None => {
                let (at, _) = self.tokens.peek()?;
                Err(self.expected(what, at))
            }
        }
    }

    fn equality(
        &mut self,
        word: &'static str,
        what: Expected,
        read: impl FnOnce(&Self, &Word) -> Result<Test, Fault>,
    ) -> Result<Selection, Fault> {
        let negated = self.sameness(word)?;
        let value = self.value(what)?;
        let test = Selection::Test(read(self, &value)?);
        Ok(negated_if(negated, test))
    }

    fn order(
        &mut self,
        what: Expected,
        read: impl FnOnce(&Word) -> Result<u64, Fault>,
        test: impl FnOnce(Comparison, u64) -> Test,
    ) -> Result<Selection, Fault> {
        let sign = self.sign()?.map(|(_, sign)| sign);
        let value = self.value(what)?;
        let number = read(&value)?;
        Ok(match sign {
            None => Selection::Test(test(Comparison::Equal, number)),
            Some(Sign::Is(is)) => Selection::Test(test(is, number)),
            Some(Sign::Unequal) => {
                negated_if(true, Selection::Test(test(Comparison::Equal, number)))
            }
        })
    }

    fn expected(&self, what: Expected, at: Range<usize>) -> Fault {
        let found = self.text.get(at.clone()).filter(|text| !text.is_empty());
        let found = found.map(str::to_owned);
        (at, Problem::Expected { what, found })
    }
}

impl Part {
    /// Joins with what follows; equals go into one list.
    fn join(self, so_far: Joined, by: Joined, right: Self) -> Self {
        let list = match (self.selection, so_far == by) {
            (Selection::All(parts) | Selection::Any(parts), true) => Ok(parts),
            (other, _) => Err(other),
        };
        let (mut parts, levels) = match list {
            Ok(parts) => (parts, self.levels.max(right.levels + 1)),
            Err(left) => (vec![left], self.levels.max(right.levels) + 1),
        };
        parts.push(right.selection);
        Self {
            selection: match by {
                Joined::Or => Selection::Any(parts),
                _ => Selection::All(parts),
            },
            levels,
        }
    }
}

fn checked(part: Part, at: &Range<usize>) -> Result<Part, Fault> {
    if part.levels > DEPTH {
        return Err((at.clone(), Problem::Limit(Limit::Depth(DEPTH))));
    }
    Ok(part)
}

fn negated_if(negated: bool, selection: Selection) -> Selection {
    if negated {
        Selection::Not(Box::new(selection))
    } else {
        selection
    }
}
