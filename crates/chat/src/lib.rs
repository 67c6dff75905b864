//! A TCP conversation between two people or programs.
//!
//! | room | what happens there |
//! |---|---|
//! | `cli` | flags, checked |
//! | `app` | one function per command: socket first, then the runtime |
//! | `endpoint` | listening and connecting, and why not |
//! | `server` | a bound listener and a stop signal: every conversation in between |
//! | `client` | a connected stream, input and output: one conversation |
//! | `pair` | both as two processes |
//! | `fault` | the halves of a pair broken on purpose |
//! | `connection` | any byte stream to messages and back, bounded |
//! | `message` | framing and limits; pure |
//! | `room` | who is here, who spoke, who gets what; pure |
//! | `terminal` | line editor, screen, escaping of hostile text |

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

mod app;
mod cli;
mod client;
mod connection;
mod endpoint;
mod fault;
mod message;
mod pair;
mod room;
mod server;
mod terminal;

/// Runs the program on the process's own arguments and gives its exit code: 0 done, 1 failed,
/// 2 wrong usage.
pub fn run() -> ExitCode {
    let itself = std::env::current_exe().unwrap_or_else(|_| "chat".into());
    run_with(vec![itself.into_os_string()], std::env::args_os().skip(1))
}

/// The same for a program that embeds this one. `program` is the command that starts it again,
/// such as `["/path/net-companion", "chat"]`: `chat pair` starts its two halves so. `args` are the
/// arguments after it.
pub fn run_with(program: Vec<OsString>, args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = std::iter::once(OsString::from("chat"))
        .chain(args)
        .collect();
    let is_plain = |arg: &OsString| !arg.to_string_lossy().contains(char::is_control);
    let inert = args.iter().all(is_plain);
    match cli::Cli::try_parse_from(args) {
        Ok(cli) => app::run(cli.command, program),
        Err(error) => {
            if inert {
                // Help into a closed pipe is nobody's loss.
                let _ = error.print();
            } else {
                app::complain(&error.render().to_string());
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
