//! The tour: one live conversation seen through every view. The one program that knows both
//! `chat` and `inspect`, and can be either, so that the tour's two ends are real processes even
//! when nothing else was built.

mod tour;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

const HELP: &str = "\
One TCP conversation, seen from every side.

Usage: net-companion                 the tour
       net-companion chat ...        as the program chat
       net-companion inspect ...     as the program inspect
";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    match first.as_ref().map(|word| word.to_string_lossy()).as_deref() {
        None => tour::run(),
        Some("chat") => chat::run_with(own_command("chat"), arguments),
        Some(tour::PROBE) => tour::probe(),
        Some("inspect") => inspect::run_with(arguments),
        Some("-h" | "--help") => {
            // A reader who has gone needs no help.
            let _ = std::io::stdout().write_all(HELP.as_bytes());
            ExitCode::SUCCESS
        }
        Some(other) => {
            let _ = writeln!(
                std::io::stderr(),
                "net-companion: {other:?} is not understood\n\n{HELP}"
            );
            ExitCode::from(2)
        }
    }
}

/// The command that starts this program again as another.
fn own_command(name: &str) -> Vec<OsString> {
    let program = std::env::current_exe().unwrap_or_else(|_| "net-companion".into());
    vec![program.into_os_string(), name.into()]
}
