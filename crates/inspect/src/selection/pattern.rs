//! Names like this: `*`, `?` and `[...]`, as in a shell (glob(7), fnmatch(3)).

use std::fmt;

use super::words::Quoted;
use crate::model::ForeignText;

/// What a name looks like. `*` stands for any text, slashes too, `?` for one character, `[a-z]`
/// and `[!a-z]` for one of some characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// This byte.
    Byte(u8),
    /// Any text.
    Many,
    /// One character.
    One,
    /// A character of these ranges, or of none of them.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Matches this text and no other.
    pub fn exact(text: &[u8]) -> Self {
        Self(text.iter().copied().map(Piece::Byte).collect())
    }

    /// Reads a pattern from its bytes, of which each says whether it was quoted: a quoted byte
    /// means itself.
    pub(super) fn from_quoted(bytes: &[(u8, bool)]) -> Self {
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(&(byte, quoted)) = bytes.get(at) {
            let (piece, length) = match (byte, quoted) {
                (b'*', false) => (Piece::Many, 1),
                (b'?', false) => (Piece::One, 1),
                // Without its end it is a bracket.
                (b'[', false) => class(&bytes[at..]).unwrap_or((Piece::Byte(byte), 1)),
                _ => (Piece::Byte(byte), 1),
            };
            // Several stars say no more than one, and cost more.
            if piece != Piece::Many || pieces.last() != Some(&Piece::Many) {
                pieces.push(piece);
            }
            at += length;
        }
        Self(pieces)
    }

    /// The one text it matches, where it is one.
    pub fn as_exact(&self) -> Option<ForeignText> {
        self.start_of(self.0.len())
    }

    /// The first `length` bytes of whatever it matches, where they are always the same.
    pub(super) fn start_of(&self, length: usize) -> Option<ForeignText> {
        let bytes: Option<Vec<u8>> = self
            .0
            .get(..length)?
            .iter()
            .map(|piece| match piece {
                Piece::Byte(byte) => Some(*byte),
                _ => None,
            })
            .collect();
        bytes.map(ForeignText::new)
    }

    /// Whether the text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.fits(text, false)
    }

    /// Whether the text matches when small and capital letters of ASCII count as the same.
    pub fn matches_in_either_case(&self, text: &[u8]) -> bool {
        self.fits(text, true)
    }

    /// When a piece does not fit, only the last star is asked to take more: what an earlier one
    /// would take, the last can take as well. So the cost is at most pieces times text.
    fn fits(&self, text: &[u8], fold: bool) -> bool {
        let (mut piece, mut at) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            let step = match self.0.get(piece) {
                Some(Piece::Many) => {
                    star = Some((piece, at));
                    piece += 1;
                    continue;
                }
                Some(wanted) => wanted.takes(&text[at..], fold),
                None if at == text.len() => return true,
                None => None,
            };
            match (step, star) {
                (Some(length), _) => {
                    piece += 1;
                    at += length;
                }
                (None, Some((star_piece, taken))) => {
                    // A whole character, so that what follows never begins inside one.
                    let Some((_, length)) = first_char(&text[taken..]) else {
                        return false;
                    };
                    star = Some((star_piece, taken + length));
                    piece = star_piece + 1;
                    at = taken + length;
                }
                (None, None) => return false,
            }
        }
    }
}

impl Piece {
    /// How many bytes at the start of the text it stands for.
    fn takes(&self, text: &[u8], fold: bool) -> Option<usize> {
        match self {
            Self::Byte(byte) => {
                let first = text.first()?;
                (first == byte || fold && first.eq_ignore_ascii_case(byte)).then_some(1)
            }
            Self::Many => Some(0),
            Self::One => first_char(text).map(|(_, length)| length),
            Self::Class { negated, ranges } => {
                let (first, length) = first_char(text)?;
                let among = |c: char| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
                // Bytes that are no text are in no range.
                let found = first.is_some_and(|c| {
                    among(c)
                        || fold && (among(c.to_ascii_lowercase()) || among(c.to_ascii_uppercase()))
                });
                (found != *negated).then_some(length)
            }
        }
    }
}

/// The first character and its length; a byte that begins none stands for itself.
fn first_char(text: &[u8]) -> Option<(Option<char>, usize)> {
    let start = &text[..text.len().min(4)];
    let chunk = start.utf8_chunks().next()?;
    Some(match chunk.valid().chars().next() {
        Some(c) => (Some(c), c.len_utf8()),
        None => (None, 1),
    })
}

/// A class, where the bytes begin with a whole one, and its length in bytes.
fn class(bytes: &[(u8, bool)]) -> Option<(Piece, usize)> {
    let mut at = 1;
    let negated = matches!(bytes.get(at), Some((b'!' | b'^', false)));
    at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        // A bracket in the first place is a member (glob(7)).
        if bytes.get(at) == Some(&(b']', false)) && !ranges.is_empty() {
            return Some((Piece::Class { negated, ranges }, at + 1));
        }
        let from = member(bytes, &mut at)?;
        let dash = bytes.get(at) == Some(&(b'-', false));
        if dash && bytes.get(at + 1) != Some(&(b']', false)) {
            at += 1;
            ranges.push((from, member(bytes, &mut at)?));
        } else {
            ranges.push((from, from));
        }
    }
}

fn member(bytes: &[(u8, bool)], at: &mut usize) -> Option<char> {
    let text: Vec<u8> = bytes
        .iter()
        .skip(*at)
        .take(4)
        .map(|(byte, _)| *byte)
        .collect();
    let (c, length) = first_char(&text)?;
    *at += length;
    c
}

impl fmt::Display for Pattern {
    /// As [`super::parse`] reads it; empty text is `""`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain = Vec::new();
        for piece in &self.0 {
            if let Piece::Byte(byte) = piece {
                plain.push(*byte);
                continue;
            }
            write_plain(f, &mut plain)?;
            match piece {
                Piece::Byte(_) => {}
                Piece::Many => f.write_str("*")?,
                Piece::One => f.write_str("?")?,
                Piece::Class { negated, ranges } => {
                    f.write_str(if *negated { "[!" } else { "[" })?;
                    for (from, to) in ranges {
                        write_member(f, *from)?;
                        if from != to {
                            f.write_str("-")?;
                            write_member(f, *to)?;
                        }
                    }
                    f.write_str("]")?;
                }
            }
        }
        if self.0.is_empty() {
            return f.write_str("\"\"");
        }
        write_plain(f, &mut plain)
    }
}

fn write_plain(f: &mut fmt::Formatter<'_>, plain: &mut Vec<u8>) -> fmt::Result {
    if !plain.is_empty() {
        write!(f, "{}", Quoted(plain))?;
        plain.clear();
    }
    Ok(())
}

fn write_member(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    if c.is_ascii_alphanumeric() {
        return write!(f, "{c}");
    }
    write!(
        f,
        "{}",
        Quoted::always(c.encode_utf8(&mut [0; 4]).as_bytes())
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        let bytes: Vec<_> = text.bytes().map(|byte| (byte, false)).collect();
        Pattern::from_quoted(&bytes)
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (wanted, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "/run/a", true),
            ("/run/*", "/run/user/1/bus", true),
            ("*bus", "/run/user/1/bus", true),
            ("*bus", "/run/user/1/bus2", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a**b", "ab", true),
            ("worker-?", "worker-7", true),
            ("worker-?", "worker-", false),
            ("worker-?", "worker-77", false),
            ("?", "你", true),
            ("??", "你", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[^a-c]x", "bx", false),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[你-好]", "你", true),
            ("[ab", "[ab", true),
            ("[", "[", true),
            ("*[!\u{e9}]", "\u{e9}", false),
            ("*?b", "\u{e9}b", true),
            ("Web", "web", false),
        ] {
            assert_eq!(
                pattern(wanted).matches(text.as_bytes()),
                matches,
                "{wanted} {text}"
            );
        }
        assert!(pattern("?*").matches(b"\xff"));
        assert!(!pattern("[a-z]").matches(b"\xff"));
        assert!(pattern("[!a-z]").matches(b"\xff"));
    }

    #[test]
    fn either_case_is_for_those_who_ask() {
        for (wanted, text) in [("/run/x*", "/RUN/Xy"), ("[a-c]", "B"), ("[A-C]", "b")] {
            assert!(!pattern(wanted).matches(text.as_bytes()));
            assert!(pattern(wanted).matches_in_either_case(text.as_bytes()));
        }
    }

    #[test]
    fn a_pattern_without_wildcards_is_one_text() {
        assert_eq!(
            pattern("nginx").as_exact(),
            Some(ForeignText::from("nginx"))
        );
        assert_eq!(pattern("ngin?").as_exact(), None);
        assert_eq!(
            Pattern::exact(b"a*").as_exact(),
            Some(ForeignText::from("a*"))
        );
        assert!(Pattern::exact(b"a*").matches(b"a*"));
        assert!(!Pattern::exact(b"a*").matches(b"ab"));
        assert_eq!(
            pattern("ngin?").start_of(4),
            Some(ForeignText::from("ngin"))
        );
    }

    #[test]
    fn stars_without_end_cost_no_more_than_pieces_times_text() {
        let wanted = pattern(&"*a".repeat(200));
        let text = "a".repeat(199) + &"b".repeat(20_000);
        assert!(!wanted.matches(text.as_bytes()));
    }

    /// The same by trying everything.
    fn slow(pieces: &[Piece], text: &[u8]) -> bool {
        match pieces.split_first() {
            None => text.is_empty(),
            Some((Piece::Many, rest)) => {
                slow(rest, text)
                    || first_char(text).is_some_and(|(_, length)| slow(pieces, &text[length..]))
            }
            Some((piece, rest)) => piece
                .takes(text, false)
                .is_some_and(|length| slow(rest, &text[length..])),
        }
    }

    proptest! {
        #[test]
        fn the_quick_answer_is_that_of_trying_everything(
            wanted in "[ab*?\\[\\]!é-]{0,8}",
            text in "[abé-]{0,8}",
        ) {
            let wanted = pattern(&wanted);
            prop_assert_eq!(wanted.matches(text.as_bytes()), slow(&wanted.0, text.as_bytes()));
        }

        #[test]
        fn any_bytes_match_themselves(text: Vec<u8>) {
            prop_assert!(Pattern::exact(&text).matches(&text));
            prop_assert!(Pattern::exact(&text).matches_in_either_case(&text));
        }
    }
}
