//! The program: what its command line says, and what each exit code means.
//!
//! 0: stopped as it was told to. 1: something could not be started, or had to be killed at the end. 2: asked for in a way
//! that can't work (a missing program, a bad configuration, a folder that another one uses): nothing was started. 130, 143:
//! it was told to stop while it started, or a second time.

mod engines;
mod install;
mod life;
mod nodes;
mod record;
mod say;
mod watch;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Real engines, a Kervan node and its workers on this machine, for development: no production set-up.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder of everything that they hold and log. Started again, they go on with what is there.
    #[arg(long, value_name = "DIR", default_value = "data/cluster")]
    data: PathBuf,
    /// Public port of the node; its admin port is the next one. Without it, what the node's configuration says.
    #[arg(long, value_name = "N", value_parser = port())]
    port: Option<u16>,
    /// First of the three ports of Kafka; a port that is taken is passed over.
    #[arg(long, value_name = "N", default_value_t = 9092, value_parser = port())]
    kafka_port: u16,
    /// First of the six ports of Redis.
    #[arg(long, value_name = "N", default_value_t = 7001, value_parser = port())]
    redis_port: u16,
    /// Port of PostgreSQL.
    #[arg(long, value_name = "N", default_value_t = 5432, value_parser = port())]
    postgres_port: u16,
    /// The `kervan` program; without it, the one beside this program.
    #[arg(long, value_name = "FILE")]
    kervan: Option<PathBuf>,
}

/// A port with room for those that follow it.
fn port() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=65_000)
}

/// A request that can't work as it stands; exit code 2.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

pub(crate) fn main() -> ExitCode {
    match life::run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::error(&error);
            ExitCode::from(if error.is::<Refused>() { 2 } else { 1 })
        }
    }
}
