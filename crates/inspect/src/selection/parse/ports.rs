//! Ports: numbers, names of services, ranges (man 8 ss, HOST SYNTAX).

use super::{Parser, lookup, negated_if, numbers};
use crate::model::Family;
use crate::selection::error::{Expected, Kind, Problem};
use crate::selection::token::{Fault, Sign, Token, Word};
use crate::selection::{Comparison, End, Selection, Test};

/// What is asked of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ports {
    /// Nothing.
    All,
    /// It is this one.
    One(u16),
    /// It is one of these.
    Range(u16, u16),
}

impl Ports {
    pub(super) fn of(self, end: End, is: Comparison) -> Option<Selection> {
        let test = |is, port| Selection::Test(Test::EndPort { end, is, port });
        match self {
            Self::All => None,
            Self::One(port) => Some(test(is, port)),
            Self::Range(from, to) => Some(Selection::All(vec![
                test(Comparison::AtLeast, from),
                test(Comparison::AtMost, to),
            ])),
        }
    }

    fn of_either(self, is: Comparison) -> Option<Selection> {
        if let (Self::One(port), Comparison::Equal) = (self, is) {
            return Some(Selection::Test(Test::Port(port)));
        }
        Some(Selection::Any(vec![
            self.of(End::Local, is)?,
            self.of(End::Remote, is)?,
        ]))
    }
}

impl Parser<'_> {
    pub(super) fn port_of(&mut self, end: End) -> Result<Selection, Fault> {
        self.ports_where(|ports, is| ports.of(end, is))
    }

    pub(super) fn port_of_either(&mut self) -> Result<Selection, Fault> {
        self.ports_where(Ports::of_either)
    }

    fn ports_where(
        &mut self,
        of: impl FnOnce(Ports, Comparison) -> Option<Selection>,
    ) -> Result<Selection, Fault> {
        let sign = self.sign()?;
        let value = self.value(Expected::Port)?;
        let (is, unequal) = match &sign {
            None => (Comparison::Equal, false),
            Some((_, Sign::Is(is))) => (*is, false),
            Some((_, Sign::Unequal)) => (Comparison::Equal, true),
        };
        let (family, ports) = self.family_and_ports(&value)?;
        if let (Ports::Range(..), Some((at, _)), true) = (ports, &sign, is != Comparison::Equal) {
            return Err((at.clone(), Problem::RangeCompared));
        }
        let mut parts: Vec<Selection> = family
            .map(|family| Selection::Test(Test::Family(family)))
            .into_iter()
            .chain(of(ports, is))
            .collect();
        let selection = match parts.len() {
            1 => parts.remove(0),
            _ => Selection::All(parts),
        };
        Ok(negated_if(unequal, selection))
    }

    /// `:80 :443`, one port or another at either end.
    pub(super) fn bare_ports(&mut self, first: &Word) -> Result<Selection, Fault> {
        let mut tests = vec![self.bare_port(first)?];
        while let (_, Token::Word(word)) = self.tokens.peek()? {
            if !word.keyword().is_some_and(|key| key.starts_with(':')) {
                break;
            }
            self.tokens.next()?;
            tests.push(self.bare_port(&word)?);
        }
        Ok(match tests.len() {
            1 => tests.remove(0),
            _ => Selection::Any(tests),
        })
    }

    fn bare_port(&self, word: &Word) -> Result<Selection, Fault> {
        let text = numbers::text(word)?;
        let ports = self.ports(text.get(1..).unwrap_or_default(), word)?;
        if ports == Ports::One(0) {
            return Err((word.at.clone(), Problem::PortZero));
        }
        Ok(ports
            .of_either(Comparison::Equal)
            .unwrap_or_else(Selection::everything))
    }

    /// `80`, `:80`, `inet::80`.
    fn family_and_ports(&self, word: &Word) -> Result<(Option<Family>, Ports), Fault> {
        let text = numbers::text(word)?;
        let (family, rest) = match text.split_once(':') {
            Some(("inet", rest)) => (Some(Family::Inet), rest),
            Some(("inet6", rest)) => (Some(Family::Inet6), rest),
            _ => (None, text.as_str()),
        };
        let port = rest.strip_prefix(':').unwrap_or(rest);
        Ok((family, self.ports(port, word)?))
    }

    pub(super) fn ports(&self, text: &str, word: &Word) -> Result<Ports, Fault> {
        if text == "*" {
            return Ok(Ports::All);
        }
        if let Some((from, to)) = text.split_once('-')
            && from.starts_with(|c: char| c.is_ascii_digit())
            && to.starts_with(|c: char| c.is_ascii_digit())
        {
            let (from, to) = (self.port(from, word)?, self.port(to, word)?);
            if from > to {
                return Err((word.at.clone(), Problem::RangeBackwards));
            }
            return Ok(Ports::Range(from, to));
        }
        self.port(text, word).map(Ports::One)
    }

    fn port(&self, text: &str, word: &Word) -> Result<u16, Fault> {
        let refuse = |problem| Err((word.at.clone(), problem));
        match numbers::number(text, u16::MAX.into()) {
            // It is within bounds already.
            Ok(number) => return Ok(u16::try_from(number).unwrap_or(u16::MAX)),
            Err(numbers::NoNumber::LeadingZero) => return refuse(Problem::LeadingZero),
            Err(numbers::NoNumber::TooGreat) => {
                let number = text.to_owned();
                return refuse(Problem::NoPort { number });
            }
            Err(numbers::NoNumber::Other) => {}
        }
        // Names of services hold no colons, spaces or slashes; an address ended up here.
        if text.is_empty() || text.contains([':', '/', '[', ' ']) {
            let what = Expected::Port;
            let found = self.text.get(word.at.clone()).map(str::to_owned);
            return refuse(Problem::Expected { what, found });
        }
        let ports = self.names.service(text);
        match ports.as_slice() {
            [] => Err(lookup::no_such(Kind::Service, text.to_owned(), word)),
            [port] => Ok(*port),
            _ => refuse(Problem::Ambiguous {
                name: text.to_owned(),
                ports,
            }),
        }
    }
}
