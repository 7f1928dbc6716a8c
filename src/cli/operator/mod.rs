//! The commands of an operator: what they ask the running server for, over the same API as the page.
//!
//! They ask the server that has the configured data folder open, with the key that it left there; or, with `--url` and
//! `--token`, one on another machine.

mod actors;
mod admin_client;
mod bench;
mod brokers;
mod completions;
mod confirm;
mod csv;
mod database;
mod doctor;
mod lists;
mod marks;
mod notifications;
mod redis_nodes;
mod rooms;
pub(super) mod table;
mod tree;
mod users;
mod watch;

use std::process::ExitCode;

use clap::{Args, ColorChoice, ValueEnum};

pub(super) use actors::Actors;
pub(super) use admin_client::Said;
pub(super) use bench::Bench;
pub(super) use completions::Completions;
pub(super) use doctor::Doctor;
pub(super) use lists::{Partitions, Sessions};
pub(super) use marks::{Mark, Marks};
pub(super) use notifications::Notifications;
pub(super) use rooms::Room;
pub(super) use users::User;

use super::Settings;
use super::terminal::Colours;

/// How an answer is written.
#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Output {
    /// For spreadsheets: a header, then a record a line.
    Csv,
    /// The API's JSON; errors too, on stderr.
    Json,
    /// What is in the first column, a line each.
    Names,
    /// For people.
    #[default]
    Table,
}

/// What all commands take that ask a server.
#[derive(Args, Clone)]
struct Asking {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    here: Here,
}

/// What all of these commands take.
#[derive(Args, Clone)]
struct Here {
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Colours: of a terminal, unless NO_COLOR is set; or say so.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
    #[command(flatten)]
    settings: Settings,
}

impl Asking {
    fn output(&self) -> Output {
        self.here.output
    }

    fn colours(&self) -> Colours {
        Colours::of(self.here.color)
    }
}

/// A server that is not this machine's.
#[derive(Args, Clone)]
struct Remote {
    /// The admin port of a server, as https://ops.example.com; KERVAN_URL. Without it, the server of the data folder.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Its [admin] token; KERVAN_TOKEN, which no list of processes shows.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Send the token over http:// to another machine: whoever is on the way can read it.
    #[arg(long)]
    insecure_http: bool,
}

/// What can be run.
pub(super) trait Run {
    /// Does it.
    fn run(&self) -> anyhow::Result<ExitCode>;

    /// How its answer is written, and with it what went wrong.
    fn output(&self) -> Output {
        Output::Table
    }
}
