//! The bytes of a packet in hexadecimal, and what of them is ASCII beside it.
//!
//! To the letter the block that tcpdump writes for `-x` and `-X` (print-ascii.c), so that what
//! reads tcpdump's blocks reads these.

use super::payload::hex;

/// Which bytes, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dump {
    /// ASCII beside the numbers, other bytes as dots.
    pub ascii: bool,
    /// The link header too; else from the network header on.
    pub link_header: bool,
}

/// Bytes a line.
const LINE: usize = 16;
/// The columns of the numbers of a whole line: pairs of bytes, with a space before each.
const NUMBERS: usize = LINE / 2 * 5;

impl Dump {
    /// Appends the block of a frame, of which the network header begins at `network`.
    pub(super) fn write(self, out: &mut Vec<u8>, frame: &[u8], network: u32) {
        let from = match usize::try_from(network) {
            Ok(network) if !self.link_header => network,
            _ => 0,
        };
        let bytes = frame.get(from..).unwrap_or_default();
        for (index, line) in bytes.chunks(LINE).enumerate() {
            let offset = u32::try_from(index * LINE).unwrap_or(u32::MAX);
            out.extend_from_slice(b"\t0x");
            number(out, offset);
            out.extend_from_slice(b": ");
            let start = out.len();
            for pair in line.chunks(2) {
                out.push(b' ');
                for byte in pair {
                    out.extend_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
                }
            }
            if self.ascii {
                out.resize(start + NUMBERS + 2, b' ');
                out.extend(line.iter().map(|byte| match byte {
                    b'!'..=b'~' => *byte,
                    _ => b'.',
                }));
            }
            out.push(b'\n');
        }
    }
}

/// Four digits; more where they are needed.
fn number(out: &mut Vec<u8>, value: u32) {
    let digits = (8 - value.leading_zeros() / 4).max(4);
    for place in (0..digits).rev() {
        let digit = (value >> (4 * place)) & 15;
        out.push(hex(u8::try_from(digit).unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(ascii: bool, link_header: bool, frame: &[u8], network: u32) -> String {
        let mut out = Vec::new();
        Dump { ascii, link_header }.write(&mut out, frame, network);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_terminal_obeys_no_byte_and_the_text_stands_in_its_column() {
        let mut frame = b"link\x1b[2J\x7f\x9bhello, ~ world".to_vec();
        frame.extend([b'x'; 3]);
        assert_eq!(
            block(true, false, &frame, 4),
            "\t0x0000:  1b5b 324a 7f9b 6865 6c6c 6f2c 207e 2077  .[2J..hello,.~.w\n\
             \t0x0010:  6f72 6c64 7878 78                        orldxxx\n"
        );
        assert_eq!(
            block(false, true, &frame[..5], 4),
            "\t0x0000:  6c69 6e6b 1b\n"
        );
        assert_eq!(block(true, false, b"abc", 9), "", "nothing follows");
    }

    #[test]
    fn offsets_grow_beyond_four_digits() {
        let text = block(false, true, &vec![0; 0x10_010], 0);
        assert!(text.contains("\n\t0xfff0:  "), "four");
        assert!(
            text.ends_with("\t0x10000:  0000 0000 0000 0000 0000 0000 0000 0000\n"),
            "five"
        );
    }
}
