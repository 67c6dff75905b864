//! Payloads as text, whole or as much as there is room for.

use std::io::Write;

use unicode_width::UnicodeWidthStr;

use crate::render::text::is_hidden;
use crate::render::{Charset, Escaped, Screen};

/// Appends a payload in quotes: what [`Escaped::quoted`] writes, at several times its speed for
/// ASCII and for bytes that are no text, of which captures are full.
pub(super) fn quoted(out: &mut Vec<u8>, payload: &[u8], charset: Charset) {
    out.push(b'"');
    escaped::<true>(out, payload, charset);
    out.push(b'"');
}

/// Appends a payload without quotes: what [`Escaped::bare`] writes, as fast.
pub(super) fn bare(out: &mut Vec<u8>, payload: &[u8], charset: Charset) {
    escaped::<false>(out, payload, charset);
}

fn escaped<const QUOTES: bool>(out: &mut Vec<u8>, payload: &[u8], charset: Charset) {
    let mut rest = payload;
    while let Some(first) = rest.first() {
        let run = match first {
            0x80.. => {
                let run = length_of(rest, |byte| byte >= 0x80);
                beyond_ascii(out, &rest[..run], charset);
                run
            }
            b'"' | b'\\' if QUOTES || *first == b'\\' => {
                out.extend_from_slice(&[b'\\', *first]);
                1
            }
            b' '..=b'~' => {
                let run = plain::<QUOTES>(rest);
                out.extend_from_slice(&rest[..run]);
                run
            }
            b'\n' => literal(out, b"\\n"),
            b'\r' => literal(out, b"\\r"),
            b'\t' => literal(out, b"\\t"),
            control => {
                out.extend_from_slice(b"\\u{");
                if *control >= 0x10 {
                    out.push(hex(control >> 4));
                }
                out.extend_from_slice(&[hex(control & 15), b'}']);
                1
            }
        };
        rest = &rest[run..];
    }
}

fn is_plain<const QUOTES: bool>(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\' && !(QUOTES && byte == b'"')
}

/// How many bytes stand for themselves. Eight at a time: the top bit of each byte that does not
/// is set, and perhaps that of bytes behind it, so that the first is right (the zero byte of a
/// word, as in "Hacker's Delight", 6-1).
fn plain<const QUOTES: bool>(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let each = |byte: u8| ONES * u64::from(byte);
    let below = |word: u64, least: u8| word.wrapping_sub(each(least)) & !word & TOPS;
    let is = |word: u64, byte: u8| below(word ^ each(byte), 1);
    let mut at = 0;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*eight);
        let mut others = word & TOPS | below(word, b' ') | is(word, 0x7f) | is(word, b'\\');
        if QUOTES {
            others |= is(word, b'"');
        }
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + length_of(rest, is_plain::<QUOTES>)
}

fn length_of(bytes: &[u8], is_one: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|byte| !is_one(*byte))
        .unwrap_or(bytes.len())
}

/// Stands for one byte.
fn literal(out: &mut Vec<u8>, text: &[u8]) -> usize {
    out.extend_from_slice(text);
    1
}

/// A digit below 16.
pub(super) fn hex(digit: u8) -> u8 {
    if digit < 10 {
        b'0' + digit
    } else {
        b'a' + digit - 10
    }
}

/// No character reaches across ASCII, so a run without any can be judged alone.
fn beyond_ascii(out: &mut Vec<u8>, run: &[u8], charset: Charset) {
    for chunk in run.utf8_chunks() {
        let valid = chunk.valid();
        if charset == Charset::Utf8 && !valid.chars().any(is_hidden) {
            out.extend_from_slice(valid.as_bytes());
        } else {
            // A Vec takes everything.
            let _ = write!(out, "{}", Escaped::bare(valid.as_bytes(), charset));
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]);
        }
    }
}

/// Columns that [`fitted`] needs at least to show something of a payload.
pub(super) const LEAST: usize = 8;

/// A payload in quotes, no wider than `columns`; what was cut off is marked behind the quotes,
/// and an escape is never cut through.
pub(super) fn fitted(payload: &[u8], columns: usize, screen: &Screen) -> String {
    let columns = columns.max(LEAST);
    // A character of one column has at most four bytes.
    let shown = payload.get(..columns * 4).unwrap_or(payload);
    // The end may lie inside a character, which would then be escaped as bytes: it is cut off
    // anyway, being beyond the columns.
    let text = Escaped::quoted(shown, screen.charset).to_string();
    if shown.len() == payload.len() && text.width() <= columns {
        return text;
    }
    let ellipsis = screen.ellipsis();
    let room = columns.saturating_sub(ellipsis.width() + 1);
    let mut kept = 0;
    let mut width = 0;
    for token in tokens(&text) {
        width += token.width();
        if width > room {
            break;
        }
        kept += token.len();
    }
    format!("{}\"{ellipsis}", &text[..kept])
}

/// The characters of an escaped text, escapes whole.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let length = match (first, rest.as_bytes().get(1)) {
            ('\\', Some(b'u')) => rest.find('}').map_or(rest.len(), |at| at + 1),
            ('\\', Some(b'x')) => 4.min(rest.len()),
            ('\\', Some(_)) => 2,
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    })
}

/// A text in lines no wider than `room`; escapes stay whole.
pub(super) fn broken(text: &str, room: Option<usize>) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(room) = room else {
            rest = None;
            return Some(text);
        };
        let mut width = 0;
        let mut end = 0;
        for token in tokens(text) {
            width += token.width();
            if width > room && end > 0 {
                break;
            }
            end += token.len();
        }
        let (line, after) = text.split_at(end);
        rest = (!after.is_empty()).then_some(after);
        Some(line)
    })
}

/// Columns before what belongs to the line above it.
pub(super) const INDENT: usize = 4;

/// Appends a payload on lines of its own, each after four spaces, escaped; for a terminal of so
/// many columns broken where it reaches the edge.
pub(super) fn block(out: &mut Vec<u8>, payload: &[u8], charset: Charset, width: Option<usize>) {
    let room = width.map(|width| width.saturating_sub(INDENT).max(LEAST));
    let body = payload.strip_suffix(b"\n").unwrap_or(payload);
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let from = out.len();
        out.resize(from + INDENT, b' ');
        bare(out, line, charset);
        if room.is_some_and(|room| out.len() - from - INDENT > room) {
            // What `bare` writes is text.
            let text = String::from_utf8_lossy(&out[from + INDENT..]).into_owned();
            out.truncate(from + INDENT);
            for (index, part) in broken(&text, room).enumerate() {
                if index > 0 {
                    out.push(b'\n');
                    out.resize(out.len() + INDENT, b' ');
                }
                out.extend_from_slice(part.as_bytes());
            }
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terminal(charset: Charset) -> Screen {
        Screen {
            width: Some(80),
            colour: false,
            charset,
        }
    }

    #[test]
    fn what_fits_stays_and_what_does_not_is_marked() {
        let screen = terminal(Charset::Utf8);
        assert_eq!(fitted(b"hello", 8, &screen), "\"hello\"");
        assert_eq!(fitted(b"hello world", 10, &screen), "\"hello w\"…");
        assert_eq!(fitted("你好你好你好".as_bytes(), 9, &screen), "\"你好你\"…");
        assert_eq!(fitted(b"abc\x1b[31m and more", 10, &screen), "\"abc\"…");
        assert_eq!(
            fitted(b"abcdefghijkl", 10, &terminal(Charset::Ascii)),
            "\"abcde\"..."
        );
    }

    #[test]
    fn a_block_keeps_lines_and_escapes_the_rest() {
        let mut out = Vec::new();
        block(
            &mut out,
            b"GET / HTTP/1.1\r\nHost: \x1b[2Jx\r\n\r\n",
            Charset::Utf8,
            None,
        );
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "    GET / HTTP/1.1\n    Host: \\u{1b}[2Jx\n    \n");
        let mut out = Vec::new();
        block(&mut out, b"Host: \x1b[2Jx\n", Charset::Utf8, Some(15));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text, "    Host: \n    \\u{1b}[2Jx\n",
            "an escape stays whole"
        );
    }

    proptest! {
        #[test]
        fn no_payload_is_wider_than_its_room(
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            columns in 8usize..120,
        ) {
            for charset in [Charset::Utf8, Charset::Ascii] {
                let text = fitted(&payload, columns, &terminal(charset));
                prop_assert!(text.width() <= columns, "{text:?}");
                prop_assert!(!text.chars().any(char::is_control));
            }
        }

        #[test]
        fn the_fast_way_writes_what_the_slow_one_does(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            text in "\\PC{0,20}",
        ) {
            for payload in [&bytes[..], text.as_bytes(), &[text.as_bytes(), &bytes].concat()] {
                for charset in [Charset::Utf8, Charset::Ascii] {
                    let mut out = Vec::new();
                    quoted(&mut out, payload, charset);
                    let slow = Escaped::quoted(payload, charset).to_string();
                    prop_assert_eq!(String::from_utf8(out).unwrap(), slow);
                    let mut out = Vec::new();
                    bare(&mut out, payload, charset);
                    let slow = Escaped::bare(payload, charset).to_string();
                    prop_assert_eq!(String::from_utf8(out).unwrap(), slow);
                }
            }
        }
    }
}
