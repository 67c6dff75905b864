//! Numbers, with and without units.

use crate::selection::error::{Expected, Problem};
use crate::selection::token::{Fault, Word};

/// Whether the word is nothing but digits: then it is a number, and no name.
pub(super) fn is_number(word: &Word) -> bool {
    !word.is_quoted() && word.bytes.iter().all(|(byte, _)| byte.is_ascii_digit())
}

/// Why some text is no number up to a greatest one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoNumber {
    /// It is something else.
    Other,
    /// It begins with a 0 that says nothing.
    LeadingZero,
    /// It is greater.
    TooGreat,
}

/// A decimal number, or a hexadecimal one after `0x`.
pub(super) fn number(text: &str, greatest: u64) -> Result<u64, NoNumber> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(NoNumber::Other);
    }
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') {
        return Err(NoNumber::LeadingZero);
    }
    match u64::from_str_radix(digits, radix) {
        Ok(number) if number <= greatest => Ok(number),
        _ => Err(NoNumber::TooGreat),
    }
}

/// The word as text.
pub(super) fn text(word: &Word) -> Result<String, Fault> {
    String::from_utf8(word.plain()).map_err(|_| (word.at.clone(), Problem::NotText))
}

/// A number that something counts.
fn counted(word: &Word, what: &'static str, greatest: u64) -> Result<u64, Fault> {
    let text = text(word)?;
    number(&text, greatest).map_err(|no| (word.at.clone(), no.problem(text, what, greatest)))
}

impl NoNumber {
    pub(super) fn problem(self, text: String, what: &'static str, greatest: u64) -> Problem {
        match self {
            Self::Other => Problem::Expected {
                what: Expected::Number,
                found: Some(text),
            },
            Self::LeadingZero => Problem::LeadingZero,
            Self::TooGreat => Problem::TooGreat {
                number: text,
                what,
                greatest,
            },
        }
    }
}

/// A number of 32 bits.
pub(super) fn u32(word: &Word, what: &'static str) -> Result<u32, Fault> {
    let number = counted(word, what, u32::MAX.into())?;
    // It is within bounds already.
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A number of 64 bits.
pub(super) fn u64(word: &Word, what: &'static str) -> Result<u64, Fault> {
    counted(word, what, u64::MAX)
}

/// A number of things.
pub(super) fn count(word: &Word) -> Result<u64, Fault> {
    u64(word, "number")
}

/// A number of bytes: k, M and G count 1024, 1024² and 1024³, as everywhere with sockets.
pub(super) fn size(word: &Word) -> Result<u64, Fault> {
    let text = text(word)?;
    let (number, unit) = parted(&text);
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(not(word, Expected::Size, text)),
    };
    scaled(number, scale).map_err(|no| (word.at.clone(), no.problem(&text, Expected::Size, "byte")))
}

/// A time in microseconds, from one with its unit; 0 needs none.
pub(super) fn micros(word: &Word) -> Result<u64, Fault> {
    let text = text(word)?;
    let (number, unit) = parted(&text);
    let scale = match unit {
        // Both signs that Unicode has for micro.
        "us" | "usec" | "µs" | "μs" => 1,
        "ms" | "msec" => 1_000,
        "s" | "sec" => 1_000_000,
        "" if number == "0" => 1,
        _ => return Err(not(word, Expected::Time, text)),
    };
    scaled(number, scale).map_err(|no| {
        let problem = no.problem(&text, Expected::Time, "microsecond");
        (word.at.clone(), problem)
    })
}

fn not(word: &Word, what: Expected, found: String) -> Fault {
    let found = Some(found);
    (word.at.clone(), Problem::Expected { what, found })
}

/// A number and what follows it.
fn parted(text: &str) -> (&str, &str) {
    let digits = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.');
    text.split_at_checked(digits.count()).unwrap_or((text, ""))
}

enum NotScaled {
    Other,
    TooFine,
    TooGreat,
}

impl NotScaled {
    fn problem(self, text: &str, what: Expected, unit: &'static str) -> Problem {
        match self {
            Self::Other => Problem::Expected {
                what,
                found: Some(text.to_owned()),
            },
            Self::TooFine => Problem::TooFine { unit },
            Self::TooGreat => Problem::TooGreat {
                number: text.to_owned(),
                what: unit,
                greatest: u64::MAX,
            },
        }
    }
}

/// A decimal number times `scale`, exactly.
fn scaled(number: &str, scale: u64) -> Result<u64, NotScaled> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(NotScaled::Other);
    }
    let whole: u128 = whole.parse().map_err(|_| NotScaled::TooGreat)?;
    let fraction = fraction.trim_end_matches('0');
    // More decimals than this are finer than any unit.
    if fraction.len() > 12 {
        return Err(NotScaled::TooFine);
    }
    let parts = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(12));
    let fraction: u128 = format!("0{fraction}")
        .parse()
        .map_err(|_| NotScaled::Other)?;
    let fraction = fraction * u128::from(scale);
    if !fraction.is_multiple_of(parts) {
        return Err(NotScaled::TooFine);
    }
    whole
        .checked_mul(u128::from(scale))
        .and_then(|whole| whole.checked_add(fraction / parts))
        .and_then(|sum| u64::try_from(sum).ok())
        .ok_or(NotScaled::TooGreat)
}
