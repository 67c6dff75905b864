//! Counts and sizes, as typed.

use crate::capture::SNAPLEN;

pub(super) fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("-c takes a number from 1".to_owned()),
    }
}

/// As in tcpdump, 0 is what one gets without asking.
pub(super) fn snaplen(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Ok(SNAPLEN),
        Ok(number) if number <= SNAPLEN => Ok(number),
        _ => Err(format!(
            "-s takes a number from 1 to {SNAPLEN}, or 0 for the default"
        )),
    }
}

/// A size in bytes; a bare number counts MiB.
pub(super) fn memory(text: &str) -> Result<usize, String> {
    let lower = text.to_ascii_lowercase();
    let (number, unit) = match lower.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => lower.split_at(at),
        None => (lower.as_str(), "m"),
    };
    let shift = match unit.trim_end_matches("ib") {
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        _ => None,
    };
    shift
        .and_then(|shift| number.parse::<usize>().ok()?.checked_mul(1 << shift))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "a size is written 500K, 64M or 1G".to_owned())
}

/// libpcap takes bytes, in a signed number.
const MOST_KIB: u32 = 2_000_000;

pub(super) fn buffer_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if (1..=MOST_KIB).contains(&number) => Ok(number),
        _ => Err(format!("-B takes a number from 1 to {MOST_KIB}")),
    }
}

/// Such buffers have a power of two of bytes, of whole pages.
pub(super) fn owners_buffer(text: &str) -> Result<u32, String> {
    let most = 1 << 20;
    match text.parse::<u32>() {
        Ok(number) if (4..=most).contains(&number) => Ok(number.next_power_of_two()),
        _ => Err(format!("--owners-buffer takes a number from 4 to {most}")),
    }
}
