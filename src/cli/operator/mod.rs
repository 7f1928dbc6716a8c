//! The commands of an operator: what they ask the running server for, over the same API as the page.

mod actors;
mod ask;
mod bench;
mod completions;
mod doctor;
mod lists;
mod table;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

pub(super) use actors::Actors;
pub(super) use bench::Bench;
pub(super) use completions::Completions;
pub(super) use doctor::Doctor;
pub(super) use lists::{Partitions, Room, Sessions, User};

use super::Settings;

/// How an answer is written.
#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Output {
    /// The API's JSON.
    Json,
    /// For people.
    #[default]
    Table,
}

/// What all of these commands take.
#[derive(Args)]
struct Asking {
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    settings: Settings,
}

/// What can be run.
pub(super) trait Run {
    /// Does it.
    fn run(&self) -> anyhow::Result<ExitCode>;
}
