//! Calls as lines, spelled as strace spells them, with the socket behind each descriptor.

mod explain;
pub mod summary;
mod value;

use jiff::tz::TimeZone;

use super::{Escaped, Screen, Style};
use crate::model::{Endpoint, Fd, Pid, Timestamp};
use crate::trace::{Call, Outcome, Process, Socket, error_name};
pub use explain::{Explained, Library};
use value::Text;

/// Lines of calls.
#[derive(Debug)]
pub struct Calls {
    screen: Screen,
    zone: TimeZone,
    /// The process that the heading names, while there is one alone.
    alone: Option<Pid>,
    /// There were several: each line names its own.
    is_mixed: bool,
}

impl Calls {
    /// For this screen. `headings`: a process that is alone is named once, above its lines.
    pub fn new(screen: Screen, zone: TimeZone, headings: bool) -> Self {
        Self {
            screen,
            zone,
            alone: None,
            is_mixed: !headings,
        }
    }

    /// Writes a call.
    pub fn write(&mut self, out: &mut Vec<u8>, call: &Call) {
        let mut line = String::new();
        self.begin(&mut line, call.time, &call.process, call.tid);
        self.deed(&mut line, call);
        line.push('\n');
        out.extend(line.into_bytes());
    }

    /// Writes something else that a process did, in words.
    pub fn note(&mut self, out: &mut Vec<u8>, time: Timestamp, process: &Process, words: &str) {
        let mut line = String::new();
        self.begin(&mut line, time, process, process.pid);
        line.push_str(&self.screen.paint(Style::Dim, words));
        line.push('\n');
        out.extend(line.into_bytes());
    }

    fn begin(&mut self, line: &mut String, time: Timestamp, process: &Process, tid: Pid) {
        if !self.is_mixed {
            match self.alone {
                None => {
                    let heading = owner(process, process.pid, &self.screen);
                    line.push_str(&self.screen.paint(Style::Heading, &heading));
                    line.push('\n');
                    self.alone = Some(process.pid);
                }
                Some(alone) => self.is_mixed = alone != process.pid,
            }
        }
        let clock = clock(time, &self.zone);
        line.push_str(&self.screen.paint(Style::Dim, &clock));
        line.push_str("  ");
        if self.is_mixed {
            line.push_str(&owner(process, tid, &self.screen));
            line.push_str("  ");
        } else if tid != process.pid {
            line.push_str(&format!("[{tid}] "));
        }
    }

    fn deed(&self, line: &mut String, call: &Call) {
        line.push_str(call.name);
        line.push('(');
        let text = Text {
            charset: self.screen.charset,
        };
        for (index, (name, value)) in call.arguments.iter().enumerate() {
            if index > 0 {
                line.push_str(", ");
            }
            text.write(line, value);
            let is_own = call.before.is_some_and(|(fd, _)| value::is_fd(value, fd));
            if let Some((_, socket)) = call.before.as_ref().filter(|_| is_own && *name != "new_fd")
            {
                line.push('<');
                line.push_str(&label(socket, &self.screen));
                line.push('>');
            }
        }
        line.push_str(") = ");
        self.outcome(line, call);
        if let Some(duration) = call.duration_ns {
            let waited = match value::can_wait(call.name) {
                true if matches!(call.outcome, Outcome::Returned(_)) => "waited ",
                _ => "",
            };
            let words = format!("{waited}{}", time_taken(duration, &self.screen));
            line.push_str("  ");
            line.push_str(&self.screen.paint(Style::Dim, &words));
        }
    }

    fn outcome(&self, line: &mut String, call: &Call) {
        match &call.outcome {
            Outcome::Returned(number) => {
                line.push_str(&number.to_string());
                if let Some((_, socket)) = returned(call).filter(|_| call.name != "socket") {
                    line.push('<');
                    line.push_str(&label(socket, &self.screen));
                    line.push('>');
                }
            }
            Outcome::Failed(number) => {
                let words = failure(*number);
                line.push_str(&self.screen.paint(Style::Error, &words));
            }
            Outcome::ThreadEnded => line.push_str("? ended within the call"),
            Outcome::StillWaits => line.push_str("? has not returned"),
            Outcome::Lost => line.push_str("? its end was lost"),
        }
    }
}

/// The socket that a call has made, where the call returned a descriptor.
fn returned(call: &Call) -> Option<(Fd, &Socket)> {
    let Outcome::Returned(number) = call.outcome else {
        return None;
    };
    let (fd, socket) = call.after.as_ref()?;
    (i64::from(fd.0) == number && call.before.is_none_or(|(old, _)| old != *fd))
        .then_some((*fd, socket))
}

/// `-1 EAGAIN (Resource temporarily unavailable)`, as strace has it.
pub fn failure(number: i32) -> String {
    match error_name(number) {
        // They never reach the program: the kernel makes the call again, or fails it with EINTR.
        Some(name) if number >= 512 => format!("? {name} (to be restarted)"),
        Some(name) => format!("-1 {name} ({})", meaning(number)),
        None => format!("-1 error {number}"),
    }
}

/// strerror(3).
pub fn meaning(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// `name[pid]`, with the thread where that is not the first.
fn owner(process: &Process, tid: Pid, screen: &Screen) -> String {
    let name = Escaped::process(&process.command, screen.charset);
    match tid == process.pid {
        true => format!("{name}[{tid}]"),
        false => format!("{name}[{}/{tid}]", process.pid),
    }
}

/// `12:00:01.000207`.
fn clock(time: Timestamp, zone: &TimeZone) -> String {
    let Ok(moment) = jiff::Timestamp::from_nanosecond(time.as_nanos().into()) else {
        return "?".to_owned();
    };
    let civil = moment.to_zoned(zone.clone());
    civil.strftime("%H:%M:%S%.6f").to_string()
}

/// What a socket is, in few words: `127.0.0.1:52316→127.0.0.1:2345`, `tcp`, `unix`.
pub fn label(socket: &Socket, screen: &Screen) -> String {
    match socket.ends {
        Some((local, remote)) if !remote.is_unspecified() => {
            format!("{}{}{}", end(local), screen.arrow(), end(remote))
        }
        Some((local, _)) if !local.is_unspecified() => end(local),
        _ => value::kind(socket).to_owned(),
    }
}

fn end(end: Endpoint) -> String {
    std::net::SocketAddr::new(end.address.to_canonical(), end.port).to_string()
}

/// `21 µs`, `2.1 s`: three digits at most.
pub fn time_taken(nanoseconds: u64, screen: &Screen) -> String {
    let micro = match screen.charset {
        super::Charset::Utf8 => "µs",
        super::Charset::Ascii => "us",
    };
    let tenths = |unit: u64, name: &str| {
        let whole = nanoseconds / unit;
        match whole {
            0..10 => format!("{whole}.{} {name}", nanoseconds % unit * 10 / unit),
            _ => format!("{whole} {name}"),
        }
    };
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => tenths(1_000, micro),
        1_000_000..1_000_000_000 => tenths(1_000_000, "ms"),
        _ => tenths(1_000_000_000, "s"),
    }
}

#[cfg(test)]
mod tests;
