//! Addresses (man 8 ss, HOST SYNTAX).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ports::Ports;
use super::{Parser, lookup, negated_if, numbers};
use crate::model::Family;
use crate::selection::error::{Expected, Kind, Problem};
use crate::selection::token::{Fault, Word};
use crate::selection::{Comparison, End, Network, Pattern, Selection, Test};

/// What is asked of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    /// To be in one of these; nothing where there is none.
    Networks(Vec<Network>),
    /// A unix name like this.
    Unix(Pattern),
}

/// What follows `src` and `dst`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    family: Option<Family>,
    address: Address,
    port: Ports,
}

impl Place {
    fn of(&self, end: End) -> Selection {
        let mut parts = Vec::new();
        if let Some(family) = self.family {
            parts.push(Selection::Test(Test::Family(family)));
        }
        match &self.address {
            Address::Unix(name) => {
                let name = name.clone();
                return Selection::Test(Test::EndUnix { end, name });
            }
            Address::Networks(networks) => {
                let in_network = |network: &Network| {
                    Selection::Test(Test::EndAddress {
                        end,
                        network: *network,
                    })
                };
                match networks.as_slice() {
                    [] => {}
                    [network] => parts.push(in_network(network)),
                    several => parts.push(Selection::Any(several.iter().map(in_network).collect())),
                }
            }
        }
        parts.extend(self.port.of(end, Comparison::Equal));
        if parts.len() == 1 {
            return parts.remove(0);
        }
        Selection::All(parts)
    }

    /// An address alone, of either end, is a test of its own.
    fn of_either(&self) -> Selection {
        if let (None, Address::Networks(networks), Ports::All) =
            (self.family, &self.address, self.port)
        {
            let whole = |network: &Network| *network == Network::from(network.address());
            let host = |network: &Network| Selection::Test(Test::Host(network.address()));
            match networks.as_slice() {
                [] => return Selection::everything(),
                [network] if whole(network) => return host(network),
                several if several.iter().all(whole) => {
                    return Selection::Any(several.iter().map(host).collect());
                }
                _ => {}
            }
        }
        Selection::Any(vec![self.of(End::Local), self.of(End::Remote)])
    }
}

impl Parser<'_> {
    pub(super) fn address_of(&mut self, end: End, word: &'static str) -> Result<Selection, Fault> {
        let negated = self.sameness(word)?;
        let place = self.place()?;
        Ok(negated_if(negated, place.of(end)))
    }

    pub(super) fn address_of_either(&mut self) -> Result<Selection, Fault> {
        let negated = self.sameness("host")?;
        let place = self.place()?;
        Ok(negated_if(negated, place.of_either()))
    }

    fn place(&mut self) -> Result<Place, Fault> {
        let word = self.value(Expected::Address)?;
        let unix = |from: usize| Place {
            family: None,
            address: Address::Unix(Pattern::from_quoted(word.from(from))),
            port: Ports::All,
        };
        let plain = word.plain();
        // A word in quotes is a name all the same: what stands here is a value anyhow.
        if plain.starts_with(b"unix:") {
            return Ok(unix("unix:".len()));
        }
        if self.only_unix || plain.starts_with(b"/") || plain.starts_with(b"@") {
            return Ok(unix(0));
        }
        let text = numbers::text(&word)?;
        let (family, rest) = match text.split_once(':') {
            Some(("inet", rest)) => (Some(Family::Inet), rest),
            Some(("inet6", rest)) => (Some(Family::Inet6), rest),
            Some((family @ ("link" | "netlink" | "vsock"), _)) => {
                let family = match family {
                    "link" => "link",
                    "netlink" => "netlink",
                    _ => "vsock",
                };
                let problem = Problem::FamilyWithoutAddresses { family };
                return Err((word.at.clone(), problem));
            }
            _ => (None, text.as_str()),
        };
        let (address, port) = self.split(rest, &word)?;
        let port = match port {
            "" | "*" => Ports::All,
            port => self.ports(port, &word)?,
        };
        let networks = match address {
            "" | "*" => Vec::new(),
            address => self.networks(address, family, &word)?,
        };
        Ok(Place {
            family,
            address: Address::Networks(networks),
            port,
        })
    }

    /// An address and a port. The brackets of an IPv6 address go; a prefix may stand inside or
    /// behind them.
    fn split<'t>(&self, text: &'t str, word: &Word) -> Result<(&'t str, &'t str), Fault> {
        let expected = |what| {
            let found = Some(text.to_owned());
            (word.at.clone(), Problem::Expected { what, found })
        };
        if text.starts_with('[') {
            let end = text.find(']').ok_or_else(|| expected(Expected::Address))?;
            return match text.get(end + 1..).and_then(|behind| behind.rfind(':')) {
                // Kept whole: the brackets are taken off where the prefix is read.
                None => Ok((text, "")),
                Some(colon) => {
                    let (address, port) = text.split_at(end + 1 + colon);
                    Ok((address, port.strip_prefix(':').unwrap_or(port)))
                }
            };
        }
        // A colon of an address never follows its slash.
        let from = text.find('/').unwrap_or(0);
        match text.get(from..).and_then(|behind| behind.rfind(':')) {
            None => Ok((text, "")),
            Some(colon) => {
                if let Ok(address) = text.parse::<Ipv6Addr>() {
                    return Err((word.at.clone(), Problem::BracketsNeeded { address }));
                }
                let (address, port) = text.split_at(from + colon);
                Ok((address, port.strip_prefix(':').unwrap_or(port)))
            }
        }
    }

    fn networks(
        &self,
        text: &str,
        family: Option<Family>,
        word: &Word,
    ) -> Result<Vec<Network>, Fault> {
        let refuse = |problem| Err((word.at.clone(), problem));
        let not_understood = || Problem::Expected {
            what: Expected::Address,
            found: Some(text.to_owned()),
        };
        let (address, prefix) = match text.strip_prefix('[') {
            Some(inside) => {
                let Some((inside, behind)) = inside.split_once(']') else {
                    return refuse(not_understood());
                };
                match (inside.split_once('/'), behind.strip_prefix('/')) {
                    (Some((address, prefix)), None) if behind.is_empty() => (address, Some(prefix)),
                    (None, Some(prefix)) => (inside, Some(prefix)),
                    (None, None) if behind.is_empty() => (inside, None),
                    _ => return refuse(not_understood()),
                }
            }
            None => match text.split_once('/') {
                Some((address, prefix)) => (address, Some(prefix)),
                None => (text, None),
            },
        };
        if let Some((before, scope)) = address.split_once('%')
            && before.parse::<Ipv6Addr>().is_ok()
        {
            let interface = scope.to_owned();
            return refuse(Problem::ScopeApart { interface });
        }
        let parsed = match address.parse::<IpAddr>() {
            Ok(address) => Some(address),
            // 10/8 and 192.168/16, but no shorter address alone: 127 would be 127.0.0.0.
            Err(_) => prefix.and_then(|_| short_v4(address)).map(IpAddr::V4),
        };
        let (Some(address), prefix) = (parsed, prefix) else {
            // Only what may be a name is asked for.
            let may_be_name = address.contains(|c: char| c.is_alphabetic())
                && !address.contains([':', '/', '*', ' ', '%']);
            if prefix.is_some() || !may_be_name {
                return refuse(not_understood());
            }
            let mut addresses = self.names.host(address);
            addresses.retain(|address| match family {
                Some(Family::Inet) => address.is_ipv4(),
                Some(Family::Inet6) => address.is_ipv6(),
                _ => true,
            });
            if addresses.is_empty() {
                return Err(lookup::no_such(Kind::Host, address.to_owned(), word));
            }
            return Ok(addresses.into_iter().map(Network::from).collect());
        };
        let Some(prefix) = prefix else {
            return Ok(vec![Network::from(address)]);
        };
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = match numbers::number(prefix, bits.into()) {
            Ok(length) => u8::try_from(length).unwrap_or(bits),
            Err(numbers::NoNumber::TooGreat) => return refuse(Problem::PrefixTooLong { bits }),
            Err(numbers::NoNumber::LeadingZero) => return refuse(Problem::LeadingZero),
            Err(numbers::NoNumber::Other) => match mask_length(prefix) {
                Some(length) if address.is_ipv4() => length,
                _ => {
                    return refuse(Problem::Expected {
                        what: Expected::Prefix,
                        found: Some(prefix.to_owned()),
                    });
                }
            },
        };
        match Network::new(address, length) {
            Ok(network) => Ok(vec![network]),
            Err(_) => refuse(Problem::PrefixTooLong { bits }),
        }
    }
}

/// The first numbers of an IPv4 address, the others being 0.
fn short_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let numbers: Vec<&str> = text.split('.').collect();
    if numbers.len() > octets.len() {
        return None;
    }
    for (octet, number) in octets.iter_mut().zip(numbers) {
        let number = numbers::number(number, u8::MAX.into()).ok()?;
        *octet = u8::try_from(number).ok()?;
    }
    Some(Ipv4Addr::from(octets))
}

/// 255.255.0.0 is /16; a mask with a gap is no prefix.
fn mask_length(text: &str) -> Option<u8> {
    let mask = text.parse::<Ipv4Addr>().ok()?.to_bits();
    let ones = mask.leading_ones();
    (mask.checked_shl(ones).unwrap_or(0) == 0)
        .then(|| u8::try_from(ones).ok())
        .flatten()
}
