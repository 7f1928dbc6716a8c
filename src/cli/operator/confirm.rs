//! Asking before something is done that others feel, and for passwords.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::Value;

use super::Asking;
use super::admin_client::{Server, done};
use crate::cli::Refused;

/// Asked unless told not to.
#[derive(Args)]
pub(super) struct Confirm {
    /// Don't ask.
    #[arg(short = 'y', long)]
    yes: bool,
}

impl Confirm {
    /// Asks, and goes on only after a yes.
    ///
    /// # Errors
    /// [`Refused`]: no, or there is nobody to ask.
    pub(crate) fn ask(&self, question: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Refused(format!("{question} There is nobody to ask: -y says yes")).into());
        }
        write!(io::stderr(), "{question} [y/N] ")?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Refused("nothing was done".to_owned()).into()),
        }
    }

    /// Finds the server, asks, has it done by `act`, and says what came of it.
    ///
    /// # Errors
    /// There is no server, [`Self::ask`], or the server refuses.
    pub(crate) fn act(
        &self,
        asking: &Asking,
        question: &str,
        act: impl FnOnce(&Server) -> anyhow::Result<Value>,
        sentence: impl FnOnce(&Value) -> String,
    ) -> anyhow::Result<()> {
        let server = Server::of(asking)?;
        self.ask(question)?;
        let answer = act(&server)?;
        done(asking, &answer, &sentence(&answer))
    }
}

/// Reads a password: from a terminal twice and unseen, else the first line of stdin.
///
/// # Errors
/// There is none, or the second one is another.
pub(super) fn password() -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let first = unseen("Password: ")?;
    if first != unseen("Again: ")? {
        return Err(Refused("these are two passwords".to_owned()).into());
    }
    Ok(first)
}

fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("stdin")?;
    let password = line.trim_end_matches(['\n', '\r']).to_owned();
    if password.is_empty() { Err(Refused("no password: write it to stdin".to_owned()).into()) } else { Ok(password) }
}

fn unseen(prompt: &str) -> anyhow::Result<String> {
    write!(io::stderr(), "{prompt}")?;
    let stdin = io::stdin();
    let shown = tcgetattr(&stdin).context("the terminal")?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).context("the terminal")?;
    let read = line();
    tcsetattr(&stdin, OptionalActions::Flush, &shown).context("the terminal")?;
    writeln!(io::stderr())?;
    read
}
