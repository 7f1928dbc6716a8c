//! `kervan completions SHELL`: what a shell needs to complete commands and flags.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Run;
use crate::cli::{Cli, print};

/// Write a shell's completions: kervan completions bash > /etc/bash_completion.d/kervan
#[derive(Args)]
pub(crate) struct Completions {
    /// bash, zsh, fish, elvish, powershell.
    shell: Shell,
}

impl Run for Completions {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kervan", &mut script);
        print(&String::from_utf8(script)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
