//! How a capture is written into files: their format, and when the next one begins. The letters
//! and their meaning are tcpdump's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::{Args, ValueEnum};

/// The flags as typed.
#[derive(Debug, Args)]
#[group(id = "savefile")]
pub struct Flags {
    /// pcap, which every program reads, or pcapng, which also has names of interfaces, owners and
    /// what was lost. Without it the name decides: FILE.pcapng or another.
    #[arg(
        long,
        value_name = "FORMAT",
        requires = "write",
        hide_possible_values = true
    )]
    file_format: Option<Format>,

    /// Show packets also when they are written into a file.
    #[arg(long, requires = "write", overrides_with = "print")]
    print: bool,

    /// Begin another file, with a number behind its name, when one is larger than so many millions
    /// of bytes, or so many KiB, MiB or GiB: 500k, 64m, 1g.
    #[arg(short = 'C', long, value_name = "SIZE", requires = "write", value_parser = size)]
    rotate_size: Option<u64>,

    /// Begin another file after so many seconds; the name may have a time in it (strftime).
    #[arg(short = 'G', long, value_name = "SECONDS", requires = "write", value_parser = seconds)]
    rotate_seconds: Option<u32>,

    /// With -C write over the oldest of so many files; with -G end after so many.
    #[arg(short = 'W', long, value_name = "COUNT", requires = "write", value_parser = files)]
    rotate_count: Option<u32>,
}

/// The format of a capture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Every program that reads captures reads it.
    Pcap,
    /// With interfaces, comments and statistics.
    Pcapng,
}

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saving {
    /// Their format.
    pub format: Format,
    /// When another begins.
    pub rotation: Rotation,
    /// Show the packets too.
    pub print: bool,
}

/// When another file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rotation {
    /// When one is larger than so many bytes.
    pub size: Option<u64>,
    /// When one is so many seconds old.
    pub seconds: Option<u32>,
    /// How many there are at most.
    pub count: Option<u32>,
}

impl Flags {
    /// Checks what clap could not, for packets that go to this file.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(&self, write: Option<&Path>) -> Result<Saving, String> {
        let rotation = Rotation {
            size: self.rotate_size,
            seconds: self.rotate_seconds,
            count: self.rotate_count,
        };
        let is_stdout = write == Some(Path::new("-"));
        let rotates = rotation.size.is_some() || rotation.seconds.is_some();
        if rotation.count.is_some() && !rotates {
            return Err("-W takes -C or -G: it counts the files that they begin".to_owned());
        }
        if is_stdout && rotates {
            return Err("stdout is one file: -C and -G take -w FILE".to_owned());
        }
        if is_stdout && self.print {
            return Err("stdout is for the file (-w -): --print takes -w FILE".to_owned());
        }
        let name = write.map(|path| path.as_os_str()).unwrap_or(OsStr::new(""));
        let by_name = if name.as_bytes().ends_with(b".pcapng") {
            Format::Pcapng
        } else {
            Format::Pcap
        };
        Ok(Saving {
            format: self.file_format.unwrap_or(by_name),
            rotation,
            print: self.print,
        })
    }
}

/// Millions of bytes; or with a suffix KiB, MiB or GiB, as in tcpdump 5.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" => Some(1_000_000),
        "k" | "kib" => Some(1 << 10),
        "m" | "mib" => Some(1 << 20),
        "g" | "gib" => Some(1 << 30),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok().filter(|number| *number > 0);
    number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .ok_or_else(|| "-C takes millions of bytes, or KiB, MiB, GiB: 10, 500k, 64m, 1g".to_owned())
}

fn seconds(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("-G takes a number of seconds from 1".to_owned()),
    }
}

fn files(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("-W takes a number of files from 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::capture::Request;
    use crate::cli::{Cli, View};

    fn request(words: &[&str]) -> Result<Request, String> {
        let words = ["inspect", "capture"].iter().chain(words);
        match Cli::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .view
        {
            View::Capture(flags) => flags.validate(&crate::selection::Numbers),
            _ => Err("another view".to_owned()),
        }
    }

    #[test]
    fn the_format_is_that_of_the_name_or_what_is_asked_for() {
        for (words, format) in [
            (&["-w", "a.pcap"][..], Format::Pcap),
            (&["-w", "a"], Format::Pcap),
            (&["-w", "-"], Format::Pcap),
            (&["-w", "a.pcapng"], Format::Pcapng),
            (&["-w", "-", "--file-format", "pcapng"], Format::Pcapng),
            (&["-w", "a.pcapng", "--file-format", "pcap"], Format::Pcap),
        ] {
            let request = request(words).unwrap();
            assert_eq!(request.saving.format, format, "{words:?}");
            assert_eq!(request.needs_owners(), format == Format::Pcapng);
        }
        assert!(request(&[]).unwrap().needs_owners());
        assert!(request(&["-w", "a", "--print"]).unwrap().needs_owners());
        assert!(request(&["-w", "a", "--pid", "1"]).unwrap().needs_owners());
        assert!(request(&["-w", "a", "--", "true"]).unwrap().needs_owners());
    }

    #[test]
    fn sizes_are_millions_or_have_a_unit() {
        for (text, bytes) in [
            ("1", 1_000_000),
            ("20", 20_000_000),
            ("1k", 1024),
            ("3K", 3072),
            ("2M", 2 << 20),
            ("2MiB", 2 << 20),
            ("1g", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "0",
            "0k",
            "k",
            "1.5",
            "-1",
            "1t",
            "99999999999999999999",
            "99999999999g",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (words, part) in [
            (&["-C", "1"][..], "--write"),
            (&["-G", "1"], "--write"),
            (&["--print"], "--write"),
            (&["--file-format", "pcapng"], "--write"),
            (&["-w", "a", "-W", "3"], "-W takes -C or -G"),
            (&["-w", "-", "-C", "1"], "stdout is one file"),
            (&["-w", "-", "-G", "1"], "stdout is one file"),
            (&["-w", "-", "--print"], "--print takes -w FILE"),
            (&["-w", "a", "--json"], "--json takes --print"),
            (&["-w", "a", "-G", "0"], "-G takes a number"),
            (&["-w", "a", "-C", "1", "-W", "0"], "-W takes a number"),
            (&["-w", "a", "-C", "soon"], "-C takes millions"),
            (&["-w", "a", "--file-format", "erf"], "pcapng"),
        ] {
            let error = request(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
        assert!(request(&["-w", "a", "--print", "--json"]).is_ok());
    }
}
