//! What a capture is written into: a new file, a FIFO, or stdout; never the file that is read.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use rustix::io::Errno;

use super::Savefile;
use crate::app::Context;
use crate::app::capture::awaiting::Awaiting;
use crate::capture::Link;
use crate::cli::capture::{From, Request};
use crate::stop::Stop;

/// Opens the first file that is asked for; `stdout` is taken for `-`.
pub(in crate::app::capture) fn open(
    path: &Path,
    request: &Request,
    context: &Context,
    link: Link,
    stop: &Stop,
    zone: &TimeZone,
    stdout: Option<Box<dyn Write>>,
) -> anyhow::Result<Savefile> {
    let read = match &request.from {
        From::File(path) => Some(path.clone()),
        From::Interface(_) | From::List => None,
    };
    let is_read = move |path: &Path| read.as_ref().is_some_and(|read| same_file(read, path));
    if is_read(path) {
        anyhow::bail!("cannot write {}: it is the file to read", path.display());
    }
    if stdout.is_some() && io::stdout().is_terminal() {
        anyhow::bail!("a capture file is not for a terminal (-w FILE, or a pipe behind -w -)");
    }
    let (stopped, context, asked) = (stop.clone(), context.clone(), request.clone());
    let open = Box::new(move |path: &Path| {
        // A later one, with a number behind its name, may be it.
        if is_read(path) {
            return Err(io::Error::other("it is the file to read"));
        }
        if !is_fifo(path) {
            return fs::File::create(path);
        }
        let words = format!("Nothing yet. Waiting for a reader of {}.", path.display());
        let _awaiting = Awaiting::begin(&context, &asked, words);
        open_fifo(path, &stopped)
    });
    Savefile::open(path, request, link, stop, zone.clone(), stdout, open)
}

/// How often it is seen whether a FIFO has a reader.
const READER_SOON: Duration = Duration::from_millis(50);

fn is_fifo(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo())
}

/// Opens a FIFO. Its reader is waited for as long as the stop signal is not raised.
fn open_fifo(path: &Path, stop: &Stop) -> io::Result<fs::File> {
    loop {
        let opened = fs::OpenOptions::new()
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(path);
        match opened {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => {
                if stop.wait(READER_SOON) {
                    return Err(io::Error::other("nobody reads it"));
                }
            }
            other => return other,
        }
    }
}

/// Whether what is read and what is written are one file, or one FIFO; `-` is what the shell
/// has opened.
fn same_file(read: &Path, written: &Path) -> bool {
    let of = |path: &Path, standard: BorrowedFd<'_>| {
        if path != Path::new("-") {
            return fs::metadata(path);
        }
        fs::File::from(standard.try_clone_to_owned()?).metadata()
    };
    match (
        of(read, io::stdin().as_fd()),
        of(written, io::stdout().as_fd()),
    ) {
        (Ok(read), Ok(written)) => {
            (read.dev(), read.ino()) == (written.dev(), written.ino())
                && (read.is_file() || read.file_type().is_fifo())
        }
        _ => false,
    }
}
