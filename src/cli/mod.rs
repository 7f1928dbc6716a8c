//! The command line: its words, and what each exit code means.
//!
//! 0: done. 1: it failed while running. 2: asked for in a way that can't work (unknown flag, bad configuration, data
//! folder or port held by another process, a bad backup, a store of another journal); nothing was changed. 130, 143: a
//! second Ctrl-C or SIGTERM cut a drain short.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::Problems;
use clap::{Args, Parser, Subcommand};
use operator::{Output, Run as _, Said};

mod admin_file;
mod backup;
mod banner;
mod config;
mod engines;
mod graduate;
mod health;
mod logging;
mod migrate;
mod open_files;
mod operator;
mod restore;
mod rights;
mod serve;
mod signals;
mod sources;
mod telemetry;
mod terminal;
mod token;
mod topics;
mod vapid;
mod worker;

/// Kervan, a chat engine. Without a command it serves: everything in one process, data in ./data.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

/// Settings that every command takes.
#[derive(Args, Clone, Default)]
pub(crate) struct Settings {
    /// Configuration file; without it, cluster.toml of the working directory if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data folder.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Public port; the admin port is the next one unless it is configured.
    #[arg(long, value_name = "N")]
    port: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C; a second one leaves at once.
    Serve {
        #[command(flatten)]
        settings: Settings,
        /// all: rows and notifications, too; api: what workers do that stand alone is left to them.
        #[arg(long, value_name = "all|api")]
        role: Option<String>,
    },
    /// Do one part of the work beside nodes with --role api, until SIGTERM or Ctrl-C.
    Worker(worker::Request),
    /// Bring a database to this version's schema (the start does it by itself).
    Migrate(migrate::Request),
    #[command(about = "Write a backup of the data folder, also while it is served")]
    Backup(backup::Request),
    /// Put a backup into an empty data folder.
    Restore(restore::Request),
    /// Move a data folder of one node to Kafka, PostgreSQL and the object store.
    Graduate(graduate::Request),
    /// Make a token of a user with the configured secret, or check one.
    Token(token::Request),
    /// Ask the running server whether it is ready: exit code 0 if so, 1 if not.
    Health {
        #[command(flatten)]
        settings: Settings,
    },
    #[command(about = "Look at the actors of the running server, and act on one")]
    Actors(operator::Actors),
    #[command(about = "Look at rooms, and act in one")]
    Room(operator::Room),
    #[command(about = "Look at users, send them away, and see to their accounts")]
    User(operator::User),
    #[command(about = "List authenticated connections")]
    Sessions(operator::Sessions),
    #[command(about = "Look at notifications that could not be sent, and have them tried again")]
    Notifications(operator::Notifications),
    #[command(about = "How far each partition is")]
    Partitions(operator::Partitions),
    #[command(about = "Check what the server rests on, a line each: exit code 1 if something is wrong")]
    Doctor(operator::Doctor),
    #[command(about = "Measure this machine in a few seconds")]
    Bench(operator::Bench),
    /// The topics of a journal in Kafka.
    Topics(topics::Request),
    /// Make the key that browsers' push services know a server by, and print it.
    Vapid,
    /// Say which version this is.
    Version,
    #[command(about = "Write a shell's completions")]
    Completions(operator::Completions),
    /// Show, check or write a configuration.
    Config {
        #[command(subcommand)]
        what: config::What,
    },
}

/// A request that can't work as it stands; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub String);

/// Reads the command line and does what it says.
#[must_use]
pub fn run() -> ExitCode {
    rights::keep_to_oneself();
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Serve { settings: cli.settings, role: None });
    let output = command.output();
    let result = match command {
        Command::Serve { settings, role } => serve::run(&settings, role),
        Command::Worker(request) => worker::run(&request),
        Command::Migrate(request) => migrate::run(&request),
        Command::Backup(request) => backup::run(&request),
        Command::Restore(request) => restore::run(&request),
        Command::Graduate(request) => graduate::run(&request),
        Command::Token(request) => token::run(&request),
        Command::Health { settings } => health::run(&settings),
        Command::Actors(request) => request.run(),
        Command::Room(request) => request.run(),
        Command::User(request) => request.run(),
        Command::Sessions(request) => request.run(),
        Command::Notifications(request) => request.run(),
        Command::Partitions(request) => request.run(),
        Command::Doctor(request) => request.run(),
        Command::Bench(request) => request.run(),
        Command::Topics(request) => topics::run(&request),
        Command::Completions(request) => request.run(),
        Command::Vapid => vapid::run(),
        Command::Version => print(concat!("kervan ", env!("CARGO_PKG_VERSION"), "\n")).map(|()| ExitCode::SUCCESS),
        Command::Config { what } => config::run(&what),
    };
    result.unwrap_or_else(|error| {
        let refused = error.is::<Refused>() || error.is::<Problems>() || error.is::<Said>();
        match output {
            Output::Json => report_json(&error, refused),
            Output::Csv | Output::Names | Output::Table => report(&error),
        }
        ExitCode::from(if refused { 2 } else { 1 })
    })
}

impl Command {
    /// How what it says is written.
    fn output(&self) -> Output {
        match self {
            Self::Actors(request) => request.output(),
            Self::Backup(request) => request.output(),
            Self::Room(request) => request.output(),
            Self::User(request) => request.output(),
            Self::Sessions(request) => request.output(),
            Self::Notifications(request) => request.output(),
            Self::Partitions(request) => request.output(),
            Self::Doctor(request) => request.output(),
            Self::Bench(request) => request.output(),
            _ => Output::Table,
        }
    }
}

/// Writes an error to stderr as the API writes its own: `{"error":{"code":…,"message":…}}`.
fn report_json(error: &anyhow::Error, refused: bool) {
    let said = error.downcast_ref::<Said>().map(|said| said.code.as_str());
    let code = said.unwrap_or(if refused { "refused" } else { "failed" });
    let json = serde_json::json!({ "error": { "code": code, "message": format!("{error:#}") } });
    // As in `report`.
    let _ = writeln!(io::stderr().lock(), "{json}");
}

/// Writes an error to stderr, each line marked. If even that fails there is nobody left to tell.
fn report(error: &anyhow::Error) {
    let mut stderr = io::stderr().lock();
    for line in format!("{error:#}").lines() {
        let _ = writeln!(stderr, "error: {line}");
    }
}

/// Writes to stdout. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
