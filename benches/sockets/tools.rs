//! The programs that are compared.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

/// A command line.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

impl Tool {
    /// A line as typed; no argument holds a space.
    pub(crate) fn typed(line: &str) -> Self {
        let mut words = line.split_whitespace();
        Self {
            program: words.next().unwrap_or_default().into(),
            arguments: words.map(str::to_owned).collect(),
        }
    }

    /// The line, with the program's name for its path.
    pub(crate) fn line(&self) -> String {
        let name = self.program.file_name().unwrap_or_default();
        let mut line = name.to_string_lossy().into_owned();
        for argument in &self.arguments {
            line.push(' ');
            line += argument;
        }
        line
    }
}

/// How owners are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owners {
    /// As the program chooses.
    Auto,
    /// By the kernel program.
    Bpf,
    /// By the walk over /proc.
    Proc,
    /// Not at all.
    None,
}

/// The program of this workspace, and what it can do by now.
#[derive(Debug)]
pub(crate) struct Inspect {
    program: PathBuf,
    sockets_help: String,
    has_port: bool,
}

impl Inspect {
    /// Asks the program what it can do.
    pub(crate) fn find(program: PathBuf) -> anyhow::Result<Self> {
        if !program.is_file() {
            bail!(
                "{} is not built: cargo build --release --workspace",
                program.display()
            );
        }
        let help = |view: &str| {
            Command::new(&program)
                .args([view, "--help"])
                .output()
                .with_context(|| format!("cannot run {}", program.display()))
        };
        let sockets_help = String::from_utf8(help("sockets")?.stdout)?;
        let has_port = help("port")?.status.success();
        Ok(Self {
            program,
            sockets_help,
            has_port,
        })
    }

    fn tool(&self, arguments: &[&str]) -> Tool {
        Tool {
            program: self.program.clone(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    /// `inspect sockets` with owners found so; `None` where this build has no such way.
    pub(crate) fn sockets(&self, arguments: &[&str], owners: Owners) -> Option<Tool> {
        let mut words = vec!["sockets"];
        words.extend(arguments);
        match owners {
            Owners::Auto => {}
            _ if self.sockets_help.contains("--owners") => {
                words.extend(match owners {
                    Owners::Bpf => ["--owners", "bpf"],
                    Owners::Proc => ["--owners", "proc"],
                    _ => ["--owners", "none"],
                });
            }
            // A build without the flag knows the walk only.
            Owners::Proc => {}
            _ => return None,
        }
        Some(self.tool(&words))
    }

    /// What answers who has a port.
    pub(crate) fn port(&self, port: &str) -> Tool {
        if self.has_port {
            self.tool(&["port", port])
        } else {
            self.tool(&["sockets", &format!(":{port}")])
        }
    }
}
