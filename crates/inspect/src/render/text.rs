//! Foreign text made harmless and readable.

use std::fmt::{self, Write};

use crate::model::ForeignText;

/// The characters an output can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Everything.
    Utf8,
    /// ASCII only: the locale is not UTF-8.
    Ascii,
}

/// Foreign bytes as one line of visible text. Written with `{}` it can be read back to the
/// exact bytes: what is escaped begins with a backslash, and a backslash is doubled.
///
/// Escaped are the C0 and C1 controls, DEL, line and paragraph separators, and characters that
/// are invisible or turn the direction of the text around; bytes that are not UTF-8 become
/// `\xff`.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a> {
    bytes: &'a [u8],
    charset: Charset,
    quotes: bool,
    brackets: bool,
}

impl<'a> Escaped<'a> {
    /// A name: without quotes.
    pub fn name(text: &'a ForeignText, charset: Charset) -> Self {
        Self {
            bytes: text.as_bytes(),
            charset,
            quotes: false,
            brackets: false,
        }
    }

    /// The name of a process, where its number follows in brackets: those in the name are escaped,
    /// so that `a[1]` of process 2 is `a\[1\][2]`, and no name passes for another process.
    pub fn process(command: &'a ForeignText, charset: Charset) -> Self {
        Self {
            brackets: true,
            ..Self::name(command, charset)
        }
    }

    /// A payload: in quotes, and quotes inside it escaped.
    pub fn quoted(bytes: &'a [u8], charset: Charset) -> Self {
        Self {
            bytes,
            charset,
            quotes: true,
            brackets: false,
        }
    }

    /// Text of a payload without the quotes, as a dialogue shows it.
    pub fn bare(bytes: &'a [u8], charset: Charset) -> Self {
        Self {
            bytes,
            charset,
            quotes: false,
            brackets: false,
        }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.quotes {
            f.write_char('"')?;
        }
        for chunk in self.bytes.utf8_chunks() {
            let valid = chunk.valid();
            // Runs of harmless ASCII, the common case, are written at once.
            let mut plain_from = 0;
            for (at, c) in valid.char_indices() {
                if self.is_plain(c) {
                    continue;
                }
                if c as u32 > 0x7f && self.charset == Charset::Utf8 && !is_hidden(c) {
                    continue;
                }
                f.write_str(&valid[plain_from..at])?;
                plain_from = at + c.len_utf8();
                match c {
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '[' => f.write_str("\\[")?,
                    ']' => f.write_str("\\]")?,
                    c => write!(f, "\\u{{{:x}}}", c as u32)?,
                }
            }
            f.write_str(&valid[plain_from..])?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        if self.quotes {
            f.write_char('"')?;
        }
        Ok(())
    }
}

impl Escaped<'_> {
    fn is_plain(&self, c: char) -> bool {
        match c {
            '\\' => false,
            '"' => !self.quotes,
            '[' | ']' => !self.brackets,
            ' '..='~' => true,
            _ => false,
        }
    }
}

/// Characters that a terminal obeys or does not show, or that change what the others around
/// them look like: controls, Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt),
/// and line, paragraph and annotation separators.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A message of our own, in which names from outside may stand raw: lines stay lines, and what a
/// terminal would obey is escaped.
pub fn message(text: &str, charset: Charset) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => "\n".to_owned(),
            c if is_hidden(c) || (charset == Charset::Ascii && !c.is_ascii()) => {
                format!("\\u{{{:x}}}", c as u32)
            }
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(bytes: &[u8], charset: Charset) -> String {
        Escaped::quoted(bytes, charset).to_string()
    }

    #[test]
    fn words_stay_and_controls_become_visible() {
        assert_eq!(quoted("你好".as_bytes(), Charset::Utf8), "\"你好\"");
        assert_eq!(
            quoted("你好".as_bytes(), Charset::Ascii),
            r#""\u{4f60}\u{597d}""#
        );
        assert_eq!(quoted(b"\x1b[31mred", Charset::Utf8), r#""\u{1b}[31mred""#);
        assert_eq!(quoted(b"a\r\n\tb\\\"", Charset::Utf8), r#""a\r\n\tb\\\"""#);
        assert_eq!(quoted(b"\xffok\xc3", Charset::Utf8), r#""\xffok\xc3""#);
        assert_eq!(
            quoted("\u{202e}x\u{200b}\u{9b}".as_bytes(), Charset::Utf8),
            r#""\u{202e}x\u{200b}\u{9b}""#
        );
    }

    #[test]
    fn a_name_keeps_its_quotes_but_not_its_newline() {
        let name = ForeignText::from("a\"b\nc");
        assert_eq!(Escaped::name(&name, Charset::Utf8).to_string(), "a\"b\\nc");
    }

    #[test]
    fn no_name_of_a_process_passes_for_another_process() {
        let shown = |name: &str| {
            let name = ForeignText::from(name);
            format!("{}[2]", Escaped::process(&name, Charset::Utf8))
        };
        assert_eq!(shown("evil[1]"), "evil\\[1\\][2]");
        assert_eq!(shown("a\\[1"), "a\\\\\\[1[2]");
        assert_eq!(shown("a[1] fd 3, b"), "a\\[1\\] fd 3, b[2]");
    }

    /// Reads the escaped form back.
    fn unescape(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '\\' {
                bytes.extend(c.to_string().bytes());
                continue;
            }
            match rest.next().unwrap() {
                'n' => bytes.push(b'\n'),
                'r' => bytes.push(b'\r'),
                't' => bytes.push(b'\t'),
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).unwrap());
                }
                'u' => {
                    let digits: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    let c = char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap();
                    bytes.extend(c.to_string().bytes());
                }
                c => bytes.extend(c.to_string().bytes()),
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn nothing_escapes_and_nothing_is_lost(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for charset in [Charset::Utf8, Charset::Ascii] {
                let text = Escaped::bare(&bytes, charset).to_string();
                prop_assert!(!text.chars().any(|c| c.is_control() || is_hidden(c)));
                prop_assert!(charset == Charset::Utf8 || text.is_ascii());
                prop_assert_eq!(unescape(&text), bytes.clone());
            }
        }
    }
}
