//! The bytes of a packet in hexadecimal, and what of them is ASCII beside it.
//!
//! To the letter the block that tcpdump writes for `-x` and `-X` (print-ascii.c), so that what
//! reads tcpdump's blocks reads these. On a terminal too narrow for that a line has fewer bytes,
//! and never breaks.

use super::payload::hex;

/// Which bytes, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dump {
    /// ASCII beside the numbers, other bytes as dots.
    pub ascii: bool,
    /// The link header too; else from the network header on.
    pub link_header: bool,
}

/// Bytes a line, where there is room.
const LINE: usize = 16;
/// Where a terminal goes on behind the tab that a line begins with.
const TAB: usize = 8;

/// The columns of the numbers of a whole line: pairs of bytes, with a space before each.
fn numbers(line: usize) -> usize {
    line / 2 * 5
}

impl Dump {
    /// The bytes of a line, so that `length` of them fit into a terminal of so many columns: half
    /// as many, and half of that again, so that offsets stay round.
    fn line(self, length: usize, width: Option<usize>) -> usize {
        let Some(width) = width else { return LINE };
        let offset = usize::from(digits(u32::try_from(length).unwrap_or(u32::MAX)));
        let columns = |line: usize| {
            let ascii = if self.ascii { 2 + line } else { 0 };
            TAB + "0x: ".len() + offset + numbers(line) + ascii
        };
        let mut line = LINE;
        while line > 2 && columns(line) > width {
            line /= 2;
        }
        line
    }

    /// Appends the block of a frame, of which the network header begins at `network`, for a
    /// terminal of so many columns; `None`: for a pipe.
    pub(super) fn write(self, out: &mut Vec<u8>, frame: &[u8], network: u32, width: Option<usize>) {
        let from = match usize::try_from(network) {
            Ok(network) if !self.link_header => network,
            _ => 0,
        };
        let bytes = frame.get(from..).unwrap_or_default();
        let length = self.line(bytes.len(), width);
        for (index, line) in bytes.chunks(length).enumerate() {
            let offset = u32::try_from(index * length).unwrap_or(u32::MAX);
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
                out.resize(start + numbers(length) + 2, b' ');
                out.extend(line.iter().map(|byte| match byte {
                    b'!'..=b'~' => *byte,
                    _ => b'.',
                }));
            }
            out.push(b'\n');
        }
    }
}

/// Hexadecimal digits of an offset: four, and more where they are needed.
fn digits(value: u32) -> u8 {
    let digits = 8 - value.leading_zeros() / 4;
    u8::try_from(digits).unwrap_or(8).max(4)
}

fn number(out: &mut Vec<u8>, value: u32) {
    for place in (0..digits(value)).rev() {
        let digit = (value >> (4 * place)) & 15;
        out.push(hex(u8::try_from(digit).unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(ascii: bool, link_header: bool, frame: &[u8], network: u32) -> String {
        let mut out = Vec::new();
        Dump { ascii, link_header }.write(&mut out, frame, network, None);
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
    fn a_narrow_terminal_has_fewer_bytes_a_line_and_no_line_breaks() {
        let frame = vec![b'x'; 0x1_0100];
        for (ascii, bytes, width, per_line) in [
            (true, 32, 80, 16),
            (true, 32, 74, 16),
            (true, 32, 73, 8),
            (true, 32, 60, 8),
            (true, 32, 45, 4),
            (true, 32, 20, 2),
            (true, 0x1_0100, 74, 8),
            (false, 32, 60, 16),
            (false, 32, 55, 8),
            (false, 32, 40, 8),
        ] {
            let mut out = Vec::new();
            let dump = Dump {
                ascii,
                link_header: true,
            };
            dump.write(&mut out, &frame[..bytes], 0, Some(width));
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.lines().count(), bytes / per_line, "{width}");
            let widest = text.lines().map(|line| TAB - 1 + line.len()).max().unwrap();
            assert!(widest <= width.max(25), "{widest} of {width}");
        }
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
