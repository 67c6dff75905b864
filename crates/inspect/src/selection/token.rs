//! Text -> words, parentheses and signs.
//!
//! ss parts words at spaces only. Here parentheses and signs part them too, so that
//! `(sport=:80)` is understood. A value, what stands after a word like `src` and its sign, goes
//! further: names hold `=` and balanced parentheses, and only space, `&`, `|` and the closing
//! parenthesis of the expression end it. Anything can be quoted: by a backslash before it, as in
//! ss, or in single or double quotes; in double quotes `\n`, `\xff` and `\u{1b}` mean what they
//! mean where names are shown.

use std::ops::Range;

use super::Comparison;
use super::error::Problem;
use super::words::JOINING;

/// A comparison as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// One of those in the tree.
    Is(Comparison),
    /// `!=`
    Unequal,
}

/// A piece of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Sign(Sign),
    Word(Word),
    End,
}

/// A word and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) at: Range<usize>,
    /// Each byte that is meant, and whether it was quoted.
    pub(super) bytes: Vec<(u8, bool)>,
}

impl Word {
    /// The bytes without their quotes.
    pub(super) fn plain(&self) -> Vec<u8> {
        self.bytes.iter().map(|(byte, _)| *byte).collect()
    }

    /// Whether any byte was quoted: then it is a name, and no word of the language.
    pub(super) fn is_quoted(&self) -> bool {
        self.bytes.is_empty() || self.bytes.iter().any(|(_, quoted)| *quoted)
    }

    /// The word in small letters, where it may be one of the language.
    pub(super) fn keyword(&self) -> Option<String> {
        if self.is_quoted() {
            return None;
        }
        let text = String::from_utf8(self.plain()).ok()?;
        Some(text.to_ascii_lowercase())
    }

    /// The bytes from the given one on.
    pub(super) fn from(&self, index: usize) -> &[(u8, bool)] {
        self.bytes.get(index..).unwrap_or_default()
    }
}

/// A problem and its place.
pub(super) type Fault = (Range<usize>, Problem);

/// Walks over the text.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The next token and its place; it stays the next one.
    pub(super) fn peek(&mut self) -> Result<(Range<usize>, Token), Fault> {
        self.skip_space();
        let start = self.at;
        let token = self.take();
        let at = start..self.at;
        self.at = start;
        token.map(|token| (at, token))
    }

    /// The next token and its place, which is behind us then.
    pub(super) fn next(&mut self) -> Result<(Range<usize>, Token), Fault> {
        self.skip_space();
        let start = self.at;
        let token = self.take()?;
        Ok((start..self.at, token))
    }

    /// The next value, or `None` where something stands that joins or closes, or nothing.
    pub(super) fn value(&mut self) -> Result<Option<Word>, Fault> {
        self.skip_space();
        let stops = |c: char| "()=<>!&|".contains(c);
        if self.rest().chars().next().is_none_or(stops) {
            return Ok(None);
        }
        let start = self.at;
        let mut open = 0_usize;
        let word = self.word(|c| match c {
            '(' => {
                open += 1;
                false
            }
            ')' if open == 0 => true,
            ')' => {
                open -= 1;
                false
            }
            '&' | '|' => true,
            _ => false,
        })?;
        if word
            .keyword()
            .is_some_and(|key| JOINING.contains(&key.as_str()))
        {
            self.at = start;
            return Ok(None);
        }
        Ok(Some(word))
    }

    /// Takes up again at a place that was passed.
    pub(super) fn go_back_to(&mut self, place: &Range<usize>) {
        self.at = place.start;
    }

    fn take(&mut self) -> Result<Token, Fault> {
        const SIGNS: [(&str, Token); 15] = [
            ("&&", Token::And),
            ("||", Token::Or),
            ("==", Token::Sign(Sign::Is(Comparison::Equal))),
            ("!=", Token::Sign(Sign::Unequal)),
            ("<=", Token::Sign(Sign::Is(Comparison::AtMost))),
            (">=", Token::Sign(Sign::Is(Comparison::AtLeast))),
            ("&", Token::And),
            ("|", Token::Or),
            ("!", Token::Not),
            ("=", Token::Sign(Sign::Is(Comparison::Equal))),
            ("<", Token::Sign(Sign::Is(Comparison::Less))),
            (">", Token::Sign(Sign::Is(Comparison::More))),
            ("(", Token::Open),
            (")", Token::Close),
            ("", Token::End),
        ];
        let rest = self.rest();
        for (text, token) in SIGNS {
            let found = if text.is_empty() {
                rest.is_empty()
            } else {
                rest.starts_with(text)
            };
            if found {
                self.at += text.len();
                return Ok(token);
            }
        }
        let word = self.word(|c| "()=<>!&|".contains(c))?;
        let sign = |sign| Token::Sign(Sign::Is(sign));
        Ok(match word.keyword().as_deref() {
            Some("and") => Token::And,
            Some("or") => Token::Or,
            Some("not") => Token::Not,
            Some("eq") => sign(Comparison::Equal),
            Some("ne" | "neq") => Token::Sign(Sign::Unequal),
            Some("lt") => sign(Comparison::Less),
            Some("le" | "leq") => sign(Comparison::AtMost),
            Some("gt") => sign(Comparison::More),
            Some("ge" | "geq") => sign(Comparison::AtLeast),
            _ => Token::Word(word),
        })
    }

    /// A word from here to a space or where `ends` says so.
    fn word(&mut self, mut ends: impl FnMut(char) -> bool) -> Result<Word, Fault> {
        let start = self.at;
        let mut bytes = Vec::new();
        while let Some(c) = self.rest().chars().next() {
            let here = self.at;
            match c {
                '\\' => {
                    self.at += 1;
                    // At the end there is nothing to quote.
                    let quoted = self.step().unwrap_or(c);
                    push(&mut bytes, quoted, true);
                }
                '\'' | '"' => {
                    self.at += 1;
                    if !self.quoted(c, &mut bytes) {
                        return Err((here..here + 1, Problem::UnclosedQuote));
                    }
                }
                c if c.is_whitespace() || ends(c) => break,
                c => {
                    self.at += c.len_utf8();
                    push(&mut bytes, c, false);
                }
            }
        }
        Ok(Word {
            at: start..self.at,
            bytes,
        })
    }

    fn step(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// The bytes up to the closing quote, and on behind it; false when there is none.
    fn quoted(&mut self, quote: char, bytes: &mut Vec<(u8, bool)>) -> bool {
        while let Some(c) = self.step() {
            if c == quote {
                return true;
            }
            if c != '\\' || quote == '\'' {
                push(bytes, c, true);
                continue;
            }
            match self.step() {
                Some('n') => push(bytes, '\n', true),
                Some('r') => push(bytes, '\r', true),
                Some('t') => push(bytes, '\t', true),
                Some('x') => match self.hex_byte() {
                    Some(byte) => bytes.push((byte, true)),
                    None => push(bytes, 'x', true),
                },
                Some('u') => {
                    let c = self.braced_char().unwrap_or('u');
                    push(bytes, c, true);
                }
                Some(c) => push(bytes, c, true),
                None => return false,
            }
        }
        false
    }

    /// The two digits of `\xff`.
    fn hex_byte(&mut self) -> Option<u8> {
        let digits = self.rest().get(..2)?;
        // A sign is no digit, though from_str_radix takes one.
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let byte = u8::from_str_radix(digits, 16).ok()?;
        self.at += 2;
        Some(byte)
    }

    /// The braces of `\u{1b}`.
    fn braced_char(&mut self) -> Option<char> {
        let (digits, _) = self.rest().strip_prefix('{')?.split_once('}')?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
        self.at += digits.len() + 2;
        Some(c)
    }
}

fn push(bytes: &mut Vec<(u8, bool)>, c: char, quoted: bool) {
    let mut buffer = [0; 4];
    let encoded = c.encode_utf8(&mut buffer).bytes();
    bytes.extend(encoded.map(|byte| (byte, quoted)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        let mut tokens = Tokens::new(text);
        let mut found = Vec::new();
        loop {
            match tokens.next().unwrap().1 {
                Token::End => return found,
                token => found.push(token),
            }
        }
    }

    fn values(text: &str) -> Vec<(String, Range<usize>)> {
        let mut tokens = Tokens::new(text);
        let mut found = Vec::new();
        while let Some(word) = tokens.value().unwrap() {
            let text = String::from_utf8(word.plain()).unwrap();
            found.push((text, word.at));
        }
        found
    }

    #[test]
    fn signs_and_parentheses_need_no_space() {
        use Comparison::{AtLeast, Equal};
        use Token::{And, Close, Not, Open, Or};
        let spaced = tokens("( sport >= :80 ) && ! ( dport == :1 || dport != :2 ) | a & b");
        assert_eq!(spaced.len(), 20);
        let kinds = |tokens: &[Token]| -> Vec<String> {
            tokens
                .iter()
                .map(|token| match token {
                    Token::Word(word) => String::from_utf8(word.plain()).unwrap(),
                    other => format!("{other:?}"),
                })
                .collect()
        };
        let tight = tokens("(sport>=:80)&&!(dport==:1||dport!=:2)|a&b");
        assert_eq!(kinds(&tight), kinds(&spaced));
        let is = |sign| Token::Sign(Sign::Is(sign));
        assert_eq!(
            tokens("AND Or nOt GE eq ( )"),
            [And, Or, Not, is(AtLeast), is(Equal), Open, Close]
        );
    }

    #[test]
    fn a_value_goes_on_where_a_word_would_end() {
        for (text, expected) in [
            ("/run/a=b,c<d !", "/run/a=b,c<d"),
            ("/run/a(1) x", "/run/a(1)"),
            ("nginx)", "nginx"),
            ("(nginx)", ""),
            ("nginx|x", "nginx"),
            ("a&b", "a"),
            ("and", ""),
            ("NOT x", ""),
            ("android", "android"),
            ("\\and", "and"),
            ("\"and\"", "and"),
            ("Web\\ Content x", "Web Content"),
            ("'Web Content'x", "Web Contentx"),
            ("a'b c'\"d \\x41\\u{e9}\\q\"", "ab cd Aéq"),
            ("\"\\x4\\u{}\\u{110000}\"", "x4u{}u{110000}"),
            ("'a\\b'", "a\\b"),
            ("a\\", "a\\"),
        ] {
            let first = values(text).into_iter().next().unwrap_or_default();
            assert_eq!(first.0, expected, "{text}");
        }
    }

    #[test]
    fn a_quote_without_an_end_is_told_where_it_begins() {
        for (text, at) in [("ab'c", 2..3), ("\"", 0..1), ("a\"b\\", 1..2)] {
            assert_eq!(
                Tokens::new(text).value(),
                Err((at, Problem::UnclosedQuote)),
                "{text}"
            );
        }
    }

    #[test]
    fn peeking_takes_nothing() {
        let mut tokens = Tokens::new("  src x");
        let peeked = tokens.peek().unwrap();
        assert_eq!(tokens.next().unwrap(), peeked);
        assert_eq!(peeked.0, 2..5);
    }

    proptest! {
        #[test]
        fn any_text_is_walked_to_its_end(text in "(\\PC|[ \n()=<>!&|'\"\\\\xu{}a-f0-9]){0,40}") {
            let mut tokens = Tokens::new(&text);
            let mut last = 0;
            loop {
                let value = tokens.value();
                let next = tokens.next();
                let (Ok(_), Ok((at, token))) = (value, next) else { break };
                prop_assert!(at.start >= last && at.end <= text.len());
                prop_assert!(text.get(at.clone()).is_some());
                last = at.end;
                if token == Token::End { break }
                prop_assert!(!at.is_empty());
            }
        }
    }
}
