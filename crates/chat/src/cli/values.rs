//! Flag values: text in, a valid value or the reason and the nearest valid one out. Pure.

use std::time::Duration;

use super::DEFAULT_PORT;
use crate::message::MAX_MESSAGE;

/// The most `--max-message` allows, in bytes.
pub(crate) const LONGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// The longest message of a pair, in bytes: a classroom `recv(1024)` takes it whole.
const PAIR_WORDS: usize = 1024;

/// A host, perhaps with a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Host {
    /// A name or an address, without brackets.
    pub name: String,
    /// The port, if it was given with the host.
    pub port: Option<u16>,
}

pub(super) fn bare(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// `HOST`, `HOST:N`, `[IPV6]:N` or `:N`.
pub(super) fn host(text: &str) -> Result<Host, String> {
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

pub(super) fn port(text: &str) -> Result<u16, String> {
    match port_number(text, 1)? {
        0 => Err("0 stands for a free port, which only chat server can take".to_owned()),
        port => Ok(port),
    }
}

pub(super) fn port_or_zero(text: &str) -> Result<u16, String> {
    port_number(text, 0)
}

pub(super) fn colon_port(text: &str) -> Result<u16, String> {
    port(
        text.strip_prefix(':')
            .ok_or("expected `:` and a port, such as :2345")?,
    )
}

pub(super) fn colon_port_or_zero(text: &str) -> Result<u16, String> {
    port_or_zero(
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

pub(super) fn max_message(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .map_err(|_| format!("a number of bytes, such as {MAX_MESSAGE}"))?;
    match number {
        0 => Err("at least 1 byte".to_owned()),
        1..=LONGEST_MESSAGE => Ok(number),
        _ => Err(format!("at most {LONGEST_MESSAGE} bytes (16 MiB)")),
    }
}

pub(super) fn one_line(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an empty message would send nothing".to_owned());
    }
    if text.contains(['\n', '\r']) {
        return Err("a message is one line".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn pair_words(text: &str) -> Result<String, String> {
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
pub(super) fn duration(text: &str) -> Result<Duration, String> {
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
    use crate::endpoint::Place;
    use proptest::prelude::*;

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
