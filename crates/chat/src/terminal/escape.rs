//! Hostile text made inert.
//!
//! A message may hold anything: colours, cursor movements, a window title, text that runs
//! backwards. What is shown is one line, and looks like what it is.

use std::fmt::Write as _;

/// Where text is going to be shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Surface {
    /// A terminal that shows UTF-8.
    Terminal,
    /// A terminal of another locale: everything beyond ASCII is spelled out.
    AsciiTerminal,
    /// A pipe or a file: text stays exact but for what would break the line or work as a control
    /// code once somebody does show it.
    Pipe,
}

impl Surface {
    /// The surface a terminal is, from the locale variables in their order of precedence.
    pub(crate) fn of_terminal(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .filter_map(variable)
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") {
            Self::Terminal
        } else {
            Self::AsciiTerminal
        }
    }
}

/// `bytes` as text that does nothing where it is shown: controls as `\u{1b}`, bytes that are not
/// UTF-8 as `\xff`.
pub(crate) fn escape(bytes: &[u8], surface: Surface) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push(&mut shown, character, surface);
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

fn push(shown: &mut String, character: char, surface: Surface) {
    let kept = match surface {
        Surface::Terminal => !is_control(character) && !is_invisible(character),
        Surface::AsciiTerminal => !is_control(character) && character.is_ascii(),
        Surface::Pipe => character == '\t' || !is_control(character),
    };
    if kept {
        shown.push(character);
    } else {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ => shown.extend(character.escape_unicode()),
        }
    }
}

/// C0, DEL, C1, and the two separators that some readers take for a line's end.
fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Characters that change the order of others or cannot be seen: Unicode's
/// `Default_Ignorable_Code_Point`, and the annotation marks beside its last block.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controls_are_spelled_out_and_words_are_not() {
        let shown = |bytes| escape(bytes, Surface::Terminal);
        assert_eq!(shown(b"\x1b[31mred\x07"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(shown("你好 é".as_bytes()), "你好 é");
        assert_eq!(shown(b"bad \xff\xc3 end"), "bad \\xff\\xc3 end");
        assert_eq!(
            shown("a\u{202e}b\u{200b}\u{9b}31m\u{7f}".as_bytes()),
            "a\\u{202e}b\\u{200b}\\u{9b}31m\\u{7f}"
        );
        assert_eq!(shown(b"a\r\n\tb\\n"), "a\\r\\n\\tb\\n");
    }

    #[test]
    fn nothing_invisible_stays_invisible_on_a_terminal() {
        for character in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{17b5}',
            '\u{180b}',
            '\u{180f}',
            '\u{200b}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2065}',
            '\u{206f}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff0}',
            '\u{fffb}',
            '\u{1bca0}',
            '\u{1bca3}',
            '\u{1d173}',
            '\u{1d17a}',
            '\u{e0000}',
            '\u{e0001}',
            '\u{e0100}',
            '\u{e0fff}',
            '\0',
            '\x7f',
            '\u{80}',
            '\u{9f}',
        ] {
            let shown = escape(character.to_string().as_bytes(), Surface::Terminal);
            assert_eq!(shown, character.escape_unicode().to_string());
        }
    }

    #[test]
    fn a_pipe_keeps_what_does_no_harm() {
        let family = "👨\u{200d}👩\u{200d}👧\t.";
        assert_eq!(escape(family.as_bytes(), Surface::Pipe), family);
        assert_eq!(
            escape(b"two\nlines\x1b", Surface::Pipe),
            "two\\nlines\\u{1b}"
        );
    }

    #[test]
    fn the_locale_decides_what_a_terminal_can_show() {
        let of = |pairs: &[(&str, &str)]| {
            Surface::of_terminal(|name| {
                pairs
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&[("LANG", "en_US.UTF-8")]), Surface::Terminal);
        assert_eq!(
            of(&[("LANG", "C.utf8"), ("LC_ALL", "C")]),
            Surface::AsciiTerminal
        );
        assert_eq!(
            of(&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8")]),
            Surface::Terminal
        );
        assert_eq!(of(&[]), Surface::AsciiTerminal);
        assert_eq!(escape("你".as_bytes(), Surface::AsciiTerminal), "\\u{4f60}");
    }

    proptest! {
        #[test]
        fn nothing_that_acts_comes_through(bytes: Vec<u8>) {
            for surface in [Surface::Terminal, Surface::AsciiTerminal, Surface::Pipe] {
                let shown = escape(&bytes, surface);
                prop_assert!(shown.chars().all(|c| c == '\t' || !is_control(c)));
                prop_assert!(surface != Surface::AsciiTerminal || shown.is_ascii());
                prop_assert_eq!(escape(shown.as_bytes(), surface), shown, "escaping twice is once");
            }
        }
    }
}
