//! What a terminal sends, as keys. Pure: bytes in, keys out, any bytes.

/// A key, or what a key combination means everywhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    /// A character to insert.
    Char(char),
    /// Ctrl and a letter, which is lower case here.
    Control(char),
    /// Alt and a character.
    Alt(char),
    /// Return, also as a newline in pasted text.
    Enter,
    /// The key left of it all that removes backwards.
    Backspace,
    /// Removes forwards.
    Delete,
    /// One character back.
    Left,
    /// One character on.
    Right,
    /// The line before in history.
    Up,
    /// The line after in history.
    Down,
    /// To the start.
    Home,
    /// To the end.
    End,
    /// One word back.
    WordLeft,
    /// One word on.
    WordRight,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    Escape,
    /// After `ESC [`: the parameters so far.
    Sequence(Vec<u8>),
    /// After `ESC O`.
    Single,
    /// Inside a character of more than one byte.
    Character(Vec<u8>),
}

/// The longest sequence of parameters taken seriously, in bytes.
const LONGEST_SEQUENCE: usize = 32;

/// Recognises keys in a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    state: State,
}

impl Keys {
    /// Takes one byte; gives the key it completes. Unknown keys give nothing.
    pub(crate) fn push(&mut self, byte: u8) -> Option<Key> {
        match std::mem::take(&mut self.state) {
            State::Ground => self.ground(byte),
            State::Escape => self.escape(byte),
            State::Sequence(parameters) => self.sequence(parameters, byte),
            State::Single => arrow(byte, false),
            State::Character(bytes) => self.character(bytes, byte),
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'\r' | b'\n' => Some(Key::Enter),
            // There is nothing to complete, but pasted text may hold tabs.
            b'\t' => Some(Key::Char('\t')),
            0x7f | 0x08 => Some(Key::Backspace),
            0x1b => {
                self.state = State::Escape;
                None
            }
            0x01..=0x1a => Some(Key::Control(char::from(byte + b'a' - 1))),
            0x20..=0x7e => Some(Key::Char(char::from(byte))),
            0xc2..=0xf4 => {
                self.state = State::Character(vec![byte]);
                None
            }
            _ => None,
        }
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'[' => self.state = State::Sequence(Vec::new()),
            b'O' => self.state = State::Single,
            0x1b => self.state = State::Escape,
            0x7f | 0x08 => return Some(Key::Alt('\u{8}')),
            0x20..=0x7e => return Some(Key::Alt(char::from(byte))),
            _ => return self.ground(byte),
        }
        None
    }

    fn sequence(&mut self, mut parameters: Vec<u8>, byte: u8) -> Option<Key> {
        match byte {
            0x20..=0x3f if parameters.len() < LONGEST_SEQUENCE => {
                parameters.push(byte);
                self.state = State::Sequence(parameters);
                None
            }
            b'~' => match &*parameters {
                b"1" | b"7" => Some(Key::Home),
                b"3" => Some(Key::Delete),
                b"4" | b"8" => Some(Key::End),
                _ => None,
            },
            0x40..=0x7e => arrow(byte, parameters.contains(&b';')),
            _ => self.ground(byte),
        }
    }

    fn character(&mut self, mut bytes: Vec<u8>, byte: u8) -> Option<Key> {
        if byte & 0xc0 != 0x80 {
            return self.ground(byte);
        }
        bytes.push(byte);
        match std::str::from_utf8(&bytes) {
            // C1 controls are two bytes long; nobody types them.
            Ok(text) => text
                .chars()
                .next()
                .filter(|c| !c.is_control())
                .map(Key::Char),
            Err(error) => {
                if error.error_len().is_none() {
                    self.state = State::Character(bytes);
                }
                None
            }
        }
    }
}

fn arrow(byte: u8, modified: bool) -> Option<Key> {
    Some(match byte {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' if modified => Key::WordRight,
        b'C' => Key::Right,
        b'D' if modified => Key::WordLeft,
        b'D' => Key::Left,
        b'F' => Key::End,
        b'H' => Key::Home,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|&byte| keys.push(byte)).collect()
    }

    #[test]
    fn characters_and_controls() {
        let expected = [
            Key::Char('a'),
            Key::Char('你'),
            Key::Control('c'),
            Key::Enter,
        ];
        assert_eq!(keys("a你\x03\r".as_bytes()), expected);
        assert_eq!(
            keys(b"\xff\xe4a\xc2\x9b"),
            [Key::Char('a')],
            "what is not UTF-8 is dropped"
        );
    }

    #[test]
    fn sequences_of_common_terminals() {
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[1;5D\x1b[3~\x1b[1~\x1bOF\x1bb"),
            [
                Key::Up,
                Key::Down,
                Key::WordLeft,
                Key::Delete,
                Key::Home,
                Key::End,
                Key::Alt('b')
            ]
        );
        assert_eq!(
            keys(b"\x1b[200~x\x1b[99zy"),
            [Key::Char('x'), Key::Char('y')]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_and_typing_goes_on(bytes: Vec<u8>) {
            let mut keys = Keys::default();
            for byte in bytes {
                keys.push(byte);
            }
            // Whatever state that left, a few keys later all is well.
            keys.push(b'~');
            keys.push(b'~');
            prop_assert_eq!(keys.push(b'x'), Some(Key::Char('x')));
        }
    }
}
