//! `kervan graduate --to cluster.toml`: moves the data folder of one node to the engines of another configuration.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::Config;
use crate::env::Env;
use crate::server::graduate::{GraduateError, Graduation, back};
use crate::storage::lock::DataLock;
use anyhow::Context as _;
use clap::Args;

use super::{Refused, Settings, print, sources};

/// What the help says behind the options.
const MORE: &str = "\
The folder that is moved is the one of --data-dir (./data), with --config if it has a file of its own; no server may run on it. \
The environment, and .env, are read with --to, as the server there will read them.

It can be killed at any moment and run again. The old folder is never changed, but for the file GRADUATION in it, by which \
servers refuse it from the beginning on; --back takes that away.";

#[derive(Args)]
#[command(after_help = MORE)]
pub(super) struct Request {
    /// The configuration of the server to come: its brokers, database, place of uploads, and a data folder of its own.
    #[arg(long, value_name = "FILE", required_unless_present = "back")]
    to: Option<PathBuf>,
    /// Say what would be moved, how long that takes and what stands against it (exit code 2), and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Give the folder back to its server, as it was when the move began.
    #[arg(long, conflicts_with_all = ["to", "dry_run"])]
    back: bool,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(request: &Request) -> anyhow::Result<ExitCode> {
    let source = sources::load_left(&request.settings)?.config;
    if !source.data.dir.exists() {
        return Err(
            Refused(format!("there is no folder {}; --data-dir names another", source.data.dir.display())).into()
        );
    }
    let lock = DataLock::acquire(&source.data.dir);
    let _lock = lock.map_err(|error| Refused(format!("{error}; stop its server first")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the async runtime")?;
    match &request.to {
        Some(to) => {
            let settings = Settings { config: Some(to.clone()), ..Settings::default() };
            let target = sources::load(&settings)?.config;
            let graduation = Graduation::new(source, target, Env::system()).map_err(said)?;
            runtime.block_on(async {
                if request.dry_run { survey(&graduation).await } else { graduate(&graduation, to).await }
            })
        }
        None => runtime.block_on(give_back(&source)),
    }
}

async fn survey(graduation: &Graduation) -> anyhow::Result<ExitCode> {
    let survey = graduation.survey().await.map_err(said)?;
    survey.lines.iter().try_for_each(|line| print(&format!("{line}\n")))?;
    if survey.against.is_empty() {
        print("nothing stands against it, and nothing was done\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    Err(Refused(survey.against.join("\n")).into())
}

async fn graduate(graduation: &Graduation, to: &std::path::Path) -> anyhow::Result<ExitCode> {
    // A move does not stop because nobody reads what it says.
    graduation.run(&|done| drop(print(&format!("{done}\n")))).await.map_err(cut_short)?;
    print(&format!("moved; `kervan serve --config {}` goes on with it\n", to.display()))?;
    Ok(ExitCode::SUCCESS)
}

async fn give_back(source: &Config) -> anyhow::Result<ExitCode> {
    let data = source.data.dir.display();
    print(&match back(source, &Env::system()).await.map_err(said)? {
        true => {
            format!("{data} may be served again, as it was; it is a history of its own now, and clients begin anew\n")
        }
        false => format!("{data} may be served again, as it was\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn said(error: GraduateError) -> anyhow::Error {
    if error.is_refusal() { Refused(error.to_string()).into() } else { error.into() }
}

/// The same of a move that was begun.
fn cut_short(error: GraduateError) -> anyhow::Error {
    let is_refusal = error.is_refusal();
    let error = said(error);
    if is_refusal { error } else { error.context("what is done stays done, and the same command goes on with it") }
}
