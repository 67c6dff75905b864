//! `inspect generate`: completions and man pages, from the same definitions as the help.

use std::io::{self, Write};

use clap::{Args, Command, CommandFactory, ValueEnum};

use super::Cli;

/// The flags as typed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  inspect generate bash > /etc/bash_completion.d/inspect
  inspect generate man > /usr/local/share/man/man1/inspect.1
  inspect generate man sockets > /usr/local/share/man/man1/inspect-sockets.1")]
pub struct Flags {
    /// What to write: man, or completions for bash, zsh or fish.
    #[arg(value_name = "WHAT", hide_possible_values = true)]
    what: What,

    /// The view that the man page is about; without it, the program.
    #[arg(value_name = "VIEW")]
    view: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A man page.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    what: What,
    /// The command that the man page is about.
    page: Option<Command>,
}

impl Flags {
    /// Checks what clap could not.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(self) -> Result<Request, String> {
        let mut program = Cli::command();
        // Flags that hold everywhere reach the views only now.
        program.build();
        let page = match (self.what, self.view) {
            (What::Man, None) => Some(program),
            (What::Man, Some(view)) => match program.find_subcommand(&view) {
                Some(found) => Some(found.clone()),
                None => return Err(format!("there is no view {view:?}")),
            },
            (_, Some(_)) => return Err("completions are for all views at once".to_owned()),
            (_, None) => None,
        };
        Ok(Request {
            what: self.what,
            page,
        })
    }
}

/// Writes what was asked for.
///
/// # Errors
/// What the writer answers.
pub fn write(request: &Request, out: &mut dyn Write) -> io::Result<()> {
    if let Some(page) = &request.page {
        return clap_mangen::Man::new(page.clone()).render(out);
    }
    let shell = match request.what {
        What::Bash | What::Man => clap_complete::Shell::Bash,
        What::Zsh => clap_complete::Shell::Zsh,
        What::Fish => clap_complete::Shell::Fish,
    };
    // It panics when it cannot write: so it writes into memory.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "inspect", &mut text);
    out.write_all(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(what: What, view: Option<&str>) -> Result<String, String> {
        let flags = Flags {
            what,
            view: view.map(str::to_owned),
        };
        let mut out = Vec::new();
        write(&flags.validate()?, &mut out).unwrap();
        Ok(String::from_utf8(out).unwrap())
    }

    /// Every long flag of every view.
    fn flags() -> Vec<(String, String)> {
        let mut program = Cli::command();
        program.build();
        let views = program
            .get_subcommands()
            .filter(|view| view.get_name() != "help");
        views
            .flat_map(|view| {
                let name = view.get_name().to_owned();
                view.get_arguments()
                    .filter(|argument| !argument.is_hide_set())
                    .filter_map(|argument| argument.get_long())
                    .map(move |flag| (name.clone(), flag.to_owned()))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn man_pages_and_completions_know_every_flag_of_every_view() {
        let shells = [What::Bash, What::Zsh, What::Fish].map(|what| written(what, None).unwrap());
        let flags = flags();
        assert!(flags.len() > 20, "{flags:?}");
        for (view, flag) in flags {
            let page = written(What::Man, Some(&view)).unwrap();
            assert!(page.contains(&flag.replace('-', "\\-")), "{view}: {flag}");
            for text in &shells {
                assert!(text.contains(&flag), "{view}: {flag}");
            }
        }
    }

    #[test]
    fn a_view_that_is_not_there_is_refused() {
        assert!(
            written(What::Man, Some("nothing"))
                .unwrap_err()
                .contains("nothing")
        );
        assert!(written(What::Bash, Some("sockets")).is_err());
        assert!(
            written(What::Man, None)
                .unwrap()
                .contains("inspect\\-sockets")
        );
    }
}
