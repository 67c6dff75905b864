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

impl Owners {
    /// As `--owners` has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Bpf => "bpf",
            Self::Proc => "proc",
            Self::None => "none",
        }
    }
}

/// The program of this workspace.
#[derive(Debug)]
pub(crate) struct Inspect {
    program: PathBuf,
    /// Whether a kernel program may find owners here.
    has_bpf: bool,
}

impl Inspect {
    /// Asks the program what it can do here.
    pub(crate) fn find(program: PathBuf) -> anyhow::Result<Self> {
        if !program.is_file() {
            bail!(
                "{} is not built: cargo build --release --workspace",
                program.display()
            );
        }
        // Where the kernel refuses, the walk is taken instead, and `begin` says so. Nothing uses
        // port 1: a long answer would make this process large, see `measure::Cost::peak`.
        let output = Command::new(&program)
            .args(["sockets", ":1", "--json", "--owners", "bpf"])
            .output()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let begin = output.stdout.split(|byte| *byte == b'\n').next();
        let begin = String::from_utf8_lossy(begin.unwrap_or_default());
        Ok(Self {
            program,
            has_bpf: begin.contains("\"bpf\""),
        })
    }

    /// `inspect sockets` with owners found so; `None` where this kernel or build has no such way.
    pub(crate) fn sockets(&self, arguments: &[&str], owners: Owners) -> Option<Tool> {
        let mut words = vec!["sockets"];
        words.extend(arguments);
        words.extend(match owners {
            Owners::Auto => &[][..],
            Owners::Bpf if !self.has_bpf => return None,
            Owners::Bpf => &["--owners", "bpf"],
            Owners::Proc => &["--owners", "proc"],
            Owners::None => &["--no-owners"],
        });
        Some(self.tool(&words))
    }

    /// What answers who has a port.
    pub(crate) fn port(&self, port: &str) -> Tool {
        self.tool(&["port", port])
    }

    fn tool(&self, arguments: &[&str]) -> Tool {
        Tool {
            program: self.program.clone(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        }
    }
}
