//! Measurements of Kervan, one subcommand each. The figures of `docs/performance.md` come from here.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that prints what it measured")]

mod acks;
mod activation;
mod actors;
mod bare_kafka;
mod fairness;
mod journal;
mod lists;
mod restart;
mod sendacks;
mod server;
mod socket;
mod sockets;
mod storm;

use anyhow::{Result, bail};
use kervan_loadtest::{bare, group, measure};

/// The product's: the engine runs in this process, too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const USAGE: &str = "\
usage: kervan-loadtest SUBCOMMAND
  journal [DIR] [SECONDS] [APPENDERS]   durable appends: the embedded journal beside a bare group-commit appender
  acks [SECONDS]                        acknowledged messages: a whole engine in this process beside the same
  sendacks [PROGRAM] [SENDERS]          the same through real sockets, with the CPU time of a server in a process of its own
  activation [ROOMS] [TOUCHES]          a command to a room that is not in memory, and to one that is
  fairness [PROGRAM] [SECONDS]          what a bystander notices while one user does his worst
  lists [ROOMS] [LARGE]                 a page of the room list of a user with many rooms
  actors [ACTORS] [CHILDREN]            polling what actors publish: CPU, memory, the page of a node with many children
  idle [PROGRAM] [CONNECTIONS]          memory of the server for each idle authenticated connection
  restart [MESSAGES] [PROGRAM]          after kill -9: from the start of the process to an answered page of history
  storm [SUBSCRIBERS]                   everybody who listens to one room comes back at once, from where he was: CPU time
  fanout [PROGRAM] [ROOMS] [LISTENERS] [SECONDS]
                                        CPU time of the server for a million deliveries, saturated";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("journal") => journal::main(&args[1..]),
        Some("acks") => acks::main(&args[1..]),
        Some("fairness") => fairness::main(&args[1..]),
        Some("lists") => lists::main(&args[1..]),
        Some("restart") => restart::main(&args[1..]),
        Some("sendacks") => sendacks::main(&args[1..]),
        Some("activation") => activation::main(&args[1..]),
        Some("actors") => actors::main(&args[1..]),
        Some("idle") => sockets::idle(&args[1..]),
        Some("storm") => storm::main(&args[1..]),
        Some("fanout") => sockets::fanout(&args[1..]),
        _ => bail!("{USAGE}"),
    }
}
